/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Going to a place in a lane: by offset, by time, by transaction.
 *
 * The directory names the extent; within it the wanted page is guessed by
 * interpolation first, for offsets and times are usually even, and by halving
 * when guesses were bad.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "log/am.h"
#include "log/reader.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

/* The written part of an extent, as a search needs it. */
typedef struct ExtentSpan
{
	uint32		seq;
	BlockNumber start;
	int			npages;			/* written */
	double		fill;			/* the same, the last one counted by its bytes */
	RecordOffset end;			/* offset behind them */
	bool		has_tail;		/* tail is a copy of the last page */
	PGAlignedBlock tail;
} ExtentSpan;

static void
measure_extent(LaneReader *reader, uint32 seq, const DirEntry *extent, ExtentSpan *span)
{
	TailRef		tail;

	span->seq = seq;
	span->start = extent->block;
	span->fill = span->npages = map_extent_pages(&reader->map, seq);
	span->has_tail = false;
	if (seq + 1 == reader->map.entry.trim_seq)
	{
		/* the clean section's last extent, which may be short */
		span->fill = span->npages = directory_valid_pages(&reader->map, seq, extent->block);
		span->end = (RecordOffset) reader->map.entry.clean_end;
		return;
	}
	if (seq + 1 < reader->map.entry.next_seq)
	{
		DirEntry	behind;

		directory_extent(&reader->map, seq + 1, &behind);
		span->end = behind.first_offset;
		return;
	}
	(void) directory_find_tail(&reader->map, &tail, span->tail.data);
	span->end = data_opaque(span->tail.data)->next_offset;
	if (tail.seq == seq)
	{
		span->npages = tail.index + 1;
		span->fill = tail.index +
			(double) (page_lower(span->tail.data) - DATA_PAGE_START) / DATA_PAGE_CAPACITY;
		span->has_tail = true;
	}
}

/* Loads a page of the extent; the last one is at hand already. */
static void
load_page_of_span(LaneReader *reader, const ExtentSpan *span, int index)
{
	if (!span->has_tail || index != span->npages - 1)
	{
		reader_load_page(reader, span->seq, span->start, index);
		return;
	}
	memcpy(reader->page.data, span->tail.data, BLCKSZ);
	reader->positioned = true;
	reader->seq = span->seq;
	reader->index = index;
	reader->extent_start = span->start;
}

/*
 * Loads the last page whose first_offset is <= offset, or one a little before
 * it; the first page if there is none.
 */
static void
load_page_of_offset(LaneReader *reader, uint32 seq, const DirEntry *extent, RecordOffset offset)
{
	DataOpaque *opaque = data_opaque(reader->page.data);
	ExtentSpan	span;
	PGAlignedBlock best;		/* copy of page "low", once it was loaded */
	bool		have_best = false;
	int			low = 0;
	int			high;
	double		high_fill;		/* where high_offset is, in pages */
	RecordOffset low_offset = (RecordOffset) extent->first_offset;
	RecordOffset high_offset;

	measure_extent(reader, seq, extent, &span);
	high = span.npages - 1;
	high_fill = span.fill;
	high_offset = span.end;

	for (int round = 0; low < high; round++)
	{
		double		per_page = (high_offset - low_offset) / Max(high_fill - low, 0.1);
		int			guess = (low + high + 1) / 2;

		if (round % 3 != 2 && per_page > 0)
		{
			double		pages = (offset - low_offset) / per_page;

			/* the offset may be any; as an integer this might be none */
			guess = low + (int) Max(0, Min(pages, high - low));
		}
		guess = Min(high, Max(guess, have_best ? low + 1 : low));

		load_page_of_span(reader, &span, guess);
		if ((RecordOffset) opaque->first_offset > offset)
		{
			high = Max(guess - 1, low);
			high_fill = guess;
			high_offset = opaque->first_offset;
			continue;
		}
		low = guess;
		low_offset = opaque->first_offset;
		memcpy(best.data, reader->page.data, BLCKSZ);
		have_best = true;
		if (offset - low_offset <= 2 * per_page)
			break;				/* here, or on one of the next pages */
	}
	if (have_best)
	{
		memcpy(reader->page.data, best.data, BLCKSZ);
		reader->index = low;
	}
	else
		load_page_of_span(reader, &span, low);
}

/*
 * Loads the first page of the extent whose records so far reach ms; false if
 * none does.
 */
static bool
load_page_of_time(LaneReader *reader, uint32 seq, const DirEntry *extent, int64 ms)
{
	DataOpaque *opaque = data_opaque(reader->page.data);
	ExtentSpan	span;
	PGAlignedBlock best;
	int			low = 0;		/* pages before it do not reach ms */
	int			high;			/* reaches it, or is behind all */
	int			step = 1;		/* away from the first guess, which is seldom far off */
	int64		min = extent->min_timestamp;
	int64		max = extent->max_timestamp;

	measure_extent(reader, seq, extent, &span);
	high = span.npages;
	if (span.has_tail)
	{
		min = data_page_min_timestamp(data_opaque(span.tail.data));
		max = data_opaque(span.tail.data)->max_timestamp;
	}
	else if (!extent->closed)
	{
		/* another one was opened behind it after we had read the directory */
		reader_load_page(reader, seq, extent->block, span.npages - 1);
		min = data_page_min_timestamp(opaque);
		max = opaque->max_timestamp;
	}
	if (max < ms)
		return false;
	for (int round = 0; low < high; round++)
	{
		int			guess = (low + high) / 2;

		if (round == 0 && min < ms && min > PG_INT64_MIN)
			guess = (int) (((double) ms - min) * span.fill / ((double) max - min + 1));
		else if (round == 0)
			guess = 0;
		else if (high == span.npages)
			guess = low + step - 1;
		else if (low == 0)
			guess = high - step;
		guess = Max(low, Min(guess, high - 1));
		if (round > 1)
			step *= 2;

		load_page_of_span(reader, &span, guess);
		if (opaque->max_timestamp >= ms)
		{
			high = guess;
			memcpy(best.data, reader->page.data, BLCKSZ);
		}
		else
			low = guess + 1;
	}
	if (high == span.npages)
		return false;
	memcpy(reader->page.data, best.data, BLCKSZ);
	reader->index = high;
	return true;
}

/* Positions at the first entry point at or behind the page's start. */
static void
start_at_entry(LaneReader *reader)
{
	DataOpaque *opaque = data_opaque(reader->page.data);

	reader->in_batch = false;
	if (reader_at_start(reader))
		return;
	while (opaque->batch_back > 0 && opaque->entry_pos == 0)
	{
		if (!reader_next_page(reader))
		{
			reader->at_end = true;
			return;
		}
		if (reader_at_start(reader))
			return;				/* behind the clean section */
	}
	reader->pos = DATA_PAGE_START;
	if (opaque->batch_back == 0)
		return;
	reader_enter_continued_batch(reader);
	if (opaque->entry_pos - DATA_PAGE_START > reader->rest ||
		reader->batch.base_offset + reader->batch.last_offset_delta < reader->lower)
	{
		reader_skip_batch(reader);
		return;
	}
	if (!reader_judge_batch(reader))
		return;
	reader->rest -= opaque->entry_pos - DATA_PAGE_START;
	reader->pos = opaque->entry_pos;
	reader->in_batch = reader->rest > 0;
}

/* Leaves a batch that began on an earlier page. */
static void
skip_continued_batch(LaneReader *reader)
{
	reader->in_batch = false;
	reader->pos = DATA_PAGE_START;
	if (!reader_at_start(reader) && data_opaque(reader->page.data)->batch_back > 0)
	{
		reader_enter_continued_batch(reader);
		reader_skip_batch(reader);
	}
}

/*
 * The page's first_offset does not tell where the batch of that record begins:
 * the envelope may stand alone at the end of an earlier page.
 */
void
reader_seek_batch(LaneReader *reader, RecordOffset offset)
{
	DataOpaque *opaque = data_opaque(reader->page.data);
	DirEntry	extent;
	uint32		seq = directory_find_offset(&reader->map, offset, &extent);
	uint64		page_number;
	uint16		pos;
	int			index;

	load_page_of_offset(reader, seq, &extent, offset);
	reader->in_batch = false;
	reader->pos = DATA_PAGE_START;
	if (reader_at_start(reader) || opaque->batch_back == 0)
		return;
	reader_enter_continued_batch(reader);
	if (!reader->in_batch)
		return;					/* overtaken */
	if (reader->batch.base_offset + reader->batch.last_offset_delta < offset)
	{
		reader_skip_batch(reader);
		return;
	}
	pos = opaque->batch_pos;
	page_number = map_page_number(&reader->map, reader->seq, reader->index) - opaque->batch_back;
	map_page_split(&reader->map, reader->seq, page_number, &seq, &index);
	directory_extent(&reader->map, seq, &extent);
	reader_load_page(reader, seq, extent.block, index);
	reader->in_batch = false;
	reader->pos = pos;
}

/* The snapshot's oldest running transaction, with its epoch. */
static uint64
snapshot_fxmin(Snapshot snapshot)
{
	FullTransactionId next = ReadNextFullTransactionId();

	return U64FromFullTransactionId(next) -
		(uint32) (XidFromFullTransactionId(next) - snapshot->xmin);
}

/*
 * How far lanes are known to have no unfinished transaction: what was finished
 * for a snapshot is so for every later one.  It saves those who follow a log
 * from reading again all that came after some old and open transaction.
 */
typedef struct SettledLane
{
	RelFileLocator locator;
	uint32		incarnation;
	int32		lane;
	RecordOffset upto;
	/* of the snapshot */
	TransactionId xmax;
	uint32		xcnt;
	int32		subxcnt;
	bool		suboverflowed;
} SettledLane;

/* Enough for all of a topic; what is not used is never touched. */
static SettledLane settled_lanes[LOG_MAX_LANES];

static SettledLane *
settled_lane(const LaneReader *reader, bool *same)
{
	SettledLane *settled = &settled_lanes[(RelationGetRelid(reader->rel) * 31 + reader->lane) % LOG_MAX_LANES];

	*same = settled->incarnation == reader->map.incarnation &&
		settled->lane == reader->lane &&
		RelFileLocatorEquals(settled->locator, RelationFileLocator(reader->rel));
	return settled;
}

/*
 * Whether the snapshot is not older than the remembered one.  Of two with the
 * same xmax the later one has fewer transactions in progress, or the same.
 */
static bool
snapshot_is_later(Snapshot snapshot, const SettledLane *settled)
{
	if (snapshot->xmax != settled->xmax)
		return TransactionIdFollows(snapshot->xmax, settled->xmax);
	return snapshot->xcnt <= settled->xcnt &&
		snapshot->subxcnt <= settled->subxcnt &&
		snapshot->suboverflowed == settled->suboverflowed;
}

/* Offset below which the lane is known to be finished for the reader's snapshot. */
static RecordOffset
settled_upto(const LaneReader *reader)
{
	bool		same;
	SettledLane *settled = settled_lane(reader, &same);

	return (same && snapshot_is_later(reader->snapshot, settled)) ? settled->upto : 0;
}

static void
remember_settled(const LaneReader *reader, RecordOffset upto)
{
	bool		same;
	SettledLane *settled = settled_lane(reader, &same);

	if (same && !snapshot_is_later(reader->snapshot, settled))
		return;
	settled->locator = RelationFileLocator(reader->rel);
	settled->incarnation = reader->map.incarnation;
	settled->lane = reader->lane;
	settled->upto = upto;
	settled->xmax = reader->snapshot->xmax;
	settled->xcnt = reader->snapshot->xcnt;
	settled->subxcnt = reader->snapshot->subxcnt;
	settled->suboverflowed = reader->snapshot->suboverflowed;
}

/*
 * Leads a reader of an entered, not empty lane to the first unfinished batch
 * below "limit"; reader->stopped says whether there is one.
 */
static void
find_unfinished(LaneReader *reader, RecordOffset limit)
{
	uint64		fxmin = snapshot_fxmin(reader->snapshot);
	RecordOffset settled = Max(settled_upto(reader), (RecordOffset) reader->map.entry.log_start);
	DirEntry	extent;
	uint32		seq = directory_find_xid(&reader->map, fxmin, &extent);
	int			low = 0;
	ExtentSpan	span;
	int			high;
	DataOpaque *opaque = data_opaque(reader->page.data);

	/* the last page first: usually nothing before it is unfinished */
	measure_extent(reader, seq, &extent, &span);
	high = span.npages - 1;
	if (high > 0)
	{
		load_page_of_span(reader, &span, high - 1);
		if (opaque->max_fxid < fxmin)
			low = high;
	}

	/* the first page that a running transaction can have written to */
	while (low < high)
	{
		int			mid = (low + high) / 2;

		load_page_of_span(reader, &span, mid);
		if (opaque->max_fxid >= fxmin)
			high = mid;
		else
			low = mid + 1;
	}
	load_page_of_span(reader, &span, low);
	if (settled > (RecordOffset) opaque->first_offset ||
		(settled == (RecordOffset) opaque->first_offset && opaque->batch_back > 0))
	{
		seq = directory_find_offset(&reader->map, settled, &extent);
		load_page_of_offset(reader, seq, &extent, settled);
		reader->lower = reader->next_offset = settled;
		start_at_entry(reader);
		if (reader->in_batch)
			reader_skip_batch(reader);
	}
	else
	{
		/* a batch that began earlier is of a writer older than all running ones */
		skip_continued_batch(reader);
		settled = Max(settled, (RecordOffset) opaque->first_offset);
	}

	while (reader_next_batch(reader) && reader->batch.base_offset < limit)
	{
		settled = Max(settled, reader->batch.base_offset + reader->batch.last_offset_delta + 1);
		reader_skip_batch(reader);
	}
	remember_settled(reader, Min(settled, limit));
}

/*
 * In fetch nothing follows an unfinished transaction, wherever the reader was
 * sent.  Mostly the page tells that there is none before it.
 */
static void
stop_behind_unfinished(LaneReader *reader)
{
	LaneReader *scan;

	if (reader->at_end ||
		data_opaque(reader->page.data)->max_fxid < snapshot_fxmin(reader->snapshot) ||
		settled_upto(reader) >= reader->lower)
		return;
	scan = lane_reader_create(reader->rel, reader->snapshot, LANE_READ_FETCH);
	if (lane_reader_enter(scan, reader->lane))
		find_unfinished(scan, reader->lower);
	if (scan->stopped && scan->next_offset < reader->lower)
	{
		reader->at_end = reader->stopped = true;
		reader->in_batch = false;
	}
	lane_reader_free(scan);
}

/* One try to go to an offset; the reader may be overtaken. */
static void
seek_offset(LaneReader *reader, RecordOffset offset)
{
	uint32		seq;
	DirEntry	extent;

	/* a compaction made us look at the lane again: what we could read is trimmed */
	if (Max(offset, reader->entered_start) < (RecordOffset) reader->map.entry.log_start)
		directory_trimmed(&reader->map);
	reader->lower = Max(offset, reader->map.entry.log_start);
	reader->next_offset = reader->lower;
	reader->in_batch = false;
	reader->stopped = false;
	reader->at_end = true;
	if (reader->map.entry.next_seq == reader->map.entry.head_seq ||
		reader->lower >= reader->log_end)
		return;
	reader->at_end = false;
	seq = directory_find_offset(&reader->map, reader->lower, &extent);
	load_page_of_offset(reader, seq, &extent, reader->lower);
	start_at_entry(reader);
	if (reader->mode == LANE_READ_FETCH && reader->lower > reader->map.entry.log_start)
		stop_behind_unfinished(reader);
}

/*
 * Compaction may overtake us here as well: then we go to the same offset by the
 * lane's new directory.  Who bears being overtaken looks again himself.
 */
void
lane_reader_seek(LaneReader *reader, RecordOffset offset)
{
	bool		looks_himself = reader->bears_overtaking || reader->one_extent;

	for (;;)
	{
		if (!looks_himself)
			reader_bear_overtaking(reader, true);
		seek_offset(reader, offset);
		if (looks_himself)
			return;
		reader_bear_overtaking(reader, false);
		if (!reader->overtaken)
			return;
		reader_find_anew(reader, reader->lower);
	}
}

void
lane_reader_set_extent(LaneReader *reader, uint32 seq)
{
	DirEntry	extent;

	reader->one_extent = true;
	reader->only_seq = seq;
	reader->lower = reader->next_offset = reader->map.entry.log_start;
	reader->in_batch = false;
	reader->stopped = false;
	reader->at_end = false;
	directory_extent(&reader->map, seq, &extent);
	reader_load_page(reader, seq, extent.block, 0);
	start_at_entry(reader);
}

/* One try to go to a time; the reader may be overtaken. */
static RecordOffset
seek_time(LaneReader *reader, int64 ms)
{
	DirEntry	extent;
	uint32		seq;

	reader->at_end = true;
	reader->stopped = reader->in_batch = false;
	reader->positioned = true;
	if (reader->map.entry.next_seq == reader->map.entry.head_seq)
		return -1;
	seq = directory_find_time(&reader->map, ms, &extent);
	while (!load_page_of_time(reader, seq, &extent, ms))
	{
		if (++seq >= reader->map.entry.next_seq)
			return -1;
		directory_extent(&reader->map, seq, &extent);
	}
	reader->at_end = false;
	reader->lower = reader->next_offset = data_opaque(reader->page.data)->first_offset;
	if (reader->lower >= reader->map.entry.log_start)
		start_at_entry(reader);
	else
	{
		/* VACUUM FULL may have left behind where the page's batch begins */
		lane_reader_seek(reader, reader->map.entry.log_start);
	}
	return reader->lower;
}

RecordOffset
lane_reader_seek_time(LaneReader *reader, int64 ms)
{
	for (;;)
	{
		RecordOffset result;

		reader_bear_overtaking(reader, true);
		result = seek_time(reader, ms);
		reader_bear_overtaking(reader, false);
		if (!reader->overtaken)
			return result;
		reader_find_anew(reader, reader->map.entry.log_start);
	}
}

/* The LSO of the lane that the reader has entered; then seek. */
static RecordOffset
stable_offset(LaneReader *reader)
{
	/* the end comes before the scan, which must not miss what comes later */
	RecordOffset log_end = lane_reader_log_end(reader);

	/* mostly the newest writer is older than all that run */
	if (reader->at_end || reader->newest_fxid < snapshot_fxmin(reader->snapshot))
		return log_end;
	find_unfinished(reader, PG_INT64_MAX);
	return reader->stopped ? reader->next_offset : log_end;
}

RecordOffset
log_stable_offset(Relation rel, int32 lane, Snapshot snapshot)
{
	LaneReader *reader = lane_reader_create(rel, snapshot, LANE_READ_FETCH);
	RecordOffset result;

	(void) lane_reader_enter(reader, lane);
	result = stable_offset(reader);
	lane_reader_free(reader);
	return result;
}

void
log_offsets(Relation rel, int32 lane, Snapshot snapshot, const int64 *ms, LaneOffsets *offsets)
{
	LaneReader *reader = lane_reader_create(rel, snapshot, LANE_READ_FETCH);
	LaneRecord	record;

	lane_reader_want(reader, false, false);
	(void) lane_reader_enter(reader, lane);
	offsets->log_start = reader->map.entry.log_start;
	offsets->stable = stable_offset(reader);
	offsets->stable = Max(offsets->stable, offsets->log_start);
	offsets->log_end = reader->log_end;
	offsets->at = -1;
	if (ms != NULL && lane_reader_seek_time(reader, *ms) >= 0)
	{
		while (offsets->at < 0 &&
			   lane_reader_next(reader, &record) && record.offset < offsets->stable)
		{
			if (record.timestamp >= *ms)
				offsets->at = record.offset;
		}
	}
	lane_reader_free(reader);
}

/* The extent that a page says it belongs to; false if readers need none such. */
static bool
extent_of_page(const LaneMap *map, const DataOpaque *opaque, uint32 *seq)
{
	if (opaque->incarnation == map->incarnation)
	{
		*seq = opaque->extent_seq;
		return *seq >= map->entry.trim_seq && *seq < map->entry.next_seq;
	}
	*seq = map->first_seq + opaque->extent_seq - map->entry.clean.head;
	return opaque->incarnation == map->incarnation + map->entry.generation &&
		opaque->extent_seq >= map->entry.clean.head && opaque->extent_seq < map->entry.clean.next;
}

/*
 * Which live records start in a block of the file: for ANALYZE.  Leaves the
 * reader in the block's lane.
 */
bool
log_block_records(Relation rel, BlockNumber block, BufferAccessStrategy strategy,
				  LaneReader *reader, int32 *lane, RecordOffset *first, RecordOffset *limit)
{
	PGAlignedBlock copy;
	DataOpaque *opaque = data_opaque(copy.data);
	DirEntry	extent;
	uint32		seq;

	if (block == TOPIC_META_BLOCK)
		return false;
	directory_copy_page(rel, block, strategy, copy.data);
	if (((PageHeader) copy.data)->pd_special != DATA_PAGE_END ||
		opaque->page_id != TOPIC_DATA_PAGE_ID || opaque->entry_pos == 0 ||
		opaque->lane >= TOPIC_MAX_PARTITIONS || !lane_reader_enter(reader, opaque->lane))
		return false;
	if (!extent_of_page(&reader->map, opaque, &seq))
		return false;
	directory_extent(&reader->map, seq, &extent);
	if (extent.block + opaque->page_index != block)
		return false;

	*lane = opaque->lane;
	*first = Max((RecordOffset) opaque->first_offset, map_is_clean(&reader->map, seq) ?
				 (RecordOffset) reader->map.entry.log_start : map_main_start(&reader->map));
	*limit = opaque->next_offset;
	if ((opaque->flags & DATA_PAGE_HAS_NEXT) && !(opaque->flags & DATA_PAGE_ENDS_SECTION))
	{
		memcpy(reader->page.data, copy.data, BLCKSZ);
		reader->seq = seq;
		reader->index = opaque->page_index;
		reader->extent_start = extent.block;
		if (reader_next_page(reader))
			*limit = data_opaque(reader->page.data)->first_offset;
	}
	return *first < *limit;
}
