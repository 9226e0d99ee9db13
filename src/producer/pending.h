/*-------------------------------------------------------------------------
 *
 * pending.h
 *	  Messages of the present transaction that are not appended yet.
 *
 * They wait in the backend, per topic, partition and nesting level of
 * subtransactions, until the transaction commits or is prepared, until a
 * statement wants to read them, or until pgtopic.produce_buffer is full.
 * What rolls back before that never reaches the log.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_PENDING_H
#define PGTOPIC_PRODUCER_PENDING_H

#include "log/log.h"
#include "log/record.h"

/* pgtopic.append_at */
typedef enum AppendAt
{
	APPEND_AT_COMMIT,
	APPEND_AT_CALL
} AppendAt;

extern int	producer_append_at;

/* One message, ready to be stored. */
typedef struct Message
{
	RecordBytes key;
	RecordBytes value;
	RecordHeader *headers;
	int			nheaders;
	int64		timestamp;		/* ms since 1970 */
	bool		expects;		/* an offset, else 40001: */
	RecordOffset expected_offset;
} Message;

/* What a transaction has to do with one topic; lives as long as it does. */
typedef struct PendingTopic PendingTopic;

/* Settings and callbacks, once. */
extern void pending_init(void);

extern PendingTopic *pending_topic(Oid topic);

/*
 * What the topic's batches are compressed with from now on, also those that wait
 * already: a setting that need not be looked up when they are appended.
 */
extern void pending_set_compression(PendingTopic *topic, int codec);

/*
 * pending_now: the present time for messages of a command, in ms.  Reading
 * the clock for every row of a bulk load would show.
 */
extern int64 pending_now(PendingTopic *topic, CommandId cid);

/*
 * pending_check_expected: refuses a message that can get the expected offset no
 * more (40001), because of the log end or of what is pending before it.  That
 * it does get it is checked when it is appended.
 */
extern void pending_check_expected(Relation rel, PendingTopic *topic, int32 partition,
								   RecordOffset expected);

/*
 * pending_add: keeps a copy of a message until it is appended.  May append
 * everything that is pending (and then assigns transaction ids).
 */
extern void pending_add(PendingTopic *topic, int32 partition,
						const Message *message, bool log_append_time,
						CommandId cid);

/* Appends what is pending of a topic, of all if InvalidOid, in order. */
extern void pending_flush(Oid topic);

/*
 * pending_append: appends a batch of the current subtransaction at a given
 * offset, behind what is pending of the topic.
 */
extern void pending_append(Relation rel, int32 partition, Batch *batch,
						   RecordOffset at_offset, CommandId cid);

/* Offset of the newest message appended to a partition by this transaction. */
extern RecordOffset pending_last_offset(PendingTopic *topic, int32 partition);

#endif							/* PGTOPIC_PRODUCER_PENDING_H */
