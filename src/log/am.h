/*-------------------------------------------------------------------------
 *
 * am.h
 *	  The parts of access method "topic" among themselves.  Inside the log
 *	  room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_AM_H
#define PGTOPIC_LOG_AM_H

#include "access/tableam.h"
#include "commands/vacuum.h"
#include "compat.h"
#include "log/log.h"

/* ---------- am.c ---------- */

extern const TableAmRoutine log_am_routine;

/* Whether a relation's access method is ours. */
#define RelationIsLog(rel) ((rel)->rd_tableam == &log_am_routine)

/* 0A000: "what" is not supported for topics, and what to use instead. */
extern void log_refuse(const char *what, const char *hint) pg_attribute_noreturn();

#define HINT_TABLESAMPLE \
	"Choose messages by partition, offset or timestamp."

/* The lane and offset of a TID; false if the topic has no such message now. */
extern bool log_decode_tid(Relation rel, ItemPointer tid, int32 *lane,
						   RecordOffset *offset);

/* ---------- slot.c ---------- */

/* Virtual slots whose copies keep the TID. */
extern TupleTableSlotOps TTSOpsTopic;

extern void log_slot_init(void);

/* ---------- scan.c ---------- */

extern TableScanDesc log_scan_begin(Relation rel, Snapshot snapshot, int nkeys,
									struct ScanKeyData *key,
									ParallelTableScanDesc pscan, uint32 flags);
extern void log_scan_end(TableScanDesc sscan);
extern void log_scan_rescan(TableScanDesc sscan, struct ScanKeyData *key,
							bool set_params, bool allow_strat,
							bool allow_sync, bool allow_pagemode);
extern bool log_scan_getnextslot(TableScanDesc sscan, ScanDirection direction,
								 TupleTableSlot *slot);

extern Size log_parallelscan_estimate(Relation rel);
extern Size log_parallelscan_initialize(Relation rel, ParallelTableScanDesc pscan);
extern void log_parallelscan_reinitialize(Relation rel, ParallelTableScanDesc pscan);

extern bool log_tuple_fetch_row_version(Relation rel, ItemPointer tid,
										Snapshot snapshot, TupleTableSlot *slot);
extern bool log_tuple_satisfies_snapshot(Relation rel, TupleTableSlot *slot,
										 Snapshot snapshot);

extern bool log_analyze_block(TableScanDesc sscan, BlockNumber blkno,
							  BufferAccessStrategy strategy);
extern bool log_scan_analyze_next_tuple(TableScanDesc sscan, TransactionId oldest_xmin,
										double *liverows, double *deadrows,
										TupleTableSlot *slot);

/* ---------- pushdown.c ---------- */

/* Registers the custom scan, its planner hook and its setting. */
extern void log_pushdown_init(void);

/* ---------- lookup.c, for ANALYZE ---------- */

/*
 * log_block_records: whether a block of the file holds live data; if so of
 * which lane, and which offsets have their records starting on the page.
 */
extern bool log_block_records(Relation rel, BlockNumber blkno,
							  BufferAccessStrategy strategy, LaneReader *reader,
							  int32 *lane, RecordOffset *first, RecordOffset *limit);

/* ---------- rewrite.c: other files for the relation ---------- */

extern void log_set_new_filelocator(Relation rel, const RelFileLocator *newlocator,
									char persistence, TransactionId *freezeXid,
									MultiXactId *minmulti);
extern void log_nontransactional_truncate(Relation rel);
extern void log_copy_data(Relation rel, const RelFileLocator *newlocator);
extern void log_copy_for_cluster(Relation OldTable, Relation NewTable,
								 Relation OldIndex, bool use_sort,
								 TransactionId OldestXmin,
								 TransactionId *xid_cutoff,
								 MultiXactId *multi_cutoff,
								 double *num_tuples, double *tups_vacuumed,
								 double *tups_recently_dead);

/* ---------- vacuum.c ---------- */

extern void log_vacuum(Relation rel, struct VacuumParams *params,
					   BufferAccessStrategy bstrategy);

#endif							/* PGTOPIC_LOG_AM_H */
