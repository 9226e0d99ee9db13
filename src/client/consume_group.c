/*-------------------------------------------------------------------------
 *
 * consume_group.c
 *	  pgtopic consume -G: as a member of a consumer group.
 *
 * Each batch is consumed, put out to its end (stdout is flushed, or the command
 * has succeeded), and then committed: at least once.  What has been committed
 * is never put out again; what was not, after a crash, is.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>

#include "client/consume.h"

#define DEFAULT_BATCH 1000

/* What became of a statement in a group. */
typedef enum Outcome
{
	DONE,
	STOPPED,					/* Ctrl-C */
	LOST,						/* the connection */
	EVICTED						/* no longer a member */
} Outcome;

typedef struct Member
{
	Consuming  *options;
	PGconn	   *conn;
	Buffer		consume;		/* the statement */
	int			nmessages;		/* of the batch */
} Member;

/* What the caller can go on from; everything else ends the program. */
static Outcome
judge(Member *m, const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return DONE;
	if (is_lost(m->conn, result))
		return interrupted ? STOPPED : LOST;
	if (interrupted && has_state(result, "57014"))
		return STOPPED;
	if (has_state(result, "TP002"))
		return EVICTED;
	fail_query(m->conn, result);
}

static char *
text_array(const char *const *items, int n)
{
	Buffer		array = {0};

	buffer_add_char(&array, '{');
	for (int i = 0; i < n; i++)
	{
		buffer_add_string(&array, i ? ",\"" : "\"");
		for (const char *c = items[i]; *c; c++)
		{
			if (*c == '"' || *c == '\\')
				buffer_add_char(&array, '\\');
			buffer_add_char(&array, *c);
		}
		buffer_add_char(&array, '"');
	}
	buffer_add_char(&array, '}');
	return buffer_string(&array);
}

/* A topic that begins with ^ is a pattern, as kcat has it. */
static Outcome
join(Member *m)
{
	Consuming  *options = m->options;
	bool		pattern = options->topics[0][0] == '^';
	char	   *topics = text_array(options->topics, options->ntopics);
	const char *params[] = {options->group, pattern ? NULL : topics, pattern ? options->topics[0] : NULL,
		options->assignor, options->instance,
	options->offset && strcmp(options->offset, "end") == 0 ? "latest" : "earliest"};
	PGresult   *result;
	Outcome		outcome;

	result = PQexecParams(m->conn, "SELECT topic.subscribe($1, $2, $3, $4, $5, $6)", 6, NULL, params, NULL, NULL, 0);
	outcome = judge(m, result);
	PQclear(result);
	free(topics);
	return outcome;
}

static void
put_out(Member *m, const PGresult *result)
{
	Sink	   *sink = &m->options->sink;
	Message		message;

	for (int r = 0; r < PQntuples(result); r++)
	{
		Bytes		fields[8];
		int			n = PQnfields(result);
		uint32_t	partition;

		for (int c = 0; c < n; c++)
		{
			fields[c].data = PQgetvalue(result, r, c);
			fields[c].len = PQgetisnull(result, r, c) ? -1 : PQgetlength(result, r, c);
		}
		message.topic = fields[0];
		memcpy(&partition, fields[1].data, sizeof(partition));
		message.partition = (int) ntohl(partition);
		message_from_fields(&message, sink->columns, fields + 2);
		sink_add(sink, &message);
	}
}

/* The batch stays ours until we commit it. */
static Outcome
consume_batch(Member *m, const char *wait)
{
	Sink	   *sink = &m->options->sink;
	int64_t		wanted = m->options->batch ? m->options->batch : DEFAULT_BATCH;
	char		count[24];
	const char *params[] = {m->options->group, count, wait};
	PGresult   *result;
	Outcome		outcome;

	if (wanted > sink->limit - sink->count)
		wanted = sink->limit - sink->count;
	snprintf(count, sizeof(count), "%d", (int) wanted);
	cancel_arm(m->conn);
	result = interrupted ? NULL :
		PQexecParams(m->conn, buffer_string(&m->consume), 3, NULL, params, NULL, NULL, 1);
	cancel_disarm();
	outcome = result ? judge(m, result) : STOPPED;
	m->nmessages = 0;
	if (outcome == DONE)
	{
		m->nmessages = PQntuples(result);
		put_out(m, result);
	}
	PQclear(result);
	return outcome;
}

/*
 * A cancel that was meant for the wait before may arrive here; then the commit
 * is tried again.  Who has lost a partition meanwhile goes on with the others:
 * its messages are the new owner's.
 */
static Outcome
commit_batch(Member *m)
{
	const char *params[] = {m->options->group};
	PGresult   *result;
	Outcome		outcome;

	for (int attempt = 0;; attempt++)
	{
		result = PQexecParams(m->conn, "SELECT topic.commit($1)", 1, NULL, params, NULL, NULL, 0);
		if (!(interrupted && has_state(result, "57014") && attempt == 0))
			break;
		PQclear(result);
	}
	if (has_state(result, "TP003"))
	{
		warn("a partition went to another member before its messages were committed; they will come again there");
		outcome = EVICTED;
	}
	else
		outcome = judge(m, result);
	PQclear(result);
	return outcome;
}

static void
leave(Member *m)
{
	const char *params[] = {m->options->group};

	/* the end of the session would do as well, but later than our exit */
	PQclear(PQexecParams(m->conn, "SELECT topic.unsubscribe($1)", 1, NULL, params, NULL, NULL, 0));
	PQfinish(m->conn);
}

static void
prepare_consume(Member *m)
{
	buffer_add_string(&m->consume, "SELECT topic, partition, ");
	message_select_list(m->options->sink.columns, &m->consume);
	buffer_add_string(&m->consume, " FROM topic.consume($1, $2, $3)");
}

static void
check_options(const Consuming *options)
{
	if (options->partition >= 0)
		usage("in a group the group chooses the partitions: -p and -G do not go together");
	if (options->offset && strcmp(options->offset, "beginning") != 0 &&
		strcmp(options->offset, "end") != 0 && strcmp(options->offset, "stored") != 0)
		usage("in a group -o is beginning, end or stored; use \"pgtopic group reset\" to move a group");
	if (options->topics[0][0] == '^' && options->ntopics > 1)
		usage("only one pattern of topics can be given");
}

int
consume_group(Consuming *options)
{
	Member		m = {.options = options};
	Sink	   *sink = &options->sink;
	int			exit_code = EXIT_OK;
	int			empty = 0;		/* calls in a row that brought nothing */
	Outcome		outcome;

	check_options(options);
	prepare_consume(&m);
	m.conn = connect_server();
	catch_interrupts();
	outcome = join(&m);
	while (outcome != STOPPED && !sink_full(sink))
	{
		if (outcome == LOST && (m.conn = reconnect_server(m.conn)) == NULL)
			return EXIT_LOST;
		if (outcome == LOST || outcome == EVICTED)
		{
			outcome = join(&m);
			empty = 0;
			continue;
		}

		/* at the end only a look that waited a little is sure to be the last */
		outcome = consume_batch(&m, options->stop_at_end ? (empty ? "300 ms" : "0") : WAIT);
		if (outcome != DONE)
			continue;
		if (m.nmessages == 0)
		{
			if (options->stop_at_end && ++empty > 1)
				break;
			continue;
		}
		empty = 0;
		if (!sink_flush(sink))
		{
			exit_code = EXIT_ERROR;
			break;
		}
		outcome = commit_batch(&m);
	}
	leave(&m);
	return exit_code;
}
