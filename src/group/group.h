/*-------------------------------------------------------------------------
 *
 * group.h
 *	  The door of the group room: consumer groups.
 *
 * SQL functions lead here by themselves; other rooms need only what stands
 * below.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_H
#define PGTOPIC_GROUP_H

#include "postgres_ext.h"

/* Settings, shared memory and hooks; from _PG_init, after producer_init(). */
extern void group_init(void);

/*
 * coordinator_run: rebalances the groups of this database until it should end:
 * on SIGTERM, when the extension is gone, or when it has to make way (keep_on
 * returns false; it is asked at every wake-up).  For the worker room.
 */
extern void coordinator_run(bool (*keep_on) (void));

/*
 * notifier_run: notifies the sessions of this database that LISTEN for news of
 * topics and groups, until nobody does, or it should end as above.  Returns
 * whether it is still needed.
 */
extern bool notifier_run(bool (*keep_on) (void));

/*
 * Called, with no lock held, by a session that finds no coordinator in its
 * database; set by the worker room.
 */
typedef void (*coordinator_missing_hook_type) (void);
extern coordinator_missing_hook_type coordinator_missing_hook;

/* After DROP DATABASE: frees the memory of its groups, some with members that are away. */
extern void group_forget_database(Oid database);

#endif							/* PGTOPIC_GROUP_H */
