/*-------------------------------------------------------------------------
 *
 * extent.c
 *	  Making room: lane pages, extents, and the directory's growth.
 *
 * The directory of a lane is a radix tree over extent sequence numbers: the
 * node of level l that holds seq begins at a multiple of 200^(l+1).  It only
 * grows at its right edge, and only under the lane's heavyweight lock, so a
 * plan made from copies of its pages stays true until it is applied.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "log/directory.h"
#include "log/wal.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"

#define MAX_LEVELS				4

/* A directory node that the new extent touches. */
typedef struct PlannedNode
{
	BlockNumber block;
	bool		fresh;
	int			level;
	uint32		first_seq;
	Buffer		buffer;
	int			nentries;		/* entries that change */
	int			index[3];
	DirEntry	entry[3];
} PlannedNode;

typedef struct ExtentPlan
{
	uint32		seq;
	BlockNumber block;			/* of the new extent */
	BlockNumber high_block;		/* afterwards, as the next two */
	BlockNumber free_extent;	/* of its size */
	BlockNumber free_node;
	LaneEntry	lane;			/* afterwards */
	int			nnodes;
	PlannedNode nodes[2 * MAX_LEVELS];
} ExtentPlan;

void
extent_lengthen_file(Relation rel, BlockNumber nblocks)
{
	SMgrRelation reln = RelationGetSmgr(rel);
	BlockNumber present = smgrnblocks(reln, MAIN_FORKNUM);

	if (present < nblocks)
		SmgrZeroExtend(reln, present, nblocks - present);
}

void
extent_ensure_file(Relation rel, BlockNumber nblocks)
{
	if (RelationGetNumberOfBlocks(rel) >= nblocks)
		return;
	LockRelationForExtension(rel, ExclusiveLock);
	extent_lengthen_file(rel, nblocks);
	UnlockRelationForExtension(rel, ExclusiveLock);
}

void
dir_page_init(Page page, uint32 incarnation, int32 lane, uint32 first_seq, int level,
			  uint16 contents, uint16 page_id)
{
	DirOpaque  *opaque = (DirOpaque *) ((char *) page + BLCKSZ - sizeof(DirOpaque));

	topic_page_init(page, sizeof(DirOpaque), contents);
	opaque->incarnation = incarnation;
	opaque->lane = (uint16) lane;
	opaque->first_seq = first_seq;
	opaque->level = level;
	opaque->page_id = page_id;
}

/* Logs the whole of a new directory page. */
static void
patch_fresh_dir_page(WalPage *page, uint16 contents)
{
	wal_patch(page, DATA_PAGE_START, contents);
	wal_patch(page, BLCKSZ - sizeof(DirOpaque), sizeof(DirOpaque));
}

void
extent_ensure_lane(Relation rel, int32 lane)
{
	int			slot = lane / LANES_PER_PAGE;
	TopicMeta	meta;

	if (directory_lane_block(rel, lane) != 0)
		return;

	LockRelationForExtension(rel, ExclusiveLock);
	directory_read_meta(rel, &meta);
	if (meta.lane_page[slot] == 0)
	{
		uint16		contents = LANES_PER_PAGE * sizeof(LaneEntry);
		BlockNumber block = meta.high_block;
		Buffer		metabuf;
		Buffer		lanebuf;
		WalRecord	record;
		WalPage    *page;
		TopicMeta  *m;

		wal_prepare();
		extent_lengthen_file(rel, block + 1);
		metabuf = ReadBuffer(rel, TOPIC_META_BLOCK);
		LockBuffer(metabuf, BUFFER_LOCK_EXCLUSIVE);
		lanebuf = ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_ZERO_AND_LOCK, NULL);
		wal_begin(&record, XLOG_TOPIC_DIRECTORY, lane);

		START_CRIT_SECTION();
		m = page_meta(BufferGetPage(metabuf));
		m->high_block = block + 1;
		m->lane_page[slot] = block;
		page = wal_page(&record, metabuf, false);
		wal_patch(page, DATA_PAGE_START + offsetof(TopicMeta, high_block), sizeof(BlockNumber));
		wal_patch(page, DATA_PAGE_START + offsetof(TopicMeta, lane_page) + slot * sizeof(BlockNumber),
				  sizeof(BlockNumber));
		dir_page_init(BufferGetPage(lanebuf), meta.incarnation, 0, slot * LANES_PER_PAGE, 0,
					  contents, TOPIC_LANE_PAGE_ID);
		patch_fresh_dir_page(wal_page(&record, lanebuf, true), contents);
		wal_finish(&record, rel);
		END_CRIT_SECTION();
		UnlockReleaseBuffer(lanebuf);
		UnlockReleaseBuffer(metabuf);
	}
	UnlockRelationForExtension(rel, ExclusiveLock);
}

void
log_set_min_partitions(Relation rel, int32 partitions)
{
	Buffer		buffer;
	TopicMeta  *meta;
	bool		raised = false;

	Assert(partitions <= LOG_MAX_LANES);
	wal_prepare();
	buffer = ReadBuffer(rel, TOPIC_META_BLOCK);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	meta = page_meta(BufferGetPage(buffer));
	if (meta->min_partitions < (uint32) partitions)
	{
		WalRecord	record;

		wal_begin(&record, XLOG_TOPIC_DIRECTORY, partitions - 1);
		START_CRIT_SECTION();
		meta->min_partitions = partitions;
		wal_patch(wal_page(&record, buffer, false),
				  DATA_PAGE_START + offsetof(TopicMeta, min_partitions), sizeof(uint32));
		wal_finish(&record, rel);
		END_CRIT_SECTION();
		raised = true;
	}
	UnlockReleaseBuffer(buffer);

	/* others partition by key with the number they have cached */
	if (raised)
		CacheInvalidateRelcache(rel);
}

void
log_begin_at(Relation rel, int32 lane, RecordOffset offset)
{
	Buffer		buffer;
	Page		page;
	LaneEntry  *entry;

	wal_prepare();
	extent_ensure_lane(rel, lane);
	LockLane(rel, lane);		/* keeps its first extent from being opened */
	buffer = ReadBuffer(rel, directory_lane_block(rel, lane));
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	page = BufferGetPage(buffer);
	entry = directory_lane_entry(page, lane);
	if (entry->next_seq == 0 && (RecordOffset) entry->initial_offset < offset)
	{
		WalRecord	record;

		wal_begin(&record, XLOG_TOPIC_DIRECTORY, lane);
		record.change.offset = offset;
		START_CRIT_SECTION();
		entry->log_start = entry->initial_offset = entry->frozen_upto = offset;
		wal_patch(wal_page(&record, buffer, false), (char *) entry - (char *) page,
				  offsetof(LaneEntry, head_seq));
		wal_finish(&record, rel);
		END_CRIT_SECTION();
	}
	UnlockReleaseBuffer(buffer);
	UnlockLane(rel, lane);
}

/* ---------- planning ---------- */

/* Notes that entry "index" of a node becomes "entry". */
static void
plan_entry(PlannedNode *node, int index, const DirEntry *entry)
{
	Assert(node->nentries < lengthof(node->index));
	node->index[node->nentries] = index;
	node->entry[node->nentries] = *entry;
	node->nentries++;
}

static PlannedNode *
plan_node(ExtentPlan *plan, BlockNumber block, bool fresh, int level, uint32 first_seq)
{
	PlannedNode *node = &plan->nodes[plan->nnodes++];

	Assert(plan->nnodes <= lengthof(plan->nodes));
	node->block = block;
	node->fresh = fresh;
	node->level = level;
	node->first_seq = first_seq;
	node->nentries = 0;
	return node;
}

/* What a parent says of a full node: the sum of its entries. */
static DirEntry
summarize(const DirEntry *entries, int low, int high, BlockNumber block)
{
	DirEntry	sum = entries[low];

	for (int i = low + 1; i <= high; i++)
	{
		sum.max_timestamp = Max(sum.max_timestamp, entries[i].max_timestamp);
		sum.min_timestamp = Min(sum.min_timestamp, entries[i].min_timestamp);
		sum.max_fxid = Max(sum.max_fxid, entries[i].max_fxid);
	}
	sum.block = block;
	sum.closed = 1;
	return sum;
}

/* A block for a new node: from its free list, or the end of the file. */
static BlockNumber
plan_node_block(ExtentPlan *plan, LaneMap *map)
{
	BlockNumber block = plan->free_node;

	if (block == 0)
		return plan->high_block++;
	plan->free_node = space_free_link(map->rel, map->incarnation, block, false);
	return block;
}

/*
 * Plans the directory's change: the previous extent's entry is closed, the
 * new one's is added, and nodes are added where the tree has to grow.
 */
static void
plan_directory(ExtentPlan *plan, LaneMap *map, const DirEntry *closed, const DirEntry *added)
{
	LaneEntry  *lane = &plan->lane;
	uint32		seq = plan->seq;
	int			old_height = map->entry.height;
	int			height = old_height;
	BlockNumber child = InvalidBlockNumber; /* right-edge node one level down */
	DirEntry	child_sum = {0};	/* of the full one that it follows */
	bool		child_fresh = false;
	BlockNumber path[MAX_LEVELS];
	DirEntry	entries[NODE_FANOUT];
	uint32		head = map->entry.head_seq;

	if (old_height == 0 && seq < LANE_INLINE_EXTENTS)
	{
		if (closed)
			lane->extents[seq - 1] = *closed;
		lane->extents[seq] = *added;
		return;
	}
	while (height == 0 || seq >= node_stride(height))
		height++;

	/* the path to the previous extent, root first */
	for (int level = old_height - 1; level >= 0; level--)
	{
		uint32		base = (seq - 1) - (seq - 1) % node_stride(level + 1);

		if (level == old_height - 1)
			path[level] = map->entry.root;
		else
		{
			uint32		parent = (seq - 1) - (seq - 1) % node_stride(level + 2);
			PGAlignedBlock copy;

			directory_copy_page(map->rel, path[level + 1], NULL, copy.data);
			memcpy(entries, copy.data + DATA_PAGE_START, sizeof(entries));
			path[level] = entries[(base - parent) / node_stride(level + 1)].block;
		}
	}

	for (int level = 0; level < height; level++)
	{
		uint32		base = seq - seq % node_stride(level + 1);
		uint32		old_base = (seq - 1) - (seq - 1) % node_stride(level + 1);
		bool		exists = (level < old_height);
		bool		same = exists && base == old_base;
		PlannedNode *old_node = NULL;
		PlannedNode *node;
		DirEntry	sum = {0};

		/* the node that holds the previous extent */
		if (exists)
		{
			PGAlignedBlock copy;
			int			last = ((seq - 1) - old_base) / node_stride(level);
			int			first = (head > old_base) ? (head - old_base) / node_stride(level) : 0;

			directory_copy_page(map->rel, path[level], NULL, copy.data);
			memcpy(entries, copy.data + DATA_PAGE_START, sizeof(entries));
			if (level == 0 || child_fresh)
			{
				/* its last entry is final now */
				entries[last] = (level == 0) ? *closed : child_sum;
				old_node = plan_node(plan, path[level], false, level, old_base);
				plan_entry(old_node, last, &entries[last]);
			}
			sum = summarize(entries, first, last, path[level]);
		}

		/* the node that holds the new one */
		if (same)
			node = old_node;
		else
		{
			node = plan_node(plan, plan_node_block(plan, map), true, level, base);
			if (level == 0 && old_height == 0)
			{
				/* the inline entries move out of the lane's entry */
				for (uint32 s = map->released_upto; s < seq; s++)
					plan_entry(node, s, (s == seq - 1) ? closed : &map->entry.extents[s]);
			}
			else if (level >= old_height && level > 0)
				plan_entry(node, 0, &child_sum);	/* new root over the old */
		}
		if (node != NULL && (level == 0 || child_fresh))
		{
			DirEntry	entry = *added;

			if (level > 0)
				entry.block = child;
			plan_entry(node, (seq - base) / node_stride(level), &entry);
		}
		child = same ? path[level] : node->block;
		child_fresh = !same;
		child_sum = sum;
		if (!child_fresh)
			break;				/* nothing changes further up */
	}
	if (height > old_height)
		lane->root = child;
	lane->height = height;
}

/* ---------- opening ---------- */

/* Blocks for the extent: a free one of its size, or the end of the file. */
static void
plan_blocks(Relation rel, ExtentPlan *plan, const TopicMeta *meta)
{
	/* nodes follow the extent */
	plan->free_node = meta->free_node;
	plan->free_extent = meta->free_extent[extent_class(plan->seq)];
	plan->high_block = meta->high_block;
	if (plan->free_extent != 0)
	{
		plan->block = plan->free_extent;
		plan->free_extent = space_free_link(rel, meta->incarnation, plan->block, false);
		return;
	}
	if (meta->high_block > MaxBlockNumber - extent_pages(plan->seq) - MAX_LEVELS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("topic \"%s\" cannot grow beyond %u blocks",
						RelationGetRelationName(rel), MaxBlockNumber),
				 errhint("VACUUM FULL frees the space before the log start.")));
	plan->block = meta->high_block;
	plan->high_block += extent_pages(plan->seq);
}

static void
apply_node(WalRecord *record, PlannedNode *node, uint32 incarnation, int32 lane)
{
	Page		page = BufferGetPage(node->buffer);
	DirEntry   *entries = (DirEntry *) ((char *) page + DATA_PAGE_START);
	WalPage    *walpage = wal_page(record, node->buffer, node->fresh);

	if (node->fresh)
		dir_page_init(page, incarnation, lane, node->first_seq, node->level,
					  NODE_FANOUT * sizeof(DirEntry), TOPIC_NODE_PAGE_ID);
	for (int i = 0; i < node->nentries; i++)
	{
		entries[node->index[i]] = node->entry[i];
		wal_patch(walpage, DATA_PAGE_START + node->index[i] * sizeof(DirEntry),
				  sizeof(DirEntry));
	}
	if (node->fresh)
		wal_patch(walpage, BLCKSZ - sizeof(DirOpaque), sizeof(DirOpaque));
}

/* Everything is locked and planned: change the pages and log the record. */
static void
apply_plan(Relation rel, int32 lane, ExtentPlan *plan, uint64 first_offset,
		   Buffer tailbuf, Buffer metabuf, Buffer lanebuf, Buffer newbuf,
		   uint32 incarnation, uint32 leader_epoch)
{
	WalRecord	record;
	WalPage    *page;
	LaneEntry  *entry;
	TopicMeta  *meta;
	DataOpaque *opaque;
	PageIdentity id = {incarnation, plan->seq, lane, 0};
	int			lanepos;

	wal_begin(&record, XLOG_TOPIC_EXTENT_OPEN, lane);
	START_CRIT_SECTION();

	data_page_init(BufferGetPage(newbuf), &id, leader_epoch);
	opaque = data_opaque(BufferGetPage(newbuf));
	opaque->first_offset = first_offset;
	opaque->next_offset = plan->lane.initial_offset;
	if (BufferIsValid(tailbuf))
	{
		DataOpaque *tail = data_opaque(BufferGetPage(tailbuf));

		tail->flags |= DATA_PAGE_HAS_NEXT;
		opaque->next_offset = tail->next_offset;
		opaque->max_fxid = tail->max_fxid;
		opaque->open_bytes = tail->open_bytes;	/* the batch goes on, if any */
		page = wal_page(&record, tailbuf, false);
		wal_patch(page, DATA_PAGE_END + offsetof(DataOpaque, flags), sizeof(uint8));
	}
	record.change.offset = opaque->next_offset;

	meta = page_meta(BufferGetPage(metabuf));
	meta->high_block = plan->high_block;
	meta->free_extent[extent_class(plan->seq)] = plan->free_extent;
	meta->free_node = plan->free_node;
	page = wal_page(&record, metabuf, false);
	wal_patch(page, DATA_PAGE_START + offsetof(TopicMeta, high_block), sizeof(BlockNumber));
	wal_patch(page, DATA_PAGE_START + offsetof(TopicMeta, free_extent),
			  offsetof(TopicMeta, lane_page) - offsetof(TopicMeta, free_extent));

	entry = directory_lane_entry(BufferGetPage(lanebuf), lane);
	lanepos = (char *) entry - (char *) BufferGetPage(lanebuf);
	page = wal_page(&record, lanebuf, false);
	if (!BufferIsValid(tailbuf))
	{
		entry->log_start = plan->lane.log_start;
		entry->initial_offset = plan->lane.initial_offset;
		entry->frozen_upto = plan->lane.frozen_upto;
		wal_patch(page, lanepos, offsetof(LaneEntry, head_seq));
	}
	entry->next_seq = plan->seq + 1;
	entry->root = plan->lane.root;
	entry->height = plan->lane.height;
	memcpy(entry->extents, plan->lane.extents, sizeof(entry->extents));
	wal_patch(page, lanepos + offsetof(LaneEntry, next_seq), sizeof(uint32));
	wal_patch(page, lanepos + offsetof(LaneEntry, root),
			  offsetof(LaneEntry, flags) - offsetof(LaneEntry, root));
	if (plan->lane.height == 0)
		wal_patch(page, lanepos + offsetof(LaneEntry, extents), sizeof(entry->extents));

	for (int i = 0; i < plan->nnodes; i++)
		apply_node(&record, &plan->nodes[i], incarnation, lane);

	page = wal_page(&record, newbuf, true);
	wal_patch(page, DATA_PAGE_END, sizeof(DataOpaque));
	wal_finish(&record, rel);
	END_CRIT_SECTION();
}

/* The entry of the extent that ends with this page, which is locked. */
static DirEntry
close_entry(LaneMap *map, Page page)
{
	DataOpaque *opaque = data_opaque(page);
	DirEntry	entry;

	directory_extent(map, opaque->extent_seq, &entry);
	entry.max_timestamp = opaque->max_timestamp;
	entry.min_timestamp = data_page_min_timestamp(opaque);
	entry.max_fxid = opaque->max_fxid;
	entry.closed = 1;
	return entry;
}

/* How many nodes plan_directory() will add. */
static int
count_fresh_nodes(const LaneEntry *lane, uint32 seq)
{
	int			height = lane->height;
	int			fresh = 0;

	if (height == 0 && seq < LANE_INLINE_EXTENTS)
		return 0;
	while (height == 0 || seq >= node_stride(height))
		height++;
	for (int level = 0; level < height; level++)
	{
		if (seq % node_stride(level + 1) == 0 || level >= lane->height)
			fresh++;
	}
	return fresh;
}

void
extent_open(Relation rel, int32 lane, const TailRef *tail, RecordOffset offset,
			uint32 leader_epoch, TailRef *opened)
{
	LaneMap		map;
	TopicMeta	meta;
	ExtentPlan	plan = {0};
	DirEntry	closed;
	DirEntry	added = {0};
	BlockNumber laneblock;
	Buffer		tailbuf = InvalidBuffer;
	Buffer		metabuf;
	Buffer		lanebuf;
	Buffer		newbuf;
	int			fresh_nodes;

	extent_ensure_lane(rel, lane);
	wal_prepare();
	if (tail != NULL)
		trim_by_retention(rel, lane);
	directory_read_lane(rel, lane, &map);
	laneblock = directory_lane_block(rel, lane);	/* may read the meta page */
	plan.lane = map.entry;
	plan.seq = map.entry.next_seq;
	if (plan.seq >= node_stride(MAX_LEVELS))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("partition %d of topic \"%s\" cannot grow any more",
						lane, RelationGetRelationName(rel)),
				 errdetail("It has had %u extents of space since its file was made.", plan.seq),
				 errhint("TRUNCATE the topic, which keeps its offsets, or use another partition.")));
	if (plan.seq == 0 && offset >= 0)
		plan.lane.log_start = plan.lane.initial_offset = plan.lane.frozen_upto = offset;

	LockRelationForExtension(rel, ExclusiveLock);
	space_make_extent(rel, lane, extent_class(plan.seq));
	directory_read_lane(rel, lane, &map);	/* its head may have been released */
	directory_read_meta(rel, &meta);
	plan_blocks(rel, &plan, &meta);
	fresh_nodes = count_fresh_nodes(&map.entry, plan.seq);
	if (fresh_nodes > (plan.free_node != 0 ? 1 : 0))
		extent_lengthen_file(rel, plan.high_block + fresh_nodes);
	else
		extent_lengthen_file(rel, plan.block + 1);

	/*
	 * Buffers, in the room's lock order.  The tail comes first of all: until
	 * it is locked, others still append small batches to it.
	 */
	added.first_offset = plan.lane.initial_offset;
	added.block = plan.block;
	if (tail != NULL)
	{
		tailbuf = ReadBuffer(rel, tail->block);
		LockBuffer(tailbuf, BUFFER_LOCK_EXCLUSIVE);
		closed = close_entry(&map, BufferGetPage(tailbuf));
		added.first_offset = (offset >= 0) ? (uint64) offset :
			data_opaque(BufferGetPage(tailbuf))->next_offset;
	}
	plan_directory(&plan, &map, tail ? &closed : NULL, &added);
	metabuf = ReadBuffer(rel, TOPIC_META_BLOCK);
	LockBuffer(metabuf, BUFFER_LOCK_EXCLUSIVE);
	lanebuf = ReadBuffer(rel, laneblock);
	LockBuffer(lanebuf, BUFFER_LOCK_EXCLUSIVE);
	for (int i = plan.nnodes - 1; i >= 0; i--)
	{
		PlannedNode *node = &plan.nodes[i];

		node->buffer = ReadBufferExtended(rel, MAIN_FORKNUM, node->block,
										  node->fresh ? RBM_ZERO_AND_LOCK : RBM_NORMAL, NULL);
		if (!node->fresh)
			LockBuffer(node->buffer, BUFFER_LOCK_EXCLUSIVE);
	}
	newbuf = ReadBufferExtended(rel, MAIN_FORKNUM, plan.block, RBM_ZERO_AND_LOCK, NULL);

	apply_plan(rel, lane, &plan, added.first_offset, tailbuf, metabuf, lanebuf, newbuf,
			   meta.incarnation, leader_epoch);

	UnlockReleaseBuffer(newbuf);
	for (int i = 0; i < plan.nnodes; i++)
		UnlockReleaseBuffer(plan.nodes[i].buffer);
	UnlockReleaseBuffer(lanebuf);
	UnlockReleaseBuffer(metabuf);
	if (BufferIsValid(tailbuf))
		UnlockReleaseBuffer(tailbuf);
	UnlockRelationForExtension(rel, ExclusiveLock);

	opened->block = plan.block;
	opened->seq = plan.seq;
	opened->index = 0;
}
