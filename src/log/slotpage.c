/*-------------------------------------------------------------------------
 *
 * slotpage.c
 *	  Pages of slots: the pure part.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "log/page.h"
#include "log/slotpage.h"

/* Flags of an encoded change. */
#define CHANGE_VERSION			0x01
#define CHANGE_KEY				0x02
#define CHANGE_LOST				0x04
#define CHANGE_FLAGS			(CHANGE_VERSION | CHANGE_KEY | CHANGE_LOST)

void
slots_page_init(Page page)
{
	topic_page_init(page, sizeof(SlotsOpaque), SLOTS_PER_PAGE * sizeof(SlotEntry));
	slots_opaque(page)->page_id = TOPIC_SLOTS_PAGE_ID;
}

bool
slots_page_is(Page page)
{
	return ((PageHeader) page)->pd_special == SLOTS_PAGE_END &&
		page_lower(page) == DATA_PAGE_START + SLOTS_PER_PAGE * sizeof(SlotEntry) &&
		slots_opaque(page)->page_id == TOPIC_SLOTS_PAGE_ID;
}

int
slot_newest(const SlotEntry *entry, const VersionFate *fates)
{
	if (fates[0] != VERSION_COMMITTED)
		return fates[1] == VERSION_COMMITTED ? 1 : -1;
	if (fates[1] != VERSION_COMMITTED)
		return 0;
	return (int32) (entry->versions[1].counter - entry->versions[0].counter) > 0 ? 1 : 0;
}

/*
 * One's own version is replaced again: the other one is what holds if the
 * transaction fails.
 */
int
slot_victim(const SlotEntry *entry, const VersionFate *fates)
{
	Assert(fates[0] != VERSION_BUSY && fates[1] != VERSION_BUSY);
	if (fates[0] == VERSION_OWN)
		return 0;
	if (fates[1] == VERSION_OWN)
		return 1;
	return slot_newest(entry, fates) == 0 ? 1 : 0;
}

void
slot_change(SlotChange *change, const SlotEntry *entry, int index, int victim,
			int64 key, int64 log_offset, int64 lost)
{
	change->index = (uint8) index;
	change->new_key = (entry->key != key);
	change->version = (uint8) (change->new_key ? 0 : victim);
	change->log_offset = log_offset;
	change->lost = lost;
	change->key = key;
	change->new_lost =
		(lost != (change->new_key ? 0 : entry->versions[1 - victim].lost));
}

/* Copies a field and moves on. */
#define PUT(to, value) (memcpy((to), &(value), sizeof(value)), (to) += sizeof(value))
#define GET(from, value) (memcpy(&(value), (from), sizeof(value)), (from) += sizeof(value))

char *
slot_change_encode(char *to, const SlotChange *change)
{
	uint8		flags = change->version |
	(change->new_key ? CHANGE_KEY : 0) | (change->new_lost ? CHANGE_LOST : 0);

	PUT(to, change->index);
	PUT(to, flags);
	PUT(to, change->log_offset);
	if (change->new_lost)
		PUT(to, change->lost);
	if (change->new_key)
		PUT(to, change->key);
	return to;
}

const char *
slot_change_decode(const char *from, size_t available, SlotChange *change)
{
	uint8		flags;
	size_t		needed = 2 * sizeof(uint8) + sizeof(int64);

	if (available < needed)
		return NULL;
	memset(change, 0, sizeof(*change));
	GET(from, change->index);
	GET(from, flags);
	change->version = flags & CHANGE_VERSION;
	change->new_key = (flags & CHANGE_KEY) != 0;
	change->new_lost = (flags & CHANGE_LOST) != 0;
	needed += (change->new_key + change->new_lost) * sizeof(int64);
	if (available < needed || (flags & ~CHANGE_FLAGS) != 0 || change->index >= SLOTS_PER_PAGE)
		return NULL;
	GET(from, change->log_offset);
	if (change->new_lost)
		GET(from, change->lost);
	if (change->new_key)
		GET(from, change->key);
	return from;
}

/*
 * The counter follows the other version's, whatever became of that one: it is
 * the newest committed one, or it will never count.
 */
static void
apply_change(SlotEntry *entry, TransactionId xid, const SlotChange *change)
{
	SlotVersion *version = &entry->versions[change->version];
	SlotVersion *other = &entry->versions[1 - change->version];

	if (change->new_key)
	{
		memset(entry, 0, sizeof(*entry));
		entry->key = change->key;
	}
	version->log_offset = change->log_offset;
	version->lost = change->new_lost ? change->lost : other->lost;
	version->counter = other->counter + 1;
	version->xid = xid;
}

bool
slots_apply(Page page, TransactionId xid, const char *changes, size_t size)
{
	const char *end = changes + size;

	while (changes < end)
	{
		SlotChange	change;

		changes = slot_change_decode(changes, end - changes, &change);
		if (changes == NULL)
			return false;
		apply_change(slot_entry(page, change.index), xid, &change);
	}
	return true;
}
