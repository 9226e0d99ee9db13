/*-------------------------------------------------------------------------
 *
 * news.h
 *	  Marks for the notifier, and who listens.  Inside the notify room only;
 *	  what the notifier itself needs stands in the door.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_NOTIFY_NEWS_H
#define PGTOPIC_NOTIFY_NEWS_H

#include "notify/notify.h"

/* Request and start-up of shared memory; hooks.  From notify_init(). */
extern void news_init(void);
extern void listen_init(void);

/*
 * The partition, or any of this database, has news.  After the transaction has
 * left the proc array, and a full barrier.  Never fails.
 */
extern void news_mark(Oid topic, int32 partition);
extern void news_mark_all(void);

/* How a listener was registered: told to news_unlisten() again. */
typedef enum ListenResult
{
	LISTEN_LISTED,
	LISTEN_UNLISTED,			/* only counted: the table is full */
	LISTEN_NOT_SERVED			/* too many databases have listeners */
} ListenResult;

extern ListenResult news_listen(const char *channel);
extern void news_unlisten(const char *channel, ListenResult listed);

/* Calls notifier_missing_hook if there is no notifier in this database. */
extern void news_want_notifier(void);

#endif							/* PGTOPIC_NOTIFY_NEWS_H */
