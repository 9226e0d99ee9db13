/*-------------------------------------------------------------------------
 *
 * reading.h
 *	  Messages of a group's partitions, from where the member stands; for
 *	  consume, take and wait.  Inside the group room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_READING_H
#define PGTOPIC_GROUP_READING_H

#include "consumer/consumer.h"
#include "group/rows.h"
#include "group/session.h"
#include "stats/stats.h"

typedef struct Reading
{
	/* what is asked for */
	Membership *membership;
	MessageFormat format;
	int32		max_messages;
	int32		max_bytes;
	bool		want_key;		/* true unless the caller says otherwise */
	bool		want_value;

	/* where the rows go: to a set-returning function's result, or to rows */
	Tuplestorestate *store;
	TupleDesc	desc;
	MessageRows *rows;

	/* how far the call is */
	int32		found;
	int64		bytes;
	bool		full;			/* a limit is reached */

	/* one look, with one snapshot */
	MemoryContext context;		/* of all that lives as long as the look */
	Snapshot	snapshot;		/* registered */
	Relation	topic;			/* that was read last; NULL = none */
	StatsCount	returned;		/* of that topic */
	LaneReader *reader;
	MessageWriter writer;
} Reading;

/* Scans in place of topic.consume() and topic.take(); from group_init(). */
extern void consume_init(void);
extern void take_init(void);

/* 22004 for a NULL among the arguments of a function. */
extern void reading_check_nulls(const NullableDatum *args, int nargs,
								const char *const *names);

/*
 * reading_init: a call without limits, and without anywhere to put rows.
 * reading_to_result: they go to the result of a set-returning function.
 * reading_to_rows: they are kept, in the current memory context.
 * reading_set_limits: 22023 for limits that are none.
 */
extern void reading_init(Reading *reading, MessageFormat format);
extern void reading_to_result(Reading *reading, FunctionCallInfo fcinfo);
extern void reading_to_rows(Reading *reading, bool want_key, bool want_value);
extern void reading_set_limits(Reading *reading, int32 max_messages, int32 max_bytes);

/* Releases what the call has needed, but for its rows. */
extern void reading_finish(Reading *reading);

/*
 * A look with a snapshot.  What is allocated between begin and end goes with
 * it, and so do the topics' relcache references; locks on them stay.
 */
extern void reading_begin(Reading *reading, Snapshot snapshot);
extern void reading_end(Reading *reading);

/*
 * reading_topic: makes this topic the one that is read; false if there is none
 * with this OID and identity any more.  Error: 42501 without SELECT on it.
 */
extern bool reading_topic(Reading *reading, Oid relid, const pg_uuid_t *uuid);

/*
 * reading_find: the first message of a partition that the member is to get; false
 * if the snapshot sees none.  A position that is unknown, or outside the log,
 * is set by auto_offset_reset; one before dead records is moved over them.
 * Error: TP001 if auto_offset_reset is none.
 */
extern bool reading_find(Reading *reading, SessionPartition *partition,
						 LaneRecord *record);

/*
 * reading_deliver: returns what there is of a partition, up to the limits,
 * and moves its position past that.  False if it returned nothing.
 */
extern bool reading_deliver(Reading *reading, SessionPartition *partition);

#endif							/* PGTOPIC_GROUP_READING_H */
