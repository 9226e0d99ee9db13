/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  Which databases have a worker, want one, or must be left alone, in shared
 *	  memory.
 *
 * Everything is guarded by one lock.  So whoever holds a database either finds
 * the place that the launcher has reserved for it, and waits until that is free
 * again, or the launcher finds the hold.
 *
 * A worker gives its place back when it has left the proc array: from then on it
 * is in nobody's way.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "notify/notify.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "worker/registry.h"

#define WORKER_TRANCHE	"pgtopic_workers"

/* Workers wanted at once; beyond that the launcher looks at all of them. */
#define MAX_WANTED		64

typedef struct Place
{
	WorkerWish	wish;			/* database InvalidOid: free */
	uint32		generation;		/* raised whenever it is reserved */
	pid_t		pid;			/* 0: reserved, not started yet */
	int			procno;
	bool		settled;		/* it knows whether it is wanted here */
	bool		at_home;		/* the database has the extension */
	bool		again;			/* wanted while this one was here */
	pg_atomic_uint32 told;
} Place;

typedef struct Registry
{
	LWLock	   *lock;
	ConditionVariable left;		/* a place became free */
	pid_t		launcher;		/* 0: none */
	int			launcher_procno;
	bool		want_all;
	int			nwanted;
	WorkerWish	wanted[MAX_WANTED];
	Oid		   *holds;			/* by number of the PGPROC; MaxBackends */
	Place		places[FLEXIBLE_ARRAY_MEMBER];	/* max_worker_processes */
} Registry;

static Registry *registry = NULL;
static Place *my_place = NULL;
static bool holding = false;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

/* ---------- start-up ---------- */

static Size
places_size(void)
{
	return MAXALIGN(add_size(offsetof(Registry, places),
							 mul_size(max_worker_processes, sizeof(Place))));
}

static Size
registry_size(void)
{
	return add_size(places_size(), mul_size(MaxBackends, sizeof(Oid)));
}

static void
registry_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(registry_size());
	RequestNamedLWLockTranche(WORKER_TRANCHE, 1);
}

static void
registry_shmem_startup(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	registry = ShmemInitStruct("pgtopic workers", registry_size(), &found);
	if (!found)
	{
		memset(registry, 0, registry_size());
		registry->lock = &GetNamedLWLockTranche(WORKER_TRANCHE)->lock;
		registry->holds = (Oid *) ((char *) registry + places_size());
		ConditionVariableInit(&registry->left);
		for (int i = 0; i < max_worker_processes; i++)
			pg_atomic_init_u32(&registry->places[i].told, 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
registry_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = registry_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = registry_shmem_startup;
}

/* Under the lock, as all that follows in this part. */
static void
wake_launcher(void)
{
	if (registry->launcher != 0)
		notify_wake(registry->launcher_procno);
}

static Place *
find_place(const WorkerWish *wish)
{
	for (int i = 0; i < max_worker_processes; i++)
		if (registry->places[i].wish.database == wish->database &&
			registry->places[i].wish.kind == wish->kind)
			return &registry->places[i];
	return NULL;
}

/* The next place of a database, whatever the kind, or a free one (InvalidOid). */
static Place *
next_place(Oid database, const Place *after)
{
	int			first = after != NULL ? (int) (after - registry->places) + 1 : 0;

	for (int i = first; i < max_worker_processes; i++)
		if (registry->places[i].wish.database == database)
			return &registry->places[i];
	return NULL;
}

static bool
is_held(Oid database)
{
	for (int i = 0; i < MaxBackends; i++)
		if (registry->holds[i] == database)
			return true;
	return false;
}

/* Beyond the limit notifiers are not remembered; a later listener wants one. */
static void
add_wanted(const WorkerWish *wish)
{
	for (int i = 0; i < registry->nwanted; i++)
		if (registry->wanted[i].database == wish->database &&
			registry->wanted[i].kind == wish->kind)
			return;
	if (registry->nwanted < MAX_WANTED)
		registry->wanted[registry->nwanted++] = *wish;
	else
		registry->want_all = true;
}

/* ---------- sessions ---------- */

void
registry_want(Oid database, WorkerKind kind)
{
	WorkerWish	wish = {.database = database, .kind = kind};

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	add_wanted(&wish);
	wake_launcher();
	LWLockRelease(registry->lock);
}

void
registry_tell_workers(Oid database)
{
	Place	   *place = NULL;

	LWLockAcquire(registry->lock, LW_SHARED);
	while ((place = next_place(database, place)) != NULL)
	{
		pg_atomic_write_u32(&place->told, 1);
		if (place->pid != 0)
			notify_wake(place->procno);
	}
	LWLockRelease(registry->lock);
}

static void
release_at_exit(int code, Datum arg)
{
	registry_release();
}

/*
 * The signal is what pg_terminate_backend() sends: it also ends a worker that
 * is just waiting for a lock.  Under the lock the pid is that of the worker.
 */
void
registry_hold(Oid database)
{
	static bool registered = false;
	Place	   *place = NULL;

	if (!registered)
	{
		before_shmem_exit(release_at_exit, (Datum) 0);
		registered = true;
	}
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	holding = true;
	registry->holds[notify_my_procno()] = database;
	while ((place = next_place(database, place)) != NULL)
	{
		place->again = true;
		if (place->pid != 0)
			kill(place->pid, SIGTERM);
	}
	LWLockRelease(registry->lock);
}

void
registry_release(void)
{
	if (!holding)
		return;
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	registry->holds[notify_my_procno()] = InvalidOid;
	holding = false;
	wake_launcher();
	LWLockRelease(registry->lock);
}

static bool
has_worker(Oid database)
{
	bool		result;

	LWLockAcquire(registry->lock, LW_SHARED);
	result = next_place(database, NULL) != NULL;
	LWLockRelease(registry->lock);
	return result;
}

bool
registry_wait_until_left(Oid database, long timeout_ms)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	bool		here;

	ConditionVariablePrepareToSleep(&registry->left);
	while ((here = has_worker(database)))
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (left <= 0)
			break;
		(void) ConditionVariableTimedSleep(&registry->left, left, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	return !here;
}

/* ---------- the launcher ---------- */

static void
launcher_exit(int code, Datum arg)
{
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	registry->launcher = 0;
	LWLockRelease(registry->lock);
}

/*
 * What a launcher before this one has reserved, and nobody has occupied, is
 * free again: a worker that still comes finds another generation.
 */
bool
registry_be_launcher(void)
{
	bool		result;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	result = (registry->launcher == 0);
	if (result)
	{
		registry->launcher = MyProcPid;
		registry->launcher_procno = notify_my_procno();
		registry->want_all = true;
		for (int i = 0; i < max_worker_processes; i++)
			if (registry->places[i].pid == 0)
				registry->places[i].wish.database = InvalidOid;
	}
	LWLockRelease(registry->lock);
	if (result)
		on_shmem_exit(launcher_exit, (Datum) 0);
	return result;
}

bool
registry_next_wanted(WorkerWish *wish)
{
	bool		result = true;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	if (registry->want_all)
	{
		registry->want_all = false;
		wish->database = InvalidOid;
		wish->kind = WORKER_COORDINATOR;
	}
	else if (registry->nwanted > 0)
		*wish = registry->wanted[--registry->nwanted];
	else
		result = false;
	LWLockRelease(registry->lock);
	return result;
}

int
registry_homes(Oid *databases)
{
	int			n = 0;

	LWLockAcquire(registry->lock, LW_SHARED);
	for (int i = 0; i < max_worker_processes; i++)
	{
		const Place *place = &registry->places[i];

		if (OidIsValid(place->wish.database) && place->wish.kind == WORKER_COORDINATOR &&
			place->at_home)
			databases[n++] = place->wish.database;
	}
	LWLockRelease(registry->lock);
	return n;
}

/* A free place, or NULL. */
static Place *
new_place(const WorkerWish *wish)
{
	Place	   *place = next_place(InvalidOid, NULL);

	if (place == NULL)
		return NULL;
	place->wish = *wish;
	place->generation++;
	place->pid = 0;
	place->settled = false;
	place->at_home = false;
	place->again = false;
	pg_atomic_write_u32(&place->told, 0);
	return place;
}

PlaceResult
registry_reserve(const WorkerWish *wish, WorkerPlace *place)
{
	PlaceResult result = PLACE_GIVEN;
	Place	   *found;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	found = find_place(wish);
	if (found != NULL)
	{
		found->again = true;	/* it may be about to leave */
		result = PLACE_TAKEN;
	}
	else if (is_held(wish->database))
		result = PLACE_HELD;
	else if ((found = new_place(wish)) == NULL)
		result = PLACE_NONE;
	else
	{
		place->number = (int) (found - registry->places);
		place->generation = found->generation;
		place->wish = *wish;
	}
	LWLockRelease(registry->lock);
	return result;
}

static void
free_place(Place *place)
{
	place->wish.database = InvalidOid;
	place->pid = 0;
}

/* The place if it is still the one that was reserved; under the lock. */
static Place *
place_of(const WorkerPlace *place)
{
	Place	   *result = &registry->places[place->number];

	if (result->generation != place->generation || result->wish.database != place->wish.database)
		return NULL;
	return result;
}

bool
registry_is_settled(const WorkerPlace *place)
{
	Place	   *found;
	bool		result;

	LWLockAcquire(registry->lock, LW_SHARED);
	found = place_of(place);
	result = found == NULL || found->settled;
	LWLockRelease(registry->lock);
	return result;
}

void
registry_give_up(const WorkerPlace *place)
{
	Place	   *found;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	found = place_of(place);
	if (found != NULL && found->pid == 0)
		free_place(found);
	LWLockRelease(registry->lock);
	ConditionVariableBroadcast(&registry->left);
}

/* ---------- a worker ---------- */

static void
worker_exit(int code, Datum arg)
{
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	if (my_place->at_home || my_place->again)
		add_wanted(&my_place->wish);
	free_place(my_place);
	wake_launcher();
	LWLockRelease(registry->lock);
	ConditionVariableBroadcast(&registry->left);
}

/*
 * Callbacks run in the reverse order, and this one is registered before the
 * process connects to its database: so it runs when that is undone.
 */
bool
registry_occupy(const WorkerPlace *place)
{
	Place	   *found;
	bool		held = false;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	found = place_of(place);
	if (found != NULL && found->pid == 0)
	{
		found->pid = MyProcPid;
		found->procno = notify_my_procno();
		my_place = found;
		held = is_held(place->wish.database);
	}
	LWLockRelease(registry->lock);
	if (my_place == NULL)
		return false;
	on_shmem_exit(worker_exit, (Datum) 0);
	return !held;
}

void
registry_set_at_home(bool at_home)
{
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	my_place->at_home = at_home;
	my_place->settled = true;
	wake_launcher();
	LWLockRelease(registry->lock);
}

bool
registry_was_told(void)
{
	return pg_atomic_exchange_u32(&my_place->told, 0) != 0;
}
