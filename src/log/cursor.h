/*-------------------------------------------------------------------------
 *
 * cursor.h
 *	  A position among the messages of a topic, over all lanes or some of
 *	  them, that moves forwards and backwards.  Inside the log room only: the
 *	  access method's scan and the custom scan both are cursors.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_CURSOR_H
#define PGTOPIC_LOG_CURSOR_H

#include "access/sdir.h"
#include "log/log.h"
#include "nodes/bitmapset.h"
#include "port/atomics.h"

/*
 * What to read.  A message outside is not returned; of min_timestamp only the
 * beginning of each lane takes notice, because timestamps do not ascend.
 */
typedef struct CursorBounds
{
	int32		first_lane;
	int32		lane_limit;		/* exclusive */
	Bitmapset  *lanes;			/* of these only, unless NULL */
	RecordOffset lower;			/* inclusive */
	RecordOffset upper;			/* exclusive */
	int64		min_timestamp;	/* ms; PG_INT64_MIN = from the log start */
} CursorBounds;

/*
 * What the processes of a parallel scan share: the next extent to hand out,
 * lane << 32 | sequence number, which only ever grows; and of each lane how the
 * first process that entered it saw it, with bit 32 set: its generation, and its
 * first extent to read.  For all lanes, because a process may be late: it comes to
 * its lane when the others are anywhere behind it.
 */
typedef struct SharedCursor
{
	pg_atomic_uint64 next;
	pg_atomic_uint64 generations[LOG_MAX_LANES];
	pg_atomic_uint64 firsts[LOG_MAX_LANES];
} SharedCursor;

typedef struct LogCursor LogCursor;

extern LogCursor *log_cursor_create(Relation rel, Snapshot snapshot, LaneReadMode mode);
extern void log_cursor_free(LogCursor *cursor);

/* Which columns the caller will look at; all by default. */
extern void log_cursor_want(LogCursor *cursor, bool key, bool value, bool headers);

/* Makes the cursor one of the processes of a parallel scan; forward only. */
extern void log_cursor_share(LogCursor *cursor, SharedCursor *shared);

/* Everything; then, when the caller has narrowed it, only lanes that exist. */
extern void log_bounds_all(CursorBounds *bounds);
extern void log_bounds_limit(Relation rel, Snapshot snapshot,
							 CursorBounds *bounds);

/*
 * log_cursor_start: before the first message within the bounds, or behind the
 * last.  The bounds are copied, but for the set of lanes.
 */
extern void log_cursor_start(LogCursor *cursor, const CursorBounds *bounds,
							 bool at_end);

/*
 * log_cursor_fetch: moves by one message and puts it into the slot; false at
 * the end.  The slot's bytes are good until the next call.
 */
extern bool log_cursor_fetch(LogCursor *cursor, ScanDirection direction,
							 TupleTableSlot *slot);

extern void log_shared_cursor_init(SharedCursor *shared);

#endif							/* PGTOPIC_LOG_CURSOR_H */
