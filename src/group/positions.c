/*-------------------------------------------------------------------------
 *
 * positions.c
 *	  topic.commit, seek, seek_to, pause and resume: where a member stands, and
 *	  what its group has stored.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "acl/acl.h"
#include "errors.h"
#include "fmgr.h"
#include "funcapi.h"
#include "group/reading.h"
#include "miscadmin.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(pgtopic_commit);
PG_FUNCTION_INFO_V1(pgtopic_commit_offset);
PG_FUNCTION_INFO_V1(pgtopic_seek);
PG_FUNCTION_INFO_V1(pgtopic_seek_to);
PG_FUNCTION_INFO_V1(pgtopic_pause);
PG_FUNCTION_INFO_V1(pgtopic_resume);

/* Columns of topic.committed. */
typedef enum CommittedColumn
{
	COMMITTED_COL_TOPIC = 1,
	COMMITTED_COL_PARTITION,
	COMMITTED_COL_LOG_OFFSET
} CommittedColumn;

#define COMMITTED_NATTS		3

/* The membership, for whom may still use it, as it is now. */
static Membership *
open_membership(const char *group_id)
{
	Membership *membership = membership_get(group_id);

	(void) group_check(group_id, GROUP_READ, false);
	membership_sync(membership, false);
	return membership;
}

/* ---------- commit ---------- */

/* The name of a topic, which stays locked against DROP; NULL if it is gone. */
static char *
lock_topic(Oid relid)
{
	Relation	topic = try_relation_open(relid, AccessShareLock);
	char	   *name;

	if (topic == NULL)
		return NULL;
	name = topic_name(topic);
	topic_close(topic);
	return name;
}

static bool
has_moved(const SessionPartition *partition)
{
	return partition->position != POSITION_UNKNOWN &&
		partition->position != session_committed(partition);
}

/*
 * Messages went out, and the position is back where the committed offset is:
 * storing that again is what says that they are done with.
 */
static bool
is_back(const SessionPartition *partition)
{
	return partition->position != POSITION_UNKNOWN && !has_moved(partition) &&
		partition->owned.in_flight_since != 0 && partition->note == NO_NOTE;
}

/* TP003 if this transaction has got messages of what is not the member's any more. */
static void
check_nothing_gone(Membership *membership)
{
	for (SessionPartition *partition = membership->gone; partition != NULL;
		 partition = partition->next_gone)
	{
		if (partition->touched != InvalidSubTransactionId &&
			partition->owned.in_flight_since != 0 && has_moved(partition))
			session_note_commit(membership, partition, partition->position, false, NULL);
	}
}

/* topic.commit(group_id): the partitions of a topic stand side by side. */
Datum
pgtopic_commit(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"group_id"};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Membership *membership;
	Oid			relid = InvalidOid;
	char	   *topic = NULL;

	reading_check_nulls(fcinfo->args, lengthof(names), names);
	log_check_writable("topic.commit()");
	membership = open_membership(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	session_check_left(membership->group_id);
	check_nothing_gone(membership);

	for (int i = 0; i < membership->npartitions; i++)
	{
		SessionPartition *partition = membership->partitions[i];
		bool		moved = has_moved(partition);
		Datum		values[COMMITTED_NATTS];
		bool		isnull[COMMITTED_NATTS] = {0};

		CHECK_FOR_INTERRUPTS();
		if (!moved && !is_back(partition))
			continue;
		if (partition->owned.relid != relid)
		{
			relid = partition->owned.relid;
			topic = lock_topic(relid);
		}
		if (topic == NULL)
			continue;

		session_note_commit(membership, partition, partition->position, false, NULL);
		if (!moved)
			continue;
		values[COMMITTED_COL_TOPIC - 1] = CStringGetTextDatum(topic);
		values[COMMITTED_COL_PARTITION - 1] = Int32GetDatum(partition->owned.partition);
		values[COMMITTED_COL_LOG_OFFSET - 1] = Int64GetDatum(partition->position);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	return (Datum) 0;
}

/* 22023 unless one may store this offset of a partition. */
static void
check_next_offset(Relation topic, int32 partition, int64 next_offset)
{
	LaneInfo	info;

	log_lane_info(topic, partition, &info);
	if (next_offset >= 0 && next_offset <= info.log_end)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 next_offset < 0 ?
			 errmsg("next_offset must not be negative") :
			 errmsg("offset %lld is past the log end of topic %s, partition %d",
					(long long) next_offset, topic_name(topic), partition),
			 errdetail("The log start offset is %lld, the log end offset is %lld.",
					   (long long) info.log_start, (long long) info.log_end),
			 errhint("Give the offset of the next message to read: that of the last one processed + 1.")));
}

/* A group without members: what was lost stays counted. */
static void
commit_without_members(const char *group_id, Relation topic, int32 partition,
					   int64 next_offset, const char *metadata)
{
	OffsetNote	offset = {
		.group_id = group_id,
		.relid = RelationGetRelid(topic),
		.topic = topic_settings(topic)->uuid,
		.partition = partition,
		.value = {.log_offset = next_offset},
		.set_metadata = true,
		.metadata = metadata
	};
	CommittedOffset present;

	(void) group_check(group_id, GROUP_READ, true);
	offset_read(group_id, &offset.topic, partition, &present);
	if (present.state.found)
		offset.value.lost = present.state.value.lost;
	note_offset_of_empty_group(&offset, true);
}

/* topic.commit(group_id, topic, partition, next_offset, metadata) */
Datum
pgtopic_commit_offset(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"group_id", "topic", "partition", "next_offset"};
	char	   *group_id;
	int32		partition;
	int64		next_offset;
	char	   *metadata = NULL;
	Relation	topic;

	reading_check_nulls(fcinfo->args, lengthof(names), names);
	log_check_writable("topic.commit()");

	group_id = text_to_cstring(PG_GETARG_TEXT_PP(0));
	partition = PG_GETARG_INT32(2);
	next_offset = PG_GETARG_INT64(3);
	if (!PG_ARGISNULL(4))
		metadata = text_to_cstring(PG_GETARG_TEXT_PP(4));
	offset_check_metadata(metadata);
	topic = topic_open(text_to_cstring(PG_GETARG_TEXT_PP(1)), AccessShareLock);
	acl_check_fetch(topic);
	topic_check_partition(topic, partition);
	check_next_offset(topic, partition, next_offset);

	session_check_left(group_id);
	if (membership_find(group_id) != NULL)
	{
		Membership *membership = open_membership(group_id);

		session_note_commit(membership,
							membership_partition(membership, RelationGetRelid(topic),
												 partition, false),
							next_offset, true, metadata);
	}
	else
		commit_without_members(group_id, topic, partition, next_offset, metadata);
	topic_close(topic);
	PG_RETURN_VOID();
}

/* ---------- seek ---------- */

/* TP001 as in topic.fetch(): a position outside the log is a mistake. */
static void
check_in_log(Relation topic, int32 partition, int64 to_offset)
{
	LaneInfo	info;
	bool		below;

	log_lane_info(topic, partition, &info);
	below = to_offset < info.log_start;
	if (!below && to_offset <= info.log_end)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_OFFSET_OUT_OF_RANGE),
			 below ?
			 errmsg("offset %lld is below the log start of topic %s, partition %d",
					(long long) to_offset, topic_name(topic), partition) :
			 errmsg("offset %lld is past the log end of topic %s, partition %d",
					(long long) to_offset, topic_name(topic), partition),
			 errdetail("The log start offset is %lld, the log end offset is %lld.",
					   (long long) info.log_start, (long long) info.log_end),
			 errhint("topic.seek_to() goes to the earliest or the latest offset.")));
}

/* topic.seek(group_id, topic, partition, to_offset) */
Datum
pgtopic_seek(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"group_id", "topic", "partition", "to_offset"};
	Membership *membership;
	SessionPartition *partition;
	Relation	topic;

	reading_check_nulls(fcinfo->args, lengthof(names), names);
	PreventCommandDuringRecovery("topic.seek()");
	membership = open_membership(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	topic = topic_open(text_to_cstring(PG_GETARG_TEXT_PP(1)), AccessShareLock);
	acl_check_fetch(topic);
	topic_check_partition(topic, PG_GETARG_INT32(2));
	partition = membership_partition(membership, RelationGetRelid(topic),
									 PG_GETARG_INT32(2), false);
	check_in_log(topic, PG_GETARG_INT32(2), PG_GETARG_INT64(3));
	session_move(membership, partition, PG_GETARG_INT64(3));
	topic_close(topic);
	PG_RETURN_VOID();
}

typedef enum SeekKind
{
	SEEK_EARLIEST,
	SEEK_LATEST,
	SEEK_COMMITTED,
	SEEK_TIME
} SeekKind;

typedef struct SeekTarget
{
	SeekKind	kind;
	int64		ms;				/* SEEK_TIME */
} SeekTarget;

/* A timestamp in words; 22023 with our own hint where it is none. */
static TimestampTz
parse_time(const char *string)
{
	MemoryContext context = CurrentMemoryContext;
	volatile TimestampTz result = 0;

	PG_TRY();
	{
		result = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
														 CStringGetDatum(string),
														 ObjectIdGetDatum(InvalidOid),
														 Int32GetDatum(-1)));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();

		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid target \"%s\"", string),
				 errhint("A target is earliest, latest, committed, or a timestamp.")));
	}
	PG_END_TRY();
	return result;
}

/* The first whole millisecond at or after a time, as the log keeps times. */
static void
set_time(SeekTarget *target, TimestampTz time)
{
	target->kind = SEEK_TIME;
	if (TIMESTAMP_IS_NOBEGIN(time))
		target->kind = SEEK_EARLIEST;
	else if (TIMESTAMP_IS_NOEND(time))
		target->kind = SEEK_LATEST;
	else
	{
		target->ms = log_timestamp_from_tz(time);
		if (log_timestamp_to_tz(target->ms) < time)
			target->ms++;
	}
}

static void
parse_target(const char *string, SeekTarget *target)
{
	if (pg_strcasecmp(string, "earliest") == 0)
		target->kind = SEEK_EARLIEST;
	else if (pg_strcasecmp(string, "latest") == 0)
		target->kind = SEEK_LATEST;
	else if (pg_strcasecmp(string, "committed") == 0)
		target->kind = SEEK_COMMITTED;
	else
		set_time(target, parse_time(string));
}

/* Where a target is.  What is as late as nothing yet is the end. */
static int64
target_offset(Reading *reading, const SessionPartition *partition, const SeekTarget *target)
{
	LaneOffsets offsets;

	log_offsets(reading->topic, partition->owned.partition, reading->snapshot,
				target->kind == SEEK_TIME ? &target->ms : NULL, &offsets);
	switch (target->kind)
	{
		case SEEK_EARLIEST:
			return offsets.log_start;
		case SEEK_COMMITTED:
			return session_committed(partition);
		case SEEK_TIME:
			if (offsets.at >= 0)
				return offsets.at;
			break;
		case SEEK_LATEST:
			break;
	}
	return offsets.stable;
}

/* What topic and partition of seek_to() name, if anything. */
static Oid
named_topic(FunctionCallInfo fcinfo)
{
	Relation	topic;
	Oid			relid;

	if (PG_ARGISNULL(2))
		return InvalidOid;
	topic = topic_open(text_to_cstring(PG_GETARG_TEXT_PP(2)), AccessShareLock);
	acl_check_fetch(topic);
	if (!PG_ARGISNULL(3))
		topic_check_partition(topic, PG_GETARG_INT32(3));
	relid = RelationGetRelid(topic);
	topic_close(topic);
	return relid;
}

/* topic.seek_to(group_id, target, topic, partition) */
Datum
pgtopic_seek_to(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"group_id", "target"};
	Membership *membership;
	SeekTarget	target;
	Reading		reading;
	Oid			relid;

	reading_check_nulls(fcinfo->args, lengthof(names), names);
	PreventCommandDuringRecovery("topic.seek_to()");
	membership = open_membership(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	parse_target(text_to_cstring(PG_GETARG_TEXT_PP(1)), &target);
	relid = named_topic(fcinfo);
	if (OidIsValid(relid) && !PG_ARGISNULL(3))
		(void) membership_partition(membership, relid, PG_GETARG_INT32(3), false);

	reading_init(&reading, MESSAGE_BYTES);
	reading_begin(&reading, GetActiveSnapshot());
	for (int i = 0; i < membership->npartitions; i++)
	{
		SessionPartition *partition = membership->partitions[i];
		const OwnedPartition *owned = &partition->owned;

		CHECK_FOR_INTERRUPTS();
		if (partition->gone ||
			(OidIsValid(relid) && owned->relid != relid) ||
			(!PG_ARGISNULL(3) && owned->partition != PG_GETARG_INT32(3)) ||
			!reading_topic(&reading, owned->relid, &owned->uuid))
			continue;
		session_move(membership, partition, target_offset(&reading, partition, &target));
	}
	reading_end(&reading);
	reading_finish(&reading);
	PG_RETURN_VOID();
}

/* ---------- pause and resume ---------- */

/* Pausing is not undone by ROLLBACK, and ends with the assignment. */
static void
set_paused(FunctionCallInfo fcinfo, bool paused, const char *function)
{
	static const char *const names[] = {"group_id", "topic", "partition"};
	Membership *membership;
	SessionPartition *partition;
	Relation	topic;

	reading_check_nulls(fcinfo->args, lengthof(names), names);
	PreventCommandDuringRecovery(function);
	membership = open_membership(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	topic = topic_open(text_to_cstring(PG_GETARG_TEXT_PP(1)), AccessShareLock);
	topic_check_partition(topic, PG_GETARG_INT32(2));
	partition = membership_partition(membership, RelationGetRelid(topic),
									 PG_GETARG_INT32(2), false);
	member_set_paused(&membership->member, &partition->owned, paused);
	partition->owned.paused = paused;
	topic_close(topic);
}

Datum
pgtopic_pause(PG_FUNCTION_ARGS)
{
	set_paused(fcinfo, true, "topic.pause()");
	PG_RETURN_VOID();
}

Datum
pgtopic_resume(PG_FUNCTION_ARGS)
{
	set_paused(fcinfo, false, "topic.resume()");
	PG_RETURN_VOID();
}
