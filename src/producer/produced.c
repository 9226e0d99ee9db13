/*-------------------------------------------------------------------------
 *
 * produced.c
 *	  Which offsets this transaction's messages got: topic.last_produced().
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "producer/levels.h"
#include "producer/produced.h"
#include "stats/stats.h"
#include "tcop/utility.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

/* More ranges than this: those of one lane are joined, gaps and all. */
#define PRODUCED_MAX_RANGES		65536

struct ProducedRange
{
	dlist_node	node;			/* in the list of its level */
	ProducedRange **newest;		/* the lane's pointer to its newest range */
	ProducedRange *previous;	/* of the same lane */
	Oid			topic;
	int32		partition;
	int			level;			/* nesting level of its subtransaction */
	RecordOffset first;
	RecordOffset last;
	StatsCount	count;
};

/* What last_produced() returns of a range. */
typedef struct CommittedRange
{
	Oid			topic;
	int32		partition;
	RecordOffset first;
	RecordOffset last;
} CommittedRange;

typedef struct CommittedRanges
{
	int			count;
	CommittedRange ranges[FLEXIBLE_ARRAY_MEMBER];
} CommittedRanges;

/* Ranges of the present transaction by level, in the order of appends. */
static LevelLists levels;
static int	nranges;

/* Of the last committed transaction that produced, and of the next one. */
static CommittedRanges *committed;
static CommittedRanges *prepared;

/* Whether a range can be made to cover [first, ...] that came after it. */
static bool
can_extend(const ProducedRange *range, int level, RecordOffset first)
{
	return range != NULL && range->level == level &&
		(range->last + 1 == first || nranges >= PRODUCED_MAX_RANGES);
}

void
produced_add(MemoryContext context, ProducedRange **newest,
			 Oid topic, int32 partition, int level,
			 RecordOffset first, const Batch *batch)
{
	ProducedRange *range = *newest;
	RecordOffset last = first + batch->next_offset_delta - 1;
	StatsCount	count = {batch->count, batch->length - BATCH_RESERVED_BYTES, 1};

	if (can_extend(range, level, first))
	{
		range->last = last;
		stats_sum(&range->count, &count);
		return;
	}

	range = MemoryContextAlloc(context, sizeof(ProducedRange));
	range->newest = newest;
	range->previous = *newest;
	range->topic = topic;
	range->partition = partition;
	range->level = level;
	range->first = first;
	range->last = last;
	range->count = count;
	dlist_push_tail(level_list(&levels, context, level), &range->node);
	*newest = range;
	nranges++;
}

RecordOffset
produced_last_offset(const ProducedRange *range)
{
	return range->last;
}

/* Takes a lane's newest range away. */
static void
forget_range(ProducedRange *range)
{
	Assert(*range->newest == range);
	*range->newest = range->previous;
	dlist_delete(&range->node);
	pfree(range);
	nranges--;
}

void
produced_at_subabort(int level)
{
	int			i;

	/* Within a lane deeper levels come later: take them from the end. */
	for (i = levels.n; i >= level; i--)
	{
		dlist_head *list = &levels.heads[i - 1];

		while (!dlist_is_empty(list))
			forget_range(dlist_tail_element(ProducedRange, node, list));
	}
}

void
produced_at_subcommit(int level)
{
	dlist_head *list;

	if (level > levels.n)
		return;
	list = &levels.heads[level - 1];
	while (!dlist_is_empty(list))
	{
		ProducedRange *range = dlist_head_element(ProducedRange, node, list);
		ProducedRange *previous = range->previous;

		range->level--;
		dlist_delete(&range->node);
		dlist_push_tail(&levels.heads[level - 2], &range->node);

		/* what the parent and the child appended may be one range now */
		if (*range->newest == range &&
			can_extend(previous, range->level, range->first))
		{
			previous->last = range->last;
			stats_sum(&previous->count, &range->count);
			forget_range(range);
		}
	}
}

static int
compare_ranges(const void *a, const void *b)
{
	const CommittedRange *ra = a;
	const CommittedRange *rb = b;

	if (ra->topic != rb->topic)
		return ra->topic < rb->topic ? -1 : 1;
	if (ra->partition != rb->partition)
		return ra->partition < rb->partition ? -1 : 1;
	return ra->first < rb->first ? -1 : ra->first > rb->first ? 1 : 0;
}

void
produced_prepare_commit(void)
{
	CommittedRanges *next;
	dlist_iter	iter;
	int			n = 0;

	if (nranges == 0)
		return;

	next = MemoryContextAlloc(TopMemoryContext,
							  offsetof(CommittedRanges, ranges) +
							  nranges * sizeof(CommittedRange));
	dlist_foreach(iter, &levels.heads[0])
	{
		ProducedRange *range = dlist_container(ProducedRange, node, iter.cur);

		next->ranges[n].topic = range->topic;
		next->ranges[n].partition = range->partition;
		next->ranges[n].first = range->first;
		next->ranges[n].last = range->last;
		n++;
	}
	next->count = n;
	if (n > 1)
		qsort(next->ranges, n, sizeof(CommittedRange), compare_ranges);
	prepared = next;
}

void
produced_at_commit(void)
{
	if (prepared == NULL)
		return;
	if (committed != NULL)
		pfree(committed);
	committed = prepared;
	prepared = NULL;
}

void
produced_at_eoxact(void)
{
	if (prepared != NULL)
		pfree(prepared);
	prepared = NULL;
	memset(&levels, 0, sizeof(levels));
	nranges = 0;
}

void
produced_count(void)
{
	StatsCount	sum = {0};
	Oid			topic = InvalidOid;
	dlist_iter	iter;

	if (nranges == 0)
		return;
	dlist_foreach(iter, &levels.heads[0])
	{
		ProducedRange *range = dlist_container(ProducedRange, node, iter.cur);

		/* a flush has appended topic by topic */
		if (range->topic != topic && OidIsValid(topic))
		{
			stats_add_in(topic, &sum);
			memset(&sum, 0, sizeof(sum));
		}
		topic = range->topic;
		stats_sum(&sum, &range->count);
	}
	stats_add_in(topic, &sum);
}

/* ---------- DISCARD ALL ---------- */

static ProcessUtility_hook_type next_process_utility = NULL;

/* The next user of a pooled connection has produced nothing yet. */
static void
produced_process_utility(PlannedStmt *planned, const char *query_string,
						 bool read_only_tree, ProcessUtilityContext context,
						 ParamListInfo params, QueryEnvironment *environment,
						 DestReceiver *dest, QueryCompletion *completion)
{
	bool		discards_all = IsA(planned->utilityStmt, DiscardStmt) &&
		((DiscardStmt *) planned->utilityStmt)->target == DISCARD_ALL;

	if (next_process_utility)
		next_process_utility(planned, query_string, read_only_tree, context, params,
							 environment, dest, completion);
	else
		standard_ProcessUtility(planned, query_string, read_only_tree, context, params,
								environment, dest, completion);

	if (discards_all && committed != NULL)
	{
		pfree(committed);
		committed = NULL;
	}
}

void
produced_init(void)
{
	next_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = produced_process_utility;
}

/* ---------- topic.last_produced() ---------- */

#define PRODUCED_RANGE_NATTS	4

/*
 * topic.last_produced() RETURNS SETOF topic.produced_range
 *
 * A topic that has been dropped since has no name any more and is left out.
 */
PG_FUNCTION_INFO_V1(pgtopic_last_produced);
Datum
pgtopic_last_produced(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			topic = InvalidOid;
	char	   *name = NULL;
	int			i;

	InitMaterializedSRF(fcinfo, 0);

	for (i = 0; committed != NULL && i < committed->count; i++)
	{
		const CommittedRange *range = &committed->ranges[i];
		Datum		values[PRODUCED_RANGE_NATTS];
		bool		nulls[PRODUCED_RANGE_NATTS] = {0};

		CHECK_FOR_INTERRUPTS();
		if (range->topic != topic)
		{
			Relation	rel = try_table_open(range->topic, AccessShareLock);

			topic = range->topic;
			name = NULL;
			if (rel != NULL)
			{
				name = topic_name(rel);
				table_close(rel, AccessShareLock);
			}
		}
		if (name == NULL)
			continue;
		values[0] = CStringGetTextDatum(name);
		values[1] = Int32GetDatum(range->partition);
		values[2] = Int64GetDatum(range->first);
		values[3] = Int64GetDatum(range->last);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
