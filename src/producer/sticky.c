/*-------------------------------------------------------------------------
 *
 * sticky.c
 *	  The partition of messages without a key.
 *
 * The state outlives transactions, hence a table of fixed size: two topics
 * that share an entry only start at a random partition more often.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "producer/sticky.h"

#define STICKY_ENTRIES	64

typedef struct StickyEntry
{
	Oid			topic;
	int32		partition;
	int64		bytes;			/* that went to it; STICKY_BYTES: go on */
} StickyEntry;

static StickyEntry entries[STICKY_ENTRIES];

static inline StickyEntry *
sticky_entry(Oid topic)
{
	return &entries[murmurhash32(topic) % STICKY_ENTRIES];
}

int32
sticky_partition(Oid topic, int32 n)
{
	StickyEntry *entry = sticky_entry(topic);

	if (entry->topic != topic)
	{
		entry->topic = topic;
		entry->partition = (int32) pg_prng_uint64_range(&pg_global_prng_state,
														0, n - 1);
		entry->bytes = 0;
	}
	else if (entry->bytes >= STICKY_BYTES)
	{
		entry->partition = (entry->partition + 1) % n;
		entry->bytes = 0;
	}
	return entry->partition < n ? entry->partition : 0;
}

void
sticky_used(Oid topic, int64 bytes)
{
	StickyEntry *entry = sticky_entry(topic);

	if (entry->topic == topic)
		entry->bytes += bytes;
}

void
sticky_advance(Oid topic)
{
	sticky_used(topic, STICKY_BYTES);
}
