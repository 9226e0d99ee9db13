/*-------------------------------------------------------------------------
 *
 * output.c
 *	  Listings as tables and as JSON, and small things about terminals.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "client/client.h"
#include "client/format.h"

/* Types whose text is JSON as it stands, or a number; from pg_type.dat. */
#define BOOL_OID	16
#define INT8_OID	20
#define INT2_OID	21
#define INT4_OID	23
#define OID_OID		26
#define JSON_OID	114
#define FLOAT8_OID	701
#define NUMERIC_OID 1700
#define JSONB_OID	3802

static bool
is_number(Oid type)
{
	return type == INT8_OID || type == INT2_OID || type == INT4_OID || type == OID_OID ||
		type == FLOAT8_OID || type == NUMERIC_OID;
}

/* Columns of a terminal that text takes: characters, not bytes. */
static int
width_of(const char *text)
{
	int			width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

/* NULL is a dash, as Kafka's tools have it. */
static const char *
cell(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? "-" : PQgetvalue(result, row, column);
}

static void
print_cell(const char *text, int width, bool right, bool last)
{
	int			padding = width - width_of(text);

	if (right)
		printf("%*s%s", padding, "", text);
	else
		printf("%s%*s", text, last ? 0 : padding, "");
	fputs(last ? "\n" : "  ", stdout);
}

/* Without rows there is nothing, not even a heading, for scripts that read it. */
void
print_table(const PGresult *result)
{
	int			nrows = PQntuples(result);
	int			ncolumns = PQnfields(result);
	int		   *widths = checked_alloc(NULL, ncolumns * sizeof(int));

	for (int c = 0; c < ncolumns; c++)
	{
		widths[c] = width_of(PQfname(result, c));
		for (int r = 0; r < nrows; r++)
		{
			int			width = width_of(cell(result, r, c));

			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
	for (int r = nrows > 0 ? -1 : 0; r < nrows; r++)
		for (int c = 0; c < ncolumns; c++)
			print_cell(r < 0 ? PQfname(result, c) : cell(result, r, c), widths[c],
					   is_number(PQftype(result, c)), c == ncolumns - 1);
	free(widths);
}

static void
add_json_row(const PGresult *result, int row, Buffer *out)
{
	buffer_add_char(out, '{');
	for (int c = 0; c < PQnfields(result); c++)
	{
		const char *value = PQgetvalue(result, row, c);
		Oid			type = PQftype(result, c);

		if (c > 0)
			buffer_add_char(out, ',');
		json_string(out, PQfname(result, c), strlen(PQfname(result, c)));
		buffer_add_char(out, ':');
		if (PQgetisnull(result, row, c))
			buffer_add_string(out, "null");
		else if (type == BOOL_OID)
			buffer_add_string(out, *value == 't' ? "true" : "false");
		else if (is_number(type) || type == JSON_OID || type == JSONB_OID)
			buffer_add_string(out, value);
		else
			json_string(out, value, strlen(value));
	}
	buffer_add_char(out, '}');
}

/* An array with one object a line. */
void
print_json(const PGresult *result)
{
	Buffer		out = {0};

	buffer_add_char(&out, '[');
	for (int r = 0; r < PQntuples(result); r++)
	{
		if (r > 0)
			buffer_add_string(&out, ",\n ");
		add_json_row(result, r, &out);
	}
	buffer_add_string(&out, "]\n");
	fwrite(out.data, 1, out.len, stdout);
	free(out.data);
}

void
print_listing(const PGresult *result)
{
	if (json_wanted)
		print_json(result);
	else
		print_table(result);
}

/* One row, a line for each column. */
void
print_vertical(const PGresult *result, int row)
{
	int			width = 0;

	for (int c = 0; c < PQnfields(result); c++)
		if (width_of(PQfname(result, c)) > width)
			width = width_of(PQfname(result, c));
	for (int c = 0; c < PQnfields(result); c++)
		printf("%-*s  %s\n", width, PQfname(result, c), cell(result, row, c));
}

double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Ends early on a signal. */
void
sleep_seconds(double seconds)
{
	struct timespec t = {(time_t) seconds, (long) ((seconds - (double) (time_t) seconds) * 1e9)};

	if (seconds > 0)
		nanosleep(&t, NULL);
}

/*
 * Progress is for somebody who watches, and whose own typing is not what goes
 * through file descriptor fd.
 */
bool
progress_wanted(int fd)
{
	return isatty(STDERR_FILENO) && !isatty(fd);
}

/* 1234567 as 1,234,567; in one of a few buffers, so that a printf can have two. */
const char *
with_separators(int64_t number)
{
	static char buffers[4][32];
	static int	next = 0;
	char	   *buffer = buffers[next++ % 4];
	char		digits[24];
	int			len = snprintf(digits, sizeof(digits), "%" PRId64, number);
	int			at = 0;

	for (int i = 0; i < len; i++)
	{
		if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
			buffer[at++] = ',';
		buffer[at++] = digits[i];
	}
	buffer[at] = '\0';
	return buffer;
}
