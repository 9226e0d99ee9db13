/*-------------------------------------------------------------------------
 *
 * operators.c
 *	  SQL functions that create, give away, share and delete groups, and that
 *	  delete their offsets.
 *
 * All of it is part of the transaction.  What needs a group without members is
 * checked twice, here and at COMMIT, since members come and go at once.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "acl/acl.h"
#include "errors.h"
#include "fmgr.h"
#include "group/catalog.h"
#include "group/protection.h"
#include "group/tables.h"
#include "group/transaction.h"
#include "log/log.h"
#include "miscadmin.h"
#include "topic/topic.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(pgtopic_create_group);
PG_FUNCTION_INFO_V1(pgtopic_alter_group_owner);
PG_FUNCTION_INFO_V1(pgtopic_delete_group);
PG_FUNCTION_INFO_V1(pgtopic_delete_offsets);
PG_FUNCTION_INFO_V1(pgtopic_grant_group);
PG_FUNCTION_INFO_V1(pgtopic_revoke_group);

/* ---------- arguments ---------- */

static void
check_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

static char *
text_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	check_argument(fcinfo, arg, name);
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static char *
name_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	check_argument(fcinfo, arg, name);
	return NameStr(*PG_GETARG_NAME(arg));
}

/* ---------- groups ---------- */

/* topic.create_group(group_id, owner) */
Datum
pgtopic_create_group(PG_FUNCTION_ARGS)
{
	char	   *group_id = text_argument(fcinfo, 0, "group_id");
	Oid			owner = get_role_oid(name_argument(fcinfo, 1, "owner"), false);

	group_check_id(group_id);
	acl_check_group_new_owner(owner);
	log_check_writable("topic.create_group()");
	if (!group_make(group_id, owner, 0))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("consumer group \"%s\" already exists", group_id)));
	PG_RETURN_VOID();
}

/* The group's row, locked against other operators; the owner only. */
static void
lock_own_group(const char *group_id, const char *function, GroupRow *row)
{
	group_check_owner(group_id, row);
	log_check_writable(function);
	group_lock_rows(group_id, ShareUpdateExclusiveLock);

	/* Whoever had the lock may have changed it. */
	group_check_owner(group_id, row);
}

/* topic.alter_group_owner(group_id, owner) */
Datum
pgtopic_alter_group_owner(PG_FUNCTION_ARGS)
{
	char	   *group_id = text_argument(fcinfo, 0, "group_id");
	Oid			owner = get_role_oid(name_argument(fcinfo, 1, "owner"), false);
	Datum		values[GROUPS_NATTS];
	bool		nulls[GROUPS_NATTS] = {false};
	bool		replace[GROUPS_NATTS] = {false};
	Relation	groups;
	GroupRow	row;

	lock_own_group(group_id, "topic.alter_group_owner()", &row);
	acl_check_group_new_owner(owner);
	values[GROUPS_OWNER - 1] = ObjectIdGetDatum(owner);
	replace[GROUPS_OWNER - 1] = true;
	groups = table_of_room_open("consumer_groups", RowExclusiveLock);
	(void) row_update(groups, &row.tid, values, nulls, replace);
	table_close(groups, NoLock);
	PG_RETURN_VOID();
}

static void
delete_rows_of_group(const char *table, const char *group_id)
{
	Relation	rel = table_of_room_open(table, RowExclusiveLock);
	SysScanDesc scan = rows_of_group(rel, group_id, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ItemPointerData tid = tuple->t_self;

		(void) row_delete(rel, &tid);
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

/* topic.delete_group(group_id) */
Datum
pgtopic_delete_group(PG_FUNCTION_ARGS)
{
	char	   *group_id = text_argument(fcinfo, 0, "group_id");
	GroupRow	row;

	(void) group_check(group_id, GROUP_DELETE, false);
	log_check_writable("topic.delete_group()");
	require_empty_group(group_id);

	/* Waits for those who are about to commit offsets; then looks again. */
	group_lock_rows(group_id, AccessExclusiveLock);
	if (!group_find(group_id, &row) || row.in_progress)
		group_missing(group_id);
	require_empty_group(group_id);
	note_deletion(group_id, NULL);
	offsets_delete(group_id, NULL);
	delete_rows_of_group("group_grants", group_id);
	protections_delete(group_id);
	delete_rows_of_group("consumer_groups", group_id);
	PG_RETURN_VOID();
}

/* ---------- offsets ---------- */

static bool
subscribes_to(GroupMember *member, Oid relid)
{
	Oid		   *topics = member_topics(member);

	for (int i = 0; i < member->ntopics; i++)
		if (topics[i] == relid)
			return true;
	return false;
}

/* Who has left owns something until the coordinator has seen it, and uses nothing. */
static bool
group_uses_topic(ConsumerGroup *group, Oid relid)
{
	int			index = group_find_topic(group, relid);
	int32		npartitions = index == NO_TOPIC ? 0 : topic_at(group, index)->npartitions;

	for (int i = 0; i < group->members_capacity; i++)
	{
		GroupMember *member = member_at(group, i);

		if (member->incarnation != 0 && !member->left && subscribes_to(member, relid))
			return true;
	}
	for (int32 i = 0; i < npartitions; i++)
	{
		int32		owner = partition_at(group, index, i)->owner;

		if (owner != NO_MEMBER && !member_at(group, owner)->left)
			return true;
	}
	return false;
}

/*
 * Offsets of a topic may go while the group has members, if none of them
 * subscribes to it: whoever does later finds the rows locked, and then none.
 */
static void
require_topic_unused(const char *group_id, Relation topic)
{
	ConsumerGroup *group = group_attach(group_id, false, 0);
	bool		empty = group == NULL;
	bool		used = false;

	if (group != NULL)
	{
		empty = group_is_empty(group);
		group_lock(group, LW_SHARED);
		used = group_uses_topic(group, RelationGetRelid(topic));
		group_unlock(group);
		group_detach(group);
	}
	if (used)
		ereport(ERROR,
				(errcode(ERRCODE_NON_EMPTY_GROUP),
				 errmsg("consumer group \"%s\" is subscribed to topic \"%s\"",
						group_id, topic_name(topic)),
				 errhint("View topic.members lists its members.")));
	if (empty)
		require_empty_group(group_id);
}

/* topic.delete_offsets(group_id, topic) */
Datum
pgtopic_delete_offsets(PG_FUNCTION_ARGS)
{
	char	   *group_id = text_argument(fcinfo, 0, "group_id");
	Relation	topic = topic_open(text_argument(fcinfo, 1, "topic"), AccessShareLock);
	pg_uuid_t	uuid;

	acl_check_fetch(topic);
	(void) group_check(group_id, GROUP_DELETE, false);
	log_check_writable("topic.delete_offsets()");
	require_topic_unused(group_id, topic);

	group_lock_rows(group_id, AccessExclusiveLock);
	require_topic_unused(group_id, topic);
	uuid = topic_settings(topic)->uuid;
	note_deletion(group_id, &uuid);
	offsets_delete(group_id, &uuid);
	topic_close(topic);
	PG_RETURN_VOID();
}

/* ---------- grants ---------- */

static const struct
{
	GroupPrivilege bit;
	const char *name;
}			privileges[] = {
	{GROUP_READ, "READ"},
	{GROUP_DESCRIBE, "DESCRIBE"},
	{GROUP_DELETE, "DELETE"}
};

static Oid
grantee_argument(FunctionCallInfo fcinfo, int arg)
{
	char	   *name = name_argument(fcinfo, arg, "grantee");

	return strcmp(name, "public") == 0 ? ACL_ID_PUBLIC : get_role_oid(name, false);
}

static void
grant_one(Relation grants, const char *group_id, Oid grantee, const char *privilege)
{
	Datum		values[GRANTS_NATTS];
	bool		nulls[GRANTS_NATTS] = {false};

	values[GRANTS_GROUP_ID - 1] = CStringGetTextDatum(group_id);
	values[GRANTS_GRANTEE - 1] = ObjectIdGetDatum(grantee);
	values[GRANTS_PRIVILEGE - 1] = CStringGetTextDatum(privilege);
	nulls[GRANTS_GRANTEE_NAME - 1] = true;
	(void) row_insert(grants, values, nulls);
}

/* topic.grant_group(group_id, grantee, privilege) */
Datum
pgtopic_grant_group(PG_FUNCTION_ARGS)
{
	char	   *group_id = text_argument(fcinfo, 0, "group_id");
	Oid			grantee = grantee_argument(fcinfo, 1);
	int			bits = group_privileges(text_argument(fcinfo, 2, "privilege"));
	Relation	grants;
	GroupRow	row;

	lock_own_group(group_id, "topic.grant_group()", &row);
	grants = table_of_room_open("group_grants", RowExclusiveLock);
	for (int i = 0; i < lengthof(privileges); i++)
		if (bits & privileges[i].bit)
			grant_one(grants, group_id, grantee, privileges[i].name);
	table_close(grants, NoLock);
	PG_RETURN_VOID();
}

static void
revoke_from(Relation grants, const char *group_id, Oid grantee, int bits)
{
	TupleDesc	desc = RelationGetDescr(grants);
	SysScanDesc scan = rows_of_group(grants, group_id, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ItemPointerData tid = tuple->t_self;
		bool		isnull;
		Oid			row_grantee = DatumGetObjectId(heap_getattr(tuple, GRANTS_GRANTEE, desc, &isnull));
		Datum		privilege = heap_getattr(tuple, GRANTS_PRIVILEGE, desc, &isnull);

		if (row_grantee == grantee &&
			(group_privileges(TextDatumGetCString(privilege)) & bits) != 0)
			(void) row_delete(grants, &tid);
	}
	systable_endscan(scan);
	CommandCounterIncrement();
}

/* topic.revoke_group(group_id, grantee, privilege) */
Datum
pgtopic_revoke_group(PG_FUNCTION_ARGS)
{
	char	   *group_id = text_argument(fcinfo, 0, "group_id");
	Oid			grantee = grantee_argument(fcinfo, 1);
	int			bits = group_privileges(text_argument(fcinfo, 2, "privilege"));
	Relation	grants;
	GroupRow	row;

	lock_own_group(group_id, "topic.revoke_group()", &row);
	grants = table_of_room_open("group_grants", RowExclusiveLock);
	revoke_from(grants, group_id, grantee, bits);
	table_close(grants, NoLock);
	PG_RETURN_VOID();
}
