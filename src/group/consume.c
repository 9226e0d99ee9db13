/*-------------------------------------------------------------------------
 *
 * consume.c
 *	  topic.consume, consume_text and consume_json: the next messages of this
 *	  member's partitions; and topic.wait, which waits for them without a snapshot.
 *
 * Partitions take turns: a call drains one until a limit or its end, then goes
 * on to the next; the next call begins with the one after that.  So a call's
 * messages mostly come from one partition, and its commit writes one slot.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "executor/spi.h"
#include "errors.h"
#include "fmgr.h"
#include "group/reading.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(pgtopic_consume);
PG_FUNCTION_INFO_V1(pgtopic_consume_text);
PG_FUNCTION_INFO_V1(pgtopic_consume_json);
PG_FUNCTION_INFO_V1(pgtopic_group_wait);

/* What is done with a partition; true ends the look. */
typedef bool (*look_at_partition) (Reading *reading, SessionPartition *partition);

/* (group_id, max_messages, timeout, max_bytes) */
#define CONSUME_NARGS		4

static Datum consume_rows(FunctionCallInfo fcinfo, MessageFormat format);
static void *consume_open(const NullableDatum *args, MessageFormat format,
						  bool want_key, bool want_value);

static const MessageSource consume_source = {
	.name = "Topic Consume",
	.nargs = CONSUME_NARGS,
	.functions = {pgtopic_consume, pgtopic_consume_text, pgtopic_consume_json},
	.open = consume_open,
	.next = rows_next,
	.restart = rows_restart,
	.close = rows_close
};

void
consume_init(void)
{
	message_source_register(&consume_source);
}

Datum
pgtopic_consume(PG_FUNCTION_ARGS)
{
	return consume_rows(fcinfo, MESSAGE_BYTES);
}

Datum
pgtopic_consume_text(PG_FUNCTION_ARGS)
{
	return consume_rows(fcinfo, MESSAGE_TEXT);
}

Datum
pgtopic_consume_json(PG_FUNCTION_ARGS)
{
	return consume_rows(fcinfo, MESSAGE_JSON);
}

/* ---------- looking at what is assigned ---------- */

/*
 * Looks at the partitions in their turn until one ends the look.  Those that
 * are asked back give nothing any more; a topic that is gone is the
 * coordinator's business.
 */
static void
look_in_turn(Reading *reading, look_at_partition look)
{
	Membership *membership = reading->membership;
	int			first = membership->npartitions > 0 ?
		membership->turn % membership->npartitions : 0;
	bool		topic_gone = false;
	bool		done = false;

	for (int i = 0; i < membership->npartitions && !done; i++)
	{
		int			index = (first + i) % membership->npartitions;
		SessionPartition *partition = membership->partitions[index];
		OwnedPartition *owned = &partition->owned;

		CHECK_FOR_INTERRUPTS();
		if (partition->gone || owned->paused || owned->asked_back)
			continue;
		if (!reading_topic(reading, owned->relid, &owned->uuid))
		{
			topic_gone = true;
			continue;
		}
		done = look(reading, partition);
	}
	if (topic_gone)
		coordinator_wake(NULL);
}

/* The next call begins behind the last partition that has given something. */
static bool
deliver_in_turn(Reading *reading, SessionPartition *partition)
{
	Membership *membership = reading->membership;

	if (reading_deliver(reading, partition))
	{
		int			index = 0;

		while (membership->partitions[index] != partition)
			index++;
		membership->turn = index + 1;
	}
	return reading->full;
}

/* Brings the assignment up to date, and returns what one snapshot sees. */
static bool
consume_look(Reading *reading, Snapshot snapshot)
{
	MemoryContext old = MemoryContextSwitchTo(reading->context);

	membership_sync(reading->membership, true);
	reading_begin(reading, snapshot);
	look_in_turn(reading, deliver_in_turn);
	MemoryContextSwitchTo(old);
	reading_end(reading);
	return reading->found > 0;
}

/* ---------- waiting ---------- */

/* Registers for all partitions that may give something to this member. */
static void
begin_wait(Membership *membership, ConsumerWait *wait, TimestampTz deadline)
{
	NotifyKey  *keys = palloc(Max(membership->npartitions, 1) * sizeof(NotifyKey));
	int			nkeys = 0;

	for (int i = 0; i < membership->npartitions; i++)
	{
		const OwnedPartition *owned = &membership->partitions[i]->owned;

		if (membership->partitions[i]->gone || owned->paused || owned->asked_back)
			continue;
		keys[nkeys].topic = owned->relid;
		keys[nkeys].partition = owned->partition;
		nkeys++;
	}
	consumer_wait_begin_keys(wait, keys, nkeys,
							 TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline));
	pfree(keys);
}

/*
 * Each look has a snapshot of its own, and the partitions that are the
 * member's by then: the coordinator wakes us when that changes, and we wait for
 * others.
 */
static void
consume_waiting(Reading *reading, int64 timeout_ms)
{
	Membership *membership = reading->membership;
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	bool		time_left = true;
	bool		found = false;

	while (time_left && !found)
	{
		uint32		assignment = membership->assignment;
		ConsumerWait wait;

		begin_wait(membership, &wait, deadline);
		do
			found = consume_look(reading, GetTransactionSnapshot());
		while (!found && membership->assignment == assignment &&
			   (time_left = consumer_wait(&wait)));
		consumer_wait_end();
	}
}

/* ---------- a call ---------- */

/* What it has claimed it reads by topic.take(). */
static void
refuse_taker(const Membership *membership)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNKNOWN_MEMBER_ID),
			 errmsg("this session is not a member of group \"%s\"", membership->group_id),
			 errdetail("It takes from the group, until the transaction ends."),
			 errhint("Call topic.take() for more messages.")));
}

static void
consume(Reading *reading, const NullableDatum *args)
{
	static const char *const names[CONSUME_NARGS] = {
		"group_id", "max_messages", "timeout", "max_bytes"
	};
	int64		timeout_ms;

	session_check_enabled();
	reading_check_nulls(args, CONSUME_NARGS, names);
	PreventCommandDuringRecovery("topic.consume()");
	timeout_ms = consumer_timeout_ms(DatumGetIntervalP(args[2].value));
	reading_set_limits(reading, DatumGetInt32(args[1].value), DatumGetInt32(args[3].value));
	reading->membership = membership_get(TextDatumGetCString(args[0].value));
	if (reading->membership->taker)
		refuse_taker(reading->membership);
	(void) group_check(reading->membership->group_id, GROUP_READ, false);

	if (!consume_look(reading, GetActiveSnapshot()) && consumer_can_wait(timeout_ms))
		consume_waiting(reading, timeout_ms);
	reading_finish(reading);
}

static Datum
consume_rows(FunctionCallInfo fcinfo, MessageFormat format)
{
	Reading		reading;

	reading_init(&reading, format);
	reading_to_result(&reading, fcinfo);
	consume(&reading, fcinfo->args);
	return (Datum) 0;
}

/*
 * The scan consumes as the function does, all at once when its first row is
 * asked for: what a LIMIT does not ask for is consumed, too.
 */
static void *
consume_open(const NullableDatum *args, MessageFormat format,
			 bool want_key, bool want_value)
{
	Reading		reading;

	reading_init(&reading, format);
	reading_to_rows(&reading, want_key, want_value);
	consume(&reading, args);
	return reading.rows;
}

/* ---------- topic.wait ---------- */

static bool
find_news(Reading *reading, SessionPartition *partition)
{
	LaneRecord	record;

	if (reading_find(reading, partition, &record))
		reading->found = 1;
	return reading->found > 0;
}

/*
 * Whether there is news: another assignment, or a message for the member.  In
 * a transaction of its own, which also keeps the position that
 * auto_offset_reset has chosen now: what comes after it is the news.
 */
static bool
wait_look(Reading *reading, uint32 assignment)
{
	MemoryContext old = MemoryContextSwitchTo(reading->context);

	membership_sync(reading->membership, false);
	if (reading->membership->assignment == assignment)
	{
		reading_begin(reading, GetTransactionSnapshot());
		look_in_turn(reading, find_news);
		MemoryContextSwitchTo(old);
		reading_end(reading);
	}
	MemoryContextSwitchTo(old);
	return reading->found > 0 || reading->membership->assignment != assignment;
}

/* CALL topic.wait(group_id, timeout) */
Datum
pgtopic_group_wait(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"group_id", "timeout"};
	char	   *group_id;
	Reading		reading;
	ConsumerWait wait;
	int64		timeout_ms;
	uint32		assignment;

	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("topic.wait() cannot run inside a transaction block"),
				 errhint("CALL it by itself, or give topic.consume() a timeout.")));
	reading_check_nulls(fcinfo->args, lengthof(names), names);
	PreventCommandDuringRecovery("topic.wait()");
	timeout_ms = consumer_timeout_ms(PG_GETARG_INTERVAL_P(1));
	group_id = text_to_cstring(PG_GETARG_TEXT_PP(0));
	reading_init(&reading, MESSAGE_BYTES);
	reading.want_key = reading.want_value = false;
	reading.membership = membership_get(group_id);
	(void) group_check(group_id, GROUP_READ, false);
	assignment = reading.membership->assignment;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	begin_wait(reading.membership, &wait,
			   TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms));
	do
	{
		bool		news = wait_look(&reading, assignment);

		/* no snapshot, and no lock on a topic, while we sleep */
		SPI_commit();
		if (news)
			break;
	} while (consumer_wait(&wait));
	consumer_wait_end();
	SPI_finish();
	PG_RETURN_VOID();
}
