/*-------------------------------------------------------------------------
 *
 * levels.h
 *	  A list per nesting level of subtransactions.
 *
 * So the end of a subtransaction costs what it did itself, however much its
 * parents have produced.  Level 1 is the transaction.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_LEVELS_H
#define PGTOPIC_PRODUCER_LEVELS_H

#include "lib/ilist.h"
#include "utils/palloc.h"

typedef struct LevelLists
{
	dlist_head *heads;
	int			n;
} LevelLists;

/* The list of a level, made if need be, in the given context. */
static inline dlist_head *
level_list(LevelLists *lists, MemoryContext context, int level)
{
	if (level > lists->n)
	{
		int			n = Max(level, lists->n * 2);
		dlist_head *heads = MemoryContextAlloc(context, n * sizeof(dlist_head));
		int			i;

		/* a list's ends point to its head, so it cannot simply be copied */
		for (i = 0; i < n; i++)
		{
			dlist_init(&heads[i]);
			while (i < lists->n && !dlist_is_empty(&lists->heads[i]))
				dlist_push_tail(&heads[i], dlist_pop_head_node(&lists->heads[i]));
		}
		if (lists->heads != NULL)
			pfree(lists->heads);
		lists->heads = heads;
		lists->n = n;
	}
	return &lists->heads[level - 1];
}

#endif							/* PGTOPIC_PRODUCER_LEVELS_H */
