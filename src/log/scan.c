/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  The access method's scans: sequential, parallel, ANALYZE's sample, and
 *	  one row by its TID.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relscan.h"
#include "log/am.h"
#include "log/cursor.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct TopicScan
{
	TableScanDescData base;
	LogCursor  *cursor;			/* NULL for ANALYZE and TID scans */

	/* ANALYZE: the block being sampled */
	LaneReader *sample;
	int32		sample_lane;
	Snapshot	sample_snapshot;
	MemoryContext row_context;
} TopicScan;

typedef struct ParallelTopicScan
{
	ParallelTableScanDescData base;
	SharedCursor shared;
} ParallelTopicScan;

/* Rows that only some other kind of snapshot may judge are all shown to it. */
static LaneReadMode
read_mode(Snapshot snapshot)
{
	return IsMVCCSnapshot(snapshot) ? LANE_READ_SELECT : LANE_READ_ANY;
}

static LogCursor *
scan_cursor(Relation rel, Snapshot snapshot)
{
	LaneReadMode mode = read_mode(snapshot);

	return log_cursor_create(rel, mode == LANE_READ_ANY ? NULL : snapshot, mode);
}

static void
scan_start(TopicScan *scan)
{
	CursorBounds bounds;

	log_bounds_all(&bounds);
	log_bounds_limit(scan->base.rs_rd, scan->base.rs_snapshot, &bounds);
	log_cursor_start(scan->cursor, &bounds, false);
}

TableScanDesc
log_scan_begin(Relation rel, Snapshot snapshot, int nkeys,
			   struct ScanKeyData *key, ParallelTableScanDesc pscan, uint32 flags)
{
	TopicScan  *scan = palloc0(sizeof(TopicScan));

	/* keys come only with scans of catalogs */
	Assert(nkeys == 0);

	if (flags & SO_TYPE_SAMPLESCAN)
		log_refuse("TABLESAMPLE", HINT_TABLESAMPLE);

	RelationIncrementReferenceCount(rel);
	scan->base.rs_rd = rel;
	scan->base.rs_snapshot = snapshot;
	scan->base.rs_flags = flags;
	scan->base.rs_parallel = pscan;

	if (flags & SO_TYPE_ANALYZE)
	{
		/* ANALYZE brings no snapshot; a row counts if the command's sees it */
		scan->sample_snapshot = RegisterSnapshot(GetActiveSnapshot());
		scan->sample = lane_reader_create(rel, scan->sample_snapshot, LANE_READ_SELECT);
		scan->row_context = AllocSetContextCreate(CurrentMemoryContext,
												  "topic sample row",
												  ALLOCSET_SMALL_SIZES);
	}
	else if (flags & SO_TYPE_SEQSCAN)
	{
		scan->cursor = scan_cursor(rel, snapshot);
		if (pscan)
			log_cursor_share(scan->cursor, &((ParallelTopicScan *) pscan)->shared);
		scan_start(scan);
	}

	return (TableScanDesc) scan;
}

void
log_scan_end(TableScanDesc sscan)
{
	TopicScan  *scan = (TopicScan *) sscan;

	if (scan->cursor)
		log_cursor_free(scan->cursor);
	if (scan->sample)
	{
		lane_reader_free(scan->sample);
		UnregisterSnapshot(scan->sample_snapshot);
		MemoryContextDelete(scan->row_context);
	}
	if (scan->base.rs_flags & SO_TEMP_SNAPSHOT)
		UnregisterSnapshot(scan->base.rs_snapshot);
	RelationDecrementReferenceCount(scan->base.rs_rd);
	pfree(scan);
}

void
log_scan_rescan(TableScanDesc sscan, struct ScanKeyData *key, bool set_params,
				bool allow_strat, bool allow_sync, bool allow_pagemode)
{
	TopicScan  *scan = (TopicScan *) sscan;

	if (scan->cursor)
		scan_start(scan);
}

bool
log_scan_getnextslot(TableScanDesc sscan, ScanDirection direction,
					 TupleTableSlot *slot)
{
	return log_cursor_fetch(((TopicScan *) sscan)->cursor, direction, slot);
}

/* ---------- parallel ---------- */

Size
log_parallelscan_estimate(Relation rel)
{
	return sizeof(ParallelTopicScan);
}

Size
log_parallelscan_initialize(Relation rel, ParallelTableScanDesc pscan)
{
	ParallelScanSetRelation(pscan, rel);
	pscan->phs_syncscan = false;
	log_shared_cursor_init(&((ParallelTopicScan *) pscan)->shared);
	return sizeof(ParallelTopicScan);
}

void
log_parallelscan_reinitialize(Relation rel, ParallelTableScanDesc pscan)
{
	log_shared_cursor_init(&((ParallelTopicScan *) pscan)->shared);
}

/* ---------- ANALYZE ---------- */

/*
 * Makes a block of the file the one to sample.  False if it holds no messages:
 * it is free, trimmed, or belongs to the directory.
 */
bool
log_analyze_block(TableScanDesc sscan, BlockNumber blkno,
				  BufferAccessStrategy strategy)
{
	TopicScan  *scan = (TopicScan *) sscan;
	RecordOffset first;
	RecordOffset limit;

	if (!log_block_records(scan->base.rs_rd, blkno, strategy, scan->sample,
						   &scan->sample_lane, &first, &limit))
		return false;
	if (first >= limit || !lane_reader_enter(scan->sample, scan->sample_lane))
		return false;
	/* or from a block without a visible message we would go on to one that has */
	lane_reader_stop_at(scan->sample, limit);
	lane_reader_seek(scan->sample, first);
	return true;
}

/*
 * The next message of the block.  Those that no snapshot sees any more or yet
 * count as nothing: they are never removed one by one, so that "dead" rows
 * would only make autovacuum run for nothing.
 */
bool
log_scan_analyze_next_tuple(TableScanDesc sscan, TransactionId oldest_xmin,
							double *liverows, double *deadrows,
							TupleTableSlot *slot)
{
	TopicScan  *scan = (TopicScan *) sscan;
	LaneRecord	record;
	MemoryContext old;

	ExecClearTuple(slot);
	if (!lane_reader_next(scan->sample, &record))
		return false;

	MemoryContextReset(scan->row_context);
	old = MemoryContextSwitchTo(scan->row_context);
	log_fill_slot(slot, RelationGetRelid(scan->base.rs_rd),
				  scan->sample_lane, &record);
	MemoryContextSwitchTo(old);
	*liverows += 1;
	return true;
}

/* ---------- one row by TID ---------- */

/*
 * Reads the message at exactly this offset.  The slot gets a copy of its own,
 * because the reader goes away.
 */
static bool
fetch_record(Relation rel, Snapshot snapshot, int32 lane, RecordOffset offset,
			 TupleTableSlot *slot)
{
	LaneReadMode mode = read_mode(snapshot);
	LaneReader *reader;
	LaneRecord	record;
	bool		found;

	reader = lane_reader_create(rel, mode == LANE_READ_ANY ? NULL : snapshot, mode);
	found = lane_reader_enter(reader, lane);
	if (found)
	{
		lane_reader_seek(reader, offset);
		found = lane_reader_next(reader, &record) && record.offset == offset;
	}
	if (found && slot)
	{
		log_fill_slot(slot, RelationGetRelid(rel), lane, &record);
		ExecMaterializeSlot(slot);
	}
	lane_reader_free(reader);
	return found;
}

/*
 * log_tuple_fetch_row_version: TID scans bring an ordinary snapshot.
 * EvalPlanQual brings SnapshotAny for a row that its statement has seen, and
 * takes "not there" for a broken table: what a trim took away meanwhile has to
 * be said here.
 */
bool
log_tuple_fetch_row_version(Relation rel, ItemPointer tid, Snapshot snapshot,
							TupleTableSlot *slot)
{
	int32		lane;
	RecordOffset offset;

	ExecClearTuple(slot);
	if (log_decode_tid(rel, tid, &lane, &offset) &&
		fetch_record(rel, snapshot, lane, offset, slot))
		return true;

	if (read_mode(snapshot) == LANE_READ_ANY)
		ereport(ERROR,
				(errcode(ERRCODE_SNAPSHOT_TOO_OLD),
				 errmsg("message was removed from topic \"%s\" while a statement was using it",
						RelationGetRelationName(rel)),
				 errhint("Run the statement again.")));
	return false;
}

bool
log_tuple_satisfies_snapshot(Relation rel, TupleTableSlot *slot, Snapshot snapshot)
{
	int32		lane;
	RecordOffset offset;

	return log_decode_tid(rel, &slot->tts_tid, &lane, &offset) &&
		fetch_record(rel, snapshot, lane, offset, NULL);
}
