/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  What goes in and out of each topic, counted in shared memory.
 *
 * A table of fixed size: a topic's counters stand in one of the few places of
 * the bucket that its OID hashes to.  If all of them are taken, the topic that
 * was idle for longest makes room, and counts from 0 when it comes back.  So
 * nothing has to be done when topics are dropped, and there is no limit to
 * their number, only to that of the busy ones.
 *
 * A bucket has a spinlock, which is held for a few additions.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "stats/stats.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#define STATS_BUCKETS		1024
#define STATS_PER_BUCKET	8

typedef struct StatsEntry
{
	Oid			database;
	Oid			topic;			/* InvalidOid: a free place */
	uint64		used;			/* the bucket's clock at the last use */
	TopicStats	stats;
} StatsEntry;

typedef struct StatsBucket
{
	slock_t		mutex;
	uint64		clock;
	StatsEntry	entries[STATS_PER_BUCKET];
} StatsBucket;

static StatsBucket *buckets = NULL; /* NULL: pgtopic is not preloaded */

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
stats_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(mul_size(STATS_BUCKETS, sizeof(StatsBucket)));
}

static void
stats_shmem_startup(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	buckets = ShmemInitStruct("pgtopic statistics",
							  mul_size(STATS_BUCKETS, sizeof(StatsBucket)), &found);
	if (!found)
	{
		memset(buckets, 0, STATS_BUCKETS * sizeof(StatsBucket));
		for (int i = 0; i < STATS_BUCKETS; i++)
			SpinLockInit(&buckets[i].mutex);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
stats_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = stats_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = stats_shmem_startup;
}

static StatsBucket *
bucket_of(Oid topic)
{
	return &buckets[hash_combine(murmurhash32(MyDatabaseId), murmurhash32(topic)) %
					STATS_BUCKETS];
}

/* The topic's place in its locked bucket; NULL if it has none. */
static StatsEntry *
find_entry(StatsBucket *bucket, Oid topic)
{
	for (int i = 0; i < STATS_PER_BUCKET; i++)
	{
		StatsEntry *entry = &bucket->entries[i];

		if (entry->topic == topic && entry->database == MyDatabaseId)
			return entry;
	}
	return NULL;
}

/* Gives the topic a free place, or the one that was not used for longest. */
static StatsEntry *
take_entry(StatsBucket *bucket, Oid topic, TimestampTz now)
{
	StatsEntry *entry = &bucket->entries[0];

	for (int i = 1; i < STATS_PER_BUCKET; i++)
	{
		if (bucket->entries[i].used < entry->used)
			entry = &bucket->entries[i];
	}
	memset(entry, 0, sizeof(StatsEntry));
	entry->database = MyDatabaseId;
	entry->topic = topic;
	entry->stats.since = now;
	return entry;
}

static void
stats_add(Oid topic, const StatsCount *in, const StatsCount *out)
{
	StatsBucket *bucket;
	StatsEntry *entry;
	TimestampTz now = 0;

	if (buckets == NULL)
		return;
	bucket = bucket_of(topic);
	for (;;)
	{
		SpinLockAcquire(&bucket->mutex);
		entry = find_entry(bucket, topic);
		if (entry == NULL && now != 0)
			entry = take_entry(bucket, topic, now);
		if (entry != NULL)
			break;
		SpinLockRelease(&bucket->mutex);
		now = GetCurrentTimestamp();	/* not under a spinlock */
	}
	entry->used = ++bucket->clock;
	if (in != NULL)
		stats_sum(&entry->stats.in, in);
	if (out != NULL)
		stats_sum(&entry->stats.out, out);
	SpinLockRelease(&bucket->mutex);
}

void
stats_add_in(Oid topic, const StatsCount *count)
{
	stats_add(topic, count, NULL);
}

void
stats_add_out(Oid topic, const StatsCount *count)
{
	stats_add(topic, NULL, count);
}

bool
stats_get(Oid topic, TopicStats *stats)
{
	StatsBucket *bucket;
	StatsEntry *entry;

	if (buckets == NULL)
		return false;
	bucket = bucket_of(topic);
	SpinLockAcquire(&bucket->mutex);
	entry = find_entry(bucket, topic);
	if (entry != NULL)
		*stats = entry->stats;
	SpinLockRelease(&bucket->mutex);
	return entry != NULL;
}
