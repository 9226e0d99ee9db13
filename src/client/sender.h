/*-------------------------------------------------------------------------
 *
 * sender.h
 *	  Messages on their way to a topic.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_CLIENT_SENDER_H
#define PGTOPIC_CLIENT_SENDER_H

#include "client/client.h"
#include "client/message.h"

typedef struct Sender
{
	PGconn	   *conn;
	char	   *copy;			/* the COPY command */
	Buffer		pending;		/* rows that libpq has not got yet */
	int			nfields;
	int			partition;		/* -1: the server chooses */
	bool		keys;
	Buffer		headers;		/* binary, the same for every message; empty: none */
	bool		open;			/* a COPY is under way */
	bool		broken;			/* what it is told no longer arrives */
	int64_t		in_batch;		/* messages of the COPY under way */
	int64_t		committed;
	int64_t		bytes;			/* of values, committed or not */
} Sender;

extern void sender_init(Sender *sender, PGconn *conn, const char *topic, int partition, bool keys,
						const char *const *headers, int nheaders);
extern void sender_add(Sender *sender, Bytes key, Bytes value);
extern void sender_commit(Sender *sender);

#endif							/* PGTOPIC_CLIENT_SENDER_H */
