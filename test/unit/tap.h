/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  The least that a test in C needs to speak TAP.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_TEST_TAP_H
#define PGTOPIC_TEST_TAP_H

#include <stdio.h>

static int	tap_count = 0;
static int	tap_failed = 0;

static inline void
ok_at(const char *file, int line, int condition, const char *name)
{
	printf("%sok %d - %s\n", condition ? "" : "not ", ++tap_count, name);
	if (!condition)
	{
		printf("# at %s line %d\n", file, line);
		tap_failed++;
	}
	fflush(stdout);
}

#define ok(condition, name) ok_at(__FILE__, __LINE__, (condition) != 0, (name))

static inline int
done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed == 0 ? 0 : 1;
}

/* A generator of our own, so that a failure can be repeated anywhere. */
static unsigned long long tap_random_state = 88172645463325252ULL;

static inline unsigned long long
tap_random(void)
{
	tap_random_state ^= tap_random_state << 13;
	tap_random_state ^= tap_random_state >> 7;
	tap_random_state ^= tap_random_state << 17;
	return tap_random_state;
}

#endif							/* PGTOPIC_TEST_TAP_H */
