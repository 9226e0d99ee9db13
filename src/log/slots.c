/*-------------------------------------------------------------------------
 *
 * slots.c
 *	  Slots in buffers: reading, writing, freezing and copying them.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "log/directory.h"
#include "log/slots_rel.h"
#include "log/wal.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"

/* The page of a locked buffer; NULL if nothing was ever written there. */
static Page
slots_page(Relation rel, Buffer buffer)
{
	Page		page = BufferGetPage(buffer);

	if (PageIsNew(page))
		return NULL;
	if (!slots_page_is(page))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("block %u of relation \"%s\" is not a page of slots",
						BufferGetBlockNumber(buffer), RelationGetRelationName(rel))));
	return page;
}

/*
 * Under the buffer's lock: a version that is judged cannot be frozen meanwhile,
 * so its transaction is still in the commit log.  "In progress" is asked first,
 * since a transaction is in the commit log before it stops being in progress.
 */
static VersionFate
version_fate(TransactionId xid, TransactionId own)
{
	if (xid == InvalidTransactionId)
		return VERSION_DEAD;
	if (!TransactionIdIsNormal(xid))
		return VERSION_COMMITTED;
	if (xid == own)
		return VERSION_OWN;
	if (TransactionIdIsInProgress(xid))
		return VERSION_BUSY;
	return TransactionIdDidCommit(xid) ? VERSION_COMMITTED : VERSION_DEAD;
}

/* ---------- reading ---------- */

/* With a snapshot, only what it sees counts as committed. */
static void
read_entry(const SlotEntry *entry, Snapshot snapshot, SlotState *state)
{
	VersionFate fates[SLOT_VERSIONS];
	int			newest;

	memset(state, 0, sizeof(*state));
	for (int i = 0; i < SLOT_VERSIONS; i++)
	{
		fates[i] = version_fate(entry->versions[i].xid, InvalidTransactionId);
		if (fates[i] == VERSION_BUSY)
			state->busy = entry->versions[i].xid;
		else if (fates[i] == VERSION_COMMITTED && snapshot != NULL &&
				 TransactionIdIsNormal(entry->versions[i].xid) &&
				 XidInMVCCSnapshot(entry->versions[i].xid, snapshot))
			fates[i] = VERSION_DEAD;
	}
	newest = slot_newest(entry, fates);
	if (newest >= 0)
	{
		state->found = true;
		state->value.log_offset = entry->versions[newest].log_offset;
		state->value.lost = entry->versions[newest].lost;
		state->xid = entry->versions[newest].xid;
	}
}

void
slot_read(Relation rel, int64 slot, int64 key, SlotState *state)
{
	slot_read_as_of(rel, slot, key, NULL, state);
}

void
slot_read_as_of(Relation rel, int64 slot, int64 key, Snapshot snapshot, SlotState *state)
{
	Buffer		buffer;
	Page		page;

	memset(state, 0, sizeof(*state));
	if (slot < 1 || slot > SLOT_MAX || slot_block(slot) >= RelationGetNumberOfBlocks(rel))
		return;

	buffer = ReadBuffer(rel, slot_block(slot));
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = slots_page(rel, buffer);
	if (page != NULL && slot_entry(page, slot_index(slot))->key == key)
		read_entry(slot_entry(page, slot_index(slot)), snapshot, state);
	UnlockReleaseBuffer(buffer);
}

void
slots_read_page(Relation rel, BlockNumber block, BufferAccessStrategy strategy,
				SlotsPage *result)
{
	Buffer		buffer = ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
	Page		page;

	memset(result, 0, sizeof(*result));
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = slots_page(rel, buffer);
	for (int i = 0; page != NULL && i < SLOTS_PER_PAGE; i++)
	{
		result->keys[i] = slot_entry(page, i)->key;
		read_entry(slot_entry(page, i), NULL, &result->states[i]);
	}
	UnlockReleaseBuffer(buffer);
}

/* ---------- writing ---------- */

/*
 * Encodes the writes to a locked page.  Returns a transaction to wait for, or
 * InvalidTransactionId when "end" was set.  Asks the commit log, so it must be
 * done before the critical section.
 */
static TransactionId
encode_writes(Page page, const SlotWrite *writes, int nwrites, TransactionId xid,
			  char *to, char **end)
{
	for (int i = 0; i < nwrites; i++)
	{
		int			index = slot_index(writes[i].slot);
		SlotEntry	empty = {0};
		SlotEntry  *entry = page != NULL ? slot_entry(page, index) : &empty;
		VersionFate fates[SLOT_VERSIONS];
		SlotChange	change;

		for (int j = 0; j < SLOT_VERSIONS; j++)
		{
			fates[j] = version_fate(entry->versions[j].xid, xid);
			if (fates[j] == VERSION_BUSY)
				return entry->versions[j].xid;
		}
		slot_change(&change, entry, index, slot_victim(entry, fates),
					writes[i].key, writes[i].value.log_offset, writes[i].value.lost);
		to = slot_change_encode(to, &change);
	}
	*end = to;
	return InvalidTransactionId;
}

static void
write_page(Relation rel, BlockNumber block, const SlotWrite *writes, int nwrites,
		   TransactionId xid)
{
	char		changes[SLOTS_PER_PAGE * SLOT_CHANGE_MAX_BYTES];
	char	   *end = NULL;
	Buffer		buffer;
	Page		page;

	/* zeros until somebody writes there: after a crash nothing else is so */
	extent_ensure_file(rel, block + 1);
	buffer = ReadBuffer(rel, block);
	for (;;)
	{
		TransactionId busy;

		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		page = slots_page(rel, buffer);
		busy = encode_writes(page, writes, nwrites, xid, changes, &end);
		if (!TransactionIdIsValid(busy))
			break;
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		XactLockTableWait(busy, NULL, NULL, XLTW_None);
		CHECK_FOR_INTERRUPTS();
	}

	START_CRIT_SECTION();
	if (page == NULL)
		slots_page_init(BufferGetPage(buffer));
	if (!slots_apply(BufferGetPage(buffer), xid, changes, end - changes))
		elog(PANIC, "pgtopic: malformed slots");
	wal_slots(rel, buffer, page == NULL, xid, changes, end - changes);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
}

void
slots_write(Relation rel, const SlotWrite *writes, int nwrites)
{
	TransactionId xid = nwrites > 0 ? GetTopTransactionId() : InvalidTransactionId;
	int			done = 0;

	while (done < nwrites)
	{
		BlockNumber block = slot_block(writes[done].slot);
		int			n = 0;

		do
		{
			const SlotWrite *write = &writes[done + n];

			Assert(write->key != 0 && write->value.log_offset >= 0 && write->value.lost >= 0);
			Assert(done + n == 0 || write[-1].slot < write->slot);
			if (write->slot < 1 || write->slot > SLOT_MAX)
				ereport(ERROR,
						(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						 errmsg("slot " INT64_FORMAT " is outside of what relation \"%s\" can hold",
								write->slot, RelationGetRelationName(rel))));
			n++;
		} while (done + n < nwrites && slot_block(writes[done + n].slot) == block);

		CHECK_FOR_INTERRUPTS();
		write_page(rel, block, writes + done, n, xid);
		done += n;
	}
}

/* ---------- freezing ---------- */

/* What freezing does to a page. */
typedef struct PageFreeze
{
	int			low;			/* slots that change are among low..high */
	int			high;
	TransactionId newest_xid;	/* resolved */
	bool		resolve[SLOTS_PER_PAGE][SLOT_VERSIONS];
	bool		committed[SLOTS_PER_PAGE][SLOT_VERSIONS];
} PageFreeze;

/* Decides, and counts what stays as it is. */
static void
plan_freeze(Page page, TransactionId freeze_limit, PageFreeze *plan, SlotsFreeze *result)
{
	memset(plan, 0, sizeof(*plan));
	plan->low = -1;
	for (int i = 0; i < SLOTS_PER_PAGE; i++)
	{
		SlotEntry  *entry = slot_entry(page, i);

		if (entry->key != 0)
			result->found++;
		for (int j = 0; j < SLOT_VERSIONS; j++)
		{
			TransactionId xid = entry->versions[j].xid;

			if (!TransactionIdIsNormal(xid))
				continue;
			if (!TransactionIdPrecedes(xid, freeze_limit))
			{
				if (TransactionIdPrecedes(xid, result->oldest_xid))
					result->oldest_xid = xid;
				continue;
			}
			if (plan->low < 0)
				plan->low = i;
			plan->high = i;
			plan->resolve[i][j] = true;
			plan->committed[i][j] = TransactionIdDidCommit(xid);
			if (!TransactionIdIsValid(plan->newest_xid) ||
				TransactionIdPrecedes(plan->newest_xid, xid))
				plan->newest_xid = xid;
		}
	}
}

static void
apply_freeze(Page page, const PageFreeze *plan)
{
	for (int i = plan->low; i <= plan->high; i++)
	{
		SlotEntry  *entry = slot_entry(page, i);

		for (int j = 0; j < SLOT_VERSIONS; j++)
		{
			if (!plan->resolve[i][j])
				continue;
			if (plan->committed[i][j])
				entry->versions[j].xid = FrozenTransactionId;
			else
				memset(&entry->versions[j], 0, sizeof(SlotVersion));
		}
	}
}

static void
freeze_page(Relation rel, BlockNumber block, TransactionId freeze_limit,
			BufferAccessStrategy strategy, SlotsFreeze *result)
{
	Buffer		buffer = ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
	Page		page;
	PageFreeze	plan;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	page = slots_page(rel, buffer);
	if (page != NULL)
		plan_freeze(page, freeze_limit, &plan, result);
	if (page != NULL && plan.low >= 0)
	{
		WalRecord	record;

		wal_begin(&record, XLOG_TOPIC_FREEZE, 0);
		record.change.horizon = plan.newest_xid;
		record.change.offset = (uint64) block * SLOTS_PER_PAGE + plan.low + 1;
		START_CRIT_SECTION();
		apply_freeze(page, &plan);
		wal_patch(wal_page(&record, buffer, false),
				  (char *) slot_entry(page, plan.low) - (char *) page,
				  (plan.high - plan.low + 1) * sizeof(SlotEntry));
		wal_finish(&record, rel);
		END_CRIT_SECTION();
	}
	UnlockReleaseBuffer(buffer);
}

void
slots_freeze(Relation rel, TransactionId oldest_xmin, TransactionId freeze_limit,
			 BufferAccessStrategy strategy, SlotsFreeze *result)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);

	/* pages that come later hold transactions that are not before oldest_xmin */
	result->oldest_xid = oldest_xmin;
	result->found = 0;
	for (BlockNumber block = 0; block < nblocks; block++)
	{
		CHECK_FOR_INTERRUPTS();
		freeze_page(rel, block, freeze_limit, strategy, result);
	}
}

/* ---------- copying ---------- */

static void
copy_page(Relation to, BlockNumber block, Page copy)
{
	Buffer		buffer = ReadBufferExtended(to, MAIN_FORKNUM, block, RBM_ZERO_AND_LOCK, NULL);
	WalRecord	record;
	WalPage    *walpage;

	wal_begin(&record, XLOG_TOPIC_COPY, 0);
	record.change.offset = (uint64) block * SLOTS_PER_PAGE + 1;
	START_CRIT_SECTION();
	memcpy(BufferGetPage(buffer), copy, BLCKSZ);
	PageSetLSN(BufferGetPage(buffer), (XLogRecPtr) 0);
	walpage = wal_page(&record, buffer, true);
	wal_patch(walpage, DATA_PAGE_START, SLOTS_PER_PAGE * sizeof(SlotEntry));
	wal_patch(walpage, SLOTS_PAGE_END, sizeof(SlotsOpaque));
	wal_finish(&record, to);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
}

void
slots_copy(Relation from, Relation to)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(from);

	extent_ensure_file(to, nblocks);
	for (BlockNumber block = 0; block < nblocks; block++)
	{
		Buffer		buffer = ReadBuffer(from, block);
		PGAlignedBlock copy;
		bool		used;

		CHECK_FOR_INTERRUPTS();
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		used = (slots_page(from, buffer) != NULL);
		if (used)
			memcpy(copy.data, BufferGetPage(buffer), BLCKSZ);
		UnlockReleaseBuffer(buffer);
		if (used)
			copy_page(to, block, copy.data);
	}
}
