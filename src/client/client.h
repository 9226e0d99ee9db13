/*-------------------------------------------------------------------------
 *
 * client.h
 *	  What the files of the program pgtopic share.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_CLIENT_H
#define PGTOPIC_CLIENT_H

#include <getopt.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/buffer.h"

/* Exit codes, documented in help.c. */
#define EXIT_OK			0
#define EXIT_ERROR		1
#define EXIT_USAGE		2
#define EXIT_LOST		3

/* A subcommand; argv[0] is its name. */
typedef struct Command
{
	const char *name;
	int			(*run) (int argc, char **argv);
	const char *help;
} Command;

extern const char help_program[];
extern const char help_topics[];
extern const char help_create[];
extern const char help_alter[];
extern const char help_drop[];
extern const char help_describe[];
extern const char help_produce[];
extern const char help_consume[];
extern const char help_groups[];
extern const char help_group[];
extern const char help_lag[];
extern const char help_bench[];
extern const char help_top[];

extern int	run_topics(int argc, char **argv);
extern int	run_create(int argc, char **argv);
extern int	run_alter(int argc, char **argv);
extern int	run_drop(int argc, char **argv);
extern int	run_describe(int argc, char **argv);
extern int	run_produce(int argc, char **argv);
extern int	run_consume(int argc, char **argv);
extern int	run_groups(int argc, char **argv);
extern int	run_group(int argc, char **argv);
extern int	run_lag(int argc, char **argv);
extern int	run_bench(int argc, char **argv);
extern int	run_top(int argc, char **argv);

/* main.c */
extern const Command *current_command;
extern void fail(int code, const char *fmt,...) __attribute__((format(printf, 2, 3), noreturn));
extern void usage(const char *fmt,...) __attribute__((format(printf, 1, 2), noreturn));
extern void warn(const char *fmt,...) __attribute__((format(printf, 1, 2)));
extern void print_help(void) __attribute__((noreturn));

/* options.c */
extern int	next_option(int argc, char **argv, const char *shorts, const struct option *longs);
extern int64_t parse_number(const char *text, int64_t min, int64_t max, const char *what);
extern bool json_wanted;

/* connect.c */
extern volatile sig_atomic_t interrupted;
extern void connection_option(char option, char *value);
extern PGconn *connect_server(void);
extern PGconn *try_connect(char **error);
extern PGconn *reconnect_server(PGconn *lost);
extern void catch_interrupts(void);
extern void cancel_arm(PGconn *conn);
extern void cancel_disarm(void);
extern bool has_state(const PGresult *result, const char *sqlstate);
extern bool is_lost(PGconn *conn, const PGresult *result);
extern void fail_query(PGconn *conn, const PGresult *result) __attribute__((noreturn));
extern PGresult *query(PGconn *conn, const char *sql, int nparams, const char *const *params);
extern void execute(PGconn *conn, const char *sql);

/* output.c */
extern void print_listing(const PGresult *result);
extern void print_table(const PGresult *result);
extern void print_json(const PGresult *result);
extern void print_vertical(const PGresult *result, int row);
extern double now(void);
extern void sleep_seconds(double seconds);
extern bool progress_wanted(int fd);
extern const char *with_separators(int64_t number);

#endif							/* PGTOPIC_CLIENT_H */
