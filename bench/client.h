/*-------------------------------------------------------------------------
 *
 * client.h
 *	  What the programs of this folder share: clock, connections, statements.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_BENCH_CLIENT_H
#define PGTOPIC_BENCH_CLIENT_H

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static inline void
sleep_seconds(double s)
{
	struct timespec t = {(time_t) s, (long) ((s - (double) (time_t) s) * 1e9)};

	if (s > 0)
		nanosleep(&t, NULL);
}

static inline const char *
setting(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value ? value : otherwise;
}

/* The connection is that of libpq's environment. */
static inline PGconn *
connect_server(void)
{
	PGconn	   *conn = PQconnectdb("");

	if (PQstatus(conn) != CONNECTION_OK)
	{
		fprintf(stderr, "cannot connect: %s", PQerrorMessage(conn));
		exit(1);
	}
	return conn;
}

/* Rows are welcome where a command was expected. */
static inline PGresult *
checked(PGconn *conn, PGresult *result, ExecStatusType expected)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != expected && !(expected == PGRES_COMMAND_OK && status == PGRES_TUPLES_OK))
	{
		fprintf(stderr, "%s", PQerrorMessage(conn));
		exit(1);
	}
	return result;
}

static inline void
check(PGconn *conn, PGresult *result, ExecStatusType expected)
{
	PQclear(checked(conn, result, expected));
}

static inline void
run(PGconn *conn, const char *sql)
{
	check(conn, PQexec(conn, sql), PGRES_COMMAND_OK);
}

#endif							/* PGTOPIC_BENCH_CLIENT_H */
