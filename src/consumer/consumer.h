/*-------------------------------------------------------------------------
 *
 * consumer.h
 *	  The door of the consumer room: fetch, tail, list_offsets and waiting.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_CONSUMER_H
#define PGTOPIC_CONSUMER_H

#include "fmgr.h"
#include "log/log.h"
#include "notify/notify.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

extern void consumer_init(void);

/* ---------- message.c: records as rows of topic.message ---------- */

/* What key and value become. */
typedef enum MessageFormat
{
	MESSAGE_BYTES,				/* bytea */
	MESSAGE_TEXT,				/* text */
	MESSAGE_JSON				/* key text, value jsonb */
} MessageFormat;

#define MESSAGE_FORMATS			3

/* Columns of topic.message, message_text and message_json. */
#define MESSAGE_NATTS			7
typedef enum MessageColumn
{
	MESSAGE_COL_TOPIC = 1,
	MESSAGE_COL_PARTITION,
	MESSAGE_COL_LOG_OFFSET,
	MESSAGE_COL_TIMESTAMP,
	MESSAGE_COL_KEY,
	MESSAGE_COL_VALUE,
	MESSAGE_COL_HEADERS
} MessageColumn;

/* Turns records of one topic into rows. */
typedef struct MessageWriter
{
	MessageFormat format;
	char	   *topic;			/* as shown and as named in errors */
	Datum		topic_datum;
	MemoryContext row_context;	/* what is made for one row */
} MessageWriter;

extern void message_writer_init(MessageWriter *writer, Relation topic,
								MessageFormat format);

/*
 * message_values: the columns of topic.message for a record.  They share bytes
 * with the record and the writer, and last until the next call.  Errors: 22021
 * or 22P02 for a key or value that the format cannot show.
 */
extern void message_values(MessageWriter *writer, int32 partition,
						   const LaneRecord *record,
						   Datum *values, bool *isnull);

/* ---------- wait.c: waiting for messages ---------- */

typedef struct ConsumerWait
{
	TimestampTz deadline;
	XLogRecPtr	replayed;		/* standby: position at the last look */
} ConsumerWait;

/* An argument "timeout" in ms; 22023 when it is negative. */
extern int64 consumer_timeout_ms(const Interval *timeout);

/*
 * Whether to wait makes sense at all: not where every later look would use
 * the same snapshot.
 */
extern bool consumer_can_wait(int64 timeout_ms);

/*
 * Protocol:
 *		consumer_wait_begin(&wait, topic, partition, timeout_ms);
 *		do
 *			PushActiveSnapshot(GetTransactionSnapshot()), look, pop
 *		while (nothing found && consumer_wait(&wait));
 *		consumer_wait_end();
 * consumer_wait returns false when the time is over.  Errors end the wait too.
 * Who waits for many partitions had better look once before it begins to wait.
 */
extern void consumer_wait_begin(ConsumerWait *wait, Oid topic, int32 partition,
								int64 timeout_ms);
extern void consumer_wait_begin_keys(ConsumerWait *wait, const NotifyKey *keys,
									 int nkeys, int64 timeout_ms);
extern bool consumer_wait(ConsumerWait *wait);
extern void consumer_wait_end(void);

/* ---------- message_scan.c: functions in FROM without a copy ---------- */

/*
 * A function that returns rows of topic.message, and how a scan in its place
 * gets them.  All of a call lives in the memory context in which it is opened.
 */
typedef struct MessageSource
{
	const char *name;			/* of the plan node, in EXPLAIN */
	int			nargs;
	PGFunction	functions[MESSAGE_FORMATS]; /* by MessageFormat; NULL = none */

	/* Makes the call; it need not make keys and values that nobody wants. */
	void	   *(*open) (const NullableDatum *args, MessageFormat format,
						 bool want_key, bool want_value);
	/* The next row, which lasts until the next call; false at the end. */
	bool		(*next) (void *rows, Datum *values, bool *isnull);
	void		(*restart) (void *rows);	/* the same rows again */
	void		(*close) (void *rows);
} MessageSource;

/* From _PG_init; the source is not copied. */
extern void message_source_register(const MessageSource *source);

#endif							/* PGTOPIC_CONSUMER_H */
