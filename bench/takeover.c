/*-------------------------------------------------------------------------
 *
 * takeover.c
 *	  One member after the other is killed while the group works.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "fleet.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORK_SECONDS	0.002
#define LOAD_BATCH		10		/* messages of a transaction of the producer */
#define PROBE			"probe"

/* ---------- members ---------- */

/* False, and counted, if a statement of a member failed. */
static bool
works(PGconn *conn, PGresult *result, int number)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return true;
	shared->errors++;
	fprintf(stderr, "member %d: %s %s", number,
			PQresultErrorField(result, PG_DIAG_SQLSTATE), PQerrorMessage(conn));
	PQclear(result);
	PQclear(PQexec(conn, "ROLLBACK"));
	if (PQstatus(conn) != CONNECTION_OK)
		_exit(1);
	return false;
}

/* One transaction: consume, work, commit. */
static void
consume_once(PGconn *conn, int number)
{
	PGresult   *result;
	int			messages;

	run(conn, "BEGIN");
	result = PQexecPrepared(conn, "consume", 0, NULL, NULL, NULL, 0);
	if (!works(conn, result, number))
		return;
	messages = PQntuples(result);
	for (int i = 0; i < messages; i++)
	{
		if (strcmp(PQgetvalue(result, i, 1), PROBE) == 0)
			shared->probe_arrived[atoi(PQgetvalue(result, i, 0))] = now();
	}
	PQclear(result);
	if (messages > 0)
	{
		sleep_seconds(WORK_SECONDS);
		result = PQexecPrepared(conn, "commit", 0, NULL, NULL, NULL, 0);
		if (!works(conn, result, number))
			return;
		PQclear(result);
	}
	result = PQexec(conn, "COMMIT");
	if (works(conn, result, number))
		PQclear(result);
}

static void
consuming_member(int number)
{
	PGconn	   *conn = connect_server();

	subscribe(conn, &shared->members[number]);
	check(conn, PQprepare(conn, "consume", "SELECT partition, convert_from(value, 'UTF8') "
						  "FROM topic.consume('fleet', 500, '1 second')", 0, NULL),
		  PGRES_COMMAND_OK);
	check(conn, PQprepare(conn, "commit", "SELECT count(*) FROM topic.commit('fleet')", 0, NULL),
		  PGRES_COMMAND_OK);
	for (;;)
		consume_once(conn, number);
}

static void
produce_forever(int load)
{
	PGconn	   *conn = connect_server();
	double		next = now();
	char		sql[300];

	snprintf(sql, sizeof(sql), "SELECT count(topic.produce_record('fleet', 'load', "
			 "partition => (random() * %d)::int)) FROM generate_series(1, %d)",
			 npartitions - 1, LOAD_BATCH);
	check(conn, PQprepare(conn, "produce", sql, 0, NULL), PGRES_COMMAND_OK);
	for (;;)
	{
		check(conn, PQexecPrepared(conn, "produce", 0, NULL, NULL, NULL, 0), PGRES_COMMAND_OK);
		next += (double) LOAD_BATCH / load;
		sleep_seconds(next - now());
	}
}

/* ---------- takeover ---------- */

static PGresult *
partitions_of(int backend)
{
	char		pid[16];

	snprintf(pid, sizeof(pid), "%d", backend);
	return look("SELECT partition FROM topic.lag WHERE group_id = 'fleet' AND pid = $1::int", pid);
}

static void
produce_probes(const PGresult *partitions)
{
	char		array[MAX_PARTITIONS * 6 + 3] = "{";
	char	   *to = array + 1;

	for (int i = 0; i < PQntuples(partitions); i++)
		to += sprintf(to, "%s%s", i > 0 ? "," : "", PQgetvalue(partitions, i, 0));
	strcpy(to, "}");
	PQclear(look("SELECT count(topic.produce_record('fleet', '" PROBE "', partition => p)) "
				 "FROM unnest($1::int[]) AS p", array));
}

/* When the last probe came to its new owner; 0 = one is still on its way. */
static double
probes_arrived(const PGresult *partitions)
{
	double		last = 0;

	for (int i = 0; i < PQntuples(partitions); i++)
	{
		double		arrived = shared->probe_arrived[atoi(PQgetvalue(partitions, i, 0))];

		if (arrived == 0)
			return 0;
		if (arrived > last)
			last = arrived;
	}
	return last;
}

static void
kill_one(int number)
{
	Member	   *victim = &shared->members[number];
	PGresult   *partitions = partitions_of(victim->backend);
	double		owned = 0;
	double		consumed = 0;
	double		start;

	for (int i = 0; i < MAX_PARTITIONS; i++)
		shared->probe_arrived[i] = 0;
	start = now();
	kill(victim->pid, SIGKILL);
	while (owned == 0 && now() - start < TOO_LONG)
	{
		if (all_owned(nmembers - 1))
			owned = now();
		sleep_seconds(0.0005);
	}

	/* Not earlier: a message would wake the victim's backend, too. */
	produce_probes(partitions);
	while (consumed == 0 && now() - start < TOO_LONG)
	{
		sleep_seconds(0.0005);
		consumed = probes_arrived(partitions);
	}
	printf("%.3f %.3f %d\n", (owned == 0 ? TOO_LONG : owned - start) * 1e3,
		   (consumed == 0 ? TOO_LONG : consumed - start) * 1e3, PQntuples(partitions));
	fflush(stdout);
	PQclear(partitions);
	waitpid(victim->pid, NULL, 0);
}

void
takeover(int tries, int load)
{
	for (int i = 0; i < nmembers; i++)
		shared->members[i].pid = spawn(consuming_member, i);
	spawn(produce_forever, load);
	wait_stable();
	sleep_seconds(2);
	shared->errors = 0;
	for (int try = 0; try < tries; try++)
	{
		int			number = (try * 37) % nmembers;

		kill_one(number);
		shared->members[number].pid = spawn(consuming_member, number);
		wait_stable();
		sleep_seconds(0.2);
	}
	printf("%d\n", shared->errors);
}
