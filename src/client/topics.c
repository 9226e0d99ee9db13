/*-------------------------------------------------------------------------
 *
 * topics.c
 *	  pgtopic topics, create, alter, drop and describe.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "client/client.h"

/* Settings of topic.create() and topic.alter(), by the names they have there. */
typedef struct Setting
{
	const char *name;
	const char *type;
	const char *unlimited;		/* what "forever" or "unlimited" is */
} Setting;

static const Setting settings[] = {
	{"retention", "interval", "-1"},
	{"retention_bytes", "int8", "-1"},
	{"cleanup_policy", "text", NULL},
	{"max_message_bytes", "int4", NULL},
	{"timestamp_type", "text", NULL},
	{"compression", "text", NULL},
	{"min_compaction_lag", "interval", NULL},
	{"delete_retention", "interval", NULL},
	{"timestamp_after_max", "interval", "-1"},
};

#define NSETTINGS (int) (sizeof(settings) / sizeof(settings[0]))
#define MAX_PARAMS (NSETTINGS + 3)

enum
{
	OPTION_IF_NOT_EXISTS = 1, OPTION_IF_EXISTS, OPTION_RESET
};

static const struct option create_longs[] = {
	{"partitions", required_argument, NULL, 'P'},
	{"config", required_argument, NULL, 'c'},
	{"if-not-exists", no_argument, NULL, OPTION_IF_NOT_EXISTS},
	{"reset", required_argument, NULL, OPTION_RESET},
	{NULL, 0, NULL, 0}
};

static const struct option drop_longs[] = {
	{"if-exists", no_argument, NULL, OPTION_IF_EXISTS},
	{NULL, 0, NULL, 0}
};

/* A call of topic.create() or topic.alter() as it grows. */
typedef struct Call
{
	Buffer		sql;
	const char *params[MAX_PARAMS];
	int			nparams;
} Call;

static void
add_argument(Call *call, const char *name, const char *type, const char *value)
{
	char		text[100];

	if (call->nparams == MAX_PARAMS)
		usage("a setting is given more than once");
	/* As text, so that a bad value is an error of the cast, not of a "portal". */
	call->params[call->nparams++] = value;
	snprintf(text, sizeof(text), ", %s => $%d::pg_catalog.text::pg_catalog.%s", name, call->nparams, type);
	buffer_add_string(&call->sql, text);
}

/* -c name=value; Kafka's dots and our hyphens are underscores in SQL. */
static void
add_setting(Call *call, char *text)
{
	char	   *equals = strchr(text, '=');

	if (equals == NULL)
		usage("a setting is NAME=VALUE, not \"%s\"", text);
	*equals = '\0';
	for (char *c = text; *c; c++)
		if (*c == '.' || *c == '-')
			*c = '_';
	for (const Setting *s = settings; s < settings + NSETTINGS; s++)
	{
		const char *value = equals + 1;

		if (strcmp(s->name, text) != 0)
			continue;
		if (s->unlimited && (strcmp(value, "forever") == 0 || strcmp(value, "unlimited") == 0))
			value = s->unlimited;
		add_argument(call, s->name, s->type, value);
		return;
	}
	usage("there is no setting \"%s\"; \"pgtopic create --help\" names them", text);
}

static int
create_or_alter(int argc, char **argv, bool create)
{
	Call		call = {.nparams = 1};
	Buffer		resets = {0};
	PGconn	   *conn;
	int			c;

	buffer_add_string(&call.sql, create ? "SELECT topic.create($1" : "SELECT topic.alter($1");
	while ((c = next_option(argc, argv, "P:c:", create_longs)) != -1)
	{
		if (c == 'P')
		{
			(void) parse_number(optarg, 1, INT32_MAX, "--partitions");
			add_argument(&call, "partitions", "int4", optarg);
		}
		else if (c == 'c')
			add_setting(&call, optarg);
		else if (c == OPTION_IF_NOT_EXISTS && create)
			add_argument(&call, "if_not_exists", "bool", "true");
		else if (c == OPTION_RESET && !create)
		{
			buffer_add_string(&resets, resets.len ? "," : "{");
			buffer_add_string(&resets, optarg);
		}
		else
			usage("this option is not one of \"%s\"", current_command->name);
	}
	if (optind != argc - 1)
		usage("exactly one topic must be given");
	if (!create && call.nparams == 1 && resets.len == 0)
		usage("nothing to alter");
	call.params[0] = argv[optind];
	buffer_add_string(&call.sql, ")");
	conn = connect_server();
	execute(conn, "BEGIN");
	if (create || call.nparams > 1)
		PQclear(query(conn, buffer_string(&call.sql), call.nparams, call.params));
	if (resets.len > 0)
	{
		const char *params[] = {argv[optind], NULL};

		buffer_add_char(&resets, '}');
		params[1] = buffer_string(&resets);
		PQclear(query(conn, "SELECT topic.alter_reset($1, VARIADIC $2::pg_catalog.text[])", 2, params));
	}
	execute(conn, "COMMIT");
	PQfinish(conn);
	return EXIT_OK;
}

int
run_create(int argc, char **argv)
{
	return create_or_alter(argc, argv, true);
}

int
run_alter(int argc, char **argv)
{
	return create_or_alter(argc, argv, false);
}

/* All of them or none. */
int
run_drop(int argc, char **argv)
{
	const char *params[] = {NULL, "false"};
	PGconn	   *conn;

	while (next_option(argc, argv, "", drop_longs) == OPTION_IF_EXISTS)
		params[1] = "true";
	if (optind == argc)
		usage("no topic given");
	conn = connect_server();
	execute(conn, "BEGIN");
	for (int i = optind; i < argc; i++)
	{
		params[0] = argv[i];
		PQclear(query(conn, "SELECT topic.drop($1, $2)", 2, params));
	}
	execute(conn, "COMMIT");
	PQfinish(conn);
	return EXIT_OK;
}

int
run_topics(int argc, char **argv)
{
	PGconn	   *conn;
	PGresult   *result;

	(void) next_option(argc, argv, "", NULL);
	if (optind < argc)
		usage("\"topics\" takes no arguments; \"pgtopic describe TOPIC\" tells more of one");
	conn = connect_server();
	result = query(conn, json_wanted ?
				   "SELECT topic, owner::pg_catalog.text, partitions, retention::pg_catalog.text, retention_bytes,"
				   " cleanup_policy, size, uuid::pg_catalog.text FROM topic.topics ORDER BY topic" :
				   "SELECT topic AS \"TOPIC\", partitions AS \"PARTITIONS\", owner AS \"OWNER\","
				   " COALESCE(retention::pg_catalog.text, 'forever') AS \"RETENTION\","
				   " cleanup_policy AS \"CLEANUP-POLICY\", pg_catalog.pg_size_pretty(size) AS \"SIZE\""
				   " FROM topic.topics ORDER BY topic", 0, NULL);
	print_listing(result);
	PQclear(result);
	PQfinish(conn);
	return EXIT_OK;
}

static const char describe_json[] =
"SELECT t.topic, t.owner::pg_catalog.text, t.uuid::pg_catalog.text, t.retention::pg_catalog.text, t.retention_bytes,"
" t.cleanup_policy, t.max_message_bytes, t.timestamp_type, t.compression, t.min_compaction_lag::pg_catalog.text,"
" t.delete_retention::pg_catalog.text, t.timestamp_after_max::pg_catalog.text, t.size,"
" (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('partition', p.partition, 'log_start_offset',"
" p.log_start_offset, 'last_stable_offset', p.last_stable_offset, 'log_end_offset', p.log_end_offset,"
" 'leader_epoch', p.leader_epoch) ORDER BY p.partition) FROM topic.partitions p WHERE p.topic = t.topic) AS partitions"
" FROM topic.topics t WHERE t.relid = $1::pg_catalog.text::pg_catalog.regclass";

static const char describe_topic[] =
"SELECT topic, owner, uuid, partitions, COALESCE(retention::pg_catalog.text, 'forever') AS retention,"
" COALESCE(retention_bytes::pg_catalog.text, 'unlimited') AS retention_bytes, cleanup_policy, max_message_bytes,"
" timestamp_type, compression, min_compaction_lag, delete_retention, timestamp_after_max,"
" pg_catalog.pg_size_pretty(size) AS size FROM topic.topics WHERE relid = $1::pg_catalog.text::pg_catalog.regclass";

static const char describe_partitions[] =
"SELECT p.partition AS \"PARTITION\", p.log_start_offset AS \"LOG-START-OFFSET\","
" p.last_stable_offset AS \"LAST-STABLE-OFFSET\", p.log_end_offset AS \"LOG-END-OFFSET\","
" p.leader_epoch AS \"LEADER-EPOCH\" FROM topic.partitions p JOIN topic.topics t ON t.topic = p.topic"
" WHERE t.relid = $1::pg_catalog.text::pg_catalog.regclass ORDER BY p.partition";

int
run_describe(int argc, char **argv)
{
	PGconn	   *conn;

	(void) next_option(argc, argv, "", NULL);
	if (optind == argc)
		usage("no topic given");
	conn = connect_server();
	for (int i = optind; i < argc; i++)
	{
		const char *params[] = {argv[i]};
		PGresult   *result = query(conn, json_wanted ? describe_json : describe_topic, 1, params);

		if (PQntuples(result) == 0)
			fail(EXIT_ERROR, "\"%s\" is not a topic that you may see", argv[i]);
		if (json_wanted)
			print_json(result);
		else
		{
			print_vertical(result, 0);
			PQclear(result);
			putchar('\n');
			result = query(conn, describe_partitions, 1, params);
			print_table(result);
			if (i < argc - 1)
				putchar('\n');
		}
		PQclear(result);
	}
	PQfinish(conn);
	return EXIT_OK;
}
