/*-------------------------------------------------------------------------
 *
 * consume.h
 *	  The two ways to consume, and what they share.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_CLIENT_CONSUME_H
#define PGTOPIC_CLIENT_CONSUME_H

#include "client/sink.h"

typedef struct Consuming
{
	Sink		sink;
	const char *const *topics;
	int			ntopics;
	int			partition;		/* -1: all */
	const char *offset;			/* of -o, or NULL */
	bool		stop_at_end;
	int			batch;			/* messages at once; 0: as is best */
	const char *group;			/* NULL: autonomous */
	const char *instance;
	const char *assignor;
} Consuming;

/* How long the server waits for news before it is asked again. */
#define WAIT "1 s"

extern int	consume_autonomous(Consuming *c);
extern int	consume_group(Consuming *c);

#endif							/* PGTOPIC_CLIENT_CONSUME_H */
