/*-------------------------------------------------------------------------
 *
 * listen.c
 *	  A session that LISTENs on channels of topics and groups.
 *
 * PostgreSQL does not tell who listens to what, so we follow the statements:
 * LISTEN and UNLISTEN of our channels, UNLISTEN * and DISCARD ALL.  They
 * take effect with the transaction, so they are only noted until then.  Before
 * the commit whoever is going to listen is registered, so that no later news are
 * missed; after it, who has ceased to is forgotten.  The end of the session
 * forgets all.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "notify/news.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/memutils.h"

typedef enum ActionKind
{
	ACTION_LISTEN,
	ACTION_UNLISTEN,
	ACTION_UNLISTEN_ALL
} ActionKind;

/* What the transaction in progress has done so far. */
typedef struct Action
{
	ActionKind	kind;
	int			level;			/* of the subtransaction */
	char		channel[NAMEDATALEN];
} Action;

/* A channel that this session is registered for. */
typedef struct Listening
{
	ListenResult listed;
	bool		committed;		/* else it may still roll back */
	char		channel[NAMEDATALEN];
} Listening;

static List *actions = NIL;		/* in TopTransactionContext */
static List *listening = NIL;	/* in TopMemoryContext */

static ProcessUtility_hook_type next_process_utility = NULL;

/* ---------- statements ---------- */

static void
note_action(ActionKind kind, const char *channel)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Action	   *action = palloc(sizeof(Action));

	action->kind = kind;
	action->level = GetCurrentTransactionNestLevel();
	strlcpy(action->channel, channel, NAMEDATALEN);
	actions = lappend(actions, action);
	MemoryContextSwitchTo(old);
}

static bool
is_our_channel(const char *channel)
{
	return strncmp(channel, NOTIFY_TOPIC_PREFIX, strlen(NOTIFY_TOPIC_PREFIX)) == 0 ||
		strncmp(channel, NOTIFY_GROUP_PREFIX, strlen(NOTIFY_GROUP_PREFIX)) == 0;
}

void
notify_listen(const char *channel)
{
	PreventCommandDuringRecovery("LISTEN");
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot execute %s within security-restricted operation", "LISTEN")));
	if (MyBackendType != B_BACKEND)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot execute %s within a background process", "LISTEN")));
	Async_Listen(channel);
	note_action(ACTION_LISTEN, channel);
}

void
notify_unlisten(const char *channel)
{
	Async_Unlisten(channel);
	note_action(ACTION_UNLISTEN, channel);
}

/* After the statement was executed. */
static void
note_statement(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_ListenStmt:
			{
				const char *channel = ((ListenStmt *) statement)->conditionname;

				if (is_our_channel(channel))
					note_action(ACTION_LISTEN, channel);
				break;
			}
		case T_UnlistenStmt:
			{
				const char *channel = ((UnlistenStmt *) statement)->conditionname;

				if (channel == NULL)
					note_action(ACTION_UNLISTEN_ALL, "");
				else if (is_our_channel(channel))
					note_action(ACTION_UNLISTEN, channel);
				break;
			}
		case T_DiscardStmt:
			if (((DiscardStmt *) statement)->target == DISCARD_ALL)
				note_action(ACTION_UNLISTEN_ALL, "");
			break;
		default:
			break;
	}
}

static void
listen_process_utility(PlannedStmt *planned, const char *query_string,
					   bool read_only_tree, ProcessUtilityContext context,
					   ParamListInfo params, QueryEnvironment *environment,
					   DestReceiver *dest, QueryCompletion *completion)
{
	Node	   *statement = planned->utilityStmt;

	if (next_process_utility)
		next_process_utility(planned, query_string, read_only_tree, context, params,
							 environment, dest, completion);
	else
		standard_ProcessUtility(planned, query_string, read_only_tree, context, params,
								environment, dest, completion);

	/* COMMIT and the like leave no transaction to note anything in. */
	if (IsA(statement, ListenStmt) || IsA(statement, UnlistenStmt) ||
		IsA(statement, DiscardStmt))
		note_statement(statement);
}

/* ---------- the end of the transaction ---------- */

static void
forget_all(int code, Datum arg)
{
	ListCell   *cell;

	foreach(cell, listening)
	{
		Listening  *entry = lfirst(cell);

		news_unlisten(entry->channel, entry->listed);
	}
	listening = NIL;
}

static Listening *
find_listening(const char *channel)
{
	ListCell   *cell;

	foreach(cell, listening)
	{
		Listening  *entry = lfirst(cell);

		if (strcmp(entry->channel, channel) == 0)
			return entry;
	}
	return NULL;
}

/* What may fail comes before the registration. */
static void
register_channel(const char *channel)
{
	static bool registered = false;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Listening  *entry = palloc(sizeof(Listening));

	if (!registered)
		before_shmem_exit(forget_all, (Datum) 0);
	registered = true;

	entry->listed = LISTEN_NOT_SERVED;
	entry->committed = false;
	strlcpy(entry->channel, channel, NAMEDATALEN);
	listening = lappend(listening, entry);
	MemoryContextSwitchTo(old);

	entry->listed = news_listen(channel);
	if (entry->listed == LISTEN_NOT_SERVED)
		ereport(WARNING,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("nobody will notify on channel \"%s\"", channel),
				 errdetail("Sessions of too many databases listen for news of topics, or pgtopic is not in shared_preload_libraries."),
				 errhint("You might need to increase max_worker_processes.")));
}

static void
register_new_channels(void)
{
	ListCell   *cell;

	foreach(cell, actions)
	{
		Action	   *action = lfirst(cell);

		if (action->kind == ACTION_LISTEN && find_listening(action->channel) == NULL)
			register_channel(action->channel);
	}
}

static void
apply_actions(void)
{
	ListCell   *cell;

	foreach(cell, actions)
	{
		const Action *action = lfirst(cell);
		ListCell   *other;

		foreach(other, listening)
		{
			Listening  *entry = lfirst(other);

			if (action->kind == ACTION_UNLISTEN_ALL ||
				strcmp(entry->channel, action->channel) == 0)
				entry->committed = (action->kind == ACTION_LISTEN);
		}
	}
}

static void
forget_uncommitted(void)
{
	ListCell   *cell;

	foreach(cell, listening)
	{
		Listening  *entry = lfirst(cell);

		if (entry->committed)
			continue;
		news_unlisten(entry->channel, entry->listed);
		listening = foreach_delete_current(listening, cell);
		pfree(entry);
	}
}

static void
listen_xact_callback(XactEvent event, void *arg)
{
	if (actions == NIL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			register_new_channels();
			break;
		case XACT_EVENT_COMMIT:
			apply_actions();
			forget_uncommitted();
			actions = NIL;
			if (listening != NIL)
				news_want_notifier();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			forget_uncommitted();
			actions = NIL;
			break;
		default:
			break;
	}
}

static void
listen_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
						SubTransactionId parentSubid, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	ListCell   *cell;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(cell, actions)
	{
		Action	   *action = lfirst(cell);

		if (action->level < level)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			action->level = level - 1;
		else
			actions = foreach_delete_current(actions, cell);
	}
}

void
listen_init(void)
{
	next_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = listen_process_utility;
	RegisterXactCallback(listen_xact_callback, NULL);
	RegisterSubXactCallback(listen_subxact_callback, NULL);
}
