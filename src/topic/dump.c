/*-------------------------------------------------------------------------
 *
 * dump.c
 *	  What pg_dump takes along besides messages and settings: where partitions
 *	  end that hold no message, and the identity of topics without a row in
 *	  topic.settings.
 *
 * pg_dump reads a configuration table of an extension with COPY ... TO.  So
 * that what is read is true at that moment, and nothing has to be written when
 * a partition is trimmed, that statement reads topic.settings_to_dump()
 * instead.  The trigger of topic.settings puts it back.  Any table topic.t for
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

/* COPY topic.<table> TO, spelled as pg_dump spells it, of a table that has one. */
bool
dump_reads_function(CopyStmt *stmt)
{
	return !stmt->is_from && stmt->relation != NULL &&
		stmt->relation->schemaname != NULL &&
		strcmp(stmt->relation->schemaname, "topic") == 0 &&
		dump_function_of(stmt->relation->relname) != NIL;
}

/* COPY of the function's rows, with the same columns in the same order. */
PlannedStmt *
dump_function_statement(PlannedStmt *planned)
{
	PlannedStmt *result = copyObject(planned);
	CopyStmt   *stmt = (CopyStmt *) result->utilityStmt;
	StringInfoData query;
	ListCell   *cell;

	initStringInfo(&query);
	appendStringInfoString(&query, "SELECT ");
	foreach(cell, stmt->attlist)
		appendStringInfo(&query, "%s%s", cell == list_head(stmt->attlist) ? "" : ", ",
						 quote_identifier(strVal(lfirst(cell))));
	appendStringInfo(&query, "%s FROM %s()", stmt->attlist == NIL ? "*" : "",
					 NameListToQuotedString(dump_function_of(stmt->relation->relname)));

	stmt->query = linitial_node(RawStmt, raw_parser(query.data, RAW_PARSE_DEFAULT))->stmt;
	stmt->relation = NULL;
	stmt->attlist = NIL;
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
