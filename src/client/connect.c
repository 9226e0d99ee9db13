/*-------------------------------------------------------------------------
 *
 * connect.c
 *	  Connections, statements, and Ctrl-C.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "client/client.h"

/* Seconds between attempts to find a lost server again. */
#define FIRST_PAUSE 0.1
#define LONGEST_PAUSE 5.0

volatile sig_atomic_t interrupted = 0;

static PGcancel *volatile armed = NULL;

static struct
{
	const char *host;
	const char *port;
	const char *user;
	const char *dbname;
	char	   *password;
	bool		never_ask;
	bool		always_ask;
}			wanted;

void
connection_option(char option, char *value)
{
	switch (option)
	{
		case 'h':
			wanted.host = value;
			break;
		case 'p':
			wanted.port = value;
			break;
		case 'U':
			wanted.user = value;
			break;
		case 'd':
			wanted.dbname = value;
			break;
		case 'w':
			wanted.never_ask = true;
			break;
		case 'W':
			wanted.always_ask = true;
			break;
	}
}

/* Asks on the terminal, since stdin may be the messages. */
static char *
ask_password(void)
{
	FILE	   *tty = fopen("/dev/tty", "r+");
	struct termios old;
	struct termios quiet;
	char	   *line = NULL;
	size_t		size = 0;
	ssize_t		len;

	if (tty == NULL)
		fail(EXIT_LOST, "a password is needed, and there is no terminal to ask for it; use ~/.pgpass");
	fputs("Password: ", tty);
	fflush(tty);
	tcgetattr(fileno(tty), &old);
	quiet = old;
	quiet.c_lflag &= ~ECHO;
	tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
	len = getline(&line, &size, tty);
	tcsetattr(fileno(tty), TCSAFLUSH, &old);
	fputc('\n', tty);
	fclose(tty);
	if (len < 0)
		fail(EXIT_LOST, "no password given");
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/*
 * Everything goes through libpq, so environment, service files, .pgpass and
 * connection strings as dbname work as they do for psql.
 */
static PGconn *
connect_once(void)
{
	const char *keywords[] = {"client_encoding", "dbname", "host", "port", "user", "password",
	"fallback_application_name", NULL};
	const char *values[] = {"UTF8", wanted.dbname, wanted.host, wanted.port, wanted.user, wanted.password,
	"pgtopic", NULL};

	return PQconnectdbParams(keywords, values, 1);
}

/* NULL and the reason if there is no server, or it does not let us in. */
PGconn *
try_connect(char **error)
{
	PGconn	   *conn;

	if (wanted.always_ask && wanted.password == NULL)
		wanted.password = ask_password();
	conn = connect_once();
	if (PQstatus(conn) != CONNECTION_OK && PQconnectionNeedsPassword(conn) &&
		wanted.password == NULL && !wanted.never_ask)
	{
		PQfinish(conn);
		wanted.password = ask_password();
		conn = connect_once();
	}
	if (PQstatus(conn) == CONNECTION_OK)
		return conn;
	*error = strdup(PQerrorMessage(conn));
	(*error)[strcspn(*error, "\n")] = '\0';
	PQfinish(conn);
	return NULL;
}

PGconn *
connect_server(void)
{
	char	   *error;
	PGconn	   *conn = try_connect(&error);

	if (conn == NULL)
		fail(EXIT_LOST, "%s", error);
	return conn;
}

/* Tries until the server is back; NULL after Ctrl-C. */
PGconn *
reconnect_server(PGconn *lost)
{
	double		pause = FIRST_PAUSE;
	PGconn	   *conn;
	char	   *error;

	PQfinish(lost);
	warn("the connection to the server is lost; trying to connect again");
	while (!interrupted)
	{
		if ((conn = try_connect(&error)) != NULL)
		{
			warn("connected again");
			return conn;
		}
		free(error);
		sleep_seconds(pause);
		pause = pause * 2 > LONGEST_PAUSE ? LONGEST_PAUSE : pause * 2;
	}
	return NULL;
}

/* The second Ctrl-C does not wait for anything. */
static void
on_interrupt(int signo)
{
	int			save_errno = errno;
	char		error[128];

	if (interrupted)
	{
		signal(signo, SIG_DFL);
		raise(signo);
	}
	interrupted = 1;
	if (armed)
		PQcancel(armed, error, sizeof(error));
	errno = save_errno;
}

/* Without SA_RESTART: who waits in read() or poll() shall notice. */
void
catch_interrupts(void)
{
	struct sigaction action = {.sa_handler = on_interrupt};

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/*
 * Ctrl-C cancels the statement that runs between these two.  Only waiting is
 * cancelled: output that has been written is also committed.
 */
void
cancel_arm(PGconn *conn)
{
	armed = PQgetCancel(conn);
}

void
cancel_disarm(void)
{
	PGcancel   *cancel = armed;

	armed = NULL;
	PQfreeCancel(cancel);
}

bool
has_state(const PGresult *result, const char *sqlstate)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state && strcmp(state, sqlstate) == 0;
}

/*
 * A server that is gone, or is going.  PQstatus() alone does not do: it says so
 * only once reading has failed, and not when writing has.  An error without
 * SQLSTATE is libpq's own.
 */
bool
is_lost(PGconn *conn, const PGresult *result)
{
	return PQstatus(conn) == CONNECTION_BAD || PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL ||
		has_state(result, "57P01") || has_state(result, "57P02");
}

/* A lost server has its own exit code. */
void
fail_query(PGconn *conn, const PGresult *result)
{
	const char *message = result ? PQresultErrorMessage(result) : "";
	int			len;

	if (*message == '\0')
		message = PQerrorMessage(conn);
	len = (int) strlen(message);
	while (len > 0 && message[len - 1] == '\n')
		len--;
	fail(is_lost(conn, result) ? EXIT_LOST : EXIT_ERROR, "%.*s", len, message);
}

PGresult *
query(PGconn *conn, const char *sql, int nparams, const char *const *params)
{
	PGresult   *result = PQexecParams(conn, sql, nparams, NULL, params, NULL, NULL, 0);

	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
		fail_query(conn, result);
	return result;
}

void
execute(PGconn *conn, const char *sql)
{
	PQclear(query(conn, sql, 0, NULL));
}
