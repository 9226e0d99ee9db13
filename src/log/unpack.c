/*-------------------------------------------------------------------------
 *
 * unpack.c
 *	  Records of compressed batches.
 *
 * Such a batch can be read from its envelope on only, and is decompressed as
 * a whole into memory of the reader.  Whoever reads a few records at a time, by
 * one call after another, has a new reader each time; so a batch that a reader
 * leaves in the middle is kept for the next reader of this backend.  One batch
 * is kept, and none that holds more than usual ones do.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "log/codec.h"
#include "log/reader.h"
#include "utils/memutils.h"

/* No record takes less, and each is counted in the envelope. */
#define RECORD_MIN_BYTES		7

struct UnpackedBatch
{
	MemoryContext context;		/* holds this struct and the bytes */

	/* which batch it is; packed_length 0: none */
	RelFileLocator locator;
	int32		lane;
	int64		base_offset;
	uint32		crc;
	uint32		packed_length;

	char	   *bytes;
	Size		size;			/* allocated */
	uint64		length;
	uint64		pos;			/* of the next record ... */
	RecordOffset passed;		/* ... behind all records below this offset */
};

/* What the last reader left in the middle, or NULL. */
static UnpackedBatch *kept;

static bool
holds_present_batch(const UnpackedBatch *unpacked, const LaneReader *reader)
{
	return unpacked != NULL &&
		unpacked->packed_length == reader->batch.length &&
		unpacked->crc == reader->batch.crc &&
		unpacked->base_offset == reader->batch.base_offset &&
		unpacked->lane == reader->lane &&
		RelFileLocatorEquals(unpacked->locator, RelationFileLocator(reader->rel));
}

static UnpackedBatch *
make_unpacked(LaneReader *reader)
{
	MemoryContext context = AllocSetContextCreate(reader->context, "unpacked batch of a topic",
												  ALLOCSET_SMALL_SIZES);
	UnpackedBatch *unpacked = MemoryContextAllocZero(context, sizeof(UnpackedBatch));

	unpacked->context = context;
	return unpacked;
}

void
reader_free_unpacked(LaneReader *reader)
{
	UnpackedBatch *unpacked = reader->unpacked;

	if (unpacked == NULL)
		return;
	reader->unpacked = NULL;
	if (unpacked->packed_length == 0 || unpacked->pos == unpacked->length ||
		unpacked->size > BATCH_TARGET_BYTES)
	{
		MemoryContextDelete(unpacked->context);
		return;
	}
	if (kept != NULL)
		MemoryContextDelete(kept->context);
	kept = unpacked;
	MemoryContextSetParent(kept->context, TopMemoryContext);
}

/* Takes over what the last reader has left, if it is the present batch. */
static bool
take_kept(LaneReader *reader)
{
	if (!holds_present_batch(kept, reader))
		return false;
	if (reader->unpacked != NULL)
		MemoryContextDelete(reader->unpacked->context);
	reader->unpacked = kept;
	kept = NULL;
	MemoryContextSetParent(reader->unpacked->context, reader->context);
	return true;
}

static void
corrupted_batch(LaneReader *reader, const char *what)
{
	directory_corrupted(reader->rel, reader->extent_start + reader->index, what);
}

/*
 * Decompresses the present batch.  Nothing in it is believed before its CRC
 * is right; the memory it takes least of all.  False if the reader was overtaken.
 */
static bool
unpack_batch(LaneReader *reader)
{
	const BatchHead *batch = &reader->batch;
	int			codec = batch->flags & BATCH_CODEC_MASK;
	size_t		length = batch->length - batch->header_size;
	const char *packed = reader_take_rest(reader);
	UnpackedBatch *unpacked;
	int64		size;

	if (packed == NULL)
		return false;
	if (batch_crc(batch->flags & BATCH_ATTRIBUTES_MASK, batch->last_offset_delta,
				  batch->base_timestamp, batch->max_timestamp, batch->producer_id,
				  batch->producer_epoch, batch->base_sequence, batch->nrecords,
				  packed, length) != batch->crc)
		corrupted_batch(reader, "Compressed batch has a wrong checksum");
	size = codec_plain_size(codec, packed, length);
	if (size < (int64) batch->nrecords * RECORD_MIN_BYTES || size > RECORD_MAX_BYTES)
		corrupted_batch(reader, "Compressed batch has no sound size");

	if (reader->unpacked == NULL)
		reader->unpacked = make_unpacked(reader);
	unpacked = reader->unpacked;
	unpacked->packed_length = 0;
	if (unpacked->size < (Size) size)
	{
		if (unpacked->bytes != NULL)
			pfree(unpacked->bytes);
		unpacked->bytes = NULL;
		unpacked->size = 0;
		unpacked->bytes = MemoryContextAlloc(unpacked->context, size);
		unpacked->size = size;
	}
	switch (codec_decompress(codec, packed, length, unpacked->bytes, size))
	{
		case CODEC_OK:
			break;
		case CODEC_NO_MEMORY:
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory"),
					 errdetail("Failed to decompress a batch of topic \"%s\".",
							   RelationGetRelationName(reader->rel))));
			break;
		case CODEC_MALFORMED:
			corrupted_batch(reader, "Compressed batch cannot be decompressed");
			break;
	}
	unpacked->locator = RelationFileLocator(reader->rel);
	unpacked->lane = reader->lane;
	unpacked->base_offset = batch->base_offset;
	unpacked->crc = batch->crc;
	unpacked->packed_length = batch->length;
	unpacked->length = size;
	unpacked->pos = 0;
	unpacked->passed = batch->base_offset;
	return true;
}

/*
 * Makes the records of the present batch ready to be read; false if the reader
 * was overtaken.
 */
static bool
enter_batch(LaneReader *reader)
{
	const BatchHead *batch = &reader->batch;

	if (!codec_is_known(batch->flags & BATCH_CODEC_MASK))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("topic \"%s\" has a batch with compression codec %d",
						RelationGetRelationName(reader->rel),
						batch->flags & BATCH_CODEC_MASK),
				 errhint("Install a version of pgtopic that reads it.")));
	if (reader->rest != batch->length - batch->header_size)
		corrupted_batch(reader, "Page names a place within a compressed batch");

	if (!holds_present_batch(reader->unpacked, reader) && !take_kept(reader))
	{
		if (!unpack_batch(reader))
			return false;
	}
	else if (reader->lower < reader->unpacked->passed)
	{
		reader->unpacked->pos = 0;
		reader->unpacked->passed = batch->base_offset;
	}
	reader->unpacking = true;
	return true;
}

bool
reader_next_unpacked(LaneReader *reader, DecodedRecord *decoded)
{
	UnpackedBatch *unpacked;
	const char *from;
	int64		left;
	int64		size;

	if (!reader->unpacking && !enter_batch(reader))
		return false;
	unpacked = reader->unpacked;
	left = unpacked->length - unpacked->pos;
	if (left == 0)
	{
		reader->unpacking = false;
		reader_skip_batch(reader);
		return false;
	}
	from = unpacked->bytes + unpacked->pos;
	size = record_take(from, left, decoded);
	if (size <= 0)
		corrupted_batch(reader, "Compressed batch holds a malformed record");
	unpacked->pos += size;
	unpacked->passed = reader->batch.base_offset + decoded->offset_delta + 1;
	return true;
}
