/*-------------------------------------------------------------------------
 *
 * directory.c
 *	  Reading block 0, lanes and extents: which page holds an offset, a time,
 *	  a transaction.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "log/directory.h"
#include "log/tailhint.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"

static HTAB *topic_caches = NULL;

/*
 * A relation whose files may have changed is looked at afresh: the number of
 * a file can be used again, and a page of the new one must not be guessed.
 */
static void
forget_relation(Datum arg, Oid relid)
{
	if (topic_caches == NULL)
		return;
	if (OidIsValid(relid))
	{
		hash_search(topic_caches, &relid, HASH_REMOVE, NULL);
	}
	else
	{
		HASH_SEQ_STATUS status;
		TopicCache *cache;

		hash_seq_init(&status, topic_caches);
		while ((cache = hash_seq_search(&status)) != NULL)
			hash_search(topic_caches, &cache->relid, HASH_REMOVE, NULL);
	}
}

void
directory_init(void)
{
	CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
}

void
directory_forget(Relation rel)
{
	forget_relation((Datum) 0, RelationGetRelid(rel));
}

TopicCache *
directory_cache(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	TopicCache *cache;
	bool		found;

	if (topic_caches == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(TopicCache);
		ctl.hcxt = TopMemoryContext;
		topic_caches = hash_create("pgtopic files", 16, &ctl,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	cache = hash_search(topic_caches, &relid, HASH_ENTER, &found);
	if (found && RelFileLocatorEquals(cache->locator, RelationFileLocator(rel)))
		return cache;
	memset(cache, 0, sizeof(TopicCache));
	cache->relid = relid;
	cache->locator = RelationFileLocator(rel);
	return cache;
}

void
directory_corrupted(Relation rel, BlockNumber block, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("topic \"%s\" is corrupted in block %u",
					RelationGetRelationName(rel), block),
			 errdetail("%s.", what),
			 errhint("SELECT topic.verify() lists all damage; restore the topic from a backup.")));
}

void
directory_copy_page(Relation rel, BlockNumber block, BufferAccessStrategy strategy, char *copy)
{
	Buffer		buffer = ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_NORMAL, strategy);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	memcpy(copy, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
}

static DirOpaque *
dir_opaque(Page page)
{
	return (DirOpaque *) ((char *) page + BLCKSZ - sizeof(DirOpaque));
}

void
directory_read_meta(Relation rel, TopicMeta *meta)
{
	PGAlignedBlock copy;

	directory_copy_page(rel, TOPIC_META_BLOCK, NULL, copy.data);
	memcpy(meta, copy.data + DATA_PAGE_START, sizeof(TopicMeta));
	if (dir_opaque(copy.data)->page_id != TOPIC_META_PAGE_ID || meta->magic != TOPIC_MAGIC)
		directory_corrupted(rel, TOPIC_META_BLOCK, "Block is not the meta page of a topic");
	if (meta->version > TOPIC_FORMAT_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("topic \"%s\" has storage format %u, this version of pgtopic reads up to %u",
						RelationGetRelationName(rel), meta->version, TOPIC_FORMAT_VERSION),
				 errhint("Install the version of pgtopic that wrote it.")));
}

/* The lane page's block, or 0: from the cache, else from the meta page. */
BlockNumber
directory_lane_block(Relation rel, int32 lane)
{
	TopicCache *cache = directory_cache(rel);
	int			slot = lane / LANES_PER_PAGE;

	Assert(lane >= 0 && lane < TOPIC_MAX_PARTITIONS);
	if (cache->incarnation == 0 || cache->lane_page[slot] == 0)
	{
		TopicMeta	meta;

		directory_read_meta(rel, &meta);
		cache = directory_cache(rel);
		cache->incarnation = meta.incarnation;
		memcpy(cache->lane_page, meta.lane_page, sizeof(meta.lane_page));
	}
	return cache->lane_page[slot];
}

LaneEntry *
directory_lane_entry(Page page, int32 lane)
{
	return (LaneEntry *) ((char *) page + DATA_PAGE_START) + lane % LANES_PER_PAGE;
}

/*
 * The first lane page usually is block 1.  A session that has not read the
 * topic yet looks there, and needs no meta page if it is; a format that differs
 * has other page kinds.
 */
static bool
copy_first_lane_page(Relation rel, char *copy)
{
	DirOpaque  *opaque = dir_opaque(copy);
	TopicCache *cache;

	if (RelationGetNumberOfBlocks(rel) <= TOPIC_META_BLOCK + 1)
		return false;
	directory_copy_page(rel, TOPIC_META_BLOCK + 1, NULL, copy);
	if (opaque->page_id != TOPIC_LANE_PAGE_ID || opaque->first_seq != 0)
		return false;
	cache = directory_cache(rel);
	cache->incarnation = opaque->incarnation;
	cache->lane_page[0] = TOPIC_META_BLOCK + 1;
	return true;
}

void
directory_read_lane(Relation rel, int32 lane, LaneMap *map)
{
	PGAlignedBlock copy;
	DirOpaque  *opaque = dir_opaque(copy.data);

	map->rel = rel;
	map->lane = lane;
	map->bears_overtaking = false;
	map->leaf_valid = false;
	if (lane >= LANES_PER_PAGE || directory_cache(rel)->incarnation != 0 ||
		!copy_first_lane_page(rel, copy.data))
	{
		BlockNumber block = directory_lane_block(rel, lane);

		if (block == 0)
		{
			map->incarnation = directory_cache(rel)->incarnation;
			memset(&map->entry, 0, sizeof(LaneEntry));
			map->released_upto = map->first_seq = 0;
			return;
		}
		directory_copy_page(rel, block, NULL, copy.data);
		if (opaque->page_id != TOPIC_LANE_PAGE_ID ||
			opaque->incarnation != directory_cache(rel)->incarnation ||
			opaque->first_seq != lane - lane % LANES_PER_PAGE)
			directory_corrupted(rel, block, "Block is not the expected lane page");
	}
	map->incarnation = opaque->incarnation;
	map->entry = *directory_lane_entry(copy.data, lane);
	map->released_upto = map->entry.head_seq;
	map->entry.head_seq = map->entry.trim_seq;
	map->first_seq = map->entry.trim_seq - (map->entry.clean.next - map->entry.clean.head);
}

void
directory_refresh_lane(LaneMap *map)
{
	bool		bears_overtaking = map->bears_overtaking;

	directory_read_lane(map->rel, map->lane, map);
	map->bears_overtaking = bears_overtaking;
}

void
directory_trimmed(const LaneMap *now)
{
	ereport(ERROR,
			(errcode(ERRCODE_SNAPSHOT_TOO_OLD),
			 errmsg("partition %d of topic \"%s\" was trimmed while it was read",
					now->lane, RelationGetRelationName(now->rel)),
			 errdetail("The log start offset is %lld now.",
					   (long long) now->entry.log_start),
			 errhint("Read again from the log start offset.")));
}

bool
directory_was_overtaken(LaneMap *map)
{
	LaneMap		now;

	directory_read_lane(map->rel, map->lane, &now);
	if (now.entry.trim_seq <= map->entry.trim_seq &&
		now.entry.generation == map->entry.generation &&
		(now.released_upto == map->released_upto || !map->bears_overtaking))
		return false;
	if (map->bears_overtaking)
		return true;
	if (now.entry.log_start == map->entry.log_start)
		ereport(ERROR,
				(errcode(ERRCODE_SNAPSHOT_TOO_OLD),
				 errmsg("partition %d of topic \"%s\" was compacted while it was read",
						map->lane, RelationGetRelationName(map->rel)),
				 errhint("Run the statement again.")));
	directory_trimmed(&now);
}

PageIdentity
map_page_identity(const LaneMap *map, uint32 seq, int index)
{
	PageIdentity id = {map->incarnation, seq, map->lane, index};

	if (map_is_clean(map, seq))
	{
		id.incarnation += map->entry.generation;
		id.seq = seq - (map->entry.trim_seq - map->entry.clean.next);
	}
	return id;
}

uint64
map_page_number(const LaneMap *map, uint32 seq, int index)
{
	if (!map_is_clean(map, seq))
		return logical_page(seq, index);
	return (uint64) (seq - (map->entry.trim_seq - map->entry.clean.next)) *
		extent_pages(map->entry.clean.size_class) + index;
}

void
map_page_split(const LaneMap *map, uint32 like_seq, uint64 page_number, uint32 *seq, int *index)
{
	int			pages;

	if (!map_is_clean(map, like_seq))
	{
		logical_page_split(page_number, seq, index);
		return;
	}
	pages = extent_pages(map->entry.clean.size_class);
	*seq = map->entry.trim_seq - map->entry.clean.next + (uint32) (page_number / pages);
	*index = (int) (page_number % pages);
}

void
directory_read_any_node(LaneMap *map, BlockNumber block, uint32 incarnation, int level, uint32 first_seq,
						DirEntry *entries)
{
	PGAlignedBlock copy;
	DirOpaque  *opaque = dir_opaque(copy.data);

	directory_copy_page(map->rel, block, NULL, copy.data);
	if (opaque->page_id != TOPIC_NODE_PAGE_ID ||
		opaque->incarnation != incarnation ||
		opaque->level != level || opaque->first_seq != first_seq ||
		opaque->lane != map->lane)
	{
		if (!directory_was_overtaken(map))
			directory_corrupted(map->rel, block, "Block is not the expected directory node");
		memset(entries, 0, NODE_FANOUT * sizeof(DirEntry));
		return;
	}
	memcpy(entries, copy.data + DATA_PAGE_START, NODE_FANOUT * sizeof(DirEntry));
}

void
directory_read_node(LaneMap *map, BlockNumber block, int level, uint32 first_seq, DirEntry *entries)
{
	directory_read_any_node(map, block, map->incarnation, level, first_seq, entries);
}

uint32
node_stride(int level)
{
	uint32		stride = 1;

	while (level-- > 0)
		stride *= NODE_FANOUT;
	return stride;
}

/* What a search asks of an entry: does the wanted place lie at or before it? */
typedef enum SearchKey
{
	SEARCH_SEQ,
	SEARCH_OFFSET,				/* last entry with first_offset <= key */
	SEARCH_TIME,				/* first entry with max_timestamp >= key */
	SEARCH_XID					/* first entry with max_fxid >= key */
} SearchKey;

/* Index within [low, high] of the entry to descend into. */
static int
search_entries(const DirEntry *entries, int low, int high, SearchKey what, int64 key)
{
	if (what == SEARCH_OFFSET)
	{
		while (low < high)
		{
			int			mid = (low + high + 1) / 2;

			if ((int64) entries[mid].first_offset <= key)
				low = mid;
			else
				high = mid - 1;
		}
		return low;
	}
	for (int i = low; i < high; i++)
	{
		if (!entries[i].closed ||
			(what == SEARCH_TIME && entries[i].max_timestamp >= key) ||
			(what == SEARCH_XID && entries[i].max_fxid >= (uint64) key))
			return i;
	}
	return high;
}

/* What a search descends: one of a lane's two trees of nodes. */
typedef struct SearchTree
{
	BlockNumber root;
	int			height;
	uint32		incarnation;	/* of its nodes */
	uint32		low;			/* extents, as the tree numbers them */
	uint32		high;
	uint32		base;			/* what readers add to that */
} SearchTree;

static void
main_tree(const LaneMap *map, SearchTree *tree)
{
	tree->root = map->entry.root;
	tree->height = map->entry.height;
	tree->incarnation = map->incarnation;
	tree->low = map->entry.head_seq;
	tree->high = map->entry.next_seq - 1;
	tree->base = 0;
}

static void
clean_tree(const LaneMap *map, SearchTree *tree)
{
	const SectionEntry *clean = &map->entry.clean;

	tree->root = clean->root;
	tree->height = clean->height;
	tree->incarnation = map->incarnation + map->entry.generation;
	tree->low = clean->head;
	tree->high = clean->next - 1;
	tree->base = map->entry.trim_seq - clean->next;
}

/*
 * Descends from the root; what lies outside of [low, high] is not looked at.
 * There must be something inside.
 */
static uint32
search_tree(LaneMap *map, const SearchTree *tree, SearchKey what, int64 key, DirEntry *entry)
{
	BlockNumber block = tree->root;
	uint32		first_seq = 0;

	Assert(tree->low <= tree->high && tree->high != PG_UINT32_MAX);
	if (tree->height == 0)
	{
		int			i = (what == SEARCH_SEQ) ? (int) key :
			search_entries(map->entry.extents, tree->low, tree->high, what, key);

		*entry = map->entry.extents[i];
		return i;
	}

	for (int level = tree->height - 1;; level--)
	{
		DirEntry	nodes[NODE_FANOUT];
		DirEntry   *entries = (level == 0) ? map->leaf : nodes;
		uint32		stride = node_stride(level);
		int			low = (tree->low > first_seq) ? (tree->low - first_seq) / stride : 0;
		int			high = Min((tree->high - first_seq) / stride, NODE_FANOUT - 1);
		int			i;

		map->leaf_valid = false;
		directory_read_any_node(map, block, tree->incarnation, level, first_seq, entries);
		if (what == SEARCH_SEQ)
			i = ((uint32) key - first_seq) / stride;
		else
			i = search_entries(entries, low, high, what, key);
		if (level == 0)
		{
			map->leaf_valid = true;
			map->leaf_first_seq = tree->base + first_seq;
			map->leaf_low = tree->base + Max(first_seq, tree->low);
			map->leaf_limit = tree->base + Min(first_seq + NODE_FANOUT, tree->high + 1);
			*entry = map->leaf[i];
			return tree->base + first_seq + i;
		}
		first_seq += i * stride;
		block = entries[i].block;
	}
}

void
directory_main_extent(LaneMap *map, uint32 seq, DirEntry *entry)
{
	SearchTree	tree;

	main_tree(map, &tree);
	tree.low = Min(tree.low, seq);
	search_tree(map, &tree, SEARCH_SEQ, seq, entry);
	map->leaf_valid = false;	/* of trimmed heads readers must not know */
}

void
directory_extent(LaneMap *map, uint32 seq, DirEntry *entry)
{
	SearchTree	tree;

	Assert(seq >= map->first_seq && seq < map->entry.next_seq);
	if (map->leaf_valid && seq >= map->leaf_low && seq < map->leaf_limit)
	{
		*entry = map->leaf[seq - map->leaf_first_seq];
		return;
	}
	if (map_is_clean(map, seq))
	{
		clean_tree(map, &tree);
		search_tree(map, &tree, SEARCH_SEQ, seq - tree.base, entry);
	}
	else
	{
		main_tree(map, &tree);
		search_tree(map, &tree, SEARCH_SEQ, seq, entry);
	}
}

uint32
directory_find_offset(LaneMap *map, RecordOffset offset, DirEntry *entry)
{
	SearchTree	tree;

	if (map->first_seq < map->entry.trim_seq && offset < (RecordOffset) map->entry.clean_end)
		clean_tree(map, &tree);
	else
		main_tree(map, &tree);
	return search_tree(map, &tree, SEARCH_OFFSET, offset, entry);
}

uint32
directory_find_time(LaneMap *map, int64 ms, DirEntry *entry)
{
	SearchTree	tree;

	if (map->first_seq < map->entry.trim_seq)
	{
		uint32		seq;

		clean_tree(map, &tree);
		seq = search_tree(map, &tree, SEARCH_TIME, ms, entry);
		if (entry->max_timestamp >= ms)
			return seq;
	}
	main_tree(map, &tree);
	return search_tree(map, &tree, SEARCH_TIME, ms, entry);
}

/* The clean section is older than all transactions that anybody asks for. */
uint32
directory_find_xid(LaneMap *map, uint64 fxid, DirEntry *entry)
{
	SearchTree	tree;

	main_tree(map, &tree);
	return search_tree(map, &tree, SEARCH_XID, (int64) fxid, entry);
}

/* Whether page "index" of the extent has been written; copies it. */
static bool
copy_if_valid(LaneMap *map, uint32 seq, BlockNumber start, int index, char *copy)
{
	PageIdentity id = map_page_identity(map, seq, index);

	directory_copy_page(map->rel, start + index, NULL, copy);
	return data_page_is(copy, &id);
}

int
directory_valid_pages(LaneMap *map, uint32 seq, BlockNumber start)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(map->rel);
	int			low = 0;		/* pages below are valid */
	int			high = map_extent_pages(map, seq);
	PGAlignedBlock copy;

	if (nblocks < start + high)
		high = (nblocks > start) ? nblocks - start : 0;
	while (low < high)
	{
		int			mid = (low + high) / 2;

		if (copy_if_valid(map, seq, start, mid, copy.data))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool
directory_file_has(Relation rel, BlockNumber block)
{
	BlockNumber known = RelationGetSmgr(rel)->smgr_cached_nblocks[MAIN_FORKNUM];

	return (known != InvalidBlockNumber && block < known) ||
		block < RelationGetNumberOfBlocks(rel);
}

bool
directory_hint(Relation rel, int32 lane, BlockNumber *block)
{
	*block = tail_hint_get(rel, lane);
	return *block != 0 && directory_file_has(rel, *block);
}

/* What a data page of this lane says of itself; false if it is none. */
static bool
tail_from_page(LaneMap *map, BlockNumber block, Page page, TailRef *tail)
{
	DataOpaque *opaque = data_opaque(page);
	PageIdentity id = {map->incarnation, opaque->extent_seq, map->lane, opaque->page_index};

	tail->block = block;
	tail->seq = opaque->extent_seq;
	tail->index = opaque->page_index;
	return data_page_is(page, &id);
}

/* Follows the hint to the lane's last page, unless that is too far. */
static bool
follow_hint(LaneMap *map, TailRef *tail, char *copy)
{
	BlockNumber block;

	if (!directory_hint(map->rel, map->lane, &block))
		return false;
	for (int hops = 0; hops < 4; hops++, block++)
	{
		directory_copy_page(map->rel, block, NULL, copy);
		if (!tail_from_page(map, block, copy, tail) || tail->seq + 1 < map->entry.next_seq)
			return false;
		if (!(data_opaque(copy)->flags & DATA_PAGE_HAS_NEXT))
			return true;
		if (tail->index + 1 >= extent_pages(tail->seq))
			return false;
	}
	return false;
}

bool
directory_find_tail(LaneMap *map, TailRef *tail, char *copy)
{
	uint32		seq = map->entry.next_seq - 1;
	LaneMap		now;
	DirEntry	extent;
	int			pages;

	if (map->entry.next_seq == map->entry.head_seq)
		return false;
	if (follow_hint(map, tail, copy))
		return true;

	/*
	 * The lane may have gone on in other extents meanwhile, and this one have
	 * been trimmed and reused.  The caller's map stays as it is: it says where
	 * a reader has begun.
	 */
	now = *map;
	now.bears_overtaking = true;
	for (;;)
	{
		BlockNumber last = InvalidBlockNumber;

		directory_extent(&now, seq, &extent);
		pages = directory_valid_pages(&now, seq, extent.block);
		tail->seq = seq;
		tail->index = pages - 1;
		tail->block = extent.block + tail->index;
		if (pages > 0 && copy_if_valid(&now, seq, extent.block, tail->index, copy))
		{
			if (tail->index + 1 < extent_pages(seq) ||
				!(data_opaque(copy)->flags & DATA_PAGE_HAS_NEXT))
			{
				tail_hint_set(now.rel, now.lane, tail->block);
				return true;
			}
			last = tail->block;
		}
		directory_refresh_lane(&now);
		if (now.entry.next_seq - 1 == seq)
			directory_corrupted(now.rel, pages > 0 ? last : extent.block,
								pages > 0 ? "Page has a successor that the directory does not know" :
								"Extent has no valid first page");
		seq = now.entry.next_seq - 1;
	}
}

void
log_lane_info(Relation rel, int32 lane, LaneInfo *info)
{
	LaneMap		map;
	TailRef		tail;
	PGAlignedBlock copy;

	directory_read_lane(rel, lane, &map);
	info->log_end = map.entry.initial_offset;
	info->leader_epoch = 0;
	if (directory_find_tail(&map, &tail, copy.data))
	{
		info->log_end = data_opaque(copy.data)->next_offset;
		info->leader_epoch = data_opaque(copy.data)->leader_epoch;
	}
	info->log_start = map.entry.log_start;
	info->frozen_upto = map.entry.frozen_upto;
	info->head_seq = map.first_seq;
	info->next_seq = map.entry.next_seq;
}

int32
log_lane_limit(Relation rel)
{
	TopicMeta	meta;

	directory_read_meta(rel, &meta);
	for (int i = TOPIC_LANE_PAGES - 1; i >= 0; i--)
	{
		if (meta.lane_page[i] != 0)
			return Min((i + 1) * LANES_PER_PAGE, TOPIC_MAX_PARTITIONS);
	}
	return 0;
}

int32
log_min_partitions(Relation rel)
{
	TopicMeta	meta;

	directory_read_meta(rel, &meta);
	return (int32) meta.min_partitions;
}

void
log_uuid(Relation rel, pg_uuid_t *uuid)
{
	TopicMeta	meta;

	directory_read_meta(rel, &meta);
	memcpy(uuid->data, meta.uuid, sizeof(meta.uuid));
}
