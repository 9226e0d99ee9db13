/*-------------------------------------------------------------------------
 *
 * compact.c
 *	  Compaction: of the messages of a key only the newest stays.
 *
 * A pass reads the part that was not compacted yet, as far as the memory for its
 * keys goes, and then writes all before that place anew into a section of its own,
 * which takes the place of what it was made from (section.c).  Offsets, order and
 * batches stay; a batch that loses all its records goes.
 *
 * Only what no transaction can change any more is touched: extents behind which
 * others were opened, below frozen_upto.  So every snapshot that sees a message
 * which is dropped also sees the newer one of its key.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "common/pg_prng.h"
#include "log/am.h"
#include "log/clean_writer.h"
#include "log/codec.h"
#include "log/compact_map.h"
#include "log/reader.h"
#include "log/vacuum.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* How often a lane is tried that others trim meanwhile. */
#define OVERTAKEN_TRIES		3

typedef struct CompactJob
{
	Relation	rel;
	LogCompaction *params;
	LaneReader *reader;
	uint64		oldest_fxid;	/* transactions from it on may be unresolved */
	void	   *memory;			/* for the map, and its size */
	Size		memory_size;
	CompactMap	map;
	MemoryContext pass_context;

	/* the lane */
	int32		lane;
	RecordOffset log_start;
	RecordOffset dirty_start;	/* before it is the clean section */
	RecordOffset limit;			/* nothing from there on is compacted */
	bool		anew;			/* the clean section is to be written again in
								 * any case */

	/* the pass */
	LanePlace	end;			/* covers what is before it */
	CleanWriter writer;
	uint64		read;			/* records */

	/* throttling and progress */
	bool		stopped;		/* the caller does not want to go on */
	TimestampTz started;
	int64		bytes;			/* read and written */
	int64		total;			/* estimate for the lane */

	/* a batch being thinned out */
	char	   *plain;
	Size		plain_size;
	char	   *kept;
	Size		kept_size;
} CompactJob;

/* ---------- pace ---------- */

/* Notes work done; sleeps when it was more than the rate allows. */
static void
note_work(CompactJob *job, int64 bytes)
{
	LogCompaction *params = job->params;

	job->bytes += bytes;
	CHECK_FOR_INTERRUPTS();
	for (;;)
	{
		int64		due;
		int64		ahead;

		if (!job->stopped &&
			!params->progress(params->arg, job->lane, job->bytes, job->total))
			job->stopped = true;
		if (params->bytes_per_second <= 0 || job->stopped)
			break;
		due = (int64) ((double) job->bytes * 1000 / params->bytes_per_second);
		ahead = due - (GetCurrentTimestamp() - job->started) / 1000;
		if (ahead < 10)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(ahead, 1000), WAIT_EVENT_VACUUM_DELAY);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* ---------- batches ---------- */

static char *
reserve(char **buffer, Size *size, Size needed)
{
	if (*size < needed)
	{
		if (*buffer)
			pfree(*buffer);
		*buffer = NULL;
		*size = 0;
		*buffer = palloc_extended(needed, MCXT_ALLOC_HUGE);
		*size = needed;
	}
	return *buffer;
}

static void
broken_batch(CompactJob *job)
{
	directory_corrupted(job->rel, job->reader->extent_start + job->reader->index,
						"Batch to be compacted is malformed");
}

/*
 * The stored bytes of the batch whose envelope the reader stands on; moves
 * behind it.  NULL if the space was reused.
 */
static const char *
take_batch(CompactJob *job, size_t *length)
{
	LaneReader *reader = job->reader;
	const char *bytes;

	reader->pos += reader->batch.header_size;
	reader->rest -= reader->batch.header_size;
	*length = reader->rest;
	bytes = reader_take_rest(reader);
	reader->in_batch = false;
	note_work(job, *length);
	return bytes;
}

/* The records of the batch, decompressed. */
static const char *
plain_records(CompactJob *job, const char *stored, size_t *length)
{
	int			codec = job->reader->batch.flags & BATCH_CODEC_MASK;
	int64		size;

	if (codec == CODEC_NONE)
		return stored;
	size = codec_is_known(codec) ? codec_plain_size(codec, stored, *length) : -1;
	if (size < 0 || size > RECORD_MAX_BYTES)
		broken_batch(job);
	reserve(&job->plain, &job->plain_size, size);
	switch (codec_decompress(codec, stored, *length, job->plain, size))
	{
		case CODEC_OK:
			break;
		case CODEC_NO_MEMORY:
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory"),
					 errdetail("Failed to decompress a batch of topic \"%s\".",
							   RelationGetRelationName(job->rel))));
			break;
		case CODEC_MALFORMED:
			broken_batch(job);
			break;
	}
	*length = size;
	return job->plain;
}

/* Takes the record at *from, and moves behind it. */
static void
next_record(CompactJob *job, const char **from, const char *end, DecodedRecord *record)
{
	int64		size = record_length(*from, end - *from);

	if (size <= 0 || size > end - *from || !record_decode(*from, size, record))
		broken_batch(job);
	*from += size;
}

static RecordOffset
batch_end(const BatchHead *batch)
{
	return batch->base_offset + batch->last_offset_delta + 1;
}

/* ---------- the keys of the part that was not compacted ---------- */

/*
 * Notes the keys of a batch.  False if not all of them found room; what was
 * noted is true all the same.
 */
static bool
note_keys(CompactJob *job, const char *stored, size_t length)
{
	RecordOffset base = job->reader->batch.base_offset;
	const char *from = plain_records(job, stored, &length);
	const char *end = from + length;

	while (from < end)
	{
		DecodedRecord record;

		next_record(job, &from, end, &record);
		if (record.key.length >= 0 && base + record.offset_delta >= job->log_start &&
			!compact_map_put(&job->map, record.key.data, record.key.length,
							 base + record.offset_delta))
			return false;
	}
	return true;
}

/* An empty map in so much memory. */
static void
empty_map(CompactJob *job, Size size)
{
	if (job->memory_size != size)
	{
		if (job->memory != NULL)
			pfree(job->memory);
		job->memory = NULL;
		job->memory = MemoryContextAllocHuge(GetMemoryChunkContext(job->reader), size);
		job->memory_size = size;
	}
	compact_map_init(&job->map, job->memory, size, (uint64) (job->limit - job->dirty_start),
					 pg_prng_uint64(&pg_global_prng_state));
}

/*
 * Fills the map, and finds out how far this pass goes: at least over one batch,
 * whatever memory its keys need.  So all keys of what a pass covers are in the map,
 * and the clean section has no key twice.
 */
static bool
fill_map(CompactJob *job)
{
	LaneReader *reader = job->reader;
	bool		first = true;

	empty_map(job, job->params->memory);
	job->end.start = job->dirty_start;
	reader->at_end = false;
	reader_seek_batch(reader, job->dirty_start);
	while (reader_next_envelope(reader))
	{
		RecordOffset end = batch_end(&reader->batch);
		size_t		length;
		const char *stored;
		bool		fits;

		if (end <= job->dirty_start || (reader->batch.flags & BATCH_ABORTED))
		{
			reader_skip_batch(reader);
			if (end <= job->limit)
				job->end.start = Max(job->end.start, end);
			continue;
		}
		if (end > job->limit)
			break;
		stored = take_batch(job, &length);
		if (stored == NULL || job->stopped)
			return false;
		while (!(fits = note_keys(job, stored, length)) && first)
			empty_map(job, job->memory_size * 2);
		if (!fits)
			break;
		job->end.start = end;
		first = false;
	}
	if (reader->overtaken)
		return false;
	reader_find_place(reader, &job->end);
	return !reader->overtaken;
}

/* ---------- writing what stays ---------- */

/* What becomes of a batch. */
typedef struct Thinned
{
	int32		nkept;
	size_t		length;			/* of their bytes in job->kept */
	int64		max_timestamp;
	int			tombstones;		/* among them */
} Thinned;

static bool
keep_record(CompactJob *job, const BatchHead *batch, const DecodedRecord *record, Thinned *thinned)
{
	RecordOffset offset = batch->base_offset + record->offset_delta;
	int64		newest;

	/* as in Kafka, compaction removes what has no key */
	if (record->key.length < 0 || offset < job->log_start)
		return false;
	newest = compact_map_get(&job->map, record->key.data, record->key.length);
	if (newest > offset)
		return false;
	if (record->value.length >= 0)
		return true;
	if (batch->delete_horizon != 0 && job->params->now >= batch->delete_horizon)
		return false;
	Assert(newest == offset || batch->delete_horizon != 0);
	thinned->tombstones++;
	return true;
}

/* Collects the records that stay; their deltas do, too. */
static void
thin_out(CompactJob *job, const char *from, size_t length, Thinned *thinned)
{
	const BatchHead *batch = &job->reader->batch;
	const char *end = from + length;

	memset(thinned, 0, sizeof(*thinned));
	thinned->max_timestamp = PG_INT64_MIN;
	reserve(&job->kept, &job->kept_size, length);
	while (from < end)
	{
		const char *start = from;
		DecodedRecord record;

		next_record(job, &from, end, &record);
		job->read++;
		if (!keep_record(job, batch, &record, thinned))
			continue;
		memcpy(job->kept + thinned->length, start, from - start);
		thinned->length += from - start;
		thinned->nkept++;
		thinned->max_timestamp = Max(thinned->max_timestamp,
									 batch->base_timestamp + record.timestamp_delta);
	}
}

/* Compresses the kept records as they were; returns what is to be stored. */
static const char *
pack_kept(CompactJob *job, BatchHead *head, size_t *length)
{
	int			codec = head->flags & BATCH_CODEC_MASK;
	size_t		capacity;
	size_t		size;

	head->flags &= ~BATCH_CODEC_MASK;
	if (codec == CODEC_NONE || *length < CODEC_MIN_BYTES)
		return job->kept;
	capacity = codec_bound(codec, *length);
	reserve(&job->plain, &job->plain_size, capacity);
	size = codec_compress(codec, job->kept, *length, job->plain, capacity);
	if (!codec_worthwhile(*length, size))
		return job->kept;
	head->flags |= codec;
	*length = size;
	return job->plain;
}

/*
 * When tombstones may go: from the first compaction that kept them, and removed
 * what was older, they stay for a while, for readers who come along.
 */
static int64
delete_horizon(const CompactJob *job, const BatchHead *batch, const Thinned *thinned)
{
	if (thinned->tombstones == 0)
		return 0;
	if (batch->delete_horizon != 0)
		return batch->delete_horizon;
	return job->params->now + job->params->delete_retention_ms;
}

static void
rewrite_batch(CompactJob *job, const char *stored, size_t stored_length, uint32 leader_epoch)
{
	BatchHead	head = job->reader->batch;
	size_t		length = stored_length;
	const char *plain = plain_records(job, stored, &length);
	Thinned		thinned;

	thin_out(job, plain, length, &thinned);
	if (thinned.nkept == 0)
		return;
	head.xid = FrozenTransactionId;
	if (thinned.tombstones > 0)
		job->writer.builder->tombstones = true;
	head.delete_horizon = delete_horizon(job, &job->reader->batch, &thinned);
	if (thinned.nkept < head.nrecords)
	{
		stored_length = thinned.length;
		stored = pack_kept(job, &head, &stored_length);
		head.nrecords = thinned.nkept;
		if (!(head.flags & BATCH_LOG_APPEND_TIME))
			head.max_timestamp = thinned.max_timestamp;
		head.crc = batch_crc(head.flags & BATCH_ATTRIBUTES_MASK, head.last_offset_delta,
							 head.base_timestamp, head.max_timestamp, head.producer_id,
							 head.producer_epoch, head.base_sequence, head.nrecords,
							 stored, stored_length);
	}
	clean_writer_add(&job->writer, &head, leader_epoch, stored, stored_length);
	note_work(job, stored_length);
}

/* Writes what stays of all before job->end; false if the space was reused. */
static bool
write_section(CompactJob *job)
{
	LaneReader *reader = job->reader;

	reader->at_end = false;
	reader_seek_batch(reader, job->log_start);
	/* the end is within a batch where that is the log start */
	while (reader_next_envelope(reader) && batch_end(&reader->batch) <= job->end.start)
	{
		uint32		leader_epoch = reader->batch.leader_epoch != 0 ?
			reader->batch.leader_epoch : data_opaque(reader->page.data)->leader_epoch;
		size_t		length;
		const char *stored;

		if (batch_end(&reader->batch) <= job->log_start ||
			(reader->batch.flags & BATCH_ABORTED))
		{
			reader_skip_batch(reader);
			continue;
		}
		stored = take_batch(job, &length);
		if (stored == NULL || job->stopped)
			return false;
		rewrite_batch(job, stored, length, leader_epoch);
		if (job->writer.too_large)
			return false;
	}
	if (reader->overtaken)
		return false;
	clean_writer_finish(&job->writer);
	return !job->writer.too_large;
}

/* ---------- lanes ---------- */

/* The first extent of the main section that may not be compacted yet. */
static uint32
first_young_extent(CompactJob *job)
{
	LaneMap    *map = &job->reader->map;
	uint32		seq = map->entry.trim_seq;

	for (; seq + 1 < map->entry.next_seq; seq++)
	{
		DirEntry	extent;

		directory_extent(map, seq, &extent);
		if (!extent.closed)
			break;
		if (extent.max_fxid >= job->oldest_fxid)
			break;
		if (job->params->min_lag_ms > 0 &&
			extent.max_timestamp > job->params->now - job->params->min_lag_ms)
			break;
	}
	return seq;
}

/*
 * Enters the lane, and finds out what can be compacted; false if that is nothing,
 * or not worth it.  first: no pass was made yet; before_freezing: supposes that
 * all transactions are resolved that can be.
 */
static bool
plan_lane(CompactJob *job, bool first, bool before_freezing)
{
	LaneReader *reader = job->reader;
	const LaneEntry *lane = &reader->map.entry;
	DirEntry	extent;
	uint32		seq;
	double		clean;
	double		dirty;

	reader->overtaken = false;
	if (!lane_reader_enter(reader, job->lane))
		return false;
	job->log_start = (RecordOffset) lane->log_start;
	job->dirty_start = Max(job->log_start, (RecordOffset) lane->clean_end);
	seq = first_young_extent(job);
	directory_extent(&reader->map, seq, &extent);
	job->limit = (RecordOffset) extent.first_offset;
	if (!before_freezing)
		job->limit = Min(job->limit, (RecordOffset) lane->frozen_upto);
	job->limit = Max(job->limit, job->dirty_start);
	seq = directory_find_offset(&reader->map, job->limit, &extent);

	clean = (double) lane->clean.next * extent_pages(lane->clean.size_class);
	dirty = (double) (logical_page(seq, 0) - logical_page(lane->trim_seq, 0));
	job->total = (int64) ((clean + 2 * dirty) * BLCKSZ);

	/*
	 * A clean section that retention has passed is space for nothing; who asks for
	 * compaction now also wants tombstones gone whose time has come.
	 */
	job->anew = (lane->clean.next > 0 && job->log_start >= (RecordOffset) lane->clean_end) ||
		(job->params->min_dirty_ratio == 0 && (lane->flags & LANE_CLEAN_TOMBSTONES) && first);
	if (job->anew)
		return true;
	return job->limit > job->dirty_start && dirty > 0 &&
		dirty / (clean + dirty) >= job->params->min_dirty_ratio;
}

/* Pages of the present clean section, and of what else the pass covers. */
static int64
pages_before(const LaneMap *map, const LanePlace *end)
{
	return (int64) map->entry.clean.next * extent_pages(map->entry.clean.size_class) +
		(int64) (logical_page(end->seq, end->index) -
				 logical_page(map->entry.trim_seq, map->entry.start_index)) + 1;
}

/*
 * The size of extents for the new section: not larger than those of the main
 * one's beginning, so that small lanes stay small, but so that there are not more
 * of them than the main section has had, below which they are numbered.
 */
static int
section_size_class(const LanePlace *end, int64 npages)
{
	int			size_class = Min(end->seq, EXTENT_SIZE_CLASSES) - 1;

	while (size_class < EXTENT_SIZE_CLASSES - 1 &&
		   npages > (int64) end->seq * extent_pages(size_class))
		size_class++;
	return size_class;
}

/* One pass over an entered lane; false if others have been in the way. */
static bool
compact_pass(CompactJob *job)
{
	MemoryContext old = MemoryContextSwitchTo(job->pass_context);
	SectionBuilder builder;
	bool		done;

	job->read = 0;
	done = fill_map(job);
	if (done && job->end.seq > 0 && (job->anew || job->end.start > job->dirty_start))
	{
		int64		before = pages_before(&job->reader->map, &job->end);

		section_begin(&builder, job->rel, job->lane, section_size_class(&job->end, before));
		clean_writer_init(&job->writer, &builder, job->end.seq);
		done = write_section(job) && section_swap(&builder, &job->end);
		if (done)
		{
			job->params->passes++;
			job->params->removed += job->read - job->writer.records;
			job->params->bytes_before += before * BLCKSZ;
			job->params->bytes_after += (int64) builder.section.next *
				extent_pages(builder.section.size_class) * BLCKSZ;
		}
		section_release_leftovers(job->rel);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(job->pass_context);
	job->plain = job->kept = NULL;
	job->plain_size = job->kept_size = 0;
	return done;
}

/* As many passes over a lane as it takes. */
static void
compact_lane(CompactJob *job)
{
	bool		first = true;
	int			tries = 0;

	job->bytes = 0;
	job->started = GetCurrentTimestamp();
	while (plan_lane(job, first, false))
	{
		if (compact_pass(job))
		{
			/* where a batch begins in the first extent, nothing could be swapped */
			if (job->end.start >= job->limit || job->end.start <= job->dirty_start ||
				job->end.seq == 0)
				break;
			first = false;
		}
		else if (job->stopped || job->writer.too_large || ++tries == OVERTAKEN_TRIES)
			break;
	}
}

/*
 * Resolves transactions, if that is what compaction waits for: it reads all
 * envelopes of the new part, which must not be done again and again for nothing.
 */
static void
freeze_if_needed(CompactJob *job, int32 lanes)
{
	TransactionId oldest = GetOldestNonRemovableTransactionId(job->rel);
	FullTransactionId next = ReadNextFullTransactionId();
	FreezeResult frozen;
	bool		needed = false;

	job->oldest_fxid = U64FromFullTransactionId(next) -
		(uint32) (XidFromFullTransactionId(next) - oldest);
	for (job->lane = 0; job->lane < lanes && !needed; job->lane++)
	{
		CHECK_FOR_INTERRUPTS();
		needed = directory_lane_block(job->rel, job->lane) != 0 &&
			plan_lane(job, true, true) &&
			job->limit > (RecordOffset) job->reader->map.entry.frozen_upto;
	}
	if (needed)
		log_freeze(job->rel, oldest, false, &frozen);
}

void
log_compact(Relation rel, LogCompaction *params)
{
	CompactJob	job = {0};
	int32		lanes = log_lane_limit(rel);

	log_check_writable("compaction");
	params->memory = Max(params->memory, COMPACT_MAP_MIN_BYTES);
	params->passes = 0;
	params->removed = params->bytes_before = params->bytes_after = 0;
	section_release_leftovers(rel);

	job.rel = rel;
	job.params = params;
	job.pass_context = AllocSetContextCreate(CurrentMemoryContext, "compaction of a topic",
											 ALLOCSET_DEFAULT_SIZES);
	job.reader = lane_reader_create(rel, NULL, LANE_READ_ANY);
	job.reader->bears_overtaking = true;
	job.reader->strategy = GetAccessStrategy(BAS_BULKREAD);
	freeze_if_needed(&job, lanes);
	for (job.lane = 0; job.lane < lanes && !job.stopped; job.lane++)
	{
		CHECK_FOR_INTERRUPTS();
		if (directory_lane_block(rel, job.lane) != 0)
			compact_lane(&job);
	}
	FreeAccessStrategy(job.reader->strategy);
	lane_reader_free(job.reader);
	if (job.memory != NULL)
		pfree(job.memory);
	MemoryContextDelete(job.pass_context);
}
