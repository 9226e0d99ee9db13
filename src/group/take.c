/*-------------------------------------------------------------------------
 *
 * take.c
 *	  topic.take: membership of a consumer group for one transaction, for those
 *	  who have no session of their own.
 *
 * A taker claims partitions that nobody holds, and its transaction's end gives
 * them back.  The committed offset is read after the claim: what the partition's
 * last holder has stored is committed by then, since it let go only after that.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "acl/acl.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "group/reading.h"
#include "miscadmin.h"
#include "topic/topic.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(pgtopic_take);

/* A topic to take from, with what was committed when we came. */
typedef struct TakeTopic
{
	SubscribedTopic topic;
	CommittedOffset *seen;		/* NULL: not read yet */
} TakeTopic;

/* (group_id, topics, max_messages, max_bytes) */
#define TAKE_NARGS			4

/*
 * Where this backend begins to look.  Backends begin in different places and
 * move on, so that takers do not all try the same partitions first.
 */
static uint32 turn = 0;

static void *take_open(const NullableDatum *args, MessageFormat format,
					   bool want_key, bool want_value);

static const MessageSource take_source = {
	.name = "Topic Take",
	.nargs = TAKE_NARGS,
	.functions = {pgtopic_take},
	.open = take_open,
	.next = rows_next,
	.restart = rows_restart,
	.close = rows_close
};

void
take_init(void)
{
	message_source_register(&take_source);
}

/* ---------- what to take from ---------- */

static void
describe_topic(const char *name, SubscribedTopic *result)
{
	Relation	topic = topic_open(name, AccessShareLock);

	acl_check_fetch(topic);
	result->relid = RelationGetRelid(topic);
	result->uuid = topic_settings(topic)->uuid;
	result->npartitions = topic_settings(topic)->partitions;
	topic_close(topic);
}

static TakeTopic *
named_topics(ArrayType *array, int *ntopics)
{
	TakeTopic  *topics;
	Datum	   *names;
	bool	   *isnull;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, &isnull, ntopics);
	if (*ntopics == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topics must not be empty"),
				 errhint("Name the topics to take from, as in ARRAY['orders'].")));

	topics = palloc0(*ntopics * sizeof(TakeTopic));
	for (int i = 0; i < *ntopics; i++)
	{
		if (isnull[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("topic name must not be null")));
		describe_topic(TextDatumGetCString(names[i]), &topics[i].topic);
	}
	return topics;
}

/* ---------- partitions that this transaction has already ---------- */

static bool
is_named(const SessionPartition *partition, const TakeTopic *topics, int ntopics)
{
	for (int i = 0; i < ntopics; i++)
		if (topics[i].topic.relid == partition->owned.relid)
			return true;
	return false;
}

static void
take_from_claimed(Reading *reading, const TakeTopic *topics, int ntopics)
{
	Membership *membership = reading->membership;

	for (int i = 0; i < membership->npartitions && !reading->full; i++)
	{
		SessionPartition *partition = membership->partitions[i];

		CHECK_FOR_INTERRUPTS();
		if (!partition->gone && is_named(partition, topics, ntopics) &&
			reading_topic(reading, partition->owned.relid, &partition->owned.uuid))
			(void) reading_deliver(reading, partition);
	}
}

/* ---------- new ones ---------- */

/*
 * Whether the committed offset is anywhere but at the log's end.  It may be
 * old, but offsets of a group with takers only grow.
 */
static bool
may_have_news(Reading *reading, TakeTopic *topic, int32 number)
{
	const CommittedOffset *seen;
	LaneInfo	info;

	if (topic->seen == NULL)
	{
		topic->seen = palloc(topic->topic.npartitions * sizeof(CommittedOffset));
		offsets_read(reading->membership->group_id, &topic->topic.uuid,
					 topic->topic.npartitions, topic->seen);
	}
	seen = &topic->seen[number];
	log_lane_info(reading->topic, number, &info);
	return info.log_end != (seen->state.found ? seen->state.value.log_offset : info.log_start);
}

/*
 * Claims a partition and returns its messages; gives it back at once if there
 * is none, or if a transaction that nobody here knows is storing its offset.
 */
static bool
take_partition(Reading *reading, const SubscribedTopic *topic, int32 number)
{
	Membership *membership = reading->membership;
	SessionPartition *partition;
	OwnedPartition owned;
	CommittedOffset committed;

	if (!taker_claim(&membership->member, topic, number, &owned))
		return false;

	offset_read(membership->group_id, &topic->uuid, number, &committed);
	partition = membership_claimed(membership, &owned, &committed);
	if (!TransactionIdIsValid(committed.state.busy) &&
		reading_deliver(reading, partition))
		return true;

	/* one that was moved keeps its new position for commit() */
	if (partition->touched == InvalidSubTransactionId)
	{
		membership_unclaimed(membership, partition);
		taker_unclaim(&membership->member, &owned);
	}
	return false;
}

static void
take_from_free(Reading *reading, TakeTopic *topics, int ntopics)
{
	uint32		npartitions = 0;
	uint32		first;

	for (int i = 0; i < ntopics; i++)
		npartitions += topics[i].topic.npartitions;
	first = turn % npartitions;

	for (uint32 i = 0; i < npartitions && !reading->full; i++)
	{
		uint32		number = (first + i) % npartitions;
		TakeTopic  *topic = topics;

		CHECK_FOR_INTERRUPTS();
		turn = first + i + 1;
		while (number >= topic->topic.npartitions)
			number -= (topic++)->topic.npartitions;

		if (membership_partition(reading->membership, topic->topic.relid, number, true) == NULL &&
			reading_topic(reading, topic->topic.relid, &topic->topic.uuid) &&
			may_have_news(reading, topic, number))
			(void) take_partition(reading, &topic->topic, number);
	}
}

/* ---------- a call ---------- */

static void
take(Reading *reading, const NullableDatum *args)
{
	static const char *const names[TAKE_NARGS] = {
		"group_id", "topics", "max_messages", "max_bytes"
	};
	char	   *group_id;
	TakeTopic  *topics;
	int			ntopics;
	MemoryContext old = MemoryContextSwitchTo(reading->context);

	reading_check_nulls(args, TAKE_NARGS, names);
	PreventCommandDuringRecovery("topic.take()");
	members_check_preloaded();
	reading_set_limits(reading, DatumGetInt32(args[2].value), DatumGetInt32(args[3].value));
	group_id = TextDatumGetCString(args[0].value);
	topics = named_topics(DatumGetArrayTypeP(args[1].value), &ntopics);
	reading->membership = membership_take(group_id, group_check(group_id, GROUP_READ, true));
	if (turn == 0)
		turn = MyProcPid;

	reading_begin(reading, GetActiveSnapshot());
	take_from_claimed(reading, topics, ntopics);
	take_from_free(reading, topics, ntopics);
	MemoryContextSwitchTo(old);
	reading_end(reading);
	reading_finish(reading);
}

Datum
pgtopic_take(PG_FUNCTION_ARGS)
{
	Reading		reading;

	reading_init(&reading, MESSAGE_BYTES);
	reading_to_result(&reading, fcinfo);
	take(&reading, fcinfo->args);
	return (Datum) 0;
}

static void *
take_open(const NullableDatum *args, MessageFormat format,
		  bool want_key, bool want_value)
{
	Reading		reading;

	reading_init(&reading, format);
	reading_to_rows(&reading, want_key, want_value);
	take(&reading, args);
	return reading.rows;
}
