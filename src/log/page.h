/*-------------------------------------------------------------------------
 *
 * page.h
 *	  Data pages and envelopes: the pure part of the storage.
 *
 * No buffers, no locks, no errors thrown; used by writers, readers, redo and
 * the unit tests alike.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_PAGE_H
#define PGTOPIC_LOG_PAGE_H

#include "log/format.h"
#include "log/record.h"

/* DataOpaque.batch_back must reach from the last page of a batch to its first. */
StaticAssertDecl((RECORD_MAX_BYTES + BATCH_ENVELOPE_MAX) / DATA_PAGE_CAPACITY + 1 <= PG_UINT16_MAX,
				 "pages of a batch");

static inline DataOpaque *
data_opaque(Page page)
{
	return (DataOpaque *) ((char *) page + DATA_PAGE_END);
}

static inline uint16
page_lower(Page page)
{
	return ((PageHeader) page)->pd_lower;
}

/* Which page of its lane this is, counted from the lane's first page. */
static inline uint64
logical_page(uint32 seq, int index)
{
	static const uint64 first[EXTENT_SIZE_CLASSES] = {0, 1, 9, 41};

	if (seq < EXTENT_SIZE_CLASSES)
		return first[seq] + index;
	return 41 + (uint64) (seq - 3) * EXTENT_MAX_PAGES + index;
}

/* The reverse of logical_page. */
extern void logical_page_split(uint64 page_number, uint32 *seq, int *index);

/* Initialises a zeroed page as the given kind with "special" bytes behind. */
extern void topic_page_init(Page page, uint16 special, uint16 contents);

/* What a page says of itself. */
typedef struct PageIdentity
{
	uint32		incarnation;
	uint32		seq;
	int			lane;
	int			index;
} PageIdentity;

/* max_timestamp of a page whose extent has no record yet. */
#define NO_TIMESTAMP			PG_INT64_MIN

/* An empty data page. */
extern void data_page_init(Page page, const PageIdentity *id, uint32 leader_epoch);

/* Whether the page is what its place in the directory says. */
extern bool data_page_is(Page page, const PageIdentity *id);

/* An envelope, decoded. */
typedef struct BatchHead
{
	uint32		length;
	uint32		xid;
	int64		base_offset;
	int64		base_timestamp;
	int64		max_timestamp;
	uint32		crc;
	uint16		flags;
	uint8		header_size;
	int32		last_offset_delta;
	uint32		leader_epoch;	/* 0: the page's */
	int64		producer_id;
	int16		producer_epoch;
	int32		base_sequence;
	int32		nrecords;
	int64		delete_horizon; /* ms since 1970: from then on its tombstones
								 * may go; 0: not set */
} BatchHead;

/*
 * batch_head_encode: writes the envelope, choosing flags for the optional
 * fields and setting header_size; head->length must count the records only
 * and is completed.  Returns the size of the envelope.
 */
extern int	batch_head_encode(char *to, BatchHead *head);

/* False if the bytes are no envelope. */
extern bool batch_head_decode(const char *from, size_t available, BatchHead *head);

/* Takes a record's or batch's timestamps into the extent's running ones. */
static inline void
data_page_add_times(DataOpaque *opaque, int64 low, int64 high)
{
	if (opaque->max_timestamp != NO_TIMESTAMP)
	{
		low = Min(low, opaque->max_timestamp - (int64) opaque->timestamp_span);
		high = Max(high, opaque->max_timestamp);
	}
	opaque->max_timestamp = high;
	opaque->timestamp_span = (uint32) Min((uint64) high - (uint64) low, PG_UINT32_MAX);
}

/* The least timestamp of the extent so far; "any" when the span saturated. */
static inline int64
data_page_min_timestamp(const DataOpaque *opaque)
{
	if (opaque->max_timestamp == NO_TIMESTAMP)
		return PG_INT64_MAX;
	if (opaque->timestamp_span == PG_UINT32_MAX)
		return PG_INT64_MIN;
	return opaque->max_timestamp - (int64) opaque->timestamp_span;
}

/* What redo needs to know of one message, beside its page and its record. */
typedef struct AppendOne
{
	int64		base_timestamp;
	uint32		crc;
	uint16		flags;
} AppendOne;

/*
 * data_append_one: puts a batch of one record on a page that has room; shared
 * by the writer and by redo, which therefore cannot differ.
 */
extern void data_append_one(Page page, const AppendOne *head,
							TransactionId xid, uint64 fxid,
							const char *record, int length);

/*
 * data_page_check: everything that can be said of a page by itself.  NULL if
 * sound, else what is wrong, in words.
 */
extern const char *data_page_check(Page page);

#endif							/* PGTOPIC_LOG_PAGE_H */
