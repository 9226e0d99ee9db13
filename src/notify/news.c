/*-------------------------------------------------------------------------
 *
 * news.c
 *	  What the notifier of each database is to tell, and who listens, in shared
 *	  memory.
 *
 * A producer that has committed marks its partitions at its database's desk,
 * without a lock, and rings for the notifier; if nobody listens anywhere it has
 * read one word.  It does so after it has left the proc array, and a listener is
 * counted before its LISTEN returns, both with a full barrier: so either the
 * producer sees the listener, or what the listener reads next sees the producer.
 *
 * The notifier clears a mark before it notifies.  A mark found set needs not be
 * set again: whoever clears it afterwards notifies afterwards.
 *
 * Who listens to which channel stands in a table under a lock that producers
 * never take.  Where the table is full, listeners are only counted, and
 * whatever has news is told.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "notify/news.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"

#define NEWS_TRANCHE		"pgtopic_news"

/* So many slots a mark may stand in, from the one that its hash says. */
#define MAX_PROBES			8

/* Channels in the table. */
#define CHANNELS_PER_BACKEND	4
#define CHANNELS_AT_LEAST		1024

/* A database in which somebody listens. */
typedef struct Desk
{
	pg_atomic_uint32 database;	/* InvalidOid: free; set under the lock */
	pg_atomic_uint32 nlisteners;	/* sessions, once for each channel */
	pg_atomic_uint32 nunlisted; /* of them, those who are not in the table */
	pg_atomic_uint32 notifier;	/* number of its PGPROC + 1; 0: none */

	/* What there is to tell.  The notifier takes it away. */
	pg_atomic_uint32 marks;		/* how often something was marked */
	pg_atomic_uint32 scope;		/* a NewsScope */
	pg_atomic_uint32 rebalances;	/* some channels are marked */
	pg_atomic_uint64 slots[NEWS_MAX_KEYS];	/* topic and partition; 0: free */
} Desk;

/* A channel that somebody listens to. */
typedef struct ChannelKey
{
	Oid			database;
	char		channel[NAMEDATALEN];	/* padded with zeros */
} ChannelKey;

typedef struct Channel
{
	ChannelKey	key;
	int32		nlisteners;		/* under the lock */
	pg_atomic_uint32 rebalance;
} Channel;

typedef struct NewsTable
{
	LWLock	   *lock;			/* who listens, and which desk is whose */
	pg_atomic_uint32 nlisteners;	/* in all databases */
	Desk		desks[FLEXIBLE_ARRAY_MEMBER];	/* max_worker_processes */
} NewsTable;

notifier_missing_hook_type notifier_missing_hook = NULL;

static NewsTable *table = NULL;
static HTAB *channels = NULL;
static Desk *my_desk = NULL;	/* where we are the notifier */

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

/* ---------- set-up ---------- */

static Size
table_size(void)
{
	return add_size(offsetof(NewsTable, desks),
					mul_size(max_worker_processes, sizeof(Desk)));
}

static long
max_channels(void)
{
	return CHANNELS_AT_LEAST + (long) MaxBackends * CHANNELS_PER_BACKEND;
}

static void
news_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(table_size());
	RequestAddinShmemSpace(hash_estimate_size(max_channels(), sizeof(Channel)));
	RequestNamedLWLockTranche(NEWS_TRANCHE, 1);
}

static void
init_desk(Desk *desk)
{
	pg_atomic_init_u32(&desk->database, InvalidOid);
	pg_atomic_init_u32(&desk->nlisteners, 0);
	pg_atomic_init_u32(&desk->nunlisted, 0);
	pg_atomic_init_u32(&desk->notifier, 0);
	pg_atomic_init_u32(&desk->marks, 0);
	pg_atomic_init_u32(&desk->scope, NEWS_KEYS);
	pg_atomic_init_u32(&desk->rebalances, 0);
	for (int i = 0; i < NEWS_MAX_KEYS; i++)
		pg_atomic_init_u64(&desk->slots[i], 0);
}

static void
news_shmem_startup(void)
{
	HASHCTL		info;
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	table = ShmemInitStruct("pgtopic news", table_size(), &found);
	if (!found)
	{
		table->lock = &GetNamedLWLockTranche(NEWS_TRANCHE)->lock;
		pg_atomic_init_u32(&table->nlisteners, 0);
		for (int i = 0; i < max_worker_processes; i++)
			init_desk(&table->desks[i]);
	}
	info.keysize = sizeof(ChannelKey);
	info.entrysize = sizeof(Channel);
	/* A fixed number: it is full then, and takes no memory of others. */
	channels = ShmemInitHash("pgtopic channels", max_channels(), max_channels(), &info,
							 HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
	LWLockRelease(AddinShmemInitLock);
}

void
news_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = news_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = news_shmem_startup;
}

/* ---------- desks ---------- */

/* The desk of this database; or, for InvalidOid, a free one. */
static Desk *
find_desk(Oid database)
{
	static int	last = 0;

	if (pg_atomic_read_u32(&table->desks[last].database) == database)
		return &table->desks[last];
	for (int i = 0; i < max_worker_processes; i++)
	{
		if (pg_atomic_read_u32(&table->desks[i].database) == database)
		{
			last = i;
			return &table->desks[i];
		}
	}
	return NULL;
}

/* Under the lock.  What was marked for whoever had it before goes. */
static Desk *
take_desk(void)
{
	Desk	   *desk = find_desk(MyDatabaseId);

	if (desk != NULL)
		return desk;
	desk = find_desk(InvalidOid);
	if (desk == NULL)
		return NULL;
	for (int i = 0; i < NEWS_MAX_KEYS; i++)
		pg_atomic_write_u64(&desk->slots[i], 0);
	pg_atomic_write_u32(&desk->marks, 0);
	pg_atomic_write_u32(&desk->scope, NEWS_KEYS);
	pg_atomic_write_u32(&desk->rebalances, 0);
	pg_atomic_write_u32(&desk->database, MyDatabaseId);
	return desk;
}

/* Under the lock. */
static void
leave_desk(Desk *desk)
{
	if (pg_atomic_read_u32(&desk->nlisteners) == 0 &&
		pg_atomic_read_u32(&desk->notifier) == 0)
		pg_atomic_write_u32(&desk->database, InvalidOid);
}

static void
wake_notifier(Desk *desk)
{
	uint32		notifier = pg_atomic_read_u32(&desk->notifier);

	if (notifier != 0)
		notify_wake((int) notifier - 1);
}

/* After something was marked.  Who comes first after a look rings. */
static void
ring(Desk *desk)
{
	if (pg_atomic_fetch_add_u32(&desk->marks, 1) == 0)
		wake_notifier(desk);
}

/* ---------- producers ---------- */

static bool
put_mark(Desk *desk, Oid topic, int32 partition)
{
	uint64		key = ((uint64) topic << 32) | (uint32) (partition + 1);
	uint32		hash = hash_combine(murmurhash32(topic), murmurhash32((uint32) partition));

	for (int probe = 0; probe < MAX_PROBES; probe++)
	{
		pg_atomic_uint64 *slot = &desk->slots[(hash + probe) % NEWS_MAX_KEYS];
		uint64		found = pg_atomic_read_u64(slot);

		if (found == key)
			return true;
		if (found == 0 &&
			(pg_atomic_compare_exchange_u64(slot, &found, key) || found == key))
			return true;
	}
	return false;
}

/* The desk of this database, if somebody listens there. */
static Desk *
attended_desk(void)
{
	Desk	   *desk;

	if (table == NULL || pg_atomic_read_u32(&table->nlisteners) == 0)
		return NULL;
	desk = find_desk(MyDatabaseId);
	if (desk == NULL || pg_atomic_read_u32(&desk->nlisteners) == 0)
		return NULL;
	return desk;
}

static void
raise_scope(Desk *desk, NewsScope scope)
{
	uint32		present = pg_atomic_read_u32(&desk->scope);

	while (present < scope &&
		   !pg_atomic_compare_exchange_u32(&desk->scope, &present, scope))
		;
}

void
news_mark(Oid topic, int32 partition)
{
	Desk	   *desk = attended_desk();

	if (desk == NULL)
		return;
	if (!put_mark(desk, topic, partition) &&
		!put_mark(desk, topic, NOTIFY_ANY_PARTITION))
		raise_scope(desk, NEWS_ALL_MESSAGES);
	ring(desk);
}

void
news_mark_all(void)
{
	Desk	   *desk = attended_desk();

	if (desk == NULL)
		return;
	raise_scope(desk, NEWS_ALL_MESSAGES);
	ring(desk);
}

/* ---------- listeners ---------- */

static void
fill_key(ChannelKey *key, const char *channel)
{
	memset(key, 0, sizeof(ChannelKey));
	key->database = MyDatabaseId;
	strlcpy(key->channel, channel, NAMEDATALEN);
}

ListenResult
news_listen(const char *channel)
{
	ListenResult result = LISTEN_NOT_SERVED;
	ChannelKey	key;
	Desk	   *desk;

	if (table == NULL)
		return LISTEN_NOT_SERVED;
	fill_key(&key, channel);
	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	desk = take_desk();
	if (desk != NULL)
	{
		bool		found;
		Channel    *entry = hash_search(channels, &key, HASH_ENTER_NULL, &found);

		if (entry != NULL && !found)
		{
			entry->nlisteners = 0;
			pg_atomic_init_u32(&entry->rebalance, 0);
		}
		if (entry != NULL)
			entry->nlisteners++;
		else
			pg_atomic_fetch_add_u32(&desk->nunlisted, 1);
		pg_atomic_fetch_add_u32(&desk->nlisteners, 1);
		pg_atomic_fetch_add_u32(&table->nlisteners, 1);
		result = entry != NULL ? LISTEN_LISTED : LISTEN_UNLISTED;
	}
	LWLockRelease(table->lock);
	return result;
}

void
news_unlisten(const char *channel, ListenResult listed)
{
	ChannelKey	key;
	Desk	   *desk;

	if (listed == LISTEN_NOT_SERVED)
		return;
	fill_key(&key, channel);
	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	desk = find_desk(MyDatabaseId);
	Assert(desk != NULL);
	if (listed == LISTEN_LISTED)
	{
		Channel    *entry = hash_search(channels, &key, HASH_FIND, NULL);

		if (--entry->nlisteners == 0)
			(void) hash_search(channels, &key, HASH_REMOVE, NULL);
	}
	else
		pg_atomic_fetch_sub_u32(&desk->nunlisted, 1);
	pg_atomic_fetch_sub_u32(&table->nlisteners, 1);
	if (pg_atomic_fetch_sub_u32(&desk->nlisteners, 1) == 1)
	{
		wake_notifier(desk);	/* it need not stay */
		leave_desk(desk);
	}
	LWLockRelease(table->lock);
}

void
news_want_notifier(void)
{
	Desk	   *desk = attended_desk();

	if (desk != NULL && pg_atomic_read_u32(&desk->notifier) == 0 &&
		notifier_missing_hook != NULL)
		notifier_missing_hook();
}

bool
notify_has_listeners(void)
{
	return attended_desk() != NULL;
}

void
notify_rebalance(const char *group_id)
{
	Desk	   *desk = attended_desk();
	char		channel[NAMEDATALEN];
	ChannelKey	key;
	Channel    *entry;

	if (desk == NULL)
		return;
	notify_channel(NOTIFY_GROUP_PREFIX, group_id, channel);
	fill_key(&key, channel);
	LWLockAcquire(table->lock, LW_SHARED);
	entry = hash_search(channels, &key, HASH_FIND, NULL);
	if (entry != NULL)
		pg_atomic_write_u32(&entry->rebalance, 1);
	LWLockRelease(table->lock);

	if (entry != NULL)
		pg_atomic_write_u32(&desk->rebalances, 1);
	else if (pg_atomic_read_u32(&desk->nunlisted) > 0)
		raise_scope(desk, NEWS_ALL);
	else
		return;
	ring(desk);
}

/* ---------- the notifier ---------- */

static void
detach_at_exit(int code, Datum arg)
{
	notifier_detach();
}

/* What was told or not before this one came, nobody knows: it tells all. */
bool
notifier_attach(void)
{
	static bool registered = false;
	Desk	   *desk;

	if (!registered)
		before_shmem_exit(detach_at_exit, (Datum) 0);
	registered = true;

	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	desk = find_desk(MyDatabaseId);
	if (desk != NULL && pg_atomic_read_u32(&desk->notifier) == 0 &&
		pg_atomic_read_u32(&desk->nlisteners) > 0)
	{
		my_desk = desk;
		pg_atomic_write_u32(&desk->notifier, notify_my_procno() + 1);
	}
	LWLockRelease(table->lock);
	if (my_desk != NULL)
		news_put_back();
	return my_desk != NULL;
}

void
notifier_detach(void)
{
	if (my_desk == NULL)
		return;
	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	pg_atomic_write_u32(&my_desk->notifier, 0);
	leave_desk(my_desk);
	my_desk = NULL;
	LWLockRelease(table->lock);
}

bool
notifier_detach_if_unneeded(void)
{
	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&my_desk->nlisteners) == 0)
	{
		pg_atomic_write_u32(&my_desk->notifier, 0);
		leave_desk(my_desk);
		my_desk = NULL;
	}
	LWLockRelease(table->lock);
	return my_desk == NULL;
}

bool
news_waiting(void)
{
	return pg_atomic_read_u32(&my_desk->marks) != 0;
}

void
news_put_back(void)
{
	raise_scope(my_desk, NEWS_ALL);
	pg_atomic_fetch_add_u32(&my_desk->marks, 1);
}

static int
compare_keys(const void *left, const void *right)
{
	const NotifyKey *a = left;
	const NotifyKey *b = right;

	if (a->topic != b->topic)
		return a->topic < b->topic ? -1 : 1;
	if (a->partition != b->partition)
		return a->partition < b->partition ? -1 : 1;
	return 0;
}

/* The count first: who marks something after that rings again. */
void
news_take(News *news)
{
	news->marks = pg_atomic_exchange_u32(&my_desk->marks, 0);
	news->scope = (NewsScope) pg_atomic_exchange_u32(&my_desk->scope, NEWS_KEYS);
	news->rebalances = pg_atomic_exchange_u32(&my_desk->rebalances, 0) != 0;
	news->nkeys = 0;
	for (int i = 0; i < NEWS_MAX_KEYS; i++)
	{
		uint64		key = 0;

		if (pg_atomic_read_u64(&my_desk->slots[i]) != 0)
			key = pg_atomic_exchange_u64(&my_desk->slots[i], 0);
		if (key == 0)
			continue;
		news->keys[news->nkeys].topic = (Oid) (key >> 32);
		news->keys[news->nkeys].partition = (int32) (uint32) key - 1;
		news->nkeys++;
	}
	qsort(news->keys, news->nkeys, sizeof(NotifyKey), compare_keys);
}

bool
news_unlisted(void)
{
	return pg_atomic_read_u32(&my_desk->nunlisted) > 0;
}

bool
news_listened(const char *channel)
{
	ChannelKey	key;
	bool		result;

	if (news_unlisted())
		return true;
	fill_key(&key, channel);
	LWLockAcquire(table->lock, LW_SHARED);
	result = hash_search(channels, &key, HASH_FIND, NULL) != NULL;
	LWLockRelease(table->lock);
	return result;
}

/* Copies up to capacity channels; returns how many there are. */
static int
copy_channels(const char *prefix, bool rebalances, char (*result)[NAMEDATALEN], int capacity)
{
	HASH_SEQ_STATUS scan;
	Channel    *entry;
	int			count = 0;

	hash_seq_init(&scan, channels);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->key.database != MyDatabaseId ||
			strncmp(entry->key.channel, prefix, strlen(prefix)) != 0)
			continue;
		if (rebalances && pg_atomic_read_u32(&entry->rebalance) == 0)
			continue;
		if (count < capacity)
		{
			if (rebalances)
				pg_atomic_write_u32(&entry->rebalance, 0);
			memcpy(result[count], entry->key.channel, NAMEDATALEN);
		}
		count++;
	}
	return count;
}

int
news_channels(const char *prefix, bool rebalances, char (**result)[NAMEDATALEN])
{
	for (;;)
	{
		/* Each has at least one listener.  No memory is allocated under the lock. */
		int			capacity = pg_atomic_read_u32(&my_desk->nlisteners);
		bool		fits;
		int			count = 0;

		*result = palloc((capacity + 1) * NAMEDATALEN);
		LWLockAcquire(table->lock, LW_SHARED);
		fits = capacity >= pg_atomic_read_u32(&my_desk->nlisteners);
		if (fits)
			count = copy_channels(prefix, rebalances, *result, capacity);
		LWLockRelease(table->lock);
		if (fits)
			return count;
		pfree(*result);
	}
}
