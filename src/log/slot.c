/*-------------------------------------------------------------------------
 *
 * slot.c
 *	  Messages as rows: tuple table slots of topics, and headers as arrays.
 *
 * A slot of a topic is PostgreSQL's virtual slot.  Only its copies differ:
 * they keep the TID, which virtual tuples lose; ANALYZE sorts its sample by
 * it, and EvalPlanQual finds a row again by it.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "log/am.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/*
 * A virtual slot.  Every INSERT copies its row into one, for which a virtual
 * slot allocates memory each time; a message of usual size goes to a buffer
 * that stays.
 */
typedef struct TopicSlot
{
	VirtualTupleTableSlot base;
	char	   *buffer;			/* SLOT_BUFFER_BYTES, once it was needed */
	bool		in_buffer;		/* key and value stand there */
} TopicSlot;

#define SLOT_BUFFER_BYTES	4096

TupleTableSlotOps TTSOpsTopic;

/* Type topic.header, looked up once; InvalidOid until then. */
static Oid	header_type = InvalidOid;
static TupleDesc header_desc = NULL;

static HeapTuple
slot_copy_heap_tuple(TupleTableSlot *slot)
{
	HeapTuple	tuple;

	tuple = heap_form_tuple(slot->tts_tupleDescriptor,
							slot->tts_values, slot->tts_isnull);
	tuple->t_self = slot->tts_tid;
	tuple->t_tableOid = slot->tts_tableOid;
	return tuple;
}

static void
slot_clear(TupleTableSlot *slot)
{
	((TopicSlot *) slot)->in_buffer = false;
	TTSOpsVirtual.clear(slot);
}

static void
slot_materialize(TupleTableSlot *slot)
{
	if (!((TopicSlot *) slot)->in_buffer)
		TTSOpsVirtual.materialize(slot);
}

/* Bytes of a column; more than the buffer has if it is unsuitable. */
static inline Size
column_size(const TupleTableSlot *slot, TopicColumn column)
{
	struct varlena *bytes = (struct varlena *) DatumGetPointer(slot->tts_values[column - 1]);

	if (slot->tts_isnull[column - 1])
		return 0;
	if (unlikely(VARATT_IS_EXTERNAL(bytes)))
		return SLOT_BUFFER_BYTES + 1;
	return VARSIZE_ANY(bytes);
}

/*
 * Reads the size once more: where gcc knows that it is small, it takes "rep movs"
 * instead of memcpy(), which is several times slower.
 */
static inline void
put_in_buffer(TupleTableSlot *slot, TopicColumn column, char *buffer)
{
	Datum	   *value = &slot->tts_values[column - 1];

	if (slot->tts_isnull[column - 1])
		return;
	memcpy(buffer, DatumGetPointer(*value), VARSIZE_ANY(DatumGetPointer(*value)));
	*value = PointerGetDatum(buffer);
}

/* Copies an ordinary message; false, and nothing done, if it is none. */
static inline bool
copy_to_buffer(TupleTableSlot *to, TupleTableSlot *from)
{
	TopicSlot  *slot = (TopicSlot *) to;
	Size		key;
	Size		value;

	if (from->tts_tupleDescriptor->natts != TOPIC_NATTS ||
		to->tts_tupleDescriptor->natts != TOPIC_NATTS ||
		!from->tts_isnull[TOPIC_COL_HEADERS - 1])
		return false;
	key = column_size(from, TOPIC_COL_KEY);
	value = column_size(from, TOPIC_COL_VALUE);
	if (MAXALIGN(key) + value > SLOT_BUFFER_BYTES)
		return false;

	if (unlikely(TTS_SHOULDFREE(to)))
		ExecClearTuple(to);
	if (unlikely(slot->buffer == NULL))
		slot->buffer = MemoryContextAlloc(to->tts_mcxt, SLOT_BUFFER_BYTES);
	memcpy(to->tts_values, from->tts_values, TOPIC_NATTS * sizeof(Datum));
	memcpy(to->tts_isnull, from->tts_isnull, TOPIC_NATTS * sizeof(bool));
	put_in_buffer(to, TOPIC_COL_KEY, slot->buffer);
	put_in_buffer(to, TOPIC_COL_VALUE, slot->buffer + MAXALIGN(key));
	to->tts_flags &= ~TTS_FLAG_EMPTY;
	to->tts_nvalid = TOPIC_NATTS;
	slot->in_buffer = true;
	return true;
}

static void
slot_copyslot(TupleTableSlot *to, TupleTableSlot *from)
{
	slot_getallattrs(from);
	if (!copy_to_buffer(to, from))
		TTSOpsVirtual.copyslot(to, from);
	to->tts_tid = from->tts_tid;
	to->tts_tableOid = from->tts_tableOid;
}

/* A type was changed or dropped, perhaps ours: look it up again. */
static void
header_type_invalidate(Datum arg, int cacheid, uint32 hashvalue)
{
	header_type = InvalidOid;
}

void
log_slot_init(void)
{
	TTSOpsTopic = TTSOpsVirtual;
	TTSOpsTopic.base_slot_size = sizeof(TopicSlot);
	TTSOpsTopic.clear = slot_clear;
	TTSOpsTopic.materialize = slot_materialize;
	TTSOpsTopic.copy_heap_tuple = slot_copy_heap_tuple;
	TTSOpsTopic.copyslot = slot_copyslot;

	CacheRegisterSyscacheCallback(TYPEOID, header_type_invalidate, (Datum) 0);
}

static void
header_type_lookup(void)
{
	Oid			type;
	TupleDesc	desc;
	MemoryContext old;

	type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
						   PointerGetDatum("header"),
						   ObjectIdGetDatum(get_namespace_oid("topic", false)));
	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type \"topic.header\" does not exist"),
				 errhint("Run CREATE EXTENSION pgtopic.")));

	if (header_desc)
		FreeTupleDesc(header_desc);
	header_desc = NULL;
	desc = lookup_rowtype_tupdesc(type, -1);
	old = MemoryContextSwitchTo(TopMemoryContext);
	header_desc = CreateTupleDescCopy(desc);
	MemoryContextSwitchTo(old);
	ReleaseTupleDesc(desc);
	header_type = type;
}

static Datum
header_datum(const RecordHeader *header)
{
	Datum		values[2];
	bool		nulls[2] = {false, false};

	values[0] = PointerGetDatum(cstring_to_text_with_len(header->key.data,
														 header->key.length));
	if (header->value.data == NULL)
	{
		values[1] = (Datum) 0;
		nulls[1] = true;
	}
	else
		values[1] = PointerGetDatum(cstring_to_text_with_len(header->value.data,
															 header->value.length));
	return HeapTupleGetDatum(heap_form_tuple(header_desc, values, nulls));
}

/*
 * log_headers_datum: the headers of a record as topic.header[].
 *
 * Kafka knows no difference between a message without headers and one with
 * an empty list of them.  Both read as NULL, and so does an INSERT of '{}'.
 */
Datum
log_headers_datum(RecordBytes headers, int32 nheaders, bool *isnull)
{
	RecordBytes rest = headers;
	RecordHeader header;
	Datum	   *datums;
	int			n = 0;

	*isnull = (nheaders == 0);
	if (nheaders == 0)
		return (Datum) 0;

	if (!OidIsValid(header_type))
		header_type_lookup();

	datums = palloc(sizeof(Datum) * nheaders);
	while (n < nheaders && record_next_header(&rest, &header))
		datums[n++] = header_datum(&header);
	if (n < nheaders)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("message has %d headers, but only %d can be read",
						nheaders, n)));

	return PointerGetDatum(construct_array(datums, n, header_type,
										   -1, false, TYPALIGN_DOUBLE));
}

/*
 * log_fill_slot: makes the slot hold a record.  Bytes are shared with the
 * record; headers are built in the current memory context.
 */
void
log_fill_slot(TupleTableSlot *slot, Oid tableoid, int32 lane,
			  const LaneRecord *record)
{
	Datum	   *values = slot->tts_values;
	bool	   *isnull = slot->tts_isnull;

	ExecClearTuple(slot);

	values[TOPIC_COL_PARTITION - 1] = Int32GetDatum(lane);
	isnull[TOPIC_COL_PARTITION - 1] = false;
	values[TOPIC_COL_LOG_OFFSET - 1] = Int64GetDatum(record->offset);
	isnull[TOPIC_COL_LOG_OFFSET - 1] = false;
	values[TOPIC_COL_TIMESTAMP - 1] =
		TimestampTzGetDatum(log_timestamp_to_tz(record->timestamp));
	isnull[TOPIC_COL_TIMESTAMP - 1] = false;
	values[TOPIC_COL_KEY - 1] = PointerGetDatum(record->key);
	isnull[TOPIC_COL_KEY - 1] = (record->key == NULL);
	values[TOPIC_COL_VALUE - 1] = PointerGetDatum(record->value);
	isnull[TOPIC_COL_VALUE - 1] = (record->value == NULL);
	if (likely(record->nheaders == 0))
	{
		values[TOPIC_COL_HEADERS - 1] = (Datum) 0;
		isnull[TOPIC_COL_HEADERS - 1] = true;
	}
	else
		values[TOPIC_COL_HEADERS - 1] =
			log_headers_datum(record->headers, record->nheaders,
							  &isnull[TOPIC_COL_HEADERS - 1]);

	/* a topic has no other columns, but a slot must be filled */
	for (int i = TOPIC_NATTS; i < slot->tts_tupleDescriptor->natts; i++)
	{
		values[i] = (Datum) 0;
		isnull[i] = true;
	}

	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = tableoid;
	log_encode_tid(lane, record->offset, &slot->tts_tid);
}
