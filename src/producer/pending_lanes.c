/*-------------------------------------------------------------------------
 *
 * pending_lanes.c
 *	  Topics and lanes that the present transaction has to do with.
 *
 * A topic's lanes are found through an array of chunks, which lives until the
 * end of the transaction and remembers which lanes were written; so memory
 * grows with the lanes in use and a walk over them is in ascending order, the
 * order in which lanes are locked.  Topics are walked by OID.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "producer/pending_lanes.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define MESSAGES_PER_CLOCK_READING 256

static MemoryContext lanes_context; /* reset with the transaction */

/* Topics of this transaction, by OID, and the one used last. */
static PendingTopic **topics;
static int	ntopics;
static int	topics_size;
static PendingTopic *recent;

void
pending_lanes_init(void)
{
	lanes_context = AllocSetContextCreate(TopMemoryContext,
										  "pgtopic topics produced to",
										  ALLOCSET_SMALL_SIZES);
}

void
pending_lanes_forget(void)
{
	topics = NULL;
	ntopics = 0;
	topics_size = 0;
	recent = NULL;
	MemoryContextReset(lanes_context);
}

MemoryContext
pending_lanes_context(void)
{
	return lanes_context;
}

PendingTopic *
pending_topic_at(int i)
{
	return i < ntopics ? topics[i] : NULL;
}

/* Position of a topic in topics[], or where it belongs. */
static int
topic_position(Oid oid)
{
	int			low = 0;
	int			high = ntopics;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (topics[middle]->oid < oid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

PendingTopic *
pending_find_topic(Oid oid)
{
	int			position;

	if (recent != NULL && recent->oid == oid)
		return recent;
	position = topic_position(oid);
	if (position < ntopics && topics[position]->oid == oid)
		return recent = topics[position];
	return NULL;
}

PendingTopic *
pending_topic(Oid oid)
{
	PendingTopic *topic = pending_find_topic(oid);
	int			position;

	if (topic != NULL)
		return topic;

	topic = MemoryContextAllocZero(lanes_context, sizeof(PendingTopic));
	topic->oid = oid;
	if (ntopics == topics_size)
	{
		int			size = Max(8, topics_size * 2);
		PendingTopic **larger = MemoryContextAlloc(lanes_context,
												   size * sizeof(PendingTopic *));

		if (ntopics > 0)
			memcpy(larger, topics, ntopics * sizeof(PendingTopic *));
		topics = larger;
		topics_size = size;
	}
	position = topic_position(oid);
	memmove(&topics[position + 1], &topics[position],
			(ntopics - position) * sizeof(PendingTopic *));
	topics[position] = topic;
	ntopics++;
	return recent = topic;
}

void
pending_set_compression(PendingTopic *topic, int codec)
{
	topic->codec = codec;
}

int64
pending_now(PendingTopic *topic, CommandId cid)
{
	if (topic->now_uses == 0 || topic->now_cid != cid)
	{
		topic->now = log_timestamp_from_tz(GetCurrentTimestamp());
		topic->now_cid = cid;
		topic->now_uses = MESSAGES_PER_CLOCK_READING;
	}
	topic->now_uses--;
	return topic->now;
}

PendingLane *
pending_lane_make(PendingTopic *topic, int32 partition)
{
	int			chunk = partition / LANES_PER_CHUNK;

	if (chunk >= topic->nchunks)
	{
		int			n = chunk + 1;
		LaneChunk **larger = MemoryContextAllocZero(lanes_context,
													n * sizeof(LaneChunk *));

		if (topic->nchunks > 0)
			memcpy(larger, topic->chunks, topic->nchunks * sizeof(LaneChunk *));
		topic->chunks = larger;
		topic->nchunks = n;
	}
	if (topic->chunks[chunk] == NULL)
		topic->chunks[chunk] = MemoryContextAllocZero(lanes_context,
													  sizeof(LaneChunk));
	return &topic->chunks[chunk]->lanes[partition % LANES_PER_CHUNK];
}

PendingLane *
pending_next_lane(PendingTopic *topic, int32 *partition)
{
	for (; *partition / LANES_PER_CHUNK < topic->nchunks; ++*partition)
	{
		LaneChunk  *chunk = topic->chunks[*partition / LANES_PER_CHUNK];

		if (chunk != NULL)
			return &chunk->lanes[*partition % LANES_PER_CHUNK];
		*partition += LANES_PER_CHUNK - 1;
	}
	return NULL;
}

RecordOffset
pending_last_offset(PendingTopic *topic, int32 partition)
{
	return produced_last_offset(pending_lane(topic, partition)->newest);
}
