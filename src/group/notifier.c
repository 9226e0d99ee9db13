/*-------------------------------------------------------------------------
 *
 * notifier.c
 *	  The process that runs NOTIFY for the producers of its database.
 *
 * NOTIFY takes a lock of the whole cluster and holds it through the commit, so
 * producers leave it to this process.  It tells at once what it is told as long
 * as that is seldom; when much is produced it tells what has come together, a
 * hundred times a second.  What it has taken from the desk and could not
 * tell, for whatever reason, becomes "everything has news".
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/async.h"
#include "fmgr.h"
#include "group/coordinator.h"
#include "group/group.h"
#include "group/notifier.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "notify/notify.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* More partitions than these are "*". */
#define MAX_PARTITIONS_TOLD		64

/*
 * If more than this was marked in each WINDOW_MS lately, a rest follows each
 * round until it is less again.
 */
#define WINDOW_MS				10
#define MANY_MARKS				20
#define REST_MS					10

/* How often the queue is looked at, and what could not be told tried again. */
#define QUEUE_CHECK_MS			100
#define RETRY_MS				100

/* So long it stays without listeners. */
#define LINGER_MS				5000

#define PAYLOAD_ANY				"*"
#define PAYLOAD_MESSAGES		"messages"
#define PAYLOAD_REBALANCE		"rebalance"

/* How much is going on, and when the next round may be. */
typedef struct Pace
{
	int64		window_start;
	uint64		window_marks;
	bool		busy;
	int64		not_before;
	int64		queue_checked;
	bool		queue_full;
	int64		unneeded_since; /* 0: somebody listens */
} Pace;

static double notify_queue_limit = 0.5;

void
notifier_init(void)
{
	DefineCustomRealVariable("pgtopic.notify_queue_limit",
							 "Sets how full the queue of NOTIFY may be for news of topics and groups to be notified.",
							 "As pg_notification_queue_usage() has it. Beyond that they wait, so that they do not make NOTIFY fail for others.",
							 &notify_queue_limit,
							 0.5, 0.0, 1.0,
							 PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
}

/* ---------- groups ---------- */

static bool
subscribes_to_any(ConsumerGroup *group, const NotifyKey *keys, int nkeys)
{
	bool		result = false;

	group_lock(group, LW_SHARED);
	for (int i = 0; i < nkeys && !result; i++)
	{
		if (i == 0 || keys[i].topic != keys[i - 1].topic)
			result = group_find_topic(group, keys[i].topic) != NO_TOPIC;
	}
	group_unlock(group);
	return result;
}

static void
notify_group(ConsumerGroup *group, const NotifyKey *keys, int nkeys, const char *payload)
{
	char		channel[NAMEDATALEN];

	notify_channel(NOTIFY_GROUP_PREFIX, group->group_id, channel);
	if (news_listened(channel) && (keys == NULL || subscribes_to_any(group, keys, nkeys)))
		Async_Notify(channel, payload);
}

/*
 * Tells the groups that subscribe to one of the topics; or all, without keys.
 * The reference is given back also if there is an error.
 */
static void
notify_groups(const NotifyKey *keys, int nkeys, const char *payload)
{
	ConsumerGroup *volatile group = NULL;

	PG_TRY();
	{
		while ((group = group_attach_next(group)) != NULL)
			notify_group(group, keys, nkeys, payload);
	}
	PG_CATCH();
	{
		if (group != NULL)
			group_detach(group);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

static void
notify_rebalances(void)
{
	char		(*channels)[NAMEDATALEN];
	int			nchannels = news_channels(NOTIFY_GROUP_PREFIX, true, &channels);

	for (int i = 0; i < nchannels; i++)
		Async_Notify(channels[i], PAYLOAD_REBALANCE);
}

/* ---------- topics ---------- */

/* Partitions in order, each once; keys of one topic only. */
static void
append_partitions(StringInfo payload, const NotifyKey *keys, int nkeys)
{
	int			ntold = 0;

	for (int i = 0; i < nkeys; i++)
	{
		if (i > 0 && keys[i].partition == keys[i - 1].partition)
			continue;
		if (keys[i].partition == NOTIFY_ANY_PARTITION || ++ntold > MAX_PARTITIONS_TOLD)
		{
			resetStringInfo(payload);
			appendStringInfoString(payload, PAYLOAD_ANY);
			return;
		}
		appendStringInfo(payload, "%s%d", i > 0 ? "," : "", keys[i].partition);
	}
}

/* Whoever dropped the topic meanwhile has nobody to tell. */
static void
notify_topic(const NotifyKey *keys, int nkeys)
{
	char	   *name = get_rel_name(keys[0].topic);
	char	   *schema = name ? get_namespace_name(get_rel_namespace(keys[0].topic)) : NULL;
	char		channel[NAMEDATALEN];
	StringInfoData payload;

	if (schema == NULL)
		return;
	notify_channel(NOTIFY_TOPIC_PREFIX, quote_qualified_identifier(schema, name), channel);
	if (!news_listened(channel))
		return;
	initStringInfo(&payload);
	append_partitions(&payload, keys, nkeys);
	Async_Notify(channel, payload.data);
}

static void
notify_topics(const NotifyKey *keys, int nkeys)
{
	int			first = 0;

	for (int i = 1; i <= nkeys; i++)
	{
		if (i < nkeys && keys[i].topic == keys[first].topic)
			continue;
		notify_topic(&keys[first], i - first);
		first = i;
	}
}

/* ---------- everything ---------- */

static void
notify_listed(const char *prefix, const char *payload)
{
	char		(*channels)[NAMEDATALEN];
	int			nchannels = news_channels(prefix, false, &channels);

	for (int i = 0; i < nchannels; i++)
		Async_Notify(channels[i], payload);
}

/* For listeners of whom it is not known to what they listen. */
static void
notify_all_topics(void)
{
	Oid			am = topic_am_oid();
	Relation	catalog = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	row;

	while (HeapTupleIsValid(row = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(row);
		NotifyKey	key = {.topic = form->oid, .partition = NOTIFY_ANY_PARTITION};

		CHECK_FOR_INTERRUPTS();
		if (form->relkind == RELKIND_RELATION && form->relam == am)
			notify_topic(&key, 1);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
notify_everything(bool rebalances)
{
	bool		unlisted = news_unlisted();

	notify_listed(NOTIFY_TOPIC_PREFIX, PAYLOAD_ANY);
	notify_listed(NOTIFY_GROUP_PREFIX, PAYLOAD_MESSAGES);
	if (rebalances)
		notify_listed(NOTIFY_GROUP_PREFIX, PAYLOAD_REBALANCE);
	if (!unlisted)
		return;

	notify_all_topics();
	notify_groups(NULL, 0, PAYLOAD_MESSAGES);
	if (rebalances)
		notify_groups(NULL, 0, PAYLOAD_REBALANCE);
}

/* ---------- a round ---------- */

/* A transaction's work.  PostgreSQL drops what is told twice in one. */
static void
tell(void *arg)
{
	const News *news = arg;

	if (news->scope != NEWS_KEYS)
		notify_everything(news->scope == NEWS_ALL);
	else if (news->nkeys > 0)
	{
		notify_topics(news->keys, news->nkeys);
		notify_groups(news->keys, news->nkeys, PAYLOAD_MESSAGES);
	}
	if (news->rebalances)
		notify_rebalances();
}

static void
notifier_round(News *news, Pace *pace)
{
	int64		now = group_now();

	news_take(news);
	if (!coordinator_transaction(tell, news))
	{
		news_put_back();
		pace->not_before = group_now() + RETRY_MS;
		return;
	}
	pace->window_marks += news->marks;
	if (now - pace->window_start >= WINDOW_MS)
	{
		pace->busy = (int64) (pace->window_marks * WINDOW_MS) >
			MANY_MARKS * (now - pace->window_start);
		pace->window_start = now;
		pace->window_marks = 0;
	}
	pace->not_before = pace->busy ? now + REST_MS : 0;
}

/*
 * Looks whether somebody does not read his notifications, so that the queue
 * fills up.  There is nothing to be done about it but to wait.
 */
static bool
queue_is_full(Pace *pace)
{
	int64		now = group_now();
	double		usage;
	bool		full;

	if (now < pace->queue_checked + QUEUE_CHECK_MS)
		return pace->queue_full;
	usage = DatumGetFloat8(OidFunctionCall0(F_PG_NOTIFICATION_QUEUE_USAGE));
	full = usage > notify_queue_limit;
	if (full && !pace->queue_full)
		ereport(LOG,
				(errmsg("news of topics and groups are not notified for now"),
				 errdetail("The queue of NOTIFY is %.0f%% full.", usage * 100),
				 errhint("Look for a session that listens and stays in a transaction.")));
	if (!full && pace->queue_full)
		ereport(LOG,
				(errmsg("news of topics and groups are notified again")));
	pace->queue_checked = now;
	pace->queue_full = full;
	return full;
}

/* ---------- the loop ---------- */

/* Whatever the server's settings: nobody waits for a commit of ours. */
static void
set_settings(void)
{
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_USERSET,
					PGC_S_OVERRIDE);
}

static void
sleep_for(long timeout_ms)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;

	if (timeout_ms >= 0)
		events |= WL_TIMEOUT;
	(void) WaitLatch(MyLatch, events, timeout_ms, PG_WAIT_EXTENSION);
}

/* False if nobody has listened for a while. */
static bool
wait_for_news(Pace *pace)
{
	if (notify_has_listeners())
	{
		pace->unneeded_since = 0;
		sleep_for(-1);
		return true;
	}
	if (pace->unneeded_since == 0)
		pace->unneeded_since = group_now();
	if (group_now() >= pace->unneeded_since + LINGER_MS)
	{
		if (notifier_detach_if_unneeded())
			return false;
		return true;
	}
	sleep_for(LINGER_MS);
	return true;
}

static void
process_signals(void)
{
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* One turn of the loop; false if it is not needed any more. */
static bool
take_turn(News *news, Pace *pace)
{
	int64		now = group_now();

	if (!news_waiting())
		return wait_for_news(pace);
	if (now < pace->not_before)
		sleep_for((long) (pace->not_before - now));
	else if (queue_is_full(pace))
		sleep_for(QUEUE_CHECK_MS);
	else
		notifier_round(news, pace);
	return true;
}

bool
notifier_run(bool (*keep_on) (void))
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pgtopic notifier round",
												  ALLOCSET_DEFAULT_SIZES);
	News		news;
	Pace		pace = {0};

	if (!notifier_attach())
		return false;
	news.keys = MemoryContextAlloc(TopMemoryContext, NEWS_MAX_KEYS * sizeof(NotifyKey));
	set_settings();
	MemoryContextSwitchTo(context);
	for (;;)
	{
		ResetLatch(MyLatch);
		if (!keep_on())
			break;
		process_signals();
		MemoryContextReset(context);
		if (!take_turn(&news, &pace))
			return false;
	}
	notifier_detach();
	return true;
}
