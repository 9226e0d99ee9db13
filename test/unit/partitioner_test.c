/*-------------------------------------------------------------------------
 *
 * partitioner_test.c
 *	  Kafka's published vectors of murmur2, and what follows from them.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "producer/partitioner.h"
#include "tap.h"

typedef struct Vector
{
	const char *key;
	int32		hash;
} Vector;

static const Vector vectors[] = {
	{"21", -973932308},
	{"foobar", -790332482},
	{"a-little-bit-long-string", -985981536},
	{"a-little-bit-longer-string", -1486304829},
	{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
	{"abc", 479470107},
};

int
main(void)
{
	char		key[300];
	int			inside = 1;
	int			i;

	for (i = 0; i < lengthof(vectors); i++)
	{
		const char *name = vectors[i].key;

		ok((int32) murmur2(name, strlen(name)) == vectors[i].hash, name);
	}

	/* -973932308 & 0x7fffffff = 1173551340 */
	ok(partition_for_key("21", 2, 10) == 0, "hash is made positive as Kafka does");
	ok(partition_for_key("abc", 3, 4) == 479470107 % 4, "partition is the remainder");
	ok(partition_for_key("anything", 8, 1) == 0, "one partition");
	ok(partition_for_key("", 0, 16384) >= 0, "empty key");

	for (i = 0; i < (int) sizeof(key); i++)
		key[i] = (char) (i * 37);
	for (i = 0; i < (int) sizeof(key); i++)
	{
		int32		partition = partition_for_key(key, i, 7);

		inside &= partition >= 0 && partition < 7;
	}
	ok(inside, "always inside the topic, bytes above 127 too");
	return done_testing();
}
