/*-------------------------------------------------------------------------
 *
 * make_way.c
 *	  The extension comes and goes, and databases are dropped, renamed, moved
 *	  and copied: our workers follow, and are in nobody's way.
 *
 * PostgreSQL does such things to a database only while nobody is connected to
 * it.  A worker of ours is no user's business, so it leaves before the statement
 * begins, and comes back after it if the database is still there.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "compat.h"
#include "group/group.h"
#include "miscadmin.h"
#include "notify/notify.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "worker/processes.h"

/* So long a statement waits for a worker to leave; then it may fail. */
#define LEAVE_TIMEOUT_MS	5000

static ProcessUtility_hook_type next_process_utility = NULL;
static object_access_hook_type next_object_access = NULL;

/* ---------- the extension ---------- */

/* This transaction has made or dropped an extension; is pgtopic there now? */
static bool extensions_changed = false;
static bool is_there = false;

static void
extension_object_access(ObjectAccessType access, Oid class, Oid object, int column, void *arg)
{
	if (next_object_access)
		next_object_access(access, class, object, column, arg);
	if (class == ExtensionRelationId && (access == OAT_POST_CREATE || access == OAT_DROP))
		extensions_changed = true;
}

static void
extension_xact_callback(XactEvent event, void *arg)
{
	if (!extensions_changed)
		return;
	if (event == XACT_EVENT_PRE_COMMIT)
		is_there = OidIsValid(get_extension_oid("pgtopic", true));
	else if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		extensions_changed = false;
}

/* As late as this, for a worker that is told looks through its caches. */
static void
extension_release_callback(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	if (!extensions_changed || phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level)
		return;
	extensions_changed = false;
	if (!is_there)
		registry_tell_workers(MyDatabaseId);
	else
	{
		registry_want(MyDatabaseId, WORKER_COORDINATOR);
		if (notify_has_listeners())
			registry_want(MyDatabaseId, WORKER_NOTIFIER);
	}
}

/* ---------- databases ---------- */

static bool
may_create_databases(void)
{
	HeapTuple	row;
	bool		result;

	if (superuser())
		return true;
	row = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(row))
		return false;
	result = ((Form_pg_authid) GETSTRUCT(row))->rolcreatedb;
	ReleaseSysCache(row);
	return result;
}

static DefElem *
find_option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return option;
	}
	return NULL;
}

static const char *
template_of(CreatedbStmt *stmt)
{
	DefElem    *option = find_option(stmt->options, "template");

	return option != NULL && option->arg != NULL ? defGetString(option) : "template1";
}

/* The database that has to be empty for a statement, or NULL. */
static const char *
database_to_leave(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType != OBJECT_DATABASE)
				return NULL;
			return ((RenameStmt *) statement)->subname;
		case T_AlterDatabaseStmt:
			if (find_option(((AlterDatabaseStmt *) statement)->options, "tablespace") == NULL)
				return NULL;
			return ((AlterDatabaseStmt *) statement)->dbname;
		case T_CreatedbStmt:
			return template_of((CreatedbStmt *) statement);
		default:
			return NULL;
	}
}

/* The same, if current_user may do it: nobody else sends workers away. */
static Oid
database_to_hold(Node *statement)
{
	const char *name = database_to_leave(statement);
	Oid			database = name != NULL ? get_database_oid(name, true) : InvalidOid;

	if (!OidIsValid(database))
		return InvalidOid;
	/* one's own can be copied only */
	if (database == MyDatabaseId && !IsA(statement, CreatedbStmt))
		return InvalidOid;
	if (IsA(statement, CreatedbStmt) ? may_create_databases() :
		database_ownercheck(database, GetUserId()))
		return database;
	return InvalidOid;
}

static bool
is_commit_prepared(Node *statement)
{
	return IsA(statement, TransactionStmt) &&
		((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

static void
run_statement(PlannedStmt *planned, const char *query_string, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *environment, DestReceiver *dest,
			  QueryCompletion *completion)
{
	if (next_process_utility)
		next_process_utility(planned, query_string, read_only_tree, context, params,
							 environment, dest, completion);
	else
		standard_ProcessUtility(planned, query_string, read_only_tree, context, params,
								environment, dest, completion);
}

/* The hold ends with the statement, however that ends. */
static void
run_while_held(Oid database, PlannedStmt *planned, const char *query_string,
			   bool read_only_tree, ProcessUtilityContext context,
			   ParamListInfo params, QueryEnvironment *environment,
			   DestReceiver *dest, QueryCompletion *completion)
{
	PG_TRY();
	{
		registry_hold(database);
		(void) registry_wait_until_left(database, LEAVE_TIMEOUT_MS);
		run_statement(planned, query_string, read_only_tree, context, params,
					  environment, dest, completion);
	}
	PG_CATCH();
	{
		registry_release();
		PG_RE_THROW();
	}
	PG_END_TRY();
	registry_release();
}

static void
make_way_process_utility(PlannedStmt *planned, const char *query_string,
						 bool read_only_tree, ProcessUtilityContext context,
						 ParamListInfo params, QueryEnvironment *environment,
						 DestReceiver *dest, QueryCompletion *completion)
{
	Node	   *statement = planned->utilityStmt;
	bool		commits_prepared = is_commit_prepared(statement);
	Oid			database = InvalidOid;

	if (!IsA(statement, TransactionStmt) && IsTransactionState())
		database = database_to_hold(statement);

	if (OidIsValid(database))
	{
		run_while_held(database, planned, query_string, read_only_tree, context, params,
					   environment, dest, completion);
		if (IsA(statement, DropdbStmt))
			group_forget_database(database);
	}
	else
		run_statement(planned, query_string, read_only_tree, context, params,
					  environment, dest, completion);

	/* It may have dropped the extension. */
	if (commits_prepared)
		registry_tell_workers(MyDatabaseId);
}

void
make_way_init(void)
{
	next_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = make_way_process_utility;
	next_object_access = object_access_hook;
	object_access_hook = extension_object_access;
	RegisterXactCallback(extension_xact_callback, NULL);
	RegisterResourceReleaseCallback(extension_release_callback, NULL);
}
