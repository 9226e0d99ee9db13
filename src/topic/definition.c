/*-------------------------------------------------------------------------
 *
 * definition.c
 *	  What the catalogs may say about a topic.
 *
 * PostgreSQL calls object_access_hook for every object that it makes or
 * alters, whichever statement asked for it: so a topic with a wrong column, an
 * index, a rule or the like is refused here on every path, CREATE TABLE AS and
 * default_table_access_method included.  The rows are newer than the current
 * command, and are therefore read with SnapshotSelf.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "topic/internal.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* A catalog row as of now, copied; NULL if there is none. */
static HeapTuple
newest_row(Oid catalog, Oid index, AttrNumber key_column, Oid key_value)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;

	ScanKeyInit(&key, key_column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(key_value));
	scan = systable_beginscan(rel, index, true, SnapshotSelf, 1, &key);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
		row = heap_copytuple(row);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return row;
}

/* ---------- columns ---------- */

static Oid
column_type(int i)
{
	static const Oid types[] = {INT4OID, INT8OID, TIMESTAMPTZOID, BYTEAOID, BYTEAOID};

	return i < lengthof(types) ? types[i] : topic_header_array_oid();
}

static bool
column_fits(Form_pg_attribute column)
{
	int			i = column->attnum - 1;

	return i < TOPIC_NATTS && !column->attisdropped &&
		column->atttypid == column_type(i) && column->atttypmod == -1 &&
		strcmp(NameStr(column->attname), topic_columns[i].name) == 0;
}

static void
refuse_columns(void)
{
	StringInfoData columns;

	initStringInfo(&columns);
	for (int i = 0; i < TOPIC_NATTS; i++)
		appendStringInfo(&columns, "%s%s %s", i > 0 ? ", " : "",
						 topic_columns[i].name, topic_columns[i].type);
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("columns other than those of a topic are not supported"),
			 errdetail("A topic has exactly these columns: %s.", columns.data),
			 errhint("Use topic.create() to create a topic, or another access method for this table.")));
}

static void
check_columns(Oid relid)
{
	Relation	rel = table_open(AttributeRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	row;
	int			fitting = 0;

	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTGreaterStrategyNumber, F_INT2GT,
				Int16GetDatum(0));
	scan = systable_beginscan(rel, AttributeRelidNumIndexId, true, SnapshotSelf, 2, keys);
	while (HeapTupleIsValid(row = systable_getnext(scan)))
	{
		Form_pg_attribute column = (Form_pg_attribute) GETSTRUCT(row);

		if (!column_fits(column))
			refuse_columns();
		if (column->attnotnull)
			refuse("NOT NULL", HINT_CONSTRAINTS);
		if (column->attidentity != '\0' || column->attgenerated != '\0')
			refuse("an identity or generated column", HINT_COLUMNS);
		fitting++;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	if (fitting != TOPIC_NATTS)
		refuse_columns();
}

/* ---------- the relation ---------- */

static void
check_class(Form_pg_class class)
{
	if (class->relkind == RELKIND_MATVIEW)
		refuse("a materialized view",
			   "Use CREATE MATERIALIZED VIEW ... USING heap.");
	if (class->relkind != RELKIND_RELATION)
		refuse("table partitioning", HINT_INHERITANCE);
	if (class->relpersistence == RELPERSISTENCE_UNLOGGED)
		refuse("UNLOGGED", HINT_UNLOGGED);
	if (class->relpersistence == RELPERSISTENCE_TEMP)
		refuse("TEMPORARY", "Use CREATE TEMPORARY TABLE ... USING heap.");
	if (OidIsValid(class->reloftype))
		refuse("a composite type", HINT_COLUMNS);
	if (class->relrowsecurity || class->relforcerowsecurity)
		refuse("row-level security", HINT_ROW_SECURITY);
}

static void
check_storage_parameters(HeapTuple row)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	bool		isnull;
	Datum		options = heap_getattr(row, Anum_pg_class_reloptions,
									   RelationGetDescr(rel), &isnull);
	ListCell   *cell;

	if (!isnull)
		foreach(cell, untransformRelOptions(options))
		{
			DefElem    *option = lfirst_node(DefElem, cell);

			if (!storage_parameter_allowed(option->defname))
				refuse_storage_parameter(option->defname);
		}
	table_close(rel, AccessShareLock);
}

/* An index, constraints' included: what table is it on? */
static void
check_index(Oid index)
{
	HeapTuple	row = newest_row(IndexRelationId, IndexRelidIndexId,
								 Anum_pg_index_indexrelid, index);

	if (HeapTupleIsValid(row) &&
		relid_is_topic(((Form_pg_index) GETSTRUCT(row))->indrelid))
		refuse("an index", HINT_INDEX);
}

/*
 * A relation was made or altered: if it is a topic, it must be a proper one.
 * Says whether it is.
 */
bool
check_definition(Oid relid)
{
	HeapTuple	row;
	Form_pg_class class;

	row = newest_row(RelationRelationId, ClassOidIndexId, Anum_pg_class_oid, relid);
	if (!HeapTupleIsValid(row))
		return false;
	class = (Form_pg_class) GETSTRUCT(row);
	if (class->relkind == RELKIND_INDEX)
		check_index(relid);
	if (class->relam != topic_am_oid())
		return false;
	check_class(class);
	check_columns(relid);
	check_storage_parameters(row);
	return true;
}

/* ---------- what hangs on a relation ---------- */

void
check_trigger(Oid trigger)
{
	HeapTuple	row = newest_row(TriggerRelationId, TriggerOidIndexId,
								 Anum_pg_trigger_oid, trigger);
	Form_pg_trigger form;

	if (!HeapTupleIsValid(row))
		return;
	form = (Form_pg_trigger) GETSTRUCT(row);
	if (!relid_is_topic(form->tgrelid))
		return;
	if (TRIGGER_FOR_ROW(form->tgtype))
		refuse("a row trigger",
			   "Use a statement trigger on INSERT or TRUNCATE, or consume the topic and act on its messages.");
	if (TRIGGER_FOR_UPDATE(form->tgtype) || TRIGGER_FOR_DELETE(form->tgtype))
		refuse("a trigger on UPDATE or DELETE",
			   "Use a statement trigger on INSERT or TRUNCATE.");
	if (!heap_attisnull(row, Anum_pg_trigger_tgnewtable, NULL))
		refuse("a transition table",
			   "Consume the topic with topic.fetch() and act on its messages.");
}

void
check_rule(Oid rule)
{
	HeapTuple	row = newest_row(RewriteRelationId, RewriteOidIndexId,
								 Anum_pg_rewrite_oid, rule);

	if (HeapTupleIsValid(row) &&
		relid_is_topic(((Form_pg_rewrite) GETSTRUCT(row))->ev_class))
		refuse("a rule", "Create a view over the topic, and the rule on the view.");
}

void
check_policy(Oid policy)
{
	HeapTuple	row = newest_row(PolicyRelationId, PolicyOidIndexId,
								 Anum_pg_policy_oid, policy);

	if (HeapTupleIsValid(row) &&
		relid_is_topic(((Form_pg_policy) GETSTRUCT(row))->polrelid))
		refuse("row-level security", HINT_ROW_SECURITY);
}

void
check_constraint(Oid constraint)
{
	HeapTuple	row = newest_row(ConstraintRelationId, ConstraintOidIndexId,
								 Anum_pg_constraint_oid, constraint);
	Form_pg_constraint form;

	if (!HeapTupleIsValid(row))
		return;
	form = (Form_pg_constraint) GETSTRUCT(row);
	if (relid_is_topic(form->conrelid) || relid_is_topic(form->confrelid))
		refuse("a constraint", HINT_CONSTRAINTS);
}

void
check_column_default(Oid relid)
{
	if (relid_is_topic(relid))
		refuse("a column default", HINT_COLUMNS);
}

void
check_inheritance(Oid child, Oid parent)
{
	if (relid_is_topic(child) || relid_is_topic(parent))
		refuse("inheritance or table partitioning", HINT_INHERITANCE);
}
