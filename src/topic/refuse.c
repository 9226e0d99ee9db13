/*-------------------------------------------------------------------------
 *
 * refuse.c
 *	  Statements that a topic cannot honour.
 *
 * Whatever is refused is refused with 0A000 and a hint that names what to use
 * instead.  Queries are looked at when they are planned, after rewriting, so
 * that EXPLAIN, cursors, rules and updatable views come by here as well.  What
 * a statement leaves in the catalogs is checked in definition.c, however it
 * came there; this file has the statements that leave no such trace, and those
 * for which an early answer is a better one.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "catalog/namespace.h"
#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parsetree.h"
#include "topic/internal.h"
#include "utils/lsyscache.h"

void
refuse(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not supported for topics", what),
			 errhint("%s", hint)));
}

static bool
rangevar_is_topic(const RangeVar *name)
{
	return name != NULL && relid_is_topic(RangeVarGetRelid(name, NoLock, true));
}

/* ---------- queries ---------- */

static bool
rte_is_topic(Query *query, Index rti)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);

	return rte->rtekind == RTE_RELATION && relid_is_topic(rte->relid);
}

/* The target of INSERT, UPDATE, DELETE, MERGE. */
static void
refuse_result_relation(Query *query)
{
	switch (query->commandType)
	{
		case CMD_UPDATE:
			if (rte_is_topic(query, query->resultRelation))
				refuse("UPDATE",
					   "Messages do not change: produce a new one with the same key.");
			break;
		case CMD_DELETE:
			if (rte_is_topic(query, query->resultRelation))
				refuse("DELETE",
					   "Use topic.delete_records() to remove the oldest messages, or produce a NULL value for the key.");
			break;
		case CMD_MERGE:
			if (rte_is_topic(query, query->resultRelation))
				refuse("MERGE", "Use INSERT ... SELECT or topic.produce().");
			break;
		case CMD_INSERT:
			if (query->onConflict != NULL && rte_is_topic(query, query->resultRelation))
				refuse("ON CONFLICT",
					   "A topic takes every message, so there is no conflict: leave out ON CONFLICT.");
			break;
		default:
			break;
	}
}

static void
refuse_in_one_query(Query *query)
{
	ListCell   *cell;

	if (query->resultRelation > 0)
		refuse_result_relation(query);

	foreach(cell, query->rowMarks)
	{
		RowMarkClause *mark = lfirst_node(RowMarkClause, cell);

		if (mark->strength != LCS_NONE && rte_is_topic(query, mark->rti))
			refuse("SELECT ... FOR UPDATE or FOR SHARE",
				   "Messages do not change, so there is nothing to lock; name other tables of the query with FOR UPDATE OF.");
	}

	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->tablesample != NULL && relid_is_topic(rte->relid))
			refuse("TABLESAMPLE", "Choose messages by partition, offset or timestamp.");
	}
}

static bool
refuse_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		refuse_query((Query *) node);
		return false;
	}
	return expression_tree_walker(node, refuse_walker, context);
}

/* Looks at a query and all that is in it. */
void
refuse_query(Query *query)
{
	ListCell   *cell;

	if (query->commandType == CMD_UTILITY)
		return;
	refuse_in_one_query(query);

	/* Expressions need no walk where they hold no queries. */
	if (query->hasSubLinks)
	{
		query_tree_walker(query, refuse_walker, NULL, 0);
		return;
	}
	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->rtekind == RTE_SUBQUERY)
			refuse_query(rte->subquery);
	}
	foreach(cell, query->cteList)
		refuse_query(castNode(Query, lfirst_node(CommonTableExpr, cell)->ctequery));
}

/* ---------- ALTER TABLE ---------- */

/* What is refused, by kind; a kind that is in neither list is refused too. */
static const struct
{
	AlterTableType type;
	const char *what;
	const char *hint;
}			refused_alterations[] = {
	{AT_AddColumn, "ADD COLUMN", HINT_COLUMNS},
	{AT_DropColumn, "DROP COLUMN", HINT_COLUMNS},
	{AT_AlterColumnType, "ALTER COLUMN ... TYPE", HINT_COLUMNS},
	{AT_ColumnDefault, "a column default", HINT_COLUMNS},
	{AT_AddIdentity, "an identity column", HINT_COLUMNS},
	{AT_SetStorage, "SET STORAGE", "Use topic.alter(..., compression => ...)."},
	{AT_SetCompression, "SET COMPRESSION", "Use topic.alter(..., compression => ...)."},
	{AT_SetNotNull, "NOT NULL", HINT_CONSTRAINTS},
	{AT_AddConstraint, "a constraint", HINT_CONSTRAINTS},
	{AT_AddIndexConstraint, "a constraint", HINT_CONSTRAINTS},
	{AT_AddIndex, "an index", HINT_INDEX},
	{AT_SetUnLogged, "SET UNLOGGED", HINT_UNLOGGED},
	{AT_ClusterOn, "CLUSTER", HINT_CLUSTER},
	{AT_AddInherit, "inheritance", HINT_INHERITANCE},
	{AT_AddOf, "a composite type", HINT_COLUMNS},
	{AT_ReplicaIdentity, "REPLICA IDENTITY", HINT_PUBLICATION},
	{AT_EnableRowSecurity, "row-level security", HINT_ROW_SECURITY},
	{AT_ForceRowSecurity, "row-level security", HINT_ROW_SECURITY}
};

/* What works as on any table, or fails by itself because it finds nothing. */
static const AlterTableType allowed_alterations[] = {
	AT_ChangeOwner, AT_SetTableSpace, AT_SetStatistics, AT_SetOptions, AT_ResetOptions,
	AT_ResetRelOptions, AT_SetLogged, AT_DropCluster, AT_DropConstraint, AT_DropNotNull,
	AT_DropInherit, AT_DropOf, AT_DisableRowSecurity, AT_NoForceRowSecurity,
	AT_EnableTrig, AT_EnableAlwaysTrig, AT_EnableReplicaTrig, AT_DisableTrig,
	AT_EnableTrigAll, AT_DisableTrigAll, AT_EnableTrigUser, AT_DisableTrigUser
};

/*
 * Storage parameters that mean something for a topic.  Its own settings are
 * none of them: topic.alter() has those.
 */
bool
storage_parameter_allowed(const char *name)
{
	return strncmp(name, "autovacuum_", strlen("autovacuum_")) == 0 ||
		strcmp(name, "log_autovacuum_min_duration") == 0 ||
		strcmp(name, "parallel_workers") == 0;
}

void
refuse_storage_parameter(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("storage parameter \"%s\" is not supported for topics", name),
			 errhint("topic.alter() changes the settings of a topic.")));
}

static void
refuse_set_options(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (option->defnamespace != NULL || !storage_parameter_allowed(option->defname))
			refuse_storage_parameter(option->defname);
	}
}

static void
refuse_alteration(AlterTableCmd *command)
{
	if (command->subtype == AT_SetRelOptions)
	{
		refuse_set_options((List *) command->def);
		return;
	}
	for (int i = 0; i < lengthof(allowed_alterations); i++)
		if (allowed_alterations[i] == command->subtype)
			return;
	if (command->subtype == AT_ReplicaIdentity &&
		castNode(ReplicaIdentityStmt, command->def)->identity_type == REPLICA_IDENTITY_DEFAULT)
		return;
	for (int i = 0; i < lengthof(refused_alterations); i++)
		if (refused_alterations[i].type == command->subtype)
			refuse(refused_alterations[i].what, refused_alterations[i].hint);
	refuse("this form of ALTER TABLE",
		   "Create another table and copy with INSERT ... SELECT.");
}

/* SET ACCESS METHOD, either way; to what it already is does nothing. */
static void
refuse_set_access_method(AlterTableCmd *command, bool is_topic)
{
	const char *target = command->name ? command->name : default_table_access_method;
	bool		to_topic = strcmp(target, "topic") == 0;

	if (to_topic != is_topic)
		refuse("SET ACCESS METHOD", HINT_ACCESS_METHOD);
}

void
refuse_alter_table(AlterTableStmt *stmt)
{
	bool		is_topic = rangevar_is_topic(stmt->relation);
	ListCell   *cell;

	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->subtype == AT_SetAccessMethod)
			refuse_set_access_method(command, is_topic);
		else if (is_topic)
			refuse_alteration(command);
	}
}

/* ---------- other statements ---------- */

void
refuse_index(IndexStmt *stmt)
{
	if (rangevar_is_topic(stmt->relation))
		refuse("an index", HINT_INDEX);
}

void
refuse_cluster(ClusterStmt *stmt)
{
	if (rangevar_is_topic(stmt->relation))
		refuse("CLUSTER", HINT_CLUSTER);
}

void
refuse_copy_freeze(CopyStmt *stmt)
{
	ListCell   *cell;

	if (!stmt->is_from || !rangevar_is_topic(stmt->relation))
		return;
	foreach(cell, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "freeze") == 0 && defGetBoolean(option))
			refuse("COPY FREEZE", "Use COPY without FREEZE: topics are frozen without rewriting them.");
	}
}

/*
 * Logical replication never sees a topic's messages, so a topic in a
 * publication would lose them silently.
 */
void
refuse_publication(List *objects)
{
	ListCell   *cell;

	foreach(cell, objects)
	{
		PublicationObjSpec *object = lfirst_node(PublicationObjSpec, cell);

		if (object->pubobjtype == PUBLICATIONOBJ_TABLE &&
			rangevar_is_topic(object->pubtable->relation))
			refuse("a publication FOR TABLE", HINT_PUBLICATION);
	}
}

/* For publications of whole schemas or databases. */
void
warn_publication(bool all_tables, List *objects)
{
	bool		whole = all_tables;
	ListCell   *cell;

	foreach(cell, objects)
		if (lfirst_node(PublicationObjSpec, cell)->pubobjtype != PUBLICATIONOBJ_TABLE)
			whole = true;

	if (whole)
		ereport(WARNING,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("topics are not published"),
				 errhint(HINT_PUBLICATION)));
}
