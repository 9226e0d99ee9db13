/*-------------------------------------------------------------------------
 *
 * wakeup.c
 *	  Waiters in shared memory, and the wake-ups that producers send them.
 *
 * A backend waits for at most one thing at a time, so each has one slot, found
 * by the number of its PGPROC; the numbers of those who wait now stand in a
 * dense list, so that a signal looks at waiters only.  Everything is guarded
 * by one LWLock; a producer that finds no waiter at all does not take it.
 *
 * No wake-up is lost: a waiter raises the count (a full barrier) before it
 * takes the snapshot that it looks with, and a producer leaves the proc array
 * before it reads the count (behind a barrier of its own).  Either the producer
 * sees the waiter, or the waiter's snapshot sees the producer.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "notify/notify.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#define NOTIFY_TRANCHE		"pgtopic_waiters"

/* WaitLatch takes an int; longer waits are cut into pieces of this length. */
#define LONGEST_SLEEP_MS	(60 * 60 * 1000L)

/* What one backend waits for.  Written by its owner, under the lock. */
typedef struct Waiter
{
	Oid			database;
	Oid			topic;
	int32		partition;		/* or NOTIFY_ANY_PARTITION */
	int32		list_index;		/* where in the list of those who wait */
	pg_atomic_uint32 signalled;
} Waiter;

typedef struct WaiterTable
{
	LWLock	   *lock;
	pg_atomic_uint32 nwaiting;	/* read without the lock by producers */
	int32	   *waiting;		/* numbers of those who wait; dense */
	Waiter		waiters[FLEXIBLE_ARRAY_MEMBER]; /* by number of the PGPROC */
} WaiterTable;

static WaiterTable *table = NULL;
static bool registered = false;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void notify_shmem_request(void);
static void notify_shmem_startup(void);
static void notify_xact_callback(XactEvent event, void *arg);
static void notify_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
									SubTransactionId parentSubid, void *arg);
static void signal_waiters(Oid topic, int32 partition);

void
notify_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = notify_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = notify_shmem_startup;

	/*
	 * An error or a cancel ends the wait through these.  So does the end of
	 * the session: it aborts its transaction before it leaves shared memory.
	 */
	RegisterXactCallback(notify_xact_callback, NULL);
	RegisterSubXactCallback(notify_subxact_callback, NULL);
}

static Size
waiters_size(void)
{
	return add_size(offsetof(WaiterTable, waiters),
					mul_size(MaxBackends, sizeof(Waiter)));
}

static Size
table_size(void)
{
	return add_size(MAXALIGN(waiters_size()),
					mul_size(MaxBackends, sizeof(int32)));
}

static void
notify_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	RequestAddinShmemSpace(table_size());
	RequestNamedLWLockTranche(NOTIFY_TRANCHE, 1);
}

static void
notify_shmem_startup(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	table = ShmemInitStruct("pgtopic waiters", table_size(), &found);
	if (!found)
	{
		memset(table, 0, table_size());
		table->lock = &GetNamedLWLockTranche(NOTIFY_TRANCHE)->lock;
		table->waiting = (int32 *) ((char *) table + MAXALIGN(waiters_size()));
		pg_atomic_init_u32(&table->nwaiting, 0);
		for (int i = 0; i < MaxBackends; i++)
			pg_atomic_init_u32(&table->waiters[i].signalled, 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

static inline int32
my_number(void)
{
	return (int32) (MyProc - ProcGlobal->allProcs);
}

void
notify_wait_begin(Oid topic, int32 partition)
{
	Waiter	   *me;
	uint32		nwaiting;

	Assert(!registered);
	if (table == NULL)
		return;					/* not preloaded: nobody can write either */

	Assert(my_number() < MaxBackends);
	me = &table->waiters[my_number()];

	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	nwaiting = pg_atomic_read_u32(&table->nwaiting);
	me->database = MyDatabaseId;
	me->topic = topic;
	me->partition = partition;
	me->list_index = (int32) nwaiting;
	pg_atomic_write_u32(&me->signalled, 0);
	table->waiting[nwaiting] = my_number();
	pg_atomic_fetch_add_u32(&table->nwaiting, 1);
	registered = true;
	LWLockRelease(table->lock);
}

void
notify_wait_end(void)
{
	int32		index;
	int32		last;

	if (!registered)
		return;

	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	index = table->waiters[my_number()].list_index;
	last = table->waiting[pg_atomic_read_u32(&table->nwaiting) - 1];
	table->waiting[index] = last;
	table->waiters[last].list_index = index;
	pg_atomic_fetch_sub_u32(&table->nwaiting, 1);
	registered = false;
	LWLockRelease(table->lock);
}

bool
notify_wait(long timeout_ms)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz deadline = TimestampTzPlusMilliseconds(now, timeout_ms);

	for (;;)
	{
		long		left;

		/*
		 * The latch is reset below before the flag is read, and a signal sets
		 * the flag before the latch, so none falls between the two.
		 */
		if (registered &&
			pg_atomic_exchange_u32(&table->waiters[my_number()].signalled, 0) != 0)
			return true;

		left = TimestampDifferenceMilliseconds(now, deadline);
		if (left <= 0)
			return false;

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(left, LONGEST_SLEEP_MS), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		now = GetCurrentTimestamp();
	}
}

void
notify_signal(Oid topic, int32 partition)
{
	Assert(OidIsValid(topic));
	signal_waiters(topic, partition);
}

void
notify_signal_all(void)
{
	signal_waiters(InvalidOid, NOTIFY_ANY_PARTITION);
}

/* Wakes the waiters of this database that match; InvalidOid: any topic. */
static void
signal_waiters(Oid topic, int32 partition)
{
	uint32		nwaiting;

	if (table == NULL)
		return;

	pg_memory_barrier();
	if (pg_atomic_read_u32(&table->nwaiting) == 0)
		return;

	LWLockAcquire(table->lock, LW_SHARED);
	nwaiting = pg_atomic_read_u32(&table->nwaiting);
	for (uint32 i = 0; i < nwaiting; i++)
	{
		int32		number = table->waiting[i];
		Waiter	   *waiter = &table->waiters[number];

		if (waiter->database != MyDatabaseId)
			continue;
		if (OidIsValid(topic) && waiter->topic != topic)
			continue;
		if (partition != NOTIFY_ANY_PARTITION &&
			waiter->partition != NOTIFY_ANY_PARTITION &&
			waiter->partition != partition)
			continue;

		/* One wake-up is enough until the waiter has looked again. */
		if (pg_atomic_exchange_u32(&waiter->signalled, 1) == 0)
			SetLatch(&GetPGProcByNumber(number)->procLatch);
	}
	LWLockRelease(table->lock);
}

static void
notify_xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT)
		notify_wait_end();
}

static void
notify_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
						SubTransactionId parentSubid, void *arg)
{
	/* Nothing but an error ends a subtransaction in the midst of a wait. */
	if (event == SUBXACT_EVENT_ABORT_SUB)
		notify_wait_end();
}
