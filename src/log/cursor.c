/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  A position among the messages of a topic.
 *
 * A cursor stands on a message, before the first or after the last one.  It
 * visits lanes in ascending order, within a lane offsets in ascending order,
 * and backwards the same in reverse, so that FETCH BACKWARD returns exactly
 * what FETCH FORWARD has returned.
 *
 * In a parallel scan the processes claim extents from one shared counter.
 * Each works out a lane's extents for itself when it comes to the lane.  They
 * may find different ones, because the lane grows; but what the snapshot sees
 * lies in extents that existed when it was taken.  Compaction numbers extents
 * anew: all processes must see the same one of a lane.  And what was trimmed when
 * the first of them came to the lane is absent, as it is for any scan; but if it
 * was trimmed since, another process cannot read it, and must not skip it in
 * silence.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "log/cursor.h"
#include "log/reader.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/predicate.h"
#include "utils/datum.h"
#include "utils/memutils.h"

typedef enum CursorState
{
	CURSOR_BEFORE,
	CURSOR_INSIDE,
	CURSOR_AFTER
} CursorState;

struct LogCursor
{
	Relation	rel;
	Snapshot	snapshot;
	LaneReadMode mode;
	LaneReader *reader;
	SharedCursor *shared;
	bool		want_headers;
	CursorBounds bounds;

	CursorState state;
	int32		lane;			/* where we are; -1 = in none yet */
	bool		entered;		/* the reader is in that lane, and it is not
								 * exhausted */
	bool		placed;			/* ... and at lane_lower already */
	RecordOffset lane_lower;	/* bounds in this lane */
	RecordOffset lane_upper;
	RecordOffset offset;		/* of the message returned last */
	ScanDirection direction;	/* ... in this direction */

	/* backward: messages right below "offset", read ahead; see chunk_fill() */
	LaneRecord *chunk;			/* ring of CHUNK_RECORDS */
	uint64		chunk_first;	/* counts up; index is modulo CHUNK_RECORDS */
	uint64		chunk_end;
	Size		chunk_bytes;
	RecordOffset chunk_span;
	MemoryContext chunk_context;

	/* parallel: extents of the lane that are worth claiming */
	uint32		first_seq;
	uint32		end_seq;

	MemoryContext row_context;	/* headers of the present row */
};

LogCursor *
log_cursor_create(Relation rel, Snapshot snapshot, LaneReadMode mode)
{
	LogCursor  *cursor = palloc0(sizeof(LogCursor));

	cursor->rel = rel;
	cursor->snapshot = snapshot;
	cursor->mode = mode;
	cursor->reader = lane_reader_create(rel, snapshot, mode);
	cursor->want_headers = true;
	cursor->row_context = AllocSetContextCreate(CurrentMemoryContext,
												"topic scan row",
												ALLOCSET_DEFAULT_SIZES);
	return cursor;
}

void
log_cursor_free(LogCursor *cursor)
{
	lane_reader_free(cursor->reader);
	MemoryContextDelete(cursor->row_context);
	if (cursor->chunk)
	{
		MemoryContextDelete(cursor->chunk_context);
		pfree(cursor->chunk);
	}
	pfree(cursor);
}

void
log_cursor_want(LogCursor *cursor, bool key, bool value, bool headers)
{
	lane_reader_want(cursor->reader, key, value);
	cursor->want_headers = headers;
}

void
log_cursor_share(LogCursor *cursor, SharedCursor *shared)
{
	cursor->shared = shared;
}

void
log_shared_cursor_init(SharedCursor *shared)
{
	pg_atomic_init_u64(&shared->next, 0);
	for (int i = 0; i < LOG_MAX_LANES; i++)
	{
		pg_atomic_init_u64(&shared->generations[i], 0);
		pg_atomic_init_u64(&shared->firsts[i], 0);
	}
}

#define SHARED_NOTED	(UINT64CONST(1) << 32)

/* Notes a value for a lane, unless another process has done so; returns what is noted. */
static uint32
shared_note(pg_atomic_uint64 *word, uint32 value)
{
	uint64		present = 0;

	if (pg_atomic_compare_exchange_u64(word, &present, SHARED_NOTED | value))
		return value;
	return (uint32) present;
}

/*
 * Makes sure that every process of the scan sees the lane as compacted by the
 * same compaction: the first one that enters it says by which.
 */
static void
shared_check_generation(SharedCursor *shared, LogCursor *cursor, int32 lane)
{
	uint32		generation = cursor->reader->map.entry.generation;

	if (shared_note(&shared->generations[lane], generation) != generation)
		ereport(ERROR,
				(errcode(ERRCODE_SNAPSHOT_TOO_OLD),
				 errmsg("partition %d of topic \"%s\" was compacted while it was read",
						lane, RelationGetRelationName(cursor->rel)),
				 errhint("Run the statement again.")));
}

/*
 * Makes sure that this process can read the extent it has claimed, if the first
 * process that entered the lane could.
 */
static void
shared_check_trimmed(SharedCursor *shared, LogCursor *cursor, int32 lane, uint32 seq)
{
	LaneMap    *map = &cursor->reader->map;
	RecordOffset log_start = (RecordOffset) map->entry.log_start;
	uint32		mine = log_start < (RecordOffset) map->entry.clean_end ?
		map->first_seq : map->entry.trim_seq;
	uint64		first = pg_atomic_read_u64(&shared->firsts[lane]);
	bool		trimmed = seq < mine;

	if (first == 0 || seq < (uint32) first || mine <= (uint32) first)
		return;
	if (seq == mine)
	{
		DirEntry	extent;

		directory_extent(map, seq, &extent);
		trimmed = (RecordOffset) extent.first_offset < log_start;
	}
	if (trimmed)
		ereport(ERROR,
				(errcode(ERRCODE_SNAPSHOT_TOO_OLD),
				 errmsg("partition %d of topic \"%s\" was trimmed while it was read",
						lane, RelationGetRelationName(cursor->rel)),
				 errdetail("The log start offset is %lld now.", (long long) log_start),
				 errhint("Run the statement again.")));
}

void
log_bounds_all(CursorBounds *bounds)
{
	bounds->first_lane = 0;
	bounds->lane_limit = LOG_MAX_LANES;
	bounds->lanes = NULL;
	bounds->lower = 0;
	bounds->upper = PG_INT64_MAX;
	bounds->min_timestamp = PG_INT64_MIN;
}

/*
 * Few lanes are entered without asking whether they exist.  What is not
 * entered, SSI has to know of, too.
 */
void
log_bounds_limit(Relation rel, Snapshot snapshot, CursorBounds *bounds)
{
	if (bounds->lanes != NULL || bounds->lane_limit - bounds->first_lane <= 1)
		return;
	PredicateLockRelation(rel, snapshot);
	bounds->lane_limit = Min(bounds->lane_limit, log_lane_limit(rel));
}

void
log_cursor_start(LogCursor *cursor, const CursorBounds *bounds, bool at_end)
{
	cursor->bounds = *bounds;
	cursor->state = at_end ? CURSOR_AFTER : CURSOR_BEFORE;
	cursor->lane = -1;
	cursor->entered = false;
	cursor->direction = ForwardScanDirection;
	pgstat_count_heap_scan(cursor->rel);
}

/* The first lane within the bounds that comes after "lane", or -1. */
static int32
next_lane(const CursorBounds *bounds, int32 lane)
{
	lane = Max(lane + 1, bounds->first_lane);
	if (bounds->lanes)
		lane = bms_next_member(bounds->lanes, lane - 1);
	return lane >= 0 && lane < bounds->lane_limit ? lane : -1;
}

/* The last lane within the bounds that comes before "lane", or -1. */
static int32
previous_lane(const CursorBounds *bounds, int32 lane)
{
	lane = Min(lane, bounds->lane_limit);
	if (bounds->lanes == NULL)
		lane--;
	else if (lane < bounds->lanes->nwords * BITS_PER_BITMAPWORD)
		lane = bms_prev_member(bounds->lanes, lane);
	else
		lane = bms_prev_member(bounds->lanes, -1);	/* it reads no further than the set */
	return lane >= bounds->first_lane ? lane : -1;
}

/* ---------- backwards ---------- */

/*
 * Batches can only be read forwards, so that going back one message costs as
 * much as reading the page.  Therefore a chunk of messages is read and copied,
 * and then returned from its end.
 */
#define CHUNK_RECORDS		256
#define CHUNK_BYTES			(1024 * 1024)
#define CHUNK_SPAN_FIRST	16
#define CHUNK_SPAN_MAX		(1024 * 1024)

static void
chunk_reset(LogCursor *cursor)
{
	if (cursor->chunk == NULL)
		return;
	MemoryContextReset(cursor->chunk_context);
	cursor->chunk_first = cursor->chunk_end = 0;
	cursor->chunk_bytes = 0;
}

static void
chunk_drop_first(LogCursor *cursor)
{
	LaneRecord *record = &cursor->chunk[cursor->chunk_first++ % CHUNK_RECORDS];

	cursor->chunk_bytes -= record->size;
	if (record->key)
		pfree(record->key);
	if (record->value)
		pfree(record->value);
	if (record->nheaders > 0)
		pfree((char *) record->headers.data);
}

/* Adds a copy; what is too much falls out at the front. */
static void
chunk_add(LogCursor *cursor, const LaneRecord *record)
{
	LaneRecord *copy;

	while (cursor->chunk_first < cursor->chunk_end &&
		   (cursor->chunk_end - cursor->chunk_first == CHUNK_RECORDS ||
			cursor->chunk_bytes + record->size > CHUNK_BYTES))
		chunk_drop_first(cursor);

	copy = &cursor->chunk[cursor->chunk_end++ % CHUNK_RECORDS];
	*copy = *record;
	cursor->chunk_bytes += record->size;
	if (record->key)
		copy->key = (struct varlena *) DatumGetPointer(datumCopy(PointerGetDatum(record->key), false, -1));
	if (record->value)
		copy->value = (struct varlena *) DatumGetPointer(datumCopy(PointerGetDatum(record->value), false, -1));
	if (record->nheaders > 0)
	{
		char	   *headers = palloc(record->headers.length);

		memcpy(headers, record->headers.data, record->headers.length);
		copy->headers.data = headers;
	}
}

/*
 * Reads the last messages below "limit", within the lane's bounds; false if
 * there are none.  Where messages are sparse, because others were compacted
 * away or rolled back, longer and longer ranges are tried.
 */
static bool
chunk_fill(LogCursor *cursor, RecordOffset limit)
{
	MemoryContext old;

	if (cursor->chunk == NULL)
	{
		cursor->chunk = MemoryContextAlloc(GetMemoryChunkContext(cursor),
										   CHUNK_RECORDS * sizeof(LaneRecord));
		cursor->chunk_context = AllocSetContextCreate(GetMemoryChunkContext(cursor),
													  "topic scan backward",
													  ALLOCSET_DEFAULT_SIZES);
	}
	chunk_reset(cursor);

	old = MemoryContextSwitchTo(cursor->chunk_context);
	while (cursor->chunk_end == 0 && limit > cursor->lane_lower)
	{
		LaneRecord	record;
		RecordOffset from = Max(cursor->lane_lower, limit - cursor->chunk_span);

		lane_reader_seek(cursor->reader, from);
		while (lane_reader_next(cursor->reader, &record) && record.offset < limit)
			chunk_add(cursor, &record);
		if (cursor->chunk_first > 0)
			cursor->chunk_span = Max(cursor->chunk_span / 4, 1);
		else if (cursor->chunk_end < CHUNK_RECORDS / 2)
			cursor->chunk_span = Min(cursor->chunk_span * 4, CHUNK_SPAN_MAX);
		limit = from;
	}
	MemoryContextSwitchTo(old);
	return cursor->chunk_end > 0;
}

/* The last message of the lane below "limit" and within its bounds. */
static bool
cursor_before(LogCursor *cursor, RecordOffset limit, LaneRecord *record)
{
	if (cursor->chunk_first == cursor->chunk_end && !chunk_fill(cursor, limit))
		return false;
	*record = cursor->chunk[--cursor->chunk_end % CHUNK_RECORDS];
	cursor->chunk_bytes -= record->size;
	return true;
}

/* ---------- moving ---------- */

/*
 * Enters a lane and works out which part of it lies within the bounds.  False
 * if none does.
 */
static bool
cursor_enter(LogCursor *cursor, int32 lane)
{
	LaneInfo	info;

	CHECK_FOR_INTERRUPTS();

	cursor->lane = lane;
	cursor->entered = false;
	chunk_reset(cursor);
	cursor->chunk_span = CHUNK_SPAN_FIRST;
	if (!lane_reader_enter(cursor->reader, lane))
		return false;
	lane_reader_bounds(cursor->reader, &info);
	cursor->lane_lower = Max(cursor->bounds.lower, info.log_start);
	cursor->lane_upper = Min(cursor->bounds.upper, info.log_end);
	if (cursor->lane_lower >= cursor->lane_upper)
		return false;

	cursor->placed = false;
	if (cursor->bounds.min_timestamp > PG_INT64_MIN)
	{
		RecordOffset at = lane_reader_seek_time(cursor->reader,
												cursor->bounds.min_timestamp);

		if (at < 0 || at >= cursor->lane_upper)
			return false;
		if (at >= cursor->lane_lower)
		{
			cursor->lane_lower = at;
			cursor->placed = true;
		}
	}

	cursor->end_seq = info.next_seq;
	cursor->entered = true;
	return true;
}

static bool
cursor_forward(LogCursor *cursor, LaneRecord *record)
{
	if (cursor->state == CURSOR_AFTER)
		return false;
	if (cursor->state == CURSOR_BEFORE)
	{
		cursor->lane = -1;
		cursor->entered = false;
		cursor->state = CURSOR_INSIDE;
	}
	else if (cursor->entered && cursor->direction == BackwardScanDirection)
	{
		chunk_reset(cursor);
		lane_reader_seek(cursor->reader, cursor->offset + 1);
	}
	cursor->direction = ForwardScanDirection;

	for (;;)
	{
		int32		lane;

		if (cursor->entered)
		{
			if (lane_reader_next(cursor->reader, record) &&
				record->offset < cursor->lane_upper)
				return true;
			cursor->entered = false;
		}

		lane = next_lane(&cursor->bounds, cursor->lane);
		if (lane < 0)
			break;
		if (cursor_enter(cursor, lane) && !cursor->placed)
			lane_reader_seek(cursor->reader, cursor->lane_lower);
	}

	cursor->state = CURSOR_AFTER;
	return false;
}

static bool
cursor_backward(LogCursor *cursor, LaneRecord *record)
{
	if (cursor->state == CURSOR_BEFORE)
		return false;
	if (cursor->state == CURSOR_AFTER)
	{
		cursor->lane = cursor->bounds.lane_limit;
		cursor->entered = false;
		cursor->state = CURSOR_INSIDE;
	}
	cursor->direction = BackwardScanDirection;

	for (;;)
	{
		int32		lane;

		if (cursor->entered)
		{
			if (cursor_before(cursor, cursor->offset, record))
				return true;
			cursor->entered = false;
		}

		lane = previous_lane(&cursor->bounds, cursor->lane);
		if (lane < 0)
			break;
		if (cursor_enter(cursor, lane))
			cursor->offset = Min(cursor->lane_upper, lane_reader_log_end(cursor->reader));
	}

	cursor->state = CURSOR_BEFORE;
	return false;
}

/* Moves the shared counter to an extent unless it is past it. */
static void
shared_advance(SharedCursor *shared, int32 lane, uint32 seq)
{
	uint64		target = ((uint64) lane << 32) | seq;
	uint64		present = pg_atomic_read_u64(&shared->next);

	while (present < target &&
		   !pg_atomic_compare_exchange_u64(&shared->next, &present, target))
		 /* present was updated */ ;
}

/*
 * Claims the next extent and confines the reader to it; false when all are
 * handed out.
 */
static bool
cursor_claim(LogCursor *cursor)
{
	SharedCursor *shared = cursor->shared;

	for (;;)
	{
		uint64		claim = pg_atomic_fetch_add_u64(&shared->next, 1);
		int32		lane = (int32) (claim >> 32);
		uint32		seq = (uint32) claim;
		int32		wanted = next_lane(&cursor->bounds, lane - 1);

		if (wanted < 0)
			return false;
		if (wanted != lane)
		{
			shared_advance(shared, wanted, 0);
			continue;
		}

		if (lane != cursor->lane && cursor_enter(cursor, lane))
		{
			uint32		first;

			/* no message within the bounds starts before this extent */
			lane_reader_seek(cursor->reader, cursor->lane_lower);
			shared_check_generation(shared, cursor, lane);
			first = shared_note(&shared->firsts[lane], cursor->reader->seq);
			cursor->first_seq = Max(cursor->reader->seq, first);
		}
		shared_check_trimmed(shared, cursor, lane, seq);

		if (!cursor->entered || seq >= cursor->end_seq)
		{
			shared_advance(shared, lane + 1, 0);
			continue;
		}
		if (seq < cursor->first_seq)
		{
			shared_advance(shared, lane, cursor->first_seq);
			continue;
		}

		lane_reader_set_extent(cursor->reader, seq);
		return true;
	}
}

static bool
cursor_parallel(LogCursor *cursor, LaneRecord *record)
{
	if (cursor->state == CURSOR_AFTER)
		return false;
	if (cursor->state == CURSOR_BEFORE)
	{
		cursor->state = CURSOR_INSIDE;
		if (!cursor_claim(cursor))
		{
			cursor->state = CURSOR_AFTER;
			return false;
		}
	}

	for (;;)
	{
		while (lane_reader_next(cursor->reader, record))
		{
			if (record->offset >= cursor->lane_upper)
			{
				/* nor do later extents of this lane hold anything */
				shared_advance(cursor->shared, cursor->lane + 1, 0);
				break;
			}
			if (record->offset >= cursor->lane_lower)
				return true;
		}
		if (!cursor_claim(cursor))
		{
			cursor->state = CURSOR_AFTER;
			return false;
		}
	}
}

bool
log_cursor_fetch(LogCursor *cursor, ScanDirection direction, TupleTableSlot *slot)
{
	LaneRecord	record;
	MemoryContext old;
	bool		found;

	if (cursor->shared)
		found = cursor_parallel(cursor, &record);
	else if (ScanDirectionIsForward(direction))
		found = cursor_forward(cursor, &record);
	else if (ScanDirectionIsBackward(direction))
		found = cursor_backward(cursor, &record);
	else
		found = false;
	if (!found)
	{
		ExecClearTuple(slot);
		return false;
	}

	cursor->offset = record.offset;
	if (!cursor->want_headers)
		record.nheaders = 0;
	if (record.nheaders == 0)
		log_fill_slot(slot, RelationGetRelid(cursor->rel), cursor->lane, &record);
	else
	{
		MemoryContextReset(cursor->row_context);
		old = MemoryContextSwitchTo(cursor->row_context);
		log_fill_slot(slot, RelationGetRelid(cursor->rel), cursor->lane, &record);
		MemoryContextSwitchTo(old);
	}

	pgstat_count_heap_getnext(cursor->rel);
	return true;
}
