/*-------------------------------------------------------------------------
 *
 * partitioner.c
 *	  Which partition a key belongs to.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "producer/partitioner.h"

#define MURMUR2_SEED	0x9747b28c
#define MURMUR2_M		0x5bd1e995
#define MURMUR2_R		24

uint32
murmur2(const char *data, size_t length)
{
	const unsigned char *p = (const unsigned char *) data;
	uint32		hash = MURMUR2_SEED ^ (uint32) length;

	for (; length >= 4; p += 4, length -= 4)
	{
		/* little-endian on every machine */
		uint32		word = (uint32) p[0] | (uint32) p[1] << 8 |
			(uint32) p[2] << 16 | (uint32) p[3] << 24;

		word *= MURMUR2_M;
		word ^= word >> MURMUR2_R;
		word *= MURMUR2_M;
		hash *= MURMUR2_M;
		hash ^= word;
	}

	if (length == 3)
		hash ^= (uint32) p[2] << 16;
	if (length >= 2)
		hash ^= (uint32) p[1] << 8;
	if (length >= 1)
	{
		hash ^= (uint32) p[0];
		hash *= MURMUR2_M;
	}

	hash ^= hash >> 13;
	hash *= MURMUR2_M;
	hash ^= hash >> 15;
	return hash;
}

int32
partition_for_key(const char *key, size_t length, int32 n)
{
	return (int32) ((murmur2(key, length) & 0x7fffffff) % (uint32) n);
}
