/*-------------------------------------------------------------------------
 *
 * page.c
 *	  Data pages and envelopes: the pure part of the storage.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "log/page.h"

void
logical_page_split(uint64 page_number, uint32 *seq, int *index)
{
	uint32		s = 0;

	while (s < EXTENT_SIZE_CLASSES - 1 &&
		   page_number >= logical_page(s + 1, 0))
		s++;
	page_number -= logical_page(s, 0);
	*seq = s + (uint32) (page_number / extent_pages(s));
	*index = (int) (page_number % extent_pages(s));
}

void
topic_page_init(Page page, uint16 special, uint16 contents)
{
	PageHeader	header = (PageHeader) page;

	memset(page, 0, BLCKSZ);
	header->pd_lower = DATA_PAGE_START + contents;
	header->pd_upper = BLCKSZ - special;
	header->pd_special = BLCKSZ - special;
	header->pd_pagesize_version = BLCKSZ | PG_PAGE_LAYOUT_VERSION;
}

void
data_page_init(Page page, const PageIdentity *id, uint32 leader_epoch)
{
	DataOpaque *opaque = data_opaque(page);

	topic_page_init(page, sizeof(DataOpaque), 0);
	opaque->incarnation = id->incarnation;
	opaque->extent_seq = id->seq;
	opaque->lane = (uint16) id->lane;
	opaque->page_index = (uint8) id->index;
	opaque->leader_epoch = leader_epoch;
	opaque->max_timestamp = NO_TIMESTAMP;
	opaque->page_id = TOPIC_DATA_PAGE_ID;
}

bool
data_page_is(Page page, const PageIdentity *id)
{
	DataOpaque *opaque = data_opaque(page);

	return ((PageHeader) page)->pd_special == DATA_PAGE_END &&
		opaque->page_id == TOPIC_DATA_PAGE_ID &&
		opaque->incarnation == id->incarnation &&
		opaque->extent_seq == id->seq &&
		opaque->lane == id->lane &&
		opaque->page_index == id->index;
}

/* Copies a field and moves on. */
#define PUT(to, value) (memcpy((to), &(value), sizeof(value)), (to) += sizeof(value))
#define GET(from, value) (memcpy(&(value), (from), sizeof(value)), (from) += sizeof(value))

static int
envelope_size(uint16 flags)
{
	return sizeof(BatchEnvelope) +
		((flags & BATCH_HAS_COUNT) ? sizeof(int32) : 0) +
		((flags & BATCH_HAS_MAX_TIMESTAMP) ? sizeof(int64) : 0) +
		((flags & BATCH_HAS_LEADER_EPOCH) ? sizeof(uint32) : 0) +
		((flags & BATCH_HAS_PRODUCER) ? sizeof(int64) + sizeof(int16) + sizeof(int32) : 0) +
		((flags & BATCH_HAS_NRECORDS) ? sizeof(int32) : 0) +
		((flags & BATCH_HAS_DELETE_HORIZON) ? sizeof(int64) : 0);
}

int
batch_head_encode(char *to, BatchHead *head)
{
	BatchEnvelope envelope = {0};
	uint16		flags = head->flags & (BATCH_ATTRIBUTES_MASK | BATCH_ABORTED);

	if (head->last_offset_delta != 0)
		flags |= BATCH_HAS_COUNT;
	if (head->max_timestamp != head->base_timestamp)
		flags |= BATCH_HAS_MAX_TIMESTAMP;
	if (head->leader_epoch != 0)
		flags |= BATCH_HAS_LEADER_EPOCH;
	if (head->producer_id != -1)
		flags |= BATCH_HAS_PRODUCER;
	if (head->nrecords != head->last_offset_delta + 1)
		flags |= BATCH_HAS_NRECORDS;
	if (head->delete_horizon != 0)
		flags |= BATCH_HAS_DELETE_HORIZON;

	head->flags = flags;
	head->header_size = envelope_size(flags);
	head->length += head->header_size;

	envelope.length = head->length;
	envelope.xid = head->xid;
	envelope.base_offset = head->base_offset;
	envelope.base_timestamp = head->base_timestamp;
	envelope.crc = head->crc;
	envelope.flags = flags;
	envelope.header_size = head->header_size;
	PUT(to, envelope);

	if (flags & BATCH_HAS_COUNT)
		PUT(to, head->last_offset_delta);
	if (flags & BATCH_HAS_MAX_TIMESTAMP)
		PUT(to, head->max_timestamp);
	if (flags & BATCH_HAS_LEADER_EPOCH)
		PUT(to, head->leader_epoch);
	if (flags & BATCH_HAS_PRODUCER)
	{
		PUT(to, head->producer_id);
		PUT(to, head->producer_epoch);
		PUT(to, head->base_sequence);
	}
	if (flags & BATCH_HAS_NRECORDS)
		PUT(to, head->nrecords);
	if (flags & BATCH_HAS_DELETE_HORIZON)
		PUT(to, head->delete_horizon);
	return head->header_size;
}

bool
batch_head_decode(const char *from, size_t available, BatchHead *head)
{
	BatchEnvelope envelope;

	if (available < sizeof(envelope))
		return false;
	GET(from, envelope);
	if (envelope.version != 0 ||
		envelope.header_size != envelope_size(envelope.flags) ||
		envelope.header_size > available ||
		envelope.length < envelope.header_size ||
		(int64) envelope.base_offset < 0)
		return false;

	head->length = envelope.length;
	head->xid = envelope.xid;
	head->base_offset = (int64) envelope.base_offset;
	head->base_timestamp = envelope.base_timestamp;
	head->max_timestamp = envelope.base_timestamp;
	head->crc = envelope.crc;
	head->flags = envelope.flags;
	head->header_size = envelope.header_size;
	head->last_offset_delta = 0;
	head->leader_epoch = 0;
	head->producer_id = -1;
	head->producer_epoch = -1;
	head->base_sequence = -1;

	if (envelope.flags & BATCH_HAS_COUNT)
		GET(from, head->last_offset_delta);
	if (envelope.flags & BATCH_HAS_MAX_TIMESTAMP)
		GET(from, head->max_timestamp);
	if (envelope.flags & BATCH_HAS_LEADER_EPOCH)
		GET(from, head->leader_epoch);
	if (envelope.flags & BATCH_HAS_PRODUCER)
	{
		GET(from, head->producer_id);
		GET(from, head->producer_epoch);
		GET(from, head->base_sequence);
	}
	if (head->last_offset_delta < 0 || head->last_offset_delta == PG_INT32_MAX ||
		head->base_offset > PG_INT64_MAX - 1 - head->last_offset_delta)
		return false;
	head->nrecords = head->last_offset_delta + 1;
	if (envelope.flags & BATCH_HAS_NRECORDS)
		GET(from, head->nrecords);
	head->delete_horizon = 0;
	if (envelope.flags & BATCH_HAS_DELETE_HORIZON)
		GET(from, head->delete_horizon);
	return head->nrecords > 0;
}

void
data_append_one(Page page, const AppendOne *head, TransactionId xid,
				uint64 fxid, const char *record, int length)
{
	DataOpaque *opaque = data_opaque(page);
	uint16		lower = page_lower(page);
	BatchHead	batch = {0};
	int			size;

	batch.length = length;
	batch.xid = xid;
	batch.base_offset = (int64) opaque->next_offset;
	batch.base_timestamp = head->base_timestamp;
	batch.max_timestamp = head->base_timestamp;
	batch.crc = head->crc;
	batch.flags = head->flags;
	batch.producer_id = -1;
	batch.nrecords = 1;
	size = batch_head_encode((char *) page + lower, &batch);
	memcpy((char *) page + lower + size, record, length);

	if (opaque->entry_pos == 0)
	{
		opaque->entry_pos = lower;
		opaque->first_offset = opaque->next_offset;
	}
	opaque->next_offset++;
	if (fxid > opaque->max_fxid)
		opaque->max_fxid = fxid;
	data_page_add_times(opaque, head->base_timestamp, head->base_timestamp);
	((PageHeader) page)->pd_lower = lower + size + length;
}

const char *
data_page_check(Page page)
{
	PageHeader	header = (PageHeader) page;
	DataOpaque *opaque = data_opaque(page);

	if (header->pd_special != DATA_PAGE_END || header->pd_upper != DATA_PAGE_END)
		return "page header does not have the layout of a data page";
	if (opaque->page_id != TOPIC_DATA_PAGE_ID)
		return "page is not a data page";
	if (header->pd_lower < DATA_PAGE_START || header->pd_lower > DATA_PAGE_END)
		return "end of data is outside the page";
	if (opaque->entry_pos != 0 &&
		(opaque->entry_pos < DATA_PAGE_START || opaque->entry_pos >= header->pd_lower))
		return "first entry point is outside the data";
	if (opaque->first_offset > opaque->next_offset)
		return "first offset is past the next offset";
	if (opaque->batch_back > 0 &&
		(opaque->batch_pos < DATA_PAGE_START || opaque->batch_pos >= DATA_PAGE_END))
		return "start of the continued batch is outside its page";
	if (opaque->batch_back == 0 && opaque->entry_pos != 0 &&
		opaque->entry_pos != DATA_PAGE_START)
		return "page does not begin with a batch";
	return NULL;
}
