/*-------------------------------------------------------------------------
 *
 * production.c
 *	  What produce functions, INSERT and COPY have in common.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "producer/partitioner.h"
#include "producer/production.h"
#include "producer/sticky.h"
#include "topic/topic.h"

void
production_begin(Production *production, Relation rel, PendingTopic *pending,
				 CommandId cid, int64 now)
{
	const TopicSettings *settings = topic_settings(rel);

	production->rel = rel;
	production->cid = cid;
	production->partitions = settings->partitions;
	production->max_message_bytes = settings->max_message_bytes;
	production->log_append_time = settings->log_append_time;
	production->needs_key = (settings->cleanup_policy & CLEANUP_COMPACT) != 0;
	production->now = now;
	production->max_timestamp = settings->timestamp_after_max_ms < 0 ?
		PG_INT64_MAX : now + settings->timestamp_after_max_ms;
	production->pending = pending;
	pending_set_compression(pending, settings->compression);
}

int64
production_timestamp(const Production *production, TimestampTz event_time)
{
	int64		timestamp;

	if (TIMESTAMP_NOT_FINITE(event_time))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp of a message must be finite")));
	/* it gets the time of the append, whatever the producer says */
	if (production->log_append_time)
		return production->now;

	timestamp = log_timestamp_from_tz(event_time);
	if (timestamp > production->max_timestamp)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp %s is too far in the future",
						timestamptz_to_str(event_time)),
				 errdetail("Topic %s allows %lld ms.", topic_name(production->rel),
						   (long long) (production->max_timestamp - production->now)),
				 errhint("Check the unit and the clock, or change the topic's setting \"%s\" with %s.",
						 "timestamp_after_max", "topic.alter()")));
	return timestamp;
}

static void
check_size(const Production *production, const Message *message, int64 size)
{
	int			i;

	for (i = 0; i < message->nheaders; i++)
		size += message->headers[i].key.length +
			Max(message->headers[i].value.length, 0);
	if (size <= production->max_message_bytes)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("message is too large for topic %s",
					topic_name(production->rel)),
			 errdetail("Key, value and headers take %lld bytes; the topic allows %d.",
					   (long long) size, production->max_message_bytes),
			 errhint("Produce smaller messages, or change the topic's setting \"%s\" with %s.",
					 "max_message_bytes", "topic.alter()")));
}

int32
production_partition_for(const Production *production, RecordBytes key)
{
	return partition_for_key(key.data, key.length, production->partitions);
}

int32
production_add(Production *production, int32 partition, const Message *message)
{
	int64		size = (int64) Max(message->key.length, 0) +
		Max(message->value.length, 0);

	if (unlikely(message->nheaders > 0 || size > production->max_message_bytes))
		check_size(production, message, size);
	if (unlikely(production->needs_key && message->key.data == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("message for compacted topic %s has no key",
						topic_name(production->rel)),
				 errhint("Compaction keeps the newest message of each key; produce with a key.")));

	if (partition == ANY_PARTITION)
	{
		if (production->partitions == 1)
			partition = 0;
		else if (message->key.data != NULL)
			partition = production_partition_for(production, message->key);
		else
		{
			Oid			topic = RelationGetRelid(production->rel);

			partition = sticky_partition(topic, production->partitions);
			sticky_used(topic, size);
		}
	}
	if (unlikely(message->expects))
		pending_check_expected(production->rel, production->pending, partition,
							   message->expected_offset);
	pending_add(production->pending, partition, message,
				production->log_append_time, production->cid);
	return partition;
}
