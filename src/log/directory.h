/*-------------------------------------------------------------------------
 *
 * directory.h
 *	  Block 0, lanes and extents.  Inside the log room only.
 *
 * A LaneMap is a reader's copy of a lane's directory entry; what it points to
 * stays readable until the log start moves past it.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_DIRECTORY_H
#define PGTOPIC_LOG_DIRECTORY_H

#include "compat.h"
#include "log/log.h"
#include "log/page.h"
#include "storage/bufmgr.h"

/* Data page where a lane ends, or may end. */
typedef struct TailRef
{
	BlockNumber block;
	uint32		seq;
	int			index;
} TailRef;

/* What a backend remembers of a relation's files; see directory_cache(). */
typedef struct TopicCache
{
	Oid			relid;			/* hash key */
	RelFileLocator locator;
	uint32		incarnation;	/* 0: not read yet */
	BlockNumber lane_page[TOPIC_LANE_PAGES];
} TopicCache;

typedef struct LaneMap
{
	Relation	rel;
	int32		lane;
	uint32		incarnation;
	LaneEntry	entry;			/* but head_seq = trim_seq: the main section's
								 * first extent that readers may need */
	uint32		released_upto;	/* the entry's own head_seq */
	uint32		first_seq;		/* readers begin here: with the clean section,
								 * whose extents are numbered up to trim_seq */
	bool		bears_overtaking;	/* nodes that were reused read as zeros */
	/* the leaf looked at last */
	bool		leaf_valid;
	uint32		leaf_first_seq;
	uint32		leaf_low;		/* it tells of extents [leaf_low, leaf_limit) */
	uint32		leaf_limit;
	DirEntry	leaf[NODE_FANOUT];
} LaneMap;

extern void directory_init(void);

/* Drops what is remembered of the relation: its files are other ones now. */
extern void directory_forget(Relation rel);

/* The backend's memory of the relation's files; dropped by invalidations. */
extern TopicCache *directory_cache(Relation rel);

/* Copies the meta page.  XX001 if it is none, 0A000 for a later version. */
extern void directory_read_meta(Relation rel, TopicMeta *meta);

/* Copies a page of the relation under a share lock. */
extern void directory_copy_page(Relation rel, BlockNumber block,
								BufferAccessStrategy strategy, char *copy);

/*
 * directory_read_lane: copies a lane's entry.  A lane that does not exist yet
 * reads as empty.
 */
extern void directory_read_lane(Relation rel, int32 lane, LaneMap *map);

/* Reads the map's lane again. */
extern void directory_refresh_lane(LaneMap *map);

/* The buffer and position of a lane's entry; the lane page must exist. */
extern LaneEntry *directory_lane_entry(Page page, int32 lane);
extern BlockNumber directory_lane_block(Relation rel, int32 lane);

/*
 * The two sections, to readers, are one sequence of extents [first_seq,
 * next_seq): extent c of the clean section is number trim_seq - clean.next + c.
 */
static inline bool
map_is_clean(const LaneMap *map, uint32 seq)
{
	return seq < map->entry.trim_seq;
}

static inline int
map_extent_pages(const LaneMap *map, uint32 seq)
{
	return map_is_clean(map, seq) ? extent_pages(map->entry.clean.size_class) : extent_pages(seq);
}

/* What the page at this place says of itself. */
extern PageIdentity map_page_identity(const LaneMap *map, uint32 seq, int index);

/* Which page of its section this is, and the reverse. */
extern uint64 map_page_number(const LaneMap *map, uint32 seq, int index);
extern void map_page_split(const LaneMap *map, uint32 like_seq, uint64 page_number,
						   uint32 *seq, int *index);

/* Readers find no offset below this one in the main section. */
static inline RecordOffset
map_main_start(const LaneMap *map)
{
	return (RecordOffset) Max(map->entry.log_start, map->entry.clean_end);
}

/* Directory entry of extent seq in [first_seq, next_seq). */
extern void directory_extent(LaneMap *map, uint32 seq, DirEntry *entry);

/* The same of the main section, where trimmed heads are found as well. */
extern void directory_main_extent(LaneMap *map, uint32 seq, DirEntry *entry);

/*
 * The last extent whose first_offset is <= offset, of the section that has the
 * offset; that one's first if none is.
 */
extern uint32 directory_find_offset(LaneMap *map, RecordOffset offset, DirEntry *entry);

/* The first extent that may hold a timestamp >= ms; next_seq if none. */
extern uint32 directory_find_time(LaneMap *map, int64 ms, DirEntry *entry);

/* The first extent that may hold a writer >= fxid. */
extern uint32 directory_find_xid(LaneMap *map, uint64 fxid, DirEntry *entry);

/* The last valid page of the lane, by the directory; false for an empty lane. */
extern bool directory_find_tail(LaneMap *map, TailRef *tail, char *copy);

/*
 * Whether the file is long enough to have the block, with as few system calls as
 * may be: what was known of its size once can only be too little, because who
 * truncates it has AccessExclusiveLock and invalidates that knowledge.
 */
extern bool directory_file_has(Relation rel, BlockNumber block);

/* The page that the shared hint names, if the file has it; not looked at. */
extern bool directory_hint(Relation rel, int32 lane, BlockNumber *block);

/* How many pages of an extent are in use: the rest is not written yet. */
extern int	directory_valid_pages(LaneMap *map, uint32 seq, BlockNumber start);

/*
 * directory_was_overtaken: for who has met a page that is another one than the
 * map says: whether the lane's space was reused, or compacted, since the map was
 * read.  72000 then, unless the map bears that.
 */
extern bool directory_was_overtaken(LaneMap *map);

/* 72000: the log start has moved past what is to be read; the lane as it is now. */
extern void directory_trimmed(const LaneMap *now) pg_attribute_noreturn();

extern void directory_corrupted(Relation rel, BlockNumber block, const char *what) pg_attribute_noreturn();

/* Reads one directory node of the lane's main section: NODE_FANOUT entries. */
extern void directory_read_node(LaneMap *map, BlockNumber block, int level,
								uint32 first_seq, DirEntry *entries);

/* The same of either section, whose nodes bear this incarnation. */
extern void directory_read_any_node(LaneMap *map, BlockNumber block, uint32 incarnation,
									int level, uint32 first_seq, DirEntry *entries);

/* extent.c: writers, with the lane's heavyweight lock held */

extern void extent_ensure_lane(Relation rel, int32 lane);
extern void extent_ensure_file(Relation rel, BlockNumber nblocks);

/*
 * Lengthens the file to nblocks of zeros, under the extension lock.  The
 * storage manager writes them now, so that a full disk fails this
 * transaction and not a checkpoint.
 */
extern void extent_lengthen_file(Relation rel, BlockNumber nblocks);

/*
 * extent_open: adds an extent and its first, empty page, which continues after
 * the given tail (whose buffer is locked and sealed here); NULL for the lane's
 * first extent.  offset: where a new lane is to begin, or in the middle of a
 * batch the record that comes next; -1 = the log end.
 */
extern void extent_open(Relation rel, int32 lane, const TailRef *tail,
						RecordOffset offset, uint32 leader_epoch, TailRef *opened);

/* Initialises a directory page and says so in the WAL record. */
extern void dir_page_init(Page page, uint32 incarnation, int32 lane, uint32 first_seq, int level,
						  uint16 contents, uint16 page_id);

/* How many extents a node of this level holds below one entry. */
extern uint32 node_stride(int level);

static inline TopicMeta *
page_meta(Page page)
{
	return (TopicMeta *) ((char *) page + DATA_PAGE_START);
}

/*
 * space.c: free lists, under the relation extension lock.
 *
 * space_free_link: the block behind this one in a free list; 0 = none.
 * If this one is not free: InvalidBlockNumber if that is all right, else XX001.
 * space_make_free_page: makes a locked page a free one, and says so in the record.
 * space_make_extent: sees to it that the free list of extents of this size
 * is not empty, if trimmed heads allow it; those of "lane" first.
 * space_give_back: cuts off the free end of the file, if nobody is in the way.
 */
extern BlockNumber space_free_link(Relation rel, uint32 incarnation, BlockNumber block,
								   bool missing_ok);
struct WalRecord;
extern void space_make_free_page(struct WalRecord *record, Buffer buffer, uint32 incarnation,
								 BlockNumber next);
extern void space_make_extent(Relation rel, int32 lane, int size_class);
extern void space_give_back(Relation rel);

/* trim.c: what the retention hook allows; the lane's lock is held. */
extern void trim_by_retention(Relation rel, int32 lane);

/* The lane's heavyweight lock: serialises what takes more than one record. */
#define LockLane(rel, lane)		LockPage((rel), (BlockNumber) (lane), ExclusiveLock)
#define UnlockLane(rel, lane)	UnlockPage((rel), (BlockNumber) (lane), ExclusiveLock)

#endif							/* PGTOPIC_LOG_DIRECTORY_H */
