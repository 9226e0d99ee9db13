/*-------------------------------------------------------------------------
 *
 * slot_numbers.c
 *	  Which slots of topic.offset_slots are free.
 *
 * Slots that have been used are rows of topic.free_slots; the others come from a
 * sequence.  A sequence does not roll back: so that a consumer that fails at
 * its first commit, again and again, does not use up slots, this backend
 * remembers the numbers of transactions that rolled back.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "topic/tables.h"
#include "utils/lsyscache.h"

/* How far to look for a free slot: beyond, a new one is cheaper. */
#define FREE_SLOTS_PAGES		16

/* Numbers remembered; more of one transaction are lost if it rolls back. */
#define REMEMBERED				64

typedef struct TakenSlot
{
	int64		slot;
	SubTransactionId level;
} TakenSlot;

/* Of this transaction, and of such that rolled back; all from one sequence. */
static Oid	numbers_of = InvalidOid;
static TakenSlot taken[REMEMBERED];
static int	ntaken = 0;
static int64 spare[REMEMBERED];
static int	nspare = 0;

/* ---------- sequences ---------- */

static Oid
sequence_oid(const char *name)
{
	Oid			relid = get_relname_relid(name, get_namespace_oid("topic", false));

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("sequence topic.%s does not exist", name),
				 errhint("Create extension pgtopic in this database.")));
	return relid;
}

/*
 * Numbers are needed at PRE_COMMIT.  By then the transaction may have been SET to READ
 * ONLY, which forbids statements but not its end.  Should nextval fail, so does the
 * transaction, and the next one says by itself whether it is READ ONLY.
 */
static int64
next_of(Oid sequence)
{
	bool		read_only = XactReadOnly;
	int64		result;

	XactReadOnly = false;
	result = nextval_internal(sequence, false);
	XactReadOnly = read_only;
	return result;
}

int64
slot_new_key(void)
{
	return next_of(sequence_oid("slot_keys"));
}

/* ---------- numbers of transactions that roll back ---------- */

static void
keep_spare(int64 slot)
{
	if (nspare < REMEMBERED)
		spare[nspare++] = slot;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
			for (int i = 0; i < ntaken; i++)
				keep_spare(taken[i].slot);
			ntaken = 0;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			ntaken = 0;
			break;
		default:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId level,
					  SubTransactionId parent, void *arg)
{
	int			kept = 0;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	for (int i = 0; i < ntaken; i++)
	{
		if (taken[i].level == level && event == SUBXACT_EVENT_ABORT_SUB)
		{
			keep_spare(taken[i].slot);
			continue;
		}
		taken[kept] = taken[i];
		if (taken[kept].level == level)
			taken[kept].level = parent;
		kept++;
	}
	ntaken = kept;
}

/* A number that was never given out, or not for good. */
static int64
new_number(void)
{
	static bool registered = false;
	Oid			sequence = sequence_oid("slot_numbers");
	int64		slot;

	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		registered = true;
	}

	/* The extension was created anew, and counts from the beginning. */
	if (sequence != numbers_of)
		ntaken = nspare = 0;
	numbers_of = sequence;

	slot = nspare > 0 ? spare[--nspare] : next_of(sequence);
	if (ntaken < REMEMBERED)
	{
		taken[ntaken].slot = slot;
		taken[ntaken++].level = GetCurrentSubTransactionId();
	}
	return slot;
}

/* ---------- free slots ---------- */

/* While the extension is being dropped, one table goes before the other. */
void
slot_give_back(int64 slot)
{
	Relation	rel = table_of_room_try_open("free_slots", RowExclusiveLock);
	Datum		values[1] = {Int64GetDatum(slot)};
	bool		nulls[1] = {false};

	if (rel == NULL)
		return;
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
	table_close(rel, NoLock);
}

/*
 * A slot that this transaction has freed is not taken: if it rolls back, the
 * slot still has the offset of its old owner.  Where many have been freed and
 * taken while an old snapshot is held, the table is full of dead rows; then
 * slots beyond them wait until it has been vacuumed.
 */
int64
slot_take(void)
{
	Relation	rel = table_of_room_open("free_slots", RowExclusiveLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	int64		slot = 0;

	heap_setscanlimits(scan->scan, 0, FREE_SLOTS_PAGES);
	while (slot == 0 && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		int64		candidate = DatumGetInt64(heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull));
		ItemPointerData tid = tuple->t_self;

		CHECK_FOR_INTERRUPTS();
		if (!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)) &&
			row_delete_now(rel, &tid))
			slot = candidate;
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
	return slot != 0 ? slot : new_number();
}
