/*
 * Races of "produce" against "wait", for 025_wakeup_races.pl.
 *
 *	wake_race CONNINFO fetch|consume|listen PAIRS ROUNDS
 *
 * A pair is a connection that waits and one that produces what it waits for.  In
 * a round both begin at once, now the one first and now the other, so that the
 * commit meets the waiter in every phase: before it looks, between its look and
 * its sleep, asleep.  A wake-up that is lost shows as a round that takes longer
 * than anything but the net in the server (LOOK_AGAIN_MS).  The pairs take their
 * rounds at the same time and share the ROUNDS.
 *
 *	fetch	waits in topic.fetch(timeout) for partition I of topic race
 *	consume	waits in topic.consume(timeout), all as members of group race
 *	listen	LISTENs; pair I to topic listenI, every other one to group listenI,
 *			which somebody else is a member of
 *
 * Prints what it did; exit code 1 if a wake-up was lost.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_PAIRS	64
#define LOST_MS		5000
#define SPIN_MAX	40000		/* ns between the two beginnings */

typedef enum Mode
{
	MODE_FETCH,
	MODE_CONSUME,
	MODE_LISTEN
} Mode;

typedef struct Pair
{
	PGconn	   *waiter;
	PGconn	   *producer;
	bool		waits;
	bool		produces;
	long		next_offset;
	double		began;
} Pair;

static Pair pairs[MAX_PAIRS];
static Mode mode;
static long woken = 0;

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void
die(const char *what)
{
	fprintf(stderr, "%s", what);
	exit(2);
}

static void
check(PGconn *conn, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		die(PQerrorMessage(conn));
}

/* Runs a statement; returns the number in its first column, -1 if none. */
static long
run(PGconn *conn, const char *sql)
{
	PGresult   *result = PQexec(conn, sql);
	long		value = -1;

	check(conn, result);
	if (PQntuples(result) > 0)
		value = atol(PQgetvalue(result, 0, 0));
	PQclear(result);
	return value;
}

static PGconn *
connect_to(const char *conninfo)
{
	PGconn	   *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
		die(PQerrorMessage(conn));
	return conn;
}

static void
prepare(PGconn *conn, const char *sql)
{
	PGresult   *result = PQprepare(conn, "go", sql, 0, NULL);

	check(conn, result);
	PQclear(result);
}

static void
send_go(PGconn *conn, int nparams, const char *const *params)
{
	if (!PQsendQueryPrepared(conn, "go", nparams, params, NULL, NULL, 0))
		die(PQerrorMessage(conn));
}

/* The connections of a pair, and its statements. */
static void
begin_pair(const char *conninfo, int i)
{
	Pair	   *pair = &pairs[i];
	char		sql[1024];

	pair->waiter = connect_to(conninfo);
	pair->producer = connect_to(conninfo);
	if (mode == MODE_CONSUME)
	{
		run(pair->waiter, "SELECT topic.subscribe('race', ARRAY['race'], auto_offset_reset => 'latest')");
		prepare(pair->waiter, "SELECT log_offset FROM topic.consume('race', 10, '1 minute')");
		return;
	}
	if (mode == MODE_LISTEN)
	{
		snprintf(sql, sizeof(sql), i % 2 ? "SELECT topic.listen('listen%d')" : "LISTEN \"topic:public.listen%d\"", i);
		run(pair->waiter, sql);
		snprintf(sql, sizeof(sql), "SELECT topic.produce('listen%d', 'x')", i);
		prepare(pair->producer, sql);
		return;
	}
	snprintf(sql, sizeof(sql),
			 "SELECT log_offset FROM topic.fetch('race', %d, $1, 10, '1 minute')", i);
	prepare(pair->waiter, sql);
	snprintf(sql, sizeof(sql), "SELECT topic.produce('race', 'x', partition => %d)", i);
	prepare(pair->producer, sql);
}

/* Members know their partitions when all have joined: one for each. */
static void
find_partitions(int npairs)
{
	for (int i = 0; i < npairs; i++)
	{
		double		deadline = now_ms() + 30000;
		char		sql[1024];
		long		partition;

		do
		{
			if (now_ms() > deadline)
				die("the group does not come to rest\n");
			run(pairs[i].waiter, "SELECT topic.consume('race')");
			partition = run(pairs[i].waiter,
							"SELECT CASE count(*) WHEN 1 THEN min(partition) ELSE -1 END FROM topic.assignment('race')");
		} while (partition < 0);
		snprintf(sql, sizeof(sql), "SELECT topic.produce('race', 'x', partition => %ld)", partition);
		prepare(pairs[i].producer, sql);
	}
}

static void
start_waiting(Pair *pair)
{
	char		offset[32];
	const char *params[] = {offset};

	pair->waits = true;
	if (mode == MODE_LISTEN)
		return;
	snprintf(offset, sizeof(offset), "%ld", pair->next_offset);
	send_go(pair->waiter, mode == MODE_FETCH ? 1 : 0, params);
}

static void
start_round(Pair *pair)
{
	bool		waiter_first = random() % 2;
	double		until;

	pair->began = now_ms();
	if (waiter_first)
		start_waiting(pair);
	else
		send_go(pair->producer, 0, NULL);
	until = now_ms() + (random() % SPIN_MAX) / 1e6;
	while (now_ms() < until)
		;
	if (waiter_first)
		send_go(pair->producer, 0, NULL);
	else
		start_waiting(pair);
	pair->produces = true;
}

/* Takes all results that are there; true when the statement has ended. */
static bool
has_ended(PGconn *conn, int *rows, long *last)
{
	PGresult   *result;

	*rows = 0;
	if (!PQconsumeInput(conn))
		die(PQerrorMessage(conn));
	if (PQisBusy(conn))
		return false;
	while ((result = PQgetResult(conn)) != NULL)
	{
		check(conn, result);
		*rows += PQntuples(result);
		if (PQntuples(result) > 0 && last != NULL)
			*last = atol(PQgetvalue(result, PQntuples(result) - 1, 0));
		PQclear(result);
	}
	return true;
}

static bool
heard(PGconn *conn)
{
	PGnotify   *notify;
	int			count = 0;

	if (!PQconsumeInput(conn))
		die(PQerrorMessage(conn));
	while ((notify = PQnotifies(conn)) != NULL)
	{
		count++;
		PQfreemem(notify);
	}
	return count > 0;
}

/* What came on a pair's sockets. */
static void
proceed(Pair *pair)
{
	int			rows;

	if (pair->produces && has_ended(pair->producer, &rows, NULL))
		pair->produces = false;
	if (pair->waits && mode == MODE_LISTEN)
	{
		if (heard(pair->waiter))
			pair->waits = false;
	}
	else if (pair->waits && has_ended(pair->waiter, &rows, &pair->next_offset))
	{
		if (rows != 1)
		{
			printf("a waiter returned %d messages\n", rows);
			exit(1);
		}
		pair->waits = false;
		pair->next_offset++;
	}
}

static bool
in_round(const Pair *pair)
{
	return pair->waits || pair->produces;
}

/* Listeners hear something at once, because they are new. */
static void
settle(int npairs)
{
	double		quiet_since = now_ms();

	while (now_ms() < quiet_since + 1000)
	{
		for (int i = 0; i < npairs; i++)
			if (heard(pairs[i].waiter))
				quiet_since = now_ms();
		poll(NULL, 0, 20);
	}
}

int
main(int argc, char **argv)
{
	int			npairs = argc == 5 ? atoi(argv[3]) : 0;
	long		rounds = argc == 5 ? atol(argv[4]) : 0;
	long		started = 0;
	double		slowest = 0;
	double		began;

	if (npairs < 1 || npairs > MAX_PAIRS)
		die("usage: wake_race CONNINFO fetch|consume|listen PAIRS ROUNDS\n");
	mode = argv[2][0] == 'f' ? MODE_FETCH : argv[2][0] == 'c' ? MODE_CONSUME : MODE_LISTEN;
	for (int i = 0; i < npairs; i++)
		begin_pair(argv[1], i);
	if (mode == MODE_CONSUME)
		find_partitions(npairs);
	if (mode == MODE_LISTEN)
		settle(npairs);

	began = now_ms();
	while (woken < rounds)
	{
		struct pollfd fds[2 * MAX_PAIRS];

		for (int i = 0; i < npairs; i++)
		{
			if (!in_round(&pairs[i]) && started < rounds)
			{
				start_round(&pairs[i]);
				started++;
			}
			fds[2 * i] = (struct pollfd) {.fd = PQsocket(pairs[i].waiter), .events = POLLIN};
			fds[2 * i + 1] = (struct pollfd) {.fd = PQsocket(pairs[i].producer), .events = POLLIN};
		}
		poll(fds, 2 * npairs, 100);
		for (int i = 0; i < npairs; i++)
		{
			double		took = now_ms() - pairs[i].began;

			if (!in_round(&pairs[i]))
				continue;
			proceed(&pairs[i]);
			if (took > slowest)
				slowest = took;
			if (took > LOST_MS)
			{
				printf("after %ld rounds: pair %d was not woken\n", woken, i);
				return 1;
			}
			if (!in_round(&pairs[i]))
				woken++;
		}
	}
	printf("%ld rounds, none lost\n", woken);
	fprintf(stderr, "%s: %.1f s, the slowest round %.1f ms\n", argv[2], (now_ms() - began) / 1000, slowest);
	return 0;
}
