/*-------------------------------------------------------------------------
 *
 * topic.c
 *	  From names to topics.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "acl/acl.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "compat.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "topic/internal.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

topic_flush_hook_type topic_flush_hook = NULL;
topic_pending_hook_type topic_pending_hook = NULL;
topic_changed_hook_type topic_changed_hook = NULL;
topic_dropped_hook_type topic_dropped_hook = NULL;

const TopicColumnDef topic_columns[TOPIC_NATTS] = {
	{"partition", "pg_catalog.int4"},
	{"log_offset", "pg_catalog.int8"},
	{"timestamp", "pg_catalog.timestamptz"},
	{"key", "pg_catalog.bytea"},
	{"value", "pg_catalog.bytea"},
	{"headers", "topic.header[]"}
};

/* The access method's OID, also when that is InvalidOid; reset by syscache. */
static Oid	cached_am_oid = InvalidOid;
static bool cached_am_oid_valid = false;

void
topic_init(void)
{
	ddl_init();
	compaction_init();
	log_retention_hook = settings_retention;
}

static void
forget_am_oid(Datum arg, int cacheid, uint32 hashvalue)
{
	cached_am_oid_valid = false;
}

Oid
topic_am_oid(void)
{
	static bool registered = false;

	if (!registered)
	{
		CacheRegisterSyscacheCallback(AMNAME, forget_am_oid, (Datum) 0);
		registered = true;
	}

	if (!cached_am_oid_valid)
	{
		/* An invalidation may arrive while we look: it then wins. */
		cached_am_oid_valid = true;
		cached_am_oid = get_table_am_oid("topic", true);
	}
	return cached_am_oid;
}

bool
relation_is_topic(Relation rel)
{
	return OidIsValid(rel->rd_rel->relam) && rel->rd_rel->relam == topic_am_oid();
}

bool
relid_is_topic(Oid relid)
{
	Oid			am = topic_am_oid();
	HeapTuple	tuple;
	bool		result;

	/* Catalogs are never topics; this spares most look-ups in most queries. */
	if (!OidIsValid(am) || relid < FirstNormalObjectId)
		return false;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_class) GETSTRUCT(tuple))->relam == am;
	ReleaseSysCache(tuple);
	return result;
}

Oid
topic_schema_oid(void)
{
	return get_namespace_oid("topic", true);
}

Oid
topic_header_array_oid(void)
{
	Oid			header = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
										 CStringGetDatum("header"),
										 ObjectIdGetDatum(topic_schema_oid()));

	return get_array_type(header);
}

RangeVar *
topic_parse_name(const char *name)
{
	return makeRangeVarFromNameList(QualifiedNameList(name));
}

/*
 * Checks before the lock is taken: nobody is to lock what is not a topic
 * through our functions, nor what is not his with more than a reader's or
 * writer's lock.
 */
static void
check_before_lock(const RangeVar *name, Oid relid, Oid oldrelid, void *arg)
{
	bool		owner_only = *(bool *) arg;

	if (!OidIsValid(relid))
		return;

	if (!relid_is_topic(relid))
	{
		/* Dropped meanwhile: RangeVarGetRelidExtended looks again. */
		if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
			return;
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a topic", name->relname),
				 errhint("Topics are created with topic.create(); view topic.topics lists them.")));
	}

	if (owner_only && relid != oldrelid)
		acl_check_owner_oid(relid, name->relname);
}

/*
 * topic_resolve: from a name to a locked topic; InvalidOid if there is none
 * and that is fine.
 */
Oid
topic_resolve(RangeVar *name, LOCKMODE lockmode, bool owner_only, bool missing_ok)
{
	Oid			relid = RangeVarGetRelidExtended(name, lockmode, RVR_MISSING_OK,
												 check_before_lock, &owner_only);

	if (!OidIsValid(relid) && !missing_ok)
	{
		const char *full = name->schemaname ?
			quote_qualified_identifier(name->schemaname, name->relname) :
			quote_identifier(name->relname);

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("topic \"%s\" does not exist", full),
				 errhint("View topic.topics lists the topics; topic.create() creates one.")));
	}
	return relid;
}

static void
check_name_given(const char *name)
{
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("topic name must not be null")));
}

Relation
topic_open(const char *name, LOCKMODE lockmode)
{
	check_name_given(name);
	return relation_open(topic_resolve(topic_parse_name(name), lockmode, false, false),
						 NoLock);
}

void
topic_close(Relation rel)
{
	relation_close(rel, NoLock);
}

char *
topic_name(Relation rel)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
									  RelationGetRelationName(rel));
}
