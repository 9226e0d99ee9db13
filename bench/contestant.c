/*-------------------------------------------------------------------------
 *
 * contestant.c
 *	  Reads the SQL of a contestant, and consumes with it.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "contestant.h"

#include <ctype.h>

static const char *const parameter_names[PARAMETERS] = {
	"keys", "values", "n", "group", "ids", "last", "batch"
};

void
contestant_load(Contestant *contestant, const char *path)
{
	FILE	   *file = fopen(path, "r");
	Section    *section = NULL;
	char		line[1024];

	if (file == NULL)
	{
		perror(path);
		exit(1);
	}
	memset(contestant, 0, sizeof(Contestant));
	while (fgets(line, sizeof(line), file))
	{
		if (strncmp(line, "-- @", 4) == 0)
		{
			if (contestant->nsections == MAX_SECTIONS)
				exit(1);
			section = &contestant->sections[contestant->nsections++];
			sscanf(line, "-- @%19s", section->name);
		}
		else if (section && strncmp(line, "--", 2) != 0)
		{
			if (strlen(section->sql) + strlen(line) >= sizeof(section->sql))
				exit(1);
			strcat(section->sql, line);
		}
	}
	fclose(file);
}

const Section *
contestant_section(const Contestant *contestant, const char *name)
{
	for (int i = 0; i < contestant->nsections; i++)
	{
		if (strcmp(contestant->sections[i].name, name) == 0)
			return &contestant->sections[i];
	}
	return NULL;
}

/* Number of the parameter whose name begins here, taken up in the statement. */
static int
add_parameter(Statement *statement, const char *name, int length)
{
	for (int parameter = 0; parameter < PARAMETERS; parameter++)
	{
		if ((int) strlen(parameter_names[parameter]) != length ||
			strncmp(parameter_names[parameter], name, (size_t) length) != 0)
			continue;
		for (int i = 0; i < statement->nparameters; i++)
		{
			if (statement->parameters[i] == (Parameter) parameter)
				return i + 1;
		}
		if (statement->nparameters == MAX_PARAMETERS)
			break;
		statement->parameters[statement->nparameters++] = (Parameter) parameter;
		return statement->nparameters;
	}
	fprintf(stderr, "no parameter :%.*s here\n", length, name);
	exit(1);
}

Statement
contestant_prepare(const Contestant *contestant, PGconn *conn, const char *name)
{
	const Section *section = contestant_section(contestant, name);
	Statement	statement = {0};
	char		sql[sizeof(section->sql) + 32];
	char	   *to = sql;
	const char *from;

	if (section == NULL)
		return statement;
	statement.name = section->name;
	for (from = section->sql; *from;)
	{
		if (from[0] == ':' && from[1] == ':')
		{
			*to++ = *from++;
			*to++ = *from++;
		}
		else if (from[0] == ':' && islower((unsigned char) from[1]))
		{
			int			length = 0;

			from++;
			while (islower((unsigned char) from[length]))
				length++;
			to += sprintf(to, "$%d", add_parameter(&statement, from, length));
			from += length;
		}
		else
			*to++ = *from++;
	}
	*to = '\0';
	check(conn, PQprepare(conn, statement.name, sql, 0, NULL), PGRES_COMMAND_OK);
	return statement;
}

/* Parameters go as text, results come binary. */
static void
statement_send(PGconn *conn, const Statement *statement, const char *const *values)
{
	const char *own[MAX_PARAMETERS];

	for (int i = 0; i < statement->nparameters; i++)
		own[i] = values[statement->parameters[i]];
	if (!PQsendQueryPrepared(conn, statement->name, statement->nparameters, own, NULL, NULL, 1))
	{
		fprintf(stderr, "%s", PQerrorMessage(conn));
		exit(1);
	}
}

/* The next result, and the end of it. */
static PGresult *
next_result(PGconn *conn, ExecStatusType expected)
{
	PGresult   *result = checked(conn, PQgetResult(conn), expected);

	if (expected != PGRES_PIPELINE_SYNC)
		PQclear(PQgetResult(conn));
	return result;
}

PGresult *
statement_run(PGconn *conn, const Statement *statement, const char *const *values)
{
	statement_send(conn, statement, values);
	return next_result(conn, PGRES_COMMAND_OK);
}

/*
 * The same, together with a BEGIN in front of it or a COMMIT behind it: no
 * client that is in a hurry waits for these alone.
 */
static PGresult *
run_with(Consumer *consumer, const Statement *statement, const char *begin, const char *end)
{
	PGconn	   *conn = consumer->conn;
	PGresult   *result;

	PQenterPipelineMode(conn);
	if (begin)
		PQsendQueryPrepared(conn, begin, 0, NULL, NULL, NULL, 0);
	statement_send(conn, statement, consumer->values);
	if (end)
		PQsendQueryPrepared(conn, end, 0, NULL, NULL, NULL, 0);
	PQpipelineSync(conn);
	if (begin)
		PQclear(next_result(conn, PGRES_COMMAND_OK));
	result = next_result(conn, PGRES_COMMAND_OK);
	if (end)
		PQclear(next_result(conn, PGRES_COMMAND_OK));
	PQclear(next_result(conn, PGRES_PIPELINE_SYNC));
	PQexitPipelineMode(conn);
	return result;
}

void
consumer_open(Consumer *consumer, const Contestant *contestant, const char *group, int n)
{
	const Section *transaction = contestant_section(contestant, "transaction");
	Statement	session;

	memset(consumer, 0, sizeof(Consumer));
	consumer->conn = connect_server();
	consumer->next = contestant_prepare(contestant, consumer->conn, "next");
	consumer->fetch = contestant_prepare(contestant, consumer->conn, "fetch");
	consumer->commit = contestant_prepare(contestant, consumer->conn, "commit");
	if (transaction)
	{
		consumer->in_transaction = true;
		check(consumer->conn, PQprepare(consumer->conn, "begin", "BEGIN", 0, NULL), PGRES_COMMAND_OK);
		check(consumer->conn, PQprepare(consumer->conn, "end", "COMMIT", 0, NULL), PGRES_COMMAND_OK);
	}

	/* A batch of PgQ is as large as its tick made it. */
	consumer->ids = malloc((size_t) (n > 200000 ? n : 200000) * (ID_DIGITS + 1) + 3);
	snprintf(consumer->n, sizeof(consumer->n), "%d", n);
	strcpy(consumer->last, "0");
	consumer->values[N] = consumer->n;
	consumer->values[GROUP] = group;
	consumer->values[IDS] = consumer->ids;
	consumer->values[LAST] = consumer->last;
	consumer->values[BATCH] = consumer->batch;

	session = contestant_prepare(contestant, consumer->conn, "session");
	if (session.name)
		PQclear(statement_run(consumer->conn, &session, consumer->values));
}

static int64_t
bigint_at(const PGresult *result, int row)
{
	uint64_t	network;

	memcpy(&network, PQgetvalue(result, row, 0), sizeof(network));
	return (int64_t) be64toh(network);
}

/* False if there is no batch. */
static bool
read_batch(Consumer *consumer, PGresult *result)
{
	bool		found = PQntuples(result) > 0 && !PQgetisnull(result, 0, 0);

	if (found)
		snprintf(consumer->batch, sizeof(consumer->batch), "%lld", (long long) bigint_at(result, 0));
	PQclear(result);
	return found;
}

/* What a client does with messages at least: it looks at each of them. */
static int
read_messages(Consumer *consumer, PGresult *result)
{
	int			messages = PQntuples(result);
	char	   *to = consumer->ids;
	int64_t		last = 0;

	*to++ = '{';
	for (int i = 0; i < messages; i++)
	{
		int64_t		id = bigint_at(result, i);

		if (i > 0)
			*to++ = ',';
		to += sprintf(to, "%lld", (long long) id);
		if (id > last)
			last = id;
	}
	strcpy(to, "}");
	PQclear(result);
	if (messages > 0)
		snprintf(consumer->last, sizeof(consumer->last), "%lld", (long long) last);
	return messages;
}

int
consumer_turn(Consumer *consumer)
{
	const char *begin = consumer->in_transaction ? "begin" : NULL;
	const char *end = consumer->in_transaction ? "end" : NULL;
	bool		found = true;
	int			messages = 0;

	if (consumer->next.name)
	{
		found = read_batch(consumer, run_with(consumer, &consumer->next, begin, NULL));
		begin = NULL;
	}
	if (found)
		messages = read_messages(consumer, run_with(consumer, &consumer->fetch, begin, NULL));
	if (consumer->commit.name && (messages > 0 || (consumer->next.name && found)))
		PQclear(run_with(consumer, &consumer->commit, NULL, end));
	else if (end)
		run(consumer->conn, "COMMIT");
	return messages;
}
