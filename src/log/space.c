/*-------------------------------------------------------------------------
 *
 * space.c
 *	  Space that is not in use any more: free lists, extents before the log
 *	  start, and the end of the file.
 *
 * All of it changes the meta page, under the relation extension lock.  See
 * README.md, "Space".
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/storage.h"
#include "log/section.h"
#include "log/wal.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/sinval.h"
#include "storage/standby.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

/* VACUUM cuts the file if it gets so much shorter; as heap's VACUUM does. */
#define GIVE_BACK_MIN_PAGES		1000
#define GIVE_BACK_FRACTION		16
/* and waits for the lock in steps of 50 ms, at most so many */
#define GIVE_BACK_LOCK_STEPS	100

#define META_SPACE_POS			(DATA_PAGE_START + offsetof(TopicMeta, free_extent))
#define META_SPACE_SIZE			(offsetof(TopicMeta, lane_page) - offsetof(TopicMeta, free_extent))

/* ---------- free pages ---------- */

BlockNumber
space_free_link(Relation rel, uint32 incarnation, BlockNumber block, bool missing_ok)
{
	PGAlignedBlock copy;
	DirOpaque  *opaque = (DirOpaque *) (copy.data + BLCKSZ - sizeof(DirOpaque));
	BlockNumber next;

	directory_copy_page(rel, block, NULL, copy.data);
	if (opaque->page_id != TOPIC_FREE_PAGE_ID || opaque->incarnation != incarnation)
	{
		if (missing_ok)
			return InvalidBlockNumber;
		directory_corrupted(rel, block, "Block is on a free list, but is not free");
	}
	memcpy(&next, copy.data + DATA_PAGE_START, sizeof(next));
	return next;
}

void
space_make_free_page(struct WalRecord *record, Buffer buffer, uint32 incarnation, BlockNumber next)
{
	Page		page = BufferGetPage(buffer);
	WalPage    *walpage = wal_page(record, buffer, true);

	dir_page_init(page, incarnation, 0, 0, 0, sizeof(BlockNumber), TOPIC_FREE_PAGE_ID);
	memcpy((char *) page + DATA_PAGE_START, &next, sizeof(next));
	wal_patch(walpage, DATA_PAGE_START, sizeof(BlockNumber));
	wal_patch(walpage, BLCKSZ - sizeof(DirOpaque), sizeof(DirOpaque));
}

static Buffer
lock_block(Relation rel, BlockNumber block)
{
	Buffer		buffer = ReadBuffer(rel, block);

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	return buffer;
}

/* ---------- releasing trimmed heads ---------- */

/*
 * The directory nodes that hold the lane's head extent and nothing behind it,
 * from the leaf up; returns how many.
 */
static int
nodes_that_end(LaneMap *map, uint32 seq, BlockNumber *blocks)
{
	DirEntry	entries[NODE_FANOUT];
	BlockNumber path[8];
	int			height = map->entry.height;
	BlockNumber block = map->entry.root;
	int			n = 0;

	for (int level = height - 1; level >= 0; level--)
	{
		uint32		first_seq = seq - seq % node_stride(level + 1);

		path[level] = block;
		if (level == 0)
			break;
		directory_read_node(map, block, level, first_seq, entries);
		block = entries[(seq - first_seq) / node_stride(level)].block;
	}
	while (n < height && (seq + 1) % node_stride(n + 1) == 0)
	{
		blocks[n] = path[n];
		n++;
	}
	return n;
}

/*
 * Takes the head extent off a lane that has a trimmed one, and puts it on the
 * free list of its size.
 */
static void
release_head(Relation rel, LaneMap *map)
{
	uint32		seq = map->released_upto;
	int			size_class = extent_class(seq);
	BlockNumber nodes[8];
	Buffer		nodebufs[8];
	int			nnodes = nodes_that_end(map, seq, nodes);
	BlockNumber laneblock = directory_lane_block(rel, map->lane);
	DirEntry	extent;
	Buffer		metabuf;
	Buffer		lanebuf;
	Buffer		freebuf;
	TopicMeta  *meta;
	LaneEntry  *lane;
	WalRecord	record;

	Assert(seq < map->entry.trim_seq);
	directory_main_extent(map, seq, &extent);

	metabuf = lock_block(rel, TOPIC_META_BLOCK);
	lanebuf = lock_block(rel, laneblock);
	for (int i = nnodes - 1; i >= 0; i--)
		nodebufs[i] = lock_block(rel, nodes[i]);
	freebuf = lock_block(rel, extent.block);
	wal_begin(&record, XLOG_TOPIC_SPACE, map->lane);
	record.change.offset = seq + 1;

	START_CRIT_SECTION();
	meta = page_meta(BufferGetPage(metabuf));
	wal_patch(wal_page(&record, metabuf, false), META_SPACE_POS, META_SPACE_SIZE);
	lane = directory_lane_entry(BufferGetPage(lanebuf), map->lane);
	lane->head_seq = seq + 1;
	wal_patch(wal_page(&record, lanebuf, false),
			  (char *) &lane->head_seq - (char *) BufferGetPage(lanebuf), sizeof(uint32));
	for (int i = nnodes - 1; i >= 0; i--)
	{
		space_make_free_page(&record, nodebufs[i], map->incarnation, meta->free_node);
		meta->free_node = nodes[i];
	}
	space_make_free_page(&record, freebuf, map->incarnation, meta->free_extent[size_class]);
	meta->free_extent[size_class] = extent.block;
	wal_finish(&record, rel);
	END_CRIT_SECTION();

	UnlockReleaseBuffer(freebuf);
	for (int i = 0; i < nnodes; i++)
		UnlockReleaseBuffer(nodebufs[i]);
	UnlockReleaseBuffer(lanebuf);
	UnlockReleaseBuffer(metabuf);
}

/* Takes the first lane off the list of trimmed ones. */
static void
pop_trimmed_lane(Relation rel)
{
	Buffer		metabuf = lock_block(rel, TOPIC_META_BLOCK);
	TopicMeta  *meta = page_meta(BufferGetPage(metabuf));
	int32		lane = (int32) meta->trimmed_lane - 1;
	Buffer		lanebuf = lock_block(rel, meta->lane_page[lane / LANES_PER_PAGE]);
	LaneEntry  *entry = directory_lane_entry(BufferGetPage(lanebuf), lane);
	WalRecord	record;

	wal_begin(&record, XLOG_TOPIC_SPACE, lane);
	record.change.offset = entry->head_seq;
	START_CRIT_SECTION();
	meta->trimmed_lane = (entry->next_trimmed == TRIMMED_LIST_END) ? 0 : entry->next_trimmed;
	entry->next_trimmed = 0;
	wal_patch(wal_page(&record, metabuf, false),
			  DATA_PAGE_START + offsetof(TopicMeta, trimmed_lane), sizeof(uint32));
	wal_patch(wal_page(&record, lanebuf, false),
			  (char *) &entry->next_trimmed - (char *) BufferGetPage(lanebuf), sizeof(uint32));
	wal_finish(&record, rel);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(lanebuf);
	UnlockReleaseBuffer(metabuf);
}

/*
 * A lane's first extents are small: they make way for what lies behind them,
 * but large ones are not taken to pieces for a small one that is wanted.
 */
static bool
release_towards(Relation rel, LaneMap *map, int size_class)
{
	if (map->released_upto >= map->entry.trim_seq ||
		extent_class(map->released_upto) > size_class)
		return false;
	release_head(rel, map);
	return true;
}

void
space_make_extent(Relation rel, int32 lane, int size_class)
{
	for (;;)
	{
		TopicMeta	meta;
		LaneMap		map;

		CHECK_FOR_INTERRUPTS();
		directory_read_meta(rel, &meta);
		if (meta.free_extent[size_class] != 0)
			return;
		directory_read_lane(rel, lane, &map);
		if (release_towards(rel, &map, size_class))
			continue;
		if (meta.trimmed_lane == 0)
			return;
		directory_read_lane(rel, (int32) meta.trimmed_lane - 1, &map);
		if (release_towards(rel, &map, size_class))
			continue;
		if (map.released_upto < map.entry.trim_seq)
			return;				/* it has large ones, for somebody else */
		pop_trimmed_lane(rel);
	}
}

/* ---------- the end of the file ---------- */

/* A bit for each block that is in use. */
typedef struct UsedBlocks
{
	BlockNumber nblocks;
	BlockNumber end;			/* behind the last one of an extent; what else
								 * is in use can be moved before it */
	BlockNumber count;			/* of blocks in use */
	BlockNumber first_free;		/* all before it are in use */
	Bitmapset  *empty_lanes;	/* whose extents do not count */
	uint8	   *bits;
} UsedBlocks;

static bool
is_used(const UsedBlocks *used, BlockNumber block)
{
	return (used->bits[block / 8] & (1 << (block % 8))) != 0;
}

static void
set_used(UsedBlocks *used, BlockNumber block, bool in_use)
{
	if (in_use)
		used->bits[block / 8] |= 1 << (block % 8);
	else
		used->bits[block / 8] &= ~(1 << (block % 8));
}

static void
note_used(UsedBlocks *used, BlockNumber block, int n)
{
	if (block + n > used->nblocks)
		return;					/* handed out since */
	for (int i = 0; i < n; i++)
		set_used(used, block + i, true);
	used->count += n;
}

static void
note_extent(UsedBlocks *used, BlockNumber block, uint32 seq)
{
	note_used(used, block, extent_pages(seq));
	used->end = Max(used->end, block + extent_pages(seq));
}

static void
note_node(LaneMap *map, UsedBlocks *used, BlockNumber block, int level, uint32 first_seq)
{
	DirEntry	entries[NODE_FANOUT];
	uint32		stride = node_stride(level);

	CHECK_FOR_INTERRUPTS();
	note_used(used, block, 1);
	directory_read_node(map, block, level, first_seq, entries);
	for (int i = 0; i < NODE_FANOUT; i++)
	{
		uint32		seq = first_seq + i * stride;

		if (seq >= map->entry.next_seq)
			break;
		if (seq + stride <= map->entry.head_seq)
			continue;
		if (level > 0)
			note_node(map, used, entries[i].block, level - 1, seq);
		else
			note_extent(used, entries[i].block, seq);
	}
}

/* Of sections made by compaction, whose directories are not moved. */
static void
note_visited(void *arg, BlockNumber block, int npages, const char *what)
{
	UsedBlocks *used = arg;

	note_used(used, block, npages);
	used->end = Max(used->end, block + npages);
}

/*
 * Whether a lane keeps an extent for nothing but its log end.  Those of a small
 * file are left in peace.
 */
static bool
is_empty_lane(LaneMap *map, BlockNumber nblocks)
{
	TailRef		tail;
	PGAlignedBlock copy;

	return nblocks >= GIVE_BACK_MIN_PAGES &&
		map->entry.clean.next == 0 &&
		map->entry.trim_seq + 1 == map->entry.next_seq &&
		directory_find_tail(map, &tail, copy.data) &&
		tail.seq == map->entry.trim_seq &&
		data_opaque(copy.data)->next_offset == map->entry.log_start;
}

static void
note_lane(LaneMap *map, UsedBlocks *used)
{
	if (is_empty_lane(map, used->nblocks))
	{
		used->empty_lanes = bms_add_member(used->empty_lanes, map->lane);
		return;
	}
	section_walk(map->rel, &map->entry.clean, map->incarnation + map->entry.generation,
				 note_visited, used);
	if (map->entry.height > 0)
	{
		note_node(map, used, map->entry.root, map->entry.height - 1, 0);
		return;
	}
	for (uint32 seq = map->entry.head_seq; seq < map->entry.next_seq; seq++)
		note_extent(used, map->entry.extents[seq].block, seq);
}

/*
 * Which blocks below high_block are in use.  Exact under a lock that keeps
 * others from writing, else a guess.
 */
static void
find_used_blocks(Relation rel, const TopicMeta *meta, UsedBlocks *used)
{
	used->nblocks = meta->high_block;
	used->end = TOPIC_META_BLOCK + 1;
	used->count = used->first_free = 0;
	used->empty_lanes = NULL;
	used->bits = MemoryContextAllocExtended(CurrentMemoryContext, used->nblocks / 8 + 1,
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	note_used(used, TOPIC_META_BLOCK, 1);
	section_walk(rel, &meta->building, 0, note_visited, used);
	section_walk(rel, &meta->retired, 0, note_visited, used);
	for (int i = 0; i < TOPIC_LANE_PAGES; i++)
	{
		if (meta->lane_page[i] == 0)
			continue;
		note_used(used, meta->lane_page[i], 1);
		for (int lane = i * LANES_PER_PAGE;
			 lane < Min((i + 1) * LANES_PER_PAGE, TOPIC_MAX_PARTITIONS); lane++)
		{
			LaneMap		map;

			directory_read_lane(rel, lane, &map);
			map.bears_overtaking = true;
			if (map.entry.next_seq > 0)
				note_lane(&map, used);
		}
	}
}

static void
free_used_blocks(UsedBlocks *used)
{
	bms_free(used->empty_lanes);
	pfree(used->bits);
}

/* Changes of the meta page while free lists are made anew. */
static void
update_meta(Relation rel, BlockNumber high_block, bool clear_lists, bool partial)
{
	Buffer		buffer = lock_block(rel, TOPIC_META_BLOCK);
	TopicMeta  *meta = page_meta(BufferGetPage(buffer));
	WalPage    *page;
	WalRecord	record;

	wal_begin(&record, XLOG_TOPIC_SPACE, 0);
	record.change.offset = high_block;
	START_CRIT_SECTION();
	page = wal_page(&record, buffer, false);
	if (clear_lists)
	{
		memset(meta->free_extent, 0, sizeof(meta->free_extent));
		meta->free_node = 0;
		meta->trimmed_lane = 0;
		wal_patch(page, META_SPACE_POS, META_SPACE_SIZE);
	}
	meta->high_block = high_block;
	if (partial)
		meta->flags |= TOPIC_FREE_LISTS_PARTIAL;
	else
		meta->flags &= ~TOPIC_FREE_LISTS_PARTIAL;
	wal_patch(page, DATA_PAGE_START + offsetof(TopicMeta, high_block),
			  offsetof(TopicMeta, uuid) - offsetof(TopicMeta, high_block));
	wal_finish(&record, rel);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
}

/* A free block before the end, for a directory page that is behind it. */
static bool
find_place(UsedBlocks *used, BlockNumber *block)
{
	while (used->first_free < used->end && is_used(used, used->first_free))
		used->first_free++;
	if (used->first_free >= used->end)
		return false;
	*block = used->first_free;
	return true;
}

/*
 * Copies a directory page that lies behind the end to a place before it, and
 * returns its block.  Whoever points to it has to be changed then; until that, the
 * old page is as good.
 */
static BlockNumber
move_directory_page(Relation rel, UsedBlocks *used, BlockNumber block)
{
	PGAlignedBlock copy;
	BlockNumber target;
	WalRecord	record;
	WalPage    *page;
	Buffer		buffer;

	if (block < used->end || !find_place(used, &target))
	{
		used->end = Max(used->end, block + 1);
		return block;
	}
	directory_copy_page(rel, block, NULL, copy.data);
	buffer = lock_block(rel, target);
	wal_begin(&record, XLOG_TOPIC_SPACE, 0);
	record.change.offset = target;
	START_CRIT_SECTION();
	memcpy(BufferGetPage(buffer), copy.data, BLCKSZ);
	page = wal_page(&record, buffer, true);
	wal_patch(page, DATA_PAGE_START, page_lower(copy.data) - DATA_PAGE_START);
	wal_patch(page, BLCKSZ - sizeof(DirOpaque), sizeof(DirOpaque));
	wal_finish(&record, rel);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
	set_used(used, target, true);
	set_used(used, block, false);
	return target;
}

/* Stores the new block of a directory page at a position of the page above. */
static void
store_block(Relation rel, BlockNumber page_block, int pos, BlockNumber block)
{
	Buffer		buffer = lock_block(rel, page_block);
	WalRecord	record;

	wal_begin(&record, XLOG_TOPIC_SPACE, 0);
	record.change.offset = block;
	START_CRIT_SECTION();
	memcpy((char *) BufferGetPage(buffer) + pos, &block, sizeof(block));
	wal_patch(wal_page(&record, buffer, false), pos, sizeof(block));
	wal_finish(&record, rel);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
}

/* Moves a node, and those below it, before the end; returns its block. */
static BlockNumber
move_node(LaneMap *map, UsedBlocks *used, BlockNumber block, int level, uint32 first_seq)
{
	DirEntry	entries[NODE_FANOUT];
	uint32		stride = node_stride(level);

	CHECK_FOR_INTERRUPTS();
	block = move_directory_page(map->rel, used, block);
	if (level == 0)
		return block;
	directory_read_node(map, block, level, first_seq, entries);
	for (int i = 0; i < NODE_FANOUT; i++)
	{
		uint32		seq = first_seq + i * stride;
		BlockNumber child;

		if (seq >= map->entry.next_seq)
			break;
		if (seq + stride <= map->entry.head_seq)
			continue;
		child = move_node(map, used, entries[i].block, level - 1, seq);
		if (child != entries[i].block)
			store_block(map->rel, block, DATA_PAGE_START + i * sizeof(DirEntry) +
						offsetof(DirEntry, block), child);
	}
	return block;
}

/*
 * Others remember where lane pages are.  They hear of it when they lock the topic
 * next, also if this transaction fails; and on a standby so, too.
 */
static void
forget_everywhere(Relation rel)
{
	SharedInvalidationMessage message = {0};

	message.rc.id = SHAREDINVALRELCACHE_ID;
	message.rc.dbId = MyDatabaseId;
	message.rc.relId = RelationGetRelid(rel);
	SendSharedInvalidMessages(&message, 1);
	if (XLogStandbyInfoActive())
		LogStandbyInvalidations(1, &message, false);
	directory_forget(rel);
}

/* Moves what can be moved before the end of the last extent. */
static void
move_directory(Relation rel, TopicMeta *meta, UsedBlocks *used)
{
	for (int i = 0; i < TOPIC_LANE_PAGES; i++)
	{
		BlockNumber block = meta->lane_page[i];

		if (block == 0)
			continue;
		meta->lane_page[i] = move_directory_page(rel, used, block);
		if (meta->lane_page[i] != block)
		{
			store_block(rel, TOPIC_META_BLOCK, DATA_PAGE_START + offsetof(TopicMeta, lane_page) +
						i * sizeof(BlockNumber), meta->lane_page[i]);
			forget_everywhere(rel);
		}
		for (int lane = i * LANES_PER_PAGE;
			 lane < Min((i + 1) * LANES_PER_PAGE, TOPIC_MAX_PARTITIONS); lane++)
		{
			LaneMap		map;
			BlockNumber root;

			directory_read_lane(rel, lane, &map);
			if (map.entry.next_seq == 0 || map.entry.height == 0)
				continue;
			root = move_node(&map, used, map.entry.root, map.entry.height - 1, 0);
			if (root != map.entry.root)
				store_block(rel, meta->lane_page[i], DATA_PAGE_START +
							(lane % LANES_PER_PAGE) * sizeof(LaneEntry) +
							offsetof(LaneEntry, root), root);
		}
	}
}

/* The lanes of one lane page have no trimmed heads any more. */
static void
forget_heads(Relation rel, BlockNumber block)
{
	Buffer		buffer = lock_block(rel, block);
	LaneEntry  *lanes = directory_lane_entry(BufferGetPage(buffer), 0);
	WalRecord	record;
	bool		any = false;

	for (int i = 0; i < LANES_PER_PAGE; i++)
		any |= lanes[i].next_trimmed != 0 || lanes[i].head_seq != lanes[i].trim_seq;
	if (any)
	{
		wal_begin(&record, XLOG_TOPIC_SPACE, 0);
		START_CRIT_SECTION();
		for (int i = 0; i < LANES_PER_PAGE; i++)
		{
			lanes[i].next_trimmed = 0;
			lanes[i].head_seq = lanes[i].trim_seq;
		}
		wal_patch(wal_page(&record, buffer, false), DATA_PAGE_START,
				  LANES_PER_PAGE * sizeof(LaneEntry));
		wal_finish(&record, rel);
		END_CRIT_SECTION();
	}
	UnlockReleaseBuffer(buffer);
}

/*
 * Takes the last extent off an empty lane, which then keeps its log end in its
 * entry.  The page that was the tail says that it is not any more: hints lead there.
 */
static void
empty_lane(Relation rel, int32 lane)
{
	LaneMap		map;
	TailRef		tail;
	PGAlignedBlock copy;
	Buffer		tailbuf;
	Buffer		lanebuf;
	LaneEntry  *entry;
	WalRecord	record;

	directory_read_lane(rel, lane, &map);
	(void) directory_find_tail(&map, &tail, copy.data);
	tailbuf = lock_block(rel, tail.block);
	lanebuf = lock_block(rel, directory_lane_block(rel, lane));
	entry = directory_lane_entry(BufferGetPage(lanebuf), lane);
	wal_begin(&record, XLOG_TOPIC_SPACE, lane);
	record.change.offset = entry->log_start;

	START_CRIT_SECTION();
	data_opaque(BufferGetPage(tailbuf))->flags |= DATA_PAGE_HAS_NEXT;
	wal_patch(wal_page(&record, tailbuf, false),
			  DATA_PAGE_END + offsetof(DataOpaque, flags), sizeof(uint8));
	entry->initial_offset = entry->frozen_upto = entry->log_start;
	entry->head_seq = entry->trim_seq = entry->next_seq;
	entry->start_index = entry->start_pos = 0;
	entry->root = 0;
	entry->height = 0;
	memset(entry->extents, 0, sizeof(entry->extents));
	wal_patch(wal_page(&record, lanebuf, false),
			  (char *) entry - (char *) BufferGetPage(lanebuf), sizeof(LaneEntry));
	wal_finish(&record, rel);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(lanebuf);
	UnlockReleaseBuffer(tailbuf);
}

/* Puts blocks on the free list of extents of this size. */
static void
add_free_extent(Relation rel, int size_class, BlockNumber block)
{
	Buffer		metabuf = lock_block(rel, TOPIC_META_BLOCK);
	TopicMeta  *meta = page_meta(BufferGetPage(metabuf));
	Buffer		freebuf = lock_block(rel, block);
	WalRecord	record;

	wal_begin(&record, XLOG_TOPIC_SPACE, 0);
	record.change.offset = block;
	START_CRIT_SECTION();
	wal_patch(wal_page(&record, metabuf, false), META_SPACE_POS, META_SPACE_SIZE);
	space_make_free_page(&record, freebuf, meta->incarnation, meta->free_extent[size_class]);
	meta->free_extent[size_class] = block;
	wal_finish(&record, rel);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(freebuf);
	UnlockReleaseBuffer(metabuf);
}

/*
 * What is not in use below the end becomes free extents, as large as fit.  They
 * are put on the lists from the end on, so that those near the file's beginning are
 * taken first, and what is in use at its end dies out.
 */
static void
rebuild_free_lists(Relation rel, const UsedBlocks *used)
{
	BlockNumber end = used->end;

	while (end > 0)
	{
		int			size_class = EXTENT_SIZE_CLASSES - 1;
		BlockNumber n = 0;

		while (n < EXTENT_MAX_PAGES && n < end &&
			   !is_used(used, end - 1 - n))
			n++;
		if (n == 0)
		{
			end--;
			continue;
		}
		while ((BlockNumber) extent_pages(size_class) > n)
			size_class--;
		CHECK_FOR_INTERRUPTS();
		end -= extent_pages(size_class);
		add_free_extent(rel, size_class, end);
	}
}

/* Whether what can be cut off is worth the lock, or lists were left unfinished. */
static bool
worth_giving_back(Relation rel, const TopicMeta *meta, const UsedBlocks *used)
{
	/* a crash may have come just before the file was cut */
	int64		size = Max(meta->high_block, RelationGetNumberOfBlocks(rel));
	int64		gain = size - Max(used->end, used->count);

	return (meta->flags & TOPIC_FREE_LISTS_PARTIAL) ||
		gain >= GIVE_BACK_MIN_PAGES ||
		(gain > 0 && gain >= size / GIVE_BACK_FRACTION);
}

/* Waits a while for everybody else to be out of the topic. */
static bool
lock_alone(Relation rel)
{
	for (int i = 0; i < GIVE_BACK_LOCK_STEPS; i++)
	{
		if (ConditionalLockRelation(rel, AccessExclusiveLock))
			return true;
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 50,
						 WAIT_EVENT_VACUUM_TRUNCATE);
		ResetLatch(MyLatch);
	}
	return false;
}

void
space_give_back(Relation rel)
{
	TopicMeta	meta;
	UsedBlocks	used;

	wal_prepare();
	directory_read_meta(rel, &meta);
	find_used_blocks(rel, &meta, &used);
	free_used_blocks(&used);
	if (!worth_giving_back(rel, &meta, &used) || !lock_alone(rel))
		return;

	directory_read_meta(rel, &meta);
	find_used_blocks(rel, &meta, &used);
	if (worth_giving_back(rel, &meta, &used))
	{
		int			lane = -1;

		update_meta(rel, meta.high_block, true, true);
		while ((lane = bms_next_member(used.empty_lanes, lane)) >= 0)
		{
			CHECK_FOR_INTERRUPTS();
			empty_lane(rel, lane);
		}
		for (int i = 0; i < TOPIC_LANE_PAGES; i++)
		{
			if (meta.lane_page[i] != 0)
				forget_heads(rel, meta.lane_page[i]);
		}
		move_directory(rel, &meta, &used);
		update_meta(rel, used.end, false, true);
		rebuild_free_lists(rel, &used);
		update_meta(rel, used.end, false, false);
		if (RelationGetNumberOfBlocks(rel) > used.end)
			RelationTruncate(rel, used.end);
	}
	free_used_blocks(&used);
	UnlockRelation(rel, AccessExclusiveLock);
}
