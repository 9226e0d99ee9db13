/*-------------------------------------------------------------------------
 *
 * slotpage.h
 *	  Pages of slots: the pure part.  Inside the log room only.
 *
 * No buffers, no locks, no errors thrown; used by the writer, by redo and by
 * the unit tests alike.  What became of a version's transaction is told by the
 * caller.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_SLOTPAGE_H
#define PGTOPIC_LOG_SLOTPAGE_H

#include "log/format.h"

#define SLOT_MAX				((int64) MaxBlockNumber * SLOTS_PER_PAGE)

/* Where the slot of this number, from 1 to SLOT_MAX, stands. */
static inline BlockNumber
slot_block(int64 slot)
{
	return (BlockNumber) ((slot - 1) / SLOTS_PER_PAGE);
}

static inline int
slot_index(int64 slot)
{
	return (int) ((slot - 1) % SLOTS_PER_PAGE);
}

static inline SlotEntry *
slot_entry(Page page, int index)
{
	return (SlotEntry *) ((char *) page + DATA_PAGE_START) + index;
}

static inline SlotsOpaque *
slots_opaque(Page page)
{
	return (SlotsOpaque *) ((char *) page + SLOTS_PAGE_END);
}

extern void slots_page_init(Page page);

/* Whether the page is one of slots. */
extern bool slots_page_is(Page page);

/* What became of a version's transaction. */
typedef enum VersionFate
{
	VERSION_DEAD,				/* empty, or rolled back */
	VERSION_COMMITTED,
	VERSION_OWN,				/* of the transaction that asks */
	VERSION_BUSY				/* of another one in progress */
} VersionFate;

/* The newest committed version, or -1. */
extern int	slot_newest(const SlotEntry *entry, const VersionFate *fates);

/* The version that a write replaces; none may be busy. */
extern int	slot_victim(const SlotEntry *entry, const VersionFate *fates);

/* A write to one slot, as it is logged. */
typedef struct SlotChange
{
	uint8		index;
	uint8		version;
	bool		new_key;		/* clears the slot and sets its key */
	bool		new_lost;		/* else as in the other version */
	int64		log_offset;
	int64		lost;
	int64		key;
} SlotChange;

#define SLOT_CHANGE_MAX_BYTES	(2 * sizeof(uint8) + 3 * sizeof(int64))

/*
 * slot_change: what writing these values into version "victim" means.  The key
 * of a slot that changes hands takes both versions with it; then victim is 0.
 */
extern void slot_change(SlotChange *change, const SlotEntry *entry, int index, int victim,
						int64 key, int64 log_offset, int64 lost);

/* Returns the end of what was written, at most SLOT_CHANGE_MAX_BYTES on. */
extern char *slot_change_encode(char *to, const SlotChange *change);

/* Returns the end of what was read; NULL if it is no change. */
extern const char *slot_change_decode(const char *from, size_t available, SlotChange *change);

/*
 * slots_apply: does encoded changes to a page; shared by the writer and by
 * redo, which therefore cannot differ.  False if they are malformed.
 */
extern bool slots_apply(Page page, TransactionId xid, const char *changes, size_t size);

#endif							/* PGTOPIC_LOG_SLOTPAGE_H */
