/*-------------------------------------------------------------------------
 *
 * acl.c
 *	  Every permission decision of a SQL function.
 *
 * The privileges are the table's own, so that GRANT, REVOKE and \dp say all
 * there is to say: INSERT = produce, SELECT = fetch, TRUNCATE =
 * delete_records, owner = alter and drop.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "acl/acl.h"
#include "catalog/pg_authid.h"
#include "compat.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/rel.h"

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
