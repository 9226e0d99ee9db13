/*-------------------------------------------------------------------------
 *
 * tables.h
 *	  Rows of the extension's own tables: finding, making and deleting them;
 *	  and which slots are free.  A second door of the topic room, for the
 *	  rooms above it that keep something in tables.
 *
 * Rows are found as of now, whatever the transaction's snapshot.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_TOPIC_TABLES_H
#define PGTOPIC_TOPIC_TABLES_H

#include "access/genam.h"
#include "utils/rel.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

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

/*
 * rows_by_key: the rows whose primary key begins with these values; its columns
 * are the first three: a name, the UUID of a topic, a partition.  Without topic
 * or partition (NULL), all rows of what is given.  As of now if snapshot is
 * NULL.  Ends as any scan.
 */
extern SysScanDesc rows_by_key(Relation rel, const char *name, const pg_uuid_t *topic,
							   const int32 *partition, Snapshot snapshot);

/*
 * rows_of_topic: the rows of such a table that are of a topic, as of now, by the
 * table's index on the topic; while the extension is being dropped, without it.
 */
extern SysScanDesc rows_of_topic(Relation rel, const pg_uuid_t *topic);

/*
 * slot_numbers.c: the number of a slot that nobody has, for a row that the
 * caller is about to make; and a key that nothing ever had.  A slot that is
 * given back is free with the transaction's COMMIT.  Slots are those of
 * topic.offset_slots.
 */
extern int64 slot_take(void);
extern int64 slot_new_key(void);
extern void slot_give_back(int64 slot);

#endif							/* PGTOPIC_TOPIC_TABLES_H */
