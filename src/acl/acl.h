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

#endif							/* PGTOPIC_ACL_H */
