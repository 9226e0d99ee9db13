/*-------------------------------------------------------------------------
 *
 * memory.h
 *	  What memory.c gives to members.c and coordinators.c.  The rest of the
 *	  room includes members.h only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_MEMORY_H
#define PGTOPIC_GROUP_MEMORY_H

#include "compat.h"
#include "group/members.h"

/* Whether the library is preloaded, so that there is any shared memory. */
extern bool group_memory_exists(void);

/* Raises 53200. */
extern void group_memory_full(void) pg_attribute_noreturn();

extern int	group_tranche(void);
extern uint64 group_new_incarnation(void);

/* Under the exclusive lock: a free member entry, or NO_MEMBER. */
extern int	group_new_member(ConsumerGroup *group);

/* coordinators.c: hooks of its shared memory. */
extern void coordinators_init(void);

#endif							/* PGTOPIC_GROUP_MEMORY_H */
