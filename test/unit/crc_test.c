/*-------------------------------------------------------------------------
 *
 * crc_test.c
 *	  CRCs of long strings beside those of PostgreSQL's own function.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "log/crc.h"
#include "tap.h"

#define BYTES		40000

static char bytes[BYTES];

static bool
agrees(pg_crc32c crc, size_t from, size_t length)
{
	pg_crc32c	wanted = crc;

	COMP_CRC32C(wanted, bytes + from, length);
	return crc_of_more(crc, bytes + from, length) == wanted;
}

static void
test_lengths(void)
{
	bool		sound = true;

	for (size_t length = 0; length <= 10000; length++)
		sound = sound && agrees(0xFFFFFFFF, length % 17, length);
	ok(sound, "strings of 0 to 10,000 bytes, at any address");
}

static void
test_states(void)
{
	bool		sound = true;

	for (int i = 0; i < 2000; i++)
		sound = sound && agrees((pg_crc32c) tap_random(), tap_random() % 1000, tap_random() % (BYTES - 1000));
	ok(sound, "random bytes behind random ones");
}

int
main(void)
{
	pg_crc32c	crc;

	/* the check value of CRC-32C's catalogues */
	INIT_CRC32C(crc);
	crc = crc_of_more(crc, "123456789", 9);
	FIN_CRC32C(crc);
	ok(crc == 0xE3069283, "check value");

	for (int i = 0; i < BYTES; i++)
		bytes[i] = (char) tap_random();
	test_lengths();
	test_states();
	return done_testing();
}
