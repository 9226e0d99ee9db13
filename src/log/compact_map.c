/*-------------------------------------------------------------------------
 *
 * compact_map.c
 *	  For compaction: the newest offset of each key, in bounded memory.
 *
 * Open addressing over the hashes of the keys; a slot leads to the key's bytes
 * and its offset.  A sixth to a third of the memory is slots, less if few keys are
 * expected: a key of 12 bytes takes 8 there, of which an eighth stays free, and 24
 * among the keys.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "common/hashfn.h"
#include "log/compact_map.h"

/* What stands before a key's bytes. */
typedef struct KeyHead
{
	int64		offset;
	int32		length;
} KeyHead;

#define KEY_HEAD_BYTES		(offsetof(KeyHead, length) + sizeof(int32))
#define KEY_UNIT			8
#define KEY_BYTES(length)	TYPEALIGN(KEY_UNIT, KEY_HEAD_BYTES + (Size) (length))

#define MIN_SLOTS			1024

void
compact_map_init(CompactMap *map, void *memory, Size size, uint64 expected, uint64 seed)
{
	uint64		nslots = MIN_SLOTS;
	Size		limit;

	Assert(size >= COMPACT_MAP_MIN_BYTES);
	while (nslots * 2 * sizeof(CompactSlot) <= size / 3 && nslots * 3 / 4 < expected)
		nslots *= 2;
	map->slots = memory;
	map->mask = nslots - 1;
	map->nkeys = 0;
	map->max_keys = nslots - nslots / 8;
	memset(map->slots, 0, nslots * sizeof(CompactSlot));

	limit = size - nslots * sizeof(CompactSlot);
	map->keys = (char *) memory + nslots * sizeof(CompactSlot);
	map->capacity = Min(limit, (Size) PG_UINT32_MAX * KEY_UNIT);
	map->used = KEY_UNIT;		/* place 0 means a free slot */
	map->seed = seed;
}

static KeyHead *
key_head(const CompactMap *map, uint32 place)
{
	return (KeyHead *) (map->keys + (Size) place * KEY_UNIT);
}

/* The slot of the key, or the free one where it belongs. */
static CompactSlot *
find_slot(const CompactMap *map, const char *key, int32 length, uint32 *hash)
{
	uint64		long_hash = hash_bytes_extended((const unsigned char *) key, length, map->seed);
	uint64		i = long_hash & map->mask;

	*hash = (uint32) (long_hash >> 32);
	for (;; i = (i + 1) & map->mask)
	{
		CompactSlot *slot = &map->slots[i];
		KeyHead    *head;

		if (slot->place == 0)
			return slot;
		if (slot->hash != *hash)
			continue;
		head = key_head(map, slot->place);
		if (head->length == length &&
			memcmp((char *) head + KEY_HEAD_BYTES, key, length) == 0)
			return slot;
	}
}

bool
compact_map_put(CompactMap *map, const char *key, int32 length, int64 offset)
{
	uint32		hash;
	CompactSlot *slot = find_slot(map, key, length, &hash);
	KeyHead    *head;

	if (slot->place == 0)
	{
		if (map->nkeys >= map->max_keys || KEY_BYTES(length) > map->capacity - map->used)
			return false;
		slot->hash = hash;
		slot->place = (uint32) (map->used / KEY_UNIT);
		map->used += KEY_BYTES(length);
		map->nkeys++;
		head = key_head(map, slot->place);
		head->length = length;
		memcpy((char *) head + KEY_HEAD_BYTES, key, length);
	}
	else
		head = key_head(map, slot->place);
	head->offset = offset;
	return true;
}

int64
compact_map_get(const CompactMap *map, const char *key, int32 length)
{
	uint32		hash;
	CompactSlot *slot = find_slot(map, key, length, &hash);

	return slot->place == 0 ? -1 : key_head(map, slot->place)->offset;
}
