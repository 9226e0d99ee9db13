/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Records of a lane, in order, below a snapshot.
 *
 * A reader works on private copies of pages, so it holds neither pin nor lock
 * between two calls.  It can begin in the middle of a batch: the page says
 * where, and which page has the envelope.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/transam.h"
#include "log/reader.h"
#include "miscadmin.h"
#include "storage/predicate.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

LaneReader *
lane_reader_create(Relation rel, Snapshot snapshot, LaneReadMode mode)
{
	LaneReader *reader = palloc0(sizeof(LaneReader));

	reader->rel = rel;
	reader->snapshot = snapshot;
	reader->mode = mode;
	reader->want_key = reader->want_value = true;
	reader->context = CurrentMemoryContext;
	return reader;
}

void
lane_reader_free(LaneReader *reader)
{
	reader_free_unpacked(reader);
	if (reader->scratch)
		pfree(reader->scratch);
	for (int i = 0; i < 2; i++)
	{
		if (reader->copies[i])
			pfree(reader->copies[i]);
	}
	pfree(reader);
}

void
lane_reader_want(LaneReader *reader, bool key, bool value)
{
	reader->want_key = key;
	reader->want_value = value;
}

/* ---------- pages ---------- */

/* A page is another one than it should be: why? */
static bool
reader_was_overtaken(LaneReader *reader)
{
	if (!directory_was_overtaken(&reader->map))
		return false;
	reader->overtaken = true;
	return true;
}

/* The present page becomes an empty one at the end of the lane. */
static void
read_as_end(LaneReader *reader)
{
	data_page_init(reader->page.data, &(PageIdentity) {0}, 0);
	data_opaque(reader->page.data)->next_offset = PG_INT64_MAX;
	data_opaque(reader->page.data)->first_offset = PG_INT64_MAX;
}

void
reader_load_page(LaneReader *reader, uint32 seq, BlockNumber extent_start, int index)
{
	PageIdentity id = map_page_identity(&reader->map, seq, index);

	CHECK_FOR_INTERRUPTS();
	directory_copy_page(reader->rel, extent_start + index, reader->strategy,
						reader->page.data);
	if (!data_page_is(reader->page.data, &id))
	{
		if (reader_was_overtaken(reader))
			read_as_end(reader);
		else
			directory_corrupted(reader->rel, extent_start + index,
								"Block is not the expected data page");
	}
	reader->positioned = true;
	reader->seq = seq;
	reader->index = index;
	reader->extent_start = extent_start;
}

/*
 * Goes on to the page behind the present one; false if there is none.  The
 * copy may be older than the lane: a page without a successor was the last
 * when it was copied, and what came later lies past our log_end.
 */
bool
reader_next_page(LaneReader *reader)
{
	DirEntry	extent;

	if (!(data_opaque(reader->page.data)->flags & DATA_PAGE_HAS_NEXT))
		return false;
	if (!(data_opaque(reader->page.data)->flags & DATA_PAGE_ENDS_SECTION) &&
		reader->index + 1 < map_extent_pages(&reader->map, reader->seq))
	{
		reader_load_page(reader, reader->seq, reader->extent_start, reader->index + 1);
		return true;
	}
	if (reader->seq + 1 >= reader->map.entry.next_seq)
		return false;			/* opened after we entered the lane */
	directory_extent(&reader->map, reader->seq + 1, &extent);
	reader_load_page(reader, reader->seq + 1, extent.block, 0);
	return true;
}

bool
reader_at_start(LaneReader *reader)
{
	const LaneEntry *lane = &reader->map.entry;
	uint64		start = logical_page(lane->trim_seq, lane->start_index);
	uint64		here = logical_page(reader->seq, reader->index);

	if (here > start || map_is_clean(&reader->map, reader->seq))
		return false;
	if (here < start)
	{
		DirEntry	extent;

		directory_extent(&reader->map, lane->trim_seq, &extent);
		reader_load_page(reader, lane->trim_seq, extent.block, lane->start_index);
	}
	reader->pos = Max(lane->start_pos, DATA_PAGE_START);
	reader->rest = 0;
	reader->in_batch = false;
	return true;
}

/* Bytes of the present page that belong to the batch it begins within. */
static uint64
bytes_before_page(LaneReader *reader, Page head_page)
{
	DataOpaque *opaque = data_opaque(reader->page.data);

	return (page_lower(head_page) - opaque->batch_pos) +
		(uint64) (opaque->batch_back - 1) * DATA_PAGE_CAPACITY;
}

/*
 * The present page begins within a batch: fetches that batch's envelope from
 * the page where it stands, and leaves the reader at the page's start.
 */
void
reader_enter_continued_batch(LaneReader *reader)
{
	DataOpaque *opaque = data_opaque(reader->page.data);
	PGAlignedBlock copy;
	PageIdentity id;
	DirEntry	extent;
	BlockNumber block;
	uint32		seq;
	int			index;

	map_page_split(&reader->map, reader->seq,
				   map_page_number(&reader->map, reader->seq, reader->index) - opaque->batch_back,
				   &seq, &index);
	if (seq == reader->seq)
		block = reader->extent_start + index;
	else
	{
		directory_extent(&reader->map, seq, &extent);
		block = extent.block + index;
	}
	id = map_page_identity(&reader->map, seq, index);
	directory_copy_page(reader->rel, block, reader->strategy, copy.data);
	if (!data_page_is(copy.data, &id) || opaque->batch_pos >= page_lower(copy.data) ||
		!batch_head_decode(copy.data + opaque->batch_pos,
						   page_lower(copy.data) - opaque->batch_pos, &reader->batch))
	{
		if (!reader_was_overtaken(reader))
			directory_corrupted(reader->rel, block, "Block does not hold the envelope that a later page names");
		read_as_end(reader);
		reader->pos = DATA_PAGE_START;
		reader->rest = 0;
		reader->in_batch = false;
		return;
	}
	reader->pos = DATA_PAGE_START;
	reader->rest = reader->batch.length - bytes_before_page(reader, copy.data);
	reader->in_batch = true;
	reader->unpacking = false;
}

/* Bytes of the batch on the present page, from pos on. */
static uint64
rest_on_page(LaneReader *reader)
{
	return Min(reader->rest, (uint64) (page_lower(reader->page.data) - reader->pos));
}

/*
 * The batch goes on on the next page: goes there.  False if it does not,
 * because its writer died or is still writing.
 */
static bool
follow_batch(LaneReader *reader)
{
	if (!reader_next_page(reader))
	{
		reader->at_end = true;
		return false;
	}
	reader->pos = DATA_PAGE_START;
	/* an extent opened and left by a writer that died has an empty page */
	return data_opaque(reader->page.data)->batch_back > 0 ||
		(page_lower(reader->page.data) == DATA_PAGE_START &&
		 data_opaque(reader->page.data)->open_bytes > 0 &&
		 follow_batch(reader));
}

/* Leaves the present batch behind. */
void
reader_skip_batch(LaneReader *reader)
{
	while (reader->rest > 0)
	{
		uint64		here = rest_on_page(reader);

		reader->pos += here;
		reader->rest -= here;
		if (reader->rest > 0 && !follow_batch(reader))
			break;
	}
	reader->in_batch = false;
}

/* ---------- batches ---------- */

/* Tells SSI that the snapshot does not see a batch which this writer appended. */
static void
note_conflict_out(LaneReader *reader)
{
	TransactionId top = SubTransGetTopmostTransaction(reader->batch.xid);

	if (TransactionIdFollowsOrEquals(top, TransactionXmin))
		CheckForSerializableConflictOut(reader->rel, top, reader->snapshot);
}

/* Continues a SERIALIZABLE read past where fetch stops, for its conflicts. */
static void
note_unread_conflicts(LaneReader *reader)
{
	do
	{
		if (!TransactionIdIsCurrentTransactionId(reader->batch.xid) &&
			XidInMVCCSnapshot(reader->batch.xid, reader->snapshot))
			note_conflict_out(reader);
		reader_skip_batch(reader);
	} while (reader_next_envelope(reader));
}

/*
 * Judges the present batch.  True: its records are to be returned.  False: it
 * was skipped, or, in fetch, the reader is at its end.
 */
bool
reader_judge_batch(LaneReader *reader)
{
	BatchVisibility answer = batch_visibility(reader->rel, reader->lane, &reader->batch,
											  reader->map.entry.frozen_upto, reader->snapshot,
											  reader->mode, &reader->seen);

	if (answer == BATCH_VISIBLE)
		return true;
	if (answer == BATCH_FORGOTTEN)
	{
		RecordOffset again = Max(reader->lower, reader->batch.base_offset);
		LaneMap		now;

		/*
		 * Frozen since we read the lane's entry.  Read that again, and then
		 * the envelope: it may bear the flag of a dead batch now.  The log
		 * start remains the one that we began with.  A parallel chunk does not
		 * go back to the extent before it.
		 */
		if (reader->one_extent)
		{
			DirEntry	extent;

			directory_extent(&reader->map, reader->only_seq, &extent);
			again = Max(again, (RecordOffset) extent.first_offset);
		}
		reader->seen.xid = InvalidTransactionId;
		directory_read_lane(reader->rel, reader->lane, &now);
		reader->map.entry.frozen_upto = now.entry.frozen_upto;
		if (reader->batch.base_offset >= reader->map.entry.frozen_upto)
			directory_corrupted(reader->rel, reader->extent_start + reader->index,
								"Batch has a transaction id that is older than the commit log");
		lane_reader_seek(reader, again);
		return false;
	}
	if (answer == BATCH_UNFINISHED && reader->snapshot != NULL &&
		CheckForSerializableConflictOutNeeded(reader->rel, reader->snapshot))
		note_conflict_out(reader);
	if (reader->mode == LANE_READ_FETCH && answer != BATCH_DEAD)
	{
		reader->next_offset = Max(reader->next_offset, reader->batch.base_offset);
		if (CheckForSerializableConflictOutNeeded(reader->rel, reader->snapshot))
			note_unread_conflicts(reader);
		reader->at_end = reader->stopped = true;
		reader->in_batch = false;
		return false;
	}
	reader->next_offset = Max(reader->next_offset,
							  reader->batch.base_offset + reader->batch.last_offset_delta + 1);
	reader_skip_batch(reader);
	return false;
}

/*
 * Goes to the next envelope, whatever it is.
 */
bool
reader_next_envelope(LaneReader *reader)
{
	Page		page = reader->page.data;

	while (!reader->at_end && reader->pos >= page_lower(page))
	{
		if (!reader_next_page(reader))
		{
			reader->at_end = true;
			break;				/* pos stays where the next envelope may come */
		}
		if (reader_at_start(reader))
			continue;
		reader->pos = DATA_PAGE_START;
		if (data_opaque(page)->batch_back > 0)
		{
			/* we did not follow that batch: go to the one behind it */
			reader_enter_continued_batch(reader);
			reader_skip_batch(reader);
		}
	}
	if (reader->at_end)
		return false;
	if (!batch_head_decode(page + reader->pos, page_lower(page) - reader->pos,
						   &reader->batch))
		directory_corrupted(reader->rel, reader->extent_start + reader->index,
							"Batch envelope is malformed");
	if (reader->batch.base_offset >= reader->log_end ||
		(reader->one_extent && reader->seq > reader->only_seq))
	{
		reader->at_end = true;
		return false;
	}
	reader->rest = reader->batch.length;
	reader->in_batch = true;
	reader->unpacking = false;
	return true;
}

bool
reader_next_batch(LaneReader *reader)
{
	while (reader_next_envelope(reader))
	{
		if (reader->batch.base_offset + reader->batch.last_offset_delta < reader->lower)
		{
			reader_skip_batch(reader);
			continue;
		}
		if (!reader_judge_batch(reader))
		{
			if (reader->in_batch)
				return true;	/* it was read again, and entered */
			continue;
		}
		reader->pos += reader->batch.header_size;
		reader->rest -= reader->batch.header_size;
		return true;
	}
	return false;
}

/* ---------- records ---------- */

static char *
reserve(LaneReader *reader, char **buffer, Size *size, Size needed)
{
	if (*size < needed)
	{
		Size		bigger = Max(needed, Min(*size * 2, MaxAllocHugeSize / 2));

		if (*buffer)
			pfree(*buffer);
		*buffer = NULL;
		*size = 0;
		*buffer = MemoryContextAllocHuge(reader->context, bigger);
		*size = bigger;
	}
	return *buffer;
}

static void
broken_batch(LaneReader *reader)
{
	directory_corrupted(reader->rel, reader->extent_start + reader->index,
						"Batch of a committed transaction is incomplete or malformed");
}

/*
 * The bytes of the record at pos, in one piece; moves behind it.  A record
 * that crosses pages is put together in scratch memory.  NULL if the reader was
 * overtaken.
 */
static char *
take_record(LaneReader *reader, size_t *size)
{
	char	   *from = reader->page.data + reader->pos;
	uint64		here = rest_on_page(reader);
	int64		length = record_length(from, here);
	char	   *scratch;
	uint64		have;

	if (length > 0 && (uint64) length <= here)
	{
		reader->pos += length;
		reader->rest -= length;
		*size = length;
		return from;
	}
	if (length < 0)
		broken_batch(reader);

	/* the length itself may cross the page: take what is here and go on */
	have = here;
	scratch = reserve(reader, &reader->scratch, &reader->scratch_size,
					  Max((Size) length, here + BLCKSZ));
	memcpy(scratch, from, here);
	reader->pos += here;
	reader->rest -= here;
	while (length == 0 || have < (uint64) length)
	{
		uint64		n;

		if (reader->rest == 0 || !follow_batch(reader))
		{
			if (reader->overtaken)
				return NULL;
			broken_batch(reader);
		}
		n = rest_on_page(reader);
		if (length == 0)
		{
			memcpy(scratch + have, reader->page.data + reader->pos, Min(n, 16));
			length = record_length(scratch, have + Min(n, 16));
			if (length <= 0)
				broken_batch(reader);
			if (reader->scratch_size < (Size) length)
			{
				char		prefix[32];

				memcpy(prefix, scratch, Min(have, sizeof(prefix)));
				scratch = reserve(reader, &reader->scratch, &reader->scratch_size, length);
				memcpy(scratch, prefix, Min(have, sizeof(prefix)));
			}
		}
		n = Min(n, (uint64) length - have);
		memcpy(scratch + have, reader->page.data + reader->pos, n);
		have += n;
		reader->pos += n;
		reader->rest -= n;
	}
	*size = length;
	return scratch;
}

const char *
reader_take_rest(LaneReader *reader)
{
	char	   *from = reader->page.data + reader->pos;
	uint64		length = reader->rest;
	uint64		have = 0;

	if (rest_on_page(reader) < length)
		from = reserve(reader, &reader->scratch, &reader->scratch_size, length);
	while (reader->rest > 0)
	{
		uint64		n = rest_on_page(reader);

		if (from == reader->scratch)
			memcpy(from + have, reader->page.data + reader->pos, n);
		have += n;
		reader->pos += n;
		reader->rest -= n;
		if (reader->rest > 0 && !follow_batch(reader))
		{
			if (reader->overtaken)
				return NULL;
			broken_batch(reader);
		}
	}
	return from;
}

/*
 * A key or value as a bytea.  Always with the header of four bytes, though a
 * short one could stand where it is, in our copy of the page: byteasend() takes
 * longer to replace the short header than this copy takes.
 */
static struct varlena *
make_bytea(LaneReader *reader, RecordBytes bytes, int which)
{
	struct varlena *result;

	if (bytes.length < 0)
		return NULL;
	result = (struct varlena *) reserve(reader, &reader->copies[which],
										&reader->copy_size[which], bytes.length + VARHDRSZ);
	SET_VARSIZE(result, bytes.length + VARHDRSZ);
	memcpy(VARDATA(result), bytes.data, bytes.length);
	return result;
}

static void
make_record(LaneReader *reader, const DecodedRecord *decoded, LaneRecord *record)
{
	record->offset = reader->batch.base_offset + decoded->offset_delta;
	record->timestamp = (reader->batch.flags & BATCH_LOG_APPEND_TIME) ?
		reader->batch.max_timestamp :
		reader->batch.base_timestamp + decoded->timestamp_delta;
	record->nheaders = decoded->nheaders;
	record->headers = decoded->headers;
	record->size = decoded->size;
	record->xid = reader->batch.xid;
	record->key = reader->want_key ? make_bytea(reader, decoded->key, 0) : NULL;
	record->value = reader->want_value ? make_bytea(reader, decoded->value, 1) : NULL;
}

/*
 * The next record of the present batch; false at the end of a parallel chunk, or
 * when the reader was overtaken.
 */
static bool
next_plain(LaneReader *reader, DecodedRecord *decoded)
{
	char	   *bytes;
	size_t		size;

	if (reader->pos >= page_lower(reader->page.data) && !follow_batch(reader))
	{
		if (reader->overtaken)
			return false;
		broken_batch(reader);
	}
	if (reader->one_extent && reader->seq > reader->only_seq)
	{
		reader->at_end = true;
		return false;
	}
	bytes = take_record(reader, &size);
	if (bytes == NULL)
		return false;
	if (!record_decode(bytes, size, decoded))
		broken_batch(reader);
	return true;
}

/*
 * The short way, for a record of the present batch that lies on the present page
 * as a whole, as nearly all do.  False: the way is longer.
 */
static inline bool
next_on_page(LaneReader *reader, DecodedRecord *decoded)
{
	int64		size;

	if (!reader->in_batch || reader->pos >= page_lower(reader->page.data) ||
		(reader->batch.flags & BATCH_CODEC_MASK) ||
		(reader->one_extent && reader->seq > reader->only_seq))
		return false;
	size = record_take(reader->page.data + reader->pos, rest_on_page(reader), decoded);
	if (size <= 0)
		return false;
	reader->pos += size;
	reader->rest -= size;
	return true;
}

/* The next visible record; false at the end, or when the reader was overtaken. */
static bool
next_record(LaneReader *reader, LaneRecord *record)
{
	for (;;)
	{
		DecodedRecord decoded;
		RecordOffset offset;

		if (reader->at_end || reader->overtaken)
			return false;
		if (!next_on_page(reader, &decoded))
		{
			if (reader->in_batch && reader->rest == 0 && !reader->unpacking)
				reader->in_batch = false;
			if (!reader->in_batch && !reader_next_batch(reader))
				return false;
			if (reader->batch.flags & BATCH_CODEC_MASK)
			{
				if (!reader_next_unpacked(reader, &decoded))
					continue;
			}
			else if (!next_plain(reader, &decoded))
				return false;
		}
		offset = reader->batch.base_offset + decoded.offset_delta;
		if (offset < reader->lower)
			continue;
		if (offset >= reader->log_end)
		{
			reader->at_end = true;
			return false;
		}
		reader->next_offset = offset + 1;
		make_record(reader, &decoded, record);
		return true;
	}
}

void
reader_find_anew(LaneReader *reader, RecordOffset position)
{
	LaneMap		old = reader->map;

	reader->overtaken = false;
	directory_refresh_lane(&reader->map);
	if (reader->map.entry.generation == old.entry.generation ||
		(RecordOffset) reader->map.entry.log_start > position)
	{
		(void) directory_was_overtaken(&old);
		directory_corrupted(reader->rel, reader->extent_start + reader->index,
							"Block is not the expected data page");
	}
}

bool
lane_reader_next(LaneReader *reader, LaneRecord *record)
{
	for (;;)
	{
		RecordOffset position;
		bool		found;

		if (!reader->positioned && !reader->at_end)
			lane_reader_seek(reader, reader->lower);
		/* a parallel chunk cannot begin anew, because others have theirs */
		reader_bear_overtaking(reader, !reader->one_extent);
		found = next_record(reader, record);
		reader_bear_overtaking(reader, false);
		if (!reader->overtaken)
			return found;
		position = Max(reader->lower, reader->next_offset);
		reader_find_anew(reader, position);
		lane_reader_seek(reader, position);
	}
}

RecordOffset
lane_reader_position(LaneReader *reader)
{
	return reader->next_offset;
}

/* ---------- going places ---------- */

bool
lane_reader_enter(LaneReader *reader, int32 lane)
{
	reader->lane = lane;
	reader->in_batch = false;
	reader->positioned = false;
	reader->one_extent = false;
	reader->stopped = false;
	if (reader->snapshot != NULL && IsMVCCSnapshot(reader->snapshot))
		PredicateLockPage(reader->rel, (BlockNumber) lane, reader->snapshot);

	directory_read_lane(reader->rel, lane, &reader->map);
	reader->map.bears_overtaking = reader->bears_overtaking;
	reader->lower = reader->next_offset = reader->entered_start = reader->map.entry.log_start;
	reader->log_end = PG_INT64_MAX;
	reader->at_end = (reader->map.entry.next_seq == reader->map.entry.head_seq);
	if (reader->at_end)
		reader->log_end = reader->map.entry.initial_offset;
	return !reader->at_end;
}

void
lane_reader_stop_at(LaneReader *reader, RecordOffset offset)
{
	reader->log_end = Min(reader->log_end, offset);
}

RecordOffset
lane_reader_log_end(LaneReader *reader)
{
	if (reader->log_end == PG_INT64_MAX)
	{
		TailRef		tail;
		PGAlignedBlock copy;

		(void) directory_find_tail(&reader->map, &tail, copy.data);
		reader->log_end = data_opaque(copy.data)->next_offset;
		reader->newest_fxid = data_opaque(copy.data)->max_fxid;
		if (tail.seq >= reader->map.entry.next_seq)
		{
			directory_refresh_lane(&reader->map);
			if (!reader->positioned)
				reader->entered_start = reader->map.entry.log_start;
		}
	}
	return reader->log_end;
}

void
lane_reader_bounds(LaneReader *reader, LaneInfo *info)
{
	info->log_start = reader->map.entry.log_start;
	info->log_end = reader->log_end;
	info->frozen_upto = reader->map.entry.frozen_upto;
	info->head_seq = reader->map.first_seq;
	info->next_seq = reader->map.entry.next_seq;
	info->leader_epoch = 0;
}
