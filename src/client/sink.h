/*-------------------------------------------------------------------------
 *
 * sink.h
 *	  Where consumed messages go: stdout, or a command for each batch.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_CLIENT_SINK_H
#define PGTOPIC_CLIENT_SINK_H

#include "client/client.h"
#include "client/format.h"

typedef struct Sink
{
	bool		json;
	Format		format;			/* unless json */
	const char *command;		/* of --exec, or NULL */
	unsigned	columns;		/* that messages must have */
	Buffer		pending;
	int64_t		count;
	int64_t		limit;			/* of -c; INT64_MAX: none */
} Sink;

extern void sink_add(Sink *sink, const Message *message);
extern bool sink_flush(Sink *sink);

static inline bool
sink_full(const Sink *sink)
{
	return sink->count >= sink->limit;
}

#endif							/* PGTOPIC_CLIENT_SINK_H */
