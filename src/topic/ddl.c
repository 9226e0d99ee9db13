/*-------------------------------------------------------------------------
 *
 * ddl.c
 *	  The hooks through which a topic sees the statements of others.
 *
 * They do four things: refuse what cannot be honoured, append a topic's
 * pending messages before a statement reads, rewrites or drops it, forget a
 * dropped topic's settings, and tell when topics have changed.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "executor/executor.h"
#include "log/log.h"
#include "notify/notify.h"
#include "optimizer/planner.h"
#include "tcop/utility.h"
#include "topic/internal.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

static ProcessUtility_hook_type next_process_utility = NULL;
static ExecutorStart_hook_type next_executor_start = NULL;
static planner_hook_type next_planner = NULL;
static object_access_hook_type next_object_access = NULL;

/* ---------- what has changed ---------- */

/* This transaction has changed topics, or what roles may do. */
static bool topics_changed = false;

void
topic_note_change(void)
{
	topics_changed = true;
}

static void
tell_of_change(void)
{
	topics_changed = false;
	if (topic_changed_hook != NULL)
		topic_changed_hook();
}

static void
ddl_xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PREPARE)
		topics_changed = false; /* COMMIT PREPARED tells */
}

/*
 * Who is told reads catalogs through his caches.  At XACT_EVENT_COMMIT nothing
 * has been said to them yet; now it has, and the locks are free.  Partitions
 * that restored rows have called for stay also after a rollback.
 */
static void
ddl_release_callback(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	if (topics_changed && phase == RESOURCE_RELEASE_AFTER_LOCKS && is_top_level)
		tell_of_change();
}

/* Statements that change who may read what, also by way of other roles. */
static bool
changes_privileges(Node *statement)
{
	return IsA(statement, GrantStmt) || IsA(statement, GrantRoleStmt) ||
		IsA(statement, AlterRoleStmt) || IsA(statement, DropOwnedStmt);
}

/* ---------- pending messages ---------- */

/* Appends what is pending for a relation, if anything; says whether there was. */
static bool
flush(Oid relid)
{
	if (topic_pending_hook == NULL || !topic_pending_hook(relid))
		return false;
	topic_flush_hook(relid);
	return true;
}

static void
flush_all(void)
{
	if (topic_flush_hook != NULL)
		topic_flush_hook(InvalidOid);
}

/* Before a statement that names the relation.  Pending messages hold a lock. */
static void
flush_named(const RangeVar *name)
{
	Oid			relid = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

	if (OidIsValid(relid))
		flush(relid);
}

/* Whether this transaction has appended to the relation, which is locked. */
static bool
appended_here(Oid relid)
{
	Relation	rel = relation_open(relid, NoLock);
	bool		result = log_own_appends(rel);

	relation_close(rel, NoLock);
	return result;
}

/*
 * flush_for_query: appends the pending messages of the topics that a query is
 * about to read, so that it sees them.  It happens here because it may need a
 * transaction id, which cannot be had once parallel mode has begun.  Returns
 * whether the query reads a topic to which this transaction has appended:
 * which of the messages it sees, only this backend knows.
 */
static bool
flush_for_query(PlannedStmt *statement)
{
	bool		own = false;
	bool		wrote = TransactionIdIsValid(GetTopTransactionIdIfAny());
	Index		rti = 0;
	ListCell   *cell;

	foreach(cell, statement->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		rti++;
		if (rte->rtekind != RTE_RELATION ||
			list_member_int(statement->resultRelations, rti))
			continue;
		/* Nothing has been appended without a transaction id. */
		if (flush(rte->relid) ||
			(wrote && relid_is_topic(rte->relid) && appended_here(rte->relid)))
			own = true;
	}
	return own;
}

/*
 * Runs the plan without workers: a Gather then does all the work itself.  The
 * plan may be a cached one, so the flag is changed in a copy.
 */
static void
forbid_workers(QueryDesc *query)
{
	MemoryContext context = MemoryContextSwitchTo(GetMemoryChunkContext(query));
	PlannedStmt *copy = makeNode(PlannedStmt);

	memcpy(copy, query->plannedstmt, sizeof(PlannedStmt));
	copy->parallelModeNeeded = false;
	query->plannedstmt = copy;
	MemoryContextSwitchTo(context);
}

/*
 * Also where messages of other topics are pending: a function that the query
 * calls may read those, and in parallel mode it is too late to append them.
 */
static bool
needs_one_process(PlannedStmt *statement)
{
	bool		own = flush_for_query(statement);

	return own || (topic_pending_hook != NULL && topic_pending_hook(InvalidOid));
}

static void
topic_executor_start(QueryDesc *query, int eflags)
{
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && !IsParallelWorker() &&
		OidIsValid(topic_am_oid()) &&
		needs_one_process(query->plannedstmt) &&
		query->plannedstmt->parallelModeNeeded)
		forbid_workers(query);

	if (next_executor_start)
		next_executor_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

/* ---------- queries ---------- */

static PlannedStmt *
topic_planner(Query *query, const char *query_string, int cursor_options,
			  ParamListInfo params)
{
	if (OidIsValid(topic_am_oid()))
		refuse_query(query);

	if (next_planner)
		return next_planner(query, query_string, cursor_options, params);
	return standard_planner(query, query_string, cursor_options, params);
}

/* ---------- utility statements ---------- */

static void
before_utility(Node *statement)
{
	ListCell   *cell;

	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			refuse_alter_table((AlterTableStmt *) statement);
			flush_named(((AlterTableStmt *) statement)->relation);
			break;
		case T_AlterTableMoveAllStmt:
			flush_all();
			break;
		case T_TruncateStmt:
			foreach(cell, ((TruncateStmt *) statement)->relations)
				flush_named(lfirst_node(RangeVar, cell));
			break;
		case T_CopyStmt:
			refuse_copy_freeze((CopyStmt *) statement);
			if (!((CopyStmt *) statement)->is_from)
				flush_named(((CopyStmt *) statement)->relation);
			break;
		case T_IndexStmt:
			refuse_index((IndexStmt *) statement);
			break;
		case T_ClusterStmt:
			refuse_cluster((ClusterStmt *) statement);
			break;
		case T_CreatePublicationStmt:
			refuse_publication(((CreatePublicationStmt *) statement)->pubobjects);
			break;
		case T_AlterPublicationStmt:
			if (((AlterPublicationStmt *) statement)->action != AP_DropObjects)
				refuse_publication(((AlterPublicationStmt *) statement)->pubobjects);
			break;
		default:
			break;
	}
}

static void
after_utility(Node *statement)
{
	if (changes_privileges(statement))
		topic_note_change();
	switch (nodeTag(statement))
	{
		case T_CreatePublicationStmt:
			warn_publication(((CreatePublicationStmt *) statement)->for_all_tables,
							 ((CreatePublicationStmt *) statement)->pubobjects);
			break;
		case T_AlterPublicationStmt:
			if (((AlterPublicationStmt *) statement)->action != AP_DropObjects)
				warn_publication(false, ((AlterPublicationStmt *) statement)->pubobjects);
			break;
		default:
			break;
	}
}

/*
 * The end of a prepared transaction runs none of its transaction callbacks, and
 * nobody knows any more what it has done.
 */
static void
after_prepared_transaction(TransactionStmtKind kind)
{
	notify_signal_all();
	if (kind == TRANS_STMT_COMMIT_PREPARED)
		tell_of_change();
}

static bool
ends_prepared_transaction(Node *statement)
{
	if (!IsA(statement, TransactionStmt))
		return false;
	return ((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED ||
		((TransactionStmt *) statement)->kind == TRANS_STMT_ROLLBACK_PREPARED;
}

static void
topic_process_utility(PlannedStmt *planned, const char *query_string,
					  bool read_only_tree, ProcessUtilityContext context,
					  ParamListInfo params, QueryEnvironment *environment,
					  DestReceiver *dest, QueryCompletion *completion)
{
	Node	   *statement = planned->utilityStmt;
	bool		ends_prepared = ends_prepared_transaction(statement);
	TransactionStmtKind kind = ends_prepared ? ((TransactionStmt *) statement)->kind : 0;

	/* Transaction control also runs in a failed transaction: no look-ups. */
	bool		concerns_us = !IsA(statement, TransactionStmt) &&
		IsTransactionState() && OidIsValid(topic_am_oid());

	if (concerns_us)
	{
		before_utility(statement);
		if (dump_reads_function(statement))
			planned = dump_function_statement(planned);
	}

	if (next_process_utility)
		next_process_utility(planned, query_string, read_only_tree, context, params,
							 environment, dest, completion);
	else
		standard_ProcessUtility(planned, query_string, read_only_tree, context, params,
								environment, dest, completion);

	/* The statement may have ended the transaction, or dropped the extension. */
	if (concerns_us && IsTransactionState())
		after_utility(statement);
	if (ends_prepared && OidIsValid(topic_am_oid()))
		after_prepared_transaction(kind);
}

/* ---------- objects ---------- */

static void
object_created(Oid class, Oid object)
{
	switch (class)
	{
		case RelationRelationId:
			if (check_definition(object))
				topic_note_change();
			break;
		case AttrDefaultRelationId:
			check_column_default(object);
			break;
		case ConstraintRelationId:
			check_constraint(object);
			break;
		case TriggerRelationId:
			check_trigger(object);
			break;
		case RewriteRelationId:
			check_rule(object);
			break;
		case PolicyRelationId:
			check_policy(object);
			break;
		default:
			break;
	}
}

static void
object_altered(Oid class, Oid object, Oid other)
{
	if (class == RelationRelationId)
	{
		if (check_definition(object))
			topic_note_change();
	}
	else if (class == NamespaceRelationId)
		topic_note_change();	/* patterns see the names of schemas */
	else if (class == TriggerRelationId)
		check_trigger(object);
	else if (class == InheritsRelationId)
		check_inheritance(object, other);
}

/* The identity of a topic that has no row of settings stands in its files. */
static void
read_uuid(Oid relid, pg_uuid_t *uuid)
{
	Relation	rel = relation_open(relid, NoLock);

	log_uuid(rel, uuid);
	relation_close(rel, NoLock);
}

/* Its lock is held, and its files and settings are still there. */
static void
relation_dropped(Oid relid)
{
	pg_uuid_t	uuid;

	if (!relid_is_topic(relid))
		return;
	flush(relid);
	if (!settings_forget(relid, &uuid))
		read_uuid(relid, &uuid);
	if (topic_dropped_hook != NULL)
		topic_dropped_hook(&uuid);
	topic_note_change();
}

/*
 * Relations that PostgreSQL makes, alters or drops for its own purposes, such
 * as the new files of VACUUM FULL, are marked as internal; they are copies of
 * what has been checked.
 */
static void
topic_object_access(ObjectAccessType access, Oid class, Oid object, int column, void *arg)
{
	if (next_object_access)
		next_object_access(access, class, object, column, arg);

	if (!OidIsValid(topic_am_oid()))
		return;

	switch (access)
	{
		case OAT_POST_CREATE:
			if (!((ObjectAccessPostCreate *) arg)->is_internal)
				object_created(class, object);
			break;
		case OAT_POST_ALTER:
			if (!((ObjectAccessPostAlter *) arg)->is_internal)
				object_altered(class, object,
							   ((ObjectAccessPostAlter *) arg)->auxiliary_id);
			break;
		case OAT_DROP:
			if (class == RelationRelationId && column == 0 &&
				(((ObjectAccessDrop *) arg)->dropflags & PERFORM_DELETION_INTERNAL) == 0)
				relation_dropped(object);
			break;
		default:
			break;
	}
}

void
ddl_init(void)
{
	next_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = topic_process_utility;
	next_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = topic_executor_start;
	next_planner = planner_hook;
	planner_hook = topic_planner;
	next_object_access = object_access_hook;
	object_access_hook = topic_object_access;
	RegisterXactCallback(ddl_xact_callback, NULL);
	RegisterResourceReleaseCallback(ddl_release_callback, NULL);
}
