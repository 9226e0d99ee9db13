/*-------------------------------------------------------------------------
 *
 * record.c
 *	  Records and batches of Kafka's record batch v2.
 *
 * This is the hot path of everything: each message is encoded once and
 * decoded once per reader.  Hence the one-byte fast path of the varints, and
 * no function call but memcpy within a record.
 *
 * Whatever is decoded here may be damaged: no length is believed before it
 * was compared with the bytes that are there.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "log/crc.h"
#include "log/format.h"
#include "log/record.h"
#include "port/pg_bswap.h"

/* attributes, timestamp, offset, two lengths, header count: a byte each */
#define RECORD_MIN_BODY			6

/* A varint of 64 bits takes so many bytes at most. */
#define VARINT_MAX_BYTES		10

#define RECORD_ATTRIBUTES		0

StaticAssertDecl(BATCH_RESERVED_BYTES == BATCH_ENVELOPE_MAX,
				 "room for the largest envelope");

static inline uint64
zigzag(int64 value)
{
	return ((uint64) value << 1) ^ (uint64) (value >> 63);
}

static inline int64
unzigzag(uint64 value)
{
	return (int64) (value >> 1) ^ -(int64) (value & 1);
}

static inline int
size_varint(int64 value)
{
	uint64		rest = zigzag(value);
	int			size = 1;

	while (rest >= 0x80)
	{
		rest >>= 7;
		size++;
	}
	return size;
}

static inline char *
put_varint(char *to, int64 value)
{
	uint64		rest = zigzag(value);

	while (rest >= 0x80)
	{
		*to++ = (char) (rest | 0x80);
		rest >>= 7;
	}
	*to++ = (char) rest;
	return to;
}

static int
get_long_varint(const char *from, size_t available, int64 *value)
{
	uint64		result = 0;
	int			i;

	for (i = 0; i < VARINT_MAX_BYTES; i++)
	{
		uint8		byte;

		if ((size_t) i >= available)
			return 0;
		byte = (uint8) from[i];
		/* the tenth byte has room for the highest bit only */
		if (i == VARINT_MAX_BYTES - 1 && byte > 1)
			return -1;
		result |= (uint64) (byte & 0x7F) << (7 * i);
		if (byte < 0x80)
		{
			*value = unzigzag(result);
			return i + 1;
		}
	}
	return -1;
}

static inline int
get_varint(const char *from, size_t available, int64 *value)
{
	if (likely(available > 0 && (uint8) from[0] < 0x80))
	{
		*value = unzigzag((uint8) from[0]);
		return 1;
	}
	/* lengths of 64 to 8191 bytes, which most messages have */
	if (likely(available > 1 && (uint8) from[1] < 0x80))
	{
		*value = unzigzag(((uint8) from[0] & 0x7F) | ((uint64) (uint8) from[1] << 7));
		return 2;
	}
	return get_long_varint(from, available, value);
}

int
varint_size(int64 value)
{
	return size_varint(value);
}

char *
varint_put(char *to, int64 value)
{
	return put_varint(to, value);
}

int
varint_get(const char *from, size_t available, int64 *value)
{
	return get_varint(from, available, value);
}

/* Bytes of a byte string with its length prefix. */
static inline int64
size_bytes(RecordBytes bytes)
{
	return (int64) size_varint(bytes.length) + Max(bytes.length, 0);
}

static inline char *
put_bytes(char *to, RecordBytes bytes)
{
	to = put_varint(to, bytes.length);
	if (bytes.length > 0)
	{
		memcpy(to, bytes.data, bytes.length);
		to += bytes.length;
	}
	return to;
}

/*
 * get_bytes: takes a byte string off [*from, end).  False if it is malformed
 * or longer than what is left, or NULL where that is not allowed.
 */
static inline bool
get_bytes(const char **from, const char *end, int64 min_length,
		  RecordBytes *bytes)
{
	int64		length;
	int			used = get_varint(*from, end - *from, &length);

	if (unlikely(used <= 0 || length < min_length))
		return false;
	*from += used;
	if (length < 0)
	{
		bytes->data = NULL;
		bytes->length = -1;
		return true;
	}
	if (unlikely(length > end - *from))
		return false;
	bytes->data = *from;
	bytes->length = (int32) length;
	*from += length;
	return true;
}

/* Bytes of a record behind its length prefix. */
static inline int64
size_body(int64 timestamp_delta, int32 offset_delta, RecordBytes key,
		  RecordBytes value, const RecordHeader *headers, int nheaders)
{
	int64		size = 1;
	int			i;

	size += size_varint(timestamp_delta);
	size += size_varint(offset_delta);
	size += size_bytes(key);
	size += size_bytes(value);
	size += size_varint(nheaders);
	for (i = 0; i < nheaders; i++)
		size += size_bytes(headers[i].key) + size_bytes(headers[i].value);
	return size;
}

int64
record_size(int64 timestamp_delta, int32 offset_delta,
			RecordBytes key, RecordBytes value,
			const RecordHeader *headers, int nheaders)
{
	int64		size = size_body(timestamp_delta, offset_delta, key, value,
								 headers, nheaders);

	size += size_varint(size);
	return size <= RECORD_MAX_BYTES ? size : -1;
}

/* A record whose body takes so many bytes. */
static pg_attribute_always_inline char *
put_record(char *to, int64 body, int64 timestamp_delta, int32 offset_delta,
		   RecordBytes key, RecordBytes value,
		   const RecordHeader *headers, int nheaders)
{
	to = put_varint(to, body);
	*to++ = RECORD_ATTRIBUTES;
	to = put_varint(to, timestamp_delta);
	to = put_varint(to, offset_delta);
	to = put_bytes(to, key);
	to = put_bytes(to, value);
	to = put_varint(to, nheaders);
	for (int i = 0; i < nheaders; i++)
	{
		to = put_bytes(to, headers[i].key);
		to = put_bytes(to, headers[i].value);
	}
	return to;
}

char *
record_encode(char *to, int64 timestamp_delta, int32 offset_delta,
			  RecordBytes key, RecordBytes value,
			  const RecordHeader *headers, int nheaders)
{
	int64		body = size_body(timestamp_delta, offset_delta, key, value,
								 headers, nheaders);

	return put_record(to, body, timestamp_delta, offset_delta, key, value,
					  headers, nheaders);
}

int64
record_length(const char *from, size_t available)
{
	int64		body;
	int			used = get_varint(from, available, &body);

	if (unlikely(used <= 0))
		return used;
	if (unlikely(body < RECORD_MIN_BODY || body > RECORD_MAX_BYTES - used))
		return -1;
	return used + body;
}

uint64
records_skip(const char *records, uint64 length, uint64 position, uint64 limit)
{
	while (position < limit)
	{
		int64		body;
		int			used = get_varint(records + position, length - position, &body);

		Assert(used > 0 && body >= RECORD_MIN_BODY && body <= (int64) (length - position));
		position += used + body;
	}
	return position;
}

/* Whether the bytes are exactly so many headers. */
static bool
headers_are_sound(RecordBytes rest, int32 nheaders)
{
	RecordHeader header;

	for (; nheaders > 0; nheaders--)
	{
		if (!record_next_header(&rest, &header))
			return false;
	}
	return rest.length == 0;
}

/* What stands between the length prefix and "end". */
static inline bool
decode_body(const char *p, const char *end, DecodedRecord *record)
{
	int64		number;
	int			used;

	if (unlikely(*p++ != RECORD_ATTRIBUTES))
		return false;
	used = get_varint(p, end - p, &record->timestamp_delta);
	if (unlikely(used <= 0))
		return false;
	p += used;
	used = get_varint(p, end - p, &number);
	if (unlikely(used <= 0 || number < 0 || number > PG_INT32_MAX))
		return false;
	record->offset_delta = (int32) number;
	p += used;

	if (unlikely(!get_bytes(&p, end, -1, &record->key) ||
				 !get_bytes(&p, end, -1, &record->value)))
		return false;

	used = get_varint(p, end - p, &number);
	/* a header takes two bytes or more, which bounds the loop over them */
	if (unlikely(used <= 0 || number < 0 || number > (end - p) / 2))
		return false;
	p += used;
	record->nheaders = (int32) number;
	record->headers.data = p;
	record->headers.length = (int32) (end - p);
	if (likely(number == 0))
		return p == end;
	return headers_are_sound(record->headers, record->nheaders);
}

int64
record_take(const char *from, size_t available, DecodedRecord *record)
{
	int64		body;
	int			used = get_varint(from, available, &body);

	if (unlikely(used <= 0))
		return used;
	if (unlikely(body < RECORD_MIN_BODY || body > RECORD_MAX_BYTES - used))
		return -1;
	if ((uint64) body > available - used)
		return 0;
	record->size = (int32) (used + body);
	return decode_body(from + used, from + used + body, record) ? used + body : -1;
}

bool
record_decode(const char *from, size_t size, DecodedRecord *record)
{
	return size > 0 && record_take(from, size, record) == (int64) size;
}

bool
record_next_header(RecordBytes *rest, RecordHeader *header)
{
	const char *p = rest->data;
	const char *end;

	if (rest->length <= 0)
		return false;
	end = p + rest->length;
	if (!get_bytes(&p, end, 0, &header->key) ||
		!get_bytes(&p, end, -1, &header->value))
		return false;
	rest->data = p;
	rest->length = (int32) (end - p);
	return true;
}

static inline char *
put_int16(char *to, uint16 value)
{
	value = pg_hton16(value);
	memcpy(to, &value, sizeof(value));
	return to + sizeof(value);
}

static inline char *
put_int32(char *to, uint32 value)
{
	value = pg_hton32(value);
	memcpy(to, &value, sizeof(value));
	return to + sizeof(value);
}

static inline char *
put_int64(char *to, uint64 value)
{
	value = pg_hton64(value);
	memcpy(to, &value, sizeof(value));
	return to + sizeof(value);
}

uint32
batch_crc(uint16 attributes, int32 last_offset_delta,
		  int64 base_timestamp, int64 max_timestamp,
		  int64 producer_id, int16 producer_epoch,
		  int32 base_sequence, int32 nrecords,
		  const char *records, size_t length)
{
	char		header[2 + 4 + 8 + 8 + 8 + 2 + 4 + 4];
	char	   *to = header;
	pg_crc32c	crc;

	to = put_int16(to, attributes);
	to = put_int32(to, (uint32) last_offset_delta);
	to = put_int64(to, (uint64) base_timestamp);
	to = put_int64(to, (uint64) max_timestamp);
	to = put_int64(to, (uint64) producer_id);
	to = put_int16(to, (uint16) producer_epoch);
	to = put_int32(to, (uint32) base_sequence);
	to = put_int32(to, (uint32) nrecords);

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, header, to - header);
	crc = crc_of_more(crc, records, length);
	FIN_CRC32C(crc);
	return crc;
}

void
batch_init(Batch *batch, char *data, uint32 capacity, uint16 attributes)
{
	memset(batch, 0, sizeof(Batch));
	batch->data = data;
	batch->capacity = capacity;
	batch->length = BATCH_RESERVED_BYTES;
	batch->attributes = attributes;
}

bool
batch_fits(const Batch *batch, int64 record_bytes)
{
	if (batch->count == 0)
		return true;
	return batch->length + record_bytes <= BATCH_TARGET_BYTES &&
		batch->next_offset_delta < PG_INT32_MAX;
}

/* Takes a record into account that has been written up to "end". */
static inline void
note_record(Batch *batch, int64 timestamp, int32 offset_delta, const char *end)
{
	batch->length = (uint32) (end - batch->data);
	Assert(batch->length <= batch->capacity);
	batch->min_timestamp = Min(batch->min_timestamp, timestamp);
	batch->max_timestamp = Max(batch->max_timestamp, timestamp);
	batch->count++;
	batch->next_offset_delta = (uint64) offset_delta + 1;
}

void
batch_add(Batch *batch, int64 timestamp, int32 offset_delta,
		  RecordBytes key, RecordBytes value,
		  const RecordHeader *headers, int nheaders)
{
	char	   *end;

	if (batch->count == 0)
	{
		batch->base_timestamp = timestamp;
		batch->min_timestamp = timestamp;
		batch->max_timestamp = timestamp;
	}
	end = record_encode(batch->data + batch->length,
						timestamp - batch->base_timestamp, offset_delta,
						key, value, headers, nheaders);
	note_record(batch, timestamp, offset_delta, end);
}

bool
batch_try_add(Batch *batch, int64 timestamp, RecordBytes key, RecordBytes value,
			  const RecordHeader *headers, int nheaders)
{
	int64		delta = timestamp - batch->base_timestamp;
	int32		offset_delta = (int32) batch->next_offset_delta;
	int64		body;
	char	   *end;

	if (batch->count == 0 || batch->next_offset_delta >= PG_INT32_MAX)
		return false;
	body = size_body(delta, offset_delta, key, value, headers, nheaders);
	if (batch->length + size_varint(body) + body > Min(batch->capacity, BATCH_TARGET_BYTES))
		return false;
	end = put_record(batch->data + batch->length, body, delta, offset_delta,
					 key, value, headers, nheaders);
	note_record(batch, timestamp, offset_delta, end);
	return true;
}

const char *
batch_records(const Batch *batch, size_t *length)
{
	*length = batch->length - BATCH_RESERVED_BYTES;
	return batch->data + BATCH_RESERVED_BYTES;
}
