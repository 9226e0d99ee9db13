/*-------------------------------------------------------------------------
 *
 * assignor_range.c
 *	  Contiguous ranges of each topic, as Kafka's RangeAssignor gives.
 *
 * Each topic is shared out for itself among the members that subscribe to it,
 * in order: everyone gets partitions / members of them, and the first
 * partitions % members members one more.  Members A, B and C, of which only A
 * and B subscribe to T2:
 *
 *		T1, 8 partitions:	A 0 1 2		B 3 4 5		C 6 7
 *		T2, 3 partitions:	A 0 1		B 2
 *
 * Where all members subscribe to the same topics and these have equally many
 * partitions, a member has the same partition numbers of each: what joins by
 * key needs.  The price is that the first members get the remainder of every
 * topic, and that ranges shift when members come and go; there is nothing
 * sticky about it.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "group/assignors.h"

static int
count_subscribers(const AssignInput *input, int topic)
{
	int			count = 0;
	int			i;

	for (i = 0; i < input->nmembers; i++)
		count += input->members[i].subscribed[topic];
	return count;
}

static void
assign_topic(const AssignInput *input, const int *order, int topic, int *target)
{
	int			subscribers = count_subscribers(input, topic);
	int			next = input->topics[topic].first;
	int			quota;
	int			extra;
	int			i;

	if (subscribers == 0)
		return;
	quota = input->topics[topic].partitions / subscribers;
	extra = input->topics[topic].partitions % subscribers;

	for (i = 0; i < input->nmembers; i++)
	{
		int			end;

		if (!input->members[order[i]].subscribed[topic])
			continue;
		end = next + quota + (extra-- > 0 ? 1 : 0);
		while (next < end)
			target[next++] = order[i];
	}
}

void
assign_range(const AssignInput *input, const int *order, int *target)
{
	int			topic;

	for (topic = 0; topic < input->ntopics; topic++)
		assign_topic(input, order, topic, target);
}
