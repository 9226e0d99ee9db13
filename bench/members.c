/*-------------------------------------------------------------------------
 *
 * members.c
 *	  A group with many members, each a process with a session of its own.
 *	  The topic is "fleet".
 *
 *	members takeover MEMBERS PARTITIONS TRIES LOAD
 *		Members consume and commit LOAD messages a second, with 2 ms of work
 *		in between.  A try kills one of them (SIGKILL).  Prints a line per try:
 *		ms until every partition is owned again; ms until messages produced then
 *		to the victim's partitions have reached their new owners; how many
 *		partitions that were.  At last: how often a member that was not
 *		killed got an error.
 *	members join MEMBERS PARTITIONS TRIES
 *		All members subscribe at once to a new group.  Prints ms until it is
 *		stable, ms of the longest subscribe(), and how often a partition was
 *		given to somebody, as far as a look every ms or so can tell.
 *	members idle MEMBERS connected|subscribed|waiting
 *		Prints "ready" when all are, and ends with its standard input.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "fleet.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------- join ---------- */

static int	gate[2];

static void
joining_member(int number)
{
	PGconn	   *conn = connect_server();
	char		byte;

	/* Catalogs are read, and the gate opens when it is closed. */
	run(conn, "SELECT count(*) FROM topic.groups");
	close(gate[1]);
	shared->members[number].backend = -1;
	if (read(gate[0], &byte, 1) == 0)
		subscribe(conn, &shared->members[number]);
	pause();
}

/* Partitions that members have got since the last look. */
static int
count_gains(const PGresult *members, int *owned)
{
	int			gains = 0;

	for (int row = 0; row < PQntuples(members); row++)
	{
		int			backend = atoi(PQgetvalue(members, row, 0));
		int			assigned = atoi(PQgetvalue(members, row, 1));
		int			i = 0;

		/* owned: pairs of backend and how many it has, in order of appearance */
		while (owned[i * 2] != 0 && owned[i * 2] != backend)
			i++;
		if (assigned > owned[i * 2 + 1])
			gains += assigned - owned[i * 2 + 1];
		owned[i * 2] = backend;
		owned[i * 2 + 1] = assigned;
	}
	return gains;
}

static int
look_for_gains(int *owned)
{
	PGresult   *result = look("SELECT pid, cardinality(assigned) FROM topic.members WHERE group_id = $1", group);
	int			gains = count_gains(result, owned);

	PQclear(result);
	return gains;
}

static void
join_all(void)
{
	int			owned[(MAX_MEMBERS + 1) * 2] = {0};
	int			gains = 0;
	double		longest = 0;
	double		start;
	double		stable;

	if (pipe(gate) != 0)
		exit(1);
	for (int i = 0; i < nmembers; i++)
		shared->members[i].pid = spawn(joining_member, i);
	for (int i = 0; i < nmembers; i++)
	{
		while (shared->members[i].backend == 0)
			sleep_seconds(0.01);
	}
	sleep_seconds(0.5);
	start = now();
	close(gate[0]);
	close(gate[1]);
	do
	{
		gains += look_for_gains(owned);
		sleep_seconds(0.0005);
	} while ((!all_owned(nmembers) || !is_stable()) && now() - start < TOO_LONG);
	stable = now() - start;
	gains += look_for_gains(owned);
	for (int i = 0; i < nmembers; i++)
	{
		while (shared->members[i].backend <= 0 && now() - start < TOO_LONG)
			sleep_seconds(0.01);
		if (shared->members[i].subscribing > longest)
			longest = shared->members[i].subscribing;
		kill(shared->members[i].pid, SIGKILL);
		waitpid(shared->members[i].pid, NULL, 0);
		shared->members[i].backend = 0;
	}
	printf("%.3f %.3f %d\n", stable * 1e3, longest * 1e3, gains);
	fflush(stdout);
}

static void
join(int tries)
{
	for (int try = 0; try < tries; try++)
	{
		snprintf(group, sizeof(group), "join%d", try);
		join_all();
		sleep_seconds(0.5);
	}
}

/* ---------- idle ---------- */

static const char *idleness;

static void
idle_member(int number)
{
	PGconn	   *conn = connect_server();

	if (strcmp(idleness, "connected") == 0)
		shared->members[number].backend = PQbackendPID(conn);
	else
		subscribe(conn, &shared->members[number]);
	if (strcmp(idleness, "waiting") == 0)
		run(conn, "SELECT * FROM topic.consume('fleet', 500, '1 hour')");
	pause();
}

static void
idle(void)
{
	for (int i = 0; i < nmembers; i++)
		shared->members[i].pid = spawn(idle_member, i);
	for (int i = 0; i < nmembers; i++)
	{
		while (shared->members[i].backend == 0)
			sleep_seconds(0.01);
	}
	printf("ready\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
	for (int i = 0; i < nmembers; i++)
		kill(shared->members[i].pid, SIGKILL);
}

int
main(int argc, char **argv)
{
	const char *work = argc > 1 ? argv[1] : "";

	nmembers = argc > 2 ? atoi(argv[2]) : 0;
	npartitions = argc > 3 ? atoi(argv[3]) : 0;
	if (argc < 4 || nmembers > MAX_MEMBERS || npartitions > MAX_PARTITIONS)
	{
		fprintf(stderr, "usage: see the head of members.c\n");
		return 2;
	}
	fleet_init();
	if (strcmp(work, "takeover") == 0 && argc == 6)
		takeover(atoi(argv[4]), atoi(argv[5]));
	else if (strcmp(work, "join") == 0 && argc == 5)
		join(atoi(argv[4]));
	else if (strcmp(work, "idle") == 0 && argc == 4)
	{
		idleness = argv[3];
		idle();
	}
	else
		return 2;
	return 0;
}
