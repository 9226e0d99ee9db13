/*-------------------------------------------------------------------------
 *
 * trim.c
 *	  Moving the log start: delete_records and retention.
 *
 * A trim is one small WAL record, whatever it leaves behind; who needs space
 * releases the extents later (space.c).
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "log/reader.h"
#include "log/wal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"

log_retention_hook_type log_retention_hook = NULL;

/* ---------- applying ---------- */

void
reader_find_place(LaneReader *reader, LanePlace *place)
{
	reader->at_end = false;
	reader_seek_batch(reader, place->start);
	while (reader_next_envelope(reader) &&
		   reader->batch.base_offset + reader->batch.last_offset_delta < place->start)
		reader_skip_batch(reader);
	place->seq = reader->seq;
	place->index = (uint16) reader->index;
	place->pos = reader->pos;
}

/*
 * Stores the log start and its place, which do not go back.  The place counts in
 * the main section only.  False if the lane was compacted since we looked at it.
 */
static bool
store_trim(LaneReader *reader, const LanePlace *place)
{
	Relation	rel = reader->rel;
	BlockNumber laneblock = directory_lane_block(rel, reader->lane);
	bool		frees = place->seq > reader->map.entry.trim_seq;
	Buffer		metabuf = InvalidBuffer;
	Buffer		lanebuf;
	LaneEntry  *lane;
	bool		same;
	RecordOffset trimmed = 0;

	wal_prepare();
	if (frees)
	{
		/* it may join the list of trimmed lanes */
		LockRelationForExtension(rel, ExclusiveLock);
		metabuf = ReadBuffer(rel, TOPIC_META_BLOCK);
		LockBuffer(metabuf, BUFFER_LOCK_EXCLUSIVE);
	}
	lanebuf = ReadBuffer(rel, laneblock);
	LockBuffer(lanebuf, BUFFER_LOCK_EXCLUSIVE);
	lane = directory_lane_entry(BufferGetPage(lanebuf), reader->lane);
	same = lane->generation == reader->map.entry.generation;
	if (same && place->start > (RecordOffset) lane->log_start)
	{
		int			pos = (char *) lane - (char *) BufferGetPage(lanebuf);
		WalRecord	record;
		WalPage    *page;

		wal_begin(&record, XLOG_TOPIC_TRIM, reader->lane);
		record.change.offset = place->start;
		START_CRIT_SECTION();
		if (frees && lane->next_trimmed == 0)
		{
			TopicMeta  *meta = page_meta(BufferGetPage(metabuf));

			lane->next_trimmed = (meta->trimmed_lane == 0) ? TRIMMED_LIST_END : meta->trimmed_lane;
			meta->trimmed_lane = reader->lane + 1;
			wal_patch(wal_page(&record, metabuf, false),
					  DATA_PAGE_START + offsetof(TopicMeta, trimmed_lane), sizeof(uint32));
		}
		trimmed = place->start - (RecordOffset) lane->log_start;
		lane->log_start = place->start;
		if (!map_is_clean(&reader->map, place->seq))
		{
			lane->trim_seq = place->seq;
			lane->start_index = place->index;
			lane->start_pos = place->pos;
		}
		page = wal_page(&record, lanebuf, false);
		wal_patch(page, pos, sizeof(uint64));
		wal_patch(page, pos + offsetof(LaneEntry, trim_seq),
				  offsetof(LaneEntry, root) - offsetof(LaneEntry, trim_seq));
		wal_finish(&record, rel);
		END_CRIT_SECTION();
	}
	UnlockReleaseBuffer(lanebuf);
	if (frees)
	{
		UnlockReleaseBuffer(metabuf);
		UnlockRelationForExtension(rel, ExclusiveLock);
	}

	/*
	 * As dead rows they call autovacuum, which gives back the file's free end, also
	 * where nothing is appended any more.
	 */
	pgstat_update_heap_dead_tuples(rel, -(int) Min(trimmed, INT_MAX));
	return same;
}

/*
 * Moves the log start of an entered lane that is not empty.  Others may trim
 * at the same time: then the lane is looked at again.
 */
static void
trim_lane(LaneReader *reader, RecordOffset start)
{
	LanePlace	place;

	place.start = start;
	do
	{
		CHECK_FOR_INTERRUPTS();
		reader->overtaken = false;
		if (!lane_reader_enter(reader, reader->lane) ||
			start <= (RecordOffset) reader->map.entry.log_start)
			return;
		(void) lane_reader_log_end(reader);
		reader_find_place(reader, &place);
	} while (reader->overtaken || !store_trim(reader, &place));
}

static LaneReader *
trimming_reader(Relation rel, int32 lane)
{
	LaneReader *reader = lane_reader_create(rel, NULL, LANE_READ_ANY);

	reader->bears_overtaking = true;
	reader->lane = lane;
	return reader;
}

static RecordOffset
present_log_start(Relation rel, int32 lane)
{
	LaneMap		map;

	directory_read_lane(rel, lane, &map);
	return (RecordOffset) map.entry.log_start;
}

RecordOffset
log_trim(Relation rel, int32 lane, RecordOffset before, Snapshot snapshot)
{
	LaneReader *reader;

	if (directory_lane_block(rel, lane) == 0)
		return 0;
	before = Min(before, log_stable_offset(rel, lane, snapshot));
	reader = trimming_reader(rel, lane);
	trim_lane(reader, before);
	lane_reader_free(reader);
	return present_log_start(rel, lane);
}

/* ---------- retention ---------- */

/* Oldest transaction that may still run, with its epoch; a lower bound. */
static uint64
oldest_running_fxid(void)
{
	FullTransactionId next = ReadNextFullTransactionId();

	return U64FromFullTransactionId(next) -
		(uint32) (XidFromFullTransactionId(next) - RecentXmin);
}

/* Whether an extent has a batch whose transaction goes on, or is this one. */
static bool
extent_is_unfinished(LaneReader *reader, uint32 seq, const DirEntry *extent)
{
	RecordOffset end;
	DirEntry	behind;

	if (extent->closed && extent->max_fxid < oldest_running_fxid())
		return false;
	directory_extent(&reader->map, seq + 1, &behind);
	end = (RecordOffset) behind.first_offset;
	if (end <= (RecordOffset) reader->map.entry.frozen_upto)
		return false;
	reader->at_end = false;
	reader_seek_batch(reader, Max((RecordOffset) extent->first_offset,
								  (RecordOffset) reader->map.entry.log_start));
	while (!reader->overtaken && reader_next_envelope(reader) &&
		   reader->batch.base_offset < end)
	{
		TransactionId xid = reader->batch.xid;

		if (TransactionIdIsNormal(xid) && !(reader->batch.flags & BATCH_ABORTED) &&
			reader->batch.base_offset >= (RecordOffset) reader->map.entry.frozen_upto &&
			(TransactionIdIsCurrentTransactionId(xid) || TransactionIdIsInProgress(xid)))
			return true;
		reader_skip_batch(reader);
	}
	return reader->overtaken;
}

/* Bytes of the lane from extent "seq" on; the tail counts by its written pages. */
static int64
bytes_from(const LaneMap *map, const TailRef *tail, uint32 seq)
{
	uint32		main_seq = Max(seq, map->entry.trim_seq);
	uint64		pages = logical_page(tail->seq, tail->index) + 1 - logical_page(main_seq, 0);

	if (map_is_clean(map, seq))
		pages += (uint64) (main_seq - seq) * map_extent_pages(map, seq);
	return (int64) pages * BLCKSZ;
}

/* Whether somebody has not read what ends here, with so much of the lane behind it. */
static bool
is_held(const LogRetention *retention, RecordOffset end, int64 behind)
{
	for (int i = 0; i < retention->nfloors; i++)
	{
		const LogFloor *floor = &retention->floors[i];

		if (end > floor->offset && (floor->max_bytes < 0 || behind < floor->max_bytes))
			return true;
	}
	return false;
}

/* Where the log may start by retention; the present log start if nothing may go. */
static RecordOffset
retention_point(LaneReader *reader, const TailRef *tail, const LogRetention *retention)
{
	LaneMap    *map = &reader->map;
	RecordOffset point = (RecordOffset) map->entry.log_start;

	for (uint32 seq = map->first_seq; seq < tail->seq; seq++)
	{
		int64		behind = bytes_from(map, tail, seq + 1);
		DirEntry	extent;
		DirEntry	next;

		CHECK_FOR_INTERRUPTS();
		directory_extent(map, seq, &extent);
		if (!extent.closed)
			break;
		if (extent.max_timestamp >= retention->oldest_ms &&
			(retention->max_bytes < 0 || behind < retention->max_bytes))
			break;
		directory_extent(map, seq + 1, &next);
		if (is_held(retention, (RecordOffset) next.first_offset, behind))
			break;
		if ((RecordOffset) next.first_offset <= point)
			continue;
		if (extent_is_unfinished(reader, seq, &extent))
			break;
		point = (RecordOffset) next.first_offset;
	}
	return point;
}

/*
 * The tail extent too, when all of the lane is too old; but for unfinished
 * transactions.
 */
static RecordOffset
retention_point_of_tail(LaneReader *reader, const TailRef *tail, Page page,
						const LogRetention *retention, RecordOffset point)
{
	DataOpaque *opaque = data_opaque(page);
	DirEntry	extent;
	RecordOffset end;

	directory_extent(&reader->map, tail->seq, &extent);
	if (point < (RecordOffset) extent.first_offset ||
		opaque->max_timestamp >= retention->oldest_ms)
		return point;
	end = log_stable_offset(reader->rel, reader->lane, GetLatestSnapshot());
	end = Min(end, (RecordOffset) opaque->next_offset);
	return is_held(retention, end, 0) ? point : Max(point, end);
}

/* One look at a lane; false if it was trimmed by somebody else meanwhile. */
static bool
try_retention(LaneReader *reader, bool closed_only, const LogRetention *retention)
{
	PGAlignedBlock page;
	TailRef		tail;
	RecordOffset point;

	reader->overtaken = false;
	if (!lane_reader_enter(reader, reader->lane))
		return true;
	(void) lane_reader_log_end(reader);
	(void) directory_find_tail(&reader->map, &tail, page.data);
	if (tail.seq >= reader->map.entry.next_seq)
		return false;
	point = retention_point(reader, &tail, retention);
	if (!closed_only && !reader->overtaken)
		point = retention_point_of_tail(reader, &tail, page.data, retention, point);
	if (!reader->overtaken && point > (RecordOffset) reader->map.entry.log_start)
		trim_lane(reader, point);
	return !reader->overtaken;
}

static void
apply_retention(Relation rel, int32 lane, bool closed_only)
{
	LogRetention retention = {PG_INT64_MIN, -1};
	LaneReader *reader;

	if (log_retention_hook == NULL || !log_retention_hook(rel, lane, &retention) ||
		(retention.oldest_ms == PG_INT64_MIN && retention.max_bytes < 0))
		return;
	reader = trimming_reader(rel, lane);
	while (!try_retention(reader, closed_only, &retention))
		CHECK_FOR_INTERRUPTS();
	lane_reader_free(reader);
	if (retention.floors != NULL)
		pfree(retention.floors);
}

void
trim_by_retention(Relation rel, int32 lane)
{
	apply_retention(rel, lane, true);
}

RecordOffset
log_apply_retention(Relation rel, int32 lane)
{
	if (directory_lane_block(rel, lane) == 0)
		return 0;
	apply_retention(rel, lane, false);
	return present_log_start(rel, lane);
}
