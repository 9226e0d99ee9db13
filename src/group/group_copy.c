/*-------------------------------------------------------------------------
 *
 * group_copy.c
 *	  A group copied out of shared memory to decide about it, and the decision
 *	  applied.
 *
 * Between the copy and its application sessions go on: they deliver, settle and
 * mark, which does not raise the group's version.  So what the decision takes
 * away is looked at again before: a partition must still be idle, and a member
 * that is to be removed must not have come to life.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "group/group_copy.h"
#include "utils/memutils.h"

#define IDLE_CHECKS		4		/* per max_poll_interval */

/* ---------- room ---------- */

GroupCopy *
group_copy_create(void)
{
	return palloc0(sizeof(GroupCopy));
}

/* The old contents are not needed any more. */
static void *
new_array(GroupCopy *copy, void *old, Size count, Size size)
{
	if (old != NULL)
		pfree(old);
	return MemoryContextAllocHuge(GetMemoryChunkContext(copy), Max(count, 1) * size);
}

#define RENEW(copy, array, count) \
	((array) = new_array((copy), (array), (count), sizeof(*(array))))

/* How much is needed, with a margin for what may come meanwhile. */
static bool
too_small(int *room, int need)
{
	if (need <= *room)
		return false;
	*room = need + need / 4 + 8;
	return true;
}

void
group_copy_make_room(GroupCopy *copy)
{
	CopySize   *room = &copy->room;
	const CopySize *need = &copy->need;
	bool		members = too_small(&room->members, need->members);
	bool		partitions = too_small(&room->partitions, need->partitions);

	if (too_small(&room->member_entries, need->member_entries))
		RENEW(copy, copy->dense_member, room->member_entries);
	if (members)
	{
		RENEW(copy, copy->members, room->members);
		RENEW(copy, copy->member_origins, room->members);
	}
	if (too_small(&room->topics, need->topics))
	{
		RENEW(copy, copy->topics, room->topics);
		RENEW(copy, copy->topic_origins, room->topics);
	}
	if (partitions)
	{
		RENEW(copy, copy->partitions, room->partitions);
		RENEW(copy, copy->partition_origins, room->partitions);
	}
	if (need->subscribed > room->subscribed)
	{
		room->subscribed = need->subscribed + need->subscribed / 4;
		RENEW(copy, copy->subscribed, room->subscribed);
	}
	if (need->scratch > room->scratch)
	{
		room->scratch = need->scratch + need->scratch / 4;
		copy->scratch = new_array(copy, copy->scratch, room->scratch, 1);
	}
	if (members || partitions)
	{
		GroupSnapshot largest = {.nmembers = room->members, .npartitions = room->partitions};

		copy->decision.capacity = group_changes_max(&largest);
		RENEW(copy, copy->decision.changes, copy->decision.capacity);
		RENEW(copy, copy->wake, room->members);
	}
}

static bool
topic_in_use(const GroupTopic *topic)
{
	return OidIsValid(topic->relid);
}

static bool
is_member(const GroupMember *member)
{
	return member->incarnation != 0 && !member->taker;
}

static bool
has_room(GroupCopy *copy, ConsumerGroup *group)
{
	CopySize   *need = &copy->need;
	const CopySize *room = &copy->room;

	need->member_entries = group->members_capacity;
	need->members = group->nmembers;
	need->topics = 0;
	need->partitions = 0;
	need->scratch = 0;
	for (int i = 0; i < group->topics_capacity; i++)
	{
		const GroupTopic *topic = topic_at(group, i);

		if (!topic_in_use(topic) || topic->dropped)
			continue;
		need->topics++;
		need->partitions += topic->npartitions;
	}
	need->subscribed = (Size) need->members * need->topics;
	return need->member_entries <= room->member_entries && need->members <= room->members &&
		need->topics <= room->topics && need->partitions <= room->partitions &&
		need->subscribed <= room->subscribed;
}

/* ---------- copying ---------- */

int64
idle_check_interval(int64 max_poll_interval)
{
	return Max(max_poll_interval / IDLE_CHECKS, 1);
}

/*
 * When to look at a member next.  Members with the same interval are looked at
 * together, so that an idle group is looked at a few times per interval.
 */
static int64
next_idle_check(const GroupMember *member, int64 now)
{
	int64		interval = idle_check_interval(member->max_poll_interval);
	int64		earliest;

	if (member->last_consume >= PG_INT64_MAX / 2 - interval)
		return PG_INT64_MAX;
	earliest = Max(member->last_consume + interval, now + 1);
	if (interval > PG_INT64_MAX / 2)
		return PG_INT64_MAX;
	return (earliest + interval - 1) / interval * interval;
}

static AssignorKind
preferred_assignor(ConsumerGroup *group)
{
	int			range = 0;
	int			all = 0;

	for (int i = 0; i < group->members_capacity; i++)
	{
		const GroupMember *member = member_at(group, i);

		if (!is_member(member) || member->left)
			continue;
		all++;
		range += (member->assignor == ASSIGNOR_RANGE);
	}
	return 2 * range > all ? ASSIGNOR_RANGE : ASSIGNOR_UNIFORM;
}

static void
copy_member(GroupCopy *copy, GroupMember *member, int index, int64 now)
{
	int			number = copy->snapshot.nmembers++;
	StateMember *to = &copy->members[number];
	CopiedMember *origin = &copy->member_origins[number];
	bool		is_static = member->instance_id[0] != '\0';

	origin->index = index;
	origin->procno = member->procno;
	origin->gone = false;
	origin->woken = false;
	strlcpy(origin->order_key, is_static ? member->instance_id : member->member_id,
			ORDER_KEY_BYTES);
	copy->dense_member[index] = number;

	to->order_key = origin->order_key;
	to->epoch = member->epoch;
	to->state = member->state;
	to->joined = member->joined;
	to->joined_at = member->last_consume;
	to->changed = member->changed;
	to->left = member->left;
	to->is_static = is_static;
	to->away_since = member->away_since;
	to->in_flight_since = 0;
	to->idle_since = member->idle_since;
	to->committing = false;
	to->max_poll_interval = member->max_poll_interval;
	to->session_timeout = member->session_timeout;
	if (!member->left && member->away_since == 0)
		copy->idle_deadline = Min(copy->idle_deadline, next_idle_check(member, now));
}

static void
copy_members(GroupCopy *copy, ConsumerGroup *group, int64 now)
{
	copy->snapshot.nmembers = 0;
	copy->idle_deadline = PG_INT64_MAX;
	for (int i = 0; i < group->members_capacity; i++)
	{
		copy->dense_member[i] = NO_MEMBER;
		if (is_member(member_at(group, i)))
			copy_member(copy, member_at(group, i), i, now);
	}
	Assert(copy->snapshot.nmembers == group->nmembers);
}

static int
dense_member(const GroupCopy *copy, int index)
{
	return index == NO_MEMBER ? NO_MEMBER : copy->dense_member[index];
}

static void
copy_partition(GroupCopy *copy, const GroupPartition *from, int topic, int number)
{
	int			i = copy->snapshot.npartitions++;
	StatePartition *to = &copy->partitions[i];

	copy->partition_origins[i].topic = topic;
	copy->partition_origins[i].number = number;
	to->owner = dense_member(copy, from->owner);
	to->target = dense_member(copy, from->target);
	to->in_flight = from->in_flight_since != 0;
	to->committing = from->committing;
	to->asked_since = from->asked_since;
	if (to->owner != NO_MEMBER && to->in_flight)
	{
		StateMember *owner = &copy->members[to->owner];

		if (owner->in_flight_since == 0 || from->in_flight_since < owner->in_flight_since)
			owner->in_flight_since = from->in_flight_since;
	}
}

/* A commit of a dropped topic's offset also comes to its end first. */
static void
copy_marks(GroupCopy *copy, ConsumerGroup *group, int topic)
{
	for (int i = 0; i < topic_at(group, topic)->npartitions; i++)
	{
		const GroupPartition *partition = partition_at(group, topic, i);
		int			owner = dense_member(copy, partition->owner);

		if (owner != NO_MEMBER && partition->committing)
			copy->members[owner].committing = true;
	}
}

static void
copy_topics(GroupCopy *copy, ConsumerGroup *group)
{
	copy->snapshot.ntopics = 0;
	copy->snapshot.npartitions = 0;
	for (int i = 0; i < group->topics_capacity; i++)
	{
		const GroupTopic *topic = topic_at(group, i);
		int			number;

		if (!topic_in_use(topic))
			continue;
		if (topic->dropped)
		{
			copy_marks(copy, group, i);
			continue;
		}
		number = copy->snapshot.ntopics++;
		copy->topic_origins[number] = i;
		copy->topics[number].partitions = topic->npartitions;
		copy->topics[number].first = copy->snapshot.npartitions;
		for (int j = 0; j < topic->npartitions; j++)
			copy_partition(copy, partition_at(group, i, j), i, j);
	}
}

static void
copy_subscription(GroupCopy *copy, ConsumerGroup *group, GroupMember *member, bool *subscribed)
{
	const Oid  *topics = member_topics(member);

	memset(subscribed, 0, copy->snapshot.ntopics * sizeof(bool));
	for (int i = 0; i < member->ntopics; i++)
		for (int j = 0; j < copy->snapshot.ntopics; j++)
			if (topic_at(group, copy->topic_origins[j])->relid == topics[i])
			{
				subscribed[j] = true;
				break;
			}
}

static bool
same_subscription(GroupMember *a, GroupMember *b)
{
	return a->ntopics == b->ntopics &&
		(a->ntopics == 0 ||
		 memcmp(member_topics(a), member_topics(b), a->ntopics * sizeof(Oid)) == 0);
}

/* Members mostly subscribe to what the one before them does. */
static void
copy_subscriptions(GroupCopy *copy, ConsumerGroup *group)
{
	int			ntopics = copy->snapshot.ntopics;

	for (int i = 0; i < copy->snapshot.nmembers; i++)
	{
		GroupMember *member = member_at(group, copy->member_origins[i].index);
		bool	   *subscribed = copy->subscribed + (Size) i * ntopics;

		copy->members[i].subscribed = subscribed;
		if (i > 0 &&
			same_subscription(member, member_at(group, copy->member_origins[i - 1].index)))
			memcpy(subscribed, subscribed - ntopics, ntopics * sizeof(bool));
		else
			copy_subscription(copy, group, member, subscribed);
	}
}

bool
group_copy(GroupCopy *copy, ConsumerGroup *group, int64 now)
{
	GroupSnapshot *snapshot = &copy->snapshot;

	if (!has_room(copy, group))
		return false;

	/* Deliveries from here on wake the coordinator for their deadline. */
	group->next_deadline = PG_INT64_MAX;
	copy->version = group->version;
	copy->epoch_limit = group->epoch_limit;
	copy->first_epoch = group->first_epoch;
	snapshot->group_epoch = group->group_epoch;
	snapshot->target_epoch = group->target_epoch;
	snapshot->assignor = preferred_assignor(group);
	snapshot->metadata_changed = group->metadata_changed;
	copy_members(copy, group, now);
	copy_topics(copy, group);
	copy_subscriptions(copy, group);
	snapshot->members = copy->members;
	snapshot->topics = copy->topics;
	snapshot->partitions = copy->partitions;

	copy->need.scratch = group_scratch_size(snapshot);
	return copy->need.scratch <= copy->room.scratch;
}

/* ---------- does it still hold? ---------- */

static GroupPartition *
origin_of(const GroupCopy *copy, ConsumerGroup *group, int partition)
{
	const CopiedPartition *origin = &copy->partition_origins[partition];

	return partition_at(group, origin->topic, origin->number);
}

/* What a member is removed for must still be so, and it must not be committing. */
static bool
still_to_go(const GroupCopy *copy, ConsumerGroup *group, int number)
{
	const StateMember *member = &copy->members[number];
	int			index = copy->member_origins[number].index;
	int64		in_flight_since = 0;

	for (int i = 0; i < group->topics_capacity; i++)
	{
		for (int j = 0; j < topic_at(group, i)->npartitions; j++)
		{
			const GroupPartition *partition = partition_at(group, i, j);

			if (partition->owner != index)
				continue;
			if (partition->committing)
				return false;
			if (!topic_at(group, i)->dropped && partition->in_flight_since != 0 &&
				(in_flight_since == 0 || partition->in_flight_since < in_flight_since))
				in_flight_since = partition->in_flight_since;
		}
	}
	return member->left || member->away_since != 0 ||
		(in_flight_since == member->in_flight_since &&
		 member_at(group, index)->idle_since == member->idle_since);
}

static bool
still_to_free(const GroupCopy *copy, ConsumerGroup *group, int number)
{
	const GroupPartition *partition = origin_of(copy, group, number);
	int			owner = copy->partitions[number].owner;

	if (partition->committing)
		return false;
	return partition->in_flight_since == 0 || copy->member_origins[owner].gone ||
		copy->members[owner].away_since != 0;
}

bool
group_copy_still_holds(const GroupCopy *copy, ConsumerGroup *group)
{
	if (group->version != copy->version)
		return false;
	for (int i = 0; i < copy->decision.nchanges; i++)
	{
		const GroupChange *change = &copy->decision.changes[i];

		if (change->kind == CHANGE_FENCE)
		{
			if (!still_to_go(copy, group, change->member))
				return false;
			copy->member_origins[change->member].gone = true;
		}
		else if (change->kind == CHANGE_FREE)
		{
			if (!still_to_free(copy, group, change->partition))
				return false;
		}
	}
	return true;
}

/* ---------- applying ---------- */

/* Its assignment is not what it was: a new owner, none, or asked back or not. */
static void
assignment_changed(ConsumerGroup *group, int index)
{
	GroupMember *member = index == NO_MEMBER ? NULL : member_at(group, index);

	if (member != NULL && member->incarnation != 0)
		member->assignment++;
}

static void
hand_over(ConsumerGroup *group, GroupPartition *partition, int owner, int32 epoch)
{
	assignment_changed(group, partition->owner);
	partition->owner = owner;
	partition->epoch = epoch;
	partition->committing = false;
	partition->paused = false;
	partition->asked_since = 0;
	partition->in_flight_since = 0;
	partition->position = -1;
	assignment_changed(group, owner);
}

static void
add_wake(GroupCopy *copy, CopiedMember *origin)
{
	if (origin->procno >= 0 && !origin->woken)
		copy->wake[copy->nwake++] = origin->procno;
	origin->woken = true;
}

/*
 * Nobody owns what is gone, but for whoever is just committing its offset.  Who
 * waits for news of it learns that none will come.
 */
static void
free_dropped_topics(GroupCopy *copy, ConsumerGroup *group)
{
	for (int i = 0; i < group->topics_capacity; i++)
	{
		const GroupTopic *topic = topic_at(group, i);

		if (!topic_in_use(topic) || !topic->dropped)
			continue;
		for (int j = 0; j < topic->npartitions; j++)
		{
			GroupPartition *partition = partition_at(group, i, j);
			int			owner = dense_member(copy, partition->owner);

			partition->target = NO_MEMBER;
			if (partition->owner == NO_MEMBER || partition->committing)
				continue;
			hand_over(group, partition, NO_MEMBER, partition->epoch);
			if (owner != NO_MEMBER)
				add_wake(copy, &copy->member_origins[owner]);
		}
	}
}

static void
ask_back(ConsumerGroup *group, GroupPartition *partition, int64 now)
{
	partition->asked_since = now;
	assignment_changed(group, partition->owner);

	/* Released before it was asked for: nobody will tell us that. */
	if (partition->in_flight_since == 0 && !partition->committing)
		pg_atomic_write_u32(&group->attention, 1);
}

static void
start_epoch(GroupCopy *copy, ConsumerGroup *group, int32 epoch)
{
	group->group_epoch = epoch;
	group->metadata_changed = false;
	for (int i = 0; i < copy->snapshot.nmembers; i++)
	{
		GroupMember *member = member_at(group, copy->member_origins[i].index);

		member->joined = false;
		member->changed = false;
	}
}

static int
origin_of_member(const GroupCopy *copy, int member)
{
	return member == NO_MEMBER ? NO_MEMBER : copy->member_origins[member].index;
}

static void
apply_to_partition(GroupCopy *copy, ConsumerGroup *group, const GroupChange *change, int64 now)
{
	GroupPartition *partition = origin_of(copy, group, change->partition);
	int			member = origin_of_member(copy, change->member);

	switch (change->kind)
	{
		case CHANGE_TARGET:
			partition->target = member;
			break;
		case CHANGE_FREE:
			hand_over(group, partition, NO_MEMBER, partition->epoch);
			break;
		case CHANGE_GIVE:
			hand_over(group, partition, member, change->value);
			break;
		case CHANGE_ASK_BACK:
			ask_back(group, partition, now);
			break;
		default:				/* CHANGE_KEEP */
			partition->asked_since = 0;
			assignment_changed(group, member);
			break;
	}
}

static void
apply_to_member(GroupCopy *copy, ConsumerGroup *group, const GroupChange *change)
{
	CopiedMember *origin = &copy->member_origins[change->member];

	switch (change->kind)
	{
		case CHANGE_FENCE:
			origin->gone = true;
			group_remove_member(group, origin->index);
			break;
		case CHANGE_WAKE:
			add_wake(copy, origin);
			break;
		case CHANGE_AWAY:
			member_at(group, origin->index)->state = change->state;
			break;
		default:				/* CHANGE_MEMBER */
			member_at(group, origin->index)->state = change->state;
			member_at(group, origin->index)->epoch = change->value;
			break;
	}
}

static void
apply_change(GroupCopy *copy, ConsumerGroup *group, const GroupChange *change, int64 now)
{
	switch (change->kind)
	{
		case CHANGE_GROUP_EPOCH:
			start_epoch(copy, group, change->value);
			break;
		case CHANGE_TARGET_EPOCH:
			group->target_epoch = change->value;
			break;
		case CHANGE_FENCE:
		case CHANGE_AWAY:
		case CHANGE_MEMBER:
		case CHANGE_WAKE:
			apply_to_member(copy, group, change);
			break;
		default:
			apply_to_partition(copy, group, change, now);
			break;
	}
}

static bool
is_unused(ConsumerGroup *group, int topic)
{
	for (int i = 0; i < topic_at(group, topic)->npartitions; i++)
	{
		const GroupPartition *partition = partition_at(group, topic, i);

		if (partition->owner != NO_MEMBER || partition->target != NO_MEMBER)
			return false;
	}
	return true;
}

static bool
is_subscribed(const GroupCopy *copy, int topic)
{
	for (int i = 0; i < copy->snapshot.nmembers; i++)
		if (!copy->member_origins[i].gone && copy->members[i].subscribed[topic])
			return true;
	return false;
}

/* Topics to which nobody subscribes any more, and those that are gone. */
static void
forget_topics(GroupCopy *copy, ConsumerGroup *group)
{
	for (int i = 0; i < copy->snapshot.ntopics; i++)
	{
		int			topic = copy->topic_origins[i];

		if (!is_subscribed(copy, i) && is_unused(group, topic))
			group_drop_topic(group, topic);
	}
	for (int i = 0; i < group->topics_capacity; i++)
		if (topic_in_use(topic_at(group, i)) && topic_at(group, i)->dropped &&
			is_unused(group, i))
			group_drop_topic(group, i);
}

void
group_copy_apply(GroupCopy *copy, ConsumerGroup *group, int64 now)
{
	const GroupDecision *decision = &copy->decision;

	copy->nwake = 0;
	free_dropped_topics(copy, group);
	for (int i = 0; i < decision->nchanges; i++)
		apply_change(copy, group, &decision->changes[i], now);
	forget_topics(copy, group);

	group->next_deadline = Min(group->next_deadline, decision->next_deadline);
	group->next_deadline = Min(group->next_deadline, copy->idle_deadline);
	if (decision->nchanges > 0)
		group->version++;
}
