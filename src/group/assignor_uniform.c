/*-------------------------------------------------------------------------
 *
 * assignor_uniform.c
 *	  Equal loads first, then as few moves as possible.
 *
 * Topics with the same subscribers are interchangeable: they form a class, and
 * first it is only decided how many partitions of each class a member gets.
 * In a group that subscribes alike there is one class, and this is exact: with
 * P partitions and M members everyone gets P / M, and P % M members one more,
 * preferably those that already have more.  Three members have a class of 10:
 *
 *		has now		A 6		B 4		C 0 (joins)
 *		gets		A 4		B 3		C 3		(A has most, so the odd one stays there)
 *		moves		2 + 1, and no way is shorter
 *
 * Else the classes pull at each other through the members that they share.
 * First every partition stays and the homeless ones go where the load is least,
 * class by class, fewest subscribers first; then each class is levelled out
 * like water over the load that the other classes cause, until no class has
 * anything to gain (see the header).
 *
 * Then numbers become partitions.  What a member gives up is spread evenly over
 * what it has, and what is free is dealt round the members: so everybody gets
 * a fair part of every topic, and not all of the busiest one.
 *
 * Members are meant by their rank in "order" here, not by their index.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "group/assignors.h"
#include "group/scratch.h"

/*
 * Levelling ends by itself, since each change makes the loads more equal, but
 * with long chains of overlapping subscriptions not soon; what remains uneven
 * after so many rounds is not worth the time.
 */
#define LEVELLING_ROUNDS	100

/* Topics that the same members subscribe to. */
typedef struct TopicClass
{
	int			topic;			/* the first of them */
	uint32		hash;			/* of its subscribers */
	int			subscribers;
	int			partitions;		/* of all of them */
	int		   *had;			/* by rank: partitions it has now */
	int		   *quota;			/* by rank: partitions it will have */
} TopicClass;

/* A subscriber of the class under work. */
typedef struct Seat
{
	int			rank;
	int			base;			/* its load by other classes */
	int			had;
	int			gets;
} Seat;

typedef struct Uniform
{
	const AssignInput *input;
	const int  *order;			/* by rank: member */
	int		   *rank_of;		/* by member */
	int		   *topics;			/* by place: topics with partitions, by "first" */
	int			ntopics;
	uint32	   *hashes;			/* by topic: of its subscribers */
	int		   *class_of;		/* by topic */
	TopicClass *classes;
	int			nclasses;
	TopicClass **queue;			/* fewest subscribers first */
	int		   *load;			/* by rank: partitions of all classes */
	Seat	   *seats;
	int			nseats;
	int		   *seen;			/* by rank: partitions met of those it had */
	int		   *ring;			/* ranks that need partitions */
	int		   *counts;			/* memory of had and quota */
} Uniform;

static size_t
carve_all(Uniform *u, const AssignInput *input, char *scratch)
{
	size_t		members = input->nmembers;
	size_t		topics = input->ntopics;
	size_t		used = 0;

	u->rank_of = carve(scratch, &used, members, sizeof(int));
	u->topics = carve(scratch, &used, topics, sizeof(int));
	u->hashes = carve(scratch, &used, topics, sizeof(uint32));
	u->class_of = carve(scratch, &used, topics, sizeof(int));
	u->classes = carve(scratch, &used, topics, sizeof(TopicClass));
	u->queue = carve(scratch, &used, topics, sizeof(TopicClass *));
	u->load = carve(scratch, &used, members, sizeof(int));
	u->seats = carve(scratch, &used, members, sizeof(Seat));
	u->seen = carve(scratch, &used, members, sizeof(int));
	u->ring = carve(scratch, &used, members, sizeof(int));
	/* The most classes there can be; what is not needed is never touched. */
	u->counts = carve(scratch, &used, topics * members * 2, sizeof(int));
	return used;
}

size_t
assign_uniform_scratch_size(const AssignInput *input)
{
	Uniform		u;

	return carve_all(&u, input, NULL);
}

static bool
subscribes(const Uniform *u, int rank, int topic)
{
	return u->input->members[u->order[rank]].subscribed[topic];
}

/* The rank of the member that has the partition and may keep it, or NO_MEMBER. */
static int
keeper(const Uniform *u, int topic, int partition)
{
	int			member = u->input->present[partition];

	if (member == NO_MEMBER || !u->input->members[member].subscribed[topic])
		return NO_MEMBER;
	return u->rank_of[member];
}

static int
compare_topics(const void *a, const void *b, void *arg)
{
	const AssignTopic *topics = arg;
	int32		left = topics[*(const int *) a].first;
	int32		right = topics[*(const int *) b].first;

	return left < right ? -1 : left > right;
}

/* Where a topic's partitions are tells topics apart, not where it is listed. */
static void
order_topics(Uniform *u)
{
	int			topic;

	u->ntopics = 0;
	for (topic = 0; topic < u->input->ntopics; topic++)
		if (u->input->topics[topic].partitions > 0)
			u->topics[u->ntopics++] = topic;
	qsort_arg(u->topics, u->ntopics, sizeof(int), compare_topics,
			  unconstify(AssignTopic *, u->input->topics));
}

/* Row by row, since that is how subscriptions lie in memory. */
static void
hash_subscribers(Uniform *u)
{
	int			rank;
	int			topic;

	memset(u->hashes, 0, u->input->ntopics * sizeof(uint32));
	for (rank = 0; rank < u->input->nmembers; rank++)
	{
		const bool *subscribed = u->input->members[u->order[rank]].subscribed;

		for (topic = 0; topic < u->input->ntopics; topic++)
			u->hashes[topic] = (u->hashes[topic] + subscribed[topic]) * 0x9E3779B1U;
	}
}

static bool
same_subscribers(const Uniform *u, int topic, int other)
{
	int			i;

	if (u->hashes[topic] != u->hashes[other])
		return false;
	for (i = 0; i < u->input->nmembers; i++)
	{
		const bool *subscribed = u->input->members[i].subscribed;

		if (subscribed[topic] != subscribed[other])
			return false;
	}
	return true;
}

static void
init_class(Uniform *u, TopicClass *class, int topic)
{
	size_t		members = u->input->nmembers;
	int			rank;

	class->topic = topic;
	class->subscribers = 0;
	for (rank = 0; rank < u->input->nmembers; rank++)
		class->subscribers += subscribes(u, rank, topic);
	class->partitions = 0;
	class->had = u->counts + (class - u->classes) * members * 2;
	class->quota = class->had + members;
	memset(class->had, 0, members * sizeof(int));
}

static TopicClass *
find_class(Uniform *u, int topic)
{
	int			i;

	for (i = 0; i < u->nclasses; i++)
		if (same_subscribers(u, topic, u->classes[i].topic))
			return &u->classes[i];
	init_class(u, &u->classes[u->nclasses], topic);
	return &u->classes[u->nclasses++];
}

static int
compare_classes(const void *a, const void *b)
{
	const TopicClass *left = *(TopicClass *const *) a;
	const TopicClass *right = *(TopicClass *const *) b;

	if (left->subscribers != right->subscribers)
		return left->subscribers < right->subscribers ? -1 : 1;
	return left < right ? -1 : left > right;
}

static void
form_classes(Uniform *u)
{
	int			i;

	u->nclasses = 0;
	for (i = 0; i < u->ntopics; i++)
	{
		int			topic = u->topics[i];
		TopicClass *class = find_class(u, topic);

		u->class_of[topic] = class - u->classes;
		class->partitions += u->input->topics[topic].partitions;
	}
	for (i = 0; i < u->nclasses; i++)
		u->queue[i] = &u->classes[i];
	qsort(u->queue, u->nclasses, sizeof(TopicClass *), compare_classes);
}

/* To begin with, everybody stays with what it has. */
static void
count_present(Uniform *u)
{
	int			members = u->input->nmembers;
	int			i;
	int			rank;

	for (i = 0; i < u->ntopics; i++)
	{
		const AssignTopic *topic = &u->input->topics[u->topics[i]];
		TopicClass *class = &u->classes[u->class_of[u->topics[i]]];
		int			partition;

		for (partition = topic->first; partition < topic->first + topic->partitions; partition++)
		{
			rank = keeper(u, u->topics[i], partition);
			if (rank != NO_MEMBER)
				class->had[rank]++;
		}
	}

	memset(u->load, 0, members * sizeof(int));
	for (i = 0; i < u->nclasses; i++)
		for (rank = 0; rank < members; rank++)
		{
			u->classes[i].quota[rank] = u->classes[i].had[rank];
			u->load[rank] += u->classes[i].had[rank];
		}
}

/* How much it takes to bring all seats up to this level. */
static int64
volume(const Uniform *u, int64 level)
{
	int64		result = 0;
	int			i;

	for (i = 0; i < u->nseats; i++)
		if (u->seats[i].base < level)
			result += level - u->seats[i].base;
	return result;
}

/* The highest level up to which "amount" suffices. */
static int64
find_level(const Uniform *u, int amount)
{
	int64		low = u->seats[0].base;
	int64		high;
	int			i;

	for (i = 1; i < u->nseats; i++)
		low = Min(low, u->seats[i].base);
	high = low + amount;
	while (low < high)
	{
		int64		middle = (low + high + 1) / 2;

		if (volume(u, middle) <= amount)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/*
 * Pours partitions over the seats: all come up to one level, and what remains
 * lifts some by one more, first those where it need not move.
 */
static void
pour(Uniform *u, int amount)
{
	int64		level = find_level(u, amount);
	int			rest = amount - (int) volume(u, level);
	int			i;

	for (i = 0; i < u->nseats; i++)
	{
		Seat	   *seat = &u->seats[i];

		seat->gets = Max(0, level - seat->base);
		if (rest > 0 && seat->base <= level && seat->had > seat->gets)
		{
			seat->gets++;
			rest--;
		}
	}
	for (i = 0; i < u->nseats && rest > 0; i++)
	{
		Seat	   *seat = &u->seats[i];

		/* not those that got one above */
		if (seat->base + seat->gets == level)
		{
			seat->gets++;
			rest--;
		}
	}
}

/* Seats the subscribers of a class, with the load that is not to change. */
static void
seat_subscribers(Uniform *u, const TopicClass *class, bool stay)
{
	int			rank;

	u->nseats = 0;
	for (rank = 0; rank < u->input->nmembers; rank++)
	{
		Seat	   *seat = &u->seats[u->nseats];

		if (!subscribes(u, rank, class->topic))
			continue;
		seat->rank = rank;
		seat->base = u->load[rank] - (stay ? 0 : class->quota[rank]);
		seat->had = stay ? 0 : class->had[rank];
		u->nseats++;
	}
}

static void
place_homeless(Uniform *u, TopicClass *class)
{
	int			homeless = class->partitions;
	int			i;

	seat_subscribers(u, class, true);
	for (i = 0; i < u->nseats; i++)
		homeless -= class->quota[u->seats[i].rank];
	if (homeless == 0 || u->nseats == 0)
		return;
	pour(u, homeless);
	for (i = 0; i < u->nseats; i++)
	{
		const Seat *seat = &u->seats[i];

		class->quota[seat->rank] += seat->gets;
		u->load[seat->rank] += seat->gets;
	}
}

/* Would it help if a partition of this class moved? */
static bool
is_uneven(const Uniform *u, const TopicClass *class)
{
	int			most = 0;
	int			least = PG_INT32_MAX;
	int			i;

	for (i = 0; i < u->nseats; i++)
	{
		int			rank = u->seats[i].rank;

		least = Min(least, u->load[rank]);
		if (class->quota[rank] > 0)
			most = Max(most, u->load[rank]);
	}
	return most - 1 > least;
}

static bool
level_class(Uniform *u, TopicClass *class)
{
	int			i;

	seat_subscribers(u, class, false);
	if (!is_uneven(u, class))
		return false;
	pour(u, class->partitions);
	for (i = 0; i < u->nseats; i++)
	{
		const Seat *seat = &u->seats[i];

		u->load[seat->rank] = seat->base + seat->gets;
		class->quota[seat->rank] = seat->gets;
	}
	return true;
}

static void
find_quotas(Uniform *u)
{
	bool		changed = true;
	int			round;
	int			i;

	for (i = 0; i < u->nclasses; i++)
		place_homeless(u, u->queue[i]);
	for (round = 0; changed && round < LEVELLING_ROUNDS; round++)
	{
		changed = false;
		for (i = 0; i < u->nclasses; i++)
			changed |= level_class(u, u->queue[i]);
	}
}

/*
 * Does a member that keeps some of its partitions keep this one, the next of
 * them?  Its i-th stays where i * kept / had, rounded up, makes a step.
 */
static bool
stays(Uniform *u, const TopicClass *class, int rank)
{
	int64		had = class->had[rank];
	int64		kept = Min(class->quota[rank], had);
	int64		i = u->seen[rank]++;

	return ((i + 1) * kept + had - 1) / had > (i * kept + had - 1) / had;
}

static void
keep_partitions(Uniform *u, const TopicClass *class, int topic, int *target)
{
	int			partition = u->input->topics[topic].first;
	int			end = partition + u->input->topics[topic].partitions;

	for (; partition < end; partition++)
	{
		int			rank = keeper(u, topic, partition);

		if (rank != NO_MEMBER && stays(u, class, rank))
			target[partition] = u->order[rank];
	}
}

/* Where the dealing of a class stands. */
typedef struct Dealer
{
	int			nring;
	int			next;
} Dealer;

/* From here on quota[] is what is still missing. */
static void
start_dealing(Uniform *u, Dealer *dealer, TopicClass *class)
{
	int			rank;

	dealer->nring = 0;
	dealer->next = 0;
	for (rank = 0; rank < u->input->nmembers; rank++)
	{
		class->quota[rank] -= Min(class->quota[rank], class->had[rank]);
		if (class->quota[rank] > 0)
			u->ring[dealer->nring++] = rank;
	}
}

/* The next member that needs one; who has enough drops out after a round. */
static int
deal(Uniform *u, Dealer *dealer, TopicClass *class)
{
	int			rank;

	if (dealer->next == dealer->nring)
	{
		int			place;
		int			kept = 0;

		for (place = 0; place < dealer->nring; place++)
			if (class->quota[u->ring[place]] > 0)
				u->ring[kept++] = u->ring[place];
		dealer->nring = kept;
		dealer->next = 0;
		if (kept == 0)
			return NO_MEMBER;
	}
	rank = u->ring[dealer->next++];
	class->quota[rank]--;
	return rank;
}

static void
deal_partitions(Uniform *u, Dealer *dealer, TopicClass *class, int topic, int *target)
{
	int			partition = u->input->topics[topic].first;
	int			end = partition + u->input->topics[topic].partitions;

	for (; partition < end; partition++)
		if (target[partition] == NO_MEMBER)
		{
			int			rank = deal(u, dealer, class);

			if (rank == NO_MEMBER)
				return;			/* nobody subscribes */
			target[partition] = u->order[rank];
		}
}

/* The numbers are decided; now which partitions they are. */
static void
hand_out(Uniform *u, TopicClass *class, int *target)
{
	int			number = class - u->classes;
	Dealer		dealer;
	int			i;

	memset(u->seen, 0, u->input->nmembers * sizeof(int));
	for (i = 0; i < u->ntopics; i++)
		if (u->class_of[u->topics[i]] == number)
			keep_partitions(u, class, u->topics[i], target);

	start_dealing(u, &dealer, class);
	for (i = 0; i < u->ntopics; i++)
		if (u->class_of[u->topics[i]] == number)
			deal_partitions(u, &dealer, class, u->topics[i], target);
}

void
assign_uniform(const AssignInput *input, const int *order, int *target, char *scratch)
{
	Uniform		u;
	int			i;

	carve_all(&u, input, scratch);
	u.input = input;
	u.order = order;
	for (i = 0; i < input->nmembers; i++)
		u.rank_of[order[i]] = i;

	order_topics(&u);
	hash_subscribers(&u);
	form_classes(&u);
	count_present(&u);
	find_quotas(&u);
	for (i = 0; i < u.nclasses; i++)
		hand_out(&u, &u.classes[i], target);
}
