/*-------------------------------------------------------------------------
 *
 * page_test.c
 *	  Data pages and envelopes.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "log/page.h"
#include "tap.h"

#define TEST_EXTENTS	10000

static const PageIdentity identity = {0xCAFE, 77, 16383, 127};

/* ---------- logical pages ---------- */

static void
test_logical_pages(void)
{
	uint64		expected = 0;
	bool		dense = true;
	bool		reversed = true;

	for (uint32 seq = 0; seq < TEST_EXTENTS; seq++)
	{
		for (int index = 0; index < extent_pages(seq); index++, expected++)
		{
			uint32		s;
			int			i;

			dense = dense && logical_page(seq, index) == expected;
			logical_page_split(expected, &s, &i);
			reversed = reversed && s == seq && i == index;
		}
	}
	ok(dense, "logical pages are counted without gaps");
	ok(reversed, "logical_page_split is the reverse of logical_page");
	ok(extent_pages(0) == 1 && extent_pages(1) == 8 && extent_pages(2) == 32 &&
	   extent_pages(3) == 128 && extent_pages(PG_UINT32_MAX) == 128,
	   "extents have 1, 8, 32 and then 128 pages");
	ok(logical_page(PG_UINT32_MAX, 127) == 41 + ((uint64) PG_UINT32_MAX - 2) * 128 - 1,
	   "the last page of the last extent does not overflow");
}

/* ---------- pages ---------- */

static DataOpaque *
fresh_page(PGAlignedBlock *block)
{
	memset(block->data, 0xAA, BLCKSZ);
	data_page_init(block->data, &identity, 3);
	return data_opaque(block->data);
}

static void
test_identity(void)
{
	PGAlignedBlock block;
	DataOpaque *opaque;
	PageIdentity other;

	memset(block.data, 0, BLCKSZ);
	ok(!data_page_is(block.data, &identity), "a page of zeros is no data page");
	opaque = fresh_page(&block);
	ok(data_page_is(block.data, &identity), "a page knows itself");
	ok(opaque->leader_epoch == 3 && opaque->max_timestamp == NO_TIMESTAMP &&
	   opaque->next_offset == 0 && opaque->flags == 0, "it begins empty");
	ok(page_lower(block.data) == DATA_PAGE_START &&
	   ((PageHeader) block.data)->pd_upper == DATA_PAGE_END, "and with all of its room");

	other = identity;
	other.incarnation++;
	ok(!data_page_is(block.data, &other), "another incarnation");
	other = identity;
	other.seq++;
	ok(!data_page_is(block.data, &other), "another extent");
	other = identity;
	other.lane--;
	ok(!data_page_is(block.data, &other), "another lane");
	other = identity;
	other.index--;
	ok(!data_page_is(block.data, &other), "another page of the extent");
	opaque->page_id = TOPIC_NODE_PAGE_ID;
	ok(!data_page_is(block.data, &identity), "another kind of page");
	fresh_page(&block);
	((PageHeader) block.data)->pd_special += 8;
	ok(!data_page_is(block.data, &identity), "another layout");
}

/* Whether the page is found wrong in these words. */
static bool
found(PGAlignedBlock *block, const char *words)
{
	const char *wrong = data_page_check(block->data);

	return wrong != NULL && strcmp(wrong, words) == 0;
}

static void
test_check(void)
{
	PGAlignedBlock block;
	PageHeader	header = (PageHeader) block.data;
	DataOpaque *opaque = fresh_page(&block);

	ok(data_page_check(block.data) == NULL, "an empty page is sound");

	header->pd_special--;
	ok(found(&block, "page header does not have the layout of a data page"), "pd_special");
	fresh_page(&block);
	header->pd_upper--;
	ok(found(&block, "page header does not have the layout of a data page"), "pd_upper");

	fresh_page(&block);
	opaque->page_id = 0;
	ok(found(&block, "page is not a data page"), "page_id");

	fresh_page(&block);
	header->pd_lower = DATA_PAGE_START - 1;
	ok(found(&block, "end of data is outside the page"), "pd_lower too low");
	header->pd_lower = DATA_PAGE_END + 1;
	ok(found(&block, "end of data is outside the page"), "pd_lower too high");
	header->pd_lower = DATA_PAGE_END;
	ok(data_page_check(block.data) == NULL, "a page that is exactly full is sound");

	fresh_page(&block);
	opaque->entry_pos = DATA_PAGE_START;
	ok(found(&block, "first entry point is outside the data"), "entry point of an empty page");
	header->pd_lower = DATA_PAGE_START + 100;
	ok(data_page_check(block.data) == NULL, "entry point at the page's start");
	opaque->entry_pos = DATA_PAGE_START - 1;
	ok(found(&block, "first entry point is outside the data"), "entry point in the header");
	opaque->entry_pos = DATA_PAGE_START + 10;
	ok(found(&block, "page does not begin with a batch"), "entry point behind a gap");
	opaque->batch_back = 1;
	ok(found(&block, "start of the continued batch is outside its page"), "batch_pos too low");
	opaque->batch_pos = DATA_PAGE_END;
	ok(found(&block, "start of the continued batch is outside its page"), "batch_pos too high");
	opaque->batch_pos = DATA_PAGE_END - 1;
	ok(data_page_check(block.data) == NULL, "entry point behind a continued batch");

	opaque->first_offset = 8;
	opaque->next_offset = 7;
	ok(found(&block, "first offset is past the next offset"), "offsets");
}

/* ---------- times ---------- */

static void
test_times(void)
{
	DataOpaque	opaque = {0};
	int64		span = PG_UINT32_MAX;

	opaque.max_timestamp = NO_TIMESTAMP;
	ok(data_page_min_timestamp(&opaque) == PG_INT64_MAX, "no record: no least timestamp");
	data_page_add_times(&opaque, 1000, 1000);
	ok(opaque.max_timestamp == 1000 && data_page_min_timestamp(&opaque) == 1000, "one record");
	data_page_add_times(&opaque, 900, 950);
	ok(opaque.max_timestamp == 1000 && data_page_min_timestamp(&opaque) == 900, "an earlier one");
	data_page_add_times(&opaque, 1100, 1200);
	ok(opaque.max_timestamp == 1200 && data_page_min_timestamp(&opaque) == 900, "a later one");
	data_page_add_times(&opaque, -5, 0);
	ok(opaque.max_timestamp == 1200 && data_page_min_timestamp(&opaque) == -5, "before 1970");

	data_page_add_times(&opaque, span - 6, span - 6);
	ok(data_page_min_timestamp(&opaque) == -5, "the largest span that fits");
	data_page_add_times(&opaque, span - 5, span - 5);
	ok(data_page_min_timestamp(&opaque) == PG_INT64_MIN, "a larger one saturates");
	data_page_add_times(&opaque, span, span);
	ok(opaque.max_timestamp == span && data_page_min_timestamp(&opaque) == PG_INT64_MIN,
	   "and stays so");
	data_page_add_times(&opaque, PG_INT64_MIN + 1, PG_INT64_MAX);
	ok(opaque.max_timestamp == PG_INT64_MAX && data_page_min_timestamp(&opaque) == PG_INT64_MIN,
	   "all times that there are");
}

/* ---------- envelopes ---------- */

static bool
heads_equal(const BatchHead *a, const BatchHead *b)
{
	return a->length == b->length && a->xid == b->xid &&
		a->base_offset == b->base_offset && a->base_timestamp == b->base_timestamp &&
		a->max_timestamp == b->max_timestamp && a->crc == b->crc && a->flags == b->flags &&
		a->header_size == b->header_size &&
		a->last_offset_delta == b->last_offset_delta &&
		a->leader_epoch == b->leader_epoch && a->producer_id == b->producer_id &&
		a->producer_epoch == b->producer_epoch && a->base_sequence == b->base_sequence &&
		a->nrecords == b->nrecords && a->delete_horizon == b->delete_horizon;
}

/* A batch that has the optional fields which the bits of "fields" name. */
static BatchHead
make_head(int fields, uint16 flags)
{
	BatchHead	head = {0};

	head.length = 1234;
	head.xid = 42;
	head.base_offset = INT64CONST(123456789012345);
	head.base_timestamp = INT64CONST(1700000000000);
	head.crc = 0xDEADBEEF;
	head.flags = flags;
	head.last_offset_delta = (fields & 1) ? 99 : 0;
	head.max_timestamp = head.base_timestamp + ((fields & 2) ? 5 : 0);
	head.leader_epoch = (fields & 4) ? 9 : 0;
	head.producer_id = (fields & 8) ? INT64CONST(0x1122334455667788) : -1;
	head.producer_epoch = (fields & 8) ? 12 : -1;
	head.base_sequence = (fields & 8) ? 100000 : -1;
	head.nrecords = head.last_offset_delta + 1 + ((fields & 16) ? -1 : 0);
	head.delete_horizon = (fields & 32) ? INT64CONST(1700000086400) : 0;
	if (head.nrecords == 0)
		head.nrecords = 2;
	return head;
}

static void
test_envelopes(void)
{
	static const uint16 some_flags[] = {0, BATCH_LOG_APPEND_TIME, BATCH_ABORTED, 4,
	BATCH_ABORTED | BATCH_ATTRIBUTES_MASK};
	bool		equal = true;
	bool		sizes = true;
	bool		truncated = true;
	int			largest = 0;

	for (int fields = 0; fields < 64; fields++)
	{
		for (int i = 0; i < lengthof(some_flags); i++)
		{
			BatchHead	head = make_head(fields, some_flags[i]);
			BatchHead	decoded;
			char		bytes[BATCH_ENVELOPE_MAX + 1];
			int			size;

			memset(bytes, 0x55, sizeof(bytes));
			size = batch_head_encode(bytes, &head);
			largest = Max(largest, size);
			sizes = sizes && size == head.header_size && head.length == 1234 + size &&
				bytes[size] == 0x55;
			equal = equal && batch_head_decode(bytes, size, &decoded) &&
				heads_equal(&head, &decoded);
			for (int n = 0; n < size; n++)
			{
				/* memory of exactly that size, for the sanitizer to guard */
				char	   *part = malloc(Max(n, 1));

				memcpy(part, bytes, n);
				truncated = truncated && !batch_head_decode(part, n, &decoded);
				free(part);
			}
		}
	}
	ok(equal, "an envelope reads as it was written, with any optional fields");
	ok(sizes, "its size is right, and nothing behind it is written to");
	ok(largest == BATCH_ENVELOPE_MAX && largest <= BATCH_RESERVED_BYTES,
	   "the largest envelope fits into what batches reserve");
	ok(truncated, "a truncated one is refused");
}

static void
test_malformed(void)
{
	BatchHead	head = make_head(0, 0);
	BatchHead	decoded;
	BatchEnvelope envelope;
	BatchEnvelope damaged;
	char		bytes[BATCH_ENVELOPE_MAX];
	int			accepted = 0;
	bool		sane = true;

	batch_head_encode(bytes, &head);
	memcpy(&envelope, bytes, sizeof(envelope));

#define refused(field, value) \
	(damaged = envelope, damaged.field = (value), \
	 memcpy(bytes, &damaged, sizeof(damaged)), \
	 !batch_head_decode(bytes, sizeof(damaged), &decoded))

	ok(refused(version, 1), "another version");
	ok(refused(header_size, 31), "a header size that its flags contradict");
	ok(refused(flags, BATCH_HAS_COUNT), "flags that its header size contradicts");
	ok(refused(length, 31), "a batch shorter than its envelope");
	ok(refused(base_offset, PG_UINT64_MAX), "a negative offset");
	ok(refused(base_offset, PG_INT64_MAX), "an offset with none behind it");

	head = make_head(1, 0);
	head.last_offset_delta = -7;
	head.nrecords = -6;
	batch_head_encode(bytes, &head);
	ok(!batch_head_decode(bytes, head.header_size, &decoded), "a negative number of records");
	head = make_head(1, 0);
	head.base_offset = PG_INT64_MAX - 50;
	batch_head_encode(bytes, &head);
	ok(!batch_head_decode(bytes, head.header_size, &decoded), "records past the last offset");

	for (int i = 0; i < 1000000; i++)
	{
		size_t		available = tap_random() % (BATCH_ENVELOPE_MAX + 1);
		char	   *part = malloc(Max(available, 1));

		for (size_t j = 0; j < available; j++)
			part[j] = (char) tap_random();
		if (available >= sizeof(BatchEnvelope) && tap_random() % 2)
		{
			/* likely enough to get further */
			part[offsetof(BatchEnvelope, version)] = 0;
			part[offsetof(BatchEnvelope, flags) + 1] = (char) ((tap_random() % 32) << 1);
			part[offsetof(BatchEnvelope, header_size)] = (char) (32 + tap_random() % 35);
			part[offsetof(BatchEnvelope, base_offset) + 7] = 0;
		}
		if (batch_head_decode(part, available, &decoded))
		{
			accepted++;
			sane = sane && decoded.header_size <= available &&
				decoded.length >= decoded.header_size && decoded.base_offset >= 0 &&
				decoded.last_offset_delta >= 0 && decoded.nrecords > 0;
		}
		free(part);
	}
	ok(accepted > 0 && sane, "random bytes are refused, or make sense");
}

/* ---------- appending one message ---------- */

static void
test_append_one(void)
{
	PGAlignedBlock block;
	PGAlignedBlock copy;
	DataOpaque *opaque = fresh_page(&block);
	char		record[100];
	AppendOne	one = {1700000000000, 0x12345678, BATCH_LOG_APPEND_TIME};
	BatchHead	head;
	uint64		fxid = (UINT64CONST(5) << 32) | 0xFFFFFFF0;
	int			pos = DATA_PAGE_START;
	int			n = 0;
	bool		right = true;

	memset(record, 'r', sizeof(record));
	opaque->first_offset = opaque->next_offset = 1000;
	while (page_lower(block.data) + sizeof(BatchEnvelope) + sizeof(record) <= DATA_PAGE_END)
	{
		data_append_one(block.data, &one, (TransactionId) fxid, fxid, record, sizeof(record));
		one.base_timestamp--;
		fxid++;
		n++;
	}
	ok(n == DATA_PAGE_CAPACITY / 132, "as many as there is room for");
	ok(data_page_check(block.data) == NULL && data_page_is(block.data, &identity),
	   "the page is sound");
	ok(opaque->first_offset == 1000 && opaque->next_offset == 1000 + n &&
	   opaque->entry_pos == DATA_PAGE_START && opaque->open_bytes == 0, "offsets");
	ok(opaque->max_fxid == fxid - 1 && opaque->max_fxid >> 32 == 6,
	   "the newest transaction, in the next epoch");
	ok(opaque->max_timestamp == INT64CONST(1700000000000) &&
	   data_page_min_timestamp(opaque) == one.base_timestamp + 1, "times");

	for (int i = 0; i < n; i++)
	{
		right = right && batch_head_decode(block.data + pos, page_lower(block.data) - pos, &head) &&
			head.base_offset == 1000 + i && head.nrecords == 1 && head.last_offset_delta == 0 &&
			head.length == 132 && head.flags == BATCH_LOG_APPEND_TIME && head.crc == one.crc &&
			head.base_timestamp == INT64CONST(1700000000000) - i &&
			head.max_timestamp == head.base_timestamp &&
			memcmp(block.data + pos + head.header_size, record, sizeof(record)) == 0;
		pos += head.length;
	}
	ok(right && pos == page_lower(block.data), "the batches are what was appended");

	/* an older transaction; the entry point behind the end of another batch */
	opaque = fresh_page(&block);
	opaque->max_fxid = 500;
	opaque->first_offset = opaque->next_offset = 7;
	opaque->batch_back = 1;
	opaque->batch_pos = DATA_PAGE_START;
	((PageHeader) block.data)->pd_lower = DATA_PAGE_START + 40;
	memcpy(copy.data, block.data, BLCKSZ);
	data_append_one(block.data, &one, 499, 499, record, sizeof(record));
	ok(opaque->max_fxid == 500, "an older transaction does not count as the newest");
	ok(opaque->entry_pos == DATA_PAGE_START + 40 && opaque->first_offset == 7 &&
	   data_page_check(block.data) == NULL, "the first entry point of a continued page");

	/* what redo makes of a copy is the same page, byte for byte */
	data_append_one(copy.data, &one, 499, 499, record, sizeof(record));
	ok(memcmp(copy.data, block.data, BLCKSZ) == 0, "done again it gives the same page");
}

int
main(void)
{
	test_logical_pages();
	test_identity();
	test_check();
	test_times();
	test_envelopes();
	test_malformed();
	test_append_one();
	return done_testing();
}
