/*-------------------------------------------------------------------------
 *
 * group_chaos_test.c
 *	  A group to which anything happens at any time.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "group_sim.h"

static int
random_below(int bound)
{
	return (int) (tap_random() % bound);
}

static void
random_join(Sim *sim)
{
	static int	serial = 0;
	char		key[KEY_SIZE];
	int			i;

	if (sim->nmembers == MAX_MEMBERS)
		return;
	snprintf(key, sizeof(key), "x%d", serial++ % 100000);
	join(sim, key)->is_static = random_below(3) == 0;
	for (i = 0; i < MAX_TOPICS; i++)
		sim->subscribed[sim->nmembers - 1][i] = random_below(4) > 0;
}

/* What a session does; one that is away or has left does nothing. */
static void
random_session(Sim *sim, StateMember *member)
{
	int			i;

	if (member->left || member->away_since != 0)
	{
		if (!member->left && random_below(4) == 0)
			member->away_since = 0;
		return;
	}
	switch (random_below(8))
	{
		case 0:
			if (random_below(4) == 0)
				member->left = !member->committing;
			break;
		case 1:
			if (member->is_static && !member->committing)
				member->away_since = sim->now;
			break;
		case 2:
			member->changed = true;
			i = member - sim->members;
			sim->subscribed[i][random_below(MAX_TOPICS)] ^= true;
			break;
		default:
			member->idle_since = random_below(3) == 0 ? sim->now : 0;
			break;
	}
}

static void
end_commit(Sim *sim, int owner, bool releases)
{
	int			i;

	for (i = 0; i < sim->npartitions; i++)
		if (sim->partitions[i].owner == owner)
		{
			sim->partitions[i].committing = false;
			if (releases)
				release(sim, i);
		}
	sim->members[owner].committing = false;
}

/* What happens to a partition: a delivery, a release, a commit. */
static void
random_partition(Sim *sim, int number)
{
	StatePartition *partition = &sim->partitions[number];
	StateMember *owner;

	if (partition->owner == NO_MEMBER)
		return;
	owner = &sim->members[partition->owner];
	if (owner->left || owner->away_since != 0)
		return;
	switch (random_below(6))
	{
		case 0:
		case 1:
			if (partition->asked_since == 0)
				deliver(sim, number);
			break;
		case 2:
			if (!partition->committing)
				release(sim, number);
			break;
		case 3:
			if (partition->in_flight)
				partition->committing = owner->committing = true;
			break;
		default:
			end_commit(sim, partition->owner, random_below(2) == 0);
			break;
	}
}

/* Another list of topics; partitions that are still there keep their state. */
static void
random_topics(Sim *sim)
{
	Sim			old = *sim;
	int			victim = random_below(MAX_TOPICS);
	int			topic;
	int			i;

	sim->ntopics = 0;
	sim->npartitions = 0;
	for (topic = 0; topic < old.ntopics; topic++)
	{
		int			had = old.topics[topic].partitions;
		int			grown = had + 1 + random_below(3);
		int			partitions = had;

		if (topic == victim)
			partitions = random_below(3) == 0 ? 0 : Min(grown, MAX_PER_TOPIC);
		add_topic(sim, partitions);
		for (i = 0; i < partitions; i++)
		{
			int			number = sim->topics[topic].first + i;

			sim->assignment_epoch[number] = 0;
			if (i >= had)
				continue;
			sim->partitions[number] = old.partitions[old.topics[topic].first + i];
			sim->assignment_epoch[number] = old.assignment_epoch[old.topics[topic].first + i];
		}
	}
	for (i = 0; i < sim->nmembers; i++)
		review_in_flight(sim, i);
	sim->metadata_changed = true;
}

static void
random_event(Sim *sim)
{
	int			kind = random_below(20);

	if (kind == 0)
		random_join(sim);
	else if (kind < 4 && sim->nmembers > 0)
		random_session(sim, &sim->members[random_below(sim->nmembers)]);
	else if (kind == 4 && random_below(5) == 0)
		random_topics(sim);
	else if (kind == 5)
		sim->now += random_below(MAX_POLL);
	else if (sim->npartitions > 0)
		random_partition(sim, random_below(sim->npartitions));
}

/* Nobody begins anything any more. */
static void
calm_down(Sim *sim)
{
	int			i;

	for (i = 0; i < sim->nmembers; i++)
	{
		sim->members[i].idle_since = 0;
		end_commit(sim, i, sim->members[i].away_since == 0);
	}
	decide(sim);
	sim->now += SESSION;
	decide(sim);
}

/* Every partition that somebody wants is somebody's who wants it. */
static bool
is_complete(const Sim *sim)
{
	int			topic;
	int			i;
	int			member;

	for (topic = 0; topic < sim->ntopics; topic++)
		for (i = sim->topics[topic].first;
			 i < sim->topics[topic].first + sim->topics[topic].partitions; i++)
		{
			int			owner = sim->partitions[i].owner;

			if (owner != NO_MEMBER)
			{
				if (!sim->subscribed[owner][topic])
					return false;
				continue;
			}
			for (member = 0; member < sim->nmembers; member++)
				if (sim->subscribed[member][topic])
					return false;
		}
	return true;
}

static void
test_chaos(void)
{
	bool		sound = true;
	bool		stable = true;
	bool		complete = true;
	int			fenced = 0;
	int			round;

	for (round = 0; round < 200; round++)
	{
		Sim			sim;
		int			step;

		init(&sim, 1 + random_below(MAX_PER_TOPIC));
		while (sim.ntopics < MAX_TOPICS)
			add_topic(&sim, random_below(MAX_PER_TOPIC));
		sim.assignor = round % 2 == 0 ? ASSIGNOR_UNIFORM : ASSIGNOR_RANGE;
		for (step = 0; step < 500; step++)
		{
			int			events = 1 + random_below(4);

			while (events-- > 0)
				random_event(&sim);
			decide(&sim);
			fenced += strstr(sim.log, "uncommitted:") != NULL;
			fenced += strstr(sim.log, "idle:") != NULL;
			fenced += strstr(sim.log, "asked:") != NULL;
			fenced += strstr(sim.log, "session:") != NULL;
		}
		calm_down(&sim);
		stable &= sim.phase == (sim.nmembers > 0 ? GROUP_STABLE : GROUP_EMPTY);
		complete &= is_complete(&sim);
		sound &= sim.sound;
		if (!sim.sound)
			printf("# broken rule: line %d\n", sim.broken);
	}
	printf("# %d decisions that removed somebody late\n", fenced);
	ok(sound, "chaos: every rule is kept after every step");
	ok(fenced > 1000, "chaos: there were many who were late");
	ok(stable, "chaos: stable in the end");
	ok(complete, "chaos: and nothing is left over");
}

int
main(void)
{
	test_chaos();
	return done_testing();
}
