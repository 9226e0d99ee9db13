/*-------------------------------------------------------------------------
 *
 * pending_lanes.h
 *	  Topics and lanes that the present transaction has to do with.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_PENDING_LANES_H
#define PGTOPIC_PRODUCER_PENDING_LANES_H

#include "lib/ilist.h"
#include "producer/pending.h"
#include "producer/produced.h"

/* Messages of a batch, from the first of these on, that one command produced. */
typedef struct CommandSpan
{
	uint32		first;
	CommandId	cid;
} CommandSpan;

typedef struct PendingBatch
{
	Batch		batch;
	dlist_node	lane_node;		/* among its lane's batches */
	dlist_node	level_node;		/* among its nesting level's */
	PendingTopic *topic;
	int			level;			/* nesting level of its subtransaction */
	CommandId	cid;			/* of the newest message */
	CommandSpan *spans;			/* NULL if all messages have that */
	int			nspans;
	int			spans_size;
	bool		log_append_time;
	RecordOffset expected_offset;	/* of its first message; -1: any */
} PendingBatch;

typedef struct PendingLane
{
	dlist_head	batches;
	ProducedRange *newest;		/* offsets of what was appended */
	bool		appended;		/* in this transaction, rolled back or not */
} PendingLane;

#define LANES_PER_CHUNK			64

typedef struct LaneChunk
{
	PendingLane lanes[LANES_PER_CHUNK];
} LaneChunk;

struct PendingTopic
{
	Oid			oid;
	int			codec;			/* its batches are compressed with */
	int32		nbatches;		/* pending */
	int			nchunks;
	LaneChunk **chunks;			/* by partition, may be NULL */

	/* the clock */
	int64		now;
	CommandId	now_cid;		/* command for which it was read */
	int			now_uses;		/* how often it may still be used */
};

/* Once, and at the end of each transaction. */
extern void pending_lanes_init(void);
extern void pending_lanes_forget(void);

/* What lives until the end of the transaction. */
extern MemoryContext pending_lanes_context(void);

/* NULL if the transaction has nothing to do with the topic. */
extern PendingTopic *pending_find_topic(Oid oid);

/* By OID, from 0 on; NULL behind the last. */
extern PendingTopic *pending_topic_at(int i);

extern PendingLane *pending_lane_make(PendingTopic *topic, int32 partition);

/* The lane; it is known from now on.  Asked for with each message. */
static inline PendingLane *
pending_lane(PendingTopic *topic, int32 partition)
{
	int			chunk = partition / LANES_PER_CHUNK;

	if (likely(chunk < topic->nchunks && topic->chunks[chunk] != NULL))
		return &topic->chunks[chunk]->lanes[partition % LANES_PER_CHUNK];
	return pending_lane_make(topic, partition);
}

/* The next lane at or after *partition that is known; NULL at the end. */
extern PendingLane *pending_next_lane(PendingTopic *topic, int32 *partition);

#endif							/* PGTOPIC_PRODUCER_PENDING_LANES_H */
