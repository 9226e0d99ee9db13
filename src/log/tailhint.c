/*-------------------------------------------------------------------------
 *
 * tailhint.c
 *	  Where lanes probably end: a table of atomic words in shared memory.
 *
 * A lane's slot follows from a hash of its files and number; the word holds 32
 * more bits of the hash and a block number.  Lanes that share a slot take it
 * from each other.  Nothing depends on what is here: pages identify
 * themselves, and whoever finds another page looks into the directory.  So
 * there are no locks, and nothing to clear after a crash, a promotion or the
 * reuse of a file number.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "compat.h"
#include "log/tailhint.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#define TAIL_HINTS				16384	/* a power of two; 128 kB */

static pg_atomic_uint64 *hints = NULL;
static shmem_request_hook_type prev_request_hook = NULL;
static shmem_startup_hook_type prev_startup_hook = NULL;

static void
request_hints(void)
{
	if (prev_request_hook)
		prev_request_hook();
	RequestAddinShmemSpace(TAIL_HINTS * sizeof(pg_atomic_uint64));
}

static void
start_hints(void)
{
	bool		found;

	if (prev_startup_hook)
		prev_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	hints = ShmemInitStruct("pgtopic tail hints",
							TAIL_HINTS * sizeof(pg_atomic_uint64), &found);
	if (!found)
	{
		for (int i = 0; i < TAIL_HINTS; i++)
			pg_atomic_init_u64(&hints[i], 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
tail_hint_init(void)
{
	prev_request_hook = shmem_request_hook;
	shmem_request_hook = request_hints;
	prev_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_hints;
}

static uint64
lane_hash(Relation rel, int32 lane)
{
	RelFileLocator locator = RelationFileLocator(rel);

	return hash_bytes_extended((const unsigned char *) &locator, sizeof(locator), lane);
}

BlockNumber
tail_hint_get(Relation rel, int32 lane)
{
	uint64		hash;
	uint64		word;

	if (hints == NULL)
		return 0;
	hash = lane_hash(rel, lane);
	word = pg_atomic_read_u64(&hints[hash % TAIL_HINTS]);
	return (word >> 32) == (hash >> 32) ? (BlockNumber) word : 0;
}

void
tail_hint_set(Relation rel, int32 lane, BlockNumber block)
{
	uint64		hash;
	uint64		word;

	if (hints == NULL)
		return;
	hash = lane_hash(rel, lane);
	word = (hash & ~UINT64CONST(0xFFFFFFFF)) | block;
	if (pg_atomic_read_u64(&hints[hash % TAIL_HINTS]) != word)
		pg_atomic_write_u64(&hints[hash % TAIL_HINTS], word);
}
