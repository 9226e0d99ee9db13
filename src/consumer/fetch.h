/*-------------------------------------------------------------------------
 *
 * fetch.h
 *	  A fetch under way, for those who deliver its rows: the SQL functions and
 *	  the custom scan.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_CONSUMER_FETCH_H
#define PGTOPIC_CONSUMER_FETCH_H

#include "consumer/consumer.h"

/* (topic, partition, from_offset, max_messages, timeout, max_bytes) */
#define FETCH_NARGS			6

extern Datum pgtopic_fetch(PG_FUNCTION_ARGS);
extern Datum pgtopic_fetch_text(PG_FUNCTION_ARGS);
extern Datum pgtopic_fetch_json(PG_FUNCTION_ARGS);

typedef struct Fetch
{
	/* what is asked for */
	Relation	topic;
	int32		partition;
	RecordOffset from_offset;
	int32		max_messages;
	int64		timeout_ms;
	int32		max_bytes;
	bool		want_key;		/* true unless the caller says otherwise */
	bool		want_value;
	MessageWriter writer;

	/* how far it is */
	MemoryContext context;		/* of all that lives as long as the fetch */
	Snapshot	snapshot;		/* registered; what the rows are judged by */
	LaneReader *reader;			/* NULL: there is nothing */
	LaneRecord	record;
	bool		started;
	int32		found;
	int64		bytes;
} Fetch;

/*
 * fetch_open: checks arguments and permission, and opens the topic.  The fetch
 * lives in the current memory context.
 */
extern void fetch_open(Fetch *fetch, const NullableDatum *args,
					   MessageFormat format);

/*
 * fetch_next: the next record into fetch->record.  The first call waits, if
 * there is nothing and the caller has time.  Errors: TP001, and the reader's.
 */
extern bool fetch_next(Fetch *fetch);

/* Begins anew, with the same snapshot: the same rows come again. */
extern void fetch_restart(Fetch *fetch);

extern void fetch_close(Fetch *fetch);

/* fetch_scan.c: the planner hook that saves FROM topic.fetch() its copy. */
extern void fetch_scan_init(void);

#endif							/* PGTOPIC_CONSUMER_FETCH_H */
