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
#include "stats/stats.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(pgtopic_fetch);
PG_FUNCTION_INFO_V1(pgtopic_fetch_text);
PG_FUNCTION_INFO_V1(pgtopic_fetch_json);

/* (topic, partition, from_offset, max_messages, timeout, max_bytes) */
#define FETCH_NARGS			6

typedef struct Fetch
{
	/* what is asked for */
	Relation	topic;
	int32		partition;
	RecordOffset from_offset;
	int32		max_messages;
	int64		timeout_ms;
	int32		max_bytes;
	bool		want_key;		/* true unless the caller says otherwise */
	bool		want_value;
	MessageWriter writer;

	/* how far it is */
	MemoryContext context;		/* of all that lives as long as the fetch */
	Snapshot	snapshot;		/* registered; what the rows are judged by */
	LaneReader *reader;			/* NULL: there is nothing */
	LaneRecord	record;
	bool		ahead;			/* record is the next one to be returned */
	bool		started;
	int32		found;
	int64		bytes;
	StatsCount	returned;		/* also by what is repeated */
} Fetch;

static Datum fetch_rows(FunctionCallInfo fcinfo, MessageFormat format);
static void fetch_open(Fetch *fetch, const NullableDatum *args, MessageFormat format);
static bool fetch_next(Fetch *fetch);
static void fetch_close(Fetch *fetch);
static void fetch_start(Fetch *fetch);
static bool fetch_look(Fetch *fetch, Snapshot snapshot);
static void fetch_forget(Fetch *fetch);
static void check_offset_in_log(const Fetch *fetch, const LaneInfo *bounds);

static void *open_source(const NullableDatum *args, MessageFormat format,
						 bool want_key, bool want_value);
static bool next_of_source(void *rows, Datum *values, bool *isnull);
static void restart_source(void *rows);
static void close_source(void *rows);

static const MessageSource fetch_source = {
	.name = "Topic Fetch",
	.nargs = FETCH_NARGS,
	.functions = {pgtopic_fetch, pgtopic_fetch_text, pgtopic_fetch_json},
	.open = open_source,
	.next = next_of_source,
	.restart = restart_source,
	.close = close_source
};

void
consumer_init(void)
{
	message_source_register(&fetch_source);
}

Datum
pgtopic_fetch(PG_FUNCTION_ARGS)
{
	return fetch_rows(fcinfo, MESSAGE_BYTES);
}

Datum
pgtopic_fetch_text(PG_FUNCTION_ARGS)
{
	return fetch_rows(fcinfo, MESSAGE_TEXT);
}

Datum
pgtopic_fetch_json(PG_FUNCTION_ARGS)
{
	return fetch_rows(fcinfo, MESSAGE_JSON);
}

static Datum
fetch_rows(FunctionCallInfo fcinfo, MessageFormat format)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Fetch		fetch;

	fetch_open(&fetch, fcinfo->args, format);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	while (fetch_next(&fetch))
	{
		Datum		values[MESSAGE_NATTS];
		bool		isnull[MESSAGE_NATTS];

		message_values(&fetch.writer, fetch.partition, &fetch.record,
					   values, isnull);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}

	fetch_close(&fetch);
	return (Datum) 0;
}

/*
 * Checks arguments and permission, and opens the topic.  The fetch lives in
 * the current memory context.
 */
static void
fetch_open(Fetch *fetch, const NullableDatum *args, MessageFormat format)
{
	static const char *const names[FETCH_NARGS] = {
		"topic", "partition", "from_offset", "max_messages", "timeout", "max_bytes"
	};

	for (int i = 0; i < FETCH_NARGS; i++)
	{
		if (args[i].isnull)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not be null", names[i])));
	}

	memset(fetch, 0, sizeof(Fetch));
	fetch->context = CurrentMemoryContext;
	fetch->partition = DatumGetInt32(args[1].value);
	fetch->from_offset = DatumGetInt64(args[2].value);
	fetch->max_messages = DatumGetInt32(args[3].value);
	fetch->timeout_ms = consumer_timeout_ms(DatumGetIntervalP(args[4].value));
	fetch->max_bytes = DatumGetInt32(args[5].value);
	fetch->want_key = true;
	fetch->want_value = true;

	if (fetch->max_messages < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_messages must be at least 1")));
	if (fetch->max_bytes < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_bytes must not be negative")));

	fetch->topic = topic_open(TextDatumGetCString(args[0].value), AccessShareLock);
	acl_check_fetch(fetch->topic);
	topic_check_partition(fetch->topic, fetch->partition);
	message_writer_init(&fetch->writer, fetch->topic, format);
}

/*
 * The next record into fetch->record.  The first call waits, if there is
 * nothing and the caller has time.  Errors: TP001, and the reader's.
 */
static bool
fetch_next(Fetch *fetch)
{
	if (!fetch->started)
		fetch_start(fetch);
	if (fetch->reader == NULL || fetch->found >= fetch->max_messages ||
		(!fetch->ahead && !lane_reader_next(fetch->reader, &fetch->record)))
		return false;

	fetch->ahead = false;
	fetch->bytes += fetch->record.size;
	if (fetch->found > 0 && fetch->bytes > fetch->max_bytes)
	{
		fetch->found = fetch->max_messages;
		return false;
	}
	fetch->found++;
	fetch->returned.messages++;
	fetch->returned.bytes += fetch->record.size;
	return true;
}

static void
fetch_close(Fetch *fetch)
{
	fetch_forget(fetch);
	if (fetch->returned.messages > 0)
	{
		fetch->returned.batches = 1;
		stats_add_out(RelationGetRelid(fetch->topic), &fetch->returned);
	}
	topic_close(fetch->topic);
}

/*
 * Looks with the statement's snapshot.  If there is nothing, and the caller has
 * time, waits for the commit that brings something; each look then has a
 * snapshot of its own.
 */
static void
fetch_start(Fetch *fetch)
{
	MemoryContext old = MemoryContextSwitchTo(fetch->context);

	fetch->started = true;
	if (!fetch_look(fetch, GetActiveSnapshot()) &&
		consumer_can_wait(fetch->timeout_ms))
	{
		ConsumerWait wait;

		consumer_wait_begin(&wait, RelationGetRelid(fetch->topic),
							fetch->partition, fetch->timeout_ms);
		while (!fetch_look(fetch, GetTransactionSnapshot()) &&
			   consumer_wait(&wait))
			;
		consumer_wait_end();
	}
	MemoryContextSwitchTo(old);
}

/* Reads the first record that there is now; false if there is none. */
static bool
fetch_look(Fetch *fetch, Snapshot snapshot)
{
	LaneInfo	bounds;

	fetch->snapshot = RegisterSnapshot(snapshot);
	fetch->reader = lane_reader_create(fetch->topic, fetch->snapshot, LANE_READ_FETCH);
	lane_reader_want(fetch->reader, fetch->want_key, fetch->want_value);
	(void) lane_reader_enter(fetch->reader, fetch->partition);
	lane_reader_bounds(fetch->reader, &bounds);

	/* the log end is looked for only when nothing was found */
	if (fetch->from_offset >= bounds.log_start)
	{
		lane_reader_seek(fetch->reader, fetch->from_offset);
		fetch->ahead = lane_reader_next(fetch->reader, &fetch->record);
		if (fetch->ahead)
			return true;
	}
	bounds.log_end = lane_reader_log_end(fetch->reader);
	check_offset_in_log(fetch, &bounds);

	fetch_forget(fetch);
	return false;
}

static void
fetch_forget(Fetch *fetch)
{
	if (fetch->reader != NULL)
	{
		lane_reader_free(fetch->reader);
		UnregisterSnapshot(fetch->snapshot);
	}
	fetch->reader = NULL;
	fetch->snapshot = NULL;
}

/*
 * Nothing was found at from_offset: TP001 below the log start and past the log
 * end; but a standby's end may only lag behind the primary's.
 */
static void
check_offset_in_log(const Fetch *fetch, const LaneInfo *bounds)
{
	bool		below = fetch->from_offset < bounds->log_start;

	if (!below &&
		(fetch->from_offset <= bounds->log_end || RecoveryInProgress()))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_OFFSET_OUT_OF_RANGE),
			 below ?
			 errmsg("offset %lld is below the log start of topic %s, partition %d",
					(long long) fetch->from_offset, fetch->writer.topic,
					fetch->partition) :
			 errmsg("offset %lld is past the log end of topic %s, partition %d",
					(long long) fetch->from_offset, fetch->writer.topic,
					fetch->partition),
			 errdetail("The log start offset is %lld, the log end offset is %lld.",
					   (long long) bounds->log_start, (long long) bounds->log_end),
			 below ?
			 errhint("Go on at the log start offset: the messages before it are gone.") :
			 errhint("Go on at the log end offset, and check where the offset comes from.")));
}

/* ---------- the same for the scan ---------- */

static void *
open_source(const NullableDatum *args, MessageFormat format,
			bool want_key, bool want_value)
{
	Fetch	   *fetch = palloc(sizeof(Fetch));

	fetch_open(fetch, args, format);
	fetch->want_key = want_key;
	fetch->want_value = want_value;
	return fetch;
}

static bool
next_of_source(void *rows, Datum *values, bool *isnull)
{
	Fetch	   *fetch = rows;

	if (!fetch_next(fetch))
		return false;
	message_values(&fetch->writer, fetch->partition, &fetch->record, values, isnull);
	return true;
}

/* With the same snapshot. */
static void
restart_source(void *rows)
{
	Fetch	   *fetch = rows;

	if (!fetch->started)
		return;

	fetch->found = 0;
	fetch->bytes = 0;
	if (fetch->reader != NULL)
		lane_reader_seek(fetch->reader, fetch->from_offset);
}

static void
close_source(void *rows)
{
	fetch_close(rows);
}
