/*-------------------------------------------------------------------------
 *
 * wake.c
 *	  How long a message takes from its producer to a consumer that waits.
 *
 *	  wake outbox|listen|consume SECONDS RATE
 *
 * A producer sends RATE messages a second in autocommit, each with the time at
 * which it was sent; a consumer on another connection notes when it has it.
 * Prints the median and the 99th percentile in ms.
 *
 *		outbox	a heap table whose trigger notifies; the consumer LISTENs, and
 *				selects what is behind the last number that it has
 *		listen	topic wake, consumed by a member of a group that listens to it
 *		consume	the same member waits in topic.consume(timeout)
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>

#include "client.h"

static double seconds;
static double rate;
static const char *produce;

static double *latencies;
static int	nlatencies = 0;
static int	expected;

static PGresult *
query(PGconn *conn, const char *sql, const char *param)
{
	PGresult   *result = PQexecParams(conn, sql, param ? 1 : 0, NULL, &param, NULL, NULL, 0);

	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
	{
		fprintf(stderr, "%s: %s", sql, PQerrorMessage(conn));
		exit(1);
	}
	return result;
}

static void *
producer(void *arg)
{
	PGconn	   *conn = connect_server();
	double		begin = now();

	for (int i = 0; i < expected; i++)
	{
		char		sent[32];

		sleep_seconds(begin + i / rate - now());
		snprintf(sent, sizeof(sent), "%.6f", now());
		PQclear(query(conn, produce, sent));
	}
	PQfinish(conn);
	return arg;
}

/* The first column is when each was sent; returns how many came. */
static int
take(PGresult *result)
{
	double		received = now();
	int			n = PQntuples(result);

	for (int i = 0; i < n && nlatencies < expected; i++)
		latencies[nlatencies++] = received - atof(PQgetvalue(result, i, 0));
	return n;
}

static void
wait_for_news(PGconn *conn)
{
	for (;;)
	{
		struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
		PGnotify   *notify;
		bool		heard = false;

		PQconsumeInput(conn);
		while ((notify = PQnotifies(conn)) != NULL)
		{
			PQfreemem(notify);
			heard = true;
		}
		if (heard)
			return;
		poll(&fd, 1, -1);
	}
}

static void
consume_outbox(PGconn *conn)
{
	char		last[32] = "0";

	while (nlatencies < expected)
	{
		PGresult   *result = query(conn, "SELECT value, id FROM outbox WHERE id > $1 ORDER BY id", last);
		int			n = take(result);

		if (n > 0)
			snprintf(last, sizeof(last), "%s", PQgetvalue(result, n - 1, 1));
		PQclear(result);
		if (n == 0)
			wait_for_news(conn);
	}
}

static void
consume_topic(PGconn *conn, const char *sql, bool listens)
{
	while (nlatencies < expected)
	{
		PGresult   *result = query(conn, sql, NULL);
		int			n = take(result);

		PQclear(result);
		if (n > 0)
			PQclear(query(conn, "SELECT topic.commit('wake')", NULL));
		else if (listens)
			wait_for_news(conn);
	}
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	const char *kind = argc == 4 ? argv[1] : "";
	bool		outbox = strcmp(kind, "outbox") == 0;
	bool		listens = strcmp(kind, "listen") == 0;
	PGconn	   *conn;
	pthread_t	thread;

	if (!outbox && !listens && strcmp(kind, "consume") != 0)
	{
		fprintf(stderr, "usage: wake outbox|listen|consume SECONDS RATE\n");
		return 2;
	}
	seconds = atof(argv[2]);
	rate = atof(argv[3]);
	expected = (int) (seconds * rate);
	latencies = calloc(expected + 1, sizeof(double));
	produce = outbox ? "INSERT INTO outbox (value) VALUES ($1)" : "SELECT topic.produce('wake', $1)";

	conn = connect_server();
	if (outbox)
		PQclear(query(conn, "LISTEN outbox", NULL));
	else
		PQclear(query(conn, "SELECT topic.subscribe('wake', ARRAY['wake'])", NULL));
	if (listens)
		PQclear(query(conn, "SELECT topic.listen('wake')", NULL));
	pthread_create(&thread, NULL, producer, NULL);
	if (outbox)
		consume_outbox(conn);
	else
		consume_topic(conn, listens ? "SELECT value FROM topic.consume_text('wake')" :
					  "SELECT value FROM topic.consume_text('wake', timeout => '1 minute')", listens);
	pthread_join(thread, NULL);
	PQfinish(conn);

	qsort(latencies, expected, sizeof(double), compare);
	printf("%.4f %.4f\n", 1000 * latencies[expected / 2], 1000 * latencies[expected * 99 / 100]);
	return 0;
}
