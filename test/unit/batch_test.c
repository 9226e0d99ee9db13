/*-------------------------------------------------------------------------
 *
 * batch_test.c
 *	  Batches against bytes that another implementation made.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "kafka_batch.h"
#include "log/record.h"
#include "port/pg_bswap.h"
#include "port/pg_crc32c.h"
#include "tap.h"

/* Where things stand in Kafka's batch v2. */
#define V2_CRC			17
#define V2_RECORDS		61

#define CAPACITY		(BATCH_TARGET_BYTES * 2)

static const RecordBytes null_bytes = {NULL, -1};

static RecordBytes
bytes(const char *data, int32 length)
{
	RecordBytes result;

	result.data = data;
	result.length = length;
	return result;
}

static RecordBytes
string(const char *data)
{
	return bytes(data, (int32) strlen(data));
}

static void
start(Batch *batch)
{
	batch_init(batch, malloc(CAPACITY), CAPACITY, 0);
}

static void
add(Batch *batch, int64 timestamp, RecordBytes key, RecordBytes value,
	const RecordHeader *headers, int nheaders)
{
	batch_add(batch, timestamp, (int32) batch->next_offset_delta, key, value,
			  headers, nheaders);
}

static bool
records_equal(const Batch *batch, const unsigned char *v2, size_t v2_size)
{
	size_t		length;
	const char *records = batch_records(batch, &length);

	return length == v2_size - V2_RECORDS &&
		memcmp(records, v2 + V2_RECORDS, length) == 0;
}

static bool
crc_equals(const Batch *batch, const unsigned char *v2, uint16 attributes,
		   int64 producer_id, int16 producer_epoch, int32 base_sequence)
{
	size_t		length;
	const char *records = batch_records(batch, &length);
	uint32		wanted;

	memcpy(&wanted, v2 + V2_CRC, sizeof(wanted));
	return batch_crc(attributes, (int32) batch->next_offset_delta - 1,
					 batch->base_timestamp, batch->max_timestamp,
					 producer_id, producer_epoch, base_sequence, batch->count,
					 records, length) == pg_ntoh32(wanted);
}

static void
test_crc(void)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, "123456789", 9);
	FIN_CRC32C(crc);
	ok(crc == 0xE3069283, "the check value of CRC-32C");
}

static void
test_one(void)
{
	Batch		batch;

	start(&batch);
	ok(batch.count == 0 && batch.length == BATCH_RESERVED_BYTES &&
	   batch_fits(&batch, RECORD_MAX_BYTES), "an empty batch takes any record");
	add(&batch, INT64CONST(1700000000000), null_bytes, string("hello"), NULL, 0);
	ok(records_equal(&batch, batch_one, sizeof(batch_one)), "one record: bytes");
	ok(crc_equals(&batch, batch_one, 0, -1, -1, -1), "one record: CRC");
	free(batch.data);
}

static void
test_mixed(void)
{
	Batch		batch;
	RecordHeader headers[3];
	char		k[64];
	char		v[200];
	char		zeros[300];
	char		trace[130];
	int			i;

	memset(k, 'k', sizeof(k));
	memset(v, 'v', sizeof(v));
	memset(trace, 0x80, sizeof(trace));
	for (i = 0; i < (int) sizeof(zeros); i++)
		zeros[i] = i % 2 == 0 ? '\0' : '\xff';

	start(&batch);
	add(&batch, INT64CONST(1700000000000), string("key"), string("value"), NULL, 0);
	add(&batch, INT64CONST(1699999999990), null_bytes, null_bytes, NULL, 0);
	headers[0].key = headers[1].key = string("h");
	headers[0].value = string("v");
	headers[1].value = null_bytes;
	headers[2].key = headers[2].value = string("");
	add(&batch, INT64CONST(1700000100000), string(""), string(""), headers, 3);
	add(&batch, INT64CONST(1700000000001), bytes(k, 63), bytes(v, 200), NULL, 0);
	headers[0].key = string("trace");
	headers[0].value = bytes(trace, sizeof(trace));
	add(&batch, INT64CONST(1700000000000), bytes(k, 64), bytes(zeros, 300), headers, 1);

	ok(records_equal(&batch, batch_mixed, sizeof(batch_mixed)), "mixed records: bytes");
	ok(crc_equals(&batch, batch_mixed, 0, -1, -1, -1), "mixed records: CRC");
	ok(batch.count == 5 && batch.next_offset_delta == 5, "mixed records: counts");
	ok(batch.base_timestamp == INT64CONST(1700000000000) &&
	   batch.min_timestamp == INT64CONST(1699999999990) &&
	   batch.max_timestamp == INT64CONST(1700000100000),
	   "timestamps need not ascend");
	free(batch.data);
}

static void
test_gaps(void)
{
	Batch		batch;

	start(&batch);
	batch_add(&batch, 0, 0, string("a"), string("1"), NULL, 0);
	batch_add(&batch, 5, 3, string("b"), string("2"), NULL, 0);
	batch_add(&batch, 7, 99900, string("c"), string("3"), NULL, 0);
	ok(records_equal(&batch, batch_gap_producer, sizeof(batch_gap_producer)),
	   "gaps between offsets: bytes");
	ok(crc_equals(&batch, batch_gap_producer, 8, 4711, 3, 99),
	   "CRC covers attributes and producer");
	ok(batch.count == 3 && batch.next_offset_delta == 99901,
	   "the next offset is behind the gap");
	free(batch.data);
}

static void
test_cut(void)
{
	Batch		batch;
	char		value[1000];
	int64		size = 0;
	size_t		left;
	const char *from;
	DecodedRecord record;
	int			n = 0;
	bool		sound = true;

	memset(value, 'x', sizeof(value));
	start(&batch);
	for (;;)
	{
		size = record_size(0, batch.count, null_bytes, bytes(value, sizeof(value)),
						   NULL, 0);
		if (!batch_fits(&batch, size))
			break;
		add(&batch, 1, null_bytes, bytes(value, sizeof(value)), NULL, 0);
	}
	ok(batch.length <= BATCH_TARGET_BYTES && batch.length + size > BATCH_TARGET_BYTES,
	   "a batch is cut at its target size");

	from = batch_records(&batch, &left);
	while (left > 0 && sound)
	{
		int64		length = record_length(from, left);

		sound = length > 0 && record_decode(from, length, &record) &&
			record.offset_delta == n;
		from += length;
		left -= length;
		n++;
	}
	ok(sound && n == batch.count, "a full batch is read back");

	batch.next_offset_delta = PG_INT32_MAX;
	ok(!batch_fits(&batch, 0), "offset deltas have 31 bits");
	free(batch.data);
}

int
main(void)
{
	test_crc();
	test_one();
	test_mixed();
	test_gaps();
	test_cut();
	return done_testing();
}
