/*-------------------------------------------------------------------------
 *
 * group_state.c
 *	  Decides what happens in a consumer group.
 *
 * A decision goes from what cannot be argued with to what follows from it:
 * who is in the group; what everybody should have; who must give what up;
 * who can get something; how far everybody is.  Each step reads the snapshot
 * and what the steps before it have left in Decider, and adds to the changes.
 *
 * Example: m1 owns partitions 0 to 3 at epoch 1, 2 of them in flight; m2 joins:
 *
 *		group epoch 2; target: 0, 2 of m1 and 1, 3 of m2; target epoch 2
 *		free 1, and ask back 3, which is in flight
 *		give 1 to m2 (assignment epoch 2)
 *		m1 is UNREVOKED at epoch 1, m2 UNRELEASED at epoch 2
 *
 * and when m1 has released 3: free 3, give it to m2, both are STABLE at 2.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "group/group_state.h"
#include "group/scratch.h"

#define NEVER	PG_INT64_MAX

/* What is decided of a member so far. */
typedef struct MemberCase
{
	bool		gone;			/* removed by this decision */
	bool		away;
	bool		committing;
	bool		gives;			/* has something to give up, and it takes time */
	bool		lacks;			/* does not own all of its target */
	bool		wake;
	int64		asked_since;	/* oldest request to give something back */
} MemberCase;

typedef struct Decider
{
	const GroupSnapshot *group;
	int64		now;
	GroupDecision *decision;
	int32		group_epoch;
	int32		target_epoch;
	MemberCase *members;
	int		   *owner;			/* by partition */
	int		   *target;			/* by partition */
	bool	   *nothing;		/* by topic: the subscription of who is gone */
	AssignMember *assign_members;
	int		   *present;		/* by partition */
	void	   *assign_scratch;
} Decider;

static void
describe_topics(const GroupSnapshot *group, AssignInput *input)
{
	input->ntopics = group->ntopics;
	input->topics = group->topics;
	input->nmembers = group->nmembers;
	input->npartitions = group->npartitions;
}

static size_t
carve_all(Decider *d, const GroupSnapshot *group, char *scratch)
{
	AssignInput input = {0};
	size_t		used = 0;

	d->members = carve(scratch, &used, group->nmembers, sizeof(MemberCase));
	d->owner = carve(scratch, &used, group->npartitions, sizeof(int));
	d->target = carve(scratch, &used, group->npartitions, sizeof(int));
	d->nothing = carve(scratch, &used, group->ntopics, sizeof(bool));
	d->assign_members = carve(scratch, &used, group->nmembers, sizeof(AssignMember));
	d->present = carve(scratch, &used, group->npartitions, sizeof(int));
	describe_topics(group, &input);
	d->assign_scratch = carve(scratch, &used, 1,
							  assign_scratch_size(group->assignor, &input));
	return used;
}

size_t
group_scratch_size(const GroupSnapshot *group)
{
	Decider		d;

	return carve_all(&d, group, NULL);
}

/*
 * Of a member: fence or away, its state, a wake.  Of a partition: a target, and
 * either ask back or keep, or free and give.
 */
int
group_changes_max(const GroupSnapshot *group)
{
	return 3 * group->nmembers + 3 * group->npartitions + 2;
}

static GroupChange *
change(Decider *d, ChangeKind kind, int member, int partition, int32 value)
{
	GroupChange *result = &d->decision->changes[d->decision->nchanges++];

	Assert(d->decision->nchanges <= d->decision->capacity);
	result->kind = kind;
	result->member = member;
	result->partition = partition;
	result->value = value;
	result->state = MEMBER_STABLE;
	return result;
}

/* A time that is not running sets no deadline. */
static int64
deadline_of(int64 since, int64 interval)
{
	if (since == 0)
		return NEVER;
	return interval >= NEVER - since ? NEVER : since + interval;
}

/* The smaller of two times of which 0 is none. */
static int64
older(int64 a, int64 b)
{
	if (a == 0 || b == 0)
		return a + b;
	return Min(a, b);
}

static void
start(Decider *d)
{
	const GroupSnapshot *group = d->group;
	int			i;

	memset(d->members, 0, group->nmembers * sizeof(MemberCase));
	for (i = 0; i < group->nmembers; i++)
	{
		d->members[i].away = group->members[i].away_since != 0;
		d->members[i].committing = group->members[i].committing;
	}
	for (i = 0; i < group->npartitions; i++)
	{
		const StatePartition *partition = &group->partitions[i];
		MemberCase *owner;

		d->owner[i] = partition->owner;
		d->target[i] = partition->target;
		if (partition->owner == NO_MEMBER)
			continue;
		owner = &d->members[partition->owner];
		owner->committing |= partition->committing;
		if (partition->in_flight)
			owner->asked_since = older(owner->asked_since, partition->asked_since);
	}
}

/* ---- Who is in the group ---- */

/* When this member is to be removed if it changes nothing, and why. */
static int64
member_deadline(const Decider *d, int number, FenceReason *reason)
{
	const StateMember *member = &d->group->members[number];
	int64		deadline;
	int64		other;

	/* Somebody else's transaction must not get what this one still commits. */
	if (d->members[number].committing)
		return NEVER;

	*reason = FENCE_SESSION_TIMEOUT;
	if (d->members[number].away)
		return deadline_of(member->away_since, member->session_timeout);

	*reason = FENCE_UNCOMMITTED;
	deadline = deadline_of(member->in_flight_since, member->max_poll_interval);
	other = deadline_of(member->idle_since, member->max_poll_interval);
	if (other < deadline)
	{
		*reason = FENCE_NOT_CONSUMING;
		deadline = other;
	}
	other = deadline_of(d->members[number].asked_since, member->max_poll_interval);
	if (other < deadline)
	{
		*reason = FENCE_NOT_RELEASING;
		deadline = other;
	}
	return deadline;
}

static bool
must_go(const Decider *d, int number, FenceReason *reason)
{
	if (!d->group->members[number].left)
		return member_deadline(d, number, reason) <= d->now;
	*reason = FENCE_LEFT;
	return !d->members[number].committing;
}

/* Not those whose session has ended, or who wanted it. */
static bool
must_be_told(FenceReason reason)
{
	return reason != FENCE_LEFT && reason != FENCE_SESSION_TIMEOUT;
}

static void
review_members(Decider *d)
{
	int			i;

	for (i = 0; i < d->group->nmembers; i++)
	{
		MemberCase *member = &d->members[i];
		FenceReason reason;

		if (must_go(d, i, &reason))
		{
			member->gone = true;
			member->wake = must_be_told(reason);
			change(d, CHANGE_FENCE, i, -1, reason);
		}
		else if (member->away && d->group->members[i].state != MEMBER_AWAY)
			change(d, CHANGE_AWAY, i, -1, 0)->state = MEMBER_AWAY;
	}
}

/* ---- What everybody should have ---- */

static bool
inputs_changed(const Decider *d)
{
	int			i;

	if (d->group->metadata_changed)
		return true;
	for (i = 0; i < d->group->nmembers; i++)
	{
		const StateMember *member = &d->group->members[i];

		if (d->members[i].gone || member->joined || member->changed)
			return true;
	}
	return false;
}

/* Once, however much has changed. */
static void
bump_group_epoch(Decider *d)
{
	if (!inputs_changed(d))
		return;
	d->group_epoch++;
	change(d, CHANGE_GROUP_EPOCH, NO_MEMBER, -1, d->group_epoch);
}

static bool
is_here(const Decider *d, int member)
{
	return member != NO_MEMBER && !d->members[member].gone;
}

/*
 * Who would keep the partition: its target; or if that is gone before it got
 * it, the owner, so that the partition need not move at all.
 */
static int
present_member(const Decider *d, const StatePartition *partition)
{
	if (is_here(d, partition->target))
		return partition->target;
	return is_here(d, partition->owner) ? partition->owner : NO_MEMBER;
}

static void
call_assignor(Decider *d)
{
	const GroupSnapshot *group = d->group;
	AssignInput input;
	int			i;

	describe_topics(group, &input);
	memset(d->nothing, 0, group->ntopics * sizeof(bool));
	for (i = 0; i < group->nmembers; i++)
	{
		AssignMember *member = &d->assign_members[i];

		member->order_key = group->members[i].order_key;
		member->is_static = group->members[i].is_static;
		member->subscribed = d->members[i].gone ? d->nothing : group->members[i].subscribed;
	}
	for (i = 0; i < group->npartitions; i++)
		d->present[i] = present_member(d, &group->partitions[i]);
	input.members = d->assign_members;
	input.present = d->present;
	assign(group->assignor, &input, d->target, d->assign_scratch);
}

static void
choose_targets(Decider *d)
{
	int			i;

	if (d->group_epoch <= d->target_epoch)
		return;
	call_assignor(d);
	for (i = 0; i < d->group->npartitions; i++)
		if (d->target[i] != d->group->partitions[i].target)
			change(d, CHANGE_TARGET, d->target[i], i, 0);
	d->target_epoch = d->group_epoch;
	change(d, CHANGE_TARGET_EPOCH, NO_MEMBER, -1, d->target_epoch);
}

/* ---- Who gives up what ---- */

/* A commit comes to its end first; so does work in flight, unless nobody does it. */
static bool
is_held(const Decider *d, const StatePartition *partition)
{
	if (d->members[partition->owner].gone)
		return false;
	return partition->committing ||
		(partition->in_flight && !d->members[partition->owner].away);
}

static void
ask_back(Decider *d, int number)
{
	const StatePartition *partition = &d->group->partitions[number];
	MemberCase *owner = &d->members[partition->owner];

	owner->gives = true;
	if (partition->asked_since == 0)
	{
		owner->wake = true;
		change(d, CHANGE_ASK_BACK, partition->owner, number, 0);
	}
	if (partition->in_flight)
		owner->asked_since = older(owner->asked_since,
								   partition->asked_since != 0 ? partition->asked_since : d->now);
}

static void
keep(Decider *d, int number)
{
	const StatePartition *partition = &d->group->partitions[number];

	if (partition->asked_since == 0)
		return;
	d->members[partition->owner].wake = true;
	change(d, CHANGE_KEEP, partition->owner, number, 0);
}

static void
set_free(Decider *d, int number)
{
	MemberCase *owner = &d->members[d->owner[number]];

	if (!owner->gone)
		owner->wake = true;
	d->owner[number] = NO_MEMBER;
	change(d, CHANGE_FREE, NO_MEMBER, number, 0);
}

static void
take_back(Decider *d)
{
	int			i;

	/* What is asked back after this decision is collected anew. */
	for (i = 0; i < d->group->nmembers; i++)
		d->members[i].asked_since = 0;

	for (i = 0; i < d->group->npartitions; i++)
	{
		if (d->owner[i] == NO_MEMBER)
			continue;
		if (d->owner[i] == d->target[i])
			keep(d, i);
		else if (is_held(d, &d->group->partitions[i]))
			ask_back(d, i);
		else
			set_free(d, i);
	}
}

/* ---- Who gets something ---- */

static bool
can_take(const Decider *d, int member)
{
	return !d->members[member].gives && !d->members[member].away;
}

static void
give(Decider *d)
{
	int			i;

	for (i = 0; i < d->group->npartitions; i++)
	{
		int			target = d->target[i];

		if (target == NO_MEMBER || d->owner[i] == target)
			continue;
		if (d->owner[i] != NO_MEMBER || !can_take(d, target))
		{
			d->members[target].lacks = true;
			continue;
		}
		d->owner[i] = target;
		d->members[target].wake = true;
		change(d, CHANGE_GIVE, target, i, d->target_epoch);
	}
}

/* ---- How far everybody is ---- */

static MemberState
state_of(const MemberCase *member)
{
	if (member->gives)
		return MEMBER_UNREVOKED;
	return member->lacks ? MEMBER_UNRELEASED : MEMBER_STABLE;
}

/* A member waits in subscribe for this, also if it gets nothing. */
static bool
waits_for_decision(const StateMember *member)
{
	return member->joined || member->changed || member->state == MEMBER_AWAY;
}

static void
advance_members(Decider *d)
{
	int			i;

	for (i = 0; i < d->group->nmembers; i++)
	{
		const StateMember *member = &d->group->members[i];
		MemberState state = state_of(&d->members[i]);
		int32		epoch = d->members[i].gives ? member->epoch : d->target_epoch;

		if (d->members[i].gone || d->members[i].away)
			continue;
		d->members[i].wake |= waits_for_decision(member);
		if (state != member->state || epoch != member->epoch)
			change(d, CHANGE_MEMBER, i, -1, epoch)->state = state;
	}
}

static void
wake_members(Decider *d)
{
	int			i;

	for (i = 0; i < d->group->nmembers; i++)
		if (d->members[i].wake && !d->members[i].away)
			change(d, CHANGE_WAKE, i, -1, 0);
}

static int64
next_deadline(const Decider *d)
{
	int64		result = NEVER;
	FenceReason reason;
	int			i;

	for (i = 0; i < d->group->nmembers; i++)
		if (!d->members[i].gone)
		{
			int64		deadline = member_deadline(d, i, &reason);

			result = Min(result, deadline);
		}
	return result;
}

static GroupPhase
phase_after(const Decider *d)
{
	GroupPhase	phase = GROUP_EMPTY;
	int			i;

	for (i = 0; i < d->group->nmembers; i++)
	{
		if (d->members[i].gone)
			continue;
		if (d->members[i].away || state_of(&d->members[i]) != MEMBER_STABLE)
			return GROUP_RECONCILING;
		phase = GROUP_STABLE;
	}
	return phase;
}

/* When to decide about a group whose members have all just joined; NEVER: now. */
static int64
end_of_company(const GroupSnapshot *group, int64 now)
{
	int64		first = NEVER;
	int64		last = 0;
	int64		end;
	int			i;

	for (i = 0; i < group->nmembers; i++)
	{
		if (!group->members[i].joined)
			return NEVER;
		first = Min(first, group->members[i].joined_at);
		last = Max(last, group->members[i].joined_at);
	}
	if (group->nmembers == 0)
		return NEVER;
	end = Min(last + COMPANY_MS, first + LONGEST_COMPANY_MS);
	/* much later: the clock has been set back */
	return end <= now || end > now + LONGEST_COMPANY_MS ? NEVER : end;
}

void
group_decide(const GroupSnapshot *group, int64 now, GroupDecision *decision, void *scratch)
{
	Decider		d;

	carve_all(&d, group, scratch);
	d.group = group;
	d.now = now;
	d.decision = decision;
	d.group_epoch = group->group_epoch;
	d.target_epoch = group->target_epoch;
	decision->nchanges = 0;
	decision->next_deadline = end_of_company(group, now);
	if (decision->next_deadline != NEVER)
	{
		decision->phase = GROUP_ASSIGNING;
		return;
	}

	start(&d);
	review_members(&d);
	bump_group_epoch(&d);
	choose_targets(&d);
	take_back(&d);
	give(&d);
	advance_members(&d);
	wake_members(&d);
	decision->next_deadline = next_deadline(&d);
	decision->phase = phase_after(&d);
}

GroupPhase
group_phase(const GroupSnapshot *group)
{
	GroupPhase	phase = GROUP_STABLE;
	int			i;

	if (group->nmembers == 0)
		return GROUP_EMPTY;
	if (group->metadata_changed || group->group_epoch > group->target_epoch)
		return GROUP_ASSIGNING;
	for (i = 0; i < group->nmembers; i++)
	{
		const StateMember *member = &group->members[i];

		if (member->joined || member->changed || member->left)
			return GROUP_ASSIGNING;
		if (member->state != MEMBER_STABLE)
			phase = GROUP_RECONCILING;
	}
	return phase;
}
