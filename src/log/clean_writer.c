/*-------------------------------------------------------------------------
 *
 * clean_writer.c
 *	  Batches to the pages of a section that compaction makes.
 *
 * The pages are like those that log_append() fills.  An extent is filled in
 * private memory, so that its directory entry is final when it is made.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "log/clean_writer.h"
#include "log/wal.h"
#include "miscadmin.h"

void
clean_writer_init(CleanWriter *writer, SectionBuilder *builder, uint32 max_extents)
{
	memset(writer, 0, sizeof(*writer));
	writer->builder = builder;
	writer->strategy = GetAccessStrategy(BAS_BULKWRITE);
	writer->max_extents = max_extents;
	writer->pages = palloc(extent_pages(builder->section.size_class) * BLCKSZ);
}

static Page
page_at(const CleanWriter *writer, int index)
{
	return (Page) (writer->pages + index * BLCKSZ);
}

/* Copies pages of the extent to shared buffers, in one WAL record. */
static void
write_pages(CleanWriter *writer, BlockNumber block, int first, int n)
{
	Relation	rel = writer->builder->rel;
	Buffer		buffers[WAL_APPEND_PAGES];
	WalRecord	record;

	for (int i = 0; i < n; i++)
		buffers[i] = ReadBufferExtended(rel, MAIN_FORKNUM, block + first + i,
										RBM_ZERO_AND_LOCK, writer->strategy);
	wal_begin(&record, XLOG_TOPIC_COPY, writer->builder->lane);
	record.change.offset = data_opaque(page_at(writer, first + n - 1))->next_offset;
	START_CRIT_SECTION();
	for (int i = 0; i < n; i++)
	{
		Page		page = BufferGetPage(buffers[i]);
		WalPage    *walpage = wal_page(&record, buffers[i], true);

		memcpy(page, page_at(writer, first + i), BLCKSZ);
		if (page_lower(page) > DATA_PAGE_START)
			wal_patch(walpage, DATA_PAGE_START, page_lower(page) - DATA_PAGE_START);
		wal_patch(walpage, DATA_PAGE_END, sizeof(DataOpaque));
	}
	wal_finish(&record, rel);
	END_CRIT_SECTION();
	for (int i = 0; i < n; i++)
		UnlockReleaseBuffer(buffers[i]);
}

static void
flush_extent(CleanWriter *writer)
{
	DataOpaque *last = data_opaque(page_at(writer, writer->npages - 1));
	DirEntry	entry = {0};
	BlockNumber block;

	if (writer->builder->section.next >= writer->max_extents)
		writer->too_large = true;
	if (!writer->too_large)
	{
		entry.first_offset = data_opaque(page_at(writer, 0))->first_offset;
		entry.max_timestamp = last->max_timestamp;
		entry.min_timestamp = data_page_min_timestamp(last);
		entry.closed = 1;
		block = section_add_extent(writer->builder, &entry);
		for (int i = 0; i < writer->npages; i += WAL_APPEND_PAGES)
		{
			CHECK_FOR_INTERRUPTS();
			write_pages(writer, block, i, Min(WAL_APPEND_PAGES, writer->npages - i));
		}
	}
	writer->npages = 0;
}

/* Begins a page behind the present one. */
static Page
open_page(CleanWriter *writer, uint32 leader_epoch)
{
	SectionBuilder *builder = writer->builder;
	PageIdentity id = {builder->incarnation + builder->generation, 0, builder->lane, 0};
	DataOpaque	before = {.max_timestamp = NO_TIMESTAMP};
	DataOpaque *opaque;
	Page		page;

	if (writer->npages > 0)
		before = *data_opaque(page_at(writer, writer->npages - 1));
	if (writer->npages == extent_pages(builder->section.size_class))
	{
		flush_extent(writer);
		before.max_timestamp = NO_TIMESTAMP;
		before.timestamp_span = 0;
	}
	id.seq = builder->section.next;
	id.index = writer->npages++;
	page = page_at(writer, id.index);
	data_page_init(page, &id, leader_epoch);
	opaque = data_opaque(page);
	opaque->flags = DATA_PAGE_HAS_NEXT;
	opaque->first_offset = opaque->next_offset = before.next_offset;
	opaque->max_timestamp = before.max_timestamp;
	opaque->timestamp_span = before.timestamp_span;
	return page;
}

static uint64
present_page_number(const CleanWriter *writer)
{
	const SectionBuilder *builder = writer->builder;

	return (uint64) builder->section.next * extent_pages(builder->section.size_class) +
		writer->npages - 1;
}

/* The times of the records that begin in [*entry, limit); moves *entry on. */
static void
note_records(DataOpaque *opaque, const BatchHead *head, const char *records, size_t length,
			 size_t *entry, size_t limit)
{
	bool		same = (head->flags & BATCH_LOG_APPEND_TIME) != 0;

	if (*entry >= limit)
		return;
	if (same)
		data_page_add_times(opaque, head->max_timestamp, head->max_timestamp);
	while (*entry < limit)
	{
		const char *from = records + *entry;
		size_t		available = length - *entry;

		if (!same)
		{
			int64		number;
			int64		delta;
			int			used = varint_get(from, available, &number);

			varint_get(from + used + 1, available - used - 1, &delta);
			data_page_add_times(opaque, head->base_timestamp + delta,
								head->base_timestamp + delta);
		}
		*entry += record_length(from, available);
	}
}

/* Offset of the record that begins there. */
static RecordOffset
record_offset(const BatchHead *head, const char *from, size_t available)
{
	int64		number;
	int			used = varint_get(from, available, &number);

	used += 1;					/* attributes */
	used += varint_get(from + used, available - used, &number);
	varint_get(from + used, available - used, &number);
	return head->base_offset + number;
}

/* Goes to a page with room for the envelope, and puts it there. */
static Page
put_envelope(CleanWriter *writer, const BatchHead *head, uint32 leader_epoch, size_t length,
			 uint16 *pos)
{
	char		envelope[BATCH_ENVELOPE_MAX];
	BatchHead	mine;
	Page		page = writer->npages > 0 ? page_at(writer, writer->npages - 1) : NULL;
	DataOpaque *opaque;
	int			size;

	for (;;)
	{
		if (page == NULL)
			page = open_page(writer, leader_epoch);
		opaque = data_opaque(page);
		mine = *head;
		mine.length = (uint32) length;
		mine.leader_epoch = (opaque->leader_epoch == leader_epoch) ? 0 : leader_epoch;
		size = batch_head_encode(envelope, &mine);
		if (size <= DATA_PAGE_END - page_lower(page))
			break;
		page = NULL;
	}
	*pos = page_lower(page);
	memcpy((char *) page + *pos, envelope, size);
	((PageHeader) page)->pd_lower += size;
	if (opaque->entry_pos == 0)
	{
		opaque->entry_pos = *pos;
		opaque->first_offset = head->base_offset;
	}
	opaque->next_offset = head->base_offset + head->last_offset_delta + 1;
	return page;
}

void
clean_writer_add(CleanWriter *writer, const BatchHead *head, uint32 leader_epoch,
				 const char *records, size_t length)
{
	uint16		pos;
	Page		page = put_envelope(writer, head, leader_epoch, length, &pos);
	uint64		start_page = present_page_number(writer);
	size_t		done = 0;
	size_t		entry = 0;		/* first record start at or behind "done" */

	writer->records += head->nrecords;
	if (head->flags & BATCH_CODEC_MASK)
	{
		/* it is one piece: all of it is here, wherever its bytes will be */
		data_page_add_times(data_opaque(page), Min(head->base_timestamp, head->max_timestamp),
							head->max_timestamp);
		entry = length;
	}
	for (;;)
	{
		DataOpaque *opaque = data_opaque(page);
		size_t		n = Min(length - done, (size_t) (DATA_PAGE_END - page_lower(page)));

		memcpy((char *) page + page_lower(page), records + done, n);
		((PageHeader) page)->pd_lower += n;
		note_records(opaque, head, records, length, &entry, done + n);
		done += n;
		opaque->open_bytes = (uint32) (length - done);
		if (done == length)
			break;

		page = open_page(writer, leader_epoch);
		opaque = data_opaque(page);
		opaque->batch_back = (uint16) (present_page_number(writer) - start_page);
		opaque->batch_pos = pos;
		if (entry < length)
			opaque->first_offset = record_offset(head, records + entry, length - entry);
		if (entry < length && entry - done < DATA_PAGE_CAPACITY)
			opaque->entry_pos = DATA_PAGE_START + (entry - done);
	}
}

void
clean_writer_finish(CleanWriter *writer)
{
	if (writer->npages == 0)
		return;
	data_opaque(page_at(writer, writer->npages - 1))->flags |= DATA_PAGE_ENDS_SECTION;
	flush_extent(writer);
}
