/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  What the group room keeps in tables: groups with their owners and grants,
 *	  and where committed offsets have their slots.  Inside the group room only.
 *
 * The tables are read and written by PostgreSQL's functions for heaps and
 * indexes, not by SQL of the caller, so nothing of the caller's search_path or
 * privileges plays a part; permission is asked for explicitly.  They are read
 * as of now (latest snapshot), whatever the transaction's snapshot: what another
 * owner of a partition has committed must be seen also in REPEATABLE READ.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_CATALOG_H
#define PGTOPIC_GROUP_CATALOG_H

#include "compat.h"
#include "log/slots.h"
#include "storage/itemptr.h"
#include "storage/lockdefs.h"
#include "utils/uuid.h"

typedef enum GroupPrivilege
{
	GROUP_READ = 1,				/* subscribe, consume, take, commit, seek */
	GROUP_DESCRIBE = 2,			/* views, reset_offsets with dry_run */
	GROUP_DELETE = 4			/* delete_group, delete_offsets */
} GroupPrivilege;

/* Setting pgtopic.auto_create_groups; from group_init(). */
extern void catalog_init(void);

/* Bytes of a group id as it is stored; 22023 if it is empty or too long. */
extern void group_check_id(const char *group_id);

/*
 * group_check: that the group exists and that current_user has the privilege
 * (as owner, member of the owner's role, by grant; READ and DELETE imply
 * DESCRIBE).  With create, a group that is not there is fine, if
 * pgtopic.auto_create_groups is on: whoever makes the caller a member, or stores
 * an offset for it, makes the row.  A group whose row another transaction is
 * making is taken as there; and so is one that has members and no row, which is
 * their role's.  Returns the epoch from which a group in memory has to start.
 * Errors: TP005, 42501.
 */
extern int32 group_check(const char *group_id, GroupPrivilege privilege, bool create);

/* The same without an error: whether views may show it to current_user. */
extern bool group_may_describe(const char *group_id);

/*
 * group_reserve_epochs: epochs up to the result, "count" more than before, are
 * this server's to use, now and after a restart; for the coordinator, in a
 * transaction of its own.
 */
extern int32 group_reserve_epochs(const char *group_id, int32 above, int32 count);

/* ---------- for the operators' functions and the views ---------- */

/* A group's row. */
typedef struct GroupRow
{
	Oid			owner;			/* as stored; acl_group_owner() has who it is */
	int32		epoch;
	bool		in_progress;	/* another transaction is making it */
	ItemPointerData tid;
} GroupRow;

extern bool group_find(const char *group_id, GroupRow *row);
extern void group_missing(const char *group_id) pg_attribute_noreturn();	/* TP005 */

/*
 * group_make: makes the row of a group; false if there is one, for which it
 * waits if need be.  group_ensure_row: the same at COMMIT, with current_user as
 * the owner, who needs READ if it is there by now; TP005 if groups are not
 * created by themselves.
 */
extern bool group_make(const char *group_id, Oid owner, int32 epoch);
extern void group_ensure_row(const char *group_id);

/* The group's row, if current_user owns the group; else TP005 or 42501. */
extern void group_check_owner(const char *group_id, GroupRow *row);

/* The bits of a privilege, or of "ALL"; 22023 for other names. */
extern int	group_privileges(const char *name);

/*
 * group_lock_rows: a lock on what the tables say of a group, until the end of
 * the transaction: AccessShareLock for whoever is going to write offsets,
 * ShareUpdateExclusiveLock to change the group, AccessExclusiveLock to delete
 * offsets.  It keeps a slot from going to another group between the moment a
 * transaction learns its number and its COMMIT.
 */
extern void group_lock_rows(const char *group_id, LOCKMODE lockmode);

/* ---------- committed offsets ---------- */

/* Where a group's offset in a partition is, and what it is now. */
typedef struct CommittedOffset
{
	int64		slot;			/* 0: the group has none yet */
	int64		key;
	SlotState	state;
} CommittedOffset;

/*
 * offsets_read: the committed offsets of a group in partitions 0 .. n-1 of a
 * topic.  One index scan, and a slot page here and there.
 */
extern void offsets_read(const char *group_id, const pg_uuid_t *topic,
						 int32 n, CommittedOffset *offsets);

/* The same for one partition. */
extern void offset_read(const char *group_id, const pg_uuid_t *topic,
						int32 partition, CommittedOffset *offset);

/* A committed offset with all that is known of it. */
typedef struct GroupOffset
{
	pg_uuid_t	topic;
	int32		partition;
	CommittedOffset committed;
	char	   *metadata;		/* that was given with this offset, or NULL */
} GroupOffset;

/* All of a group, by topic and partition, in a palloc'd array. */
extern int	offsets_of_group(const char *group_id, GroupOffset **offsets);

/*
 * offset_find_slot: the slot of a partition; false if the group has none yet.
 * Every transaction that writes a slot calls this first, and does not go by
 * what an earlier one was told: it locks the group against delete_offsets and
 * delete_group.  The caller holds AccessShareLock or more on the topic until
 * the end of the transaction, against DROP.
 *
 * offset_ensure_slot: the same, and makes it if need be (then part of this
 * transaction; waits for another one that is making the same), and the group's
 * own row, too.  Called at PRE_COMMIT, in the order of group, topic and
 * partition, so that nobody waits for a transaction that only has noted
 * something, and no two wait for each other.
 */
extern bool offset_find_slot(const char *group_id, const pg_uuid_t *topic,
							 int32 partition, int64 *slot, int64 *key);
extern void offset_ensure_slot(const char *group_id, const pg_uuid_t *topic,
							   int32 partition, int64 *slot, int64 *key);

/* Writes slots at PRE_COMMIT; in ascending order of slots. */
extern void offsets_write(const SlotWrite *writes, int nwrites);

/*
 * Deletes where offsets are: of a group, or only those of one topic of it; the
 * caller holds group_lock_rows() exclusively.  group_topic_dropped: of all
 * groups, when a topic is dropped.  The slots are free with the transaction's COMMIT.
 */
extern void offsets_delete(const char *group_id, const pg_uuid_t *topic);
extern void group_topic_dropped(const pg_uuid_t *topic);

/*
 * offset_set_metadata: what commit() was given beside an offset, shown as long as that
 * offset is the committed one.  NULL takes it away.  At PRE_COMMIT, as
 * offset_ensure_slot().  A commit with metadata leaves a dead row, unlike one
 * without.  offset_check_metadata: 54000 above 4096 bytes.
 */
extern void offset_check_metadata(const char *metadata);
extern void offset_set_metadata(const char *group_id, const pg_uuid_t *topic,
								int32 partition, int64 log_offset, const char *metadata);

#endif							/* PGTOPIC_GROUP_CATALOG_H */
