/*
 * worker.c: a worker in a consumer group, driven by LISTEN/NOTIFY, with libpq
 *
 *	cc -I$(pg_config --includedir) worker.c -lpq -o worker
 *	PGDATABASE=shop ./worker
 *
 * Writes an invoice for every order, exactly once: the invoices and the offsets
 * of the group are committed in one transaction.  Start as many as the topic has
 * partitions; end one as you like, the others take over.  It needs
 *
 *	SELECT topic.create('orders', partitions => 4);
 *	CREATE TABLE invoice (customer text, price int);
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* Runs a statement; NULL if it fails. */
static PGresult *
query(PGconn *conn, const char *sql, int nparams, const char *const *params)
{
	PGresult   *result = PQexecParams(conn, sql, nparams, NULL, params, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return result;
	fprintf(stderr, "%s", PQerrorMessage(conn));
	PQclear(result);
	return NULL;
}

static bool
run(PGconn *conn, const char *sql)
{
	PGresult   *result = query(conn, sql, 0, NULL);

	PQclear(result);
	return result != NULL;
}

/* What is to be done for a message. */
static bool
act(PGconn *conn, const char *key, const char *value)
{
	const char *params[] = {key, value};
	PGresult   *result = query(conn, "INSERT INTO invoice VALUES ($1, ($2::jsonb->>'price')::int)", 2, params);

	PQclear(result);
	return result != NULL;
}

/* One transaction: consume, act, commit.  Returns the number of messages, -1 if it failed. */
static int
work(PGconn *conn)
{
	PGresult   *messages;
	int			n = -1;
	bool		ok;

	if (!run(conn, "BEGIN"))
		return -1;
	messages = query(conn, "SELECT key, value FROM topic.consume_text('billing', 500)", 0, NULL);
	ok = messages != NULL;
	if (ok)
		n = PQntuples(messages);
	for (int i = 0; ok && i < n; i++)
		ok = act(conn, PQgetvalue(messages, i, 0), PQgetvalue(messages, i, 1));
	PQclear(messages);
	ok = ok && run(conn, "SELECT topic.commit('billing')") && run(conn, "COMMIT");
	return ok ? n : -1;
}

/* Takes the notifications that have come; whether there were any. */
static bool
heard(PGconn *conn)
{
	PGnotify   *notify;
	bool		any = false;

	PQconsumeInput(conn);
	while ((notify = PQnotifies(conn)) != NULL)
	{
		PQfreemem(notify);
		any = true;
	}
	return any;
}

/* Works as a member of the group until something fails. */
static void
session(PGconn *conn)
{
	if (PQstatus(conn) != CONNECTION_OK)
	{
		fprintf(stderr, "%s", PQerrorMessage(conn));
		return;
	}
	if (!run(conn, "SELECT topic.subscribe('billing', ARRAY['orders'])") ||
		!run(conn, "SELECT topic.listen('billing')"))
		return;
	for (;;)
	{
		struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
		int			n;

		while ((n = work(conn)) > 0)
			;
		if (n < 0)
			return;

		/* What came in the meantime is news, too: only then wait. */
		while (!heard(conn) && PQstatus(conn) == CONNECTION_OK)
			poll(&fd, 1, -1);
	}
}

int
main(void)
{
	for (;;)
	{
		PGconn	   *conn = PQconnectdb("");

		session(conn);
		PQfinish(conn);
		sleep(1);				/* then connect and subscribe again */
	}
}
