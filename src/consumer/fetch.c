/*-------------------------------------------------------------------------
 *
 * fetch.c
 *	  topic.fetch, fetch_text and fetch_json: messages of one partition from an
 *	  offset on, without a group and without any state.
 *
 * What is returned lies below the last stable offset of the snapshot that looks:
 * the statement's own, or after a wait a newer one.  So a message never
 * appears before one that may still commit in front of it, and, without a
 * wait, never before the rows that its transaction wrote.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "acl/acl.h"
#include "consumer/consumer.h"
#include "errors.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(pgtopic_fetch);
PG_FUNCTION_INFO_V1(pgtopic_fetch_text);
PG_FUNCTION_INFO_V1(pgtopic_fetch_json);

/* The arguments of a fetch, checked, and where its rows go. */
typedef struct FetchRequest
{
	Relation	topic;
	int32		partition;
	RecordOffset from_offset;
	int32		max_messages;
	int64		timeout_ms;
	int32		max_bytes;
	MessageWriter writer;
	ReturnSetInfo *rsinfo;
} FetchRequest;

static Datum fetch(FunctionCallInfo fcinfo, MessageFormat format);
static void fetch_arguments(FunctionCallInfo fcinfo, FetchRequest *request);
static void fetch_or_wait(FetchRequest *request);
static int32 fetch_once(FetchRequest *request, Snapshot snapshot);
static bool offset_in_log(const FetchRequest *request, const LaneInfo *bounds);

/* The room needs nothing at server start. */
void
consumer_init(void)
{
}

Datum
pgtopic_fetch(PG_FUNCTION_ARGS)
{
	return fetch(fcinfo, MESSAGE_BYTES);
}

Datum
pgtopic_fetch_text(PG_FUNCTION_ARGS)
{
	return fetch(fcinfo, MESSAGE_TEXT);
}

Datum
pgtopic_fetch_json(PG_FUNCTION_ARGS)
{
	return fetch(fcinfo, MESSAGE_JSON);
}

static Datum
fetch(FunctionCallInfo fcinfo, MessageFormat format)
{
	FetchRequest request;

	fetch_arguments(fcinfo, &request);
	acl_check_fetch(request.topic);
	topic_check_partition(request.topic, request.partition);

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	request.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	message_writer_init(&request.writer, request.topic, format);

	fetch_or_wait(&request);

	topic_close(request.topic);
	return (Datum) 0;
}

/* Takes the arguments (see contract: topic.fetch) and opens the topic. */
static void
fetch_arguments(FunctionCallInfo fcinfo, FetchRequest *request)
{
	static const char *const names[] = {
		"topic", "partition", "from_offset", "max_messages", "timeout", "max_bytes"
	};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not be null", names[i])));
	}

	request->partition = PG_GETARG_INT32(1);
	request->from_offset = PG_GETARG_INT64(2);
	request->max_messages = PG_GETARG_INT32(3);
	request->timeout_ms = consumer_timeout_ms(PG_GETARG_INTERVAL_P(4));
	request->max_bytes = PG_GETARG_INT32(5);

	if (request->max_messages < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_messages must be at least 1")));
	if (request->max_bytes < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_bytes must not be negative")));

	request->topic = topic_open(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								AccessShareLock);
}

/*
 * Looks with the statement's snapshot.  If there is nothing, and the caller has
 * time, waits for the commit that brings something; each look then has a
 * snapshot of its own.
 */
static void
fetch_or_wait(FetchRequest *request)
{
	ConsumerWait wait;
	int32		found;

	if (fetch_once(request, GetActiveSnapshot()) > 0 ||
		!consumer_can_wait(request->timeout_ms))
		return;

	consumer_wait_begin(&wait, RelationGetRelid(request->topic),
						request->partition, request->timeout_ms);
	do
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		found = fetch_once(request, GetActiveSnapshot());
		PopActiveSnapshot();
	} while (found == 0 && consumer_wait(&wait));
	consumer_wait_end();
}

/* Puts what there is now into the result, and returns how many rows. */
static int32
fetch_once(FetchRequest *request, Snapshot snapshot)
{
	LaneReader *reader = lane_reader_create(request->topic, snapshot, LANE_READ_FETCH);
	LaneInfo	bounds;
	LaneRecord	record;
	int64		bytes = 0;
	int32		found = 0;

	(void) lane_reader_enter(reader, request->partition);
	lane_reader_bounds(reader, &bounds);

	if (offset_in_log(request, &bounds))
	{
		lane_reader_seek(reader, request->from_offset);
		while (found < request->max_messages && lane_reader_next(reader, &record))
		{
			Datum		values[MESSAGE_NATTS];
			bool		isnull[MESSAGE_NATTS];

			bytes += record.size;
			if (found > 0 && bytes > request->max_bytes)
				break;

			message_values(&request->writer, request->partition, &record,
						   values, isnull);
			tuplestore_putvalues(request->rsinfo->setResult,
								 request->rsinfo->setDesc, values, isnull);
			found++;
		}
	}

	lane_reader_free(reader);
	return found;
}

/*
 * Whether there can be anything at from_offset.  TP001 below the log start and
 * past the log end; but a standby's end may only lag behind the primary's.
 */
static bool
offset_in_log(const FetchRequest *request, const LaneInfo *bounds)
{
	bool		below = request->from_offset < bounds->log_start;

	if (request->from_offset < bounds->log_end && !below)
		return true;
	if (!below &&
		(request->from_offset == bounds->log_end || RecoveryInProgress()))
		return false;

	ereport(ERROR,
			(errcode(ERRCODE_OFFSET_OUT_OF_RANGE),
			 below ?
			 errmsg("offset %lld is below the log start of topic %s, partition %d",
					(long long) request->from_offset, request->writer.topic,
					request->partition) :
			 errmsg("offset %lld is past the log end of topic %s, partition %d",
					(long long) request->from_offset, request->writer.topic,
					request->partition),
			 errdetail("The log start offset is %lld, the log end offset is %lld.",
					   (long long) bounds->log_start, (long long) bounds->log_end),
			 below ?
			 errhint("Go on at the log start offset: the messages before it are gone.") :
			 errhint("Go on at the log end offset, and check where the offset comes from.")));
	return false;				/* not reached */
}
