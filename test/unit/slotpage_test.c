/*-------------------------------------------------------------------------
 *
 * slotpage_test.c
 *	  Pages of slots: which version is the newest, which is replaced, and what
 *	  redo makes of a logged write.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "access/transam.h"
#include "log/page.h"
#include "log/slotpage.h"
#include "tap.h"

static SlotEntry
entry_of(uint32 counter0, uint32 counter1)
{
	SlotEntry	entry = {0};

	entry.key = 7;
	entry.versions[0].counter = counter0;
	entry.versions[1].counter = counter1;
	return entry;
}

static int
newest(uint32 counter0, VersionFate fate0, uint32 counter1, VersionFate fate1)
{
	SlotEntry	entry = entry_of(counter0, counter1);
	VersionFate fates[SLOT_VERSIONS] = {fate0, fate1};

	return slot_newest(&entry, fates);
}

static int
victim(uint32 counter0, VersionFate fate0, uint32 counter1, VersionFate fate1)
{
	SlotEntry	entry = entry_of(counter0, counter1);
	VersionFate fates[SLOT_VERSIONS] = {fate0, fate1};

	return slot_victim(&entry, fates);
}

static void
test_places(void)
{
	ok(slot_block(1) == 0 && slot_index(1) == 0 && slot_block(127) == 0 &&
	   slot_index(127) == 126 && slot_block(128) == 1 && slot_index(128) == 0,
	   "slots are counted from 1, 127 a page");
	ok(slot_block(SLOT_MAX) == MaxBlockNumber - 1, "the last slot is on the last block");
}

static void
test_versions(void)
{
	ok(newest(0, VERSION_DEAD, 0, VERSION_DEAD) == -1, "nothing committed, nothing found");
	ok(newest(1, VERSION_COMMITTED, 2, VERSION_COMMITTED) == 1 &&
	   newest(3, VERSION_COMMITTED, 2, VERSION_COMMITTED) == 0, "the higher counter counts");
	ok(newest(1, VERSION_COMMITTED, 2, VERSION_BUSY) == 0 &&
	   newest(1, VERSION_COMMITTED, 2, VERSION_OWN) == 0 &&
	   newest(1, VERSION_COMMITTED, 2, VERSION_DEAD) == 0 &&
	   newest(3, VERSION_DEAD, 2, VERSION_COMMITTED) == 1, "of what is committed");
	ok(newest(PG_UINT32_MAX, VERSION_COMMITTED, 0, VERSION_COMMITTED) == 1 &&
	   newest(0, VERSION_COMMITTED, PG_UINT32_MAX, VERSION_COMMITTED) == 0,
	   "counters wrap around");

	ok(victim(0, VERSION_DEAD, 0, VERSION_DEAD) == 0, "an empty slot is written at its first place");
	ok(victim(1, VERSION_COMMITTED, 0, VERSION_DEAD) == 1 &&
	   victim(1, VERSION_COMMITTED, 2, VERSION_COMMITTED) == 0 &&
	   victim(3, VERSION_COMMITTED, 2, VERSION_COMMITTED) == 1, "the newest one stays");
	ok(victim(1, VERSION_COMMITTED, 2, VERSION_OWN) == 1 &&
	   victim(2, VERSION_OWN, 1, VERSION_COMMITTED) == 0 &&
	   victim(1, VERSION_OWN, 0, VERSION_DEAD) == 0, "one's own is replaced again");
}

static void
test_encoding(void)
{
	char		bytes[SLOT_CHANGE_MAX_BYTES];
	SlotEntry	entry = entry_of(1, 2);
	SlotChange	change;
	SlotChange	decoded;
	size_t		size;
	bool		same = true;
	bool		short_refused = true;

	entry.versions[1].lost = 5;
	slot_change(&change, &entry, 126, 0, 7, 1000, 5);
	size = slot_change_encode(bytes, &change) - bytes;
	ok(size == 10 && !change.new_key && !change.new_lost, "an offset takes 10 bytes");
	slot_change(&change, &entry, 126, 0, 7, 1000, 6);
	ok(slot_change_encode(bytes, &change) - bytes == 18 && change.new_lost, "18 with a new loss");
	slot_change(&change, &entry, 126, 1, 8, 1000, 0);
	ok(slot_change_encode(bytes, &change) - bytes == 18 && change.new_key && !change.new_lost &&
	   change.version == 0, "a new owner begins at the first version, without losses");

	for (int i = 0; i < 10000; i++)
	{
		entry.key = tap_random() % 2;
		entry.versions[0].lost = tap_random() % 2;
		entry.versions[1].lost = tap_random() % 2;
		slot_change(&change, &entry, tap_random() % SLOTS_PER_PAGE, tap_random() % 2,
					tap_random() % 2, tap_random() >> 1, tap_random() % 2);
		size = slot_change_encode(bytes, &change) - bytes;
		same = same && slot_change_decode(bytes, size, &decoded) == bytes + size &&
			decoded.index == change.index && decoded.version == change.version &&
			decoded.new_key == change.new_key && decoded.new_lost == change.new_lost &&
			decoded.log_offset == change.log_offset &&
			(!change.new_key || decoded.key == change.key) &&
			(!change.new_lost || decoded.lost == change.lost);
		for (size_t cut = 0; cut < size; cut++)
			short_refused = short_refused && slot_change_decode(bytes, cut, &decoded) == NULL;
	}
	ok(same, "what is encoded is decoded");
	ok(short_refused, "what is cut off is refused");
	bytes[0] = SLOTS_PER_PAGE;
	ok(slot_change_decode(bytes, size, &decoded) == NULL, "a slot that is not there is refused");
	bytes[0] = 0;
	bytes[1] = (char) 0x80;
	ok(slot_change_decode(bytes, size, &decoded) == NULL, "an unknown flag is refused");
}

/* What the page should say, kept in the simplest way. */
typedef struct Model
{
	int64		key;
	int64		log_offset;
	int64		lost;
	bool		found;
} Model;

/*
 * Transactions one after the other, each commits or not; a second page is
 * changed by what was encoded for the first one only.
 */
static void
test_history(void)
{
	PGAlignedBlock page;
	PGAlignedBlock replica;
	Model		model[SLOTS_PER_PAGE];
	static bool committed[20001];
	bool		equal = true;
	bool		right = true;

	memset(page.data, 0xAA, BLCKSZ);
	slots_page_init(page.data);
	slots_page_init(replica.data);
	memset(model, 0, sizeof(model));
	for (int i = 0; i < SLOTS_PER_PAGE; i++)
	{
		/* so that counters pass zero on the way */
		slot_entry(page.data, i)->key = model[i].key = 1;
		for (int j = 0; j < SLOT_VERSIONS; j++)
			slot_entry(page.data, i)->versions[j].counter = PG_UINT32_MAX - 20 + j;
	}
	memcpy(replica.data, page.data, BLCKSZ);

	for (uint32 xid = FirstNormalTransactionId; xid < lengthof(committed); xid++)
	{
		Model		before[SLOTS_PER_PAGE];
		int			nwrites = 1 + tap_random() % 4;

		memcpy(before, model, sizeof(model));
		for (int i = 0; i < nwrites; i++)
		{
			int			index = tap_random() % SLOTS_PER_PAGE;
			SlotEntry  *entry = slot_entry(page.data, index);
			int64		key = tap_random() % 50 == 0 ? model[index].key + 1 : Max(model[index].key, 1);
			Model		now = {key, tap_random() >> 1, tap_random() % 3, true};
			VersionFate fates[SLOT_VERSIONS];
			char		bytes[SLOT_CHANGE_MAX_BYTES];
			size_t		size;
			SlotChange	change;

			for (int j = 0; j < SLOT_VERSIONS; j++)
			{
				uint32		writer = entry->versions[j].xid;

				fates[j] = writer == xid ? VERSION_OWN :
					committed[writer] ? VERSION_COMMITTED : VERSION_DEAD;
			}
			slot_change(&change, entry, index, slot_victim(entry, fates),
						key, now.log_offset, now.lost);
			size = slot_change_encode(bytes, &change) - bytes;
			right = right && slots_apply(page.data, xid, bytes, size);
			right = right && slots_apply(replica.data, xid, bytes, size);
			if (change.new_key)
			{
				/* gone for good, whatever becomes of the transaction */
				memset(&before[index], 0, sizeof(Model));
				before[index].key = key;
			}
			model[index] = now;
		}
		committed[xid] = tap_random() % 3 != 0;
		if (!committed[xid])
			memcpy(model, before, sizeof(model));

		equal = equal && memcmp(page.data, replica.data, BLCKSZ) == 0;
		for (int i = 0; i < SLOTS_PER_PAGE; i++)
		{
			SlotEntry  *entry = slot_entry(page.data, i);
			VersionFate fates[SLOT_VERSIONS];
			int			found;

			for (int j = 0; j < SLOT_VERSIONS; j++)
				fates[j] = committed[entry->versions[j].xid] ? VERSION_COMMITTED : VERSION_DEAD;
			found = slot_newest(entry, fates);
			right = right && (found >= 0) == model[i].found && entry->key == model[i].key;
			if (found >= 0)
				right = right && entry->versions[found].log_offset == model[i].log_offset &&
					entry->versions[found].lost == model[i].lost;
		}
	}
	ok(right, "20,000 transactions: every slot says what was committed last");
	ok(equal, "redo makes the same page");
	ok(slots_page_is(page.data), "it still is a page of slots");
	slots_opaque(page.data)->page_id = TOPIC_DATA_PAGE_ID;
	ok(!slots_page_is(page.data), "another kind of page is none");
}

int
main(void)
{
	test_places();
	test_versions();
	test_encoding();
	test_history();
	return done_testing();
}
