/*-------------------------------------------------------------------------
 *
 * verify_space.c
 *	  The checker's account of blocks: each is used by one thing, or free.
 *
 * All that hands out or frees blocks changes the meta page.  So an account is
 * true if the meta page has the same LSN before and after.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "log/section.h"
#include "log/verify.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#define MAX_FINDINGS	100

typedef struct Account
{
	Relation	rel;
	TopicMeta	meta;
	uint8	   *claimed;		/* a bit per block */
	List	   *findings;		/* of strings */
	MemoryContext context;		/* where they are */
} Account;

static void
note_finding(Account *a, const char *format,...) pg_attribute_printf(2, 3);

static void
note_finding(Account *a, const char *format,...)
{
	MemoryContext old = MemoryContextSwitchTo(a->context);
	char		text[256];
	va_list		args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (list_length(a->findings) < MAX_FINDINGS)
		a->findings = lappend(a->findings, pstrdup(text));
	MemoryContextSwitchTo(old);
}

static bool
is_claimed(const Account *a, BlockNumber block)
{
	return (a->claimed[block / 8] & (1 << (block % 8))) != 0;
}

/* Marks blocks as used; each may be claimed once only. */
static bool
claim(Account *a, BlockNumber block, int n, const char *what, int32 lane)
{
	for (int i = 0; i < n; i++, block++)
	{
		if (block >= a->meta.high_block)
		{
			note_finding(a, "partition %d: %s claims block %u, which was never handed out",
						 lane, what, block);
			return false;
		}
		if (is_claimed(a, block))
		{
			note_finding(a, "partition %d: %s claims block %u, which something else uses too",
						 lane, what, block);
			return false;
		}
		a->claimed[block / 8] |= 1 << (block % 8);
	}
	return true;
}

static void
claim_node(Account *a, LaneMap *map, BlockNumber block, int level, uint32 first_seq)
{
	DirEntry	entries[NODE_FANOUT];
	uint32		stride = node_stride(level);

	CHECK_FOR_INTERRUPTS();
	if (!claim(a, block, 1, "directory node", map->lane))
		return;
	directory_read_node(map, block, level, first_seq, entries);
	for (int i = 0; i < NODE_FANOUT; i++)
	{
		uint32		seq = first_seq + i * stride;

		if (seq >= map->entry.next_seq)
			break;
		if (seq + stride <= map->released_upto)
			continue;
		if (level > 0)
			claim_node(a, map, entries[i].block, level - 1, seq);
		else
			claim(a, entries[i].block, extent_pages(seq), "extent", map->lane);
	}
}

/* Of sections made by compaction. */
static void
claim_visited(void *arg, BlockNumber block, int npages, const char *what)
{
	claim(arg, block, npages, what, -1);
}

/* All extents of a lane, trimmed ones that nobody has taken yet included. */
static void
claim_lane(Account *a, LaneMap *map)
{
	const LaneEntry *lane = &map->entry;

	section_walk(a->rel, &lane->clean, map->incarnation + lane->generation, claim_visited, a);
	if (map->released_upto > lane->trim_seq || lane->trim_seq > lane->next_seq)
		note_finding(a, "partition %d: directory entry is malformed", map->lane);
	else if (lane->height > 0)
		claim_node(a, map, lane->root, lane->height - 1, 0);
	else
	{
		for (uint32 seq = map->released_upto; seq < lane->next_seq; seq++)
			claim(a, lane->extents[seq].block, extent_pages(seq), "extent", map->lane);
	}
}

static void
claim_list(Account *a, BlockNumber block, int n)
{
	while (block != 0 && claim(a, block, n, "free list", -1))
	{
		CHECK_FOR_INTERRUPTS();
		block = space_free_link(a->rel, a->meta.incarnation, block, true);
		if (block == InvalidBlockNumber)
		{
			note_finding(a, "a free list has a block that is not free");
			return;
		}
	}
}

/* Every lane that may have trimmed heads is in the list once. */
static void
check_trimmed_lanes(Account *a, int in_list)
{
	uint32		next = a->meta.trimmed_lane;
	int			n = 0;

	while (next != 0 && next != TRIMMED_LIST_END && n <= in_list)
	{
		LaneMap		map;

		n++;
		if (next > TOPIC_MAX_PARTITIONS)
			break;
		directory_read_lane(a->rel, (int32) next - 1, &map);
		next = map.entry.next_trimmed;
	}
	if (n != in_list)
		note_finding(a, "list of trimmed partitions is broken");
}

/* Blocks that nothing claims, as ranges. */
static void
check_lost(Account *a)
{
	BlockNumber block = 0;

	while (block < a->meta.high_block)
	{
		BlockNumber first = block;

		while (block < a->meta.high_block && !is_claimed(a, block))
			block++;
		if (block > first)
			note_finding(a, "blocks %u to %u are neither used nor free", first, block - 1);
		else
			block++;
	}
}

static void
make_account(Account *a)
{
	int			in_list = 0;

	claim(a, TOPIC_META_BLOCK, 1, "meta page", -1);
	section_walk(a->rel, &a->meta.building, 0, claim_visited, a);
	section_walk(a->rel, &a->meta.retired, 0, claim_visited, a);
	for (int i = 0; i < TOPIC_LANE_PAGES; i++)
	{
		if (a->meta.lane_page[i] == 0)
			continue;
		claim(a, a->meta.lane_page[i], 1, "lane page", i * LANES_PER_PAGE);
		for (int lane = i * LANES_PER_PAGE;
			 lane < Min((i + 1) * LANES_PER_PAGE, TOPIC_MAX_PARTITIONS); lane++)
		{
			LaneMap		map;

			CHECK_FOR_INTERRUPTS();
			directory_read_lane(a->rel, lane, &map);
			map.bears_overtaking = true;
			if (map.entry.next_seq > 0)
				claim_lane(a, &map);
			if (map.entry.next_trimmed != 0)
				in_list++;
		}
	}
	if (a->meta.flags & TOPIC_FREE_LISTS_PARTIAL)
		return;					/* VACUUM did not come to its end */
	for (int i = 0; i < EXTENT_SIZE_CLASSES; i++)
		claim_list(a, a->meta.free_extent[i], extent_pages(i));
	claim_list(a, a->meta.free_node, 1);
	check_trimmed_lanes(a, in_list);
	check_lost(a);
}

static XLogRecPtr
meta_lsn(Relation rel)
{
	PGAlignedBlock copy;

	directory_copy_page(rel, TOPIC_META_BLOCK, NULL, copy.data);
	return PageGetLSN(copy.data);
}

/* False if blocks were handed out or freed meanwhile, so that it says nothing. */
static bool
try_account(Account *a)
{
	XLogRecPtr	before = meta_lsn(a->rel);

	a->findings = NIL;
	directory_read_meta(a->rel, &a->meta);
	a->claimed = MemoryContextAllocExtended(a->context, a->meta.high_block / 8 + 1,
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	make_account(a);
	pfree(a->claimed);
	return meta_lsn(a->rel) == before;
}

void
verify_space(Relation rel, void (*report) (void *arg, const char *finding), void *arg)
{
	Account		a = {0};
	bool		valid = false;
	ListCell   *lc;

	a.rel = rel;
	a.context = CurrentMemoryContext;
	for (int i = 0; i < 3 && !valid; i++)
		valid = try_account(&a);
	if (!valid && !RecoveryInProgress())
	{
		LockRelationForExtension(rel, ExclusiveLock);
		valid = try_account(&a);
		UnlockRelationForExtension(rel, ExclusiveLock);
	}
	if (!valid)
		return;
	foreach(lc, a.findings)
		report(arg, lfirst(lc));
}
