/*-------------------------------------------------------------------------
 *
 * wakeup.c
 *	  Waiters in shared memory, and the wake-ups that producers send them.
 *
 * Each backend has a slot, found by the number of its PGPROC, with the flag
 * that says that it was woken.  What it waits for stands in entries that are
 * hashed by (database, topic, partition), so that a message meets only those
 * who wait for its partition.  README.md has the picture.
 *
 * No wake-up is lost: a waiter links its entries and raises the count (a full
 * barrier) before it takes the snapshot that it looks with, and a producer
 * leaves the proc array before it reads count and buckets (behind a barrier of
 * its own).  Either the producer sees the waiter, or the waiter's snapshot sees
 * the producer.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "notify/news.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "port/pg_bitutils.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#define NOTIFY_TRANCHE		"pgtopic_waiters"

/* Entries in the common pool, for each backend that there may be. */
#define POOL_PER_BACKEND	64

/* Locks of the buckets; a power of two. */
#define NBUCKET_LOCKS		64

/* WaitLatch takes an int; longer waits are cut into pieces of this length. */
#define LONGEST_SLEEP_MS	(60 * 60 * 1000L)

/* Number of an entry; 0, which is no entry, ends a list. */
typedef uint32 EntryNumber;

#define NO_ENTRY			0

/* One key of one waiter. */
typedef struct WaitEntry
{
	/* Written before the entry is linked; read under the bucket's lock. */
	Oid			database;
	Oid			topic;			/* InvalidOid: any */
	int32		partition;		/* or NOTIFY_ANY_PARTITION */
	int32		procno;
	EntryNumber prev;			/* in its bucket, under its lock */
	EntryNumber next;
	EntryNumber sibling;		/* next of the same waiter, or of the pool */
} WaitEntry;

/* A backend.  The flag may be set by anybody at any time. */
typedef struct Waiter
{
	pg_atomic_uint32 signalled;
	pg_atomic_uint32 database;	/* InvalidOid: it waits for no key */
} Waiter;

typedef struct WaitTable
{
	pg_atomic_uint32 nwaiting;	/* waiters that have a key */

	/* Fixed at start-up. */
	LWLockPadded *bucket_locks; /* NBUCKET_LOCKS */
	LWLock	   *pool_lock;
	uint32		nbuckets;		/* a power of two */
	Waiter	   *waiters;		/* MaxBackends, by number of the PGPROC */
	pg_atomic_uint32 *buckets;	/* EntryNumber of the first */
	WaitEntry  *entries;		/* 1 .. MaxBackends: each backend's own; then
								 * the pool */

	/* Under the pool's lock. */
	EntryNumber pool;			/* the first that is free */
	uint32		pool_free;
} WaitTable;

static WaitTable *table = NULL;
static bool registered = false;
static EntryNumber my_entries = NO_ENTRY;	/* linked in their buckets */
static bool exit_callback_set = false;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

/*
 * From libpq/libpq.h, which wants the headers of GSSAPI and OpenSSL where
 * PostgreSQL was built with them.
 */
extern PGDLLIMPORT WaitEventSet *FeBeWaitSet;

#define FeBeWaitSetSocketPos	0
#define FeBeWaitSetNEvents		3

static void notify_shmem_request(void);
static void notify_shmem_startup(void);
static void notify_xact_callback(XactEvent event, void *arg);
static void notify_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
									SubTransactionId parentSubid, void *arg);
static void notify_exit_callback(int code, Datum arg);

/* ---------- set-up ---------- */

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

	news_init();
	listen_init();
}

static inline uint32
pool_size(void)
{
	return (uint32) MaxBackends * POOL_PER_BACKEND;
}

static inline uint32
bucket_count(void)
{
	return pg_nextpower2_32((uint32) MaxBackends + pool_size());
}

static Size
waiters_size(void)
{
	return MAXALIGN(mul_size(MaxBackends, sizeof(Waiter)));
}

static Size
buckets_size(void)
{
	return MAXALIGN(mul_size(bucket_count(), sizeof(pg_atomic_uint32)));
}

static Size
entries_size(void)
{
	return MAXALIGN(mul_size(1 + (Size) MaxBackends + pool_size(), sizeof(WaitEntry)));
}

static Size
table_size(void)
{
	return add_size(add_size(MAXALIGN(sizeof(WaitTable)), waiters_size()),
					add_size(buckets_size(), entries_size()));
}

static void
notify_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	RequestAddinShmemSpace(table_size());
	RequestNamedLWLockTranche(NOTIFY_TRANCHE, NBUCKET_LOCKS + 1);
}

/* The pool begins behind the backends' own entries. */
static void
init_pool(void)
{
	EntryNumber first = 1 + MaxBackends;

	table->pool = first;
	table->pool_free = pool_size();
	for (uint32 i = 0; i + 1 < table->pool_free; i++)
		table->entries[first + i].sibling = first + i + 1;
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
		char	   *space = (char *) table;

		/* Zero is right for all entries, and no entry for all buckets. */
		memset(space, 0, table_size());
		table->bucket_locks = GetNamedLWLockTranche(NOTIFY_TRANCHE);
		table->pool_lock = &table->bucket_locks[NBUCKET_LOCKS].lock;
		table->nbuckets = bucket_count();
		space += MAXALIGN(sizeof(WaitTable));
		table->waiters = (Waiter *) space;
		space += waiters_size();
		table->buckets = (pg_atomic_uint32 *) space;
		space += buckets_size();
		table->entries = (WaitEntry *) space;

		pg_atomic_init_u32(&table->nwaiting, 0);
		for (int i = 0; i < MaxBackends; i++)
		{
			pg_atomic_init_u32(&table->waiters[i].signalled, 0);
			pg_atomic_init_u32(&table->waiters[i].database, InvalidOid);
		}
		for (uint32 i = 0; i < table->nbuckets; i++)
			pg_atomic_init_u32(&table->buckets[i], NO_ENTRY);
		init_pool();
	}
	LWLockRelease(AddinShmemInitLock);
}

/* ---------- buckets and the pool ---------- */

static inline uint32
bucket_of(Oid database, Oid topic, int32 partition)
{
	uint32		hash = murmurhash32(topic);

	hash = hash_combine(hash, murmurhash32((uint32) partition));
	hash = hash_combine(hash, murmurhash32(database));
	return hash & (table->nbuckets - 1);
}

static inline LWLock *
bucket_lock(uint32 bucket)
{
	return &table->bucket_locks[bucket & (NBUCKET_LOCKS - 1)].lock;
}

/* Fills an entry of ours, and shows it to producers. */
static void
link_entry(EntryNumber number, Oid topic, int32 partition)
{
	WaitEntry  *entry = &table->entries[number];
	uint32		bucket = bucket_of(MyDatabaseId, topic, partition);

	entry->database = MyDatabaseId;
	entry->topic = topic;
	entry->partition = partition;
	entry->procno = notify_my_procno();

	LWLockAcquire(bucket_lock(bucket), LW_EXCLUSIVE);
	entry->prev = NO_ENTRY;
	entry->next = pg_atomic_read_u32(&table->buckets[bucket]);
	if (entry->next != NO_ENTRY)
		table->entries[entry->next].prev = number;
	pg_atomic_write_u32(&table->buckets[bucket], number);
	LWLockRelease(bucket_lock(bucket));
}

static void
unlink_entry(EntryNumber number)
{
	WaitEntry  *entry = &table->entries[number];
	uint32		bucket = bucket_of(entry->database, entry->topic, entry->partition);

	LWLockAcquire(bucket_lock(bucket), LW_EXCLUSIVE);
	if (entry->next != NO_ENTRY)
		table->entries[entry->next].prev = entry->prev;
	if (entry->prev != NO_ENTRY)
		table->entries[entry->prev].next = entry->next;
	else
		pg_atomic_write_u32(&table->buckets[bucket], entry->next);
	LWLockRelease(bucket_lock(bucket));
}

/*
 * Takes this many entries into my_entries: our own, and what is above one from
 * the pool.  False, and nothing is taken, where the pool has not as many.
 */
static bool
take_entries(int count)
{
	EntryNumber own = 1 + notify_my_procno();
	uint32		wanted = (uint32) count - 1;

	Assert(my_entries == NO_ENTRY && count > 0);
	table->entries[own].sibling = NO_ENTRY;
	if (wanted > 0)
	{
		EntryNumber last = NO_ENTRY;

		LWLockAcquire(table->pool_lock, LW_EXCLUSIVE);
		if (wanted > table->pool_free)
		{
			LWLockRelease(table->pool_lock);
			return false;
		}
		table->entries[own].sibling = table->pool;
		for (uint32 i = 0; i < wanted; i++)
		{
			last = table->pool;
			table->pool = table->entries[last].sibling;
		}
		table->entries[last].sibling = NO_ENTRY;
		table->pool_free -= wanted;
		LWLockRelease(table->pool_lock);
	}
	my_entries = own;
	return true;
}

/* Takes our entries out of their buckets, and gives back those of the pool. */
static void
drop_entries(void)
{
	EntryNumber from_pool = table->entries[my_entries].sibling;
	EntryNumber last = NO_ENTRY;
	uint32		count = 0;

	unlink_entry(my_entries);
	for (EntryNumber number = from_pool; number != NO_ENTRY;
		 number = table->entries[number].sibling)
	{
		unlink_entry(number);
		last = number;
		count++;
	}
	if (count > 0)
	{
		LWLockAcquire(table->pool_lock, LW_EXCLUSIVE);
		table->entries[last].sibling = table->pool;
		table->pool = from_pool;
		table->pool_free += count;
		LWLockRelease(table->pool_lock);
	}
	my_entries = NO_ENTRY;
}

/* ---------- waiting ---------- */

int
notify_my_procno(void)
{
	return (int) (MyProc - ProcGlobal->allProcs);
}

/*
 * Where the pool is exhausted, a few wide keys stand for many narrow ones: one
 * for each topic, or one for all there is.
 */
static void
link_keys(const NotifyKey *keys, int nkeys)
{
	EntryNumber number;
	int			ntopics = 0;

	for (int i = 0; i < nkeys; i++)
	{
		if (i == 0 || keys[i].topic != keys[i - 1].topic)
			ntopics++;
	}

	if (take_entries(nkeys))
	{
		number = my_entries;
		for (int i = 0; i < nkeys; i++)
		{
			link_entry(number, keys[i].topic, keys[i].partition);
			number = table->entries[number].sibling;
		}
	}
	else if (take_entries(ntopics))
	{
		number = my_entries;
		for (int i = 0; i < nkeys; i++)
		{
			if (i > 0 && keys[i].topic == keys[i - 1].topic)
				continue;
			link_entry(number, keys[i].topic, NOTIFY_ANY_PARTITION);
			number = table->entries[number].sibling;
		}
	}
	else
	{
		(void) take_entries(1);
		link_entry(my_entries, InvalidOid, NOTIFY_ANY_PARTITION);
	}
}

void
notify_wait_begin_keys(const NotifyKey *keys, int nkeys)
{
	Waiter	   *me;

	Assert(!registered);
	if (table == NULL)
		return;					/* not preloaded: nobody can write either */

	if (!exit_callback_set)
	{
		/* for a registration outside a transaction, which nothing aborts */
		before_shmem_exit(notify_exit_callback, (Datum) 0);
		exit_callback_set = true;
	}

	Assert(notify_my_procno() < MaxBackends);
	me = &table->waiters[notify_my_procno()];
	registered = true;
	pg_atomic_write_u32(&me->signalled, 0);
	if (nkeys > 0)
	{
		link_keys(keys, nkeys);
		pg_atomic_write_u32(&me->database, MyDatabaseId);
		pg_atomic_fetch_add_u32(&table->nwaiting, 1);
	}

	/* The caller must not look earlier than this. */
	pg_memory_barrier();
}

void
notify_wait_end(void)
{
	if (!registered)
		return;

	registered = false;
	if (my_entries != NO_ENTRY)
	{
		pg_atomic_fetch_sub_u32(&table->nwaiting, 1);
		pg_atomic_write_u32(&table->waiters[notify_my_procno()].database, InvalidOid);
		drop_entries();
	}
}

/*
 * Sleeps until the latch is set, the time is over or our client has gone, which
 * nobody else sees while we sleep; CHECK_FOR_INTERRUPTS ends the session then.
 */
static void
sleep_with_client(long timeout_ms)
{
	WaitEvent	events[FeBeWaitSetNEvents];
	int			nevents;

	if (MyProcPort == NULL || !WaitEventSetCanReportClosed())
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 timeout_ms, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		return;
	}

	/* Who reads or writes next sets what it wants to know of the socket. */
	ModifyWaitEvent(FeBeWaitSet, FeBeWaitSetSocketPos, WL_SOCKET_CLOSED, NULL);
	nevents = WaitEventSetWait(FeBeWaitSet, timeout_ms, events, lengthof(events),
							   PG_WAIT_EXTENSION);
	for (int i = 0; i < nevents; i++)
	{
		if (events[i].events & WL_POSTMASTER_DEATH)
			proc_exit(1);
		if (events[i].events & WL_SOCKET_CLOSED)
		{
			ClientConnectionLost = true;
			InterruptPending = true;
		}
	}
	ResetLatch(MyLatch);
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
		 * The latch is reset before the flag is read, and a signal sets the
		 * flag before the latch, so none falls between the two.
		 */
		if (registered &&
			pg_atomic_exchange_u32(&table->waiters[notify_my_procno()].signalled, 0) != 0)
			return true;

		left = TimestampDifferenceMilliseconds(now, deadline);
		if (left <= 0)
			return false;

		sleep_with_client(Min(left, LONGEST_SLEEP_MS));
		now = GetCurrentTimestamp();
		CHECK_FOR_INTERRUPTS();
	}
}

/* ---------- signalling ---------- */

/* Wakes the waiters of this database that have this very key. */
static void
signal_key(Oid topic, int32 partition)
{
	uint32		bucket = bucket_of(MyDatabaseId, topic, partition);
	EntryNumber number;

	if (pg_atomic_read_u32(&table->buckets[bucket]) == NO_ENTRY)
		return;

	LWLockAcquire(bucket_lock(bucket), LW_SHARED);
	for (number = pg_atomic_read_u32(&table->buckets[bucket]); number != NO_ENTRY;
		 number = table->entries[number].next)
	{
		WaitEntry  *entry = &table->entries[number];

		if (entry->database != MyDatabaseId || entry->topic != topic ||
			entry->partition != partition)
			continue;

		/* One wake-up is enough until the waiter has looked again. */
		if (pg_atomic_exchange_u32(&table->waiters[entry->procno].signalled, 1) == 0)
			SetLatch(&GetPGProcByNumber(entry->procno)->procLatch);
	}
	LWLockRelease(bucket_lock(bucket));
}

void
notify_signal(Oid topic, int32 partition)
{
	Assert(OidIsValid(topic) && partition >= 0);
	if (table == NULL)
		return;

	pg_memory_barrier();
	news_mark(topic, partition);
	if (pg_atomic_read_u32(&table->nwaiting) == 0)
		return;

	signal_key(topic, partition);
	signal_key(topic, NOTIFY_ANY_PARTITION);
	signal_key(InvalidOid, NOTIFY_ANY_PARTITION);
}

void
notify_signal_all(void)
{
	if (table == NULL)
		return;

	pg_memory_barrier();
	news_mark_all();
	if (pg_atomic_read_u32(&table->nwaiting) == 0)
		return;

	for (int procno = 0; procno < MaxBackends; procno++)
	{
		if (pg_atomic_read_u32(&table->waiters[procno].database) == MyDatabaseId)
			notify_wake(procno);
	}
}

void
notify_wake(int procno)
{
	if (table == NULL || procno < 0 || procno >= MaxBackends)
		return;

	/* A full barrier: what the caller has changed is seen with the flag. */
	(void) pg_atomic_exchange_u32(&table->waiters[procno].signalled, 1);
	SetLatch(&GetPGProcByNumber(procno)->procLatch);
}

/* ---------- the end of a wait by other means ---------- */

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

static void
notify_exit_callback(int code, Datum arg)
{
	notify_wait_end();
}
