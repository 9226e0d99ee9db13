/*-------------------------------------------------------------------------
 *
 * format.h
 *	  What a topic looks like on disk.  The drawings are in README.md.
 *
 * Only the log room includes this file.  It needs no server: the unit tests
 * compile it too.  Fields are only ever added, and existing fields never
 * change within a format version; a change that an older binary could not
 * read raises TOPIC_FORMAT_VERSION.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_FORMAT_H
#define PGTOPIC_LOG_FORMAT_H

#include "storage/block.h"
#include "storage/bufpage.h"

#define TOPIC_MAGIC				0x54504731	/* "TPG1" */
#define TOPIC_FORMAT_VERSION	1

/* Page kinds: the last two bytes of every page, as pg_filedump likes it. */
#define TOPIC_META_PAGE_ID		0x7C01
#define TOPIC_LANE_PAGE_ID		0x7C02
#define TOPIC_NODE_PAGE_ID		0x7C03
#define TOPIC_DATA_PAGE_ID		0x7C04
#define TOPIC_SLOTS_PAGE_ID		0x7C05	/* of access method topic_slots */
#define TOPIC_FREE_PAGE_ID		0x7C06	/* free node; first page of a free extent */

#define TOPIC_META_BLOCK		0

/*
 * Extents.  A lane is an array of logical pages, cut into extents of 1, 8, 32
 * and then 128 pages; the size of an extent follows from its sequence number
 * alone, so that a logical page number needs no table to be found.
 */
#define EXTENT_MAX_PAGES		128
#define EXTENT_SIZE_CLASSES		4

static inline int
extent_class(uint32 seq)
{
	return seq < EXTENT_SIZE_CLASSES ? (int) seq : EXTENT_SIZE_CLASSES - 1;
}

static inline int
extent_pages(uint32 seq)
{
	static const int pages[EXTENT_SIZE_CLASSES] = {1, 8, 32, EXTENT_MAX_PAGES};

	return pages[extent_class(seq)];
}

/* One entry of the extent directory: an extent, or a node one level down. */
typedef struct DirEntry
{
	uint64		first_offset;	/* first entry point at or after its start */
	int64		max_timestamp;	/* ms since 1970; valid once closed */
	int64		min_timestamp;	/* valid once closed */
	uint64		max_fxid;		/* newest writer so far; valid once closed */
	BlockNumber block;			/* first block of the extent, or the node */
	uint32		closed;			/* 1: a later entry exists, values are final */
} DirEntry;

/*
 * A directory of extents that are all of one size, numbered from 0 on; made by
 * compaction.  All-zero: none.
 */
typedef struct SectionEntry
{
	BlockNumber root;
	uint16		height;			/* 1: root is a leaf */
	uint16		size_class;		/* of its extents */
	uint32		head;			/* first extent still there */
	uint32		next;			/* one past the last */
} SectionEntry;

/* An all-zero entry is an empty lane. */
#define LANE_INLINE_EXTENTS		2

typedef struct LaneEntry
{
	uint64		log_start;		/* first offset that readers may have */
	uint64		initial_offset; /* next offset while there is no extent */
	uint64		frozen_upto;	/* below: xids are not looked up any more */
	uint64		clean_end;		/* below: in the clean section */
	uint32		head_seq;		/* first extent not yet released */
	uint32		trim_seq;		/* first extent that readers may need */
	uint32		next_seq;		/* one past the tail extent */
	uint32		next_trimmed;	/* list of trimmed lanes: the next one's number
								 * + 1; 0 = not in it, or TRIMMED_LIST_END */
	uint16		start_index;	/* page of trim_seq, and the position there, */
	uint16		start_pos;		/* of the batch at the log start; 0 = first */
	BlockNumber root;			/* of the directory; used when height > 0 */
	uint16		height;			/* 0: extents stand inline; 1: root is a leaf */
	uint16		flags;			/* LANE_* */
	SectionEntry clean;			/* compacted */
	uint32		generation;		/* of the clean section */
	DirEntry	extents[LANE_INLINE_EXTENTS];
} LaneEntry;

#define TRIMMED_LIST_END		0xFFFFFFFF

#define LANE_CLEAN_TOMBSTONES	0x01	/* the clean section has some */

#define LANES_PER_PAGE			50
#define TOPIC_MAX_PARTITIONS	16384
#define TOPIC_LANE_PAGES		((TOPIC_MAX_PARTITIONS + LANES_PER_PAGE - 1) / LANES_PER_PAGE)

/*
 * Special space of lane pages, directory nodes and free pages, whose contents
 * are one BlockNumber: the next of the list, or 0.
 */
typedef struct DirOpaque
{
	uint32		incarnation;
	uint32		first_seq;		/* node: extent of its first entry; lane page: its first lane */
	uint16		level;			/* node: 0 = leaf */
	uint16		unused;
	uint16		lane;			/* node */
	uint16		page_id;
} DirOpaque;

#define NODE_FANOUT				200

typedef struct TopicMeta
{
	uint32		magic;
	uint32		version;
	uint32		incarnation;	/* of this file: every page repeats it */
	uint32		min_partitions; /* lanes that restored rows called for */
	BlockNumber high_block;		/* blocks from here on are not handed out */
	uint32		flags;			/* TOPIC_* */
	unsigned char uuid[16];		/* of the topic: survives rewrites */
	BlockNumber free_extent[EXTENT_SIZE_CLASSES];	/* heads of free lists */
	BlockNumber free_node;
	uint32		trimmed_lane;	/* head of that list: lane + 1, or 0 */
	uint32		building_lane;	/* + 1: what compaction is writing for */
	uint32		building_generation;
	SectionEntry building;
	SectionEntry retired;		/* to be released */
	BlockNumber lane_page[TOPIC_LANE_PAGES];	/* 0 = not there yet */
} TopicMeta;

/* VACUUM is making the free lists anew: what is in none may be free too. */
#define TOPIC_FREE_LISTS_PARTIAL	0x01

/*
 * Special space of a data page.  "Entry point" is a place where decoding can
 * begin: the start of a record of an uncompressed batch, or of a batch.
 */
typedef struct DataOpaque
{
	uint64		first_offset;	/* of the first entry point at or after this
								 * page's start */
	uint64		next_offset;	/* offset that the next batch gets, as of this
								 * page */
	int64		max_timestamp;	/* so far in the extent, ms since 1970 */
	uint64		max_fxid;		/* newest writer so far in the lane */
	uint32		timestamp_span; /* max - min so far in the extent; saturates */
	uint32		incarnation;
	uint32		extent_seq;
	uint32		leader_epoch;	/* WAL timeline when the page was opened */
	uint32		open_bytes;		/* of the last batch here, still to come on
								 * later pages */
	uint16		lane;
	uint16		entry_pos;		/* first entry point on this page, 0 = none */
	uint16		batch_back;		/* the bytes at the page's start belong to a
								 * batch that began so many pages ago; 0 = a
								 * batch starts here */
	uint16		batch_pos;		/* ... at this position there */
	uint8		page_index;		/* within the extent */
	uint8		flags;			/* DATA_PAGE_* */
	uint16		page_id;
} DataOpaque;

#define DATA_PAGE_HAS_NEXT		0x01	/* full: the lane goes on elsewhere */
#define DATA_PAGE_ENDS_SECTION	0x02	/* the clean section's last one */

#define DATA_PAGE_START			(MAXALIGN(SizeOfPageHeaderData))
#define DATA_PAGE_END			(BLCKSZ - MAXALIGN(sizeof(DataOpaque)))
#define DATA_PAGE_CAPACITY		(DATA_PAGE_END - DATA_PAGE_START)

StaticAssertDecl(sizeof(DirEntry) == 40, "directory entry");
StaticAssertDecl(sizeof(LaneEntry) == 160, "lane entry");
StaticAssertDecl(sizeof(DataOpaque) == 64, "data page special space");
StaticAssertDecl(sizeof(DirOpaque) == 16, "directory page special space");
StaticAssertDecl(LANES_PER_PAGE * sizeof(LaneEntry) <= BLCKSZ - 24 - 16, "lane page");
StaticAssertDecl(NODE_FANOUT * sizeof(DirEntry) <= BLCKSZ - 24 - 16, "node page");
StaticAssertDecl(sizeof(TopicMeta) <= BLCKSZ - 24 - 16, "meta page");

/*
 * Envelope of a batch, 32 bytes and then, in this order, the optional fields
 * that its flags name.  Never split between pages; not aligned.
 */
typedef struct BatchEnvelope
{
	uint32		length;			/* whole batch, envelope included */
	uint32		xid;			/* of the (sub)transaction that wrote it */
	uint64		base_offset;
	int64		base_timestamp; /* ms since 1970 */
	uint32		crc;			/* CRC-32C of Kafka's batch v2, from its
								 * attributes to the end of the records */
	uint16		flags;			/* BATCH_* */
	uint8		header_size;	/* envelope with its optional fields */
	uint8		version;		/* 0 */
} BatchEnvelope;

StaticAssertDecl(sizeof(BatchEnvelope) == 32, "batch envelope");

/* Low bits are the attributes of Kafka's batch v2. */
#define BATCH_CODEC_MASK		0x0007	/* 0 none, 3 lz4, 4 zstd */
#define BATCH_LOG_APPEND_TIME	0x0008	/* all records have max_timestamp */
#define BATCH_ATTRIBUTES_MASK	0x000F
/* Ours. */
#define BATCH_ABORTED			0x0100	/* resolved by VACUUM: rolled back */
#define BATCH_HAS_COUNT			0x0200	/* int32 last offset delta; else 0 */
#define BATCH_HAS_MAX_TIMESTAMP 0x0400	/* int64; else base_timestamp */
#define BATCH_HAS_LEADER_EPOCH	0x0800	/* uint32; else the page's */
#define BATCH_HAS_PRODUCER		0x1000	/* int64 id, int16 epoch, int32 base
										 * sequence; else -1 */
#define BATCH_HAS_NRECORDS		0x2000	/* int32; else last offset delta + 1 */
#define BATCH_HAS_DELETE_HORIZON 0x4000	/* int64 ms; else no compaction has seen
										 * a tombstone in it */

#define BATCH_ENVELOPE_MAX		(32 + 4 + 8 + 4 + 14 + 4 + 8)

/*
 * Slots, in relations of access method "topic_slots": 127 a page, all of them
 * from the start.  All-zero is a slot that was never used.
 */
typedef struct SlotVersion
{
	int64		log_offset;
	int64		lost;
	uint32		counter;		/* modulo 2^32 */
	uint32		xid;			/* top-level; 0: nothing here; 2: committed */
} SlotVersion;

#define SLOT_VERSIONS			2

typedef struct SlotEntry
{
	int64		key;			/* whose slot it is; 0 = nobody's yet */
	SlotVersion versions[SLOT_VERSIONS];
	uint64		unused;
} SlotEntry;

typedef struct SlotsOpaque
{
	uint32		unused[3];
	uint16		unused2;
	uint16		page_id;
} SlotsOpaque;

#define SLOTS_PER_PAGE			127
#define SLOTS_PAGE_END			(BLCKSZ - sizeof(SlotsOpaque))

StaticAssertDecl(sizeof(SlotEntry) == 64, "slot");
StaticAssertDecl(sizeof(SlotsOpaque) == 16, "slots page special space");
StaticAssertDecl(DATA_PAGE_START + SLOTS_PER_PAGE * sizeof(SlotEntry) <= SLOTS_PAGE_END, "slots page");

#endif							/* PGTOPIC_LOG_FORMAT_H */
