/*-------------------------------------------------------------------------
 *
 * slots_rel.h
 *	  Relations of slots as a whole: reading pages, freezing, copying.  Inside
 *	  the log room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_SLOTS_REL_H
#define PGTOPIC_LOG_SLOTS_REL_H

#include "log/slotpage.h"
#include "log/slots.h"
#include "storage/bufmgr.h"

/* The committed values of a page, as of now. */
typedef struct SlotsPage
{
	int64		keys[SLOTS_PER_PAGE];
	SlotState	states[SLOTS_PER_PAGE];
} SlotsPage;

/* Reads a block of the file. */
extern void slots_read_page(Relation rel, BlockNumber block, BufferAccessStrategy strategy,
							SlotsPage *result);

typedef struct SlotsFreeze
{
	TransactionId oldest_xid;	/* no older one has to be looked up any more */
	double		found;			/* slots in use */
} SlotsFreeze;

/*
 * slots_freeze: resolves versions of transactions before freeze_limit, which
 * is not later than oldest_xmin, the oldest one that may still be in progress.
 * The caller holds ShareUpdateExclusiveLock or stronger.
 */
extern void slots_freeze(Relation rel, TransactionId oldest_xmin, TransactionId freeze_limit,
						 BufferAccessStrategy strategy, SlotsFreeze *result);

/* Copies all pages into new files; nobody else uses either relation. */
extern void slots_copy(Relation from, Relation to);

#endif							/* PGTOPIC_LOG_SLOTS_REL_H */
