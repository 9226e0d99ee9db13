/*-------------------------------------------------------------------------
 *
 * consume.c
 *	  pgtopic consume: options, and reading without a group.
 *
 * Partitions are read in turns with topic.fetch() inside COPY: binary, row by
 * row, and without a result in memory.  Only when all partitions are at their
 * end do we wait: inside the server for one partition, by LISTEN for several.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>

#include "client/consume.h"

/* Large enough that the round trips do not matter, small enough to take turns. */
#define DEFAULT_BATCH 50000

/* A standby cannot LISTEN: there we look so often (ms). */
#define POLL_WITHOUT_LISTEN 100
#define POLL_WITH_LISTEN 1000

enum
{
	OPTION_EXEC = 1, OPTION_BATCH, OPTION_INSTANCE, OPTION_ASSIGNOR
};

static const struct option longs[] = {
	{"partition", required_argument, NULL, 'p'},
	{"offset", required_argument, NULL, 'o'},
	{"group", required_argument, NULL, 'G'},
	{"exit-at-end", no_argument, NULL, 'e'},
	{"count", required_argument, NULL, 'c'},
	{"format", required_argument, NULL, 'f'},
	{"null", required_argument, NULL, 'z'},
	{"key-delimiter", required_argument, NULL, 'K'},
	{"delimiter", required_argument, NULL, 'D'},
	{"exec", required_argument, NULL, OPTION_EXEC},
	{"batch", required_argument, NULL, OPTION_BATCH},
	{"instance", required_argument, NULL, OPTION_INSTANCE},
	{"assignor", required_argument, NULL, OPTION_ASSIGNOR},
	{NULL, 0, NULL, 0}
};

typedef struct Partition
{
	int			number;
	int64_t		next;
	bool		ended;			/* the last look found nothing */
} Partition;

typedef struct Autonomous
{
	Consuming  *options;
	PGconn	   *conn;
	const char *topic;			/* schema.name */
	char	   *topic_literal;
	Partition  *partitions;
	int			npartitions;
	bool		listening;
} Autonomous;

/*
 * Where to begin, as an expression over the columns of topic.list_offsets().
 * At the end is where the next message that commits will be seen.
 */
static void
offset_expression(PGconn *conn, const char *offset, Buffer *sql, Buffer *at)
{
	if (offset == NULL || strcmp(offset, "beginning") == 0)
		buffer_add_string(sql, "log_start_offset");
	else if (strcmp(offset, "end") == 0)
		buffer_add_string(sql, "last_stable_offset");
	else if (strncmp(offset, "s@", 2) == 0)
	{
		char	   *end;
		double		ms = strtod(offset + 2, &end);
		char	   *literal;
		char		number[64];

		/* milliseconds as kcat has it, or what PostgreSQL takes for a time */
		if (end != offset + 2 && *end == '\0')
		{
			snprintf(number, sizeof(number), "pg_catalog.to_timestamp(%.3f)", ms / 1000);
			buffer_add_string(at, number);
		}
		else
		{
			literal = PQescapeLiteral(conn, offset + 2, strlen(offset + 2));
			buffer_add_string(at, literal);
			buffer_add_string(at, "::pg_catalog.timestamptz");
			PQfreemem(literal);
		}
		buffer_add_string(sql, "COALESCE(offset_at, last_stable_offset)");
	}
	else
	{
		int64_t		n = parse_number(offset, INT64_MIN, INT64_MAX, "offset");
		char		text[160];

		if (*offset == '-')
			snprintf(text, sizeof(text), "GREATEST(log_start_offset, last_stable_offset - %" PRIu64 ")",
					 -(uint64_t) n);
		else
			snprintf(text, sizeof(text), "%" PRId64 "::pg_catalog.int8", n);
		buffer_add_string(sql, text);
	}
}

static void
find_partitions(Autonomous *a)
{
	Consuming  *options = a->options;
	Buffer		sql = {0};
	Buffer		at = {0};
	PGresult   *result;

	buffer_add_string(&sql, "SELECT partition, ");
	offset_expression(a->conn, options->offset, &sql, &at);
	buffer_add_string(&sql, ", (SELECT t.topic FROM topic.topics t WHERE t.relid = $1::pg_catalog.regclass)"
					  " FROM topic.list_offsets($1");
	if (at.len > 0)
	{
		buffer_add_string(&sql, ", ");
		buffer_add(&sql, at.data, at.len);
	}
	buffer_add_string(&sql, ") ORDER BY partition");
	result = query(a->conn, buffer_string(&sql), 1, options->topics);
	a->partitions = checked_alloc(NULL, PQntuples(result) * sizeof(Partition));
	for (int r = 0; r < PQntuples(result); r++)
	{
		int			number = atoi(PQgetvalue(result, r, 0));

		if (options->partition >= 0 && options->partition != number)
			continue;
		a->partitions[a->npartitions++] =
			(Partition) {number, strtoll(PQgetvalue(result, r, 1), NULL, 10), false};
	}
	if (a->npartitions == 0)
		fail(EXIT_ERROR, "topic \"%s\" has no partition %d", options->topics[0], options->partition);
	a->topic = strdup(PQgetvalue(result, 0, 2));
	a->topic_literal = PQescapeLiteral(a->conn, a->topic, strlen(a->topic));
	PQclear(result);
	free(sql.data);
	free(at.data);
}

/*
 * Rows of a COPY, the signature before the first of them skipped.  False if
 * Ctrl-C ended it: what came before is whole and counts.
 */
static bool
receive_rows(Autonomous *a, Partition *partition, int64_t *received)
{
	Sink	   *sink = &a->options->sink;
	Message		message = {.topic = {a->topic, (int) strlen(a->topic)},.partition = partition->number};
	bool		first = true;
	char	   *row;
	int			len;
	PGresult   *result;

	while ((len = PQgetCopyData(a->conn, &row, 0)) > 0)
	{
		int			skip = first ? 19 : 0;

		first = false;
		if (message_from_copy(&message, sink->columns, row + skip, len - skip))
		{
			partition->next = message.offset + 1;
			sink_add(sink, &message);
			++*received;
		}
		PQfreemem(row);
	}
	result = PQgetResult(a->conn);
	if (PQresultStatus(result) != PGRES_COMMAND_OK && !(interrupted && has_state(result, "57014")))
	{
		(void) sink_flush(sink);
		fail_query(a->conn, result);
	}
	PQclear(result);
	while ((result = PQgetResult(a->conn)) != NULL)
		PQclear(result);
	return !interrupted;
}

/* Reads a partition's next batch; how many messages it had. */
static int64_t
fetch_batch(Autonomous *a, Partition *partition, const char *wait)
{
	Consuming  *options = a->options;
	Sink	   *sink = &options->sink;
	int64_t		wanted = options->batch ? options->batch : DEFAULT_BATCH;
	int64_t		received = 0;
	Buffer		sql = {0};
	char		numbers[128];
	PGresult   *result;

	if (wanted > sink->limit - sink->count)
		wanted = sink->limit - sink->count;
	buffer_add_string(&sql, "COPY (SELECT ");
	message_select_list(sink->columns, &sql);
	buffer_add_string(&sql, " FROM topic.fetch(");
	buffer_add_string(&sql, a->topic_literal);
	snprintf(numbers, sizeof(numbers), ", %d, %" PRId64 ", %" PRId64 ", '%s')) TO STDOUT (FORMAT binary)",
			 partition->number, partition->next, wanted, wait);
	buffer_add_string(&sql, numbers);
	cancel_arm(a->conn);
	result = PQexec(a->conn, buffer_string(&sql));
	if (PQresultStatus(result) == PGRES_COPY_OUT)
		(void) receive_rows(a, partition, &received);
	else if (!(interrupted && has_state(result, "57014")))
		fail_query(a->conn, result);
	cancel_disarm();
	PQclear(result);
	free(sql.data);
	return received;
}

/* On a standby there is no LISTEN, and we look from time to time. */
static void
begin_to_listen(Autonomous *a)
{
	PGresult   *channel;
	PGresult   *result;
	char	   *identifier;
	Buffer		sql = {0};

	channel = query(a->conn, "SELECT topic.channel($1) WHERE NOT pg_catalog.pg_is_in_recovery()", 1, &a->topic);
	if (PQntuples(channel) == 1)
	{
		identifier = PQescapeIdentifier(a->conn, PQgetvalue(channel, 0, 0), PQgetlength(channel, 0, 0));
		buffer_add_string(&sql, "LISTEN ");
		buffer_add_string(&sql, identifier);
		result = PQexec(a->conn, buffer_string(&sql));
		a->listening = PQresultStatus(result) == PGRES_COMMAND_OK;
		PQclear(result);
		PQfreemem(identifier);
		free(sql.data);
	}
	PQclear(channel);
}

static void
wait_for_news(Autonomous *a)
{
	struct pollfd server = {.fd = PQsocket(a->conn),.events = POLLIN};
	PGnotify   *notify;
	bool		news = false;

	while ((notify = PQnotifies(a->conn)) != NULL)
	{
		PQfreemem(notify);
		news = true;
	}
	if (news)
		return;
	(void) poll(&server, 1, a->listening ? POLL_WITH_LISTEN : POLL_WITHOUT_LISTEN);
	if (PQconsumeInput(a->conn) == 0)
		fail_query(a->conn, NULL);
	while ((notify = PQnotifies(a->conn)) != NULL)
		PQfreemem(notify);
}

int
consume_autonomous(Consuming *options)
{
	Autonomous	a = {.options = options,.conn = connect_server()};
	Sink	   *sink = &options->sink;
	int			idle = 0;		/* partitions in a row that had nothing */

	find_partitions(&a);
	catch_interrupts();
	if (a.npartitions > 1 && !options->stop_at_end)
		begin_to_listen(&a);
	for (int i = 0; !interrupted && !sink_full(sink); i = (i + 1) % a.npartitions)
	{
		bool		wait = a.npartitions == 1 && idle > 0 && !options->stop_at_end;

		if (options->stop_at_end && a.partitions[i].ended)
			continue;
		if (fetch_batch(&a, &a.partitions[i], wait ? WAIT : "0") > 0)
		{
			idle = 0;
			if (sink->command && !sink_flush(sink))
				return EXIT_ERROR;
			continue;
		}
		a.partitions[i].ended = true;
		idle++;
		if (!sink_flush(sink))
			return EXIT_ERROR;
		if (options->stop_at_end)
		{
			int			left = 0;

			for (int j = 0; j < a.npartitions; j++)
				left += !a.partitions[j].ended;
			if (left == 0)
				break;
		}
		else if (a.npartitions > 1 && idle >= a.npartitions && !interrupted)
			wait_for_news(&a);
	}
	if (!sink_flush(sink))
		return EXIT_ERROR;
	PQfinish(a.conn);
	return EXIT_OK;
}

/* kcat's -K and -D make a format when there is none; they may contain %. */
static void
add_escaped(Buffer *format, const char *text)
{
	for (; *text; text++)
	{
		if (*text == '%')
			buffer_add_char(format, '%');
		buffer_add_char(format, *text);
	}
}

static void
compile_format(Sink *sink, const char *format, const char *key_delimiter, const char *delimiter, const char *null)
{
	Buffer		made = {0};
	const char *wrong;

	if (format == NULL)
	{
		if (key_delimiter)
		{
			buffer_add_string(&made, "%k");
			add_escaped(&made, key_delimiter);
		}
		buffer_add_string(&made, "%s");
		add_escaped(&made, delimiter);
		format = buffer_string(&made);
	}
	if ((wrong = format_compile(&sink->format, format, null)) != NULL)
		usage("bad format: %s", wrong);
	sink->columns = sink->format.columns;
	if (sink->json)
		sink->columns = COLUMN_TIMESTAMP | COLUMN_KEY | COLUMN_VALUE | COLUMN_HEADERS;
	free(made.data);
}

int
run_consume(int argc, char **argv)
{
	Consuming	options = {.partition = -1,.sink.limit = INT64_MAX,.assignor = "uniform"};
	const char *format = NULL;
	const char *key_delimiter = NULL;
	const char *delimiter = "\\n";
	const char *null = "";
	int			c;

	while ((c = next_option(argc, argv, "p:o:G:ec:f:z:K:D:J", longs)) != -1)
	{
		switch (c)
		{
			case 'p':
				options.partition = (int) parse_number(optarg, 0, INT32_MAX, "partition");
				break;
			case 'o':
				options.offset = optarg;
				break;
			case 'G':
				options.group = optarg;
				break;
			case 'e':
				options.stop_at_end = true;
				break;
			case 'c':
				options.sink.limit = parse_number(optarg, 1, INT64_MAX, "count");
				break;
			case 'f':
				format = optarg;
				break;
			case 'z':
				null = optarg;
				break;
			case 'K':
				key_delimiter = optarg;
				break;
			case 'D':
				delimiter = optarg;
				break;
			case 'J':
				options.sink.json = true;
				break;
			case OPTION_EXEC:
				options.sink.command = optarg;
				break;
			case OPTION_BATCH:
				options.batch = (int) parse_number(optarg, 1, 10000000, "--batch");
				break;
			case OPTION_INSTANCE:
				options.instance = optarg;
				break;
			case OPTION_ASSIGNOR:
				options.assignor = optarg;
				break;
		}
	}
	options.sink.json |= json_wanted;
	options.topics = (const char *const *) argv + optind;
	options.ntopics = argc - optind;
	if (options.ntopics == 0)
		usage("no topic given");
	compile_format(&options.sink, format, key_delimiter, delimiter, null);
	if (options.group)
		return consume_group(&options);
	if (options.ntopics > 1)
		usage("several topics are read only in a group (-G)");
	if (options.offset && strcmp(options.offset, "stored") == 0)
		usage("offsets are stored for groups: use -G GROUP");
	return consume_autonomous(&options);
}
