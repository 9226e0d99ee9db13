/*-------------------------------------------------------------------------
 *
 * protect.c
 *	  topic.protect and unprotect: for which groups retention waits.
 *
 * It is the topic's owner who decides, since the disk that it takes is his.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "acl/acl.h"
#include "fmgr.h"
#include "group/catalog.h"
#include "group/protection.h"
#include "group/reading.h"
#include "group/tables.h"
#include "log/log.h"
#include "topic/topic.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(pgtopic_protect);
PG_FUNCTION_INFO_V1(pgtopic_unprotect);

/* A row of topic.group_protections, and what it says. */
typedef struct ProtectCall
{
	char	   *group_id;
	pg_uuid_t	topic;
	Datum		max_bytes;
	bool		by_setting;		/* max_bytes is null */
} ProtectCall;

/*
 * Who may call it, and that the group is there and stays until the transaction
 * ends: whoever deletes it takes its rows along.
 */
static void
open_call(FunctionCallInfo fcinfo, const char *function, ProtectCall *call)
{
	static const char *const names[] = {"group_id", "topic"};
	Relation	topic;
	GroupRow	row;

	reading_check_nulls(fcinfo->args, lengthof(names), names);
	call->group_id = text_to_cstring(PG_GETARG_TEXT_PP(0));
	topic = topic_open(text_to_cstring(PG_GETARG_TEXT_PP(1)), AccessShareLock);
	acl_check_owner(topic);
	(void) group_check(call->group_id, GROUP_DESCRIBE, false);
	log_check_writable(function);
	group_lock_rows(call->group_id, ShareUpdateExclusiveLock);
	if (!group_find(call->group_id, &row) || row.in_progress)
		group_missing(call->group_id);
	call->topic = topic_settings(topic)->uuid;
	topic_close(topic);
}

/* The row, if there is one. */
static bool
find_row(Relation rel, const ProtectCall *call, ItemPointer tid)
{
	SysScanDesc scan = rows_of_group(rel, call->group_id, &call->topic);
	HeapTuple	tuple = systable_getnext(scan);

	if (HeapTupleIsValid(tuple))
		*tid = tuple->t_self;
	systable_endscan(scan);
	return HeapTupleIsValid(tuple);
}

/* The lock on the group's rows keeps others from doing the same meanwhile. */
static void
store_row(Relation rel, const ProtectCall *call)
{
	Datum		values[PROTECTIONS_NATTS] = {0};
	bool		nulls[PROTECTIONS_NATTS] = {false};
	bool		replace[PROTECTIONS_NATTS] = {false};
	ItemPointerData tid;

	values[PROTECTIONS_GROUP_ID - 1] = CStringGetTextDatum(call->group_id);
	values[PROTECTIONS_TOPIC - 1] = UUIDPGetDatum(&call->topic);
	values[PROTECTIONS_MAX_BYTES - 1] = call->max_bytes;
	nulls[PROTECTIONS_MAX_BYTES - 1] = call->by_setting;
	replace[PROTECTIONS_MAX_BYTES - 1] = true;
	if (find_row(rel, call, &tid))
		(void) row_update(rel, &tid, values, nulls, replace);
	else
		(void) row_insert(rel, values, nulls);
}

/* topic.protect(group_id, topic, max_bytes) */
Datum
pgtopic_protect(PG_FUNCTION_ARGS)
{
	ProtectCall call;
	Relation	rel;

	call.by_setting = PG_ARGISNULL(2);
	call.max_bytes = PG_GETARG_DATUM(2);
	if (!call.by_setting && DatumGetInt64(call.max_bytes) < 1 && DatumGetInt64(call.max_bytes) != -1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_bytes must be at least 1"),
				 errhint("-1 means no limit, and NULL that of setting pgtopic.protect_max_bytes.")));
	open_call(fcinfo, "topic.protect()", &call);
	rel = table_of_room_open("group_protections", RowExclusiveLock);
	store_row(rel, &call);
	protections_changed(rel);
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}

/* topic.unprotect(group_id, topic) */
Datum
pgtopic_unprotect(PG_FUNCTION_ARGS)
{
	ProtectCall call;
	ItemPointerData tid;
	Relation	rel;

	open_call(fcinfo, "topic.unprotect()", &call);
	rel = table_of_room_open("group_protections", RowExclusiveLock);
	if (find_row(rel, &call, &tid) && row_delete(rel, &tid))
		protections_changed(rel);
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}
