/*-------------------------------------------------------------------------
 *
 * pending_batches.h
 *	  Batches of the present transaction that are not appended yet.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_PENDING_BATCHES_H
#define PGTOPIC_PRODUCER_PENDING_BATCHES_H

#include "producer/pending_lanes.h"

/* Once, and at the end of each transaction. */
extern void pending_batches_init(void);
extern void pending_batches_forget(void);

/* Frees the memory at once if no batch is left: large transactions would fragment it. */
extern void pending_batches_tidy(void);

/* Of batches and what appends them; reset with the transaction. */
extern MemoryContext pending_batches_context(void);

extern bool pending_batches_exist(void);

/* Allocated for batches. */
extern int64 pending_batches_bytes(void);

/* This transaction has filled the buffer: its batches share one piece of memory by turns. */
extern void pending_batches_reuse_memory(void);
extern bool pending_batches_memory_is_reused(void);

/* A new batch at a lane's end, with room for a record of that size. */
extern PendingBatch *pending_batch_make(PendingTopic *topic, PendingLane *lane, int level,
										bool log_append_time, CommandId cid,
										int64 record_bytes);
extern void pending_batch_drop(PendingBatch *batch);

/* The batch of a lane that may take one more message, or NULL. */
extern PendingBatch *pending_batch_open(PendingLane *lane, int level, bool log_append_time);

/* Adds a message, whose record has "size" bytes in that batch. */
extern void pending_batch_add(PendingBatch *batch, const Message *message, int64 size,
							  CommandId cid);

/*
 * pending_batches_split: cuts a lane's batches where a reader may be older than
 * some of their messages.  The reader is the one that the append is made for, or one
 * that comes later in the user's query, where a function that it called has
 * filled the buffer.
 */
extern void pending_batches_split(PendingLane *lane);

/* The second must not fail, hence allocates nothing. */
extern void pending_batches_at_subabort(int level);
extern void pending_batches_at_subcommit(int level);

#endif							/* PGTOPIC_PRODUCER_PENDING_BATCHES_H */
