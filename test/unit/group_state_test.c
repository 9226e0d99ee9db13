/*-------------------------------------------------------------------------
 *
 * group_state_test.c
 *	  Decisions about a group, state by state and rule by rule.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "group_sim.h"

/* m1 owns four partitions at epoch 1. */
static void
init_m1(Sim *sim)
{
	init(sim, 4);
	join(sim, "m1");
	decide(sim);
}

/* m1 and m2 own two partitions each at epoch 2. */
static void
init_m1_m2(Sim *sim)
{
	init_m1(sim);
	join(sim, "m2");
	decide(sim);
}

static void
test_join(void)
{
	Sim			sim;

	init(&sim, 2);
	ok(decided(&sim, "") && sim.phase == GROUP_EMPTY && sim.next_deadline == PG_INT64_MAX,
	   "an empty group has nothing to do");
	join(&sim, "m1");
	ok(decided(&sim, "group=1 m1:0 m1:1 give0 give1 m1=stable@1 wake:m1") &&
	   sim.phase == GROUP_STABLE, "the first member gets everything");

	init_m1(&sim);
	join(&sim, "m2");
	ok(decided(&sim, "group=2 m2:1 m2:3 free1 free3 give1 give3 m1=stable@2 m2=stable@2"
			   " wake:m1 wake:m2"), "what is not in flight moves at once");
	join(&sim, "m3");
	join(&sim, "m4");
	join(&sim, "m5");
	decide(&sim);
	ok(sim.group_epoch == 3 && sim.phase == GROUP_STABLE && sim.sound,
	   "three join: one group epoch");
	ok(strstr(sim.log, "m5=stable@3") != NULL && strstr(sim.log, "wake:m5") != NULL,
	   "who gets nothing is stable too, and told");
}

static void
test_company(void)
{
	Sim			sim;

	init(&sim, 4);
	join(&sim, "m1")->joined_at = sim.now;
	ok(decided(&sim, "") && sim.next_deadline == sim.now + COMPANY_MS &&
	   sim.phase == GROUP_ASSIGNING, "the first member waits for company");
	sim.now += COMPANY_MS - 1;
	join(&sim, "m2")->joined_at = sim.now;
	ok(decided(&sim, "") && sim.next_deadline == sim.now + COMPANY_MS,
	   "so does who has come");
	sim.now += COMPANY_MS;
	decide(&sim);
	ok(sim.group_epoch == 1 && sim.phase == GROUP_STABLE && sim.sound &&
	   strstr(sim.log, "free") == NULL, "nothing moves twice");

	join(&sim, "m3")->joined_at = sim.now;
	decide(&sim);
	ok(sim.group_epoch == 2 && sim.phase == GROUP_STABLE,
	   "a group that has members waits for nobody");

	init(&sim, 4);
	join(&sim, "m1")->joined_at = sim.now - LONGEST_COMPANY_MS + 1;
	join(&sim, "m2")->joined_at = sim.now;
	ok(decided(&sim, "") && sim.next_deadline == sim.now + 1, "not for ever");

	init(&sim, 4);
	join(&sim, "m1")->joined_at = sim.now + 1000 * 1000;
	decide(&sim);
	ok(sim.phase == GROUP_STABLE, "not for a clock that was set back");
}

static void
test_example(void)
{
	Sim			sim;

	init_m1(&sim);
	deliver(&sim, 3);
	join(&sim, "m2");
	ok(decided(&sim, "group=2 m2:1 m2:3 free1 ask3 give1 m1=unrevoked@1 m2=unreleased@2"
			   " wake:m1 wake:m2"), "m2 joins: what is in flight is asked back");
	ok(sim.phase == GROUP_RECONCILING && owned(&sim, "1211"), "reconciling");
	ok(sim.next_deadline == sim.now + MAX_POLL, "until it is released, or time is up");
	sim.now += 10;
	release(&sim, 3);
	ok(decided(&sim, "free3 give3 m1=stable@2 m2=stable@2 wake:m1 wake:m2") &&
	   sim.phase == GROUP_STABLE && owned(&sim, "1212"), "m1 releases it: stable");

	init_m1(&sim);
	deliver(&sim, 1);
	deliver(&sim, 3);
	join(&sim, "m2");
	decide(&sim);
	ok(owned(&sim, "1111") && sim.sound, "all in flight: nothing moves yet");
	release(&sim, 1);
	ok(decided(&sim, "free1 give1 wake:m1 wake:m2"), "one released, one to go");
	member_of(&sim, "m1")->in_flight_since = sim.now += MAX_POLL - 1;
	ok(decided(&sim, "") && sim.next_deadline == sim.now + 1, "almost too late");
	sim.now++;
	ok(decided(&sim, "asked:m1 group=3 m2:0 m2:2 free0 free2 free3 give0 give2 give3"
			   " m2=stable@3 wake:m1 wake:m2") && owned(&sim, "2222"),
	   "never released: m1 is removed, m2 gets all");
}

/* Late, but just in time for the decision. */
static void
test_released_late(void)
{
	Sim			sim;

	init_m1(&sim);
	deliver(&sim, 3);
	join(&sim, "m2");
	decide(&sim);
	sim.now += MAX_POLL;
	release(&sim, 3);
	decide(&sim);
	ok(sim.phase == GROUP_STABLE && owned(&sim, "1212") && sim.sound,
	   "released late, but before anybody looked");
}

static void
test_leave(void)
{
	Sim			sim;

	init_m1_m2(&sim);
	deliver(&sim, 0);
	member_of(&sim, "m1")->left = true;
	ok(decided(&sim, "left:m1 group=3 m2:0 m2:2 free0 free2 give0 give2 m2=stable@3 wake:m2") &&
	   owned(&sim, "2222"), "a member leaves: at once, also what is in flight");
	member_of(&sim, "m2")->left = true;
	ok(decided(&sim, "left:m2 group=4 -:0 -:1 -:2 -:3 free0 free1 free2 free3") &&
	   sim.phase == GROUP_EMPTY, "the last one leaves: empty");
	join(&sim, "m3");
	decide(&sim);
	ok(member_of(&sim, "m3")->epoch == 5 && sim.sound, "epochs go on");

	init_m1(&sim);
	member_of(&sim, "m1")->left = true;
	join(&sim, "m2");
	ok(decided(&sim, "left:m1 group=2 m2:0 m2:1 m2:2 m2:3 free0 free1 free2 free3"
			   " give0 give1 give2 give3 m2=stable@2 wake:m2"),
	   "one leaves while another joins: one group epoch");
}

/* A member asked for something gets nothing new, and goes straight to the latest target. */
static void
test_unrevoked(void)
{
	Sim			sim;

	init(&sim, 2);
	add_topic(&sim, 2);
	join(&sim, "m1");
	sim.subscribed[0][1] = false;
	decide(&sim);
	deliver(&sim, 0);
	deliver(&sim, 1);
	ok(owned(&sim, "11--"), "one of two topics");
	sim.subscribed[0][0] = false;
	sim.subscribed[0][1] = true;
	member_of(&sim, "m1")->changed = true;
	ok(decided(&sim, "group=2 -:0 -:1 m1:2 m1:3 ask0 ask1 m1=unrevoked@1 wake:m1"),
	   "the other topic instead: first give up");
	join(&sim, "m2");
	ok(decided(&sim, "group=3 m2:0 m2:1 m2=unreleased@3 wake:m2"),
	   "another joins for the first: the epoch stays frozen");
	release(&sim, 1);
	ok(decided(&sim, "free1 give1 wake:m1 wake:m2") && owned(&sim, "12--"),
	   "half released: still nothing new");
	release(&sim, 0);
	ok(decided(&sim, "free0 give0 give2 give3 m1=stable@3 m2=stable@3 wake:m1 wake:m2") &&
	   owned(&sim, "2211"), "all released: from epoch 1 to 3");
}

static void
test_keep(void)
{
	Sim			sim;

	init_m1(&sim);
	deliver(&sim, 1);
	deliver(&sim, 3);
	join(&sim, "m2");
	decide(&sim);
	sim.now += 10;
	member_of(&sim, "m1")->in_flight_since = sim.now;
	member_of(&sim, "m2")->left = true;
	ok(decided(&sim, "left:m2 group=3 m1:1 m1:3 keep1 keep3 m1=stable@3 wake:m1") &&
	   sim.next_deadline == sim.now + MAX_POLL, "m2 is gone again: m1 keeps what it has");
	sim.now += MAX_POLL - 1;
	member_of(&sim, "m1")->in_flight_since = sim.now;
	sim.now++;
	ok(decided(&sim, ""), "and is not late for it");

	init_m1(&sim);
	deliver(&sim, 3);
	join(&sim, "m2");
	decide(&sim);
	member_of(&sim, "m2")->left = true;
	join(&sim, "m3");
	ok(decided(&sim, "left:m2 group=3 m3:1 m3:3 free1 give1 m3=unreleased@3"
			   " wake:m3"), "another instead of m2: what was asked back is for it");

	init(&sim, 6);
	join(&sim, "z1");
	decide(&sim);
	join(&sim, "m2");
	decide(&sim);
	deliver(&sim, 0);
	deliver(&sim, 2);
	deliver(&sim, 4);
	join(&sim, "m3");
	decide(&sim);
	ok(owned(&sim, "121213") && sim.partitions[4].target == number_of(&sim, "m3"),
	   "m3 gets one now and one later");
	member_of(&sim, "m3")->left = true;
	decide(&sim);
	ok(owned(&sim, "121212") && strstr(sim.log, "keep4 free5 give5 z1=stable@4") != NULL && sim.sound,
	   "it is gone again: what had not moved stays where it is");
}

static void
test_deadlines(void)
{
	Sim			sim;

	init_m1_m2(&sim);
	deliver(&sim, 0);
	sim.now += MAX_POLL - 1;
	ok(decided(&sim, "") && sim.next_deadline == sim.now + 1, "uncommitted: not yet");
	sim.now++;
	member_of(&sim, "m1")->committing = true;
	ok(decided(&sim, "") && sim.next_deadline == PG_INT64_MAX, "uncommitted: but committing");
	member_of(&sim, "m1")->committing = false;
	ok(decided(&sim, "uncommitted:m1 group=3 m2:0 m2:2 free0 free2 give0 give2 m2=stable@3"
			   " wake:m1 wake:m2"), "uncommitted: removed and told");

	init_m1_m2(&sim);
	member_of(&sim, "m2")->idle_since = sim.now;
	decide(&sim);
	ok(sim.next_deadline == sim.now + MAX_POLL, "not consuming: a deadline");
	sim.now += MAX_POLL;
	ok(decided(&sim, "idle:m2 group=3 m1:1 m1:3 free1 free3 give1 give3 m1=stable@3"
			   " wake:m1 wake:m2"), "not consuming: removed and told");

	init_m1_m2(&sim);
	deliver(&sim, 0);
	deliver(&sim, 1);
	sim.now += MAX_POLL;
	ok(decided(&sim, "uncommitted:m1 uncommitted:m2 group=3 -:0 -:1 -:2 -:3"
			   " free0 free1 free2 free3 wake:m1 wake:m2") && sim.phase == GROUP_EMPTY,
	   "both late: both removed, one group epoch");

	init_m1_m2(&sim);
	deliver(&sim, 0);
	sim.now += MAX_POLL;
	member_of(&sim, "m1")->left = true;
	decide(&sim);
	ok(strncmp(sim.log, "left:m1 ", 8) == 0, "late, but it left: that is the reason");

	init_m1(&sim);
	deliver(&sim, 0);
	member_of(&sim, "m1")->max_poll_interval = PG_INT64_MAX - 1;
	ok(decided(&sim, "") && sim.next_deadline == PG_INT64_MAX, "an interval without end");
}

static void
test_committing(void)
{
	Sim			sim;

	init_m1(&sim);
	deliver(&sim, 3);
	sim.partitions[3].committing = true;
	member_of(&sim, "m1")->committing = true;
	join(&sim, "m2");
	decide(&sim);
	ok(owned(&sim, "1211") && sim.next_deadline == PG_INT64_MAX && sim.sound,
	   "a commit is waited for, without a deadline");
	sim.now += 100 * MAX_POLL;
	ok(decided(&sim, ""), "however long it takes");
	release(&sim, 3);
	ok(decided(&sim, ""), "also when nothing is in flight any more");
	sim.partitions[3].committing = false;
	member_of(&sim, "m1")->committing = false;
	ok(decided(&sim, "free3 give3 m1=stable@2 m2=stable@2 wake:m1 wake:m2"), "then it moves");

	init_m1_m2(&sim);
	sim.partitions[0].committing = true;
	member_of(&sim, "m1")->left = true;
	ok(decided(&sim, ""), "a member leaves with a mark: the mark goes first");
	sim.partitions[0].committing = false;
	decide(&sim);
	ok(owned(&sim, "2222"), "then the member");
}

static void
test_static(void)
{
	Sim			sim;

	init(&sim, 4);
	join_static(&sim, "s1");
	join_static(&sim, "s2");
	decide(&sim);
	deliver(&sim, 0);
	member_of(&sim, "s1")->away_since = sim.now;
	ok(decided(&sim, "away:s1") && owned(&sim, "1212") && sim.phase == GROUP_RECONCILING,
	   "static: away, its partitions wait");
	ok(sim.next_deadline == sim.now + SESSION, "static: for session_timeout");

	member_of(&sim, "s1")->away_since = 0;
	sim.now += SESSION;
	ok(decided(&sim, "s1=stable@1 wake:s1") && sim.phase == GROUP_STABLE,
	   "static: back in time, nothing has moved");

	member_of(&sim, "s1")->away_since = sim.now;
	member_of(&sim, "s1")->in_flight_since = sim.now - 10 * MAX_POLL;
	member_of(&sim, "s1")->idle_since = sim.now - 10 * MAX_POLL;
	ok(decided(&sim, "away:s1"), "static: away, other deadlines do not count");
	sim.now += SESSION - 1;
	ok(decided(&sim, ""), "static: not yet over");
	sim.now++;
	ok(decided(&sim, "session:s1 group=2 s2:0 s2:2 free0 free2 give0 give2 s2=stable@2 wake:s2"),
	   "static: over");

	init(&sim, 4);
	join_static(&sim, "s1");
	decide(&sim);
	deliver(&sim, 3);
	join(&sim, "m2");
	decide(&sim);
	member_of(&sim, "s1")->away_since = sim.now;
	ok(decided(&sim, "away:s1 free3 give3 m2=stable@2 wake:m2") && owned(&sim, "1212"),
	   "static: what an away member was asked for moves");
	member_of(&sim, "m2")->left = true;
	decide(&sim);
	ok(owned(&sim, "1-1-") && sim.sound && sim.partitions[1].target == number_of(&sim, "s1"),
	   "static: away, so nothing new is given");
	member_of(&sim, "s1")->away_since = 0;
	ok(decided(&sim, "give1 give3 s1=stable@3 wake:s1"), "static: back, and gets it");
	member_of(&sim, "s1")->left = true;
	decide(&sim);
	ok(sim.phase == GROUP_EMPTY && strncmp(sim.log, "left:s1 ", 8) == 0,
	   "static: unsubscribed is left, at once");
}

static void
test_metadata(void)
{
	Sim			sim;
	int			i;

	init_m1_m2(&sim);
	sim.topics[0].partitions = 6;
	sim.npartitions = 6;
	for (i = 4; i < 6; i++)
		sim.partitions[i].owner = sim.partitions[i].target = NO_MEMBER;
	sim.metadata_changed = true;
	ok(decided(&sim, "group=3 m1:4 m2:5 give4 give5 m1=stable@3 m2=stable@3 wake:m1 wake:m2"),
	   "a topic grows: the new partitions are shared out");

	sim.ntopics = 0;
	sim.npartitions = 0;
	sim.metadata_changed = true;
	ok(decided(&sim, "group=4 m1=stable@4 m2=stable@4") && sim.phase == GROUP_STABLE,
	   "the topic is dropped: members without partitions");
	add_topic(&sim, 2);
	sim.metadata_changed = true;
	decide(&sim);
	ok(owned(&sim, "12"), "and created again");

	init_m1_m2(&sim);
	sim.assignor = ASSIGNOR_RANGE;
	sim.metadata_changed = true;
	decide(&sim);
	ok(owned(&sim, "1122"), "the assignor is the group's");
	join_static(&sim, "s3");
	decide(&sim);
	ok(owned(&sim, "3312"), "static members come first for it");
}

static void
test_phase(void)
{
	GroupSnapshot group;
	Sim			sim;

	init(&sim, 4);
	take_snapshot(&sim, &group);
	ok(group_phase(&group) == GROUP_EMPTY, "phase: empty");
	join(&sim, "m1");
	take_snapshot(&sim, &group);
	ok(group_phase(&group) == GROUP_ASSIGNING, "phase: assigning");
	decide(&sim);
	take_snapshot(&sim, &group);
	ok(group_phase(&group) == GROUP_STABLE, "phase: stable");
	deliver(&sim, 1);
	join(&sim, "m2");
	decide(&sim);
	take_snapshot(&sim, &group);
	ok(group_phase(&group) == GROUP_RECONCILING, "phase: reconciling");
	group.target_epoch--;
	ok(group_phase(&group) == GROUP_ASSIGNING, "phase: the target is behind");
}

int
main(void)
{
	test_join();
	test_company();
	test_example();
	test_released_late();
	test_leave();
	test_unrevoked();
	test_keep();
	test_deadlines();
	test_committing();
	test_static();
	test_metadata();
	test_phase();
	return done_testing();
}
