/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options that every subcommand has, beside its own.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>

#include "client/client.h"

/* Codes of long options that have no letter of their own everywhere. */
#define OPTION_HELP		2000
#define OPTION_PORT		2001
#define OPTION_JSON		2002

bool		json_wanted = false;

static const struct option common_longs[] = {
	{"host", required_argument, NULL, 'h'},
	{"port", required_argument, NULL, OPTION_PORT},
	{"username", required_argument, NULL, 'U'},
	{"dbname", required_argument, NULL, 'd'},
	{"no-password", no_argument, NULL, 'w'},
	{"password", no_argument, NULL, 'W'},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, 'V'},
};

#define COMMON_LONGS (int) (sizeof(common_longs) / sizeof(common_longs[0]))
#define MAX_LONGS 40

/*
 * getopt_long() that sees to the options of connections itself.  A subcommand
 * may have -p for a partition; the port is then --port, or -p before the
 * subcommand's name.
 */
int
next_option(int argc, char **argv, const char *shorts, const struct option *longs)
{
	struct option all[MAX_LONGS];
	char		all_shorts[80];
	int			n = 0;
	int			c;

	memset(all, 0, sizeof(all));
	for (; longs && longs->name && n < MAX_LONGS - COMMON_LONGS - 1; longs++)
		all[n++] = *longs;
	memcpy(all + n, common_longs, sizeof(common_longs));
	snprintf(all_shorts, sizeof(all_shorts), "%sh:U:d:wWV%s", shorts, strchr(shorts, 'p') ? "" : "p:");

	for (;;)
	{
		c = getopt_long(argc, argv, all_shorts, all, NULL);
		switch (c)
		{
			case 'h':
			case 'U':
			case 'd':
			case 'w':
			case 'W':
				connection_option(c, optarg);
				break;
			case 'p':
				if (strchr(shorts, 'p'))
					return c;
				connection_option('p', optarg);
				break;
			case OPTION_PORT:
				connection_option('p', optarg);
				break;
			case OPTION_JSON:
				json_wanted = true;
				break;
			case OPTION_HELP:
				print_help();
			case 'V':
				puts("pgtopic " PGTOPIC_VERSION);
				exit(EXIT_OK);
			case '?':
				usage(NULL);
			default:
				return c;
		}
	}
}

int64_t
parse_number(const char *text, int64_t min, int64_t max, const char *what)
{
	char	   *end;
	long long	n;

	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || n < min || n > max)
		usage("%s must be a number from %lld to %lld, not \"%s\"", what, (long long) min, (long long) max, text);
	return n;
}
