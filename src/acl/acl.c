/*-------------------------------------------------------------------------
 *
 * acl.c
 *	  Every permission decision of a SQL function.
 *
 * The privileges are the table's own, so that GRANT, REVOKE and \dp say all
 * there is to say: INSERT = produce, SELECT = fetch, TRUNCATE =
 * delete_records, owner = alter and drop.  Consumer groups are no objects of
 * PostgreSQL; they have an owner and grants of our own, which the caller brings.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "acl/acl.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "compat.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static void
check_privilege(Relation topic, AclMode privilege)
{
	AclResult	result = pg_class_aclcheck(RelationGetRelid(topic), GetUserId(),
										   privilege);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_TABLE, RelationGetRelationName(topic));
}

void
acl_check_produce(Relation topic)
{
	check_privilege(topic, ACL_INSERT);
}

void
acl_check_fetch(Relation topic)
{
	check_privilege(topic, ACL_SELECT);
}

void
acl_check_delete_records(Relation topic)
{
	check_privilege(topic, ACL_TRUNCATE);
}

void
acl_check_owner(Relation topic)
{
	acl_check_owner_oid(RelationGetRelid(topic), RelationGetRelationName(topic));
}

/* For callers that must not lock a relation that is not theirs. */
void
acl_check_owner_oid(Oid topic, const char *name)
{
	if (!class_ownercheck(topic, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
}

/*
 * Whether current_user may know of the topic: as owner, with any privilege on
 * it or a column of it, or as one who watches over the server.
 */
bool
acl_may_describe(Relation topic)
{
	Oid			relid = RelationGetRelid(topic);
	Oid			role = GetUserId();

	return class_ownercheck(relid, role) ||
		pg_class_aclmask(relid, role, ACL_ALL_RIGHTS_RELATION, ACLMASK_ANY) != 0 ||
		pg_attribute_aclcheck_all(relid, role, ACL_ALL_RIGHTS_COLUMN,
								  ACLMASK_ANY) == ACLCHECK_OK ||
		has_privs_of_role(role, ROLE_PG_READ_ALL_STATS);
}

/* ---------- consumer groups ---------- */

static Oid
database_owner(void)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return BOOTSTRAP_SUPERUSERID;
	owner = ((Form_pg_database) GETSTRUCT(tuple))->datdba;
	ReleaseSysCache(tuple);
	return owner;
}

Oid
acl_group_owner(Oid owner)
{
	return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(owner)) ? owner : database_owner();
}

static bool
owns_group(const AclGroup *group)
{
	return has_privs_of_role(GetUserId(), acl_group_owner(group->owner));
}

bool
acl_group_permits(const AclGroup *group, int any_of)
{
	if (owns_group(group))
		return true;
	for (int i = 0; i < group->ngrants; i++)
	{
		const AclGroupGrant *grant = &group->grants[i];

		if ((grant->privileges & any_of) != 0 &&
			(grant->grantee == ACL_ID_PUBLIC ||
			 has_privs_of_role(GetUserId(), grant->grantee)))
			return true;
	}
	return false;
}

void
acl_check_group(const AclGroup *group, int any_of)
{
	if (!acl_group_permits(group, any_of))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for consumer group \"%s\"", group->group_id),
				 errhint("The group's owner may grant it with topic.grant_group().")));
}

void
acl_check_group_owner(const AclGroup *group)
{
	if (!owns_group(group))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of consumer group \"%s\"", group->group_id)));
}

bool
acl_may_describe_group(const AclGroup *group, int any_of)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		acl_group_permits(group, any_of);
}

void
acl_check_group_new_owner(Oid owner)
{
	CheckCanSetRole(GetUserId(), owner);
}
