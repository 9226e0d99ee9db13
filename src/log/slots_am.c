/*-------------------------------------------------------------------------
 *
 * slots_am.c
 *	  Table access method "topic_slots": slots as rows that only the extension
 *	  writes.
 *
 * A row is what slot_read() would find: committed values as of now, whatever
 * the snapshot.  Its TID is the slot's place.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/multixact.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "catalog/storage.h"
#include "commands/vacuum.h"
#include "log/am.h"
#include "log/slots_rel.h"
#include "nodes/execnodes.h"
#include "pgstat.h"
#include "utils/snapmgr.h"

#define SLOTS_NATTS		5

static const Oid slots_columns[SLOTS_NATTS] = {INT8OID, INT8OID, INT8OID, INT8OID, XIDOID};

static void slots_refuse(const char *what) pg_attribute_noreturn();

static void
slots_refuse(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not supported for tables of access method \"topic_slots\"", what),
			 errhint("Committed offsets are written by topic.commit() and topic.reset_offsets() only.")));
}

/* Anybody may name the access method in CREATE TABLE. */
static void
check_columns(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	bool		same = (desc->natts == SLOTS_NATTS);

	for (int i = 0; same && i < SLOTS_NATTS; i++)
		same = TupleDescAttr(desc, i)->atttypid == slots_columns[i];
	if (!same)
		slots_refuse("a table with columns like these");
}

/* ---------- scans ---------- */

typedef struct SlotsScan
{
	TableScanDescData base;
	BlockNumber nblocks;		/* when the scan began */
	BlockNumber block;			/* that "page" holds, or InvalidBlockNumber */
	int64		position;		/* row last looked at, over all blocks; -1 before */
	int			index;			/* parallel scan, ANALYZE: next row of the page */
	ParallelBlockTableScanWorkerData worker;
	SlotsPage	page;
} SlotsScan;

static void
load_block(SlotsScan *scan, BlockNumber block, BufferAccessStrategy strategy)
{
	CHECK_FOR_INTERRUPTS();
	slots_read_page(scan->base.rs_rd, block, strategy, &scan->page);
	scan->block = block;
}

static void
scan_restart(SlotsScan *scan)
{
	ParallelBlockTableScanDesc shared = (ParallelBlockTableScanDesc) scan->base.rs_parallel;

	scan->nblocks = RelationGetNumberOfBlocks(scan->base.rs_rd);
	scan->block = InvalidBlockNumber;
	scan->position = -1;
	scan->index = SLOTS_PER_PAGE;
	if (shared != NULL)
		table_block_parallelscan_startblock_init(scan->base.rs_rd, &scan->worker, shared);
}

static TableScanDesc
slots_scan_begin(Relation rel, Snapshot snapshot, int nkeys, struct ScanKeyData *key,
				 ParallelTableScanDesc pscan, uint32 flags)
{
	SlotsScan  *scan;

	if (flags & SO_TYPE_SAMPLESCAN)
		slots_refuse("TABLESAMPLE");
	check_columns(rel);

	scan = palloc0(sizeof(SlotsScan));
	RelationIncrementReferenceCount(rel);
	scan->base.rs_rd = rel;
	scan->base.rs_snapshot = snapshot;
	scan->base.rs_flags = flags;
	scan->base.rs_parallel = pscan;
	scan_restart(scan);
	return (TableScanDesc) scan;
}

static void
slots_scan_end(TableScanDesc sscan)
{
	if (sscan->rs_flags & SO_TEMP_SNAPSHOT)
		UnregisterSnapshot(sscan->rs_snapshot);
	RelationDecrementReferenceCount(sscan->rs_rd);
	pfree(sscan);
}

static void
slots_scan_rescan(TableScanDesc sscan, struct ScanKeyData *key, bool set_params,
				  bool allow_strat, bool allow_sync, bool allow_pagemode)
{
	scan_restart((SlotsScan *) sscan);
}

/* Stores row "index" of the page; false if there is none. */
static bool
store_row(const SlotsPage *page, Relation rel, BlockNumber block, int index,
		  TupleTableSlot *slot)
{
	const SlotState *state = &page->states[index];

	ExecClearTuple(slot);
	if (!state->found)
		return false;
	memset(slot->tts_isnull, 0, SLOTS_NATTS * sizeof(bool));
	slot->tts_values[0] = Int64GetDatum((int64) block * SLOTS_PER_PAGE + index + 1);
	slot->tts_values[1] = Int64GetDatum(page->keys[index]);
	slot->tts_values[2] = Int64GetDatum(state->value.log_offset);
	slot->tts_values[3] = Int64GetDatum(state->value.lost);
	slot->tts_values[4] = TransactionIdGetDatum(state->xid);
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(rel);
	ItemPointerSet(&slot->tts_tid, block, (OffsetNumber) (index + 1));
	return true;
}

/* The next row of the loaded page. */
static bool
next_of_page(SlotsScan *scan, TupleTableSlot *slot)
{
	while (scan->index < SLOTS_PER_PAGE)
	{
		if (store_row(&scan->page, scan->base.rs_rd, scan->block, scan->index++, slot))
			return true;
	}
	return false;
}

/* Workers take blocks in turn; a parallel scan goes forward only. */
static bool
next_parallel(SlotsScan *scan, TupleTableSlot *slot)
{
	while (!next_of_page(scan, slot))
	{
		BlockNumber block =
			table_block_parallelscan_nextpage(scan->base.rs_rd, &scan->worker,
											  (ParallelBlockTableScanDesc) scan->base.rs_parallel);

		if (!BlockNumberIsValid(block))
			return false;
		load_block(scan, block, NULL);
		scan->index = 0;
	}
	return true;
}

static bool
slots_scan_getnextslot(TableScanDesc sscan, ScanDirection direction, TupleTableSlot *slot)
{
	SlotsScan  *scan = (SlotsScan *) sscan;
	int64		limit = (int64) scan->nblocks * SLOTS_PER_PAGE;

	ExecClearTuple(slot);
	if (sscan->rs_parallel != NULL)
		return next_parallel(scan, slot);

	for (;;)
	{
		int64		next = scan->position + (ScanDirectionIsForward(direction) ? 1 : -1);
		BlockNumber block;

		/* stays one off the end that it met, so that it can turn round there */
		scan->position = Max(Min(next, limit), -1);
		if (next < 0 || next >= limit)
			return false;
		block = (BlockNumber) (next / SLOTS_PER_PAGE);
		if (block != scan->block)
			load_block(scan, block, NULL);
		if (store_row(&scan->page, sscan->rs_rd, block, (int) (next % SLOTS_PER_PAGE), slot))
			return true;
	}
}

static bool
slots_analyze_block(TableScanDesc sscan, BlockNumber blkno, BufferAccessStrategy strategy)
{
	load_block((SlotsScan *) sscan, blkno, strategy);
	((SlotsScan *) sscan)->index = 0;
	return true;
}

DEFINE_ANALYZE_NEXT_BLOCK(slots_scan_analyze_next_block, slots_analyze_block)

static bool
slots_scan_analyze_next_tuple(TableScanDesc sscan, TransactionId oldest_xmin,
							  double *liverows, double *deadrows, TupleTableSlot *slot)
{
	bool		found = next_of_page((SlotsScan *) sscan, slot);

	if (found)
		*liverows += 1;
	return found;
}

/* ---------- rows by TID ---------- */

static bool
slots_tuple_tid_valid(TableScanDesc sscan, ItemPointer tid)
{
	return ItemPointerIsValid(tid) &&
		ItemPointerGetBlockNumber(tid) < ((SlotsScan *) sscan)->nblocks &&
		ItemPointerGetOffsetNumber(tid) <= SLOTS_PER_PAGE;
}

static bool
slots_tuple_fetch_row_version(Relation rel, ItemPointer tid, Snapshot snapshot,
							  TupleTableSlot *slot)
{
	BlockNumber block = ItemPointerGetBlockNumberNoCheck(tid);
	OffsetNumber number = ItemPointerGetOffsetNumberNoCheck(tid);
	SlotsPage	page;

	ExecClearTuple(slot);
	check_columns(rel);
	if (number < 1 || number > SLOTS_PER_PAGE || block >= RelationGetNumberOfBlocks(rel))
		return false;
	slots_read_page(rel, block, NULL, &page);
	return store_row(&page, rel, block, number - 1, slot);
}

/* A slot has no older or newer place. */
static void
slots_tuple_get_latest_tid(TableScanDesc sscan, ItemPointer tid)
{
}

static bool
slots_tuple_satisfies_snapshot(Relation rel, TupleTableSlot *slot, Snapshot snapshot)
{
	return true;
}

/* ---------- what is refused ---------- */

static void
slots_tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
				   struct BulkInsertStateData *bistate)
{
	slots_refuse("INSERT");
}

static void
slots_multi_insert(Relation rel, TupleTableSlot **slots, int nslots, CommandId cid,
				   int options, struct BulkInsertStateData *bistate)
{
	slots_refuse("INSERT");
}

static void
slots_tuple_insert_speculative(Relation rel, TupleTableSlot *slot, CommandId cid,
							   int options, struct BulkInsertStateData *bistate,
							   uint32 specToken)
{
	slots_refuse("INSERT");
}

static void
slots_tuple_complete_speculative(Relation rel, TupleTableSlot *slot,
								 uint32 specToken, bool succeeded)
{
	slots_refuse("INSERT");
}

static TM_Result
slots_tuple_delete(Relation rel, ItemPointer tid, CommandId cid, Snapshot snapshot,
				   Snapshot crosscheck, bool wait, TM_FailureData *tmfd, bool changingPart)
{
	slots_refuse("DELETE");
}

static TM_Result
slots_tuple_update(Relation rel, ItemPointer otid, TupleTableSlot *slot, CommandId cid,
				   Snapshot snapshot, Snapshot crosscheck, bool wait, TM_FailureData *tmfd,
				   LockTupleMode *lockmode, TU_UpdateIndexes *update_indexes)
{
	slots_refuse("UPDATE");
}

static TM_Result
slots_tuple_lock(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot,
				 CommandId cid, LockTupleMode mode, LockWaitPolicy wait_policy,
				 uint8 flags, TM_FailureData *tmfd)
{
	slots_refuse("row locking");
}

static struct IndexFetchTableData *
slots_index_fetch_begin(Relation rel)
{
	slots_refuse("an index");
}

static void
slots_index_fetch_reset(struct IndexFetchTableData *data)
{
	slots_refuse("an index");
}

static void
slots_index_fetch_end(struct IndexFetchTableData *data)
{
	slots_refuse("an index");
}

static bool
slots_index_fetch_tuple(struct IndexFetchTableData *scan, ItemPointer tid, Snapshot snapshot,
						TupleTableSlot *slot, bool *call_again, bool *all_dead)
{
	slots_refuse("an index");
}

static TransactionId
slots_index_delete_tuples(Relation rel, TM_IndexDeleteOp *delstate)
{
	slots_refuse("an index");
}

static double
slots_index_build_range_scan(Relation table_rel, Relation index_rel, struct IndexInfo *index_info,
							 bool allow_sync, bool anyvisible, bool progress,
							 BlockNumber start_blockno, BlockNumber numblocks,
							 IndexBuildCallback callback, void *callback_state,
							 TableScanDesc scan)
{
	slots_refuse("an index");
}

static void
slots_index_validate_scan(Relation table_rel, Relation index_rel, struct IndexInfo *index_info,
						  Snapshot snapshot, struct ValidateIndexState *state)
{
	slots_refuse("an index");
}

static bool
slots_scan_sample_next_block(TableScanDesc scan, struct SampleScanState *scanstate)
{
	slots_refuse("TABLESAMPLE");
}

static bool
slots_scan_sample_next_tuple(TableScanDesc scan, struct SampleScanState *scanstate,
							 TupleTableSlot *slot)
{
	slots_refuse("TABLESAMPLE");
}

/* ---------- the relation ---------- */

static const TupleTableSlotOps *
slots_slot_callbacks(Relation rel)
{
	return &TTSOpsTopic;
}

static bool
slots_needs_toast_table(Relation rel)
{
	return false;
}

static void
slots_estimate_size(Relation rel, int32 *attr_widths, BlockNumber *pages, double *tuples,
					double *allvisfrac)
{
	table_block_relation_estimate_size(rel, attr_widths, pages, tuples, allvisfrac,
									   sizeof(SlotEntry), SLOTS_PER_PAGE * sizeof(SlotEntry));
}

/* New files are empty: slots are there when somebody writes to them. */
static void
slots_set_new_filelocator(Relation rel, const RelFileLocator *newlocator, char persistence,
						  TransactionId *freezeXid, MultiXactId *minmulti)
{
	log_check_writable("CREATE TABLE");
	if (persistence != RELPERSISTENCE_PERMANENT)
		slots_refuse("UNLOGGED or TEMPORARY");
	check_columns(rel);

	*freezeXid = RecentXmin;
	*minmulti = InvalidMultiXactId; /* slots are never locked */
	smgrclose(RelationCreateStorage(*newlocator, persistence, true));
}

static void
slots_nontransactional_truncate(Relation rel)
{
	log_check_writable("TRUNCATE TABLE");
	RelationTruncate(rel, 0);
}

/* VACUUM FULL: slots stay where they are, since others know their numbers. */
static void
slots_copy_for_cluster(Relation OldTable, Relation NewTable, Relation OldIndex, bool use_sort,
					   TransactionId OldestXmin, TransactionId *xid_cutoff,
					   MultiXactId *multi_cutoff, double *num_tuples, double *tups_vacuumed,
					   double *tups_recently_dead)
{
	SlotsFreeze frozen;

	log_check_writable("VACUUM");
	slots_freeze(OldTable, OldestXmin, OldestXmin, NULL, &frozen);
	slots_copy(OldTable, NewTable);

	*xid_cutoff = frozen.oldest_xid;
	*multi_cutoff = InvalidMultiXactId;
	*num_tuples = frozen.found;
	*tups_vacuumed = 0;
	*tups_recently_dead = 0;
}

/* Never fails for reasons of our own: relfrozenxid depends on it. */
static void
slots_vacuum(Relation rel, struct VacuumParams *params, BufferAccessStrategy strategy)
{
	TransactionId oldest_xmin;
	TransactionId freeze_limit;
	SlotsFreeze frozen;

	if (!log_is_preloaded())
	{
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("skipping relation \"%s\" --- pgtopic is not preloaded",
						RelationGetRelationName(rel)),
				 errhint("Set shared_preload_libraries = 'pgtopic' and restart the server.")));
		return;
	}
	VacuumHorizons(rel, params, &oldest_xmin, &freeze_limit);
	slots_freeze(rel, oldest_xmin, freeze_limit, strategy, &frozen);
	VacuumUpdateStats(rel, RelationGetNumberOfBlocks(rel), frozen.found, frozen.oldest_xid);
	VacuumReportStats(rel, frozen.found);
}

static const TableAmRoutine slots_am_routine = {
	.type = T_TableAmRoutine,

	.slot_callbacks = slots_slot_callbacks,

	.scan_begin = slots_scan_begin,
	.scan_end = slots_scan_end,
	.scan_rescan = slots_scan_rescan,
	.scan_getnextslot = slots_scan_getnextslot,

	.parallelscan_estimate = table_block_parallelscan_estimate,
	.parallelscan_initialize = table_block_parallelscan_initialize,
	.parallelscan_reinitialize = table_block_parallelscan_reinitialize,

	.index_fetch_begin = slots_index_fetch_begin,
	.index_fetch_reset = slots_index_fetch_reset,
	.index_fetch_end = slots_index_fetch_end,
	.index_fetch_tuple = slots_index_fetch_tuple,

	.tuple_fetch_row_version = slots_tuple_fetch_row_version,
	.tuple_tid_valid = slots_tuple_tid_valid,
	.tuple_get_latest_tid = slots_tuple_get_latest_tid,
	.tuple_satisfies_snapshot = slots_tuple_satisfies_snapshot,
	.index_delete_tuples = slots_index_delete_tuples,

	.tuple_insert = slots_tuple_insert,
	.tuple_insert_speculative = slots_tuple_insert_speculative,
	.tuple_complete_speculative = slots_tuple_complete_speculative,
	.multi_insert = slots_multi_insert,
	.tuple_delete = slots_tuple_delete,
	.tuple_update = slots_tuple_update,
	.tuple_lock = slots_tuple_lock,

	.relation_set_new_filelocator = slots_set_new_filelocator,
	.relation_nontransactional_truncate = slots_nontransactional_truncate,
	.relation_copy_data = log_copy_data,
	.relation_copy_for_cluster = slots_copy_for_cluster,
	.relation_vacuum = slots_vacuum,
	.scan_analyze_next_block = slots_scan_analyze_next_block,
	.scan_analyze_next_tuple = slots_scan_analyze_next_tuple,
	.index_build_range_scan = slots_index_build_range_scan,
	.index_validate_scan = slots_index_validate_scan,

	.relation_size = table_block_relation_size,
	.relation_needs_toast_table = slots_needs_toast_table,
	.relation_estimate_size = slots_estimate_size,

	.scan_sample_next_block = slots_scan_sample_next_block,
	.scan_sample_next_tuple = slots_scan_sample_next_tuple
};

PG_FUNCTION_INFO_V1(pgtopic_slots_am_handler);

Datum
pgtopic_slots_am_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&slots_am_routine);
}
