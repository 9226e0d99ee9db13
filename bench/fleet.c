/*-------------------------------------------------------------------------
 *
 * fleet.c
 *	  Processes that are members, and a look at their group.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "fleet.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

Shared	   *shared;
int			nmembers;
int			npartitions;
char		group[64] = "fleet";

static PGconn *monitor;

void
fleet_init(void)
{
	shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		exit(1);
	monitor = connect_server();
}

pid_t
spawn(void (*body) (int), int number)
{
	pid_t		pid = fork();

	if (pid == 0)
	{
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body(number);
		_exit(0);
	}
	return pid;
}

void
subscribe(PGconn *conn, Member *member)
{
	char		sql[200];
	double		start = now();

	snprintf(sql, sizeof(sql), "SELECT topic.subscribe('%s', ARRAY['fleet'])", group);
	run(conn, sql);
	member->subscribing = now() - start;
	member->backend = PQbackendPID(conn);
}

PGresult *
look(const char *sql, const char *value)
{
	return checked(monitor, PQexecParams(monitor, sql, 1, NULL, &value, NULL, NULL, 0),
				   PGRES_TUPLES_OK);
}

bool
all_owned(int members)
{
	PGresult   *result = look("SELECT count(*), coalesce(sum(cardinality(assigned)), 0) FROM topic.members "
							  "WHERE group_id = $1", group);
	bool		owned = atoi(PQgetvalue(result, 0, 0)) == members &&
		atoi(PQgetvalue(result, 0, 1)) == npartitions;

	PQclear(result);
	return owned;
}

bool
is_stable(void)
{
	PGresult   *result = look("SELECT state FROM topic.groups WHERE group_id = $1", group);
	bool		stable = PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 0), "Stable") == 0;

	PQclear(result);
	return stable;
}

void
wait_stable(void)
{
	double		start = now();

	while (!all_owned(nmembers) || !is_stable())
	{
		if (now() - start > TOO_LONG)
		{
			fprintf(stderr, "the group is not stable after %.0f s\n", TOO_LONG);
			exit(1);
		}
		sleep_seconds(0.005);
	}
}
