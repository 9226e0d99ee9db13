/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  Groups, their owners and their grants, as the tables have them.
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
#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "errors.h"
#include "group/catalog.h"
#include "group/members.h"
#include "group/tables.h"
#include "log/log.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

/* Epochs that one write to disk reserves. */

/* Epochs to go on with where a group's row cannot be written now. */
#define EPOCHS_WITHOUT_ROW		10

static bool auto_create_groups = true;

void
catalog_init(void)
{
	DefineCustomBoolVariable("pgtopic.auto_create_groups",
							 "Whether the first subscribe or commit creates a consumer group.",
							 "Otherwise groups are created with topic.create_group() only.",
							 &auto_create_groups,
							 true,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);
}

void
group_check_id(const char *group_id)
{
	if (group_id[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("group_id must not be empty")));
	if (strlen(group_id) > GROUP_ID_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("group_id is too long"),
				 errdetail("It must not have more than %d bytes.", GROUP_ID_MAX_BYTES)));
}

void
group_missing(const char *group_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_GROUP_ID_NOT_FOUND),
			 errmsg("consumer group \"%s\" does not exist", group_id),
			 auto_create_groups ?
			 errhint("topic.create_group() creates it, and so does the first topic.subscribe().") :
			 errhint("topic.create_group() creates it.")));
}

/* ---------- the lock of a group ---------- */

static void
set_lock_tag(LOCKTAG *tag, const char *group_id)
{
	Relation	groups = table_of_room_open("consumer_groups", AccessShareLock);

	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, RelationGetRelid(groups),
					   hash_bytes((const unsigned char *) group_id, strlen(group_id)), 0);
	table_close(groups, NoLock);
}

void
group_lock_rows(const char *group_id, LOCKMODE lockmode)
{
	LOCKTAG		tag;

	set_lock_tag(&tag, group_id);
	(void) LockAcquire(&tag, lockmode, false, false);
}

static bool
try_lock_rows(const char *group_id, LOCKMODE lockmode)
{
	LOCKTAG		tag;

	set_lock_tag(&tag, group_id);
	return LockAcquire(&tag, lockmode, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* ---------- finding groups ---------- */

static bool
read_group(Relation groups, SysScanDesc scan, GroupRow *row)
{
	HeapTuple	tuple = systable_getnext(scan);
	bool		isnull;
	Datum		value;

	if (HeapTupleIsValid(tuple))
	{
		row->tid = tuple->t_self;
		value = heap_getattr(tuple, GROUPS_OWNER, RelationGetDescr(groups), &isnull);
		row->owner = isnull ? InvalidOid : DatumGetObjectId(value);
		value = heap_getattr(tuple, GROUPS_EPOCH, RelationGetDescr(groups), &isnull);
		row->epoch = isnull ? 0 : DatumGetInt32(value);
	}
	systable_endscan(scan);
	return HeapTupleIsValid(tuple);
}

/*
 * group_find: committed, or made by this transaction; or else being made by
 * another one, for whose end nobody is to wait.
 */
bool
group_find(const char *group_id, GroupRow *row)
{
	Relation	groups = table_of_room_open("consumer_groups", AccessShareLock);
	SnapshotData dirty;
	bool		found;

	row->in_progress = false;
	found = read_group(groups, rows_of_group(groups, group_id, NULL), row);
	if (!found)
	{
		found = read_group(groups, rows_of_group_in_progress(groups, group_id, &dirty), row);
		row->in_progress = found;
	}
	table_close(groups, AccessShareLock);
	return found;
}

/* Makes a group's row unless there is one, and waits for one being made. */
bool
group_make(const char *group_id, Oid owner, int32 epoch)
{
	Relation	groups = table_of_room_open("consumer_groups", RowExclusiveLock);
	Datum		values[GROUPS_NATTS];
	bool		nulls[GROUPS_NATTS] = {false};
	bool		made;

	values[GROUPS_GROUP_ID - 1] = CStringGetTextDatum(group_id);
	values[GROUPS_OWNER - 1] = ObjectIdGetDatum(owner);
	values[GROUPS_EPOCH - 1] = Int32GetDatum(epoch);
	nulls[GROUPS_OWNER_NAME - 1] = true;
	made = row_insert(groups, values, nulls);
	table_close(groups, NoLock);
	return made;
}

void
group_ensure_row(const char *group_id)
{
	GroupRow	row;

	if (group_find(group_id, &row) && !row.in_progress)
		return;
	if (!auto_create_groups)
		group_missing(group_id);
	if (!group_make(group_id, GetUserId(), 0))
		(void) group_check(group_id, GROUP_READ, true);
}

/*
 * The owner of a group that has members and no row yet, since the coordinator
 * makes it with its first decision: the role of a member.
 */
static bool
owner_in_memory(const char *group_id, Oid *owner)
{
	ConsumerGroup *group = log_is_preloaded() ? group_attach(group_id, false, 0) : NULL;
	bool		found = false;

	if (group == NULL)
		return false;
	group_lock(group, LW_SHARED);
	for (int i = 0; i < group->members_capacity && !found; i++)
	{
		GroupMember *member = member_at(group, i);

		found = member->incarnation != 0 && !member->left;
		*owner = member->role;
	}
	group_unlock(group);
	group_detach(group);
	return found;
}

/* ---------- permissions ---------- */

static int
privilege_bit(const char *name)
{
	if (strcmp(name, "READ") == 0)
		return GROUP_READ;
	if (strcmp(name, "DESCRIBE") == 0)
		return GROUP_DESCRIBE;
	if (strcmp(name, "DELETE") == 0)
		return GROUP_DELETE;
	return 0;
}

int
group_privileges(const char *name)
{
	char	   *upper = str_toupper(name, strlen(name), C_COLLATION_OID);
	int			bits = strcmp(upper, "ALL") == 0 ?
		GROUP_READ | GROUP_DESCRIBE | GROUP_DELETE : privilege_bit(upper);

	if (bits == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("consumer groups have no privilege \"%s\"", name),
				 errhint("Privileges are READ, DESCRIBE, DELETE and ALL.")));
	return bits;
}

/* The grants of a group, in a palloc'd array. */
static int
read_grants(const char *group_id, AclGroupGrant **grants)
{
	Relation	rel = table_of_room_open("group_grants", AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan = rows_of_group(rel, group_id, NULL);
	HeapTuple	tuple;
	int			capacity = 8;
	int			n = 0;

	*grants = palloc(capacity * sizeof(AclGroupGrant));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		grantee = heap_getattr(tuple, GRANTS_GRANTEE, desc, &isnull);
		Datum		privilege = heap_getattr(tuple, GRANTS_PRIVILEGE, desc, &isnull);

		if (n == capacity)
		{
			capacity *= 2;
			*grants = repalloc(*grants, capacity * sizeof(AclGroupGrant));
		}
		(*grants)[n].grantee = DatumGetObjectId(grantee);
		(*grants)[n].privileges = privilege_bit(TextDatumGetCString(privilege));
		n++;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return n;
}

/* Reading and deleting groups is not possible without seeing them. */
static int
privileges_for(GroupPrivilege privilege)
{
	return privilege == GROUP_DESCRIBE ?
		GROUP_READ | GROUP_DESCRIBE | GROUP_DELETE : (int) privilege;
}

/* The owner is most of those who ask, and needs no grants. */
static bool
owner_asks(const char *group_id, Oid owner)
{
	AclGroup	group = {.group_id = group_id, .owner = owner};

	return acl_group_permits(&group, 0);
}

static void
check_privilege(const char *group_id, Oid owner, GroupPrivilege privilege)
{
	AclGroup	group = {.group_id = group_id, .owner = owner};
	AclGroupGrant *grants;

	if (owner_asks(group_id, owner))
		return;
	group.ngrants = read_grants(group_id, &grants);
	group.grants = grants;
	acl_check_group(&group, privileges_for(privilege));
	pfree(grants);
}

bool
group_may_describe(const char *group_id)
{
	GroupRow	row;
	AclGroup	group = {.group_id = group_id};
	AclGroupGrant *grants;
	bool		result;

	if (group_find(group_id, &row))
		group.owner = row.owner;
	else if (!owner_in_memory(group_id, &group.owner))
		return false;			/* no such group, or it has just gone */
	group.ngrants = read_grants(group_id, &grants);
	group.grants = grants;
	result = acl_may_describe_group(&group, privileges_for(GROUP_DESCRIBE));
	pfree(grants);
	return result;
}

/* TP005 or 42501; for operators' functions that the owner alone may call. */
void
group_check_owner(const char *group_id, GroupRow *row)
{
	AclGroup	group = {.group_id = group_id};

	group_check_id(group_id);
	if (!group_find(group_id, row) || row->in_progress)
		group_missing(group_id);
	group.owner = row->owner;
	acl_check_group_owner(&group);
}

int32
group_check(const char *group_id, GroupPrivilege privilege, bool create)
{
	GroupRow	row;

	group_check_id(group_id);
	if (!group_find(group_id, &row))
	{
		row.epoch = 0;
		if (!owner_in_memory(group_id, &row.owner))
		{
			if (!create || !auto_create_groups)
				group_missing(group_id);
			return 0;
		}
	}
	check_privilege(group_id, row.owner, privilege);
	return row.epoch;
}

/* ---------- epochs ---------- */

/*
 * Makes the row of a group that a session has subscribed to and nobody has made.
 * So that it is there whatever becomes of that session's transaction, and
 * nobody has to wait for it.
 */
static int32
reserve_for_new_group(const char *group_id, int32 above, int32 count)
{
	Oid			owner;

	if (!owner_in_memory(group_id, &owner) ||
		!group_make(group_id, owner, above + count))
		return above + EPOCHS_WITHOUT_ROW;
	return above + count;
}

/*
 * Never waits: not for the transaction that makes the group, nor for an
 * operator that changes it.  Then a few epochs are given out unwritten; a
 * server that crashes meanwhile has no members left that could take them for
 * others.
 */
int32
group_reserve_epochs(const char *group_id, int32 above, int32 count)
{
	GroupRow	row;
	Relation	groups;
	Datum		values[GROUPS_NATTS];
	bool		nulls[GROUPS_NATTS] = {false};
	bool		replace[GROUPS_NATTS] = {false};

	if (!try_lock_rows(group_id, ShareUpdateExclusiveLock))
		return above + EPOCHS_WITHOUT_ROW;
	if (!group_find(group_id, &row))
		return reserve_for_new_group(group_id, above, count);
	if (row.in_progress)
		return above + EPOCHS_WITHOUT_ROW;

	values[GROUPS_EPOCH - 1] = Int32GetDatum(Max(above, row.epoch) + count);
	replace[GROUPS_EPOCH - 1] = true;
	groups = table_of_room_open("consumer_groups", RowExclusiveLock);
	(void) row_update(groups, &row.tid, values, nulls, replace);
	table_close(groups, NoLock);
	return Max(above, row.epoch) + count;
}
