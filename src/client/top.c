/*-------------------------------------------------------------------------
 *
 * top.c
 *	  pgtopic top: rates and lag, anew every second.
 *
 * Rates are differences of offsets between two looks, so they count what is
 * committed or on its way to be, in this database, whoever produces it.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "client/client.h"
#include "client/format.h"

#define CLEAR_SCREEN "\033[H\033[2J"

static const struct option longs[] = {
	{"interval", required_argument, NULL, 'i'},
	{"count", required_argument, NULL, 'n'},
	{NULL, 0, NULL, 0}
};

/* Both have a name, a number that grows, and a number to show. */
static const char topics_sql[] =
"SELECT p.topic, pg_catalog.sum(p.log_end_offset)::pg_catalog.int8,"
" pg_catalog.sum(p.last_stable_offset - p.log_start_offset)::pg_catalog.int8, pg_catalog.count(*),"
" pg_catalog.max(t.size) FROM topic.partitions p JOIN topic.topics t ON t.topic = p.topic GROUP BY p.topic ORDER BY p.topic";

static const char groups_sql[] =
"SELECT group_id || ' ' || topic, COALESCE(pg_catalog.sum(committed_offset), 0)::pg_catalog.int8,"
" COALESCE(pg_catalog.sum(lag), 0)::pg_catalog.int8, pg_catalog.count(DISTINCT member_id), 0,"
" group_id, topic FROM topic.lag GROUP BY group_id, topic ORDER BY group_id, topic";

typedef struct Look
{
	double		at;
	PGresult   *topics;
	PGresult   *groups;
} Look;

static struct termios saved_terminal;
static bool terminal_changed = false;

static void
restore_terminal(void)
{
	if (terminal_changed)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved_terminal);
	terminal_changed = false;
}

/* Keys count without Enter, and are not shown. */
static void
prepare_terminal(void)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved_terminal) != 0)
		return;
	raw = saved_terminal;
	raw.c_lflag &= ~(ICANON | ECHO);
	atexit(restore_terminal);
	terminal_changed = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static int64_t
number_at(const PGresult *result, int row, int column)
{
	return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

/* How much the row's number has grown each second; -1 if it is new. */
static double
rate(const PGresult *old, const PGresult *new, int row, double seconds)
{
	for (int r = 0; old && r < PQntuples(old); r++)
		if (strcmp(PQgetvalue(old, r, 0), PQgetvalue(new, row, 0)) == 0)
			return (number_at(new, row, 1) - number_at(old, r, 1)) / seconds;
	return -1;
}

static void
add_rate(Buffer *out, const char *format, double per_second)
{
	char		text[64];

	snprintf(text, sizeof(text), format, per_second < 0 ? "-" : with_separators((int64_t) (per_second + 0.5)));
	buffer_add_string(out, text);
}

static void
add_line(Buffer *out, int *room, const char *line, int len)
{
	if (*room <= 0)
		return;
	--*room;
	buffer_add(out, line, len);
	buffer_add_char(out, '\n');
}

static void
add_topics(Buffer *out, const Look *old, const Look *new, int *room)
{
	char		line[512];
	int			len;

	len = snprintf(line, sizeof(line), "%-40s %10s %14s %16s %12s", "TOPIC", "PARTITIONS", "MESSAGES/S", "MESSAGES", "MB");
	add_line(out, room, line, len);
	for (int r = 0; r < PQntuples(new->topics); r++)
	{
		Buffer		text = {0};

		len = snprintf(line, sizeof(line), "%-40s %10s", PQgetvalue(new->topics, r, 0), PQgetvalue(new->topics, r, 3));
		buffer_add(&text, line, len < (int) sizeof(line) ? len : (int) sizeof(line) - 1);
		add_rate(&text, " %14s", rate(old->topics, new->topics, r, new->at - old->at));
		len = snprintf(line, sizeof(line), " %16s %12.1f", with_separators(number_at(new->topics, r, 2)),
					   number_at(new->topics, r, 4) / 1e6);
		buffer_add(&text, line, len);
		add_line(out, room, text.data, (int) text.len);
		free(text.data);
	}
}

static void
add_groups(Buffer *out, const Look *old, const Look *new, int *room)
{
	char		line[1024];
	int			len;

	add_line(out, room, "", 0);
	len = snprintf(line, sizeof(line), "%-24s %-26s %14s %16s %12s", "GROUP", "TOPIC", "COMMITTED/S", "LAG", "MEMBERS");
	add_line(out, room, line, len);
	for (int r = 0; r < PQntuples(new->groups); r++)
	{
		Buffer		text = {0};

		len = snprintf(line, sizeof(line), "%-24s %-26s", PQgetvalue(new->groups, r, 5), PQgetvalue(new->groups, r, 6));
		buffer_add(&text, line, len < (int) sizeof(line) ? len : (int) sizeof(line) - 1);
		add_rate(&text, " %14s", rate(old->groups, new->groups, r, new->at - old->at));
		len = snprintf(line, sizeof(line), " %16s %12s", with_separators(number_at(new->groups, r, 2)),
					   PQgetvalue(new->groups, r, 3));
		buffer_add(&text, line, len);
		add_line(out, room, text.data, (int) text.len);
		free(text.data);
	}
}

static void
add_json_rows(Buffer *out, const PGresult *old, const PGresult *new, double seconds, bool groups)
{
	char		text[256];

	for (int r = 0; r < PQntuples(new); r++)
	{
		double		per_second = rate(old, new, r, seconds);
		const char *name = PQgetvalue(new, r, groups ? 5 : 0);

		buffer_add_string(out, r ? "," : "");
		buffer_add_string(out, groups ? "{\"group_id\":" : "{\"topic\":");
		json_string(out, name, strlen(name));
		if (groups)
		{
			buffer_add_string(out, ",\"topic\":");
			json_string(out, PQgetvalue(new, r, 6), PQgetlength(new, r, 6));
		}
		if (per_second < 0)
			snprintf(text, sizeof(text), ",\"per_second\":null");
		else
			snprintf(text, sizeof(text), ",\"per_second\":%.1f", per_second);
		buffer_add_string(out, text);
		snprintf(text, sizeof(text), groups ? ",\"lag\":%s,\"members\":%s}" : ",\"messages\":%s,\"partitions\":%s}",
				 PQgetvalue(new, r, 2), PQgetvalue(new, r, 3));
		buffer_add_string(out, text);
	}
}

static void
show(PGconn *conn, const Look *old, const Look *new)
{
	Buffer		out = {0};
	bool		screen = isatty(STDOUT_FILENO);
	int			room = INT32_MAX;
	struct winsize size;
	char		line[256];
	char		clock[32];
	time_t		t = time(NULL);

	if (json_wanted)
	{
		buffer_add_string(&out, "{\"topics\":[");
		add_json_rows(&out, old->topics, new->topics, new->at - old->at, false);
		buffer_add_string(&out, "],\"groups\":[");
		add_json_rows(&out, old->groups, new->groups, new->at - old->at, true);
		buffer_add_string(&out, "]}\n");
	}
	else
	{
		if (screen && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2)
			room = size.ws_row - 1;
		if (screen)
			buffer_add_string(&out, CLEAR_SCREEN);
		strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&t));
		snprintf(line, sizeof(line), "pgtopic top  %s  database %s%s", clock, PQdb(conn), screen ? "  (q quits)" : "");
		add_line(&out, &room, line, (int) strlen(line));
		add_line(&out, &room, "", 0);
		add_topics(&out, old, new, &room);
		add_groups(&out, old, new, &room);
	}
	fwrite(out.data, 1, out.len, stdout);
	if (fflush(stdout) != 0)
		exit(EXIT_ERROR);
	free(out.data);
}

/* False if somebody wants to quit. */
static bool
wait_for_key(double seconds)
{
	struct pollfd keyboard = {.fd = terminal_changed ? STDIN_FILENO : -1,.events = POLLIN};
	double		until = now() + seconds;
	double		left;
	char		key;

	while (!interrupted && (left = until - now()) > 0)
	{
		if (poll(&keyboard, 1, (int) (left * 1000) + 1) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q')
			return false;
		break;					/* any other key: look at once */
	}
	return !interrupted;
}

int
run_top(int argc, char **argv)
{
	Look		old = {0};
	double		interval = 1;
	int64_t		count = INT64_MAX;
	PGconn	   *conn;
	int			c;

	while ((c = next_option(argc, argv, "i:n:", longs)) != -1)
	{
		if (c == 'i')
			interval = (double) parse_number(optarg, 1, 86400, "--interval");
		else if (c == 'n')
			count = parse_number(optarg, 1, INT64_MAX, "--count");
	}
	if (optind < argc)
		usage("\"top\" takes no arguments");
	conn = connect_server();
	catch_interrupts();
	prepare_terminal();
	for (int64_t i = 0; i < count; i++)
	{
		Look		new = {.at = now()};

		new.topics = query(conn, topics_sql, 0, NULL);
		new.groups = query(conn, groups_sql, 0, NULL);
		show(conn, &old, &new);
		PQclear(old.topics);
		PQclear(old.groups);
		old = new;
		if (i < count - 1 && !wait_for_key(interval))
			break;
	}
	PQfinish(conn);
	return EXIT_OK;
}
