/*-------------------------------------------------------------------------
 *
 * record.h
 *	  Records in exactly the encoding of Kafka's record batch v2, and batches
 *	  of them.  Pure: no server state, no locks; errors are return values.
 *
 * A record is
 *		length varint, attributes int8 (0), timestampDelta varlong,
 *		offsetDelta varint, keyLength varint (-1 = NULL), key,
 *		valueLength varint (-1 = NULL), value, headers count varint,
 *		headers: keyLength varint, key, valueLength varint (-1), value
 * with zigzag varints (Kafka documentation, "Record Batch" and "Record").
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_RECORD_H
#define PGTOPIC_LOG_RECORD_H

#include "c.h"

/* A byte string that may be NULL (data == NULL, length == -1). */
typedef struct RecordBytes
{
	const char *data;
	int32		length;
} RecordBytes;

typedef struct RecordHeader
{
	RecordBytes key;			/* never NULL */
	RecordBytes value;
} RecordHeader;

/*
 * A batch being built.  "data" holds room for the largest envelope, then the
 * records; the envelope is filled in when the batch is appended.
 */
typedef struct Batch
{
	char	   *data;			/* belongs to the caller, who may move it */
	uint32		length;			/* bytes used, reserved envelope included */
	uint32		capacity;
	int32		count;			/* records */
	uint16		attributes;		/* BATCH_LOG_APPEND_TIME, codec */
	int64		base_timestamp; /* of the first record, ms since 1970 */
	int64		max_timestamp;
	int64		min_timestamp;
	uint64		next_offset_delta;	/* count, or more where offsets have gaps */
} Batch;

/* Batches are cut here; a larger single record stands alone. */
#define BATCH_TARGET_BYTES		(1024 * 1024)

/*
 * Largest record that can be stored: a palloc is 1 GB at most, and the pages of
 * a batch count in 16 bits how far back it began.
 */
#define RECORD_MAX_BYTES		(500 * 1024 * 1024)

/*
 * record_size: bytes that a record takes in a batch, length prefix included.
 * -1 if it would be over RECORD_MAX_BYTES.
 */
extern int64 record_size(int64 timestamp_delta, int32 offset_delta,
						 RecordBytes key, RecordBytes value,
						 const RecordHeader *headers, int nheaders);

/*
 * record_encode: writes the record at "to", which has room for record_size()
 * bytes, and returns the first byte behind it.
 */
extern char *record_encode(char *to, int64 timestamp_delta, int32 offset_delta,
						   RecordBytes key, RecordBytes value,
						   const RecordHeader *headers, int nheaders);

/* A record as it stands in memory; pointers lead into the decoded bytes. */
typedef struct DecodedRecord
{
	int64		timestamp_delta;
	int32		offset_delta;
	RecordBytes key;
	RecordBytes value;
	int32		nheaders;
	RecordBytes headers;		/* the encoded headers behind their count */
	int32		size;			/* bytes the record took, prefix included */
} DecodedRecord;

/*
 * record_length: reads the length prefix at "from".  Returns the size of the
 * whole record, prefix included; 0 if more than "available" bytes are needed
 * to know it; -1 if the bytes are no length prefix.
 */
extern int64 record_length(const char *from, size_t available);

/*
 * records_skip: the first record start at or behind "limit", in sound records of
 * "length" bytes, one of which starts at "position"; "length" if there is none.
 */
extern uint64 records_skip(const char *records, uint64 length, uint64 position,
						   uint64 limit);

/*
 * record_decode: decodes the record of "size" bytes at "from".  False if the
 * bytes are not exactly one record.
 */
extern bool record_decode(const char *from, size_t size, DecodedRecord *record);

/*
 * record_take: both in one, for who reads one record after the other.  Returns
 * the record's size; 0 if more than "available" bytes are needed; -1 if the bytes
 * are no record.
 */
extern int64 record_take(const char *from, size_t available, DecodedRecord *record);

/*
 * record_next_header: takes the next header off *rest.  False when there is
 * none or the bytes are not a header.
 */
extern bool record_next_header(RecordBytes *rest, RecordHeader *header);

/* Varints, zigzag as in Kafka.  get: bytes read, 0 = too few, -1 = malformed. */
extern int	varint_size(int64 value);
extern char *varint_put(char *to, int64 value);
extern int	varint_get(const char *from, size_t available, int64 *value);

/*
 * batch_crc: CRC-32C over what Kafka's batch v2 covers: attributes (int16),
 * last offset delta (int32), base and max timestamp (int64), producer id
 * (int64), producer epoch (int16), base sequence (int32), record count (int32),
 * all big-endian, then the records as stored.
 */
extern uint32 batch_crc(uint16 attributes, int32 last_offset_delta,
						int64 base_timestamp, int64 max_timestamp,
						int64 producer_id, int16 producer_epoch,
						int32 base_sequence, int32 nrecords,
						const char *records, size_t length);

/* Bytes that a batch needs beside its records. */
#define BATCH_RESERVED_BYTES	74

/*
 * batch_init: an empty batch in "capacity" bytes at "data", which the caller
 * owns and may replace by a larger copy: BATCH_RESERVED_BYTES and the records.
 */
extern void batch_init(Batch *batch, char *data, uint32 capacity,
					   uint16 attributes);

/*
 * batch_fits: whether one more record of this size would leave the batch
 * within BATCH_TARGET_BYTES.  An empty batch takes any record.
 */
extern bool batch_fits(const Batch *batch, int64 record_bytes);

/*
 * batch_add: encodes a record behind the others.  The caller has made sure of
 * capacity: batch->length + record_size() <= batch->capacity.  offset_delta
 * is batch->next_offset_delta unless the caller restores a gap.
 */
extern void batch_add(Batch *batch, int64 timestamp, int32 offset_delta,
					  RecordBytes key, RecordBytes value,
					  const RecordHeader *headers, int nheaders);

/*
 * batch_try_add: adds a record with the next offset if the batch is not empty,
 * batch_fits() it and the memory at "data" holds it; else false, and nothing done.
 * For who adds one record after the other, most of which are such.
 */
extern bool batch_try_add(Batch *batch, int64 timestamp,
						  RecordBytes key, RecordBytes value,
						  const RecordHeader *headers, int nheaders);

/* Records of the batch, behind the reserved envelope. */
extern const char *batch_records(const Batch *batch, size_t *length);

#endif							/* PGTOPIC_LOG_RECORD_H */
