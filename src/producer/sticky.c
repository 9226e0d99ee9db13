/*-------------------------------------------------------------------------
 *
 * sticky.c
 *	  The partition of messages without a key.
 *
 * The state outlives transactions, hence a table of fixed size: a topic that
 * has been pushed out starts at a random partition again.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "producer/sticky.h"

/*
 * A few entries for each hash, so that topics to which a transaction produces
 * by turns hardly ever push each other out, which would make small batches.
 */
#define STICKY_SETS		256
#define STICKY_WAYS		4

typedef struct StickyEntry
{
	Oid			topic;
	int32		partition;
	int64		bytes;			/* that went to it; STICKY_BYTES: go on */
} StickyEntry;

static StickyEntry entries[STICKY_SETS][STICKY_WAYS];

static inline StickyEntry *
set_of(Oid topic)
{
	return entries[murmurhash32(topic) % STICKY_SETS];
}

/* NULL if the topic has none; of InvalidOid, one that is free. */
static inline StickyEntry *
find_in(StickyEntry *set, Oid topic)
{
	int			i;

	for (i = 0; i < STICKY_WAYS; i++)
	{
		if (set[i].topic == topic)
			return &set[i];
	}
	return NULL;
}

static StickyEntry *
sticky_begin(Oid topic, int32 n)
{
	static uint32 turn = 0;
	StickyEntry *entry = find_in(set_of(topic), InvalidOid);

	if (entry == NULL)
		entry = &set_of(topic)[turn++ % STICKY_WAYS];
	entry->topic = topic;
	entry->partition = (int32) pg_prng_uint64_range(&pg_global_prng_state, 0, n - 1);
	entry->bytes = 0;
	return entry;
}

int32
sticky_partition(Oid topic, int32 n)
{
	StickyEntry *entry = find_in(set_of(topic), topic);

	if (entry == NULL)
		entry = sticky_begin(topic, n);
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
	StickyEntry *entry = find_in(set_of(topic), topic);

	if (entry != NULL)
		entry->bytes += bytes;
}

void
sticky_advance(Oid topic)
{
	sticky_used(topic, STICKY_BYTES);
}
