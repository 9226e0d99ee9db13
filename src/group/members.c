/*-------------------------------------------------------------------------
 *
 * members.c
 *	  What sessions do to a group in shared memory: join, leave, deliver, commit.
 *
 * A session changes its own entry and the marks on what it owns, never what
 * another member has.  Everything that a decision of the coordinator depends on
 * raises the group's version, but for deliveries, settling and marks: these
 * come with every transaction, and the coordinator looks at them again
 * when it applies what it has decided.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "errors.h"
#include "group/memory.h"
#include "miscadmin.h"
#include "notify/notify.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

/* ---------- joining ---------- */

/* A name for a member that nobody has, or will ever have. */
static void
make_member_id(char *member_id)
{
	pg_uuid_t  *uuid = DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0));
	char	   *text = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));

	strlcpy(member_id, text, MEMBER_ID_BYTES);
	pfree(text);
	pfree(uuid);
}

/* "" for a client on a Unix socket, and for a worker process. */
static void
get_client_addr(char *address)
{
	LOCAL_FCINFO(fcinfo, 0);
	Datum		inet;
	char	   *host;

	address[0] = '\0';
	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	inet = inet_client_addr(fcinfo);
	if (fcinfo->isnull)
		return;
	host = TextDatumGetCString(DirectFunctionCall1(network_host, inet));
	strlcpy(address, host, CLIENT_ADDR_BYTES);
	pfree(host);
}

/*
 * Locks the group once no transaction that needs it empty is between its check
 * and its end.  Those are short, but for a wait for a standby; cancel works.
 */
static void
lock_to_join(ConsumerGroup *group)
{
	ConditionVariablePrepareToSleep(&group->exclusive_ended);
	for (;;)
	{
		group_lock(group, LW_EXCLUSIVE);
		if (group->exclusive == 0)
			break;
		group_unlock(group);
		ConditionVariableSleep(&group->exclusive_ended, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
}

static bool
is_live(const GroupMember *member)
{
	return member->incarnation != 0 && !member->left;
}

static void
unlock_and_refuse_non_empty(ConsumerGroup *group, const char *detail)
{
	group_unlock(group);
	ereport(ERROR,
			(errcode(ERRCODE_NON_EMPTY_GROUP),
			 errmsg("group \"%s\" has members", group->group_id),
			 errdetail_internal("%s", detail),
			 errhint("A group is used by sessions that subscribe or by topic.take(), not by both at once.")));
}

/* The static member of that name that is or was here, or NO_MEMBER. */
static int
find_instance(ConsumerGroup *group, const char *instance_id)
{
	for (int i = 0; i < group->members_capacity; i++)
	{
		GroupMember *member = member_at(group, i);

		if (is_live(member) && strcmp(member->instance_id, instance_id) == 0)
			return i;
	}
	return NO_MEMBER;
}

static void
unlock_and_refuse_instance(ConsumerGroup *group, const char *instance_id)
{
	group_unlock(group);
	ereport(ERROR,
			(errcode(ERRCODE_UNRELEASED_INSTANCE_ID),
			 errmsg("instance id \"%s\" is in use in group \"%s\"",
					instance_id, group->group_id),
			 errhint("Another session is this static member; end it, or choose another instance_id.")));
}

/* Makes an entry this session's, and so voids what another had delivered. */
static void
own_entry(ConsumerGroup *group, int index, const char *client_addr, MemberRef *ref)
{
	GroupMember *member = member_at(group, index);

	member->incarnation = group_new_incarnation();
	member->pid = MyProcPid;
	member->procno = notify_my_procno();
	strlcpy(member->client_addr, client_addr, CLIENT_ADDR_BYTES);
	member->last_consume = group_now();
	member->idle_since = 0;
	member->away_since = 0;
	member->assignment++;

	ref->group = group;
	ref->index = index;
	ref->incarnation = member->incarnation;
	strlcpy(ref->member_id, member->member_id, MEMBER_ID_BYTES);
}

static void
void_deliveries(ConsumerGroup *group, int index)
{
	for (int i = 0; i < group->topics_capacity; i++)
	{
		for (int j = 0; j < topic_at(group, i)->npartitions; j++)
		{
			GroupPartition *partition = partition_at(group, i, j);

			if (partition->owner != index)
				continue;
			partition->in_flight_since = 0;
			partition->committing = false;
			partition->paused = false;
			partition->position = -1;
		}
	}
}

/* Under the exclusive lock; false when memory is full. */
static bool
set_subscription(ConsumerGroup *group, int index, const Subscription *subscription)
{
	Oid			relids[16];
	Oid		   *list = relids;
	bool		result = true;
	GroupMember *member = member_at(group, index);

	if (subscription->ntopics > lengthof(relids))
		list = MemoryContextAllocExtended(CurrentMemoryContext,
										  subscription->ntopics * sizeof(Oid),
										  MCXT_ALLOC_NO_OOM | MCXT_ALLOC_HUGE);
	if (list == NULL)
		return false;

	for (int i = 0; i < subscription->ntopics && result; i++)
	{
		const SubscribedTopic *topic = &subscription->topics[i];

		list[i] = topic->relid;
		result = group_add_topic(group, topic->relid, &topic->uuid, topic->npartitions);
	}
	result = result && member_set_topics(member, list, subscription->ntopics);
	if (list != relids)
		pfree(list);
	if (!result)
		return false;

	member->role = GetUserId(); /* for what a pattern may match */
	member->assignor = subscription->assignor;
	member->from_latest = subscription->from_latest;
	member->max_poll_interval = subscription->max_poll_interval;
	member->session_timeout = subscription->session_timeout;
	strlcpy(member->pattern, subscription->pattern ? subscription->pattern : "",
			sizeof(member->pattern));
	strlcpy(member->instance_id, subscription->instance_id ? subscription->instance_id : "",
			sizeof(member->instance_id));
	group->version++;
	return true;
}

static bool
has_live_members(ConsumerGroup *group)
{
	for (int i = 0; i < group->members_capacity; i++)
	{
		GroupMember *member = member_at(group, i);

		if (is_live(member) && !member->taker)
			return true;
	}
	return false;
}

/*
 * A group that had no members may have been deleted while it was in memory.
 * Reserving epochs is what makes its row, so the next decision is to do it.
 */
static void
reserve_again_if_deserted(ConsumerGroup *group)
{
	if (!has_live_members(group))
		group->epoch_limit = group->group_epoch;
}

void
member_join(ConsumerGroup *group, const Subscription *subscription, MemberRef *ref)
{
	char		member_id[MEMBER_ID_BYTES];
	char		client_addr[CLIENT_ADDR_BYTES];
	int			index = NO_MEMBER;
	bool		is_new;
	bool		stored;

	make_member_id(member_id);
	get_client_addr(client_addr);
	lock_to_join(group);
	if (group->ntakers > 0)
		unlock_and_refuse_non_empty(group, "A transaction is taking from it.");
	if (subscription->instance_id != NULL)
		index = find_instance(group, subscription->instance_id);
	if (index != NO_MEMBER && member_at(group, index)->pid != 0)
		unlock_and_refuse_instance(group, subscription->instance_id);

	is_new = (index == NO_MEMBER);
	if (is_new)
		index = group_new_member(group);
	stored = index != NO_MEMBER && set_subscription(group, index, subscription);
	if (stored)
	{
		GroupMember *member = member_at(group, index);

		if (is_new)
		{
			reserve_again_if_deserted(group);
			group->nmembers++;
			member->joined = true;
			strlcpy(member->member_id, member_id, MEMBER_ID_BYTES);
		}
		else
		{
			member->changed = true;
			void_deliveries(group, index);
		}
		own_entry(group, index, client_addr, ref);
	}
	group_unlock(group);

	if (!stored)
		group_memory_full();
	coordinator_wake(group);
}

/* The member's entry, or NULL if it is not the session's any more; locked. */
static GroupMember *
current_entry(const MemberRef *ref)
{
	GroupMember *member;

	if (ref->incarnation == 0 || ref->index >= ref->group->members_capacity)
		return NULL;
	member = member_at(ref->group, ref->index);
	return member->incarnation == ref->incarnation ? member : NULL;
}

bool
member_resubscribe(MemberRef *ref, const Subscription *subscription)
{
	ConsumerGroup *group = ref->group;
	GroupMember *member;
	bool		stored = false;

	group_lock(group, LW_EXCLUSIVE);
	member = current_entry(ref);
	if (member != NULL && subscription->instance_id != NULL)
	{
		int			other = find_instance(group, subscription->instance_id);

		if (other != NO_MEMBER && other != ref->index)
			unlock_and_refuse_instance(group, subscription->instance_id);
	}
	if (member != NULL)
	{
		stored = set_subscription(group, ref->index, subscription);
		if (stored)
			member->changed = true;
	}
	group_unlock(group);

	if (member == NULL)
		return false;
	if (!stored)
		group_memory_full();
	coordinator_wake(group);
	return true;
}

void
member_leave(MemberRef *ref, bool session_ends)
{
	ConsumerGroup *group = ref->group;
	GroupMember *member;

	group_lock(group, LW_EXCLUSIVE);
	member = current_entry(ref);
	if (member != NULL)
	{
		void_deliveries(group, ref->index);
		if (session_ends && member->instance_id[0] != '\0')
			member->away_since = group_now();
		else
			member->left = true;
		if (session_ends)
		{
			member->pid = 0;
			member->procno = -1;
		}
		group->version++;
	}
	group_unlock(group);
	ref->incarnation = 0;
	if (member != NULL)
		coordinator_wake(group);
}

bool
member_status(const MemberRef *ref, bool consuming, MemberStatus *status)
{
	ConsumerGroup *group = ref->group;
	GroupMember *member;

	group_lock(group, consuming ? LW_EXCLUSIVE : LW_SHARED);
	member = current_entry(ref);
	if (member != NULL)
	{
		if (consuming)
		{
			member->last_consume = group_now();
			member->idle_since = 0;
		}
		status->assignment = member->assignment;
		status->epoch = member->epoch;
		status->group_epoch = group->group_epoch;
		status->state = member->state;
		status->joined = member->joined;
		status->changed = member->changed;
	}
	group_unlock(group);
	return member != NULL;
}

/* ---------- what a member owns ---------- */

static void
describe_owned(ConsumerGroup *group, int topic, int number, OwnedPartition *owned)
{
	GroupTopic *entry = topic_at(group, topic);
	GroupPartition *partition = partition_at(group, topic, number);

	owned->relid = entry->relid;
	owned->topic = topic;
	owned->partition = number;
	owned->epoch = partition->epoch;
	owned->uuid = entry->uuid;
	owned->asked_back = partition->asked_since != 0;
	owned->paused = partition->paused;
	owned->in_flight_since = partition->in_flight_since;
}

/* Copies as many as there is room for; returns how many there are. */
static int
copy_owned(ConsumerGroup *group, int index, OwnedPartition *owned, int capacity)
{
	int			n = 0;

	for (int i = 0; i < group->topics_capacity; i++)
	{
		GroupTopic *topic = topic_at(group, i);

		if (topic->relid == InvalidOid)
			continue;
		for (int j = 0; j < topic->npartitions; j++)
		{
			if (partition_at(group, i, j)->owner != index)
				continue;
			if (n < capacity)
				describe_owned(group, i, j, &owned[n]);
			n++;
		}
	}
	return n;
}

int
member_assignment(const MemberRef *ref, OwnedPartition **owned, uint32 *assignment)
{
	ConsumerGroup *group = ref->group;
	int			capacity = 16;

	for (;;)
	{
		int			n = -1;
		GroupMember *member;

		*owned = palloc(capacity * sizeof(OwnedPartition));
		group_lock(group, LW_SHARED);
		member = current_entry(ref);
		if (member != NULL)
		{
			*assignment = member->assignment;
			n = copy_owned(group, ref->index, *owned, capacity);
		}
		group_unlock(group);

		if (n <= capacity)
			return n;
		pfree(*owned);
		capacity = n;
	}
}

/* The partition if it is the member's by this assignment, else NULL; locked. */
static GroupPartition *
owned_entry(const MemberRef *ref, const OwnedPartition *owned)
{
	ConsumerGroup *group = ref->group;
	GroupPartition *partition;

	if (current_entry(ref) == NULL || owned->topic >= group->topics_capacity ||
		topic_at(group, owned->topic)->relid != owned->relid ||
		owned->partition >= topic_at(group, owned->topic)->npartitions)
		return NULL;
	partition = partition_at(group, owned->topic, owned->partition);
	if (partition->owner != ref->index || partition->epoch != owned->epoch)
		return NULL;
	return partition;
}

bool
member_owns(const MemberRef *ref, const OwnedPartition *owned)
{
	bool		result;

	group_lock(ref->group, LW_SHARED);
	result = owned_entry(ref, owned) != NULL;
	group_unlock(ref->group);
	return result;
}

/*
 * The coordinator may sleep until a deadline that is later than the one that
 * begins to run now; then it is woken, once per interval and not per message.
 */
bool
member_deliver(const MemberRef *ref, const OwnedPartition *owned, int64 *since)
{
	ConsumerGroup *group = ref->group;
	GroupPartition *partition;
	bool		result;
	bool		wake = false;

	group_lock(group, LW_EXCLUSIVE);
	partition = owned_entry(ref, owned);
	result = partition != NULL && partition->asked_since == 0;
	if (result)
	{
		*since = partition->in_flight_since;
		if (partition->in_flight_since == 0)
		{
			int64		deadline;

			partition->in_flight_since = group_now();
			deadline = partition->in_flight_since +
				member_at(group, ref->index)->max_poll_interval;
			if (deadline < group->next_deadline)
			{
				group->next_deadline = deadline;
				wake = true;
			}
		}
	}
	group_unlock(group);
	if (wake)
		coordinator_wake(group);
	return result;
}

void
member_settle(const MemberRef *ref, const OwnedPartition *owned,
			  int64 in_flight_since, int64 position)
{
	ConsumerGroup *group = ref->group;
	GroupPartition *partition;
	bool		wake = false;

	group_lock(group, LW_EXCLUSIVE);
	partition = owned_entry(ref, owned);
	if (partition != NULL)
	{
		partition->in_flight_since = in_flight_since;
		partition->position = position;
		wake = in_flight_since == 0 && partition->asked_since != 0;
	}
	group_unlock(group);
	if (wake)
		coordinator_wake(group);
}

void
member_set_paused(const MemberRef *ref, const OwnedPartition *owned, bool paused)
{
	GroupPartition *partition;

	group_lock(ref->group, LW_EXCLUSIVE);
	partition = owned_entry(ref, owned);
	if (partition != NULL)
		partition->paused = paused;
	group_unlock(ref->group);
}

/* ---------- commit ---------- */

int
member_mark(const MemberRef *ref, const OwnedPartition *const *owned, int n)
{
	ConsumerGroup *group = ref->group;
	int			wrong = -1;

	group_lock(group, LW_EXCLUSIVE);
	if (current_entry(ref) == NULL || member_at(group, ref->index)->left)
		wrong = -2;
	for (int i = 0; i < n && wrong == -1; i++)
		if (owned_entry(ref, owned[i]) == NULL)
			wrong = i;
	for (int i = 0; i < n && wrong == -1; i++)
		owned_entry(ref, owned[i])->committing = true;
	group_unlock(group);
	return wrong;
}

/* A mark holds the coordinator back in whatever it wants of the member. */
void
member_unmark(const MemberRef *ref, const OwnedPartition *const *owned, int n)
{
	ConsumerGroup *group = ref->group;
	bool		wake = false;

	group_lock(group, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		GroupPartition *partition = owned_entry(ref, owned[i]);

		if (partition == NULL)
			continue;
		partition->committing = false;
		wake |= partition->asked_since != 0;
	}
	if (current_entry(ref) != NULL)
	{
		GroupMember *member = member_at(group, ref->index);
		int64		now = group_now();

		/*
		 * Times that were over while the mark suspended them.  That messages
		 * wait was seen with the positions before the transaction.
		 */
		if (member->idle_since != 0 && now - member->idle_since >= member->max_poll_interval)
			member->idle_since = now;
		wake |= member->left || group->next_deadline <= now;
	}
	group_unlock(group);
	if (wake)
		coordinator_wake(group);
}

/* ---------- a transaction as a taker ---------- */

void
taker_join(ConsumerGroup *group, MemberRef *ref)
{
	char		member_id[MEMBER_ID_BYTES];
	char		client_addr[CLIENT_ADDR_BYTES];
	int			index;

	make_member_id(member_id);
	get_client_addr(client_addr);
	lock_to_join(group);
	if (has_live_members(group))
		unlock_and_refuse_non_empty(group, "Sessions have subscribed to it.");
	index = group_new_member(group);
	if (index != NO_MEMBER)
	{
		GroupMember *member = member_at(group, index);

		group->ntakers++;
		member->taker = true;
		member->role = GetUserId();
		strlcpy(member->member_id, member_id, MEMBER_ID_BYTES);
		own_entry(group, index, client_addr, ref);
	}
	group_unlock(group);
	if (index == NO_MEMBER)
		group_memory_full();
}

/* Nobody's, or of one who has left and whom the coordinator has not removed yet. */
static bool
is_free(ConsumerGroup *group, const GroupPartition *partition)
{
	return partition->owner == NO_MEMBER ||
		(member_at(group, partition->owner)->left && !partition->committing);
}

bool
taker_claim(const MemberRef *ref, const SubscribedTopic *topic, int32 number,
			OwnedPartition *owned)
{
	ConsumerGroup *group = ref->group;
	bool		full;
	bool		claimed = false;

	group_lock(group, LW_EXCLUSIVE);
	full = !group_add_topic(group, topic->relid, &topic->uuid, topic->npartitions);
	if (!full)
	{
		int			index = group_find_topic(group, topic->relid);
		GroupPartition *partition = partition_at(group, index, number);

		claimed = partition->owner == ref->index || is_free(group, partition);
		if (claimed)
		{
			/* the coordinator may be about to free what a member has left */
			if (partition->owner != ref->index && partition->owner != NO_MEMBER)
				group->version++;
			partition->owner = ref->index;
			partition->epoch = group->group_epoch;
			partition->in_flight_since = group_now();
			describe_owned(group, index, number, owned);
		}
	}
	group_unlock(group);
	if (full)
		group_memory_full();
	return claimed;
}

static void
free_partition(GroupPartition *partition)
{
	partition->owner = NO_MEMBER;
	partition->committing = false;
	partition->paused = false;
	partition->asked_since = 0;
	partition->in_flight_since = 0;
	partition->position = -1;
}

void
taker_unclaim(const MemberRef *ref, const OwnedPartition *owned)
{
	GroupPartition *partition;

	group_lock(ref->group, LW_EXCLUSIVE);
	partition = owned_entry(ref, owned);
	if (partition != NULL)
		free_partition(partition);
	group_unlock(ref->group);
}

void
taker_leave(MemberRef *ref)
{
	ConsumerGroup *group = ref->group;

	group_lock(group, LW_EXCLUSIVE);
	if (current_entry(ref) != NULL)
	{
		for (int i = 0; i < group->topics_capacity; i++)
			for (int j = 0; j < topic_at(group, i)->npartitions; j++)
				if (partition_at(group, i, j)->owner == ref->index)
					free_partition(partition_at(group, i, j));
		group_remove_member(group, ref->index);
	}
	group_unlock(group);
	ref->incarnation = 0;
}

/* ---------- a transaction with an empty group ---------- */

static bool
is_empty(ConsumerGroup *group)
{
	return group->ntakers == 0 && !has_live_members(group);
}

bool
group_is_empty(ConsumerGroup *group)
{
	bool		result;

	group_lock(group, LW_SHARED);
	result = is_empty(group);
	group_unlock(group);
	return result;
}

bool
group_mark_exclusive(ConsumerGroup *group)
{
	bool		result;

	group_lock(group, LW_EXCLUSIVE);
	result = is_empty(group);
	if (result)
		group->exclusive++;
	group_unlock(group);
	return result;
}

void
group_unmark_exclusive(ConsumerGroup *group)
{
	group_lock(group, LW_EXCLUSIVE);
	Assert(group->exclusive > 0);
	group->exclusive--;
	group_unlock(group);
	ConditionVariableBroadcast(&group->exclusive_ended);
}
