/*-------------------------------------------------------------------------
 *
 * tail.c
 *	  topic.tail: the newest messages of all partitions.
 *
 * "Newest" is by timestamp among the last n of each partition: timestamps that
 * producers set need not ascend, and searching a whole log for a late one is
 * nothing that a look at its end should do.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "acl/acl.h"
#include "consumer/consumer.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "notify/notify.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(pgtopic_tail);

/* Where a message is, without its bytes. */
typedef struct TailEntry
{
	int64		timestamp;
	RecordOffset offset;
	int32		partition;
} TailEntry;

typedef struct TailList
{
	TailEntry  *entries;
	int64		count;
	int64		capacity;
} TailList;

static int32 tail_once(Relation topic, int32 n, MessageWriter *writer,
					   ReturnSetInfo *rsinfo, Snapshot snapshot);
static void collect_partition(LaneReader *reader, int32 partition, int32 n,
							  RecordOffset stable, TailList *list);
static void keep_newest(TailList *list, int32 n);

Datum
pgtopic_tail(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"topic", "n", "timeout"};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MessageWriter writer;
	Relation	topic;
	int32		n;
	int64		timeout_ms;

	for (int i = 0; i < lengthof(names); i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not be null", names[i])));
	}

	n = PG_GETARG_INT32(1);
	if (n < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("n must be at least 1")));
	timeout_ms = consumer_timeout_ms(PG_GETARG_INTERVAL_P(2));

	topic = topic_open(text_to_cstring(PG_GETARG_TEXT_PP(0)), AccessShareLock);
	acl_check_fetch(topic);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	message_writer_init(&writer, topic, MESSAGE_BYTES);

	/* As in fetch: a timeout waits for the first message, not for n of them. */
	if (tail_once(topic, n, &writer, rsinfo, GetActiveSnapshot()) == 0 &&
		consumer_can_wait(timeout_ms))
	{
		ConsumerWait wait;
		int32		found;

		consumer_wait_begin(&wait, RelationGetRelid(topic),
							NOTIFY_ANY_PARTITION, timeout_ms);
		do
		{
			AcceptInvalidationMessages();	/* there may be more partitions */
			PushActiveSnapshot(GetTransactionSnapshot());
			found = tail_once(topic, n, &writer, rsinfo, GetActiveSnapshot());
			PopActiveSnapshot();
		} while (found == 0 && consumer_wait(&wait));
		consumer_wait_end();
	}

	topic_close(topic);
	return (Datum) 0;
}

/*
 * Puts the last n messages into the result.  First it finds out where they
 * are, then it reads those that are wanted, so that memory holds no payload.
 */
static int32
tail_once(Relation topic, int32 n, MessageWriter *writer,
		  ReturnSetInfo *rsinfo, Snapshot snapshot)
{
	LaneReader *reader = lane_reader_create(topic, snapshot, LANE_READ_FETCH);
	int32		partitions = topic_settings(topic)->partitions;
	TailList	list = {NULL, 0, 0};
	int32		entered = -1;
	int32		found = 0;

	lane_reader_want(reader, false, false);
	for (int32 partition = 0; partition < partitions; partition++)
	{
		CHECK_FOR_INTERRUPTS();
		if (lane_reader_enter(reader, partition))
			collect_partition(reader, partition, n,
							  log_stable_offset(topic, partition, snapshot), &list);
	}
	keep_newest(&list, n);

	lane_reader_want(reader, true, true);
	for (int64 i = 0; i < list.count; i++)
	{
		const TailEntry *entry = &list.entries[i];
		LaneRecord	record;
		Datum		values[MESSAGE_NATTS];
		bool		isnull[MESSAGE_NATTS];

		CHECK_FOR_INTERRUPTS();
		if (entered != entry->partition)
		{
			if (!lane_reader_enter(reader, entry->partition))
				continue;
			entered = entry->partition;
			lane_reader_seek(reader, entry->offset);
		}
		else if (lane_reader_position(reader) != entry->offset)
			lane_reader_seek(reader, entry->offset);

		/* Another offset: it was trimmed since we looked. */
		if (!lane_reader_next(reader, &record) || record.offset != entry->offset)
			continue;

		message_values(writer, entry->partition, &record, values, isnull);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
		found++;
	}

	lane_reader_free(reader);
	if (list.entries)
		pfree(list.entries);
	return found;
}

/*
 * Adds the last n visible messages below "stable".  Offsets may have gaps, so
 * the first guess, n offsets back, may be too short; then we go further back.
 */
static void
collect_partition(LaneReader *reader, int32 partition, int32 n,
				  RecordOffset stable, TailList *list)
{
	int64		before = list->count;
	int64		width = n;
	LaneInfo	bounds;
	RecordOffset from;
	LaneRecord	record;

	lane_reader_bounds(reader, &bounds);
	do
	{
		from = Max(bounds.log_start, stable - width);
		list->count = before;
		lane_reader_seek(reader, from);
		while (lane_reader_next(reader, &record) && record.offset < stable)
		{
			if (list->count == list->capacity)
			{
				list->capacity = Max(64, list->capacity * 2);
				list->entries = list->entries ?
					repalloc_huge(list->entries, list->capacity * sizeof(TailEntry)) :
					palloc(list->capacity * sizeof(TailEntry));
			}
			list->entries[list->count++] = (TailEntry)
			{
				.timestamp = record.timestamp,
				.offset = record.offset,
				.partition = partition
			};
		}
		width *= 8;
	} while (list->count - before < n && from > bounds.log_start);

	/* Of one partition only the last n can be among the last n of all. */
	if (list->count - before > n)
	{
		memmove(&list->entries[before], &list->entries[list->count - n],
				n * sizeof(TailEntry));
		list->count = before + n;
	}
}

/* Oldest first; ties in a fixed order. */
static int
compare_entries(const void *a, const void *b)
{
	const TailEntry *left = (const TailEntry *) a;
	const TailEntry *right = (const TailEntry *) b;

	if (left->timestamp != right->timestamp)
		return left->timestamp < right->timestamp ? -1 : 1;
	if (left->partition != right->partition)
		return left->partition < right->partition ? -1 : 1;
	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	return 0;
}

/* Sorts the list and leaves the n newest. */
static void
keep_newest(TailList *list, int32 n)
{
	if (list->count > 1)
		qsort(list->entries, list->count, sizeof(TailEntry), compare_entries);
	if (list->count > n)
	{
		memmove(list->entries, &list->entries[list->count - n],
				n * sizeof(TailEntry));
		list->count = n;
	}
}
