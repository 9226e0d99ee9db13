/*-------------------------------------------------------------------------
 *
 * acl.h
 *	  The door of the acl room: every permission decision of a SQL function.
 *
 * INSERT and SELECT statements are checked by PostgreSQL itself; functions
 * ask here first.  All checks are for current_user at the time of the call
 * and throw 42501.  This room is a leaf: it includes no other room.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_ACL_H
#define PGTOPIC_ACL_H

#include "utils/rel.h"

extern void acl_check_produce(Relation topic);	/* INSERT on the topic */
extern void acl_check_fetch(Relation topic);	/* SELECT on the topic */
extern void acl_check_delete_records(Relation topic);	/* TRUNCATE */
extern void acl_check_owner(Relation topic);	/* alter, drop, restore offsets */

/* The same before the relation is locked. */
extern void acl_check_owner_oid(Oid topic, const char *name);

/* Whether current_user may see the topic in views; throws nothing. */
extern bool acl_may_describe(Relation topic);

/* ---------- consumer groups ---------- */

/* A grant on a consumer group.  What the privileges are, the group room says. */
typedef struct AclGroupGrant
{
	Oid			grantee;		/* a role, or ACL_ID_PUBLIC */
	int			privileges;		/* bits */
} AclGroupGrant;

typedef struct AclGroup
{
	const char *group_id;
	Oid			owner;			/* may have been dropped since */
	int			ngrants;
	const AclGroupGrant *grants;
} AclGroup;

/* The owner, or the database's if that role does not exist any more. */
extern Oid	acl_group_owner(Oid owner);

/* Owner, or grantee of any of the privileges (bits). */
extern bool acl_group_permits(const AclGroup *group, int any_of);
extern void acl_check_group(const AclGroup *group, int any_of);
extern void acl_check_group_owner(const AclGroup *group);

/* The same for views; also those who watch over the server. */
extern bool acl_may_describe_group(const AclGroup *group, int any_of);

/* That current_user may give a group to the role. */
extern void acl_check_group_new_owner(Oid owner);

#endif							/* PGTOPIC_ACL_H */
