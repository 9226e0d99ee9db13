/*-------------------------------------------------------------------------
 *
 * production.h
 *	  What produce functions, INSERT and COPY have in common: each message is
 *	  checked against the topic's settings, finds its partition, and waits.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_PRODUCTION_H
#define PGTOPIC_PRODUCER_PRODUCTION_H

#include "producer/pending.h"
#include "utils/timestamp.h"

#define ANY_PARTITION	(-1)

/* One command that produces to one topic. */
typedef struct Production
{
	Relation	rel;
	PendingTopic *pending;
	CommandId	cid;
	int32		partitions;
	int32		max_message_bytes;
	bool		log_append_time;
	bool		needs_key;		/* the topic is compacted */
	int64		now;			/* ms since 1970 */
	int64		max_timestamp;	/* of CreateTime */
} Production;

/* "pending" is the topic's pending_topic(); "now" is in ms since 1970. */
extern void production_begin(Production *production, Relation rel,
							 PendingTopic *pending, CommandId cid, int64 now);

/*
 * The stored timestamp of a message: event_time, or the time of the command.
 * 22008 if it is infinite or too far ahead.
 */
extern int64 production_timestamp(const Production *production,
								  TimestampTz event_time);

/* The partition of a message with a key. */
extern int32 production_partition_for(const Production *production, RecordBytes key);

/*
 * Adds a message to the pending ones; partition is a valid one or
 * ANY_PARTITION, but not where the message expects an offset.  Returns the
 * partition.
 */
extern int32 production_add(Production *production, int32 partition,
							const Message *message);

#endif							/* PGTOPIC_PRODUCER_PRODUCTION_H */
