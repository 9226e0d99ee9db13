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

/*
 * pending_batch_join: a lane's last batch goes into the one before it if they are
 * of the same subtransaction by now.  So that a loop with a savepoint around
 * every message makes one batch and not one for each.  Done when the lane is
 * used again and not when the subtransaction commits, where an error, such as
 * one of memory, must not happen any more.  Returns the lane's last batch.
 */
extern PendingBatch *pending_batch_join(PendingLane *lane, PendingBatch *last);

/* The batch of a lane that may take one more message, or NULL. */
static inline PendingBatch *
pending_batch_open(PendingLane *lane, int level, bool log_append_time)
{
	PendingBatch *last;

	if (dlist_is_empty(&lane->batches))
		return NULL;
	last = dlist_tail_element(PendingBatch, lane_node, &lane->batches);
	if (dlist_has_prev(&lane->batches, &last->lane_node))
		last = pending_batch_join(lane, last);
	if (last->level != level || last->log_append_time != log_append_time)
		return NULL;
	return last;
}

/*
 * Adds a message of the batch's last command if it is not the first one and the
 * batch's memory has room for it; else false, and nothing done.
 */
static inline bool
pending_batch_try_add(PendingBatch *batch, const Message *message, CommandId cid)
{
	return batch->cid == cid && !message->expects &&
		batch_try_add(&batch->batch, message->timestamp, message->key, message->value,
					  message->headers, message->nheaders);
}

/* Whether a record of this size has to go to the next batch. */
extern bool pending_batch_is_full(const PendingBatch *batch, int64 size);

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
