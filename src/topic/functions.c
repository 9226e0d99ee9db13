/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  SQL functions that create, alter, drop and trim topics.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "acl/acl.h"
#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "compat.h"
#include "errors.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "log/log.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "topic/internal.h"
#include "topic/tables.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(pgtopic_check_preloaded);
PG_FUNCTION_INFO_V1(pgtopic_create);
PG_FUNCTION_INFO_V1(pgtopic_alter);
PG_FUNCTION_INFO_V1(pgtopic_alter_reset);
PG_FUNCTION_INFO_V1(pgtopic_drop);
PG_FUNCTION_INFO_V1(pgtopic_delete_records);

/* Arguments of topic.create() and topic.alter(), in the order of the columns. */
#define ARG_TOPIC				0
#define ARG_PARTITIONS			1
#define ARG_IF_NOT_EXISTS		11
#define ARG_COLUMN(arg)			((SettingsColumn) ((arg) + SETTINGS_PARTITIONS - ARG_PARTITIONS))
#define ARG_OF(column)			((column) - SETTINGS_PARTITIONS + ARG_PARTITIONS)

#define BEFORE_UNFINISHED		(-1)

/* First statement of the install script. */
Datum
pgtopic_check_preloaded(PG_FUNCTION_ARGS)
{
	if (!log_is_preloaded())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pgtopic must be loaded when the server starts"),
				 errhint("Add pgtopic to shared_preload_libraries and restart.")));
	PG_RETURN_VOID();
}

/* A text argument that must not be NULL. */
static char *
name_argument(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("topic name must not be null")));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/*
 * Runs one utility statement as if the user had typed it: hooks, event
 * triggers and permission checks included.
 */
static void
run_utility(const char *sql)
{
	RawStmt    *raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
	PlannedStmt *statement = makeNode(PlannedStmt);

	statement->commandType = CMD_UTILITY;
	statement->utilityStmt = raw->stmt;
	ProcessUtility(statement, sql, false, PROCESS_UTILITY_QUERY, NULL, NULL,
				   None_Receiver, NULL);
	CommandCounterIncrement();
}

/*
 * Names are cut silently where they are too long.  For a name that
 * applications agree upon that is a trap: two long names would be one topic.
 */
static void
check_name_length(const char *name)
{
	List	   *parts = NIL;
	ListCell   *cell;

	if (!SplitGUCList(pstrdup(name), '.', &parts))
		return;
	foreach(cell, parts)
	{
		const char *part = lfirst(cell);

		if (strlen(part) >= NAMEDATALEN)
			ereport(ERROR,
					(errcode(ERRCODE_NAME_TOO_LONG),
					 errmsg("topic name \"%s\" is too long", part),
					 errdetail("A name must be less than %d bytes.", NAMEDATALEN)));
	}
}

static int32
check_partitions(int32 partitions)
{
	if (partitions < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a topic has at least one partition")));
	if (partitions > LOG_MAX_LANES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a topic has at most %d partitions", LOG_MAX_LANES)));
	return partitions;
}

/* Collects the settings among the arguments that are not NULL. */
static void
change_from_arguments(FunctionCallInfo fcinfo, SettingsChange *change)
{
	for (int arg = ARG_OF(SETTINGS_FIRST_OPTION); arg < ARG_IF_NOT_EXISTS; arg++)
		if (!PG_ARGISNULL(arg))
			settings_change_option(change, ARG_COLUMN(arg), PG_GETARG_DATUM(arg));
}

static void
execute_create_table(RangeVar *name)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (",
					 quote_qualified_identifier(name->schemaname, name->relname));
	for (int i = 0; i < TOPIC_NATTS; i++)
		appendStringInfo(&sql, "%s%s %s", i > 0 ? ", " : "",
						 quote_identifier(topic_columns[i].name), topic_columns[i].type);
	appendStringInfoString(&sql, ") USING topic");
	run_utility(sql.data);
}

/*
 * Whoever creates a topic of the same name at the same time waits here, and then
 * sees what there is.  As instances of one application do that start together:
 * CREATE TABLE would tell the second one of a duplicate key in a catalog.
 */
static void
lock_new_name(Oid schema, const char *name)
{
	Relation	settings = table_of_room_open("settings", AccessShareLock);
	uint64		hash = hash_bytes_extended((const unsigned char *) name, strlen(name), schema);
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationGetRelid(settings),
					   (uint32) hash, (uint16) (hash >> 32));
	table_close(settings, NoLock);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	AcceptInvalidationMessages();
}

/* The relation is there already: a notice or an error. */
static Oid
report_existing(Oid existing, const char *name, bool if_not_exists)
{
	bool		is_topic = relid_is_topic(existing);

	if (!is_topic || !if_not_exists)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 is_topic ? errmsg("topic \"%s\" already exists", name) :
				 errmsg("relation \"%s\" already exists", name)));
	ereport(NOTICE,
			(errcode(ERRCODE_DUPLICATE_TABLE),
			 errmsg("topic \"%s\" already exists, skipping", name)));
	return existing;
}

/*
 * topic.create(topic, partitions, <settings>, if_not_exists) returns regclass
 *
 * Makes the table by CREATE TABLE, so that it is owned, placed, checked and
 * announced to event triggers as any table; then stores the settings.
 */
Datum
pgtopic_create(PG_FUNCTION_ARGS)
{
	char	   *given = name_argument(fcinfo, ARG_TOPIC);
	bool		if_not_exists = !PG_ARGISNULL(ARG_IF_NOT_EXISTS) &&
		PG_GETARG_BOOL(ARG_IF_NOT_EXISTS);
	RangeVar   *name;
	SettingsChange change = {0};
	Oid			schema;
	Oid			relid;
	Relation	topic;

	log_check_writable("topic.create()");
	check_name_length(given);
	name = topic_parse_name(given);

	settings_set_partitions(&change, PG_ARGISNULL(ARG_PARTITIONS) ? 1 :
							check_partitions(PG_GETARG_INT32(ARG_PARTITIONS)));
	change_from_arguments(fcinfo, &change);
	if (PG_ARGISNULL(ARG_OF(SETTINGS_RETENTION)))
		settings_set_unlimited_retention(&change);

	schema = RangeVarGetAndCheckCreationNamespace(name, NoLock, &relid);
	if (!OidIsValid(relid))
	{
		lock_new_name(schema, name->relname);
		relid = get_relname_relid(name->relname, schema);
	}
	if (OidIsValid(relid))
		PG_RETURN_OID(report_existing(relid, name->relname, if_not_exists));

	name->schemaname = get_namespace_name(schema);
	execute_create_table(name);

	/* An event trigger may have moved or dropped it. */
	relid = get_relname_relid(name->relname, schema);
	if (!relid_is_topic(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("topic \"%s\" is no longer there after its creation", name->relname)));
	topic = relation_open(relid, NoLock);
	settings_store(topic, &change);
	topic_close(topic);
	PG_RETURN_OID(relid);
}

/* Locks a topic of the caller against other changes of its settings. */
static Relation
open_to_alter(FunctionCallInfo fcinfo, const char *what)
{
	char	   *name = name_argument(fcinfo, ARG_TOPIC);

	log_check_writable(what);
	return relation_open(topic_resolve(topic_parse_name(name), ShareUpdateExclusiveLock,
									   true, false),
						 NoLock);
}

/* topic.alter(topic, partitions, <settings>) */
Datum
pgtopic_alter(PG_FUNCTION_ARGS)
{
	Relation	topic = open_to_alter(fcinfo, "topic.alter()");
	SettingsChange change = {0};

	if (!PG_ARGISNULL(ARG_PARTITIONS))
	{
		int32		partitions = check_partitions(PG_GETARG_INT32(ARG_PARTITIONS));
		int32		present = Max(topic_settings(topic)->partitions,
								  log_min_partitions(topic));

		if (partitions < present)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("partitions of a topic can only be added"),
					 errdetail("Topic \"%s\" has %d partitions.", topic_name(topic), present),
					 errhint("Create a new topic with fewer partitions and copy the messages.")));
		settings_set_partitions(&change, partitions);
	}
	change_from_arguments(fcinfo, &change);
	settings_store(topic, &change);
	topic_close(topic);
	PG_RETURN_VOID();
}

/* topic.alter_reset(topic, VARIADIC settings text[]) */
Datum
pgtopic_alter_reset(PG_FUNCTION_ARGS)
{
	Relation	topic = open_to_alter(fcinfo, "topic.alter_reset()");
	SettingsChange change = {0};
	Datum	   *names;
	bool	   *nulls;
	int			nnames = 0;

	if (!PG_ARGISNULL(1))
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
						  &names, &nulls, &nnames);
	for (int i = 0; i < nnames; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("names of settings must not be null")));
		settings_reset_option(&change, settings_column(TextDatumGetCString(names[i])));
	}
	settings_store(topic, &change);
	topic_close(topic);
	PG_RETURN_VOID();
}

/* topic.drop(topic, if_exists): DROP TABLE of what is checked to be a topic. */
Datum
pgtopic_drop(PG_FUNCTION_ARGS)
{
	char	   *given = name_argument(fcinfo, ARG_TOPIC);
	bool		if_exists = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	RangeVar   *name = topic_parse_name(given);
	Oid			relid;

	log_check_writable("topic.drop()");
	relid = topic_resolve(name, AccessExclusiveLock, true, if_exists);
	if (!OidIsValid(relid))
	{
		ereport(NOTICE,
				(errmsg("topic \"%s\" does not exist, skipping", name->relname)));
		PG_RETURN_VOID();
	}
	run_utility(psprintf("DROP TABLE %s",
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
													get_rel_name(relid))));
	PG_RETURN_VOID();
}

/*
 * topic.delete_records(topic, partition, before_offset) returns the new log
 * start offset.  The newest snapshot says which transactions are unfinished:
 * the caller's may be old.
 */
Datum
pgtopic_delete_records(PG_FUNCTION_ARGS)
{
	char	   *name = name_argument(fcinfo, ARG_TOPIC);
	Relation	topic;
	int32		partition;
	RecordOffset before;
	LaneInfo	lane;
	Snapshot	snapshot;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("partition and offset must not be null")));
	partition = PG_GETARG_INT32(1);
	before = PG_GETARG_INT64(2);

	log_check_writable("topic.delete_records()");
	topic = topic_open(name, RowExclusiveLock);
	acl_check_delete_records(topic);
	topic_check_partition(topic, partition);
	if (before < BEFORE_UNFINISHED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offset must not be negative"),
				 errhint("-1 means up to the first unfinished transaction.")));

	log_lane_info(topic, partition, &lane);
	if (before > lane.log_end)
		ereport(ERROR,
				(errcode(ERRCODE_OFFSET_OUT_OF_RANGE),
				 errmsg("offset %lld is past the log end", (long long) before),
				 errdetail("Partition %d of topic \"%s\" ends at offset %lld.",
						   partition, topic_name(topic), (long long) lane.log_end),
				 errhint("-1 means up to the first unfinished transaction.")));
	if (before == BEFORE_UNFINISHED)
		before = lane.log_end;

	snapshot = RegisterSnapshot(GetLatestSnapshot());
	before = log_trim(topic, partition, before, snapshot);
	UnregisterSnapshot(snapshot);
	topic_close(topic);
	PG_RETURN_INT64(before);
}
