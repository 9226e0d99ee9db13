/*-------------------------------------------------------------------------
 *
 * compact_map.h
 *	  For compaction: the newest offset of each key, in bounded memory.
 *
 * Pure: no server state, no errors, and all memory is the caller's.  Keys are
 * kept whole, so that equal hashes never make one key pass for another.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_COMPACT_MAP_H
#define PGTOPIC_LOG_COMPACT_MAP_H

#include "c.h"

typedef struct CompactSlot
{
	uint32		hash;
	uint32		place;			/* in the keys, in units of 8 bytes; 0 = free */
} CompactSlot;

typedef struct CompactMap
{
	CompactSlot *slots;
	uint64		mask;			/* number of slots - 1 */
	uint64		nkeys;
	uint64		max_keys;
	char	   *keys;
	Size		used;			/* bytes of them */
	Size		capacity;
	uint64		seed;
} CompactMap;

/* The least memory that compact_map_init() takes. */
#define COMPACT_MAP_MIN_BYTES	(64 * 1024)

/*
 * compact_map_init: an empty map in "size" bytes at "memory", which is aligned
 * as palloc aligns.  expected: no more keys than this will come, so that a small
 * map is quickly made.  seed: a random number, so that nobody can choose keys
 * that collide.
 */
extern void compact_map_init(CompactMap *map, void *memory, Size size, uint64 expected,
							 uint64 seed);

/*
 * compact_map_put: notes that the key's newest offset is this one; offsets come
 * in ascending order.  False if the map is full: nothing was changed.
 */
extern bool compact_map_put(CompactMap *map, const char *key, int32 length, int64 offset);

/* The newest offset noted for the key, or -1. */
extern int64 compact_map_get(const CompactMap *map, const char *key, int32 length);

#endif							/* PGTOPIC_LOG_COMPACT_MAP_H */
