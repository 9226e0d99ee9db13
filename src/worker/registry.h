/*-------------------------------------------------------------------------
 *
 * registry.h
 *	  Which databases have a worker, want one, or must be left alone, in shared
 *	  memory.  Inside the worker room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_WORKER_REGISTRY_H
#define PGTOPIC_WORKER_REGISTRY_H

#include "postgres_ext.h"

/* What a worker does in its database; there is one of each kind at most. */
typedef enum WorkerKind
{
	WORKER_COORDINATOR,			/* wherever the extension is */
	WORKER_NOTIFIER,			/* while somebody there listens */
	WORKER_MAINTENANCE			/* one round now and then */
} WorkerKind;

/* A worker that is wanted. */
typedef struct WorkerWish
{
	Oid			database;
	WorkerKind	kind;
} WorkerWish;

/* What the launcher hands to a worker, in bgw_extra. */
typedef struct WorkerPlace
{
	int			number;
	uint32		generation;
	WorkerWish	wish;
} WorkerPlace;

/* Request and start-up of shared memory; from worker_init(). */
extern void registry_init(void);

/* ---------- sessions ---------- */

/* The launcher is to look whether the database needs a worker.  Never fails. */
extern void registry_want(Oid database, WorkerKind kind);

/* The workers of this database are to look whether the extension is still there. */
extern void registry_tell_workers(Oid database);

/*
 * registry_hold: from now on no worker starts in the database, and those there
 * are leave; until registry_release(), or the end of this process.
 * registry_wait_until_left: false if some are still there after so long; ends
 * with an error on cancel.
 */
extern void registry_hold(Oid database);
extern void registry_release(void);
extern bool registry_wait_until_left(Oid database, long timeout_ms);

/* ---------- the launcher ---------- */

/* This process is the launcher, until it exits.  False if there is another. */
extern bool registry_be_launcher(void);

/*
 * A worker that somebody wants; InvalidOid stands for all databases.  False if
 * there is none.
 */
extern bool registry_next_wanted(WorkerWish *wish);

/*
 * registry_homes: the databases whose coordinator worker is at home, into an array
 * with room for max_worker_processes; returns how many.
 */
extern int	registry_homes(Oid *databases);

typedef enum PlaceResult
{
	PLACE_GIVEN,
	PLACE_TAKEN,				/* the database has such a worker */
	PLACE_HELD,					/* it is to be left alone for now */
	PLACE_NONE					/* all places are in use */
} PlaceResult;

extern PlaceResult registry_reserve(const WorkerWish *wish, WorkerPlace *place);

/* Whether the worker of this place knows if it is wanted, or has gone. */
extern bool registry_is_settled(const WorkerPlace *place);

/* The worker for this place could not be started, or has ended. */
extern void registry_give_up(const WorkerPlace *place);

/* ---------- a worker ---------- */

/*
 * registry_occupy: this process is the worker of the place until its exit, when
 * it has left the proc array.  False if it is not wanted any more.
 */
extern bool registry_occupy(const WorkerPlace *place);

/*
 * registry_set_at_home: whether this worker is needed here, so that another one
 * is wanted when it ends.
 */
extern void registry_set_at_home(bool at_home);

/* Whether registry_tell_workers() was called since the last time. */
extern bool registry_was_told(void);

#endif							/* PGTOPIC_WORKER_REGISTRY_H */
