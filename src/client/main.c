/*-------------------------------------------------------------------------
 *
 * main.c
 *	  pgtopic: topics and consumer groups at the shell.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>

#include "client/client.h"

static const Command commands[] = {
	{"topics", run_topics, help_topics},
	{"create", run_create, help_create},
	{"alter", run_alter, help_alter},
	{"drop", run_drop, help_drop},
	{"describe", run_describe, help_describe},
	{"produce", run_produce, help_produce},
	{"consume", run_consume, help_consume},
	{"groups", run_groups, help_groups},
	{"group", run_group, help_group},
	{"lag", run_lag, help_lag},
	{"top", run_top, help_top},
	{"bench", run_bench, help_bench},
};

static const Command program = {NULL, NULL, help_program};

const Command *current_command = &program;

static void report(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));

static void
report(const char *fmt, va_list args)
{
	fputs("pgtopic: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

void
fail(int code, const char *fmt,...)
{
	va_list		args;

	fflush(stdout);
	va_start(args, fmt);
	report(fmt, args);
	va_end(args);
	exit(code);
}

void
warn(const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	report(fmt, args);
	va_end(args);
}

/* fmt is NULL where getopt has already said what is wrong. */
void
usage(const char *fmt,...)
{
	va_list		args;

	if (fmt)
	{
		va_start(args, fmt);
		report(fmt, args);
		va_end(args);
	}
	if (current_command->name)
		fprintf(stderr, "Try \"pgtopic %s --help\".\n", current_command->name);
	else
		fprintf(stderr, "Try \"pgtopic --help\".\n");
	exit(EXIT_USAGE);
}

void
print_help(void)
{
	fputs(current_command->help, stdout);
	exit(EXIT_OK);
}

static const Command *
find_command(const char *name)
{
	for (const Command *c = commands; c < commands + sizeof(commands) / sizeof(commands[0]); c++)
		if (strcmp(c->name, name) == 0)
			return c;
	usage("there is no subcommand \"%s\"", name);
}

int
main(int argc, char **argv)
{
	/* "+": what stands behind the subcommand is for it */
	if (next_option(argc, argv, "+", NULL) != -1 || optind >= argc)
		usage("no subcommand given");
	if (strcmp(argv[optind], "help") == 0)
	{
		if (optind + 1 < argc)
			current_command = find_command(argv[optind + 1]);
		print_help();
	}
	current_command = find_command(argv[optind]);
	argc -= optind;
	argv += optind;
	optind = 0;					/* getopt begins anew */
	/* writing to a pipe that nobody reads is an error like any other */
	signal(SIGPIPE, SIG_IGN);
	return current_command->run(argc, argv);
}
