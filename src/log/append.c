/*-------------------------------------------------------------------------
 *
 * append.c
 *	  Batches to the tail of a lane.
 *
 * The batches of one call are a stream of bytes.  Pages are filled from it
 * directly in shared buffers, inside the critical section, once it is known
 * how many pages the record will touch; nothing can fail in there.  See
 * README.md for the fast and the slow way and what a crash leaves behind.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "log/codec.h"
#include "log/directory.h"
#include "log/tailhint.h"
#include "log/visibility.h"
#include "log/wal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "storage/predicate.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* A file whose tail grows page by page is lengthened by so many. */
#define FILE_STEP_PAGES			8

typedef struct AppendStream
{
	Relation	rel;
	int32		lane;
	AppendBatch *batches;
	BatchHead  *heads;			/* of the batches; length = all of it */
	char	  **packed;			/* records of those that were compressed */
	int			nbatches;
	bool		explicit_offsets;
	uint32		leader_epoch;
	int			current;		/* batch being written */
	uint64		done;			/* bytes of it that are; 0 = not begun */
	uint64		start_page;		/* logical page where it began ... */
	uint16		start_pos;		/* ... and the position there */
	uint64		entry;			/* first record start at or behind "done" */
	uint32		begun;			/* batches begun in this WAL record */
} AppendStream;

/* ---------- preparing ---------- */

/*
 * The compressed records of a batch, palloc'd, and their length, if that is to be
 * done and saves enough; else NULL.
 */
static char *
pack_records(const AppendBatch *append, size_t *packed_length)
{
	size_t		length;
	const char *records = batch_records(append->batch, &length);
	size_t		capacity;
	size_t		size;
	char	   *packed;

	if (!codec_is_known(append->codec) || length < CODEC_MIN_BYTES)
		return NULL;
	CHECK_FOR_INTERRUPTS();
	capacity = codec_bound(append->codec, length);
	packed = palloc(capacity);
	size = codec_compress(append->codec, records, length, packed, capacity);
	if (!codec_worthwhile(length, size))
	{
		pfree(packed);
		return NULL;
	}
	*packed_length = size;
	return repalloc(packed, size);
}

static void
prepare_head(AppendBatch *append, BatchHead *head, char **packed, int64 now)
{
	Batch	   *batch = append->batch;
	char		scratch[BATCH_ENVELOPE_MAX];
	size_t		length;
	const char *records = batch_records(batch, &length);

	memset(head, 0, sizeof(*head));
	head->flags = batch->attributes & BATCH_ATTRIBUTES_MASK;
	*packed = pack_records(append, &length);
	if (*packed != NULL)
	{
		records = *packed;
		head->flags |= append->codec;
	}
	if (append->log_append_time)
	{
		head->flags |= BATCH_LOG_APPEND_TIME;
		batch->base_timestamp = batch->max_timestamp = batch->min_timestamp = now;
	}
	head->xid = append->xid;
	head->base_timestamp = batch->base_timestamp;
	head->max_timestamp = batch->max_timestamp;
	head->last_offset_delta = (int32) (batch->next_offset_delta - 1);
	head->producer_id = -1;
	head->producer_epoch = -1;
	head->base_sequence = -1;
	head->nrecords = batch->count;
	head->crc = batch_crc(head->flags, head->last_offset_delta,
						  head->base_timestamp, head->max_timestamp,
						  head->producer_id, head->producer_epoch,
						  head->base_sequence, head->nrecords, records, length);
	head->length = (uint32) length;
	batch_head_encode(scratch, head);	/* completes flags and sizes */
}

void
log_refuse_expected(Relation rel, int32 lane, RecordOffset expected, RecordOffset next)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("log end of partition %d of topic \"%s\" is not where it was expected",
					lane, RelationGetRelationName(rel)),
			 errdetail("The expected offset is %lld, and the message would get offset %lld.",
					   (long long) expected, (long long) next),
			 errhint("Read the partition anew, and try the transaction again.")));
}

/*
 * Offsets must not run out; and where batches come with offsets of their own,
 * none may lie below the log end, nor elsewhere than expected.  "end" is the
 * lane's as of the locked tail page.
 */
static void
check_offsets(const AppendStream *s, RecordOffset end)
{
	for (int i = s->current; i < s->nbatches; i++)
	{
		RecordOffset at = s->batches[i].at_offset;
		uint64		delta = s->batches[i].batch->next_offset_delta;

		if (i == s->current && s->done > 0)
			continue;
		if (s->batches[i].expected_offset >= 0 && s->batches[i].expected_offset != end)
			log_refuse_expected(s->rel, s->lane, s->batches[i].expected_offset, end);
		if (at >= 0)
		{
			if (at < end)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("log_offset %lld is below the log end of partition %d of topic \"%s\"",
								(long long) at, s->lane, RelationGetRelationName(s->rel)),
						 errdetail("The log end offset is %lld.", (long long) end),
						 errhint("Leave log_offset NULL to append at the log end.")));
			end = at;
		}
		if (end > PG_INT64_MAX - (int64) delta)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("log_offset is out of range in partition %d of topic \"%s\"",
							s->lane, RelationGetRelationName(s->rel)),
					 errdetail("The log end offset is %lld.", (long long) end),
					 errhint("Use another partition, or a new topic.")));
		end += delta;
	}
}

/* ---------- filling pages ---------- */

static const char *
stream_bytes(const AppendStream *s, uint64 position)
{
	size_t		length;
	const char *records = s->packed[s->current];

	if (records == NULL)
		records = batch_records(s->batches[s->current].batch, &length);
	return records + (position - s->heads[s->current].header_size);
}

/* Offset of the record that starts at this position of the current batch. */
static RecordOffset
record_offset_at(const AppendStream *s, uint64 position)
{
	const char *from = stream_bytes(s, position);
	size_t		available = s->heads[s->current].length - position;
	int64		length;
	int64		timestamp_delta;
	int64		offset_delta;
	int			used = varint_get(from, available, &length);

	used += 1;					/* attributes */
	used += varint_get(from + used, available - used, &timestamp_delta);
	varint_get(from + used, available - used, &offset_delta);
	return s->batches[s->current].base_offset + offset_delta;
}

/*
 * The records that start below "limit" have been put on the page: takes their
 * timestamps into account and finds the next record start.
 */
static void
walk_records(AppendStream *s, DataOpaque *opaque, uint64 limit)
{
	const Batch *batch = s->batches[s->current].batch;
	const BatchHead *head = &s->heads[s->current];
	uint64		header = head->header_size;

	if (s->entry >= limit)
		return;
	if (batch->min_timestamp == batch->max_timestamp)
	{
		data_page_add_times(opaque, batch->min_timestamp, batch->max_timestamp);
		s->entry = (limit == head->length) ? limit :
			header + records_skip(stream_bytes(s, header), head->length - header,
								  s->entry - header, limit - header);
		return;
	}
	while (s->entry < limit)
	{
		const char *from = stream_bytes(s, s->entry);
		size_t		available = head->length - s->entry;
		int64		length;
		int64		delta;
		int			used = varint_get(from, available, &length);

		varint_get(from + used + 1, available - used - 1, &delta);
		data_page_add_times(opaque, head->base_timestamp + delta,
							head->base_timestamp + delta);
		s->entry += used + length;
	}
}

/* Begins the current batch at the page's end. */
static void
begin_batch(AppendStream *s, Page page, uint64 fxid)
{
	DataOpaque *opaque = data_opaque(page);
	AppendBatch *append = &s->batches[s->current];
	BatchHead	head = s->heads[s->current];
	uint16		lower = page_lower(page);
	RecordOffset base = (append->at_offset >= 0) ? append->at_offset :
		(RecordOffset) opaque->next_offset;

	append->base_offset = base;
	head.base_offset = base;
	head.length -= head.header_size;
	batch_head_encode((char *) page + lower, &head);

	if (opaque->entry_pos == 0)
	{
		opaque->entry_pos = lower;
		opaque->first_offset = base;
	}
	opaque->next_offset = base + append->batch->next_offset_delta;
	if (fxid > opaque->max_fxid)
		opaque->max_fxid = fxid;

	s->start_page = logical_page(opaque->extent_seq, opaque->page_index);
	s->start_pos = lower;
	s->done = s->entry = head.header_size;
	if (s->packed[s->current] != NULL)
	{
		/* it is one piece: all of it is here, wherever its bytes will be */
		data_page_add_times(opaque, append->batch->min_timestamp, append->batch->max_timestamp);
		s->entry = s->heads[s->current].length;
	}
	s->begun += append->batch->count;
	((PageHeader) page)->pd_lower = lower + head.header_size;
}

/* Offset of the next entry point of the batch being written. */
static RecordOffset
entry_offset(const AppendStream *s)
{
	const AppendBatch *append = &s->batches[s->current];

	if (s->entry < s->heads[s->current].length)
		return record_offset_at(s, s->entry);
	return append->base_offset + append->batch->next_offset_delta;
}

/* An empty page goes on with the current batch: says so in its opaque. */
static void
continue_batch(AppendStream *s, Page page)
{
	DataOpaque *opaque = data_opaque(page);
	const BatchHead *head = &s->heads[s->current];

	opaque->batch_back = (uint16)
		(logical_page(opaque->extent_seq, opaque->page_index) - s->start_page);
	opaque->batch_pos = s->start_pos;
	opaque->first_offset = entry_offset(s);
	if (s->entry < head->length && s->entry - s->done < DATA_PAGE_CAPACITY)
		opaque->entry_pos = DATA_PAGE_START + (s->entry - s->done);
}

/* The transaction id with its epoch: at or after the top-level one's. */
static uint64
full_xid(TransactionId xid)
{
	FullTransactionId top = GetTopFullTransactionId();

	return U64FromFullTransactionId(top) +
		(uint32) (xid - XidFromFullTransactionId(top));
}

static void
fill_page(AppendStream *s, Page page)
{
	DataOpaque *opaque = data_opaque(page);

	if (s->done > 0 && page_lower(page) == DATA_PAGE_START)
		continue_batch(s, page);

	while (s->current < s->nbatches)
	{
		const BatchHead *head = &s->heads[s->current];
		uint16		lower;
		uint64		n;

		if (s->done == 0)
		{
			if (DATA_PAGE_END - page_lower(page) < head->header_size)
				break;
			begin_batch(s, page, full_xid(head->xid));
		}
		lower = page_lower(page);
		n = Min((uint64) (DATA_PAGE_END - lower), head->length - s->done);
		memcpy((char *) page + lower, stream_bytes(s, s->done), n);
		((PageHeader) page)->pd_lower = lower + n;
		walk_records(s, opaque, s->done + n);
		s->done += n;
		opaque->open_bytes = (uint32) (head->length - s->done);
		if (s->done < head->length)
			break;
		s->current++;
		s->done = 0;
	}
}

/*
 * How many pages behind the tail the rest of the stream needs, at most "most".
 * "room" is what the tail page can take, 0 if it may not be used.
 */
static int
pages_needed(const AppendStream *s, int room, int most)
{
	int			pages = 0;
	uint64		done = s->done;

	for (int i = s->current; i < s->nbatches; i++)
	{
		uint64		rest = s->heads[i].length - done;

		if (done == 0 && room < s->heads[i].header_size)
		{
			pages++;
			room = DATA_PAGE_CAPACITY;
		}
		while (rest > (uint64) room)
		{
			if (pages >= most)
				return most;
			rest -= room;
			pages++;
			room = DATA_PAGE_CAPACITY;
		}
		room -= (int) rest;
		done = 0;
	}
	return Min(pages, most);
}

/* ---------- the tail ---------- */

/*
 * Locks the page if it is one of the lane, and then goes on to the last page
 * of its extent.  InvalidBuffer if it is none, or if the lane goes on in
 * another extent or much further on.
 */
static Buffer
lock_tail_near(AppendStream *s, uint32 incarnation, BlockNumber block, TailRef *tail)
{
	for (int hops = 0; hops < 4; hops++, block++)
	{
		Buffer		buffer = ReadBuffer(s->rel, block);
		Page		page = BufferGetPage(buffer);
		DataOpaque *opaque = data_opaque(page);
		PageIdentity id;
		bool		ours;

		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		tail->block = block;
		tail->seq = opaque->extent_seq;
		tail->index = opaque->page_index;
		id.incarnation = incarnation;
		id.seq = tail->seq;
		id.lane = s->lane;
		id.index = tail->index;
		ours = data_page_is(page, &id);
		if (ours && !(opaque->flags & DATA_PAGE_HAS_NEXT))
			return buffer;
		UnlockReleaseBuffer(buffer);
		if (!ours || tail->index + 1 >= extent_pages(tail->seq))
			break;
	}
	return InvalidBuffer;
}

/*
 * Locks the lane's last page exclusively; InvalidBuffer if the lane has no
 * extent yet.
 */
static Buffer
lock_tail(AppendStream *s, TailRef *tail)
{
	BlockNumber block;
	Buffer		buffer;
	LaneMap		map;
	PGAlignedBlock copy;

	if (directory_lane_block(s->rel, s->lane) == 0)
		return InvalidBuffer;
	if (directory_hint(s->rel, s->lane, &block))
	{
		buffer = lock_tail_near(s, directory_cache(s->rel)->incarnation, block, tail);
		if (BufferIsValid(buffer))
			return buffer;
	}
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		directory_read_lane(s->rel, s->lane, &map);
		if (!directory_find_tail(&map, tail, copy.data))
			return InvalidBuffer;
		buffer = lock_tail_near(s, map.incarnation, tail->block, tail);
		if (BufferIsValid(buffer))
			return buffer;
	}
}

/* Bytes of the stream that the locked tail page may take. */
static int
usable_room(const AppendStream *s, Page page)
{
	DataOpaque *opaque = data_opaque(page);

	if (s->done > 0)
		return DATA_PAGE_END - page_lower(page);
	if (opaque->open_bytes > 0 || opaque->leader_epoch != s->leader_epoch)
		return 0;				/* its writer died, or the timeline changed */
	return DATA_PAGE_END - page_lower(page);
}

/*
 * Fills the locked tail page (if it may be used) and "npages" fresh pages
 * behind it, in one WAL record.  Releases the tail; *tail is the new one.
 *
 * SSI is asked with the tail locked: a reader that locks the lane after that
 * finds the batch.
 */
static void
write_pages(AppendStream *s, Buffer tailbuf, TailRef *tail, bool use_tail, int npages)
{
	Buffer		buffers[WAL_APPEND_PAGES];
	uint32		incarnation = data_opaque(BufferGetPage(tailbuf))->incarnation;
	WalRecord	record;

	Assert(npages < WAL_APPEND_PAGES);
	buffers[0] = tailbuf;
	for (int i = 1; i <= npages; i++)
		buffers[i] = ReadBufferExtended(s->rel, MAIN_FORKNUM, tail->block + i,
										RBM_ZERO_AND_LOCK, NULL);
	CheckForSerializableConflictIn(s->rel, NULL, (BlockNumber) s->lane);
	wal_begin(&record, XLOG_TOPIC_APPEND, s->lane);
	s->begun = 0;
	(void) GetTopFullTransactionId();	/* not for the first time in there */

	START_CRIT_SECTION();
	for (int i = 0; i <= npages; i++)
	{
		Page		page = BufferGetPage(buffers[i]);
		WalPage    *walpage = wal_page(&record, buffers[i], i > 0);
		uint16		lower;

		if (i > 0)
		{
			DataOpaque *before = data_opaque(BufferGetPage(buffers[i - 1]));
			PageIdentity id = {incarnation, tail->seq, s->lane, tail->index + i};
			DataOpaque *opaque = data_opaque(page);

			data_page_init(page, &id, s->leader_epoch);
			opaque->next_offset = opaque->first_offset = before->next_offset;
			opaque->max_fxid = before->max_fxid;
			opaque->max_timestamp = before->max_timestamp;
			opaque->timestamp_span = before->timestamp_span;
		}
		lower = page_lower(page);
		if (i > 0 || use_tail)
			fill_page(s, page);
		if (i < npages)
			data_opaque(page)->flags |= DATA_PAGE_HAS_NEXT;
		if (page_lower(page) > lower)
		{
			if (i == 0)
				wal_patch(walpage, offsetof(PageHeaderData, pd_lower), sizeof(uint16));
			wal_patch(walpage, lower, page_lower(page) - lower);
		}
		wal_patch(walpage, DATA_PAGE_END, sizeof(DataOpaque));
	}
	record.change.offset = data_opaque(BufferGetPage(buffers[npages]))->next_offset;
	record.change.nmessages = s->begun;
	wal_finish(&record, s->rel);
	END_CRIT_SECTION();

	for (int i = npages; i >= 0; i--)
		UnlockReleaseBuffer(buffers[i]);
	tail->block += npages;
	tail->index += npages;
	tail_hint_set(s->rel, s->lane, tail->block);
}

/*
 * Whether the file reaches as far as the fresh pages.  If not, releases the
 * tail and lengthens it: by a little, so that small topics stay small, or to
 * the end of the extent when much is written at once.
 */
static bool
file_holds(AppendStream *s, Buffer tailbuf, const TailRef *tail, int npages)
{
	BlockNumber end = tail->block - tail->index + extent_pages(tail->seq);

	if (npages == 0 || directory_file_has(s->rel, tail->block + npages))
		return true;
	UnlockReleaseBuffer(tailbuf);
	if (npages < FILE_STEP_PAGES)
		end = Min(end, tail->block + npages + FILE_STEP_PAGES);
	extent_ensure_file(s->rel, end);
	return false;
}

/* ---------- the three ways ---------- */

/* One message, alone, of this transaction: the smallest WAL record. */
static bool
append_one(AppendStream *s, Buffer tailbuf, TailRef *tail)
{
	Page		page = BufferGetPage(tailbuf);
	DataOpaque *opaque = data_opaque(page);
	BatchHead  *head = &s->heads[0];
	uint64		fxid = full_xid(head->xid);
	int			length = head->length - head->header_size;
	AppendOne	one;

	if (s->nbatches > 1 || s->explicit_offsets ||
		head->header_size != sizeof(BatchEnvelope) ||
		usable_room(s, page) < (int64) head->length ||
		head->xid != GetCurrentTransactionIdIfAny() ||
		fxid != opaque->max_fxid + (int32) (head->xid - (uint32) opaque->max_fxid))
		return false;

	one.base_timestamp = head->base_timestamp;
	one.crc = head->crc;
	one.flags = head->flags & BATCH_ATTRIBUTES_MASK;
	s->batches[0].base_offset = opaque->next_offset;

	CheckForSerializableConflictIn(s->rel, NULL, (BlockNumber) s->lane);
	START_CRIT_SECTION();
	data_append_one(page, &one, head->xid, fxid, stream_bytes(s, head->header_size), length);
	wal_append_one(s->rel, tailbuf, &one, stream_bytes(s, head->header_size), length);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(tailbuf);
	tail_hint_set(s->rel, s->lane, tail->block);
	return true;
}

/* Everything in one WAL record; false if that is not possible. */
static bool
append_fast(AppendStream *s)
{
	for (;;)
	{
		TailRef		tail;
		Buffer		buffer = lock_tail(s, &tail);
		DataOpaque *opaque;
		int			room;
		int			npages;

		if (!BufferIsValid(buffer))
			return false;
		opaque = data_opaque(BufferGetPage(buffer));
		room = usable_room(s, BufferGetPage(buffer));
		npages = pages_needed(s, room, WAL_APPEND_PAGES);
		if (opaque->open_bytes > 0 || npages >= WAL_APPEND_PAGES ||
			tail.index + npages >= extent_pages(tail.seq))
		{
			UnlockReleaseBuffer(buffer);
			tail_hint_set(s->rel, s->lane, tail.block);
			return false;
		}
		check_offsets(s, opaque->next_offset);
		if (append_one(s, buffer, &tail))
			return true;
		if (!file_holds(s, buffer, &tail, npages))
			continue;
		write_pages(s, buffer, &tail, room > 0, npages);
		return true;
	}
}

/* As many WAL records and extents as it takes; the lane's lock is held. */
static void
append_slow(AppendStream *s)
{
	while (s->current < s->nbatches)
	{
		TailRef		tail;
		Buffer		buffer;
		int			room;
		int			npages;
		int			behind;

		CHECK_FOR_INTERRUPTS();
		buffer = lock_tail(s, &tail);
		if (!BufferIsValid(buffer))
		{
			LaneMap		map;

			extent_ensure_lane(s->rel, s->lane);
			directory_read_lane(s->rel, s->lane, &map);
			check_offsets(s, map.entry.initial_offset);
			extent_open(s->rel, s->lane, NULL, s->batches[0].at_offset,
						s->leader_epoch, &tail);
			tail_hint_set(s->rel, s->lane, tail.block);
			continue;
		}
		check_offsets(s, data_opaque(BufferGetPage(buffer))->next_offset);
		room = usable_room(s, BufferGetPage(buffer));
		npages = pages_needed(s, room, WAL_APPEND_PAGES - 1);
		behind = extent_pages(tail.seq) - 1 - tail.index;
		if (behind == 0 &&
			room < (s->done > 0 ? 1 : s->heads[s->current].header_size))
		{
			UnlockReleaseBuffer(buffer);
			extent_open(s->rel, s->lane, &tail, s->done > 0 ? entry_offset(s) : -1,
						s->leader_epoch, &tail);
			tail_hint_set(s->rel, s->lane, tail.block);
			continue;
		}
		npages = Min(npages, behind);
		if (!file_holds(s, buffer, &tail, npages))
			continue;
		write_pages(s, buffer, &tail, room > 0, npages);
	}
}

void
log_append(Relation rel, int32 lane, AppendBatch *batches, int nbatches)
{
	AppendStream s = {0};
	int64		now = log_timestamp_from_tz(GetCurrentTimestamp());

	Assert(log_is_preloaded() && !RecoveryInProgress());
	if (nbatches == 0)
		return;
	wal_prepare();

	s.rel = rel;
	s.lane = lane;
	s.batches = batches;
	s.nbatches = nbatches;
	s.leader_epoch = GetWALInsertionTimeLine();
	s.heads = palloc(nbatches * sizeof(BatchHead));
	s.packed = palloc(nbatches * sizeof(char *));
	for (int i = 0; i < nbatches; i++)
	{
		prepare_head(&batches[i], &s.heads[i], &s.packed[i], now);
		if (batches[i].at_offset >= 0)
			s.explicit_offsets = true;
	}

	if (!append_fast(&s))
	{
		LockLane(rel, lane);
		append_slow(&s);
		UnlockLane(rel, lane);
	}
	for (int i = 0; i < nbatches; i++)
	{
		own_appends_remember(rel, lane, batches[i].base_offset, batches[i].cid);
		/* autovacuum analyzes, and freezes, by these counts */
		pgstat_count_heap_insert(rel, batches[i].batch->count);
		if (s.packed[i] != NULL)
			pfree(s.packed[i]);
	}
	pfree(s.packed);
	pfree(s.heads);
}
