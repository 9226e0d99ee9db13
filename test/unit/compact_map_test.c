/*-------------------------------------------------------------------------
 *
 * compact_map_test.c
 *	  The newest offset of each key, in bounded memory.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include <stdlib.h>

#include "log/compact_map.h"
#include "tap.h"

#define NKEYS	20000

/* Key number n: of 0 to 40 bytes, and no two are equal. */
static int32
make_key(int n, char *key)
{
	int			length = n % 41;

	memset(key, 'k', length);
	if (n == 0)
		return 0;
	memcpy(key, &n, sizeof(n));
	return Max(length, (int) sizeof(n));
}

static void
test_against_model(void)
{
	Size		size = 4 * 1024 * 1024;
	void	   *memory = malloc(size);
	int64	   *newest = malloc(NKEYS * sizeof(int64));
	CompactMap	map;
	bool		put = true;
	bool		same = true;
	char		key[64];

	memset(newest, 0xFF, NKEYS * sizeof(int64));
	compact_map_init(&map, memory, size, NKEYS, 42);
	for (int64 offset = 0; offset < 5 * NKEYS; offset++)
	{
		int			n = tap_random() % NKEYS;
		int32		length = make_key(n, key);

		put = put && compact_map_put(&map, key, length, offset);
		newest[n] = offset;
	}
	for (int n = 0; n < NKEYS; n++)
	{
		int32		length = make_key(n, key);

		same = same && compact_map_get(&map, key, length) == newest[n];
	}
	ok(put, "all keys find room");
	ok(same, "each key has its newest offset, the empty one too");
	ok(compact_map_get(&map, "elsewhere", 9) == -1, "an unknown key has none");
	free(newest);
	free(memory);
}

static void
test_full(void)
{
	Size		size = COMPACT_MAP_MIN_BYTES;
	char	   *memory = malloc(size + 8);
	CompactMap	map;
	bool		intact = true;
	char		key[64];
	char	   *large;
	int			n = 0;

	memset(memory + size, 0x5A, 8);
	compact_map_init(&map, memory, size, NKEYS, 7);
	while (compact_map_put(&map, key, make_key(n, key), n))
		n++;
	ok(n > 1000 && n < NKEYS, "a small map is full after some keys");
	for (int i = 0; i < n; i++)
		intact = intact && compact_map_get(&map, key, make_key(i, key)) == i;
	ok(intact, "and knows all that came before");
	ok(compact_map_get(&map, key, make_key(n, key)) == -1, "but not the one that was refused");
	ok(compact_map_put(&map, key, make_key(1, key), 100000) &&
	   compact_map_get(&map, key, make_key(1, key)) == 100000,
	   "a known key is taken by a full map");
	ok(memcmp(memory + size, "\x5A\x5A\x5A\x5A\x5A\x5A\x5A\x5A", 8) == 0,
	   "nothing is written behind the memory");
	large = calloc(1, size);
	compact_map_init(&map, memory, size, NKEYS, 7);
	ok(!compact_map_put(&map, large, (int32) size, 0), "a key larger than the memory is refused");
	free(large);
	free(memory);
}

static void
test_few_expected(void)
{
	Size		size = 64 * 1024 * 1024;
	char	   *memory = malloc(size);
	CompactMap	map;
	char		key[64];
	int			n = 0;

	compact_map_init(&map, memory, size, 10, 7);
	ok(map.mask < 2048, "few slots for few keys");
	while (n < NKEYS && compact_map_put(&map, key, make_key(n, key), n))
		n++;
	ok(n > 10 && n < NKEYS, "if more come than were expected, it is full and not slow");
	free(memory);
}

int
main(void)
{
	test_against_model();
	test_full();
	test_few_expected();
	return done_testing();
}
