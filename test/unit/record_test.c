/*-------------------------------------------------------------------------
 *
 * record_test.c
 *	  Varints and records: round trips, limits, and damaged bytes.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "log/record.h"
#include "tap.h"

#define MAX_HEADERS		5
#define FUZZ_ROUNDS		200000

static const RecordBytes null_bytes = {NULL, -1};

static RecordBytes
bytes(const char *data, int32 length)
{
	RecordBytes result;

	result.data = data;
	result.length = length;
	return result;
}

static bool
same_bytes(RecordBytes a, RecordBytes b)
{
	return a.length == b.length && (a.data == NULL) == (b.data == NULL) &&
		(a.length <= 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* A copy of exactly this size, so that AddressSanitizer sees every overrun. */
static char *
exact_copy(const char *data, size_t length)
{
	char	   *copy = malloc(length > 0 ? length : 1);

	memcpy(copy, data, length);
	return copy;
}

static void
test_varints(void)
{
	static const int64 values[] = {
		0, -1, 1, 63, 64, -64, -65, 8191, 8192, PG_INT32_MAX, PG_INT32_MIN,
		PG_INT64_MAX, PG_INT64_MIN, PG_INT64_MAX - 1
	};
	char		buffer[16];
	int64		value;
	bool		sound = true;
	bool		short_refused = true;
	int			i;
	int			j;

	for (i = 0; i < lengthof(values) + 10000; i++)
	{
		int64		wanted = i < lengthof(values) ? values[i] :
			(int64) tap_random() >> (tap_random() % 64);
		int			size = varint_size(wanted);

		sound &= varint_put(buffer, wanted) == buffer + size;
		sound &= varint_get(buffer, size, &value) == size && value == wanted;
		for (j = 0; j < size; j++)
			short_refused &= varint_get(buffer, j, &value) == 0;
	}
	ok(sound, "varints of all sizes");
	ok(short_refused, "too few bytes of a varint");

	ok(varint_put(buffer, 150) - buffer == 2 &&
	   memcmp(buffer, "\xac\x02", 2) == 0, "zigzag and little-endian groups");
	ok(varint_get("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, &value) == 10 &&
	   value == PG_INT64_MIN, "ten bytes");
	ok(varint_get("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, &value) == -1,
	   "more than 64 bits");
	ok(varint_get("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, &value) == -1,
	   "more than ten bytes");
}

/* Encodes and decodes one record; false if anything got lost. */
static bool
round_trip(int64 timestamp_delta, int32 offset_delta, RecordBytes key,
		   RecordBytes value, const RecordHeader *headers, int nheaders)
{
	int64		size = record_size(timestamp_delta, offset_delta, key, value,
								   headers, nheaders);
	char	   *buffer = malloc(size);
	DecodedRecord record;
	RecordHeader header;
	RecordBytes rest;
	bool		sound;
	int			i;

	sound = record_encode(buffer, timestamp_delta, offset_delta, key, value,
						  headers, nheaders) == buffer + size;
	sound &= record_length(buffer, size) == size;
	sound &= record_decode(buffer, size, &record);
	sound &= record.timestamp_delta == timestamp_delta &&
		record.offset_delta == offset_delta && record.size == size &&
		same_bytes(record.key, key) && same_bytes(record.value, value) &&
		record.nheaders == nheaders;
	rest = record.headers;
	for (i = 0; i < nheaders && sound; i++)
		sound &= record_next_header(&rest, &header) &&
			same_bytes(header.key, headers[i].key) &&
			same_bytes(header.value, headers[i].value);
	sound &= !record_next_header(&rest, &header);
	free(buffer);
	return sound;
}

/* A random byte string out of a pool, empty and NULL among them. */
static RecordBytes
random_bytes(const char *pool, int pool_size, bool may_be_null)
{
	static const int limits[] = {1, 2, 63, 130, 9000};
	int			limit = limits[tap_random() % lengthof(limits)];

	if (may_be_null && tap_random() % 5 == 0)
		return null_bytes;
	return bytes(pool, (int32) (tap_random() % Min(limit, pool_size)));
}

static void
random_headers(const char *pool, int pool_size, RecordHeader *headers, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		headers[i].key = random_bytes(pool, pool_size, false);
		headers[i].value = random_bytes(pool, pool_size, true);
	}
}

static void
test_round_trips(const char *pool, int pool_size)
{
	RecordHeader headers[MAX_HEADERS];
	bool		sound = true;
	int			i;

	ok(round_trip(0, 0, null_bytes, null_bytes, NULL, 0), "NULL key and value");
	ok(round_trip(0, 0, bytes("", 0), bytes("", 0), NULL, 0),
	   "empty key and value are not NULL");
	ok(round_trip(PG_INT64_MIN, PG_INT32_MAX, bytes("k", 1), bytes("v", 1), NULL, 0),
	   "largest deltas");
	for (i = 0; i < 5000; i++)
	{
		int			nheaders = tap_random() % (MAX_HEADERS + 1);

		random_headers(pool, pool_size, headers, nheaders);
		sound &= round_trip((int64) tap_random() >> (tap_random() % 64),
							(int32) (tap_random() & 0x7fffffff) >> (tap_random() % 31),
							random_bytes(pool, pool_size, true),
							random_bytes(pool, pool_size, true),
							headers, nheaders);
	}
	ok(sound, "random records");
	ok(record_size(0, 0, null_bytes, bytes(pool, RECORD_MAX_BYTES), NULL, 0) == -1,
	   "record over the limit");
	ok(record_size(0, 0, bytes(pool, PG_INT32_MAX), bytes(pool, PG_INT32_MAX), NULL, 0) == -1,
	   "sizes do not overflow");
}

static bool
decodes(const char *data, size_t size)
{
	char	   *copy = exact_copy(data, size);
	DecodedRecord record;
	bool		result = record_decode(copy, size, &record);

	free(copy);
	return result;
}

#define DECODES(literal) decodes(literal, sizeof(literal) - 1)

static void
test_malformed(void)
{
	/* length 6: attributes, two deltas, NULL key, NULL value, no header */
	ok(DECODES("\x0c\x00\x00\x00\x01\x01\x00"), "smallest record");
	ok(!DECODES("\x0c\x01\x00\x00\x01\x01\x00"), "unknown attributes");
	ok(!DECODES("\x0a\x00\x00\x00\x01\x01"), "shorter than a record can be");
	ok(!DECODES("\x0e\x00\x00\x00\x01\x01\x00"), "length past the end");
	ok(!DECODES("\x0c\x00\x00\x00\x01\x01\x00\x00"), "bytes behind the record");
	ok(!DECODES("\x0e\x00\x00\x00\x01\x01\x00\x00"), "bytes behind the headers");
	ok(!DECODES("\x0c\x00\x00\x01\x01\x01\x00"), "negative offset delta");
	ok(!DECODES("\x0c\x00\x00\x00\x03\x01\x00"), "key length below -1");
	ok(!DECODES("\x0c\x00\x00\x00\x02\x01\x00"), "key takes what belongs to the value");
	ok(!DECODES("\x0c\x00\x00\x00\x01\x10\x00"), "value longer than the record");
	ok(!DECODES("\x0c\x00\x00\x00\x01\x01\x02"), "a header that is not there");
	ok(!DECODES("\x0c\x00\x00\x00\x01\x01\x01"), "negative number of headers");
	ok(!DECODES("\x10\x00\x00\x00\x01\x01\x02\x01\x01"), "header with a NULL key");
	ok(DECODES("\x10\x00\x00\x00\x01\x01\x02\x00\x01"), "header with a NULL value");
	ok(!DECODES(""), "nothing");
	ok(record_length("", 0) == 0, "length of nothing is not known");
	ok(record_length("\x80", 1) == 0, "length of half a prefix is not known");
	ok(record_length("\x01", 1) == -1, "negative length");
	ok(record_length("\x80\x80\x80\x80\x08", 5) == -1, "length over the limit");
	ok(record_length("\xd0\x0f", 2) == 1002, "length without the record");
}

/* Whatever the bytes are, decoding stays inside them. */
static void
test_fuzz(const char *pool, int pool_size)
{
	RecordHeader headers[MAX_HEADERS];
	int			ndecoded = 0;
	int			i;
	int			j;

	for (i = 0; i < FUZZ_ROUNDS; i++)
	{
		int			nheaders = tap_random() % (MAX_HEADERS + 1);
		RecordBytes key = random_bytes(pool, 70, true);
		RecordBytes value = random_bytes(pool, 70, true);
		char	   *buffer;
		size_t		size;
		DecodedRecord record;
		RecordHeader header;

		random_headers(pool, 20, headers, nheaders);
		size = record_size(i, i, key, value, headers, nheaders);
		buffer = malloc(size);
		record_encode(buffer, i, i, key, value, headers, nheaders);
		for (j = tap_random() % 4; j > 0; j--)
			buffer[tap_random() % size] = (char) tap_random();
		if (tap_random() % 4 == 0)
		{
			char	   *shorter = exact_copy(buffer, size = tap_random() % size);

			free(buffer);
			buffer = shorter;
		}

		(void) record_length(buffer, size);
		if (record_decode(buffer, size, &record))
		{
			ndecoded++;
			while (record_next_header(&record.headers, &header))
				;
		}
		free(buffer);
	}
	ok(ndecoded > 0 && ndecoded < FUZZ_ROUNDS, "damaged and truncated records");
}

int
main(void)
{
	char		pool[9000];
	int			i;

	for (i = 0; i < (int) sizeof(pool); i++)
		pool[i] = (char) tap_random();
	test_varints();
	test_round_trips(pool, sizeof(pool));
	test_malformed();
	test_fuzz(pool, sizeof(pool));
	return done_testing();
}
