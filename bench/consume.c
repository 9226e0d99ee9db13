/*-------------------------------------------------------------------------
 *
 * consume.c
 *	  Consumes from one contestant and tells how fast.
 *
 *	consume drain FILE BATCH MESSAGES GROUP...
 *		Every group reads that many messages, all at once.
 *		Prints messages and seconds.
 *	consume spread FILE BATCH ROUNDS GROUP
 *		Produces a batch, consumes it, and so on.  Prints messages, and bytes
 *		of WAL that consuming them took.
 *	consume soak FILE BATCH SECONDS HOLD GROUP
 *		Produces and consumes at full speed; from second HOLD on somebody holds
 *		a snapshot.  Prints every 5 s: messages consumed in a second, and what
 *		section "size" gives.
 *	consume commits COUNT SESSION STATEMENT
 *		Runs the statement so often with $1 = 1, 2, ... while somebody holds a
 *		snapshot.  Prints for every 10,000 of them how many a second.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "contestant.h"

#include <pthread.h>
#include <stdatomic.h>

#define MAX_GROUPS		64
#define VALUE_BYTES		100
#define KEY_DIGITS		6
#define MAX_BACKLOG		5000	/* in soak: so far a producer runs ahead */
#define WINDOW			5.0
#define COMMITS_WINDOW	10000
#define STARVED			10.0	/* seconds without a message */

static Contestant contestant;
static int	batch;
static long wanted;
static atomic_bool stop;
static atomic_long produced;
static atomic_long consumed;

static long
number_of(PGconn *conn, const char *sql)
{
	PGresult   *result = checked(conn, PQexec(conn, sql), PGRES_TUPLES_OK);
	long		number = atol(PQgetvalue(result, 0, 0));

	PQclear(result);
	return number;
}

/* ---------- drain ---------- */

static void *
drain_main(void *arg)
{
	Consumer   *consumer = arg;
	long		got = 0;
	double		last = now();

	while (got < wanted)
	{
		int			messages = consumer_turn(consumer);

		got += messages;
		if (messages > 0)
			last = now();
		else if (now() - last > STARVED)
		{
			fprintf(stderr, "nothing more after %ld of %ld messages\n", got, wanted);
			exit(1);
		}
	}
	return NULL;
}

static void
drain(char **groups, int ngroups)
{
	Consumer   *consumers = calloc((size_t) ngroups, sizeof(Consumer));
	pthread_t	threads[MAX_GROUPS];
	double		start;

	for (int i = 0; i < ngroups; i++)
		consumer_open(&consumers[i], &contestant, groups[i], batch);
	start = now();
	for (int i = 0; i < ngroups; i++)
		pthread_create(&threads[i], NULL, drain_main, &consumers[i]);
	for (int i = 0; i < ngroups; i++)
		pthread_join(threads[i], NULL);
	printf("%ld %.6f\n", wanted * ngroups, now() - start);
	for (int i = 0; i < ngroups; i++)
		PQfinish(consumers[i].conn);
}

/* ---------- what a producer sends ---------- */

static char *
make_array(const char *format, int digits)
{
	char	   *array = malloc((size_t) batch * (size_t) (digits + 2) + 3);
	char	   *to = array;

	for (int i = 0; i < batch; i++)
	{
		*to++ = i == 0 ? '{' : ',';
		to += sprintf(to, format, digits, i);
	}
	strcpy(to, "}");
	return array;
}

/* ---------- spread ---------- */

static void
spread(const char *group, int rounds)
{
	PGconn	   *producer = connect_server();
	Statement	produce = contestant_prepare(&contestant, producer, "produce");
	const char *values[PARAMETERS] = {0};
	const char *position = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')";
	Consumer	consumer;
	long		bytes = 0;
	long		messages = 0;

	values[KEYS] = make_array("k%0*d", KEY_DIGITS);
	values[VALUES] = make_array("%0*d", VALUE_BYTES);
	consumer_open(&consumer, &contestant, group, batch);

	/* The first rounds write page images and the group's mapping. */
	for (int round = -5; round < rounds; round++)
	{
		long		before;
		int			n = 0;

		PQclear(statement_run(producer, &produce, values));
		before = number_of(producer, position);
		while (n < batch)
			n += consumer_turn(&consumer);
		if (round >= 0)
		{
			bytes += number_of(producer, position) - before;
			messages += n;
		}
	}
	printf("%ld %ld\n", messages, bytes);
}

/* ---------- soak ---------- */

static void *
produce_main(void *arg)
{
	PGconn	   *conn = connect_server();
	Statement	produce = contestant_prepare(&contestant, conn, "produce");
	const char *values[PARAMETERS] = {0};

	(void) arg;
	values[KEYS] = make_array("k%0*d", KEY_DIGITS);
	values[VALUES] = make_array("%0*d", VALUE_BYTES);
	while (!stop)
	{
		if (produced - consumed > MAX_BACKLOG)
		{
			sleep_seconds(0.0002);
			continue;
		}
		PQclear(statement_run(conn, &produce, values));
		produced += batch;
	}
	PQfinish(conn);
	return NULL;
}

static void *
consume_main(void *arg)
{
	Consumer   *consumer = arg;

	while (!stop)
	{
		int			messages = consumer_turn(consumer);

		consumed += messages;
		if (messages == 0)
			sleep_seconds(0.0005);
	}
	return NULL;
}

/* The daemon that some contestants want. */
static void *
tick_main(void *arg)
{
	PGconn	   *conn = connect_server();
	double		maintained = now();

	(void) arg;
	while (!stop)
	{
		run(conn, contestant_section(&contestant, "tick")->sql);
		if (now() - maintained > 5)
		{
			for (int i = 0; i < contestant.nsections; i++)
			{
				if (strcmp(contestant.sections[i].name, "maintenance") == 0)
					run(conn, contestant.sections[i].sql);
			}
			maintained = now();
		}
		sleep_seconds(0.02);
	}
	PQfinish(conn);
	return NULL;
}

static PGconn *
hold_snapshot(void)
{
	PGconn	   *conn = connect_server();

	run(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ");
	run(conn, "SELECT count(*) FROM pg_class");
	return conn;
}

static void
soak(const char *group, double seconds, double hold)
{
	PGconn	   *conn = connect_server();
	Consumer	consumer;
	pthread_t	threads[3];
	int			nthreads = 0;
	double		start = now();
	bool		held = false;

	consumer_open(&consumer, &contestant, group, batch);
	pthread_create(&threads[nthreads++], NULL, produce_main, NULL);
	pthread_create(&threads[nthreads++], NULL, consume_main, &consumer);
	if (contestant_section(&contestant, "tick"))
		pthread_create(&threads[nthreads++], NULL, tick_main, NULL);
	for (double end = start + WINDOW; end < start + seconds + WINDOW / 2; end += WINDOW)
	{
		long		before = consumed;
		double		began = now();

		if (!held && end - WINDOW >= start + hold)
			held = hold_snapshot() != NULL;
		sleep_seconds(end - now());
		printf("%.1f ", (double) (consumed - before) / (now() - began));
		printf("%ld\n", number_of(conn, contestant_section(&contestant, "size")->sql));
		fflush(stdout);
	}
	stop = true;
	for (int i = 0; i < nthreads; i++)
		pthread_join(threads[i], NULL);
}

/* ---------- commits ---------- */

static void
commits(long count, const char *session, const char *statement)
{
	PGconn	   *conn = connect_server();
	char		number[ID_DIGITS + 1];
	const char *value = number;

	run(conn, session);
	check(conn, PQprepare(conn, "commit", statement, 0, NULL), PGRES_COMMAND_OK);
	hold_snapshot();
	for (long i = 1; i <= count;)
	{
		double		start = now();
		long		end = i + COMMITS_WINDOW;

		for (; i < end; i++)
		{
			sprintf(number, "%ld", i);
			check(conn, PQexecPrepared(conn, "commit", 1, &value, NULL, NULL, 1), PGRES_COMMAND_OK);
		}
		printf("%.1f\n", COMMITS_WINDOW / (now() - start));
		fflush(stdout);
	}
}

int
main(int argc, char **argv)
{
	const char *work = argc > 1 ? argv[1] : "";

	if (argc == 5 && strcmp(work, "commits") == 0)
	{
		commits(atol(argv[2]), argv[3], argv[4]);
		return 0;
	}
	if (argc < 6 || argc - 5 > MAX_GROUPS)
	{
		fprintf(stderr, "usage: see the head of consume.c\n");
		return 2;
	}
	contestant_load(&contestant, argv[2]);
	batch = atoi(argv[3]);
	if (strcmp(work, "drain") == 0)
	{
		wanted = atol(argv[4]);
		drain(argv + 5, argc - 5);
	}
	else if (strcmp(work, "spread") == 0)
		spread(argv[5], atoi(argv[4]));
	else if (argc == 7)
		soak(argv[6], atof(argv[4]), atof(argv[5]));
	else
		return 2;
	return 0;
}
