/*-------------------------------------------------------------------------
 *
 * contestant.h
 *	  A way to queue messages in PostgreSQL, as a file of SQL.
 *
 * Lines "-- @name" cut the file into sections.  Those that prepare a contest
 * are measure.py's; a program reads what a client says over and over:
 *
 *	session		once per connection
 *	transaction	is there: the next three are one transaction
 *	next		gives :batch, or NULL: nothing there
 *	fetch		messages; the first column is a bigint, the last one the message
 *	commit		forgets or remembers what was fetched
 *	produce		stores many messages
 *	tick		is called by somebody every 20 ms
 *	maintenance	is called by somebody every 5 s; may be there several times
 *
 * :name in it is a parameter: keys and values (arrays), n (how many), group,
 * ids (an array) and last of what was fetched, batch.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_BENCH_CONTESTANT_H
#define PGTOPIC_BENCH_CONTESTANT_H

#include "client.h"

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>

#define MAX_SECTIONS	20
#define MAX_PARAMETERS	4
#define ID_DIGITS		20

typedef enum Parameter
{
	KEYS, VALUES, N, GROUP, IDS, LAST, BATCH, PARAMETERS
} Parameter;

typedef struct Section
{
	char		name[20];
	char		sql[8192];
} Section;

typedef struct Contestant
{
	int			nsections;
	Section		sections[MAX_SECTIONS];
} Contestant;

/* A section prepared on a connection, under its own name. */
typedef struct Statement
{
	const char *name;			/* NULL: there is no such section */
	int			nparameters;
	Parameter	parameters[MAX_PARAMETERS];
} Statement;

typedef struct Consumer
{
	PGconn	   *conn;
	Statement	next;
	Statement	fetch;
	Statement	commit;
	bool		in_transaction;
	const char *values[PARAMETERS];
	char		n[ID_DIGITS + 1];
	char		last[ID_DIGITS + 1];
	char		batch[ID_DIGITS + 1];
	char	   *ids;
} Consumer;

extern void contestant_load(Contestant *contestant, const char *path);
extern const Section *contestant_section(const Contestant *contestant, const char *name);
extern Statement contestant_prepare(const Contestant *contestant, PGconn *conn,
									const char *name);
extern PGresult *statement_run(PGconn *conn, const Statement *statement,
							   const char *const *values);

extern void consumer_open(Consumer *consumer, const Contestant *contestant,
						  const char *group, int n);

/* One batch; returns its messages. */
extern int	consumer_turn(Consumer *consumer);

#endif							/* PGTOPIC_BENCH_CONTESTANT_H */
