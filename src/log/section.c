/*-------------------------------------------------------------------------
 *
 * section.c
 *	  The clean section of a lane: making one, putting it in its place, and
 *	  releasing those that nobody reads.
 *
 * While a section is made, the meta page knows of it, extent by extent, so that
 * nothing is lost when the maker fails.  Nobody reads it before the swap, which
 * is one WAL record.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "log/section.h"
#include "log/wal.h"
#include "miscadmin.h"
#include "storage/lmgr.h"

#define META_SPACE_POS		(DATA_PAGE_START + offsetof(TopicMeta, free_extent))
#define META_SPACE_SIZE		(offsetof(TopicMeta, lane_page) - offsetof(TopicMeta, free_extent))

static Buffer
lock_block(Relation rel, BlockNumber block)
{
	Buffer		buffer = ReadBuffer(rel, block);

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	return buffer;
}

/* Notes in a record what may have changed of the meta page. */
static void
log_meta(WalRecord *record, Buffer metabuf)
{
	WalPage    *page = wal_page(record, metabuf, false);

	wal_patch(page, DATA_PAGE_START + offsetof(TopicMeta, high_block), sizeof(BlockNumber));
	wal_patch(page, META_SPACE_POS, META_SPACE_SIZE);
}

/* ---------- making ---------- */

void
section_begin(SectionBuilder *builder, Relation rel, int32 lane, int size_class)
{
	Buffer		metabuf;
	TopicMeta  *meta;
	WalRecord	record;

	memset(builder, 0, sizeof(*builder));
	builder->rel = rel;
	builder->lane = lane;
	builder->section.size_class = size_class;
	builder->section.height = 1;

	wal_prepare();
	LockRelationForExtension(rel, ExclusiveLock);
	metabuf = lock_block(rel, TOPIC_META_BLOCK);
	meta = page_meta(BufferGetPage(metabuf));
	Assert(meta->building.next == 0 && meta->retired.next == 0);
	builder->incarnation = meta->incarnation;
	wal_begin(&record, XLOG_TOPIC_COMPACT, lane);

	START_CRIT_SECTION();
	/* never twice in a file: pages of a section that failed may lie around */
	builder->generation = ++meta->building_generation;
	meta->building_lane = lane + 1;
	meta->building = builder->section;
	log_meta(&record, metabuf);
	wal_finish(&record, rel);
	END_CRIT_SECTION();

	UnlockReleaseBuffer(metabuf);
	UnlockRelationForExtension(rel, ExclusiveLock);
}

/* A change of one directory node: entries, and whether the node is new. */
typedef struct NodeChange
{
	BlockNumber block;
	bool		fresh;
	int			level;
	uint32		first_seq;
	Buffer		buffer;
	int			nentries;
	int			index[2];
	DirEntry	entry[2];
} NodeChange;

typedef struct NodeChanges
{
	int			n;
	NodeChange	nodes[2 * SECTION_MAX_LEVELS];
} NodeChanges;

static void
change_entry(NodeChanges *changes, BlockNumber block, int level, uint32 seq, const DirEntry *entry)
{
	NodeChange *node = NULL;

	for (int i = 0; i < changes->n; i++)
	{
		if (changes->nodes[i].block == block)
			node = &changes->nodes[i];
	}
	if (node == NULL)
	{
		node = &changes->nodes[changes->n++];
		Assert(changes->n <= lengthof(changes->nodes));
		node->block = block;
		node->fresh = false;
		node->level = level;
		node->first_seq = seq - seq % node_stride(level + 1);
		node->nentries = 0;
	}
	node->index[node->nentries] = (seq - node->first_seq) / node_stride(level);
	node->entry[node->nentries] = *entry;
	node->nentries++;
}

static void
add_to_sum(DirEntry *sum, const DirEntry *entry)
{
	sum->max_timestamp = Max(sum->max_timestamp, entry->max_timestamp);
	sum->min_timestamp = Min(sum->min_timestamp, entry->min_timestamp);
}

/*
 * Plans where the next extent is entered.  Takes blocks for new nodes from
 * "meta", a copy of the meta page; returns the section's new height.
 */
static int
plan_nodes(SectionBuilder *builder, const DirEntry *entry, TopicMeta *meta, NodeChanges *changes)
{
	uint32		seq = builder->section.next;
	int			old_height = (seq == 0) ? 0 : builder->section.height;
	int			height = Max(old_height, 1);
	bool		child_fresh = true;
	BlockNumber old_child = InvalidBlockNumber;
	DirEntry	old_sum = {0};
	DirEntry	child = *entry;

	if (seq > 0 && seq == node_stride(height))
		height++;
	Assert(height <= SECTION_MAX_LEVELS);
	changes->n = 0;
	for (int level = 0; level < height; level++)
	{
		bool		fresh = level >= old_height || seq % node_stride(level + 1) == 0;
		BlockNumber old_block = builder->path[level];
		DirEntry	level_sum = builder->sums[level];

		if (fresh)
		{
			BlockNumber block = meta->free_node;

			if (block == 0)
				block = meta->high_block++;
			else
				meta->free_node = space_free_link(builder->rel, meta->incarnation, block, false);
			builder->path[level] = block;
		}
		if (level > 0 && child_fresh && seq > 0)
		{
			/* the node before the new one is complete */
			old_sum.block = old_child;
			old_sum.closed = 1;
			change_entry(changes, level >= old_height ? builder->path[level] : old_block,
						 level, seq - 1, &old_sum);
		}
		if (child_fresh)
			change_entry(changes, builder->path[level], level, seq, &child);
		for (int i = 0; fresh && i < changes->n; i++)
		{
			if (changes->nodes[i].block == builder->path[level])
				changes->nodes[i].fresh = true;
		}

		/* what the node holds, with the new extent */
		if (level >= old_height && level > 0)
		{
			builder->sums[level] = old_sum;
			add_to_sum(&builder->sums[level], entry);
		}
		else if (fresh)
			builder->sums[level] = *entry;
		else
			add_to_sum(&builder->sums[level], entry);

		old_child = old_block;
		old_sum = level_sum;
		child_fresh = fresh;
		child = *entry;
		child.block = builder->path[level];
		child.closed = 0;		/* until it is complete */
	}
	return height;
}

static void
apply_node(WalRecord *record, NodeChange *node, const SectionBuilder *builder)
{
	Page		page = BufferGetPage(node->buffer);
	DirEntry   *entries = (DirEntry *) ((char *) page + DATA_PAGE_START);
	WalPage    *walpage = wal_page(record, node->buffer, node->fresh);

	if (node->fresh)
	{
		dir_page_init(page, builder->incarnation + builder->generation, builder->lane,
					  node->first_seq, node->level, NODE_FANOUT * sizeof(DirEntry),
					  TOPIC_NODE_PAGE_ID);
		wal_patch(walpage, BLCKSZ - sizeof(DirOpaque), sizeof(DirOpaque));
	}
	for (int i = 0; i < node->nentries; i++)
	{
		entries[node->index[i]] = node->entry[i];
		wal_patch(walpage, DATA_PAGE_START + node->index[i] * sizeof(DirEntry),
				  sizeof(DirEntry));
	}
}

BlockNumber
section_add_extent(SectionBuilder *builder, const DirEntry *entry)
{
	Relation	rel = builder->rel;
	int			size_class = builder->section.size_class;
	DirEntry	added = *entry;
	NodeChanges changes;
	Buffer		metabuf;
	TopicMeta	plan;
	TopicMeta  *meta;
	WalRecord	record;

	LockRelationForExtension(rel, ExclusiveLock);
	space_make_extent(rel, builder->lane, size_class);
	directory_read_meta(rel, &plan);
	added.block = plan.free_extent[size_class];
	if (added.block != 0)
		plan.free_extent[size_class] = space_free_link(rel, plan.incarnation, added.block, false);
	else
	{
		if (plan.high_block > MaxBlockNumber - EXTENT_MAX_PAGES - SECTION_MAX_LEVELS)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("topic \"%s\" cannot grow beyond %u blocks",
							RelationGetRelationName(rel), MaxBlockNumber),
					 errhint("VACUUM FULL frees the space before the log start.")));
		added.block = plan.high_block;
		plan.high_block += extent_pages(size_class);
	}
	builder->section.height = plan_nodes(builder, &added, &plan, &changes);
	builder->section.root = builder->path[builder->section.height - 1];
	builder->section.next++;
	extent_lengthen_file(rel, plan.high_block);

	metabuf = lock_block(rel, TOPIC_META_BLOCK);
	for (int i = changes.n - 1; i >= 0; i--)
	{
		NodeChange *node = &changes.nodes[i];

		if (node->fresh)
			node->buffer = ReadBufferExtended(rel, MAIN_FORKNUM, node->block, RBM_ZERO_AND_LOCK, NULL);
		else
			node->buffer = lock_block(rel, node->block);
	}
	wal_begin(&record, XLOG_TOPIC_SPACE, builder->lane);
	record.change.offset = entry->first_offset;

	START_CRIT_SECTION();
	meta = page_meta(BufferGetPage(metabuf));
	meta->high_block = plan.high_block;
	meta->free_node = plan.free_node;
	meta->free_extent[size_class] = plan.free_extent[size_class];
	meta->building = builder->section;
	log_meta(&record, metabuf);
	for (int i = 0; i < changes.n; i++)
		apply_node(&record, &changes.nodes[i], builder);
	wal_finish(&record, rel);
	END_CRIT_SECTION();

	for (int i = 0; i < changes.n; i++)
		UnlockReleaseBuffer(changes.nodes[i].buffer);
	UnlockReleaseBuffer(metabuf);
	UnlockRelationForExtension(rel, ExclusiveLock);
	return added.block;
}

/* ---------- the swap ---------- */

bool
section_swap(SectionBuilder *builder, const LanePlace *end)
{
	Relation	rel = builder->rel;
	int32		lane = builder->lane;
	BlockNumber laneblock = directory_lane_block(rel, lane);
	Buffer		metabuf;
	Buffer		lanebuf;
	LaneEntry  *entry;
	bool		swapped = false;

	wal_prepare();
	LockLane(rel, lane);
	LockRelationForExtension(rel, ExclusiveLock);
	metabuf = lock_block(rel, TOPIC_META_BLOCK);
	lanebuf = lock_block(rel, laneblock);
	entry = directory_lane_entry(BufferGetPage(lanebuf), lane);
	if ((RecordOffset) entry->log_start <= end->start)
	{
		TopicMeta  *meta = page_meta(BufferGetPage(metabuf));
		WalRecord	record;

		wal_begin(&record, XLOG_TOPIC_COMPACT, lane);
		record.change.offset = end->start;
		START_CRIT_SECTION();
		meta->retired = entry->clean;
		entry->clean = builder->section;
		if (builder->section.next == 0)
			memset(&entry->clean, 0, sizeof(SectionEntry));
		entry->generation = builder->generation;
		entry->flags &= ~LANE_CLEAN_TOMBSTONES;
		if (builder->tombstones)
			entry->flags |= LANE_CLEAN_TOMBSTONES;
		entry->clean_end = end->start;
		entry->trim_seq = end->seq;
		entry->start_index = end->index;
		entry->start_pos = end->pos;
		meta->building_lane = 0;
		memset(&meta->building, 0, sizeof(SectionEntry));
		if (entry->next_trimmed == 0)
		{
			entry->next_trimmed = (meta->trimmed_lane == 0) ? TRIMMED_LIST_END : meta->trimmed_lane;
			meta->trimmed_lane = lane + 1;
		}
		log_meta(&record, metabuf);
		wal_patch(wal_page(&record, lanebuf, false),
				  (char *) entry - (char *) BufferGetPage(lanebuf), sizeof(LaneEntry));
		wal_finish(&record, rel);
		END_CRIT_SECTION();
		swapped = true;
	}
	UnlockReleaseBuffer(lanebuf);
	UnlockReleaseBuffer(metabuf);
	UnlockRelationForExtension(rel, ExclusiveLock);
	UnlockLane(rel, lane);
	return swapped;
}

/* ---------- walking ---------- */

/* Copies a node's entries; false if the block is none of the section's. */
static bool
read_section_node(Relation rel, BlockNumber block, uint32 incarnation, int level,
				  DirEntry *entries)
{
	PGAlignedBlock copy;
	DirOpaque  *opaque = (DirOpaque *) (copy.data + BLCKSZ - sizeof(DirOpaque));

	if (block >= RelationGetNumberOfBlocks(rel))
		return false;
	directory_copy_page(rel, block, NULL, copy.data);
	if (opaque->page_id != TOPIC_NODE_PAGE_ID || opaque->level != level ||
		(incarnation != 0 && opaque->incarnation != incarnation))
		return false;
	memcpy(entries, copy.data + DATA_PAGE_START, NODE_FANOUT * sizeof(DirEntry));
	return true;
}

static void
walk_node(Relation rel, const SectionEntry *section, uint32 incarnation, BlockNumber block,
		  int level, uint32 first_seq, section_visit visit, void *arg)
{
	DirEntry	entries[NODE_FANOUT];
	uint32		stride = node_stride(level);

	CHECK_FOR_INTERRUPTS();
	if (!read_section_node(rel, block, incarnation, level, entries))
		return;
	visit(arg, block, 1, "directory node");
	for (int i = 0; i < NODE_FANOUT; i++)
	{
		uint32		seq = first_seq + i * stride;

		if (seq >= section->next)
			break;
		if (seq + stride <= section->head)
			continue;
		if (level > 0)
			walk_node(rel, section, incarnation, entries[i].block, level - 1, seq, visit, arg);
		else
			visit(arg, entries[i].block, extent_pages(section->size_class), "extent");
	}
}

void
section_walk(Relation rel, const SectionEntry *section, uint32 incarnation,
			 section_visit visit, void *arg)
{
	if (section->head < section->next)
		walk_node(rel, section, incarnation, section->root, section->height - 1, 0, visit, arg);
}

/* ---------- releasing ---------- */

/* The first extent of a section, and the nodes that end with it, root first. */
static int
first_extent(Relation rel, const SectionEntry *section, BlockNumber *extent, BlockNumber *nodes)
{
	uint32		seq = section->head;
	bool		last = seq + 1 == section->next;
	BlockNumber block = section->root;
	int			n = 0;

	for (int level = section->height - 1; level >= 0; level--)
	{
		DirEntry	entries[NODE_FANOUT];
		uint32		first_seq = seq - seq % node_stride(level + 1);

		if (!read_section_node(rel, block, 0, level, entries))
			directory_corrupted(rel, block, "Block is not a directory node of a compacted section");
		if (last || (seq + 1) % node_stride(level + 1) == 0)
			nodes[n++] = block;
		block = entries[(seq - first_seq) / node_stride(level)].block;
	}
	*extent = block;
	return n;
}

/*
 * Takes the first extent off one of the two sections of the meta page, and puts
 * it on the free list.
 */
static void
release_first(Relation rel, bool retired)
{
	Buffer		metabuf;
	Buffer		nodebufs[SECTION_MAX_LEVELS];
	Buffer		freebuf;
	TopicMeta	plan;
	TopicMeta  *meta;
	SectionEntry *section;
	BlockNumber extent;
	BlockNumber nodes[SECTION_MAX_LEVELS];
	int			nnodes;
	int			size_class;
	WalRecord	record;

	directory_read_meta(rel, &plan);
	section = retired ? &plan.retired : &plan.building;
	size_class = section->size_class;
	nnodes = first_extent(rel, section, &extent, nodes);
	metabuf = lock_block(rel, TOPIC_META_BLOCK);
	for (int i = 0; i < nnodes; i++)
		nodebufs[i] = lock_block(rel, nodes[i]);
	freebuf = lock_block(rel, extent);
	wal_begin(&record, XLOG_TOPIC_SPACE, plan.building_lane);

	START_CRIT_SECTION();
	meta = page_meta(BufferGetPage(metabuf));
	section = retired ? &meta->retired : &meta->building;
	if (++section->head == section->next)
		memset(section, 0, sizeof(*section));
	log_meta(&record, metabuf);
	for (int i = 0; i < nnodes; i++)
	{
		space_make_free_page(&record, nodebufs[i], meta->incarnation, meta->free_node);
		meta->free_node = nodes[i];
	}
	space_make_free_page(&record, freebuf, meta->incarnation, meta->free_extent[size_class]);
	meta->free_extent[size_class] = extent;
	wal_finish(&record, rel);
	END_CRIT_SECTION();

	UnlockReleaseBuffer(freebuf);
	for (int i = 0; i < nnodes; i++)
		UnlockReleaseBuffer(nodebufs[i]);
	UnlockReleaseBuffer(metabuf);
}

void
section_release_leftovers(Relation rel)
{
	wal_prepare();
	for (;;)
	{
		TopicMeta	meta;
		bool		retired;

		CHECK_FOR_INTERRUPTS();
		LockRelationForExtension(rel, ExclusiveLock);
		directory_read_meta(rel, &meta);
		retired = meta.retired.next > 0;
		if (retired || meta.building.next > 0)
			release_first(rel, retired);
		UnlockRelationForExtension(rel, ExclusiveLock);
		if (!retired && meta.building.next == 0)
			break;
	}
}

/*
 * Takes the clean section off a lane.  With a generation of its own the lane tells
 * those who still read there that they were overtaken.
 */
static void
retire_clean(Relation rel, int32 lane)
{
	BlockNumber laneblock = directory_lane_block(rel, lane);
	Buffer		metabuf;
	Buffer		lanebuf;
	TopicMeta  *meta;
	LaneEntry  *entry;
	WalRecord	record;

	wal_prepare();
	LockLane(rel, lane);
	LockRelationForExtension(rel, ExclusiveLock);
	metabuf = lock_block(rel, TOPIC_META_BLOCK);
	lanebuf = lock_block(rel, laneblock);
	meta = page_meta(BufferGetPage(metabuf));
	entry = directory_lane_entry(BufferGetPage(lanebuf), lane);
	Assert(meta->building.next == 0 && meta->retired.next == 0);
	wal_begin(&record, XLOG_TOPIC_COMPACT, lane);
	record.change.offset = entry->clean_end;

	START_CRIT_SECTION();
	meta->retired = entry->clean;
	memset(&entry->clean, 0, sizeof(SectionEntry));
	entry->generation = ++meta->building_generation;
	entry->flags &= ~LANE_CLEAN_TOMBSTONES;
	log_meta(&record, metabuf);
	wal_patch(wal_page(&record, lanebuf, false),
			  (char *) entry - (char *) BufferGetPage(lanebuf), sizeof(LaneEntry));
	wal_finish(&record, rel);
	END_CRIT_SECTION();

	UnlockReleaseBuffer(lanebuf);
	UnlockReleaseBuffer(metabuf);
	UnlockRelationForExtension(rel, ExclusiveLock);
	UnlockLane(rel, lane);
}

void
section_release_passed(Relation rel)
{
	int32		limit = log_lane_limit(rel);

	section_release_leftovers(rel);
	for (int32 lane = 0; lane < limit; lane++)
	{
		LaneMap		map;

		CHECK_FOR_INTERRUPTS();
		directory_read_lane(rel, lane, &map);
		if (map.entry.clean.next == 0 || map.entry.log_start < map.entry.clean_end)
			continue;
		retire_clean(rel, lane);
		section_release_leftovers(rel);
	}
}
