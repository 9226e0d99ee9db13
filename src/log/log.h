/*-------------------------------------------------------------------------
 *
 * log.h
 *	  The door of the log room: append-only lanes inside one relation.
 *
 * A lane is an ordered log of records, the storage of one partition.  This
 * room knows bytes, pages, offsets and transactions; it knows nothing of
 * topics' settings, of keys' meaning or of groups.
 *
 * Unless said otherwise a function takes an open relation of access method
 * "topic" on which the caller holds at least AccessShareLock (readers) or
 * RowExclusiveLock (writers), takes buffer locks for short moments, and may
 * throw the usual I/O errors.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_H
#define PGTOPIC_LOG_H

#include "access/tableam.h"
#include "access/transam.h"
#include "log/record.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

/* Position of a record in its lane.  Never negative. */
typedef int64 RecordOffset;

#define LOG_MAX_LANES			16384

/* Columns of a topic, in order. */
#define TOPIC_NATTS				6
typedef enum TopicColumn
{
	TOPIC_COL_PARTITION = 1,
	TOPIC_COL_LOG_OFFSET,
	TOPIC_COL_TIMESTAMP,
	TOPIC_COL_KEY,
	TOPIC_COL_VALUE,
	TOPIC_COL_HEADERS
} TopicColumn;

/* ---------- init.c: once, from _PG_init ---------- */

/* Registers the resource manager, the custom scan and its planner hook. */
extern void log_init(void);

/*
 * log_check_writable: refuses to write without the resource manager (55000,
 * with a hint what to set), in a read-only transaction and during recovery
 * (25006).  "what" names the operation in the message, such as "INSERT".
 * Every writer calls it before it changes anything.
 */
extern void log_check_writable(const char *what);

/* Whether shared_preload_libraries loaded us. */
extern bool log_is_preloaded(void);

/* ---------- timestamps ---------- */

/* Between ms since 1970 (Kafka's) and timestamptz; the log stores the former. */
extern TimestampTz log_timestamp_to_tz(int64 ms);
extern int64 log_timestamp_from_tz(TimestampTz tz); /* truncates to ms */

/* ---------- directory.c: what a lane looks like ---------- */

typedef struct LaneInfo
{
	RecordOffset log_start;
	RecordOffset log_end;		/* offset that the next message gets */
	RecordOffset frozen_upto;
	uint32		head_seq;		/* extents [head_seq, next_seq) */
	uint32		next_seq;
	uint32		leader_epoch;	/* of the newest page */
} LaneInfo;

/*
 * log_lane_info: the present bounds of a lane.  A lane that was never written
 * has log_start = log_end = 0.  Reads two or three pages.
 */
extern void log_lane_info(Relation rel, int32 lane, LaneInfo *info);

/* One past the highest lane that may hold anything. */
extern int32 log_lane_limit(Relation rel);

/* Lanes that restored rows have called for; partitions are never fewer. */
extern int32 log_min_partitions(Relation rel);

/* Raises log_min_partitions.  Not undone by ROLLBACK.  WAL-logged. */
extern void log_set_min_partitions(Relation rel, int32 partitions);

/*
 * log_begin_at: a lane that was never written begins at this offset; one that
 * was is left alone.  For restoring.  Not undone by ROLLBACK.  WAL-logged.
 */
extern void log_begin_at(Relation rel, int32 lane, RecordOffset offset);

/* The topic's permanent identity; survives TRUNCATE and VACUUM FULL. */
extern void log_uuid(Relation rel, pg_uuid_t *uuid);

/*
 * log_stable_offset: the LSO, first offset whose transaction the snapshot
 * holds in progress (the caller's own counts as in progress); log_end if none.
 */
extern RecordOffset log_stable_offset(Relation rel, int32 lane, Snapshot snapshot);

/*
 * log_offsets: the bounds of a lane as one snapshot has them.  at: the first
 * offset in [log_start, stable) of a committed record whose timestamp is at
 * least *ms (ms since 1970); -1 if there is none, or if ms is NULL.  Reads
 * O(log n) pages.
 */
typedef struct LaneOffsets
{
	RecordOffset log_start;
	RecordOffset stable;		/* as log_stable_offset() */
	RecordOffset log_end;
	RecordOffset at;
} LaneOffsets;

extern void log_offsets(Relation rel, int32 lane, Snapshot snapshot, const int64 *ms,
						LaneOffsets *offsets);

/*
 * log_trim: moves the log start to "before" (never back, never past the first
 * unfinished transaction of "snapshot").  WAL-logged, not undone by ROLLBACK.
 * Returns the log start now in force.
 */
extern RecordOffset log_trim(Relation rel, int32 lane, RecordOffset before,
							 Snapshot snapshot);

/* Somebody who has not read yet what is at or past an offset. */
typedef struct LogFloor
{
	RecordOffset offset;
	int64		max_bytes;		/* what the lane may keep for him; -1 = no cap */
} LogFloor;

/*
 * What may go from the head of a lane.  Retention takes whole extents, and
 * never one that holds an unfinished transaction; snapshots do not hold it back.
 */
typedef struct LogRetention
{
	int64		oldest_ms;		/* extents without a message at or after this
								 * (ms since 1970); PG_INT64_MIN = for ever */
	int64		max_bytes;		/* extents without which the lane still is as
								 * large; -1 = no limit */
	int			nfloors;		/* but no extent that one of these needs, unless
								 * the lane without it is as large as his cap */
	LogFloor   *floors;			/* palloc'd */
} LogRetention;

/*
 * log_retention_hook: what is in force for a lane; false if nothing ever goes.
 * Set by the topic room, which knows the settings; the group room puts itself
 * in front for the floors.  Called by whoever opens an extent, at PRE_COMMIT at the
 * latest and with the lane's lock held: it must not wait for other transactions.
 */
typedef bool (*log_retention_hook_type) (Relation rel, int32 lane, LogRetention *retention);
extern log_retention_hook_type log_retention_hook;

/*
 * log_apply_retention: applies what the hook says to a lane, for lanes to which nothing
 * is appended; in a transaction.  WAL-logged, not undone by ROLLBACK.  Returns the log start.
 */
extern RecordOffset log_apply_retention(Relation rel, int32 lane);

/* ---------- append.c ---------- */

/* One batch to append.  The caller fills in the first part. */
typedef struct AppendBatch
{
	Batch	   *batch;
	TransactionId xid;			/* of the subtransaction level it belongs to */
	CommandId	cid;			/* of the newest command in it */
	bool		log_append_time;	/* stamp with the time of appending */
	int			codec;			/* to compress it with, where that saves; 0: none */
	RecordOffset at_offset;		/* -1: the log end; else at this offset, which
								 * must be at or past the log end (22023) */
	RecordOffset expected_offset;	/* -1: any; else the log end must be this
									 * when the batch is appended (40001) */

	RecordOffset base_offset;	/* out: offset of the first record */
} AppendBatch;

/*
 * log_append: appends batches to one lane, in order, and WAL-logs them.  Each
 * is stamped with its xid; none is visible before that commits.  Creates the
 * lane if need be.
 *
 * Locks: the tail page's buffer for what fits into one WAL record; beyond
 * that the lane's heavyweight lock (LOCKTAG_PAGE of the relation, block number
 * = lane), released before it returns.  It waits for it with cancel in force.
 * Call it for lanes in ascending order and never inside a critical section.
 *
 * Errors: what I/O throws (53100 when the disk is full); then what was
 * written of the batches is dead with the transaction, and the lane is sound.
 */
extern void log_append(Relation rel, int32 lane, AppendBatch *batches, int nbatches);

/* Error 40001: a message expects another offset than "next", which it would get. */
extern void log_refuse_expected(Relation rel, int32 lane, RecordOffset expected,
								RecordOffset next);

/*
 * log_own_appends: whether this transaction has appended to the relation.
 */
extern bool log_own_appends(Relation rel);

/* End of (sub)transactions: forgets what own_appends remember. */
extern void log_at_eoxact(void);

/* ---------- reader.c ---------- */

/* Which batches a reader returns. */
typedef enum LaneReadMode
{
	LANE_READ_SELECT,			/* all that the snapshot sees, own included */
	LANE_READ_FETCH,			/* stops at the first batch in progress or own */
	LANE_READ_ANY				/* what is committed by now, and own; without a
								 * snapshot */
} LaneReadMode;

/* A record as a reader returns it; valid until the reader's next call. */
typedef struct LaneRecord
{
	RecordOffset offset;
	int64		timestamp;		/* ms since 1970 */
	struct varlena *key;		/* a bytea, or NULL */
	struct varlena *value;		/* a bytea, or NULL */
	int32		nheaders;
	RecordBytes headers;		/* for record_next_header() */
	int32		size;			/* encoded bytes, for max_bytes */
	TransactionId xid;			/* InvalidTransactionId when frozen */
} LaneRecord;

typedef struct LaneReader LaneReader;

/*
 * lane_reader_create: a reader in the current memory context for one lane
 * after another.  No pins or locks are held between calls.  The snapshot must
 * stay registered or active while the reader lives; NULL for LANE_READ_ANY.
 */
extern LaneReader *lane_reader_create(Relation rel, Snapshot snapshot, LaneReadMode mode);
extern void lane_reader_free(LaneReader *reader);

/* Which columns to decode; all by default.  Keys and values cost a copy. */
extern void lane_reader_want(LaneReader *reader, bool key, bool value);

/*
 * lane_reader_enter: goes to a lane and takes its log start as of now: records
 * below it are absent from here on.  Positions at log_start.  Returns false
 * for an empty lane.
 */
extern bool lane_reader_enter(LaneReader *reader, int32 lane);

/*
 * lane_reader_log_end: the lane's log end as of now; from here on the reader
 * ends there.  Without it, a reader ends with the last extent that there was
 * when it entered: what is in later ones no snapshot taken before can see.
 */
extern RecordOffset lane_reader_log_end(LaneReader *reader);

/* The bounds as of enter; log_end is PG_INT64_MAX unless it was asked for. */
extern void lane_reader_bounds(LaneReader *reader, LaneInfo *info);

/* The next record returned is the first visible one at or past "offset". */
extern void lane_reader_seek(LaneReader *reader, RecordOffset offset);

/*
 * lane_reader_seek_time: the next record returned is the first visible one of
 * the page where timestamps first reach ms (ms since 1970).  Returns an offset
 * below which no record is that late; -1 if none in the lane is.
 */
extern RecordOffset lane_reader_seek_time(LaneReader *reader, int64 ms);

/*
 * lane_reader_next: the next visible record, or false at the end of the lane
 * (as of enter) or, in LANE_READ_FETCH, at the first unfinished transaction.
 * Checks for interrupts at every page.  Errors: 72000 if the log start has
 * overtaken the reader and its space was reused; XX001 for corrupted pages.
 */
extern bool lane_reader_next(LaneReader *reader, LaneRecord *record);

/* Until the next enter, reads nothing at or past this offset. */
extern void lane_reader_stop_at(LaneReader *reader, RecordOffset offset);

/* Where the next lane_reader_next() will look; moves past invisible ones. */
extern RecordOffset lane_reader_position(LaneReader *reader);

/* Restricts the reader to records that start in one extent (parallel scan). */
extern void lane_reader_set_extent(LaneReader *reader, uint32 seq);

/* ---------- compact.c ---------- */

typedef struct LogCompaction
{
	int64		now;			/* ms since 1970 */
	int64		min_lag_ms;		/* younger messages stay, and count for nothing */
	int64		delete_retention_ms;	/* how long tombstones stay */
	double		min_dirty_ratio;	/* lanes of which less is not compacted yet are
									 * left alone; 0: none is */
	Size		memory;			/* for keys; several passes are made if need be */
	int64		bytes_per_second;	/* read and written; 0 = no limit */
	/* told of bytes done, now and then; false stops it */
	bool		(*progress) (void *arg, int32 lane, int64 done, int64 total);
	void	   *arg;

	/* out */
	int64		passes;
	int64		removed;		/* messages */
	int64		bytes_before;	/* of what was compacted, and what it has become */
	int64		bytes_after;
} LogCompaction;

/*
 * log_compact: compacts the lanes of a topic: of the messages with the same key
 * only the newest stays, offsets and order do.  Those without a key go.  Not undone
 * by ROLLBACK.  WAL-logged.
 *
 * Locks: the caller holds ShareUpdateExclusiveLock.  Producers and readers go on;
 * for the moment of a swap it takes the lane's lock.
 */
extern void log_compact(Relation rel, LogCompaction *params);

/* ---------- verify.c ---------- */

/*
 * log_verify: checks pages, extents, offsets, counts and CRCs of every lane up
 * to its log end, and calls report(arg, finding) for each thing that is wrong.
 * Takes no lock beyond the caller's; producers may go on.
 */
extern void log_verify(Relation rel, void (*report) (void *arg, const char *finding), void *arg);

/* ---------- am.c: what the producer gives to the access method ---------- */

/*
 * Called for INSERT and COPY: rows to append, in order; slots have the topic's
 * six columns.  The handler may write columns and the TID of a slot for
 * RETURNING.  Set by the producer room, which lies above this one.
 */
typedef void (*log_insert_handler_type) (Relation rel, TupleTableSlot **slots,
										 int nslots, CommandId cid);
extern log_insert_handler_type log_insert_handler;

/* TIDs are logical: lane and offset modulo 2^33. */
extern void log_encode_tid(int32 lane, RecordOffset offset, ItemPointer tid);

/* Fills a slot of a topic from a record; bytes are shared with the record. */
extern void log_fill_slot(TupleTableSlot *slot, Oid tableoid, int32 lane,
						  const LaneRecord *record);

/* The headers of a record as topic.header[], in the current memory context. */
extern Datum log_headers_datum(RecordBytes headers, int32 nheaders, bool *isnull);

#endif							/* PGTOPIC_LOG_H */
