/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  The checker: whether a topic's pages say one and the same thing.
 *
 * It reads what readers read, but trusts nothing: neither the directory nor
 * the pages, nor the batches.  What it finds wrong it reports in words and
 * goes on with the next lane.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "log/codec.h"
#include "log/directory.h"
#include "log/verify.h"
#include "log/visibility.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "utils/memutils.h"

typedef struct Verifier
{
	Relation	rel;
	void		(*report) (void *arg, const char *finding);
	void	   *arg;
	TopicMeta	meta;

	/* the lane being walked */
	LaneMap		map;
	RecordOffset log_end;
	bool		past_end;		/* came to what was appended since */
	TailRef		tail;
	uint64		page_number;
	bool		at_start;		/* the main section begins on this page */
	DataOpaque	before;			/* of the previous page */
	bool		have_before;

	/* the batch being walked */
	bool		in_batch;
	BatchHead	batch;
	uint64		start_page;
	uint16		start_pos;
	char	   *bytes;			/* records so far */
	uint64		length;
	Size		capacity;

} Verifier;

static void
finding(Verifier *v, const char *format,...) pg_attribute_printf(2, 3);

static void
finding(Verifier *v, const char *format,...)
{
	StringInfoData text;
	va_list		args;
	int			needed;

	initStringInfo(&text);
	if (v->map.rel != NULL)
		appendStringInfo(&text, "partition %d: ", v->map.lane);
	for (;;)
	{
		va_start(args, format);
		needed = appendStringInfoVA(&text, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	v->report(v->arg, text.data);
	pfree(text.data);
}

/* ---------- batches ---------- */

static bool
check_crc(Verifier *v)
{
	const BatchHead *b = &v->batch;
	uint32		crc = batch_crc(b->flags & BATCH_ATTRIBUTES_MASK, b->last_offset_delta,
								b->base_timestamp, b->max_timestamp, b->producer_id,
								b->producer_epoch, b->base_sequence, b->nrecords,
								v->bytes, v->length);

	if (crc == b->crc)
		return true;
	finding(v, "batch at offset %lld has CRC %08X, its envelope says %08X",
			(long long) b->base_offset, crc, b->crc);
	return false;
}

static void
check_records(Verifier *v, const char *bytes, uint64 length)
{
	const BatchHead *b = &v->batch;
	uint64		pos = 0;
	int32		count = 0;
	int64		last = -1;

	while (pos < length)
	{
		DecodedRecord record;
		int64		size = record_take(bytes + pos, length - pos, &record);

		if (size <= 0)
		{
			finding(v, "batch at offset %lld has a malformed record %d",
					(long long) b->base_offset, count);
			return;
		}
		if (record.offset_delta <= last || record.offset_delta > b->last_offset_delta)
			finding(v, "batch at offset %lld has record %d out of order",
					(long long) b->base_offset, count);
		last = record.offset_delta;
		pos += size;
		count++;
	}
	if (count != b->nrecords)
		finding(v, "batch at offset %lld holds %d records, its envelope says %d",
				(long long) b->base_offset, count, b->nrecords);
}

/* The records of a compressed batch, whose CRC is right. */
static void
check_packed(Verifier *v)
{
	const BatchHead *b = &v->batch;
	int			codec = b->flags & BATCH_CODEC_MASK;
	int64		size = codec_plain_size(codec, v->bytes, v->length);
	char	   *plain;

	if (size < 0 || size > RECORD_MAX_BYTES)
	{
		finding(v, "batch at offset %lld has no sound frame of compression codec %d",
				(long long) b->base_offset, codec);
		return;
	}
	plain = palloc(size);
	if (codec_decompress(codec, v->bytes, v->length, plain, size) != CODEC_OK)
		finding(v, "batch at offset %lld cannot be decompressed", (long long) b->base_offset);
	else
		check_records(v, plain, size);
	pfree(plain);
}

/* Takes over n bytes of the batch that is being walked. */
static void
take_bytes(Verifier *v, const char *from, uint64 n)
{
	if (v->length + n > v->capacity)
	{
		v->capacity = Max(v->capacity * 2, v->length + n);
		v->bytes = repalloc_huge(v->bytes, v->capacity);
	}
	memcpy(v->bytes + v->length, from, n);
	v->length += n;
}

static void
finish_batch(Verifier *v)
{
	bool		sound;

	v->in_batch = false;
	sound = check_crc(v);
	if ((v->batch.flags & BATCH_CODEC_MASK) == 0)
		check_records(v, v->bytes, v->length);
	else if (sound)
		check_packed(v);
}

/* The writer of the present batch left it incomplete: was it dead? */
static void
abandon_batch(Verifier *v)
{
	v->in_batch = false;
	if (v->batch.base_offset >= v->log_end)
		return;
	if (!(v->batch.flags & BATCH_ABORTED) &&
		(v->batch.base_offset < (RecordOffset) v->map.entry.frozen_upto ||
		 xid_outcome(v->batch.xid) == BATCH_VISIBLE))
		finding(v, "batch at offset %lld is incomplete, but its transaction committed",
				(long long) v->batch.base_offset);
}

/* ---------- pages ---------- */

/* What the page says against what the page before it said. */
static void
check_against_previous(Verifier *v, const DataOpaque *opaque, BlockNumber block)
{
	const DataOpaque *before = &v->before;

	if (!v->have_before)
		return;
	if (!(before->flags & DATA_PAGE_HAS_NEXT))
		finding(v, "block %u follows a page without a successor", block);
	if (opaque->next_offset < before->next_offset)
		finding(v, "block %u has next offset %lld after %lld", block,
				(long long) opaque->next_offset, (long long) before->next_offset);
	if (opaque->first_offset < before->first_offset)
		finding(v, "block %u has first offset %lld after %lld", block,
				(long long) opaque->first_offset, (long long) before->first_offset);
	if (opaque->max_fxid < before->max_fxid)
		finding(v, "block %u has an older newest transaction than the page before", block);
	if (opaque->page_index > 0 && opaque->max_timestamp < before->max_timestamp)
		finding(v, "block %u has a lower maximal timestamp than the page before", block);
	if (opaque->batch_back > 0 && before->open_bytes == 0)
		finding(v, "block %u continues a batch that had ended", block);
}

/* The bytes at the page's start that belong to an earlier batch. */
static uint16
walk_continuation(Verifier *v, const char *page, BlockNumber block)
{
	DataOpaque *opaque = data_opaque((Page) page);
	uint16		lower = page_lower((Page) page);
	uint64		wanted;
	uint64		here;

	if (opaque->batch_back == 0)
	{
		if (v->in_batch && !(lower == DATA_PAGE_START && opaque->open_bytes > 0))
			abandon_batch(v);
		return DATA_PAGE_START;
	}
	if (!v->in_batch)
	{
		finding(v, "block %u continues a batch that is not there", block);
		return lower;
	}
	if (v->page_number - opaque->batch_back != v->start_page || opaque->batch_pos != v->start_pos)
		finding(v, "block %u names another place where its batch begins", block);
	wanted = v->batch.length - v->batch.header_size - v->length;
	here = Min(wanted, (uint64) (lower - DATA_PAGE_START));
	take_bytes(v, page + DATA_PAGE_START, here);
	if (here == wanted)
		finish_batch(v);
	return DATA_PAGE_START + here;
}

static void
walk_page(Verifier *v, const char *page, BlockNumber block)
{
	DataOpaque *opaque = data_opaque((Page) page);
	uint16		lower = page_lower((Page) page);
	const char *wrong = data_page_check((Page) page);
	uint16		pos;

	if (wrong != NULL)
	{
		finding(v, "block %u: %s", block, wrong);
		v->in_batch = false;
		return;
	}
	check_against_previous(v, opaque, block);
	if (v->at_start)
		pos = Max(v->map.entry.start_pos, DATA_PAGE_START);		/* before it are batches that were trimmed */
	else
		pos = walk_continuation(v, page, block);

	while (pos < lower && !v->in_batch)
	{
		uint64		here;

		if (!batch_head_decode(page + pos, lower - pos, &v->batch))
		{
			finding(v, "block %u has a malformed envelope at position %d", block, pos);
			break;
		}
		if (v->batch.base_offset >= v->log_end)
		{
			v->past_end = true;
			break;
		}
		if (v->batch.base_offset + v->batch.last_offset_delta >= (RecordOffset) opaque->next_offset)
			finding(v, "batch at offset %lld reaches past its page's next offset",
					(long long) v->batch.base_offset);
		v->in_batch = true;
		v->start_page = v->page_number;
		v->start_pos = pos;
		v->length = 0;
		pos += v->batch.header_size;
		here = Min((uint64) (lower - pos), v->batch.length - v->batch.header_size);
		take_bytes(v, page + pos, here);
		pos += here;
		if (v->length == v->batch.length - v->batch.header_size)
			finish_batch(v);
	}
	v->before = *opaque;
	v->have_before = true;
}

/* ---------- lanes ---------- */

static void
check_entry(Verifier *v, uint32 seq, const DirEntry *entry, const DataOpaque *first,
			const DataOpaque *last)
{
	if (first->first_offset < entry->first_offset)
		finding(v, "extent %u begins at offset %lld, the directory says %lld", seq,
				(long long) first->first_offset, (long long) entry->first_offset);
	if (!entry->closed)
		return;
	if (entry->max_timestamp != last->max_timestamp || entry->max_fxid != last->max_fxid)
		finding(v, "extent %u and its directory entry differ in newest time or transaction", seq);
}

/*
 * The compacted extents are complete; the main section begins with what was not
 * compacted.
 */
static void
begin_main_section(Verifier *v)
{
	if (v->in_batch)
		finding(v, "batch at offset %lld is not complete at the end of the compacted extents",
				(long long) v->batch.base_offset);
	if (v->have_before && v->before.next_offset > v->map.entry.clean_end)
		finding(v, "compacted extents end at offset %lld, the directory says %lld",
				(long long) v->before.next_offset, (long long) v->map.entry.clean_end);
	v->have_before = v->in_batch = false;
}

static void
verify_lane(Verifier *v)
{
	PGAlignedBlock copy;
	BlockNumber last = InvalidBlockNumber;
	bool		ended = false;

	v->have_before = v->in_batch = v->past_end = false;
	if (v->map.entry.head_seq > v->map.entry.next_seq ||
		v->map.entry.clean.next > v->map.entry.trim_seq)
	{
		finding(v, "directory entry is malformed");
		return;
	}
	if (!directory_find_tail(&v->map, &v->tail, copy.data))
		return;
	v->log_end = data_opaque(copy.data)->next_offset;
	if (v->map.entry.log_start > (uint64) v->log_end ||
		v->map.entry.frozen_upto > (uint64) v->log_end)
		finding(v, "log start %lld or frozen offset %lld is past the log end %lld",
				(long long) v->map.entry.log_start, (long long) v->map.entry.frozen_upto,
				(long long) v->log_end);

	for (uint32 seq = v->map.first_seq; seq < v->map.entry.next_seq && !ended; seq++)
	{
		DirEntry	entry;
		DataOpaque	first = {0};

		directory_extent(&v->map, seq, &entry);
		if (seq == v->map.entry.trim_seq)
			begin_main_section(v);
		for (int index = (seq == v->map.entry.trim_seq) ? v->map.entry.start_index : 0;
			 index < map_extent_pages(&v->map, seq); index++)
		{
			PageIdentity id = map_page_identity(&v->map, seq, index);

			CHECK_FOR_INTERRUPTS();
			directory_copy_page(v->rel, entry.block + index, NULL, copy.data);
			if (!data_page_is(copy.data, &id))
			{
				if (!directory_was_overtaken(&v->map))
					finding(v, "block %u is not page %d of extent %u", entry.block + index, index, seq);
				return;
			}
			v->page_number = map_page_number(&v->map, seq, index);
			v->at_start = seq == v->map.entry.trim_seq && index == v->map.entry.start_index;
			last = entry.block + index;
			walk_page(v, copy.data, last);
			if (v->past_end)
				return;
			if (index == 0)
				first = *data_opaque(copy.data);
			if (!(data_opaque(copy.data)->flags & DATA_PAGE_HAS_NEXT))
			{
				ended = true;
				break;
			}
			if (data_opaque(copy.data)->flags & DATA_PAGE_ENDS_SECTION)
				break;
		}
		if (map_is_clean(&v->map, seq) &&
			((data_opaque(copy.data)->flags & DATA_PAGE_ENDS_SECTION) != 0) !=
			(seq + 1 == v->map.entry.trim_seq))
			finding(v, "compacted extent %u does not end where the compacted ones end", seq);
		if (first.page_id != 0)
			check_entry(v, seq, &entry, &first, data_opaque(copy.data));
	}
	if (v->in_batch && ended)
	{
		/* has its writer gone on since the page was copied? */
		bool		finished = xid_outcome(v->batch.xid) != BATCH_UNFINISHED;

		directory_copy_page(v->rel, last, NULL, copy.data);
		if (finished && !(data_opaque(copy.data)->flags & DATA_PAGE_HAS_NEXT))
			abandon_batch(v);
	}
	if (ended && (RecordOffset) v->before.next_offset < v->log_end)
		finding(v, "log ends at %lld, but its last page at %lld", (long long) v->log_end,
				(long long) v->before.next_offset);
}

void
log_verify(Relation rel, void (*report) (void *arg, const char *finding), void *arg)
{
	Verifier	v = {0};

	v.rel = rel;
	v.report = report;
	v.arg = arg;
	v.capacity = 65536;
	v.bytes = palloc(v.capacity);
	directory_read_meta(rel, &v.meta);
	verify_space(rel, report, arg);
	for (int32 lane = 0; lane < TOPIC_MAX_PARTITIONS; lane++)
	{
		if (v.meta.lane_page[lane / LANES_PER_PAGE] == 0)
			continue;
		directory_read_lane(rel, lane, &v.map);
		v.map.bears_overtaking = true;
		verify_lane(&v);
	}
	pfree(v.bytes);
}
