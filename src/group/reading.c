/*-------------------------------------------------------------------------
 *
 * reading.c
 *	  Messages of a group's partitions, from where the member stands.
 *
 * What a call returns of a partition lies below the last stable offset of the
 * snapshot that looks, and nothing is returned of a partition whose committed
 * offset that snapshot does not see: so a message never appears before the
 * rows that its transaction wrote, nor before what the partition's last reader
 * did with the messages in front of it.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "acl/acl.h"
#include "errors.h"
#include "funcapi.h"
#include "group/reading.h"
#include "storage/lmgr.h"
#include "topic/topic.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* ---------- a call ---------- */

void
reading_check_nulls(const NullableDatum *args, int nargs, const char *const *names)
{
	for (int i = 0; i < nargs; i++)
	{
		if (args[i].isnull)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not be null", names[i])));
	}
}

void
reading_init(Reading *reading, MessageFormat format)
{
	memset(reading, 0, sizeof(Reading));
	reading->format = format;
	reading->want_key = true;
	reading->want_value = true;
	reading->context = AllocSetContextCreate(CurrentMemoryContext,
											 "pgtopic group reading",
											 ALLOCSET_DEFAULT_SIZES);
}

void
reading_to_result(Reading *reading, FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	reading->store = rsinfo->setResult;
	reading->desc = rsinfo->setDesc;
}

void
reading_to_rows(Reading *reading, bool want_key, bool want_value)
{
	reading->rows = rows_create(reading->format);
	reading->want_key = want_key;
	reading->want_value = want_value;
}

void
reading_set_limits(Reading *reading, int32 max_messages, int32 max_bytes)
{
	if (max_messages < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_messages must be at least 1")));
	if (max_bytes < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_bytes must not be negative")));
	reading->max_messages = max_messages;
	reading->max_bytes = max_bytes;
}

void
reading_finish(Reading *reading)
{
	MemoryContextDelete(reading->context);
}

/* ---------- a look ---------- */

static void
leave_topic(Reading *reading)
{
	if (reading->topic == NULL)
		return;
	if (reading->returned.messages > 0)
	{
		reading->returned.batches = 1;
		stats_add_out(RelationGetRelid(reading->topic), &reading->returned);
		memset(&reading->returned, 0, sizeof(StatsCount));
	}
	lane_reader_free(reading->reader);
	MemoryContextDelete(reading->writer.row_context);
	topic_close(reading->topic);
	reading->topic = NULL;
}

void
reading_begin(Reading *reading, Snapshot snapshot)
{
	reading->snapshot = RegisterSnapshot(snapshot);
}

void
reading_end(Reading *reading)
{
	leave_topic(reading);
	UnregisterSnapshot(reading->snapshot);
	reading->snapshot = NULL;
	MemoryContextReset(reading->context);
}

bool
reading_topic(Reading *reading, Oid relid, const pg_uuid_t *uuid)
{
	Relation	topic;
	MemoryContext old;

	if (reading->topic != NULL && RelationGetRelid(reading->topic) == relid)
		return true;
	leave_topic(reading);

	topic = try_relation_open(relid, AccessShareLock);
	if (topic == NULL)
		return false;
	if (!relation_is_topic(topic) ||
		memcmp(&topic_settings(topic)->uuid, uuid, sizeof(pg_uuid_t)) != 0)
	{
		relation_close(topic, AccessShareLock);
		return false;
	}
	acl_check_fetch(topic);

	old = MemoryContextSwitchTo(reading->context);
	message_writer_init(&reading->writer, topic, reading->format);
	reading->reader = lane_reader_create(topic, reading->snapshot, LANE_READ_FETCH);
	lane_reader_want(reading->reader, reading->want_key, reading->want_value);
	reading->topic = topic;
	MemoryContextSwitchTo(old);
	return true;
}

/* ---------- where to begin ---------- */

/* TP001: there is no position to go on from, and none may be chosen. */
static void
refuse_reset(Reading *reading, const SessionPartition *partition, const LaneInfo *bounds)
{
	const char *group_id = reading->membership->group_id;
	const char *topic = reading->writer.topic;

	if (partition->position == POSITION_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_OFFSET_OUT_OF_RANGE),
				 errmsg("group \"%s\" has no committed offset in topic %s, partition %d",
						group_id, topic, partition->owned.partition),
				 errdetail("The member has subscribed with auto_offset_reset => 'none'."),
				 errhint("Choose a position with topic.seek() or topic.seek_to().")));
	ereport(ERROR,
			(errcode(ERRCODE_OFFSET_OUT_OF_RANGE),
			 partition->position < bounds->log_start ?
			 errmsg("position %lld of group \"%s\" is below the log start of topic %s, partition %d",
					(long long) partition->position, group_id, topic,
					partition->owned.partition) :
			 errmsg("position %lld of group \"%s\" is past the log end of topic %s, partition %d",
					(long long) partition->position, group_id, topic,
					partition->owned.partition),
			 errdetail("The log start offset is %lld, the log end offset is %lld.",
					   (long long) bounds->log_start, (long long) bounds->log_end),
			 errhint("Choose a position with topic.seek() or topic.seek_to().")));
}

/* Messages were removed before the group has read them. */
static void
warn_of_lost(Reading *reading, SessionPartition *partition, const LaneInfo *bounds)
{
	int64		lost = bounds->log_start - partition->position;

	ereport(WARNING,
			(errcode(ERRCODE_OFFSET_OUT_OF_RANGE),
			 errmsg_plural("group \"%s\" has lost %lld message of topic %s, partition %d",
						   "group \"%s\" has lost %lld messages of topic %s, partition %d",
						   (unsigned long) lost,
						   reading->membership->group_id, (long long) lost,
						   reading->writer.topic, partition->owned.partition),
			 errdetail("They were removed before the group read them: its position was %lld, and the log start offset is %lld.",
					   (long long) partition->position, (long long) bounds->log_start),
			 errhint("Set a longer retention, protect the group with topic.protect(), or consume more often.")));
}

/* The log is shorter than it was: its end was lost with a server. */
static void
note_past_end(Reading *reading, SessionPartition *partition, const LaneInfo *bounds)
{
	ereport(WARNING,
			(errcode(ERRCODE_OFFSET_OUT_OF_RANGE),
			 errmsg("group \"%s\" goes back to the log end of topic %s, partition %d",
					reading->membership->group_id, reading->writer.topic,
					partition->owned.partition),
			 errdetail("Its position was %lld, and the log end offset is %lld.",
					   (long long) partition->position, (long long) bounds->log_end),
			 errhint("If a standby was promoted, it had not received the end of the log; offsets are given anew from there on.")));
}

/*
 * Where to read from: the position, or what auto_offset_reset says where there
 * is none or where what stood there is gone.  A log start that was not asked for is
 * no move: it may be another one at the next call.  The latest offset, once
 * chosen, stays: after a rollback it would be another one, behind messages that
 * were consumed and have to come again.
 */
static int64
starting_position(Reading *reading, SessionPartition *partition, LaneInfo *bounds)
{
	Membership *membership = reading->membership;
	bool		known = partition->position != POSITION_UNKNOWN;
	int64		position;

	if (known && partition->position >= bounds->log_start)
		return partition->position;

	if (membership->reset == RESET_NONE)
	{
		bounds->log_end = lane_reader_log_end(reading->reader);
		refuse_reset(reading, partition, bounds);
	}
	if (known)
		warn_of_lost(reading, partition, bounds);
	position = bounds->log_start;
	if (membership->reset == RESET_LATEST)
		position = log_stable_offset(reading->topic, partition->owned.partition,
									 reading->snapshot);

	/* but for a TRUNCATE of this transaction, what was trimmed does not come back */
	if (membership->reset == RESET_LATEST &&
		!(known && CheckRelationLockedByMe(reading->topic, AccessExclusiveLock, true)))
		session_begin_at(membership, partition, bounds->log_start, position);
	else if (known)
	{
		session_lose(membership, partition, bounds->log_start - partition->position);
		session_move(membership, partition, position);
	}
	return position;
}

/*
 * Nothing was found: the position may be past the end of the log, or in front
 * of records that nobody will see, which need not be stepped over twice.
 */
static void
settle_at_end(Reading *reading, SessionPartition *partition, int64 position,
			  LaneInfo *bounds)
{
	int64		reached = lane_reader_position(reading->reader);

	bounds->log_end = lane_reader_log_end(reading->reader);
	if (position > bounds->log_end)
	{
		if (reading->membership->reset == RESET_NONE)
			refuse_reset(reading, partition, bounds);
		note_past_end(reading, partition, bounds);
		session_move(reading->membership, partition, bounds->log_end);
	}
	else if (reached > position)
		session_move(reading->membership, partition, reached);
}

/*
 * Whether the snapshot sees the transaction that stored the offset.  What all
 * snapshots of this session see need not be asked again, and must not
 * once the number of transactions has gone round.
 */
static bool
committed_is_visible(Reading *reading, SessionPartition *partition)
{
	TransactionId xid = partition->committed_xid;

	if (!TransactionIdIsNormal(xid) || TransactionIdIsCurrentTransactionId(xid))
		return true;
	if (XidInMVCCSnapshot(xid, reading->snapshot))
		return false;
	if (TransactionIdPrecedes(xid, TransactionXmin))
		partition->committed_xid = FrozenTransactionId;
	return true;
}

bool
reading_find(Reading *reading, SessionPartition *partition, LaneRecord *record)
{
	LaneInfo	bounds;
	int64		position;

	if (!committed_is_visible(reading, partition))
		return false;

	(void) lane_reader_enter(reading->reader, partition->owned.partition);
	lane_reader_bounds(reading->reader, &bounds);
	position = starting_position(reading, partition, &bounds);
	lane_reader_seek(reading->reader, position);
	if (lane_reader_next(reading->reader, record))
		return true;

	settle_at_end(reading, partition, position, &bounds);
	return false;
}

/* ---------- messages ---------- */

static bool
has_room(Reading *reading, const LaneRecord *record)
{
	if (reading->found > 0 && reading->bytes + record->size > reading->max_bytes)
		reading->full = true;
	return !reading->full;
}

static void
put_row(Reading *reading, int32 partition, const LaneRecord *record)
{
	Datum		values[MESSAGE_NATTS];
	bool		isnull[MESSAGE_NATTS];

	message_values(&reading->writer, partition, record, values, isnull);
	if (reading->rows != NULL)
		rows_put(reading->rows, values, isnull);
	else
		tuplestore_putvalues(reading->store, reading->desc, values, isnull);

	reading->bytes += record->size;
	reading->returned.messages++;
	reading->returned.bytes += record->size;
	if (++reading->found >= reading->max_messages)
		reading->full = true;
}

bool
reading_deliver(Reading *reading, SessionPartition *partition)
{
	LaneRecord	record;
	int64		next;

	if (!reading_find(reading, partition, &record) || !has_room(reading, &record) ||
		!session_deliver(reading->membership, partition))
		return false;

	for (;;)
	{
		put_row(reading, partition->owned.partition, &record);
		next = record.offset + 1;
		if (reading->full)
			break;
		if (!lane_reader_next(reading->reader, &record))
		{
			/* past dead records, but not past an unfinished transaction */
			next = Max(next, lane_reader_position(reading->reader));
			break;
		}
		if (!has_room(reading, &record))
			break;
	}
	session_move(reading->membership, partition, next);
	return true;
}
