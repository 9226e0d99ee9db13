/*-------------------------------------------------------------------------
 *
 * tables.h
 *	  Rows of the group room's tables: finding, making and deleting them.
 *	  For the files that implement catalog.h, and no others.
 *
 * Rows are found as of now, whatever the transaction's snapshot.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_TABLES_H
#define PGTOPIC_GROUP_TABLES_H

#include "access/genam.h"
#include "utils/rel.h"
#include "utils/uuid.h"

/* Columns of topic.consumer_groups. */
#define GROUPS_NATTS			4
#define GROUPS_GROUP_ID			1
#define GROUPS_OWNER			2
#define GROUPS_EPOCH			3
#define GROUPS_OWNER_NAME		4	/* in dumps only */

/* Columns of topic.group_grants. */
#define GRANTS_NATTS			4
#define GRANTS_GROUP_ID			1
#define GRANTS_GRANTEE			2	/* 0 = PUBLIC */
#define GRANTS_PRIVILEGE		3
#define GRANTS_GRANTEE_NAME		4	/* in dumps only */

/* Columns of topic.group_offsets. */
#define OFFSETS_NATTS			9
#define OFFSETS_GROUP_ID		1
#define OFFSETS_TOPIC			2
#define OFFSETS_PARTITION		3
#define OFFSETS_SLOT			4
#define OFFSETS_KEY				5
#define OFFSETS_METADATA		6
#define OFFSETS_METADATA_OFFSET	7
#define OFFSETS_LOG_OFFSET		8	/* in dumps only */
#define OFFSETS_LOST			9	/* in dumps only */

/* Opens a table of schema "topic"; 55000 without the extension. */
extern Relation table_of_room_open(const char *name, LOCKMODE lockmode);

/* The same, but NULL if it is not there, as while the extension is dropped. */
extern Relation table_of_room_try_open(const char *name, LOCKMODE lockmode);

/*
 * row_insert: makes a row unless there is one with the same key; waits for
 * another transaction that is making it.  Says whether it made it.  The row
 * is visible to the caller from then on.
 */
extern bool row_insert(Relation rel, Datum *values, bool *nulls);

/*
 * row_delete: deletes a row; waits for another transaction that is changing
 * it, and follows it to its newest version.  False if it is deleted already.
 */
extern bool row_delete(Relation rel, ItemPointer tid);

/* row_delete_now: only if nobody else is about to; never waits. */
extern bool row_delete_now(Relation rel, ItemPointer tid);

/*
 * row_update: changes the newest version of a row, as heap_modify_tuple()
 * does; waits for another transaction that is changing it.  False if it is
 * deleted meanwhile.
 */
extern bool row_update(Relation rel, ItemPointer tid, Datum *values, bool *nulls,
					   bool *replace);

/* All rows of a group by the primary key; with a topic, those of the topic. */
extern SysScanDesc rows_of_group(Relation rel, const char *group_id, const pg_uuid_t *topic);

/* The one row of group_offsets, if any. */
extern SysScanDesc row_of_partition(Relation rel, const char *group_id,
									const pg_uuid_t *topic, int32 partition);

/* Rows of a group also of transactions in progress; ends as any scan. */
extern SysScanDesc rows_of_group_in_progress(Relation rel, const char *group_id,
											 SnapshotData *dirty);

/*
 * slot_numbers.c: the number of a slot that nobody has, for a row that the
 * caller is about to make; and a key that nothing ever had.  A slot that is
 * given back is free with the transaction's COMMIT.
 */
extern int64 slot_take(void);
extern int64 slot_new_key(void);
extern void slot_give_back(int64 slot);

#endif							/* PGTOPIC_GROUP_TABLES_H */
