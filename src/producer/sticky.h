/*-------------------------------------------------------------------------
 *
 * sticky.h
 *	  The partition of messages without a key.
 *
 * They stay on one partition, so that they make few large batches, and go on
 * to the next partition with every append and after STICKY_BYTES within a
 * transaction, so that a bulk load spreads.  Each session begins at a random
 * partition and goes round from there.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_STICKY_H
#define PGTOPIC_PRODUCER_STICKY_H

#include "postgres_ext.h"

/* A batch of this size is still appended with a single WAL record. */
#define STICKY_BYTES	(14 * BLCKSZ)

/* The partition, among n, that the topic's next message without a key gets. */
extern int32 sticky_partition(Oid topic, int32 n);

/* So many bytes went there. */
extern void sticky_used(Oid topic, int64 bytes);

/* A batch was appended: time for the next partition. */
extern void sticky_advance(Oid topic);

#endif							/* PGTOPIC_PRODUCER_STICKY_H */
