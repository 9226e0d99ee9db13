/*-------------------------------------------------------------------------
 *
 * fleet.h
 *	  Many members of a group, each a process with a session of its own.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_BENCH_FLEET_H
#define PGTOPIC_BENCH_FLEET_H

#include "client.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#define MAX_MEMBERS		200
#define MAX_PARTITIONS	10000
#define TOO_LONG		20.0

typedef struct Member
{
	pid_t		pid;			/* of the client */
	atomic_int	backend;		/* pid; 0 = not a member yet */
	_Atomic double subscribing; /* seconds */
} Member;

typedef struct Shared
{
	atomic_int	errors;
	_Atomic double probe_arrived[MAX_PARTITIONS];
	Member		members[MAX_MEMBERS];
} Shared;

extern Shared *shared;
extern int	nmembers;
extern int	npartitions;
extern char group[64];

/* Memory that all processes see, and the connection that looks at the group. */
extern void fleet_init(void);

/* Runs body in a child that dies with its parent. */
extern pid_t spawn(void (*body) (int), int number);

/* The member's session joins the group. */
extern void subscribe(PGconn *conn, Member *member);

/* Result of a query with one parameter. */
extern PGresult *look(const char *sql, const char *value);

/* Whether so many members own all partitions between them. */
extern bool all_owned(int members);
extern bool is_stable(void);
extern void wait_stable(void);

/* takeover.c */
extern void takeover(int tries, int load);

#endif							/* PGTOPIC_BENCH_FLEET_H */
