/*-------------------------------------------------------------------------
 *
 * transaction.h
 *	  What the present transaction does to groups: deliveries that a rollback
 *	  undoes, offsets that COMMIT stores, and groups that must be empty then.
 *	  Inside the group room only.
 *
 * At PRE_COMMIT, before anything is appended: every note is checked under its
 * group's lock (ownership of the partition, or emptiness of the group) and
 * marked, group after group; then the slots are written in ascending order.
 * The commit or abort callback, or the end of the session, takes the marks
 * away.  PREPARE TRANSACTION with any of it is 0A000.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_TRANSACTION_H
#define PGTOPIC_GROUP_TRANSACTION_H

#include "group/catalog.h"
#include "group/members.h"

/* Callbacks of transactions; from group_init(), after the producer's. */
extern void transaction_init(void);

/*
 * What is to be stored at COMMIT.  The group's and the partition's rows are made
 * then if they are not there; metadata is set or taken away if it is explicit.
 */
typedef struct OffsetNote
{
	const char *group_id;		/* lives as long as the transaction */
	Oid			relid;			/* of the topic */
	pg_uuid_t	topic;
	int32		partition;
	SlotValue	value;
	bool		set_metadata;
	const char *metadata;		/* or NULL; copied */
} OffsetNote;

/*
 * note_offset_of_empty_group: an offset to be stored at COMMIT, if the group is
 * empty then.  The newest note of a partition wins; ROLLBACK TO takes back what came
 * after the savepoint.  is_commit names the error now and at COMMIT: true for
 * TP002 (commit without subscription), false for TP004 (an operator's function).
 */
extern void note_offset_of_empty_group(const OffsetNote *offset, bool is_commit);

/*
 * note_deletion: what this transaction has noted of the group until now, or of
 * one topic of it, is not to be stored: it deletes those offsets.
 */
extern void note_deletion(const char *group_id, const pg_uuid_t *topic);

/*
 * require_empty_group: TP004 unless the group is empty now, and again at COMMIT.
 */
extern void require_empty_group(const char *group_id);

#endif							/* PGTOPIC_GROUP_TRANSACTION_H */
