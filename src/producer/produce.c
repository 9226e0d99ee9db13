/*-------------------------------------------------------------------------
 *
 * produce.c
 *	  The SQL functions that produce.
 *
 * None is strict, because most arguments may be NULL: each checks for itself
 * what must not be.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "acl/acl.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "producer/headers.h"
#include "producer/production.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Arguments of topic.produce and topic.produce_record. */
enum
{
	PRODUCE_TOPIC, PRODUCE_VALUE, PRODUCE_KEY, PRODUCE_HEADERS,
	PRODUCE_PARTITION, PRODUCE_EVENT_TIME
};

#define RECORD_METADATA_NATTS	3

/* How the bytes of a message come out of a Datum. */
typedef RecordBytes (*ValueBytes) (Datum datum);

static RecordBytes
jsonb_bytes(Datum datum)
{
	Jsonb	   *jsonb = DatumGetJsonbP(datum);
	StringInfoData text;
	RecordBytes bytes;

	initStringInfo(&text);
	JsonbToCString(&text, &jsonb->root, VARSIZE(jsonb));
	bytes.data = text.data;
	bytes.length = text.len;
	return bytes;
}

static inline RecordBytes
value_bytes(ValueBytes bytes_of, Datum datum, bool isnull)
{
	RecordBytes null_bytes = {NULL, -1};

	return isnull ? null_bytes : bytes_of(datum);
}

/* ---------- opening and closing the topic of a call ---------- */

/* Opens the topic that the first argument names, to produce to it. */
static void
begin_call(FunctionCallInfo fcinfo, const char *function, Production *production)
{
	Relation	rel;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("topic must not be null")));
	log_check_writable(function);
	rel = topic_open(text_to_cstring(PG_GETARG_TEXT_PP(0)), RowExclusiveLock);
	acl_check_produce(rel);
	production_begin(production, rel, GetCurrentCommandId(true),
					 log_timestamp_from_tz(GetCurrentTimestamp()));
}

/* The argument "partition", checked. */
static int32
partition_argument(FunctionCallInfo fcinfo, int argno, Production *production)
{
	int32		partition;

	if (PG_ARGISNULL(argno))
		return ANY_PARTITION;
	partition = PG_GETARG_INT32(argno);
	topic_check_partition(production->rel, partition);
	return partition;
}

static void
append_if_at_call(Production *production)
{
	if (producer_append_at == APPEND_AT_CALL)
		pending_flush(RelationGetRelid(production->rel));
}

/* ---------- one message ---------- */

/* The row type of the result, looked up once per query. */
static TupleDesc
metadata_desc(FunctionCallInfo fcinfo)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;

	if (flinfo->fn_extra == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(flinfo->fn_mcxt);
		TupleDesc	desc;

		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
			desc->natts != RECORD_METADATA_NATTS)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("function must return %s", "topic.record_metadata")));
		flinfo->fn_extra = BlessTupleDesc(desc);
		MemoryContextSwitchTo(old);
	}
	return flinfo->fn_extra;
}

/* topic.record_metadata of a message that was added to a partition. */
static Datum
metadata_datum(FunctionCallInfo fcinfo, Production *production, int32 partition)
{
	Datum		values[RECORD_METADATA_NATTS];
	bool		nulls[RECORD_METADATA_NATTS] = {0};

	values[0] = CStringGetTextDatum(topic_name(production->rel));
	values[1] = Int32GetDatum(partition);
	if (producer_append_at == APPEND_AT_CALL)
		values[2] = Int64GetDatum(pending_last_offset(production->pending, partition));
	else
		nulls[2] = true;
	return HeapTupleGetDatum(heap_form_tuple(metadata_desc(fcinfo), values, nulls));
}

/* All forms of topic.produce, and topic.produce_record. */
static Datum
produce_one(FunctionCallInfo fcinfo, const char *function, ValueBytes bytes_of,
			bool header_array)
{
	Production	production;
	Message		message = {0};
	int32		partition;
	Datum		result;

	begin_call(fcinfo, function, &production);
	partition = partition_argument(fcinfo, PRODUCE_PARTITION, &production);
	message.value = value_bytes(bytes_of, PG_GETARG_DATUM(PRODUCE_VALUE),
								PG_ARGISNULL(PRODUCE_VALUE));
	message.key = value_bytes(datum_bytes, PG_GETARG_DATUM(PRODUCE_KEY),
							  PG_ARGISNULL(PRODUCE_KEY));
	if (!PG_ARGISNULL(PRODUCE_HEADERS))
		message.nheaders = header_array ?
			headers_from_array(PG_GETARG_ARRAYTYPE_P(PRODUCE_HEADERS), &message.headers) :
			headers_from_jsonb(PG_GETARG_JSONB_P(PRODUCE_HEADERS), &message.headers);
	message.timestamp = PG_ARGISNULL(PRODUCE_EVENT_TIME) ? production.now :
		production_timestamp(&production, PG_GETARG_TIMESTAMPTZ(PRODUCE_EVENT_TIME));

	partition = production_add(&production, partition, &message);
	append_if_at_call(&production);
	result = metadata_datum(fcinfo, &production, partition);
	topic_close(production.rel);
	return result;
}

PG_FUNCTION_INFO_V1(pgtopic_produce_text);
Datum
pgtopic_produce_text(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, "topic.produce()", datum_bytes, false);
}

PG_FUNCTION_INFO_V1(pgtopic_produce_json);
Datum
pgtopic_produce_json(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, "topic.produce()", datum_bytes, false);
}

PG_FUNCTION_INFO_V1(pgtopic_produce_jsonb);
Datum
pgtopic_produce_jsonb(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, "topic.produce()", jsonb_bytes, false);
}

PG_FUNCTION_INFO_V1(pgtopic_produce_bytea);
Datum
pgtopic_produce_bytea(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, "topic.produce()", datum_bytes, false);
}

PG_FUNCTION_INFO_V1(pgtopic_produce_record);
Datum
pgtopic_produce_record(PG_FUNCTION_ARGS)
{
	return produce_one(fcinfo, "topic.produce_record()", datum_bytes, true);
}

/* ---------- arrays of messages ---------- */

typedef struct ElementArray
{
	bool		given;
	int			n;
	Datum	   *datums;
	bool	   *nulls;
} ElementArray;

/* An array argument; "like" is the array of messages, NULL for itself. */
static ElementArray
array_argument(FunctionCallInfo fcinfo, int argno, const char *name,
			   const ElementArray *like)
{
	ElementArray result = {0};
	ArrayType  *array;

	if (argno < 0 || PG_ARGISNULL(argno))
		return result;

	array = PG_GETARG_ARRAYTYPE_P(argno);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("\"%s\" must be a one-dimensional array", name)));
	/* text, bytea and jsonb are alike in this */
	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT,
					  &result.datums, &result.nulls, &result.n);
	if (like != NULL && result.n != like->n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must have as many elements as \"%s\"",
						name, "messages"),
				 errdetail("They have %d and %d elements.", result.n, like->n)));
	result.given = true;
	return result;
}

static inline RecordBytes
element_bytes(ValueBytes bytes_of, const ElementArray *array, int i)
{
	RecordBytes null_bytes = {NULL, -1};

	if (!array->given || array->nulls[i])
		return null_bytes;
	return bytes_of(array->datums[i]);
}

/* Adds the messages; "scratch" takes what one of them needs. */
static void
add_messages(Production *production, int32 partition, ValueBytes bytes_of,
			 const ElementArray *messages, const ElementArray *keys,
			 const ElementArray *headers, MemoryContext scratch)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	Message		message = {0};
	int			i;

	message.timestamp = production->now;
	for (i = 0; i < messages->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		message.value = element_bytes(bytes_of, messages, i);
		message.key = element_bytes(datum_bytes, keys, i);
		message.nheaders = 0;
		if (headers->given && !headers->nulls[i])
			message.nheaders = headers_from_jsonb(DatumGetJsonbP(headers->datums[i]),
												  &message.headers);
		(void) production_add(production, partition, &message);
		MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(old);
}

/* All forms of topic.produce_batch; headers_arg is -1 where there is none. */
static Datum
produce_many(FunctionCallInfo fcinfo, const char *function, ValueBytes bytes_of,
			 int headers_arg, int partition_arg)
{
	Production	production;
	ElementArray messages;
	ElementArray keys;
	ElementArray headers;
	int32		partition;
	MemoryContext scratch;

	begin_call(fcinfo, function, &production);
	partition = partition_argument(fcinfo, partition_arg, &production);
	messages = array_argument(fcinfo, 1, "messages", NULL);
	if (!messages.given)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"%s\" must not be null", "messages")));
	keys = array_argument(fcinfo, 2, "keys", &messages);
	headers = array_argument(fcinfo, headers_arg, "headers", &messages);

	scratch = AllocSetContextCreate(CurrentMemoryContext, "pgtopic message",
									ALLOCSET_SMALL_SIZES);
	add_messages(&production, partition, bytes_of, &messages, &keys, &headers,
				 scratch);
	MemoryContextDelete(scratch);
	append_if_at_call(&production);
	topic_close(production.rel);
	PG_RETURN_INT64(messages.n);
}

PG_FUNCTION_INFO_V1(pgtopic_produce_batch);
Datum
pgtopic_produce_batch(PG_FUNCTION_ARGS)
{
	return produce_many(fcinfo, "topic.produce_batch()", datum_bytes, 3, 4);
}

PG_FUNCTION_INFO_V1(pgtopic_produce_batch_json);
Datum
pgtopic_produce_batch_json(PG_FUNCTION_ARGS)
{
	return produce_many(fcinfo, "topic.produce_batch_json()", jsonb_bytes, 3, 4);
}

PG_FUNCTION_INFO_V1(pgtopic_produce_batch_bytes);
Datum
pgtopic_produce_batch_bytes(PG_FUNCTION_ARGS)
{
	return produce_many(fcinfo, "topic.produce_batch_bytes()", datum_bytes, -1, 3);
}
