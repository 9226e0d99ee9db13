/*-------------------------------------------------------------------------
 *
 * groups.c
 *	  pgtopic groups, group and lag.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "client/client.h"

/* The columns and their order are those of kafka-consumer-groups --describe. */
static const char describe_group[] =
"SELECT l.group_id AS \"GROUP\", l.topic AS \"TOPIC\", l.partition AS \"PARTITION\","
" l.committed_offset AS \"CURRENT-OFFSET\", l.log_end_offset AS \"LOG-END-OFFSET\", l.lag AS \"LAG\","
" l.member_id AS \"CONSUMER-ID\", CASE WHEN l.member_id IS NOT NULL THEN"
" COALESCE('/' || pg_catalog.host(l.client_addr), '[local]') END AS \"HOST\","
" NULLIF(a.application_name, '') AS \"CLIENT-ID\""
" FROM topic.lag l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
" WHERE l.group_id = $1 ORDER BY l.topic, l.partition";

static const char describe_group_json[] =
"SELECT l.group_id, l.topic, l.partition, l.committed_offset, l.log_end_offset, l.lag, l.lost, l.member_id,"
" l.pid, pg_catalog.host(l.client_addr) AS client_addr, a.application_name"
" FROM topic.lag l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
" WHERE l.group_id = $1 ORDER BY l.topic, l.partition";

static const char describe_members[] =
"SELECT group_id AS \"GROUP\", member_id AS \"CONSUMER-ID\", instance_id AS \"INSTANCE-ID\", pid AS \"PID\","
" COALESCE('/' || pg_catalog.host(client_addr), '[local]') AS \"HOST\", usename AS \"USER\", state AS \"STATE\","
" COALESCE(pg_catalog.cardinality(assigned), 0) AS \"#PARTITIONS\","
" pg_catalog.array_to_string(assigned, ',') AS \"ASSIGNMENT\""
" FROM topic.members WHERE group_id = $1 ORDER BY member_id";

static const char describe_members_json[] =
"SELECT group_id, member_id, instance_id, pid, usename, pg_catalog.host(client_addr) AS client_addr, epoch,"
" target_epoch, state, pg_catalog.to_json(topics) AS topics, pg_catalog.to_json(assigned) AS assigned"
" FROM topic.members WHERE group_id = $1 ORDER BY member_id";

enum
{
	OPTION_MEMBERS = 1, OPTION_EXECUTE, OPTION_TO
};

static const struct option describe_longs[] = {
	{"members", no_argument, NULL, OPTION_MEMBERS},
	{NULL, 0, NULL, 0}
};

static const struct option reset_longs[] = {
	{"to", required_argument, NULL, OPTION_TO},
	{"partition", required_argument, NULL, 'p'},
	{"execute", no_argument, NULL, OPTION_EXECUTE},
	{NULL, 0, NULL, 0}
};

int
run_groups(int argc, char **argv)
{
	PGconn	   *conn;
	PGresult   *result;

	(void) next_option(argc, argv, "", NULL);
	if (optind < argc)
		usage("\"groups\" takes no arguments; \"pgtopic group describe GROUP\" tells more of one");
	conn = connect_server();
	result = query(conn, json_wanted ?
				   "SELECT group_id, state, assignor, epoch, members, owner FROM topic.groups ORDER BY group_id" :
				   "SELECT group_id AS \"GROUP\", state AS \"STATE\", members AS \"MEMBERS\","
				   " assignor AS \"ASSIGNOR\", owner AS \"OWNER\" FROM topic.groups ORDER BY group_id", 0, NULL);
	print_listing(result);
	PQclear(result);
	PQfinish(conn);
	return EXIT_OK;
}

static void
require_group(PGconn *conn, const char *group)
{
	PGresult   *result = query(conn, "SELECT 1 FROM topic.groups WHERE group_id = $1", 1, &group);

	if (PQntuples(result) == 0)
		fail(EXIT_ERROR, "consumer group \"%s\" does not exist, or you may not see it", group);
	PQclear(result);
}

static int
describe(int argc, char **argv)
{
	bool		members = false;
	PGconn	   *conn;

	while (next_option(argc, argv, "", describe_longs) == OPTION_MEMBERS)
		members = true;
	if (optind == argc)
		usage("no group given");
	conn = connect_server();
	for (int i = optind; i < argc; i++)
	{
		const char *params[] = {argv[i]};
		PGresult   *result;

		require_group(conn, argv[i]);
		result = query(conn, members ? (json_wanted ? describe_members_json : describe_members) :
					   (json_wanted ? describe_group_json : describe_group), 1, params);
		if (PQntuples(result) == 0 && !json_wanted)
			warn(members ? "consumer group \"%s\" has no members" :
				 "consumer group \"%s\" has no offsets and no members", argv[i]);
		print_listing(result);
		PQclear(result);
	}
	PQfinish(conn);
	return EXIT_OK;
}

/* Without --execute it only shows what would be, as Kafka's tool does. */
static int
reset(int argc, char **argv)
{
	const char *params[] = {NULL, NULL, NULL, NULL, "true"};
	PGconn	   *conn;
	PGresult   *result;
	int			c;

	while ((c = next_option(argc, argv, "p:", reset_longs)) != -1)
	{
		if (c == OPTION_TO)
			params[2] = optarg;
		else if (c == OPTION_EXECUTE)
			params[4] = "false";
		else if (c == 'p')
			params[3] = optarg;
	}
	if (optind != argc - 2)
		usage("a group and a topic must be given");
	if (params[2] == NULL)
		usage("--to must say where the group is to go on");
	if (params[3])
		(void) parse_number(params[3], 0, INT32_MAX, "partition");
	params[0] = argv[optind];
	params[1] = argv[optind + 1];
	conn = connect_server();
	result = query(conn, json_wanted ?
				   "SELECT $1 AS group_id, $2 AS topic, partition, old_offset, new_offset"
				   " FROM topic.reset_offsets($1, $2, $3, $4, $5) ORDER BY partition" :
				   "SELECT $1 AS \"GROUP\", $2 AS \"TOPIC\", partition AS \"PARTITION\", old_offset AS \"OLD-OFFSET\","
				   " new_offset AS \"NEW-OFFSET\" FROM topic.reset_offsets($1, $2, $3, $4, $5) ORDER BY partition",
				   5, params);
	print_listing(result);
	if (strcmp(params[4], "true") == 0)
		warn("nothing has been changed; --execute does it");
	PQclear(result);
	PQfinish(conn);
	return EXIT_OK;
}

/* All of them or none. */
static int
delete(int argc, char **argv)
{
	PGconn	   *conn;

	(void) next_option(argc, argv, "", NULL);
	if (optind == argc)
		usage("no group given");
	conn = connect_server();
	execute(conn, "BEGIN");
	for (int i = optind; i < argc; i++)
	{
		const char *params[] = {argv[i]};

		PQclear(query(conn, "SELECT topic.delete_group($1)", 1, params));
	}
	execute(conn, "COMMIT");
	PQfinish(conn);
	return EXIT_OK;
}

int
run_group(int argc, char **argv)
{
	if (argc < 2 || argv[1][0] == '-')
	{
		(void) next_option(argc, argv, "+", NULL);
		usage("what is to be done with a group: describe, reset or delete?");
	}
	if (strcmp(argv[1], "describe") == 0)
		return describe(argc - 1, argv + 1);
	if (strcmp(argv[1], "reset") == 0)
		return reset(argc - 1, argv + 1);
	if (strcmp(argv[1], "delete") == 0)
		return delete(argc - 1, argv + 1);
	usage("there is no \"group %s\"; there are describe, reset and delete", argv[1]);
}

int
run_lag(int argc, char **argv)
{
	const char *params[] = {NULL};
	PGconn	   *conn;
	PGresult   *result;

	(void) next_option(argc, argv, "", NULL);
	if (argc - optind > 1)
		usage("at most one group can be given");
	if (optind < argc)
		params[0] = argv[optind];
	conn = connect_server();
	if (params[0])
		require_group(conn, params[0]);
	result = query(conn, json_wanted ?
				   "SELECT group_id, topic, pg_catalog.count(*) AS partitions, pg_catalog.sum(lag) AS lag,"
				   " pg_catalog.max(lag) AS max_lag, pg_catalog.sum(lost) AS lost, pg_catalog.count(DISTINCT member_id) AS members"
				   " FROM topic.lag WHERE $1::pg_catalog.text IS NULL OR group_id = $1 GROUP BY 1, 2 ORDER BY 1, 2" :
				   "SELECT group_id AS \"GROUP\", topic AS \"TOPIC\", pg_catalog.count(*) AS \"PARTITIONS\","
				   " pg_catalog.sum(lag) AS \"LAG\", pg_catalog.max(lag) AS \"MAX-LAG\", pg_catalog.sum(lost) AS \"LOST\","
				   " pg_catalog.count(DISTINCT member_id) AS \"MEMBERS\""
				   " FROM topic.lag WHERE $1::pg_catalog.text IS NULL OR group_id = $1 GROUP BY 1, 2 ORDER BY 1, 2", 1, params);
	print_listing(result);
	PQclear(result);
	PQfinish(conn);
	return EXIT_OK;
}
