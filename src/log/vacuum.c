/*-------------------------------------------------------------------------
 *
 * vacuum.c
 *	  VACUUM: resolving transactions for good, without rewriting pages.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/multixact.h"
#include "access/transam.h"
#include "access/xact.h"
#include "commands/vacuum.h"
#include "log/am.h"
#include "log/reader.h"
#include "log/section.h"
#include "log/vacuum.h"
#include "log/wal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/autovacuum.h"
#include "storage/procarray.h"

/*
 * Flags the batch at the reader's position as rolled back.  Logged with its
 * xid as conflict horizon: a standby's snapshots must not still need it.
 */
static void
flag_dead_batch(LaneReader *reader)
{
	PageIdentity id = {reader->map.incarnation, reader->seq, reader->lane, reader->index};
	int			pos = reader->pos + offsetof(BatchEnvelope, flags);
	Buffer		buffer = ReadBuffer(reader->rel, reader->extent_start + reader->index);
	Page		page = BufferGetPage(buffer);
	WalRecord	record;
	uint16		flags;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	if (data_page_is(page, &id))
	{
		wal_begin(&record, XLOG_TOPIC_FREEZE, reader->lane);
		record.change.horizon = reader->batch.xid;
		record.change.offset = reader->batch.base_offset;
		START_CRIT_SECTION();
		memcpy(&flags, (char *) page + pos, sizeof(flags));
		flags |= BATCH_ABORTED;
		memcpy((char *) page + pos, &flags, sizeof(flags));
		wal_patch(wal_page(&record, buffer, false), pos, sizeof(flags));
		wal_finish(&record, reader->rel);
		END_CRIT_SECTION();
	}
	UnlockReleaseBuffer(buffer);
}

/* So many extents behind the first unresolved batch are read in any case. */
#define LOOK_AHEAD_EXTENTS	8

/* What freezing found in a lane. */
typedef struct LaneFreeze
{
	RecordOffset frozen_upto;
	TransactionId newest_xid;	/* resolved */
	TransactionId oldest_xid;	/* left unresolved */
	bool		stopped;		/* there may be older ones */
} LaneFreeze;

static TransactionId
older_xid(TransactionId a, TransactionId b)
{
	return (!TransactionIdIsValid(a) || TransactionIdPrecedes(b, a)) ? b : a;
}

static TransactionId
newer_xid(TransactionId a, TransactionId b)
{
	return (!TransactionIdIsValid(a) || TransactionIdPrecedes(a, b)) ? b : a;
}

/*
 * Walks the lane's envelopes from frozen_upto on.  The reader has entered it.
 */
static void
freeze_lane(LaneReader *reader, TransactionId oldest_xmin, bool thorough, LaneFreeze *result)
{
	RecordOffset start = reader->map.entry.frozen_upto;
	bool		resolving = true;
	uint64		stop_seq = PG_UINT64_MAX;

	result->frozen_upto = start;
	result->stopped = false;
	result->newest_xid = result->oldest_xid = InvalidTransactionId;
	if (start >= reader->log_end)
		return;
	if (reader->map.entry.log_start >= reader->log_end)
	{
		/* nothing there that anybody could still ask about */
		result->frozen_upto = reader->log_end;
		return;
	}

	/* the batches before the log start may have gone */
	start = Max(start, (RecordOffset) reader->map.entry.log_start);
	reader_seek_batch(reader, start);
	while (reader_next_envelope(reader))
	{
		BatchHead  *batch = &reader->batch;
		RecordOffset end = batch->base_offset + batch->last_offset_delta + 1;

		/* all before it is resolved, or nobody can read it */
		if (resolving && end > start)
			result->frozen_upto = Max(result->frozen_upto, batch->base_offset);
		if (end > start && !(batch->flags & BATCH_ABORTED) &&
			TransactionIdIsNormal(batch->xid))
		{
			if (resolving && !TransactionIdPrecedes(batch->xid, oldest_xmin))
			{
				resolving = false;
				if (!thorough)
					stop_seq = reader->seq + LOOK_AHEAD_EXTENTS;
			}
			if (!resolving)
				result->oldest_xid = older_xid(result->oldest_xid, batch->xid);
			else
			{
				if (!TransactionIdDidCommit(batch->xid))
					flag_dead_batch(reader);
				result->newest_xid = newer_xid(result->newest_xid, batch->xid);
			}
		}
		if (resolving && end > result->frozen_upto)
			result->frozen_upto = end;
		if (reader->seq >= stop_seq)
		{
			result->stopped = true;
			return;
		}
		reader_skip_batch(reader);
	}
}

/* Stores frozen_upto of the lanes of one lane page, in one WAL record. */
static void
store_frozen(Relation rel, int first_lane, const LaneFreeze *lanes)
{
	Buffer		buffer = ReadBuffer(rel, directory_lane_block(rel, first_lane));
	Page		page = BufferGetPage(buffer);
	LaneEntry  *entries = directory_lane_entry(page, first_lane);
	WalRecord	record;
	int			low = -1;
	int			high = -1;

	wal_begin(&record, XLOG_TOPIC_FREEZE, first_lane);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	for (int i = 0; i < LANES_PER_PAGE; i++)
	{
		if (lanes[i].frozen_upto > (RecordOffset) entries[i].frozen_upto)
		{
			if (low < 0)
				low = i;
			high = i;
			record.change.offset = lanes[i].frozen_upto;
			if (TransactionIdIsValid(lanes[i].newest_xid))
				record.change.horizon = newer_xid(record.change.horizon, lanes[i].newest_xid);
		}
	}
	if (low >= 0)
	{
		START_CRIT_SECTION();
		for (int i = low; i <= high; i++)
		{
			if (lanes[i].frozen_upto > (RecordOffset) entries[i].frozen_upto)
				entries[i].frozen_upto = lanes[i].frozen_upto;
		}
		wal_patch(wal_page(&record, buffer, false), (char *) &entries[low] - (char *) page,
				  (high - low + 1) * sizeof(LaneEntry));
		wal_finish(&record, rel);
		END_CRIT_SECTION();
	}
	UnlockReleaseBuffer(buffer);
}

static void
freeze_all(Relation rel, TransactionId oldest_xmin, bool thorough,
		   BufferAccessStrategy strategy, FreezeResult *result)
{
	LaneReader *reader = lane_reader_create(rel, NULL, LANE_READ_ANY);
	int32		limit = log_lane_limit(rel);
	bool		stopped = false;

	reader->bears_overtaking = true;
	reader->strategy = strategy;
	wal_prepare();
	result->oldest_xid = oldest_xmin;
	result->messages = 0;
	for (int first = 0; first < limit; first += LANES_PER_PAGE)
	{
		LaneFreeze	lanes[LANES_PER_PAGE];

		memset(lanes, 0, sizeof(lanes));
		if (directory_lane_block(rel, first) == 0)
			continue;
		for (int i = 0; i < LANES_PER_PAGE && first + i < limit; i++)
		{
			do
			{
				CHECK_FOR_INTERRUPTS();
				reader->overtaken = false;
				(void) lane_reader_enter(reader, first + i);
				(void) lane_reader_log_end(reader);
				freeze_lane(reader, oldest_xmin, thorough, &lanes[i]);
			} while (reader->overtaken);
			if (TransactionIdIsValid(lanes[i].oldest_xid))
				result->oldest_xid = older_xid(result->oldest_xid, lanes[i].oldest_xid);
			stopped |= lanes[i].stopped;
			result->messages += reader->log_end - reader->map.entry.log_start;
		}
		store_frozen(rel, first, lanes);
	}
	if (stopped)
		result->oldest_xid = InvalidTransactionId;
	lane_reader_free(reader);
}

void
log_freeze(Relation rel, TransactionId oldest_xmin, bool thorough, FreezeResult *result)
{
	freeze_all(rel, oldest_xmin, thorough, NULL, result);
}

/*
 * Whether relfrozenxid must be brought forward, whatever that costs; as PostgreSQL
 * decides for a heap.
 */
static bool
must_be_thorough(Relation rel, const VacuumParams *params)
{
	int			table_age = params->freeze_table_age >= 0 ? params->freeze_table_age :
		vacuum_freeze_table_age;
	int32		age = (int32) (ReadNextTransactionId() - rel->rd_rel->relfrozenxid);

	/* before autovacuum has to come for it */
	table_age = Min(table_age, autovacuum_freeze_max_age / 20 * 19);
	return params->is_wraparound || age >= table_age;
}

/*
 * log_vacuum: VACUUM and autovacuum, at ShareUpdateExclusiveLock.  Never
 * fails for reasons of our own: relfrozenxid depends on it.
 */
void
log_vacuum(Relation rel, struct VacuumParams *params, BufferAccessStrategy bstrategy)
{
	FreezeResult frozen;

	if (!log_is_preloaded())
	{
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("skipping topic \"%s\" --- pgtopic is not preloaded",
						RelationGetRelationName(rel)),
				 errhint("Set shared_preload_libraries = 'pgtopic' and restart the server.")));
		return;
	}
	freeze_all(rel, GetOldestNonRemovableTransactionId(rel), must_be_thorough(rel, params),
			   bstrategy, &frozen);
	/* at once: what follows may be cancelled, or meet damage */
	VacuumUpdateStats(rel, RelationGetNumberOfBlocks(rel), frozen.messages, frozen.oldest_xid);
	section_release_passed(rel);
	if (params->truncate != VACOPTVALUE_DISABLED)
		space_give_back(rel);
	VacuumUpdateStats(rel, RelationGetNumberOfBlocks(rel), frozen.messages, frozen.oldest_xid);
	VacuumReportStats(rel, frozen.messages);
}
