/*
 * Rounds of "produce, then wait for the notification", for 019_notify.pl.
 *
 *	listen_race CONNINFO ROUNDS TOPIC PARTITIONS [GROUP]
 *
 * One connection LISTENs, to the group's channel or to the topic's, the other
 * one produces.  A producer is told once at most for each message, so a
 * notification that is lost shows: some round waits in vain.  With a group the
 * listener does not subscribe; somebody else does.  Prints the number of rounds
 * and of notifications; exit code 1 if a round waited for too long.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS	10000

static int	notifications = 0;

static PGconn *
connect_to(const char *conninfo)
{
	PGconn	   *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
	{
		fprintf(stderr, "%s", PQerrorMessage(conn));
		exit(2);
	}
	return conn;
}

static void
run(PGconn *conn, const char *sql)
{
	PGresult   *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
	{
		fprintf(stderr, "%s", PQerrorMessage(conn));
		exit(2);
	}
	PQclear(result);
}

/* Takes what has come; returns how many. */
static int
drain(PGconn *conn)
{
	PGnotify   *notify;
	int			count = 0;

	if (!PQconsumeInput(conn))
		exit(2);
	while ((notify = PQnotifies(conn)) != NULL)
	{
		PQfreemem(notify);
		count++;
	}
	notifications += count;
	return count;
}

/* 0 if nothing comes in time. */
static int
wait_for_notification(PGconn *conn, int timeout_ms)
{
	for (;;)
	{
		struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};

		if (drain(conn) > 0)
			return 1;
		if (poll(&fd, 1, timeout_ms) == 0)
			return 0;
	}
}

int
main(int argc, char **argv)
{
	PGconn	   *listener = connect_to(argv[1]);
	PGconn	   *producer = connect_to(argv[1]);
	int			rounds = atoi(argv[2]);
	int			partitions = atoi(argv[4]);
	char		sql[1024];

	if (argc > 5)
		snprintf(sql, sizeof(sql), "SELECT topic.listen('%s')", argv[5]);
	else
		snprintf(sql, sizeof(sql), "LISTEN \"topic:public.%s\"", argv[3]);
	run(listener, sql);

	/* What comes because there is a new listener. */
	while (wait_for_notification(listener, 1000))
		;
	notifications = 0;

	for (int round = 0; round < rounds; round++)
	{
		snprintf(sql, sizeof(sql), "SELECT topic.produce('%s', 'x', partition => %d)",
				 argv[3], round % partitions);
		run(producer, sql);
		if (!wait_for_notification(listener, TIMEOUT_MS))
		{
			printf("round %d: nothing came\n", round);
			return 1;
		}
	}
	printf("%d rounds, %d notifications\n", rounds, notifications);
	return 0;
}
