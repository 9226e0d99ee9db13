/*-------------------------------------------------------------------------
 *
 * idle.c
 *	  Members that do not call consume although messages wait for them.
 *
 * For the coordinator.  It asks a few times per max_poll_interval, and only of
 * members that have not called consume since the last time; it never waits for
 * a topic's lock.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "group/catalog.h"
#include "group/coordinator.h"
#include "group/group_copy.h"
#include "log/log.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "topic/topic.h"
#include "utils/snapmgr.h"

/* A partition of a member that is to be looked at. */
typedef struct IdlePartition
{
	int32		member;
	Oid			relid;
	pg_uuid_t	uuid;
	int32		partition;
	int64		position;		/* -1: not known */
	bool		from_latest;	/* then no message waits if none is committed */
} IdlePartition;

typedef struct IdleMember
{
	int32		index;
	uint64		incarnation;
	bool		waiting;		/* messages are */
} IdleMember;

typedef struct IdleCheck
{
	ConsumerGroup *group;
	int			nmembers;
	int			npartitions;
	int			members_room;
	int			partitions_room;
	IdleMember *members;
	IdlePartition *partitions;	/* by member */
} IdleCheck;

/* ---------- whom to look at ---------- */

static bool
is_quiet(const GroupMember *member, int64 now)
{
	if (member->incarnation == 0 || member->taker || member->left || member->away_since != 0)
		return false;
	return member->idle_since != 0 ||
		now - member->last_consume >= idle_check_interval(member->max_poll_interval);
}

static void
note_partition(IdleCheck *check, int member, int topic, int number)
{
	const GroupTopic *entry = topic_at(check->group, topic);
	const GroupPartition *partition = partition_at(check->group, topic, number);

	if (check->npartitions < check->partitions_room)
	{
		IdlePartition *note = &check->partitions[check->npartitions];

		note->member = member;
		note->relid = entry->relid;
		note->uuid = entry->uuid;
		note->partition = number;
		note->position = partition->position;
		note->from_latest = member_at(check->group, partition->owner)->from_latest;
	}
	check->npartitions++;
}

static void
note_partitions(IdleCheck *check, int member, int index)
{
	ConsumerGroup *group = check->group;

	for (int i = 0; i < group->topics_capacity; i++)
	{
		const GroupTopic *topic = topic_at(group, i);

		if (!OidIsValid(topic->relid) || topic->dropped)
			continue;
		for (int j = 0; j < topic->npartitions; j++)
		{
			const GroupPartition *partition = partition_at(group, i, j);

			if (partition->owner == index && !partition->paused)
				note_partition(check, member, i, j);
		}
	}
}

/* As many as there is room for; counts them all. */
static void
note_quiet_members(IdleCheck *check, int64 now)
{
	ConsumerGroup *group = check->group;

	check->nmembers = 0;
	check->npartitions = 0;
	for (int i = 0; i < group->members_capacity; i++)
	{
		const GroupMember *member = member_at(group, i);

		if (!is_quiet(member, now))
			continue;
		if (check->nmembers < check->members_room)
		{
			check->members[check->nmembers].index = i;
			check->members[check->nmembers].incarnation = member->incarnation;
			check->members[check->nmembers].waiting = false;
		}
		note_partitions(check, check->nmembers, i);
		check->nmembers++;
	}
}

static void
find_quiet_members(IdleCheck *check)
{
	for (;;)
	{
		group_lock(check->group, LW_SHARED);
		note_quiet_members(check, group_now());
		group_unlock(check->group);
		if (check->nmembers <= check->members_room &&
			check->npartitions <= check->partitions_room)
			return;
		check->members_room = check->nmembers + 8;
		check->partitions_room = check->npartitions + 64;
		check->members = palloc(check->members_room * sizeof(IdleMember));
		check->partitions = palloc(check->partitions_room * sizeof(IdlePartition));
	}
}

/* ---------- whether messages wait ---------- */

/*
 * Where the member would go on: if nobody has told us, as the session does.  -1:
 * at what is the end when it first looks.
 */
static int64
position_of(const IdleCheck *check, const IdlePartition *partition)
{
	CommittedOffset committed;

	if (partition->position >= 0)
		return partition->position;
	offset_read(check->group->group_id, &partition->uuid, partition->partition, &committed);
	if (committed.state.found)
		return committed.state.value.log_offset;
	return partition->from_latest ? -1 : 0;
}

static bool
has_message(Relation rel, int32 lane, int64 position)
{
	LaneReader *reader = lane_reader_create(rel, GetActiveSnapshot(), LANE_READ_FETCH);
	LaneRecord	record;
	bool		result = false;

	lane_reader_want(reader, false, false);
	if (lane_reader_enter(reader, lane))
	{
		lane_reader_seek(reader, position);
		result = lane_reader_next(reader, &record);
	}
	lane_reader_free(reader);
	return result;
}

static bool
is_that_topic(Relation rel, const pg_uuid_t *uuid)
{
	return relation_is_topic(rel) &&
		memcmp(&topic_settings(rel)->uuid, uuid, sizeof(pg_uuid_t)) == 0;
}

static bool
messages_wait(const IdleCheck *check, const IdlePartition *partition)
{
	Relation	rel;
	bool		result = false;

	if (!ConditionalLockRelationOid(partition->relid, AccessShareLock))
		return false;
	rel = try_relation_open(partition->relid, NoLock);
	if (rel != NULL)
	{
		if (is_that_topic(rel, &partition->uuid))
		{
			int64		position = position_of(check, partition);

			result = position >= 0 && has_message(rel, partition->partition, position);
		}
		relation_close(rel, NoLock);
	}
	UnlockRelationOid(partition->relid, AccessShareLock);
	return result;
}

static void
look_for_messages(void *arg)
{
	IdleCheck  *check = arg;

	for (int i = 0; i < check->npartitions; i++)
	{
		const IdlePartition *partition = &check->partitions[i];
		IdleMember *member = &check->members[partition->member];

		CHECK_FOR_INTERRUPTS();
		if (!member->waiting)
			member->waiting = messages_wait(check, partition);
	}
}

/* ---------- telling the group ---------- */

/* Whoever has called consume while we looked is not idle. */
static void
note_idleness(const IdleCheck *check)
{
	int64		now = group_now();

	group_lock(check->group, LW_EXCLUSIVE);
	for (int i = 0; i < check->nmembers; i++)
	{
		const IdleMember *idle = &check->members[i];
		GroupMember *member = member_at(check->group, idle->index);

		if (member->incarnation != idle->incarnation || !is_quiet(member, now))
			continue;
		if (!idle->waiting)
			member->idle_since = 0;
		else if (member->idle_since == 0)
			member->idle_since = now;
	}
	group_unlock(check->group);
}

void
idle_refresh(ConsumerGroup *group)
{
	IdleCheck	check = {.group = group};

	find_quiet_members(&check);
	if (check.nmembers == 0)
		return;
	if (check.npartitions == 0 || coordinator_transaction(look_for_messages, &check))
		note_idleness(&check);
}
