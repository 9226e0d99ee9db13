/*-------------------------------------------------------------------------
 *
 * observe.c
 *	  A group copied out of shared memory, for those who only look at it.
 *
 * The copy is one piece of memory.  How large it has to be is measured under
 * the group's lock, and it is allocated without: the group may have grown
 * meanwhile, and then it is measured again.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "group/observe.h"
#include "group/scratch.h"

/* Who has left stays until the coordinator has seen it, but is no member. */
static bool
is_member(const GroupMember *member)
{
	return member->incarnation != 0 && !member->left;
}

/* As group_phase() has it, of a group that is not copied for a decision. */
static GroupPhase
phase_of(ConsumerGroup *group)
{
	GroupPhase	phase = group->ntakers == 0 ? GROUP_EMPTY : GROUP_STABLE;
	bool		undecided = group->metadata_changed ||
		group->group_epoch > group->target_epoch;

	for (int i = 0; i < group->members_capacity; i++)
	{
		GroupMember *member = member_at(group, i);

		if (member->incarnation == 0 || member->taker)
			continue;
		undecided = undecided || member->joined || member->changed || member->left;
		if (!is_member(member))
			continue;
		if (member->state != MEMBER_STABLE)
			phase = GROUP_RECONCILING;
		else if (phase == GROUP_EMPTY)
			phase = GROUP_STABLE;
	}
	return phase != GROUP_EMPTY && group->nmembers > 0 && undecided ? GROUP_ASSIGNING : phase;
}

static AssignorKind
assignor_of(ConsumerGroup *group)
{
	int			range = 0;
	int			uniform = 0;

	for (int i = 0; i < group->members_capacity; i++)
	{
		GroupMember *member = member_at(group, i);

		if (!is_member(member) || member->taker)
			continue;
		if (member->assignor == ASSIGNOR_RANGE)
			range++;
		else
			uniform++;
	}
	return range > uniform ? ASSIGNOR_RANGE : ASSIGNOR_UNIFORM;
}

static void
copy_members(ConsumerGroup *group, ObservedGroup *copy, char *memory, size_t *used)
{
	ObservedMember *members = carve(memory, used, group->members_capacity, sizeof(ObservedMember));
	int			n = 0;

	for (int i = 0; i < group->members_capacity; i++)
	{
		GroupMember *member = member_at(group, i);
		Oid		   *topics;

		if (!is_member(member))
			continue;
		topics = carve(memory, used, member->ntopics, sizeof(Oid));
		if (memory != NULL)
		{
			members[n].entry = *member;
			members[n].index = i;
			members[n].topics = topics;
			if (member->ntopics > 0)
				memcpy(topics, member_topics(member), member->ntopics * sizeof(Oid));
		}
		n++;
	}
	copy->members = members;
	copy->nmembers = n;
}

static void
copy_topics(ConsumerGroup *group, ObservedGroup *copy, char *memory, size_t *used)
{
	ObservedTopic *topics = carve(memory, used, group->topics_capacity, sizeof(ObservedTopic));
	int			n = 0;

	for (int i = 0; i < group->topics_capacity; i++)
	{
		GroupTopic *topic = topic_at(group, i);
		int32	   *owners;

		if (!OidIsValid(topic->relid) || topic->dropped)
			continue;
		owners = carve(memory, used, topic->npartitions, sizeof(int32));
		if (memory != NULL)
		{
			topics[n].relid = topic->relid;
			topics[n].uuid = topic->uuid;
			topics[n].npartitions = topic->npartitions;
			topics[n].owners = owners;
			for (int32 p = 0; p < topic->npartitions; p++)
				owners[p] = partition_at(group, i, p)->owner;
		}
		n++;
	}
	copy->topics = topics;
	copy->ntopics = n;
}

/* Without memory it only measures. */
static size_t
copy_group(ConsumerGroup *group, ObservedGroup *copy, char *memory)
{
	size_t		used = 0;

	copy->phase = phase_of(group);
	copy->assignor = assignor_of(group);
	copy->group_epoch = group->group_epoch;
	copy->target_epoch = group->target_epoch;
	copy_members(group, copy, memory, &used);
	copy_topics(group, copy, memory, &used);
	return used;
}

ObservedGroup *
group_observe(ConsumerGroup *group)
{
	ObservedGroup *copy = palloc0(sizeof(ObservedGroup));
	char	   *memory = NULL;
	size_t		room = 0;
	size_t		need;

	strlcpy(copy->group_id, group->group_id, sizeof(copy->group_id));
	for (;;)
	{
		group_lock(group, LW_SHARED);
		need = copy_group(group, copy, NULL);
		if (memory != NULL && need <= room)
			(void) copy_group(group, copy, memory);
		group_unlock(group);
		if (memory != NULL && need <= room)
			return copy;

		if (memory != NULL)
			pfree(memory);
		room = need + need / 4 + 64;
		memory = palloc_extended(room, MCXT_ALLOC_HUGE);
	}
}

ObservedGroup *
group_observe_by_id(const char *group_id)
{
	ConsumerGroup *group = group_attach(group_id, false, 0);
	ObservedGroup *copy;

	if (group == NULL)
		return NULL;
	copy = group_observe(group);
	group_detach(group);
	return copy;
}

/* Members are in the order of their indexes. */
const ObservedMember *
observed_member(const ObservedGroup *group, int32 index)
{
	int			low = 0;
	int			high = group->nmembers;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (group->members[middle].index == index)
			return &group->members[middle];
		if (group->members[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
