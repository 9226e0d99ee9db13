/*-------------------------------------------------------------------------
 *
 * am.c
 *	  Table access method "topic".
 *
 * A thin layer: scans are in scan.c, other files for the relation in
 * rewrite.c, VACUUM in vacuum.c.  Rows to append go to the producer, which
 * keeps them until the transaction commits.  What a log cannot do is refused
 * with a hint.  The topic room refuses it earlier, whatever rows there are;
 * the callbacks are the last word.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "fmgr.h"
#include "log/am.h"
#include "log/format.h"
#include "nodes/execnodes.h"

log_insert_handler_type log_insert_handler = NULL;

void
log_refuse(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not supported for topics", what),
			 errhint("%s", hint)));
}

#define HINT_UPDATE \
	"Messages do not change: produce a new one with the same key."
#define HINT_DELETE \
	"Use topic.delete_records() to remove the oldest messages, or produce a NULL value for the key."
#define HINT_LOCK \
	"Messages do not change, so there is nothing to lock."
#define HINT_ON_CONFLICT \
	"A topic takes every message, so there is no conflict: leave out ON CONFLICT."
#define HINT_INDEX \
	"Reading by partition with log_offset or timestamp needs no index."

/* ---------- TIDs ---------- */

/*
 * A TID names lane and offset and not a place, so that it stays good when
 * VACUUM FULL or compaction moves the message.  47 bits: 14 for the lane, 33
 * for the offset, of which block numbers hold the upper 32.
 */
#define TID_OFFSET_BITS		33
#define TID_OFFSET_MASK		((UINT64CONST(1) << TID_OFFSET_BITS) - 1)
#define TID_POSID_BITS		15
#define TID_POSID_MASK		((1 << TID_POSID_BITS) - 1)

void
log_encode_tid(int32 lane, RecordOffset offset, ItemPointer tid)
{
	uint64		id = ((uint64) lane << TID_OFFSET_BITS) |
	((uint64) offset & TID_OFFSET_MASK);

	ItemPointerSet(tid, (BlockNumber) (id >> TID_POSID_BITS),
				   (OffsetNumber) ((id & TID_POSID_MASK) + 1));
}

/*
 * Of the offsets that a TID may stand for, the newest one below the log end is
 * meant; there is at most one while the lane holds no more than 2^33.
 */
bool
log_decode_tid(Relation rel, ItemPointer tid, int32 *lane, RecordOffset *offset)
{
	uint64		id;
	uint64		newest;
	LaneInfo	info;
	OffsetNumber posid = ItemPointerGetOffsetNumberNoCheck(tid);

	if (posid == InvalidOffsetNumber || posid > TID_POSID_MASK + 1)
		return false;

	id = ((uint64) ItemPointerGetBlockNumberNoCheck(tid) << TID_POSID_BITS) |
		(uint64) (posid - 1);
	*lane = (int32) (id >> TID_OFFSET_BITS);
	if (*lane >= log_lane_limit(rel))
		return false;

	log_lane_info(rel, *lane, &info);
	if (info.log_start >= info.log_end)
		return false;
	if ((uint64) (info.log_end - info.log_start) > TID_OFFSET_MASK + 1)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("partition %d of topic \"%s\" holds too many offsets to find a message by its ctid",
						*lane, RelationGetRelationName(rel)),
				 errdetail("A ctid tells offsets apart that are less than 2^33 from each other."),
				 errhint("Select by partition and log_offset, or shorten the retention of the topic.")));

	newest = (uint64) info.log_end - 1;
	newest -= (newest - id) & TID_OFFSET_MASK;
	*offset = (RecordOffset) newest;
	return *offset >= info.log_start;
}

static bool
log_tuple_tid_valid(TableScanDesc scan, ItemPointer tid)
{
	int32		lane;
	RecordOffset offset;

	return log_decode_tid(scan->rs_rd, tid, &lane, &offset);
}

/* There are no later versions of a message. */
static void
log_tuple_get_latest_tid(TableScanDesc scan, ItemPointer tid)
{
}

/* ---------- appending ---------- */

static void
insert_slots(Relation rel, TupleTableSlot **slots, int nslots, CommandId cid,
			 int options)
{
	/* for each row: the executor has refused the rest already */
	if (unlikely(!log_is_preloaded()))
		log_check_writable("INSERT");
	if (options & TABLE_INSERT_FROZEN)
		log_refuse("COPY FREEZE",
				   "Use COPY without FREEZE: topics are frozen without rewriting them.");

	for (int i = 0; i < nslots; i++)
	{
		slot_getallattrs(slots[i]);
		slots[i]->tts_tableOid = RelationGetRelid(rel);
	}
	log_insert_handler(rel, slots, nslots, cid);
}

static void
log_tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid,
				 int options, struct BulkInsertStateData *bistate)
{
	insert_slots(rel, &slot, 1, cid, options);
}

static void
log_multi_insert(Relation rel, TupleTableSlot **slots, int nslots,
				 CommandId cid, int options, struct BulkInsertStateData *bistate)
{
	insert_slots(rel, slots, nslots, cid, options);
}

/* ---------- what a log does not do ---------- */

static void
log_tuple_insert_speculative(Relation rel, TupleTableSlot *slot, CommandId cid,
							 int options, struct BulkInsertStateData *bistate,
							 uint32 specToken)
{
	log_refuse("INSERT ... ON CONFLICT", HINT_ON_CONFLICT);
}

static void
log_tuple_complete_speculative(Relation rel, TupleTableSlot *slot,
							   uint32 specToken, bool succeeded)
{
	log_refuse("INSERT ... ON CONFLICT", HINT_ON_CONFLICT);
}

static TM_Result
log_tuple_delete(Relation rel, ItemPointer tid, CommandId cid,
				 Snapshot snapshot, Snapshot crosscheck, bool wait,
				 TM_FailureData *tmfd, bool changingPart)
{
	log_refuse("DELETE", HINT_DELETE);
}

static TM_Result
log_tuple_update(Relation rel, ItemPointer otid, TupleTableSlot *slot,
				 CommandId cid, Snapshot snapshot, Snapshot crosscheck,
				 bool wait, TM_FailureData *tmfd, LockTupleMode *lockmode,
				 TU_UpdateIndexes *update_indexes)
{
	log_refuse("UPDATE", HINT_UPDATE);
}

static TM_Result
log_tuple_lock(Relation rel, ItemPointer tid, Snapshot snapshot,
			   TupleTableSlot *slot, CommandId cid, LockTupleMode mode,
			   LockWaitPolicy wait_policy, uint8 flags, TM_FailureData *tmfd)
{
	log_refuse("row locking", HINT_LOCK);
}

static struct IndexFetchTableData *
log_index_fetch_begin(Relation rel)
{
	log_refuse("an index", HINT_INDEX);
}

static void
log_index_fetch_reset(struct IndexFetchTableData *data)
{
	log_refuse("an index", HINT_INDEX);
}

static void
log_index_fetch_end(struct IndexFetchTableData *data)
{
	log_refuse("an index", HINT_INDEX);
}

static bool
log_index_fetch_tuple(struct IndexFetchTableData *scan, ItemPointer tid,
					  Snapshot snapshot, TupleTableSlot *slot,
					  bool *call_again, bool *all_dead)
{
	log_refuse("an index", HINT_INDEX);
}

static TransactionId
log_index_delete_tuples(Relation rel, TM_IndexDeleteOp *delstate)
{
	log_refuse("an index", HINT_INDEX);
}

static double
log_index_build_range_scan(Relation table_rel, Relation index_rel,
						   struct IndexInfo *index_info, bool allow_sync,
						   bool anyvisible, bool progress,
						   BlockNumber start_blockno, BlockNumber numblocks,
						   IndexBuildCallback callback, void *callback_state,
						   TableScanDesc scan)
{
	log_refuse("an index", HINT_INDEX);
}

static void
log_index_validate_scan(Relation table_rel, Relation index_rel,
						struct IndexInfo *index_info, Snapshot snapshot,
						struct ValidateIndexState *state)
{
	log_refuse("an index", HINT_INDEX);
}

static bool
log_scan_sample_next_block(TableScanDesc scan, struct SampleScanState *scanstate)
{
	log_refuse("TABLESAMPLE", HINT_TABLESAMPLE);
}

static bool
log_scan_sample_next_tuple(TableScanDesc scan, struct SampleScanState *scanstate,
						   TupleTableSlot *slot)
{
	log_refuse("TABLESAMPLE", HINT_TABLESAMPLE);
}

/* ---------- the relation ---------- */

static const TupleTableSlotOps *
log_slot_callbacks(Relation rel)
{
	return &TTSOpsTopic;
}

/* Records cross pages, so that nothing is ever too large for one. */
static bool
log_needs_toast_table(Relation rel)
{
	return false;
}

/*
 * Until ANALYZE has counted: a record has about eight bytes of lengths and
 * deltas, and its batch's envelope is shared by many.
 */
#define RECORD_OVERHEAD_BYTES	8

static void
log_estimate_size(Relation rel, int32 *attr_widths, BlockNumber *pages,
				  double *tuples, double *allvisfrac)
{
	table_block_relation_estimate_size(rel, attr_widths, pages, tuples,
									   allvisfrac, RECORD_OVERHEAD_BYTES,
									   DATA_PAGE_CAPACITY);
}

DEFINE_ANALYZE_NEXT_BLOCK(log_scan_analyze_next_block, log_analyze_block)

const TableAmRoutine log_am_routine = {
	.type = T_TableAmRoutine,

	.slot_callbacks = log_slot_callbacks,

	.scan_begin = log_scan_begin,
	.scan_end = log_scan_end,
	.scan_rescan = log_scan_rescan,
	.scan_getnextslot = log_scan_getnextslot,

	.parallelscan_estimate = log_parallelscan_estimate,
	.parallelscan_initialize = log_parallelscan_initialize,
	.parallelscan_reinitialize = log_parallelscan_reinitialize,

	.index_fetch_begin = log_index_fetch_begin,
	.index_fetch_reset = log_index_fetch_reset,
	.index_fetch_end = log_index_fetch_end,
	.index_fetch_tuple = log_index_fetch_tuple,

	.tuple_fetch_row_version = log_tuple_fetch_row_version,
	.tuple_tid_valid = log_tuple_tid_valid,
	.tuple_get_latest_tid = log_tuple_get_latest_tid,
	.tuple_satisfies_snapshot = log_tuple_satisfies_snapshot,
	.index_delete_tuples = log_index_delete_tuples,

	.tuple_insert = log_tuple_insert,
	.tuple_insert_speculative = log_tuple_insert_speculative,
	.tuple_complete_speculative = log_tuple_complete_speculative,
	.multi_insert = log_multi_insert,
	.tuple_delete = log_tuple_delete,
	.tuple_update = log_tuple_update,
	.tuple_lock = log_tuple_lock,

	.relation_set_new_filelocator = log_set_new_filelocator,
	.relation_nontransactional_truncate = log_nontransactional_truncate,
	.relation_copy_data = log_copy_data,
	.relation_copy_for_cluster = log_copy_for_cluster,
	.relation_vacuum = log_vacuum,
	.scan_analyze_next_block = log_scan_analyze_next_block,
	.scan_analyze_next_tuple = log_scan_analyze_next_tuple,
	.index_build_range_scan = log_index_build_range_scan,
	.index_validate_scan = log_index_validate_scan,

	.relation_size = table_block_relation_size,
	.relation_needs_toast_table = log_needs_toast_table,
	.relation_estimate_size = log_estimate_size,

	.scan_sample_next_block = log_scan_sample_next_block,
	.scan_sample_next_tuple = log_scan_sample_next_tuple
};

PG_FUNCTION_INFO_V1(pgtopic_am_handler);

Datum
pgtopic_am_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&log_am_routine);
}
