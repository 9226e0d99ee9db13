/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  INSERT and COPY into a topic.
 *
 * A row without log_offset is produced like a message of topic.produce.  One
 * with it is restored: appended at once and at that offset, whatever the
 * topic's settings say, since these may be restored later than the messages.
 *
 * What was decided here is written into the row, for RETURNING.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "acl/acl.h"
#include "compat.h"
#include "executor/tuptable.h"
#include "producer/headers.h"
#include "producer/insert.h"
#include "producer/production.h"
#include "topic/topic.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#define RESTORE_INITIAL_BYTES	8192

/* One call of the handler. */
typedef struct InsertState
{
	Production	production;
	MemoryContext row_context;	/* made for the first row that needs it */

	/* consecutive restored rows of one partition */
	Batch		restored;
	int32		restored_partition;
	RecordOffset restored_base; /* offset of the first one */
} InsertState;

/* Makes memory of one row current; returns what was current before. */
static MemoryContext
enter_row_context(InsertState *state)
{
	if (state->row_context == NULL)
		state->row_context = AllocSetContextCreate(CurrentMemoryContext,
												   "pgtopic inserted row",
												   ALLOCSET_SMALL_SIZES);
	return MemoryContextSwitchTo(state->row_context);
}

static inline RecordBytes
column_bytes(InsertState *state, TupleTableSlot *slot, TopicColumn column)
{
	Datum		datum = slot->tts_values[column - 1];
	MemoryContext old;
	RecordBytes bytes = {NULL, -1};

	if (slot->tts_isnull[column - 1])
		return bytes;
	if (likely(!VARATT_IS_EXTERNAL(DatumGetPointer(datum)) &&
			   !VARATT_IS_COMPRESSED(DatumGetPointer(datum))))
	{
		bytes.data = VARDATA_ANY(DatumGetPointer(datum));
		bytes.length = VARSIZE_ANY_EXHDR(DatumGetPointer(datum));
		return bytes;
	}

	old = enter_row_context(state);
	bytes = datum_bytes(datum);
	MemoryContextSwitchTo(old);
	return bytes;
}

/* The message that stands in a row, but for its timestamp. */
static inline void
message_from_row(InsertState *state, TupleTableSlot *slot, Message *message)
{
	message->key = column_bytes(state, slot, TOPIC_COL_KEY);
	message->value = column_bytes(state, slot, TOPIC_COL_VALUE);
	message->headers = NULL;
	message->nheaders = 0;
	message->expects = false;
	if (unlikely(!slot->tts_isnull[TOPIC_COL_HEADERS - 1]))
	{
		MemoryContext old = enter_row_context(state);
		ArrayType  *array = DatumGetArrayTypeP(slot->tts_values[TOPIC_COL_HEADERS - 1]);

		message->nheaders = headers_from_array(array, &message->headers);
		MemoryContextSwitchTo(old);
	}
}

static inline void
set_column(TupleTableSlot *slot, TopicColumn column, Datum value)
{
	slot->tts_values[column - 1] = value;
	slot->tts_isnull[column - 1] = false;
}

/* ---------- restored rows ---------- */

/* Appends the restored rows so far. */
static void
append_restored(InsertState *state)
{
	Batch	   *batch = &state->restored;

	pending_append(state->production.rel, state->restored_partition, batch,
				   state->restored_base, state->production.cid);
	batch_init(batch, batch->data, batch->capacity, 0);
}

static inline void
finish_restored(InsertState *state)
{
	if (unlikely(state->restored.count > 0))
		append_restored(state);
}

static void
check_restored(InsertState *state, TupleTableSlot *slot, int32 *partition,
			   RecordOffset *offset)
{
	Relation	rel = state->production.rel;

	acl_check_owner(rel);
	if (slot->tts_isnull[TOPIC_COL_PARTITION - 1])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s without %s", "log_offset", "partition"),
				 errhint("Give both to restore a message, or neither to produce one.")));
	*partition = DatumGetInt32(slot->tts_values[TOPIC_COL_PARTITION - 1]);
	*offset = DatumGetInt64(slot->tts_values[TOPIC_COL_LOG_OFFSET - 1]);
	if (*partition < 0 || *partition >= LOG_MAX_LANES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partition %d is out of range", *partition),
				 errdetail("A topic has %d partitions at most.", LOG_MAX_LANES)));
	if (*offset < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", "log_offset")));
	if (*partition >= state->production.partitions)
	{
		log_set_min_partitions(rel, *partition + 1);
		CacheInvalidateRelcache(rel);	/* the settings there count them */
		topic_note_change();
		state->production.partitions = *partition + 1;
	}
}

/* Whether the batch of restored rows can take one more, of this many bytes. */
static bool
restored_fits(InsertState *state, int32 partition, RecordOffset offset, int64 size)
{
	RecordOffset delta = offset - state->restored_base;

	return state->restored.count > 0 &&
		partition == state->restored_partition &&
		delta >= (RecordOffset) state->restored.next_offset_delta &&
		delta < PG_INT32_MAX &&
		batch_fits(&state->restored, size);
}

static void
restore_row(InsertState *state, TupleTableSlot *slot)
{
	Batch	   *batch = &state->restored;
	Message		message;
	int32		partition;
	RecordOffset offset;
	int64		size;

	check_restored(state, slot, &partition, &offset);
	message_from_row(state, slot, &message);
	message.timestamp = state->production.now;
	if (!slot->tts_isnull[TOPIC_COL_TIMESTAMP - 1])
	{
		TimestampTz timestamp = DatumGetTimestampTz(slot->tts_values[TOPIC_COL_TIMESTAMP - 1]);

		if (TIMESTAMP_NOT_FINITE(timestamp))
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("timestamp of a message must be finite")));
		message.timestamp = log_timestamp_from_tz(timestamp);
	}

	/* no delta takes more bytes than these */
	size = record_size(PG_INT64_MAX, PG_INT32_MAX, message.key, message.value,
					   message.headers, message.nheaders);
	if (size < 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message is too large"),
				 errdetail("A message can take %d bytes at most.", RECORD_MAX_BYTES)));
	if (!restored_fits(state, partition, offset, size))
	{
		finish_restored(state);
		state->restored_partition = partition;
		state->restored_base = offset;
	}

	if (batch->data == NULL)
	{
		uint32		capacity = RESTORE_INITIAL_BYTES + size;

		batch_init(batch, palloc(capacity), capacity, 0);
	}
	else if (batch->length + size > batch->capacity)
	{
		batch->capacity = Max(batch->capacity * 2, batch->length + size);
		batch->data = repalloc(batch->data, batch->capacity);
	}
	batch_add(batch, message.timestamp, (int32) (offset - state->restored_base),
			  message.key, message.value, message.headers, message.nheaders);

	set_column(slot, TOPIC_COL_TIMESTAMP,
			   TimestampTzGetDatum(log_timestamp_to_tz(message.timestamp)));
	log_encode_tid(partition, offset, &slot->tts_tid);
}

/* ---------- produced rows ---------- */

/* Returns the partition that the row went to. */
static inline int32
produce_row(InsertState *state, TupleTableSlot *slot)
{
	Production *production = &state->production;
	int32		partition = ANY_PARTITION;
	Message		message;

	if (!slot->tts_isnull[TOPIC_COL_PARTITION - 1])
	{
		partition = DatumGetInt32(slot->tts_values[TOPIC_COL_PARTITION - 1]);
		if (unlikely(partition < 0 || partition >= production->partitions))
			topic_check_partition(production->rel, partition);
	}
	message_from_row(state, slot, &message);
	message.timestamp = production->now;
	if (!slot->tts_isnull[TOPIC_COL_TIMESTAMP - 1])
		message.timestamp =
			production_timestamp(production,
								 DatumGetTimestampTz(slot->tts_values[TOPIC_COL_TIMESTAMP - 1]));

	partition = production_add(production, partition, &message);

	set_column(slot, TOPIC_COL_PARTITION, Int32GetDatum(partition));
	set_column(slot, TOPIC_COL_TIMESTAMP,
			   TimestampTzGetDatum(log_timestamp_to_tz(message.timestamp)));
	/* LogAppendTime is not known before the append */
	slot->tts_isnull[TOPIC_COL_TIMESTAMP - 1] = production->log_append_time;
	return partition;
}

void
insert_rows(Relation rel, TupleTableSlot **slots, int nslots, CommandId cid)
{
	PendingTopic *pending = pending_topic(RelationGetRelid(rel));
	InsertState state;
	int32		partition = ANY_PARTITION;
	int			i;

	production_begin(&state.production, rel, pending, cid, pending_now(pending, cid));
	state.row_context = NULL;
	state.restored.data = NULL;	/* made for the first row that is restored */
	state.restored.count = 0;

	for (i = 0; i < nslots; i++)
	{
		TupleTableSlot *slot = slots[i];

		if (unlikely(!slot->tts_isnull[TOPIC_COL_LOG_OFFSET - 1]))
			restore_row(&state, slot);
		else
		{
			finish_restored(&state);
			partition = produce_row(&state, slot);
		}
		if (state.row_context != NULL)
			MemoryContextReset(state.row_context);
	}
	finish_restored(&state);

	if (producer_append_at == APPEND_AT_CALL)
	{
		pending_flush(RelationGetRelid(rel));
		/* COPY has no RETURNING, and hands over many rows at a time */
		if (nslots == 1 && partition != ANY_PARTITION)
		{
			RecordOffset offset = pending_last_offset(state.production.pending,
													  partition);

			set_column(slots[0], TOPIC_COL_LOG_OFFSET, Int64GetDatum(offset));
			log_encode_tid(partition, offset, &slots[0]->tts_tid);
		}
	}

	if (state.restored.data != NULL)
		pfree(state.restored.data);
	if (state.row_context != NULL)
		MemoryContextDelete(state.row_context);
}
