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
#include "producer/idempotence.h"
#include "producer/production.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* Arguments of topic.produce and topic.produce_record. */
enum
{
	PRODUCE_TOPIC, PRODUCE_VALUE, PRODUCE_KEY, PRODUCE_HEADERS,
	PRODUCE_PARTITION, PRODUCE_EVENT_TIME, PRODUCE_CONDITIONS
};

/* The last four arguments of every function, in order. */
enum
{
	CONDITION_PRODUCER_ID, CONDITION_SEQUENCE, CONDITION_EXPECTED_OFFSET,
	CONDITION_PRODUCER_EPOCH
};

/* What they say. */
typedef struct Conditions
{
	Numbering	numbering;
	bool		expects;
	RecordOffset expected_offset;
} Conditions;

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
	production_begin(production, rel, pending_topic(RelationGetRelid(rel)),
					 GetCurrentCommandId(true), log_timestamp_from_tz(GetCurrentTimestamp()));
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
numbering_arguments(FunctionCallInfo fcinfo, int first, Numbering *numbering)
{
	bool		has_id = !PG_ARGISNULL(first + CONDITION_PRODUCER_ID);

	if (has_id != !PG_ARGISNULL(first + CONDITION_SEQUENCE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" and \"%s\" must be given together", "producer_id", "sequence")));
	if (!has_id && !PG_ARGISNULL(first + CONDITION_PRODUCER_EPOCH))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must not be given without \"%s\"", "producer_epoch", "producer_id")));
	if (!has_id)
		return;
	numbering->producer_id = text_to_cstring(PG_GETARG_TEXT_PP(first + CONDITION_PRODUCER_ID));
	numbering->sequence = PG_GETARG_INT64(first + CONDITION_SEQUENCE);
	if (!PG_ARGISNULL(first + CONDITION_PRODUCER_EPOCH))
		numbering->epoch = PG_GETARG_INT32(first + CONDITION_PRODUCER_EPOCH);
	numbering_check(numbering);
}

/* Of a call with these arguments the partition has to be certain. */
static Conditions
condition_arguments(FunctionCallInfo fcinfo, int first, bool certain_partition,
					const char *hint)
{
	Conditions	conditions = {0};

	numbering_arguments(fcinfo, first, &conditions.numbering);
	conditions.expects = !PG_ARGISNULL(first + CONDITION_EXPECTED_OFFSET);
	if (conditions.expects)
		conditions.expected_offset = PG_GETARG_INT64(first + CONDITION_EXPECTED_OFFSET);
	if (conditions.expects && conditions.expected_offset < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expected_offset must not be negative")));
	if (!certain_partition && (conditions.expects || conditions.numbering.producer_id != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be given with \"%s\"", "partition",
						conditions.expects ? "expected_offset" : "producer_id"),
				 errdetail("Sequences and offsets are counted in each partition by itself."),
				 errhint("%s", hint)));
	return conditions;
}

static void
append_if_at_call(Production *production)
{
	if (producer_append_at == APPEND_AT_CALL)
		pending_flush(RelationGetRelid(production->rel));
}

/* ---------- one message ---------- */

/*
 * topic.record_metadata of a message that was added to a partition, or of one
 * that is there already: its offset is not kept.
 */
static Datum
metadata_datum(FunctionCallInfo fcinfo, Production *production, int32 partition, bool added)
{
	Datum		values[RECORD_METADATA_NATTS];
	bool		nulls[RECORD_METADATA_NATTS] = {0};
	TupleDesc	desc = lookup_rowtype_tupdesc(get_func_rettype(fcinfo->flinfo->fn_oid), -1);
	HeapTuple	tuple;

	if (desc->natts != RECORD_METADATA_NATTS)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("function must return %s", "topic.record_metadata")));
	values[0] = CStringGetTextDatum(topic_name(production->rel));
	values[1] = Int32GetDatum(partition);
	if (added && producer_append_at == APPEND_AT_CALL)
		values[2] = Int64GetDatum(pending_last_offset(production->pending, partition));
	else
		nulls[2] = true;
	tuple = heap_form_tuple(desc, values, nulls);
	ReleaseTupleDesc(desc);
	return HeapTupleGetDatum(tuple);
}

/*
 * False if a producer that numbers its messages has produced these before.  A
 * call with conditions, but without a partition, has a key, which says it.
 */
static bool
is_new_to_partition(Production *production, int32 *partition, const RecordBytes *key,
					const Conditions *conditions, int n)
{
	if (likely(conditions->numbering.producer_id == NULL && !conditions->expects))
		return true;
	if (*partition == ANY_PARTITION)
		*partition = production_partition_for(production, *key);
	return n == 0 || conditions->numbering.producer_id == NULL ||
		numbering_admit(production->rel, *partition, &conditions->numbering, n);
}

/* All forms of topic.produce, and topic.produce_record. */
static Datum
produce_one(FunctionCallInfo fcinfo, const char *function, ValueBytes bytes_of,
			bool header_array)
{
	Production	production;
	Message		message = {0};
	Conditions	conditions;
	int32		partition;
	bool		is_new;
	Datum		result;

	begin_call(fcinfo, function, &production);
	partition = partition_argument(fcinfo, PRODUCE_PARTITION, &production);
	conditions = condition_arguments(fcinfo, PRODUCE_CONDITIONS,
									 partition != ANY_PARTITION || !PG_ARGISNULL(PRODUCE_KEY),
									 "Give a partition, or a key.");
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

	message.expects = conditions.expects;
	message.expected_offset = conditions.expected_offset;

	is_new = is_new_to_partition(&production, &partition, &message.key, &conditions, 1);
	if (is_new)
	{
		partition = production_add(&production, partition, &message);
		append_if_at_call(&production);
	}
	result = metadata_datum(fcinfo, &production, partition, is_new);
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
			 const ElementArray *headers, const Conditions *conditions,
			 MemoryContext scratch)
{
	MemoryContext old = MemoryContextSwitchTo(scratch);
	Message		message = {0};
	int			i;

	message.timestamp = production->now;
	message.expects = conditions->expects;
	for (i = 0; i < messages->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		message.value = element_bytes(bytes_of, messages, i);
		message.key = element_bytes(datum_bytes, keys, i);
		message.nheaders = 0;
		message.expected_offset = conditions->expected_offset + i;
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
	Conditions	conditions;
	int32		partition;
	bool		is_new;
	MemoryContext scratch;

	begin_call(fcinfo, function, &production);
	partition = partition_argument(fcinfo, partition_arg, &production);
	conditions = condition_arguments(fcinfo, partition_arg + 1, partition != ANY_PARTITION,
									 "Give a partition: all messages of the array go there.");
	messages = array_argument(fcinfo, 1, "messages", NULL);
	if (!messages.given)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"%s\" must not be null", "messages")));
	if (conditions.expects && conditions.expected_offset > PG_INT64_MAX - messages.n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expected_offset is out of range")));
	keys = array_argument(fcinfo, 2, "keys", &messages);
	headers = array_argument(fcinfo, headers_arg, "headers", &messages);

	is_new = is_new_to_partition(&production, &partition, NULL, &conditions, messages.n);
	if (is_new)
	{
		scratch = AllocSetContextCreate(CurrentMemoryContext, "pgtopic message",
										ALLOCSET_SMALL_SIZES);
		add_messages(&production, partition, bytes_of, &messages, &keys, &headers,
					 &conditions, scratch);
		MemoryContextDelete(scratch);
		append_if_at_call(&production);
	}
	topic_close(production.rel);
	PG_RETURN_INT64(is_new ? messages.n : 0);
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
