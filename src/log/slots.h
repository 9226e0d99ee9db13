/*-------------------------------------------------------------------------
 *
 * slots.h
 *	  Fixed slots of two versions each, in a relation of access method
 *	  "topic_slots": numbers that are overwritten in place, transactionally,
 *	  without dead tuples.  A door of the log room; it knows numbers and
 *	  transactions, and not what they are for.
 *
 * A slot is found by its number, and belongs to whoever gave it its key: a
 * reader with another key finds nothing there.  Its value is the version with
 * the higher counter of those whose transaction committed; a transaction that
 * writes replaces the other one.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_SLOTS_H
#define PGTOPIC_LOG_SLOTS_H

#include "access/transam.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

typedef struct SlotValue
{
	int64		log_offset;		/* never negative */
	int64		lost;			/* never negative; kept as given */
} SlotValue;

/* What a slot holds as of now, whatever the snapshot. */
typedef struct SlotState
{
	bool		found;			/* a committed value under this key */
	SlotValue	value;
	TransactionId xid;			/* that committed it; FrozenTransactionId if old */
	TransactionId busy;			/* a transaction in progress (also one's own)
								 * that has written, or InvalidTransactionId */
} SlotState;

typedef struct SlotWrite
{
	int64		slot;			/* number, from 1 on */
	int64		key;
	SlotValue	value;
} SlotWrite;

/*
 * slot_read: reads one slot; a number past the end of the relation is not
 * found.  The caller holds AccessShareLock on the relation.  Works on a
 * standby.  One buffer, share-locked for a moment.
 */
extern void slot_read(Relation rel, int64 slot, int64 key, SlotState *state);

/*
 * slot_read_as_of: the newest value that the snapshot sees.  Not found if it
 * has been overwritten since: a slot keeps two versions.
 */
extern void slot_read_as_of(Relation rel, int64 slot, int64 key, Snapshot snapshot,
							SlotState *state);

/*
 * slots_write: writes slots, given in ascending order of their numbers and
 * each once, with the top-level transaction id of the caller, which it assigns.
 * Another write of the same slot by the same transaction replaces its first.
 * A slot that another transaction in progress has written is waited for,
 * cancellably and without a buffer lock.  One WAL record a page.  Meant for
 * PRE_COMMIT; whoever writes several slots anywhere else keeps their order too.
 *
 * The caller holds RowExclusiveLock on the relation and has called
 * log_check_writable().  Errors: I/O; cancel.
 */
extern void slots_write(Relation rel, const SlotWrite *writes, int nwrites);

#endif							/* PGTOPIC_LOG_SLOTS_H */
