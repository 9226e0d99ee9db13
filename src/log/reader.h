/*-------------------------------------------------------------------------
 *
 * reader.h
 *	  A reader's state, shared by reader.c (going forward) and lookup.c (going
 *	  to a place).  Inside the log room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_READER_H
#define PGTOPIC_LOG_READER_H

#include "log/directory.h"
#include "log/visibility.h"

/* The records of a compressed batch, in memory. */
typedef struct UnpackedBatch UnpackedBatch;

struct LaneReader
{
	Relation	rel;
	Snapshot	snapshot;
	LaneReadMode mode;
	bool		want_key;
	bool		want_value;
	BufferAccessStrategy strategy;
	MemoryContext context;

	/* the lane, as of enter, or of a later look at it */
	int32		lane;
	LaneMap		map;
	RecordOffset log_end;		/* PG_INT64_MAX until somebody asks */
	uint64		newest_fxid;	/* newest writer as of log_end */
	RecordOffset entered_start;	/* log start then; the map may be a later one */
	RecordOffset lower;			/* nothing below is returned */
	bool		one_extent;		/* parallel chunk: records that start in ... */
	uint32		only_seq;

	/* where we are */
	bool		positioned;		/* else at the log start, and no page is loaded */
	bool		at_end;
	bool		stopped;		/* ... because of an unfinished transaction */
	uint32		seq;
	int			index;
	BlockNumber extent_start;
	uint16		pos;
	bool		in_batch;
	BatchHead	batch;
	uint64		rest;			/* bytes of it from pos on */
	UnpackedBatch *unpacked;	/* of the newest compressed batch */
	bool		unpacking;		/* in_batch, and its records come from there */
	RecordOffset next_offset;	/* records below have been passed */
	VisibilityCache seen;

	/*
	 * For those that look again instead of failing: space that was reused reads
	 * as the end of the lane, and "overtaken" tells.
	 */
	bool		bears_overtaking;
	bool		overtaken;

	char	   *scratch;		/* a record that crosses pages */
	Size		scratch_size;
	char	   *copies[2];		/* key and value that needed a copy */
	Size		copy_size[2];
	PGAlignedBlock page;
};

/* Copies a page of the lane and makes it the present one. */
extern void reader_load_page(LaneReader *reader, uint32 seq, BlockNumber extent_start, int index);

static inline void
reader_bear_overtaking(LaneReader *reader, bool bear)
{
	reader->bears_overtaking = reader->map.bears_overtaking = bear;
}

/*
 * reader_find_anew: reads the lane's entry again after the reader was overtaken.  If
 * that was a compaction, all from position on stands elsewhere, at the same offsets;
 * else 72000.
 */
extern void reader_find_anew(LaneReader *reader, RecordOffset position);

/* Goes on to the page behind the present one; false if there is none. */
extern bool reader_next_page(LaneReader *reader);

/*
 * If the present page is the one with the log start, or one before it: goes to
 * the envelope at the log start.  Before that, batches may begin in space that is
 * not there any more.
 */
extern bool reader_at_start(LaneReader *reader);

/*
 * The present page begins within a batch: fetches the envelope from the page
 * where it stands, and leaves the reader at the page's start, in that batch.
 */
extern void reader_enter_continued_batch(LaneReader *reader);

/* Goes to the envelope of the batch that holds offset, or of an earlier one. */
extern void reader_seek_batch(LaneReader *reader, RecordOffset offset);

/*
 * trim.c: the envelope of the batch that holds place->start or comes next; at the log
 * end, the end of the last page.  Others append meanwhile, so that the end is
 * found by walking, too.
 */
typedef struct LanePlace
{
	RecordOffset start;
	uint32		seq;
	uint16		index;
	uint16		pos;
} LanePlace;

extern void reader_find_place(LaneReader *reader, LanePlace *place);

/* Leaves the present batch behind. */
extern void reader_skip_batch(LaneReader *reader);

/*
 * Judges the present batch.  True: its records are to be returned.  False: it
 * was skipped, or the reader is at its end, or (in_batch) was read afresh.
 */
extern bool reader_judge_batch(LaneReader *reader);

/* Goes to the next envelope, of whatever batch; false at the end. */
extern bool reader_next_envelope(LaneReader *reader);

/* Finds the next batch whose records are wanted, and goes behind its envelope. */
extern bool reader_next_batch(LaneReader *reader);

/*
 * The rest of the present batch in one piece, valid until the reader's next
 * step; the reader is behind the batch then.  NULL if it was overtaken.
 */
extern const char *reader_take_rest(LaneReader *reader);

/* ---------- unpack.c ---------- */

/* The next record of the present batch, a compressed one; false: leaves it. */
extern bool reader_next_unpacked(LaneReader *reader, DecodedRecord *decoded);

extern void reader_free_unpacked(LaneReader *reader);

#endif							/* PGTOPIC_LOG_READER_H */
