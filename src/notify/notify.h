/*-------------------------------------------------------------------------
 *
 * notify.h
 *	  The door of the notify room: who waits for which partitions, in shared
 *	  memory, and who LISTENs for news of them.  A leaf: it includes no other
 *	  room.
 *
 * Protocol of a waiter, without lost wake-ups:
 *		notify_wait_begin_keys(keys, nkeys);
 *		loop: take a new snapshot, look;  found -> leave the loop
 *			  notify_wait(milliseconds)   -- false when the time is over
 *		notify_wait_end();
 * A producer signals after its transaction has left the proc array, so that
 * whoever is woken sees it.  Whoever changes something else that a waiter looks
 * at changes it first and calls notify_wake() then.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_NOTIFY_H
#define PGTOPIC_NOTIFY_H

#include "postgres_ext.h"

#define NOTIFY_ANY_PARTITION	(-1)

/* What one may wait for; the partition may be NOTIFY_ANY_PARTITION. */
typedef struct NotifyKey
{
	Oid			topic;
	int32		partition;
} NotifyKey;

/* Shared memory request and start-up hooks; from _PG_init when preloaded. */
extern void notify_init(void);

/*
 * Registers this backend as a waiter; one registration at a time.  Any number
 * of keys is taken, those of a topic should stand together; with none the
 * backend waits for notify_wake() only.  The keys are not needed afterwards.
 */
extern void notify_wait_begin_keys(const NotifyKey *keys, int nkeys);

/*
 * notify_wait: sleeps until signalled or until timeout_ms have passed; false
 * in the latter case.  Ends with an error on cancel, and with the session when
 * its client has gone or on postmaster death.  Without shared memory (pgtopic
 * is not preloaded) it only sleeps, and nobody can write either.
 */
extern bool notify_wait(long timeout_ms);
extern void notify_wait_end(void);

/*
 * Wakes those who wait for the partition, and has those who LISTEN notified.
 * Two atomic reads if there is nobody.
 */
extern void notify_signal(Oid topic, int32 partition);

/* The same for all of this database: after COMMIT PREPARED and the like. */
extern void notify_signal_all(void);

/*
 * notify_wake: wakes the backend with this number, whatever it waits for, and
 * sets its latch also if it does not wait here.  Harmless when the backend has
 * gone, or another has its number now.  notify_my_procno: our own number.
 */
extern void notify_wake(int procno);
extern int	notify_my_procno(void);

/* ---------- channel.c: channels of LISTEN ---------- */

#define NOTIFY_TOPIC_PREFIX	"topic:"	/* schema.topic, quoted where needed */
#define NOTIFY_GROUP_PREFIX	"group:"	/* group_id */

/*
 * notify_channel: writes the name of a channel, NAMEDATALEN bytes at most: the
 * prefix and the name, or, where that is too long, the prefix, "#" and the
 * first 40 hexadecimal digits of the name's SHA-256.  In a transaction, as
 * what computes that wants a resource owner.
 */
extern void notify_channel(const char *prefix, const char *name, char *channel);

/* ---------- listen.c: a session that LISTENs ---------- */

/* LISTEN and UNLISTEN as parts of the transaction, as the statements do. */
extern void notify_listen(const char *channel);
extern void notify_unlisten(const char *channel);

/* ---------- news.c: what the notifier is to tell ---------- */

/*
 * Called, with no lock held, by a session that begins to LISTEN and finds no
 * notifier in its database; set by the worker room.
 */
typedef void (*notifier_missing_hook_type) (void);
extern notifier_missing_hook_type notifier_missing_hook;

/*
 * Members of the group must act; told to whoever listens on its channel.  In a
 * transaction.
 */
extern void notify_rebalance(const char *group_id);

/* Whether any session of this database listens to a channel of ours. */
extern bool notify_has_listeners(void);

typedef enum NewsScope
{
	NEWS_KEYS,					/* what the keys say */
	NEWS_ALL_MESSAGES,			/* any partition may have news */
	NEWS_ALL					/* and any group may have been rebalanced */
} NewsScope;

typedef struct News
{
	NewsScope	scope;
	bool		rebalances;		/* some channels of groups are marked so */
	uint32		marks;			/* how often something was marked */
	int			nkeys;
	NotifyKey  *keys;			/* NEWS_MAX_KEYS; by topic and partition, some
								 * may stand there twice */
} News;

#define NEWS_MAX_KEYS	1024

/*
 * The process that notifies for this database.  notifier_attach: it is this
 * one, until it exits or notifier_detach(); false if there is another one, or
 * nobody listens.  notifier_detach_if_unneeded: if nobody listens (any more).
 */
extern bool notifier_attach(void);
extern void notifier_detach(void);
extern bool notifier_detach_if_unneeded(void);

/*
 * news_waiting: whether there is something to tell.  news_take: takes it, so
 * that what comes from now on is marked anew; it must be told then, or put back.
 */
extern bool news_waiting(void);
extern void news_take(News *news);
extern void news_put_back(void);

/*
 * Who listens.  news_listened: whether somebody does to this channel; true
 * also when that is not known, for want of shared memory (news_unlisted).
 * news_channels: the known ones that begin so, or of them those marked with a
 * rebalance, whose marks it takes away; palloc'd, NAMEDATALEN bytes each.
 */
extern bool news_listened(const char *channel);
extern bool news_unlisted(void);
extern int	news_channels(const char *prefix, bool rebalances, char (**channels)[NAMEDATALEN]);

#endif							/* PGTOPIC_NOTIFY_H */
