/*-------------------------------------------------------------------------
 *
 * stats.h
 *	  The door of the stats room: what goes in and out of each topic, counted
 *	  in shared memory since the server started.  A leaf: it includes no other
 *	  room.
 *
 * PostgreSQL's own statistics are not for extensions before version 18.  Counts
 * are made per transaction and per call, never per message.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_STATS_H
#define PGTOPIC_STATS_H

#include "datatype/timestamp.h"
#include "postgres_ext.h"

/* Messages, their bytes as they stand in the log, and in how many portions. */
typedef struct StatsCount
{
	int64		messages;
	int64		bytes;
	int64		batches;
} StatsCount;

static inline void
stats_sum(StatsCount *sum, const StatsCount *count)
{
	sum->messages += count->messages;
	sum->bytes += count->bytes;
	sum->batches += count->batches;
}

typedef struct TopicStats
{
	TimestampTz since;			/* when counting began */
	StatsCount	in;				/* produced, in committed transactions */
	StatsCount	out;			/* fetched and consumed */
} TopicStats;

/* Shared memory request and start-up hooks; from _PG_init when preloaded. */
extern void stats_init(void);

/*
 * stats_add_in, stats_add_out: add to what a topic of this database has.  Take
 * a spinlock and cannot fail: at a commit there must be no error.
 */
extern void stats_add_in(Oid topic, const StatsCount *count);
extern void stats_add_out(Oid topic, const StatsCount *count);

/* False if nothing has been counted, or what was has made room for others. */
extern bool stats_get(Oid topic, TopicStats *stats);

#endif							/* PGTOPIC_STATS_H */
