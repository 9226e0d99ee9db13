/*-------------------------------------------------------------------------
 *
 * dump.c
 *	  What pg_dump takes along besides messages and settings: where partitions
 *	  end that hold no message, and the identity of topics without a row in
 *	  topic.settings.
 *
 * pg_dump reads a configuration table of an extension with COPY ... TO, or with
 * a cursor if it is to write INSERTs.  So that what is read is true at that
 * moment, and nothing has to be written when a partition is trimmed, that
 * statement reads topic.settings_to_dump() instead.  The trigger of topic.settings puts it back.  Any table topic.t for
 * which there is a function topic.t_to_dump() is treated so, whichever room
 * it belongs to.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "acl/acl.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "log/log.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/analyze.h"
#include "parser/parse_func.h"
#include "parser/parser.h"
#include "topic/internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(pgtopic_log_ends);

/* Looks for the function that is read instead of a table; NIL if there is none. */
static List *
dump_function_of(const char *table)
{
	char		name[NAMEDATALEN];
	List	   *function;

	snprintf(name, sizeof(name), "%s_to_dump", table);
	function = list_make2(makeString("topic"), makeString(pstrdup(name)));
	return OidIsValid(LookupFuncName(function, 0, NULL, true)) ? function : NIL;
}

/* The cursor's query as "SELECT columns FROM ONLY topic.<table>", or NULL. */
static Query *
query_of_dump_cursor(DeclareCursorStmt *stmt)
{
	Query	   *query = (Query *) stmt->query;
	RangeTblEntry *rte;

	if (strcmp(stmt->portalname, "_pg_dump_cursor") != 0 || !IsA(query, Query) ||
		list_length(query->rtable) != 1)
		return NULL;
	rte = linitial_node(RangeTblEntry, query->rtable);
	if (rte->rtekind != RTE_RELATION || rte->inh ||
		get_rel_namespace(rte->relid) != get_namespace_oid("topic", true))
		return NULL;
	return query;
}

/* The table that pg_dump reads with the statement, and the columns; or NULL. */
static const char *
dumped_table(Node *statement, List **columns)
{
	*columns = NIL;
	if (IsA(statement, CopyStmt))
	{
		CopyStmt   *stmt = (CopyStmt *) statement;
		ListCell   *cell;

		if (stmt->is_from || stmt->relation == NULL || stmt->relation->schemaname == NULL ||
			strcmp(stmt->relation->schemaname, "topic") != 0)
			return NULL;
		foreach(cell, stmt->attlist)
			*columns = lappend(*columns, strVal(lfirst(cell)));
		return stmt->relation->relname;
	}
	if (IsA(statement, DeclareCursorStmt))
	{
		Query	   *query = query_of_dump_cursor((DeclareCursorStmt *) statement);
		ListCell   *cell;

		if (query == NULL)
			return NULL;
		foreach(cell, query->targetList)
			*columns = lappend(*columns, lfirst_node(TargetEntry, cell)->resname);
		return get_rel_name(linitial_node(RangeTblEntry, query->rtable)->relid);
	}
	return NULL;
}

/* COPY TO, or a cursor, spelled as pg_dump spells it, of a table that has one. */
bool
dump_reads_function(Node *statement)
{
	List	   *columns;
	const char *table = dumped_table(statement, &columns);

	return table != NULL && dump_function_of(table) != NIL;
}

/* The same of the function's rows, with the same columns in the same order. */
PlannedStmt *
dump_function_statement(PlannedStmt *planned)
{
	PlannedStmt *result = copyObject(planned);
	List	   *columns;
	const char *table = dumped_table(result->utilityStmt, &columns);
	StringInfoData query;
	RawStmt    *raw;
	ListCell   *cell;

	initStringInfo(&query);
	appendStringInfoString(&query, "SELECT ");
	foreach(cell, columns)
		appendStringInfo(&query, "%s%s", cell == list_head(columns) ? "" : ", ",
						 quote_identifier(lfirst(cell)));
	appendStringInfo(&query, "%s FROM %s()", columns == NIL ? "*" : "",
					 NameListToQuotedString(dump_function_of(table)));
	raw = linitial_node(RawStmt, raw_parser(query.data, RAW_PARSE_DEFAULT));

	if (IsA(result->utilityStmt, CopyStmt))
	{
		CopyStmt   *stmt = (CopyStmt *) result->utilityStmt;

		stmt->query = raw->stmt;
		stmt->relation = NULL;
		stmt->attlist = NIL;
	}
	else
		((DeclareCursorStmt *) result->utilityStmt)->query =
			(Node *) parse_analyze_fixedparams(raw, query.data, NULL, 0, NULL);
	return result;
}

/*
 * topic.log_ends(oid): the log end of each partition that has begun but holds
 * no message, else NULL; NULL if there is no such partition, or if the caller may
 * not see the topic.
 */
Datum
pgtopic_log_ends(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Relation	topic = try_relation_open(relid, AccessShareLock);
	Datum	   *ends;
	bool	   *nulls;
	bool		found = false;
	int			dims[1];
	int			lower[1] = {1};

	if (topic == NULL || !relation_is_topic(topic) || !acl_may_describe(topic))
	{
		if (topic != NULL)
			relation_close(topic, AccessShareLock);
		PG_RETURN_NULL();
	}
	dims[0] = topic_settings(topic)->partitions;
	ends = palloc0(dims[0] * sizeof(Datum));
	nulls = palloc(dims[0] * sizeof(bool));
	for (int i = 0; i < dims[0]; i++)
	{
		LaneInfo	lane;

		CHECK_FOR_INTERRUPTS();
		log_lane_info(topic, i, &lane);
		nulls[i] = (lane.log_end == 0 || lane.log_start < lane.log_end);
		ends[i] = Int64GetDatum(lane.log_end);
		found = found || !nulls[i];
	}
	relation_close(topic, NoLock);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(construct_md_array(ends, nulls, 1, dims, lower, INT8OID,
											 sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Partitions that were never written begin where they had ended. */
void
dump_restore_ends(Oid topic, Datum log_ends)
{
	ArrayType  *array = DatumGetArrayTypeP(log_ends);
	Relation	rel;
	Datum	   *ends;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &ends, &nulls, &n);
	if (n > LOG_MAX_LANES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("too many elements in %s", "log_ends"),
				 errdetail("A topic has %d partitions at most.", LOG_MAX_LANES)));
	log_check_writable("COPY");
	rel = relation_open(topic, RowExclusiveLock);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i] && DatumGetInt64(ends[i]) > 0)
			log_begin_at(rel, i, DatumGetInt64(ends[i]));
	}
	relation_close(rel, NoLock);
}
