/*-------------------------------------------------------------------------
 *
 * group_sim.h
 *	  A group in plain memory, which applies decisions and watches the rules.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_TEST_GROUP_SIM_H
#define PGTOPIC_TEST_GROUP_SIM_H

#include "c.h"

#include "group/group_state.h"
#include "tap.h"

#define MAX_MEMBERS		12
#define MAX_TOPICS		5
#define MAX_PER_TOPIC	10
#define MAX_PARTITIONS	(MAX_TOPICS * MAX_PER_TOPIC)
#define KEY_SIZE		8

#define MAX_POLL		1000
#define SESSION			300

/* What shared memory will hold, and what the last decision was. */
typedef struct Sim
{
	int64		now;
	int32		group_epoch;
	int32		target_epoch;
	AssignorKind assignor;
	bool		metadata_changed;
	int			ntopics;
	AssignTopic topics[MAX_TOPICS];
	int			nmembers;
	StateMember members[MAX_MEMBERS];
	char		keys[MAX_MEMBERS][KEY_SIZE];
	bool		subscribed[MAX_MEMBERS][MAX_TOPICS];
	int			npartitions;
	StatePartition partitions[MAX_PARTITIONS];
	int32		assignment_epoch[MAX_PARTITIONS];

	GroupPhase	phase;
	int64		next_deadline;
	int			nchanges;
	bool		removed[MAX_MEMBERS];
	bool		sound;			/* every rule kept so far */
	int			broken;			/* line of the first that was not */
	char		log[8192];
} Sim;

#define must(condition) \
	do { \
		if (sim->sound && !(condition)) \
		{ \
			sim->sound = false; \
			sim->broken = __LINE__; \
		} \
	} while (0)

/* ---- The group as the sessions see it ---- */

static inline void
add_topic(Sim *sim, int partitions)
{
	AssignTopic *topic = &sim->topics[sim->ntopics++];
	int			i;

	topic->first = sim->npartitions;
	topic->partitions = partitions;
	for (i = 0; i < partitions; i++)
	{
		StatePartition *partition = &sim->partitions[sim->npartitions++];

		memset(partition, 0, sizeof(*partition));
		partition->owner = NO_MEMBER;
		partition->target = NO_MEMBER;
	}
}

static inline void
init(Sim *sim, int partitions)
{
	memset(sim, 0, sizeof(*sim));
	sim->now = 5000;
	sim->sound = true;
	add_topic(sim, partitions);
}

/* Pointers that a move of entries has made wrong. */
static inline void
point(Sim *sim)
{
	int			i;

	for (i = 0; i < sim->nmembers; i++)
	{
		sim->members[i].order_key = sim->keys[i];
		sim->members[i].subscribed = sim->subscribed[i];
	}
}

static inline StateMember *
join(Sim *sim, const char *key)
{
	StateMember *member = &sim->members[sim->nmembers];

	memset(member, 0, sizeof(*member));
	snprintf(sim->keys[sim->nmembers], KEY_SIZE, "%s", key);
	memset(sim->subscribed[sim->nmembers], true, MAX_TOPICS);
	member->joined = true;
	member->max_poll_interval = MAX_POLL;
	member->session_timeout = SESSION;
	sim->nmembers++;
	point(sim);
	return member;
}

static inline StateMember *
join_static(Sim *sim, const char *key)
{
	StateMember *member = join(sim, key);

	member->is_static = true;
	return member;
}

static inline int
number_of(const Sim *sim, const char *key)
{
	int			i;

	for (i = 0; i < sim->nmembers; i++)
		if (strcmp(sim->keys[i], key) == 0)
			return i;
	return NO_MEMBER;
}

static inline StateMember *
member_of(Sim *sim, const char *key)
{
	return &sim->members[number_of(sim, key)];
}

static inline void
deliver(Sim *sim, int number)
{
	StatePartition *partition = &sim->partitions[number];
	StateMember *owner = &sim->members[partition->owner];

	partition->in_flight = true;
	if (owner->in_flight_since == 0)
		owner->in_flight_since = sim->now;
}

/* A member that has nothing in flight any more cannot be late with it. */
static inline void
review_in_flight(Sim *sim, int member)
{
	bool		any = false;
	int			i;

	for (i = 0; i < sim->npartitions; i++)
		any |= sim->partitions[i].owner == member && sim->partitions[i].in_flight;
	if (!any)
		sim->members[member].in_flight_since = 0;
}

/* The owner's transaction is over, or it has let go what was asked back. */
static inline void
release(Sim *sim, int number)
{
	sim->partitions[number].in_flight = false;
	review_in_flight(sim, sim->partitions[number].owner);
}

/* ---- Applying, and asserting the rules while at it ---- */

static inline void
note(Sim *sim, const char *what, const char *who, int64 value)
{
	size_t		length = strlen(sim->log);

	snprintf(sim->log + length, sizeof(sim->log) - length,
			 value < 0 ? "%s%s%s" : "%s%s%s" INT64_FORMAT,
			 length > 0 ? " " : "", what, who, value);
}

static inline void
apply_fence(Sim *sim, const GroupChange *change)
{
	static const char *const reasons[] = {
		"left:", "session:", "uncommitted:", "idle:", "asked:"
	};

	must(!sim->members[change->member].committing);
	sim->removed[change->member] = true;
	note(sim, reasons[change->value], sim->keys[change->member], -1);
}

static inline void
apply_away(Sim *sim, const GroupChange *change)
{
	must(change->state == MEMBER_AWAY);
	must(sim->members[change->member].is_static);
	sim->members[change->member].state = change->state;
	note(sim, "away:", sim->keys[change->member], -1);
}

static inline void
apply_group_epoch(Sim *sim, const GroupChange *change)
{
	int			i;

	must(change->value == sim->group_epoch + 1);
	sim->group_epoch = change->value;
	sim->metadata_changed = false;
	for (i = 0; i < sim->nmembers; i++)
		sim->members[i].joined = sim->members[i].changed = false;
	note(sim, "group", "=", change->value);
}

static inline void
apply_target(Sim *sim, const GroupChange *change)
{
	must(change->member == NO_MEMBER || !sim->removed[change->member]);
	sim->partitions[change->partition].target = change->member;
	note(sim, change->member == NO_MEMBER ? "-" : sim->keys[change->member], ":",
		 change->partition);
}

static inline void
apply_free(Sim *sim, const GroupChange *change)
{
	StatePartition *partition = &sim->partitions[change->partition];

	must(partition->owner != NO_MEMBER);
	must(partition->owner != partition->target);
	must(!partition->committing);
	must(!partition->in_flight || sim->removed[partition->owner] ||
		 sim->members[partition->owner].away_since != 0);
	if (partition->in_flight)
		release(sim, change->partition);
	partition->owner = NO_MEMBER;
	partition->asked_since = 0;
	note(sim, "free", "", change->partition);
}

static inline void
apply_ask_back(Sim *sim, const GroupChange *change)
{
	StatePartition *partition = &sim->partitions[change->partition];

	must(partition->owner == change->member && partition->asked_since == 0);
	must(partition->owner != partition->target);
	partition->asked_since = sim->now;
	note(sim, "ask", "", change->partition);
}

static inline void
apply_keep(Sim *sim, const GroupChange *change)
{
	StatePartition *partition = &sim->partitions[change->partition];

	must(partition->owner == change->member && partition->asked_since != 0);
	must(partition->owner == partition->target);
	partition->asked_since = 0;
	note(sim, "keep", "", change->partition);
}

static inline void
apply_give(Sim *sim, const GroupChange *change)
{
	StatePartition *partition = &sim->partitions[change->partition];
	int			i;

	must(partition->owner == NO_MEMBER);
	must(partition->target == change->member);
	must(!partition->committing && !partition->in_flight);
	must(!sim->removed[change->member]);
	must(sim->members[change->member].away_since == 0);
	for (i = 0; i < sim->npartitions; i++)
		must(sim->partitions[i].owner != change->member ||
			 sim->partitions[i].target == change->member);
	must(change->value >= sim->assignment_epoch[change->partition]);
	must(change->value == sim->target_epoch);
	partition->owner = change->member;
	sim->assignment_epoch[change->partition] = change->value;
	note(sim, "give", "", change->partition);
}

static inline void
apply_member(Sim *sim, const GroupChange *change)
{
	static const char *const states[] = {"=stable@", "=unrevoked@", "=unreleased@", "=away@"};
	StateMember *member = &sim->members[change->member];

	must(!sim->removed[change->member]);
	must(change->value >= member->epoch);
	must(change->state != MEMBER_AWAY);
	must(change->value == (change->state == MEMBER_UNREVOKED ? member->epoch : sim->target_epoch));
	member->epoch = change->value;
	member->state = change->state;
	note(sim, sim->keys[change->member], states[change->state], change->value);
}

static inline void
apply_change(Sim *sim, const GroupChange *change)
{
	switch (change->kind)
	{
		case CHANGE_FENCE:
			apply_fence(sim, change);
			break;
		case CHANGE_AWAY:
			apply_away(sim, change);
			break;
		case CHANGE_GROUP_EPOCH:
			apply_group_epoch(sim, change);
			break;
		case CHANGE_TARGET:
			apply_target(sim, change);
			break;
		case CHANGE_TARGET_EPOCH:
			must(change->value == sim->group_epoch && change->value > sim->target_epoch);
			sim->target_epoch = change->value;
			break;
		case CHANGE_FREE:
			apply_free(sim, change);
			break;
		case CHANGE_ASK_BACK:
			apply_ask_back(sim, change);
			break;
		case CHANGE_KEEP:
			apply_keep(sim, change);
			break;
		case CHANGE_GIVE:
			apply_give(sim, change);
			break;
		case CHANGE_MEMBER:
			apply_member(sim, change);
			break;
		case CHANGE_WAKE:
			must(sim->members[change->member].away_since == 0);
			note(sim, "wake:", sim->keys[change->member], -1);
			break;
	}
}

/* Entries of removed members go, and nothing may point to them. */
static inline void
remove_entries(Sim *sim)
{
	int			number;
	int			i;

	for (number = sim->nmembers - 1; number >= 0; number--)
	{
		if (!sim->removed[number])
			continue;
		sim->nmembers--;
		memmove(&sim->members[number], &sim->members[number + 1],
				(sim->nmembers - number) * sizeof(sim->members[0]));
		memmove(sim->keys[number], sim->keys[number + 1],
				(sim->nmembers - number) * sizeof(sim->keys[0]));
		memmove(sim->subscribed[number], sim->subscribed[number + 1],
				(sim->nmembers - number) * sizeof(sim->subscribed[0]));
		for (i = 0; i < sim->npartitions; i++)
		{
			StatePartition *partition = &sim->partitions[i];

			must(partition->owner != number && partition->target != number);
			partition->owner -= partition->owner > number;
			partition->target -= partition->target > number;
		}
	}
	memset(sim->removed, 0, sizeof(sim->removed));
	point(sim);
}

static inline void
take_snapshot(Sim *sim, GroupSnapshot *group)
{
	group->group_epoch = sim->group_epoch;
	group->target_epoch = sim->target_epoch;
	group->assignor = sim->assignor;
	group->metadata_changed = sim->metadata_changed;
	group->ntopics = sim->ntopics;
	group->topics = sim->topics;
	group->nmembers = sim->nmembers;
	group->members = sim->members;
	group->npartitions = sim->npartitions;
	group->partitions = sim->partitions;
}

/* Memory exactly as large as asked for, so that the sanitizer sees more. */
static inline void
decide_once(Sim *sim)
{
	GroupSnapshot group;
	GroupDecision decision;
	size_t		size;
	void	   *scratch;
	int			i;

	take_snapshot(sim, &group);
	size = group_scratch_size(&group);
	scratch = malloc(size);
	memset(scratch, 0x5a, size);
	decision.capacity = group_changes_max(&group);
	decision.changes = malloc(decision.capacity * sizeof(GroupChange));
	group_decide(&group, sim->now, &decision, scratch);

	sim->log[0] = '\0';
	for (i = 0; i < decision.nchanges; i++)
		apply_change(sim, &decision.changes[i]);
	remove_entries(sim);
	sim->nchanges = decision.nchanges;
	sim->next_deadline = decision.next_deadline;
	sim->phase = decision.phase;
	free(decision.changes);
	free(scratch);
}

static inline bool
member_waits_to_leave(const Sim *sim)
{
	bool		any = false;
	int			i;

	for (i = 0; i < sim->nmembers; i++)
		any |= sim->members[i].left;
	return any;
}

/* A second decision must have nothing to add. */
static inline void
decide(Sim *sim)
{
	GroupSnapshot group;
	char		log[sizeof(sim->log)];
	int			nchanges;
	int64		next_deadline;
	GroupPhase	phase;

	decide_once(sim);
	strcpy(log, sim->log);
	nchanges = sim->nchanges;
	next_deadline = sim->next_deadline;
	phase = sim->phase;
	must(next_deadline > sim->now);

	decide_once(sim);
	must(sim->nchanges == 0);
	must(sim->next_deadline == next_deadline);
	must(sim->phase == phase);
	take_snapshot(sim, &group);
	must(group_phase(&group) == phase || member_waits_to_leave(sim));
	strcpy(sim->log, log);
	sim->nchanges = nchanges;
}

static inline bool
decided(Sim *sim, const char *log)
{
	decide(sim);
	if (strcmp(sim->log, log) == 0 && sim->sound)
		return true;
	printf("# wanted: %s\n# got:    %s\n# broken rule: line %d\n", log, sim->log, sim->broken);
	return false;
}

/* Owners as the last characters of their keys. */
static inline bool
owned(const Sim *sim, const char *wanted)
{
	char		owners[MAX_PARTITIONS + 1];
	int			i;

	for (i = 0; i < sim->npartitions; i++)
	{
		int			owner = sim->partitions[i].owner;

		owners[i] = owner == NO_MEMBER ? '-' : sim->keys[owner][strlen(sim->keys[owner]) - 1];
	}
	owners[i] = '\0';
	if (strcmp(owners, wanted) == 0)
		return true;
	printf("# wanted: %s\n# got:    %s\n", wanted, owners);
	return false;
}

#endif							/* PGTOPIC_TEST_GROUP_SIM_H */
