/*-------------------------------------------------------------------------
 *
 * tables.c
 *	  Rows of the extension's own tables: finding, making and deleting them.
 *
 * PostgreSQL's functions for catalogs would do for most of it, but not where
 * two transactions make the same row: the second has to wait, and then to use
 * the other's row, also in REPEATABLE READ.  So a row is made as INSERT ... ON
 * CONFLICT DO NOTHING makes it, without a statement around it.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "compat.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "topic/tables.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

/* ---------- tables ---------- */

Relation
table_of_room_try_open(const char *name, LOCKMODE lockmode)
{
	Oid			schema = get_namespace_oid("topic", true);
	Oid			relid = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;

	return OidIsValid(relid) ? table_open(relid, lockmode) : NULL;
}

Relation
table_of_room_open(const char *name, LOCKMODE lockmode)
{
	Relation	rel = table_of_room_try_open(name, lockmode);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table topic.%s does not exist", name),
				 errhint("Create extension pgtopic in this database.")));
	return rel;
}

/* ---------- finding rows ---------- */

SysScanDesc
rows_by_key(Relation rel, const char *name, const pg_uuid_t *topic,
			const int32 *partition, Snapshot snapshot)
{
	Oid			index = RelationGetReplicaIndex(rel);	/* the primary key */
	ScanKeyData keys[3];
	int			nkeys = 1;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(name));
	if (topic != NULL)
		ScanKeyInit(&keys[nkeys++], 2, BTEqualStrategyNumber, F_UUID_EQ,
					UUIDPGetDatum(topic));
	if (partition != NULL)
		ScanKeyInit(&keys[nkeys++], 3, BTEqualStrategyNumber, F_INT4EQ,
					Int32GetDatum(*partition));
	return systable_beginscan(rel, index, OidIsValid(index), snapshot, nkeys, keys);
}

SysScanDesc
rows_of_topic(Relation rel, const pg_uuid_t *topic)
{
	char	   *name = psprintf("%s_topic", RelationGetRelationName(rel));
	Oid			index = get_relname_relid(name, RelationGetNamespace(rel));
	ScanKeyData key;

	ScanKeyInit(&key, 2, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(topic));
	return systable_beginscan(rel, index, OidIsValid(index), NULL, 1, &key);
}

/* ---------- making rows ---------- */

/* One try; false if another row came in between, and the next try will see it. */
static bool
insert_speculatively(ResultRelInfo *info, TupleTableSlot *slot, EState *estate)
{
	TransactionId xid = GetCurrentTransactionId();
	uint32		token = SpeculativeInsertionLockAcquire(xid);
	bool		conflict = false;

	table_tuple_insert_speculative(info->ri_RelationDesc, slot, GetCurrentCommandId(true),
								   0, NULL, token);
	InsertIndexTuplesUnlessDuplicate(info, slot, estate, &conflict);
	table_tuple_complete_speculative(info->ri_RelationDesc, slot, token, !conflict);
	SpeculativeInsertionLockRelease(xid);
	return !conflict;
}

bool
row_insert(Relation rel, Datum *values, bool *nulls)
{
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *info = makeNode(ResultRelInfo);
	TupleDesc	desc = RelationGetDescr(rel);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	ItemPointerData conflict;
	bool		made = false;

	memcpy(slot->tts_values, values, desc->natts * sizeof(Datum));
	memcpy(slot->tts_isnull, nulls, desc->natts * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(rel);
	InitResultRelInfo(info, rel, 1, NULL, 0);
	ExecOpenIndices(info, true);

	/* The check waits for a transaction that is making the same row. */
	while (!made && CheckIndexConstraints(info, slot, estate, &conflict))
	{
		CHECK_FOR_INTERRUPTS();
		made = insert_speculatively(info, slot, estate);
	}

	ExecCloseIndices(info);
	ExecDropSingleTupleTableSlot(slot);
	FreeExecutorState(estate);
	if (made)
		CommandCounterIncrement();
	return made;
}

/* ---------- changing and deleting rows ---------- */

bool
row_delete(Relation rel, ItemPointer tid)
{
	ItemPointerData current = *tid;
	TM_FailureData failure;

	for (;;)
	{
		TM_Result	result = table_tuple_delete(rel, &current, GetCurrentCommandId(true),
												InvalidSnapshot, InvalidSnapshot, true,
												&failure, false);

		CHECK_FOR_INTERRUPTS();
		if (result == TM_Ok)
			return true;
		if (result != TM_Updated)
			return false;
		current = failure.ctid;
	}
}

bool
row_delete_now(Relation rel, ItemPointer tid)
{
	TM_FailureData failure;

	return table_tuple_delete(rel, tid, GetCurrentCommandId(true), InvalidSnapshot,
							  InvalidSnapshot, false, &failure, false) == TM_Ok;
}

bool
row_update(Relation rel, ItemPointer tid, Datum *values, bool *nulls, bool *replace)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TM_FailureData failure;
	ItemPointerData current = *tid;
	TM_Result	result;

	result = table_tuple_lock(rel, &current, SnapshotAny, slot, GetCurrentCommandId(true),
							  LockTupleNoKeyExclusive, LockWaitBlock,
							  TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
	if (result == TM_Ok)
	{
		bool		should_free;
		HeapTuple	old = ExecFetchSlotHeapTuple(slot, false, &should_free);
		HeapTuple	new = heap_modify_tuple(old, RelationGetDescr(rel), values, nulls, replace);

		current = old->t_self;
		CatalogTupleUpdate(rel, &current, new);
		CommandCounterIncrement();
	}
	ExecDropSingleTupleTableSlot(slot);
	return result == TM_Ok;
}
