/*-------------------------------------------------------------------------
 *
 * assignor_test.c
 *	  Kafka's examples of range, and the promises of uniform.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include <time.h>

#include "group/assignor.h"
#include "tap.h"

#define KEY_SIZE	8

/* An input that owns its memory. */
typedef struct Case
{
	AssignInput input;
	AssignTopic *topics;
	AssignMember *members;
	char	   *keys;
	bool	   *subscribed;
	int		   *present;
	int		   *target;
} Case;

static AssignMember *
member_of(Case *c, int member)
{
	return &c->members[member];
}

static bool *
subscription(Case *c, int member)
{
	return c->subscribed + member * c->input.ntopics;
}

static void
set_key(Case *c, int member, const char *key)
{
	snprintf(c->keys + member * KEY_SIZE, KEY_SIZE, "%s", key);
}

/* Everybody subscribes to everything, and nobody has anything. */
static void
make_case(Case *c, int nmembers, int ntopics, const int *partitions)
{
	int			i;

	c->topics = calloc(ntopics + 1, sizeof(AssignTopic));
	c->members = calloc(nmembers + 1, sizeof(AssignMember));
	c->keys = calloc(nmembers + 1, KEY_SIZE);
	c->subscribed = calloc((nmembers + 1) * (ntopics + 1), sizeof(bool));
	c->input.ntopics = ntopics;
	c->input.topics = c->topics;
	c->input.nmembers = nmembers;
	c->input.members = c->members;
	c->input.npartitions = 0;
	for (i = 0; i < ntopics; i++)
	{
		c->topics[i].first = c->input.npartitions;
		c->topics[i].partitions = partitions[i];
		c->input.npartitions += partitions[i];
	}
	c->present = calloc(c->input.npartitions + 1, sizeof(int));
	c->target = calloc(c->input.npartitions + 1, sizeof(int));
	c->input.present = c->present;
	for (i = 0; i < c->input.npartitions; i++)
		c->present[i] = NO_MEMBER;
	for (i = 0; i < nmembers; i++)
	{
		char		key[16];

		snprintf(key, sizeof(key), "m%05d", i);
		set_key(c, i, key);
		c->members[i].order_key = c->keys + i * KEY_SIZE;
		c->members[i].subscribed = subscription(c, i);
	}
	memset(c->subscribed, true, nmembers * ntopics);
}

static void
free_case(Case *c)
{
	free(c->topics);
	free(c->members);
	free(c->keys);
	free(c->subscribed);
	free(c->present);
	free(c->target);
}

/* The scratch memory comes dirty and exactly as large as asked for. */
static void
run(Case *c, AssignorKind kind)
{
	size_t		size = assign_scratch_size(kind, &c->input);
	char	   *scratch = malloc(size);

	if (size < 65536)
		memset(scratch, 0x5a, size);
	assign(kind, &c->input, c->target, scratch);
	free(scratch);
}

/* The next assignment starts from this one. */
static void
settle(Case *c)
{
	memcpy(c->present, c->target, c->input.npartitions * sizeof(int));
}

/* Targets as letters, one per partition: A is member 0. */
static bool
target_is(const Case *c, const char *wanted)
{
	int			i;

	for (i = 0; i < c->input.npartitions; i++)
	{
		char		letter = c->target[i] == NO_MEMBER ? '-' : 'A' + c->target[i];

		if (*wanted == ' ')
			wanted++;
		if (letter != *wanted++)
			return false;
	}
	return true;
}

static int
load_of(const Case *c, int member)
{
	int			load = 0;
	int			i;

	for (i = 0; i < c->input.npartitions; i++)
		load += c->target[i] == member;
	return load;
}

/* How many partitions change hands that somebody has. */
static int
count_moves(const Case *c)
{
	int			moves = 0;
	int			i;

	for (i = 0; i < c->input.npartitions; i++)
		moves += c->present[i] != NO_MEMBER && c->target[i] != c->present[i];
	return moves;
}

/* Kafka's own tests and documentation; members are A, B, C. */
static void
test_range(void)
{
	static const int three_two[] = {3, 2};
	static const int three_three[] = {3, 3};
	static const int three_three_two[] = {3, 3, 2};
	static const int eight[] = {8};
	Case		c;

	make_case(&c, 2, 2, three_three);
	run(&c, ASSIGNOR_RANGE);
	ok(target_is(&c, "AAB AAB"), "range: two members, equal topics: co-partitioned");
	settle(&c);
	c.present[0] = 1;
	run(&c, ASSIGNOR_RANGE);
	ok(target_is(&c, "AAB AAB"), "range: what is present does not matter");
	free_case(&c);

	make_case(&c, 2, 2, three_two);
	run(&c, ASSIGNOR_RANGE);
	ok(target_is(&c, "AAB AB"), "range: two members, unequal topics");
	free_case(&c);

	make_case(&c, 3, 2, three_two);
	run(&c, ASSIGNOR_RANGE);
	ok(target_is(&c, "ABC AB"), "range: more members than partitions");
	free_case(&c);

	make_case(&c, 3, 3, three_three_two);
	memset(c.subscribed, 0, 9);
	subscription(&c, 0)[0] = subscription(&c, 0)[1] = true;
	subscription(&c, 1)[2] = true;
	subscription(&c, 2)[1] = subscription(&c, 2)[2] = true;
	run(&c, ASSIGNOR_RANGE);
	ok(target_is(&c, "AAA AAC BC"), "range: different subscriptions");
	subscription(&c, 0)[0] = false;
	run(&c, ASSIGNOR_RANGE);
	ok(target_is(&c, "--- AAC BC"), "range: a topic without subscribers");
	free_case(&c);

	make_case(&c, 3, 1, eight);
	run(&c, ASSIGNOR_RANGE);
	ok(target_is(&c, "AAABBBCC"), "range: the first members get the remainder");
	set_key(&c, 0, "z");
	run(&c, ASSIGNOR_RANGE);
	ok(target_is(&c, "BBBCCCAA"), "range: the keys decide");
	member_of(&c, 0)->is_static = true;
	run(&c, ASSIGNOR_RANGE);
	ok(target_is(&c, "AAABBBCC"), "range: static members come first");
	free_case(&c);
}

static void
test_nothing(void)
{
	static const int some[] = {3, 0};
	AssignorKind kind;
	Case		c;

	for (kind = ASSIGNOR_UNIFORM; kind <= ASSIGNOR_RANGE; kind++)
	{
		make_case(&c, 0, 2, some);
		run(&c, kind);
		ok(target_is(&c, "---"), "no members");
		free_case(&c);

		make_case(&c, 2, 0, some);
		run(&c, kind);
		ok(target_is(&c, ""), "no topics");
		free_case(&c);

		make_case(&c, 2, 2, some);
		memset(c.subscribed, 0, 4);
		run(&c, kind);
		ok(target_is(&c, "---"), "no subscriptions");
		free_case(&c);
	}
}

static void
test_uniform(void)
{
	static const int ten[] = {10};
	static const int four_four[] = {4, 4};
	static const int two[] = {2};
	Case		c;

	make_case(&c, 2, 2, four_four);
	run(&c, ASSIGNOR_UNIFORM);
	ok(target_is(&c, "ABAB ABAB"), "uniform: dealt round, a fair part of every topic");
	memset(c.present, 0, 8 * sizeof(int));
	run(&c, ASSIGNOR_UNIFORM);
	ok(target_is(&c, "ABAB ABAB"), "uniform: given up evenly over the topics");
	free_case(&c);

	make_case(&c, 3, 1, ten);
	memcpy(c.present, (int[]) {0, 0, 0, 0, 0, 0, 1, 1, 1, 1}, 10 * sizeof(int));
	run(&c, ASSIGNOR_UNIFORM);
	ok(load_of(&c, 0) == 4 && load_of(&c, 1) == 3 && load_of(&c, 2) == 3 &&
	   count_moves(&c) == 3, "uniform: a member joins, three of ten move");
	settle(&c);
	run(&c, ASSIGNOR_UNIFORM);
	ok(count_moves(&c) == 0, "uniform: again, nothing moves");
	memset(subscription(&c, 1), 0, 1);
	run(&c, ASSIGNOR_UNIFORM);
	ok(load_of(&c, 0) == 5 && load_of(&c, 2) == 5 && count_moves(&c) == 3,
	   "uniform: a member leaves, its three move");
	free_case(&c);

	make_case(&c, 3, 1, two);
	c.present[0] = 2;
	c.present[1] = 1;
	run(&c, ASSIGNOR_UNIFORM);
	ok(target_is(&c, "CB"), "uniform: more members than partitions, nothing moves");
	free_case(&c);
}

/* Kafka's examples for unlike subscriptions, in spirit: loads as even as may be. */
static void
test_uniform_unlike(void)
{
	static const int three_three_two[] = {3, 3, 2};
	static const int four_four_four[] = {4, 4, 4};
	static const int six_two[] = {6, 2};
	Case		c;

	make_case(&c, 3, 3, three_three_two);
	memset(c.subscribed, 0, 9);
	subscription(&c, 0)[0] = subscription(&c, 0)[1] = true;
	subscription(&c, 1)[2] = true;
	subscription(&c, 2)[1] = subscription(&c, 2)[2] = true;
	run(&c, ASSIGNOR_UNIFORM);
	ok(load_of(&c, 0) == 3 && load_of(&c, 1) == 2 && load_of(&c, 2) == 3,
	   "uniform: a chain of subscriptions comes out even");
	free_case(&c);

	/* A's own topic is listed last, yet first to be placed */
	make_case(&c, 3, 3, four_four_four);
	memset(c.subscribed, 0, 9);
	subscription(&c, 0)[0] = subscription(&c, 1)[0] = true;
	subscription(&c, 1)[1] = subscription(&c, 2)[1] = true;
	subscription(&c, 0)[2] = true;
	run(&c, ASSIGNOR_UNIFORM);
	ok(target_is(&c, "BBBB CCCC AAAA"), "uniform: who has least choice comes first");
	free_case(&c);

	/* A alone wants the second topic, so B gets more of the first */
	make_case(&c, 2, 2, six_two);
	subscription(&c, 1)[1] = false;
	run(&c, ASSIGNOR_UNIFORM);
	ok(load_of(&c, 0) == 4 && load_of(&c, 1) == 4 && c.target[6] == 0 && c.target[7] == 0,
	   "uniform: who alone wants a topic gets less of the others");
	settle(&c);
	subscription(&c, 1)[1] = true;
	run(&c, ASSIGNOR_UNIFORM);
	ok(count_moves(&c) == 0, "uniform: a wider subscription moves nothing by itself");
	free_case(&c);
}

/* Loads that differ by at most one, and the shortest way there. */
static bool
is_minimal(const Case *c)
{
	int			nmembers = c->input.nmembers;
	int			quota = c->input.npartitions / nmembers;
	int			extra = c->input.npartitions % nmembers;
	int			may_stay = 0;
	int			stayed = 0;
	int			member;
	int			i;

	for (member = 0; member < nmembers; member++)
	{
		int			had = 0;
		int			load = load_of(c, member);

		if (load < quota || load > quota + 1)
			return false;
		for (i = 0; i < c->input.npartitions; i++)
		{
			had += c->present[i] == member;
			stayed += c->present[i] == member && c->target[i] == member;
		}
		may_stay += Min(had, quota);
		if (had > quota && extra > 0)
		{
			may_stay++;
			extra--;
		}
	}
	return stayed == may_stay;
}

/* Nobody could take a partition from someone who has two more. */
static bool
is_settled(const Case *c)
{
	int			topic;
	int			i;
	int			member;

	for (topic = 0; topic < c->input.ntopics; topic++)
		for (i = c->topics[topic].first; i < c->topics[topic].first + c->topics[topic].partitions; i++)
			for (member = 0; member < c->input.nmembers; member++)
				if (c->members[member].subscribed[topic] &&
					load_of(c, c->target[i]) > load_of(c, member) + 1)
					return false;
	return true;
}

static bool
is_complete(const Case *c)
{
	int			topic;
	int			i;
	int			member;

	for (topic = 0; topic < c->input.ntopics; topic++)
	{
		bool		wanted = false;

		for (member = 0; member < c->input.nmembers; member++)
			wanted |= c->members[member].subscribed[topic];
		for (i = c->topics[topic].first; i < c->topics[topic].first + c->topics[topic].partitions; i++)
			if ((c->target[i] != NO_MEMBER) != wanted ||
				(wanted && !c->members[c->target[i]].subscribed[topic]))
				return false;
	}
	return true;
}

/* The same members and topics in another order. */
static bool
is_independent_of_order(Case *c, AssignorKind kind)
{
	int			nmembers = c->input.nmembers;
	int			ntopics = c->input.ntopics;
	int			turn = 1 + tap_random() % 7;
	Case		other;
	bool		same = true;
	int			partitions[16] = {0};
	int			i;
	int			topic;

	for (i = 0; i < ntopics; i++)
		partitions[i] = c->topics[(i + turn) % ntopics].partitions;
	make_case(&other, nmembers, ntopics, partitions);
	for (topic = 0; topic < ntopics; topic++)
		other.topics[topic].first = c->topics[(topic + turn) % ntopics].first;
	for (i = 0; i < nmembers; i++)
	{
		int			from = (i + turn) % nmembers;

		set_key(&other, i, c->members[from].order_key);
		other.members[i].is_static = c->members[from].is_static;
		for (topic = 0; topic < ntopics; topic++)
			subscription(&other, i)[topic] =
				c->members[from].subscribed[(topic + turn) % ntopics];
	}
	for (i = 0; i < c->input.npartitions; i++)
		if (c->present[i] != NO_MEMBER)
			other.present[i] = (c->present[i] + nmembers * 7 - turn) % nmembers;
	run(&other, kind);
	for (i = 0; i < c->input.npartitions; i++)
		if (c->target[i] != NO_MEMBER)
			same &= c->target[i] == (other.target[i] + turn) % nmembers;
	free_case(&other);
	return same;
}

static void
make_random_case(Case *c, bool alike)
{
	int			ntopics = 1 + tap_random() % 6;
	int			nmembers = 1 + tap_random() % 12;
	int			partitions[6];
	int			i;

	for (i = 0; i < ntopics; i++)
		partitions[i] = tap_random() % 12;
	make_case(c, nmembers, ntopics, partitions);
	for (i = 0; i < nmembers; i++)
		c->members[i].is_static = tap_random() % 4 == 0;
	if (!alike)
		for (i = 0; i < nmembers * ntopics; i++)
			c->subscribed[i] = tap_random() % 3 > 0;
	/* anything: also members that do not subscribe */
	if (tap_random() % 4 > 0)
		for (i = 0; i < c->input.npartitions; i++)
			c->present[i] = (int) (tap_random() % (nmembers + 1)) - 1;
}

static void
test_random(bool alike)
{
	bool		complete = true;
	bool		minimal = true;
	bool		settled = true;
	bool		sticky = true;
	bool		ordered = true;
	int			i;

	for (i = 0; i < 5000; i++)
	{
		Case		c;

		make_random_case(&c, alike);
		run(&c, ASSIGNOR_RANGE);
		complete &= is_complete(&c);
		ordered &= is_independent_of_order(&c, ASSIGNOR_RANGE);
		run(&c, ASSIGNOR_UNIFORM);
		complete &= is_complete(&c);
		settled &= is_settled(&c);
		ordered &= is_independent_of_order(&c, ASSIGNOR_UNIFORM);
		if (alike)
			minimal &= is_minimal(&c);
		settle(&c);
		run(&c, ASSIGNOR_UNIFORM);
		sticky &= count_moves(&c) == 0;
		free_case(&c);
	}
	ok(complete, alike ? "alike: every partition has a subscriber" :
	   "unlike: every partition has a subscriber");
	ok(ordered, alike ? "alike: the order of the lists does not matter" :
	   "unlike: the order of the lists does not matter");
	ok(settled, alike ? "alike: no single move would help" :
	   "unlike: no single move would help");
	ok(sticky, alike ? "alike: a second time nothing moves" :
	   "unlike: a second time nothing moves");
	if (alike)
		ok(minimal, "alike: loads within one, and no shorter way there");
}

static double
elapsed_ms(Case *c)
{
	clock_t		start = clock();

	run(c, ASSIGNOR_UNIFORM);
	return (double) (clock() - start) * 1000 / CLOCKS_PER_SEC;
}

/* What took one member long takes another not: the limits are generous. */
static void
test_speed(void)
{
	int			partitions[1000];
	Case		c;
	double		ms;
	int			i;

	for (i = 0; i < 1000; i++)
		partitions[i] = 100;

	make_case(&c, 100, 10, partitions);
	run(&c, ASSIGNOR_UNIFORM);
	settle(&c);
	memset(subscription(&c, 42), 0, 10);
	ms = elapsed_ms(&c);
	printf("# 100 members, 1,000 partitions: %.3f ms\n", ms);
	ok(ms < 20 && count_moves(&c) == 10, "one of 100 members leaves 1,000 partitions");
	free_case(&c);

	make_case(&c, 1000, 1000, partitions);
	run(&c, ASSIGNOR_UNIFORM);
	settle(&c);
	memset(subscription(&c, 42), 0, 1000);
	ms = elapsed_ms(&c);
	printf("# 1,000 members, 100,000 partitions: %.3f ms\n", ms);
	ok(ms < 2000 && count_moves(&c) == 100, "one of 1,000 members leaves 100,000 partitions");

	for (i = 0; i < 1000 * 1000; i++)
		c.subscribed[i] = tap_random() % 2;
	ms = elapsed_ms(&c);
	printf("# the same, every subscription another: %.3f ms\n", ms);
	ok(ms < 10000 && is_complete(&c), "1,000 members with 1,000 different subscriptions");
	settle(&c);
	memset(subscription(&c, 43), 0, 1000);
	ms = elapsed_ms(&c);
	printf("# and one leaves: %.3f ms, %d moves\n", ms, count_moves(&c));
	ok(ms < 10000, "one of 1,000 with different subscriptions leaves");

	/* a long chain: member i subscribes to topics i and i + 1 */
	memset(c.subscribed, 0, 1000 * 1000);
	for (i = 0; i < 1000; i++)
	{
		subscription(&c, i)[i] = true;
		if (i > 0)
			subscription(&c, i)[i - 1] = true;
		c.present[i * 100] = 0;
	}
	ms = elapsed_ms(&c);
	printf("# a chain: %.3f ms\n", ms);
	ok(ms < 20000 && is_complete(&c), "1,000 members in a chain");
	free_case(&c);
}

int
main(void)
{
	test_nothing();
	test_range();
	test_uniform();
	test_uniform_unlike();
	test_random(true);
	test_random(false);
	test_speed();
	return done_testing();
}
