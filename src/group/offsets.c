/*-------------------------------------------------------------------------
 *
 * offsets.c
 *	  Where the committed offsets of groups are: from (group, topic, partition)
 *	  to a slot.
 *
 * A row of topic.group_offsets is written when a group first meets a
 * partition; the offset itself is in the slot and changes without a row.  A
 * slot's key is a number that no other row ever had, so that who comes with an old
 * row finds nothing there.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "group/catalog.h"
#include "group/tables.h"
#include "log/log.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#define METADATA_MAX_BYTES		4096

/* ---------- reading ---------- */

static int64
int64_column(HeapTuple tuple, Relation rel, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, RelationGetDescr(rel), &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static int32
partition_of(HeapTuple tuple, Relation rel)
{
	bool		isnull;

	return DatumGetInt32(heap_getattr(tuple, OFFSETS_PARTITION, RelationGetDescr(rel), &isnull));
}

/* Fills offsets[partition - first] from the rows of a scan, and from the slots. */
static void
read_offsets(Relation rel, SysScanDesc scan, int32 first, int32 n, CommittedOffset *offsets)
{
	Relation	slots = table_of_room_open("offset_slots", AccessShareLock);
	HeapTuple	tuple;

	memset(offsets, 0, n * sizeof(CommittedOffset));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		int32		index = partition_of(tuple, rel) - first;
		CommittedOffset *offset;

		CHECK_FOR_INTERRUPTS();
		if (index < 0 || index >= n)
			continue;
		offset = &offsets[index];
		offset->slot = int64_column(tuple, rel, OFFSETS_SLOT);
		offset->key = int64_column(tuple, rel, OFFSETS_KEY);
		slot_read(slots, offset->slot, offset->key, &offset->state);
	}
	table_close(slots, AccessShareLock);
}

void
offsets_read(const char *group_id, const pg_uuid_t *topic, int32 n, CommittedOffset *offsets)
{
	Relation	rel = table_of_room_open("group_offsets", AccessShareLock);
	SysScanDesc scan = rows_of_group(rel, group_id, topic);

	read_offsets(rel, scan, 0, n, offsets);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

void
offset_read(const char *group_id, const pg_uuid_t *topic, int32 partition,
			CommittedOffset *offset)
{
	Relation	rel = table_of_room_open("group_offsets", AccessShareLock);
	SysScanDesc scan = row_of_partition(rel, group_id, topic, partition);

	read_offsets(rel, scan, partition, 1, offset);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* What was given with another offset than the committed one is void. */
static char *
metadata_of(HeapTuple tuple, Relation rel, const SlotState *state)
{
	bool		isnull;
	Datum		metadata = heap_getattr(tuple, OFFSETS_METADATA, RelationGetDescr(rel), &isnull);

	if (isnull || !state->found ||
		int64_column(tuple, rel, OFFSETS_METADATA_OFFSET) != state->value.log_offset)
		return NULL;
	return TextDatumGetCString(metadata);
}

int
offsets_of_group(const char *group_id, GroupOffset **offsets)
{
	Relation	rel = table_of_room_open("group_offsets", AccessShareLock);
	Relation	slots = table_of_room_open("offset_slots", AccessShareLock);
	SysScanDesc scan = rows_of_group(rel, group_id, NULL);
	HeapTuple	tuple;
	int			capacity = 64;
	int			n = 0;

	*offsets = palloc(capacity * sizeof(GroupOffset));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		GroupOffset *offset;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (n == capacity)
		{
			capacity *= 2;
			*offsets = repalloc_huge(*offsets, capacity * sizeof(GroupOffset));
		}
		offset = &(*offsets)[n++];
		offset->topic = *DatumGetUUIDP(heap_getattr(tuple, OFFSETS_TOPIC,
													RelationGetDescr(rel), &isnull));
		offset->partition = partition_of(tuple, rel);
		offset->committed.slot = int64_column(tuple, rel, OFFSETS_SLOT);
		offset->committed.key = int64_column(tuple, rel, OFFSETS_KEY);
		slot_read(slots, offset->committed.slot, offset->committed.key, &offset->committed.state);
		offset->metadata = metadata_of(tuple, rel, &offset->committed.state);
	}
	systable_endscan(scan);
	table_close(slots, AccessShareLock);
	table_close(rel, AccessShareLock);
	return n;
}

/* ---------- making rows ---------- */

static bool
find_slot(Relation rel, const char *group_id, const pg_uuid_t *topic, int32 partition,
		  int64 *slot, int64 *key)
{
	SysScanDesc scan = row_of_partition(rel, group_id, topic, partition);
	HeapTuple	tuple = systable_getnext(scan);

	if (HeapTupleIsValid(tuple))
	{
		*slot = int64_column(tuple, rel, OFFSETS_SLOT);
		*key = int64_column(tuple, rel, OFFSETS_KEY);
	}
	systable_endscan(scan);
	return HeapTupleIsValid(tuple);
}

static bool
make_slot(Relation rel, const char *group_id, const pg_uuid_t *topic, int32 partition,
		  int64 *slot, int64 *key)
{
	Datum		values[OFFSETS_NATTS] = {0};
	bool		nulls[OFFSETS_NATTS];

	*slot = slot_take();
	*key = slot_new_key();
	memset(nulls, true, sizeof(nulls));
	for (int i = OFFSETS_GROUP_ID; i <= OFFSETS_KEY; i++)
		nulls[i - 1] = false;
	values[OFFSETS_GROUP_ID - 1] = CStringGetTextDatum(group_id);
	values[OFFSETS_TOPIC - 1] = UUIDPGetDatum(topic);
	values[OFFSETS_PARTITION - 1] = Int32GetDatum(partition);
	values[OFFSETS_SLOT - 1] = Int64GetDatum(*slot);
	values[OFFSETS_KEY - 1] = Int64GetDatum(*key);
	if (row_insert(rel, values, nulls))
		return true;
	slot_give_back(*slot);
	return false;
}

bool
offset_find_slot(const char *group_id, const pg_uuid_t *topic, int32 partition,
				 int64 *slot, int64 *key)
{
	Relation	rel;
	bool		found;

	group_lock_rows(group_id, AccessShareLock);
	rel = table_of_room_open("group_offsets", AccessShareLock);
	found = find_slot(rel, group_id, topic, partition, slot, key);
	table_close(rel, AccessShareLock);
	return found;
}

void
offset_ensure_slot(const char *group_id, const pg_uuid_t *topic, int32 partition,
				   int64 *slot, int64 *key)
{
	Relation	rel;

	group_lock_rows(group_id, AccessShareLock);
	rel = table_of_room_open("group_offsets", RowExclusiveLock);
	while (!find_slot(rel, group_id, topic, partition, slot, key))
	{
		CHECK_FOR_INTERRUPTS();
		/* A group with offsets has a row. */
		group_ensure_row(group_id);
		if (make_slot(rel, group_id, topic, partition, slot, key))
			break;
	}
	table_close(rel, NoLock);
}

/* ---------- writing ---------- */

void
offsets_write(const SlotWrite *writes, int nwrites)
{
	Relation	slots;

	if (nwrites == 0)
		return;
	log_check_writable("commit of offsets");
	slots = table_of_room_open("offset_slots", RowExclusiveLock);
	slots_write(slots, writes, nwrites);
	table_close(slots, NoLock);
}

void
offset_check_metadata(const char *metadata)
{
	if (metadata != NULL && strlen(metadata) > METADATA_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("metadata of an offset is too large"),
				 errdetail("It must not have more than %d bytes.", METADATA_MAX_BYTES)));
}

void
offset_set_metadata(const char *group_id, const pg_uuid_t *topic, int32 partition,
					int64 log_offset, const char *metadata)
{
	Datum		values[OFFSETS_NATTS] = {0};
	bool		nulls[OFFSETS_NATTS] = {false};
	bool		replace[OFFSETS_NATTS] = {false};
	bool		had;
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	rel = table_of_room_open("group_offsets", RowExclusiveLock);
	scan = row_of_partition(rel, group_id, topic, partition);
	tuple = systable_getnext(scan);
	had = HeapTupleIsValid(tuple) && !heap_attisnull(tuple, OFFSETS_METADATA, RelationGetDescr(rel));
	if (HeapTupleIsValid(tuple) && (had || metadata != NULL))
	{
		ItemPointerData tid = tuple->t_self;

		if (metadata != NULL)
			values[OFFSETS_METADATA - 1] = CStringGetTextDatum(metadata);
		values[OFFSETS_METADATA_OFFSET - 1] = Int64GetDatum(log_offset);
		nulls[OFFSETS_METADATA - 1] = nulls[OFFSETS_METADATA_OFFSET - 1] = metadata == NULL;
		replace[OFFSETS_METADATA - 1] = replace[OFFSETS_METADATA_OFFSET - 1] = true;
		(void) row_update(rel, &tid, values, nulls, replace);
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
}

/* ---------- deleting ---------- */

static void
delete_rows(Relation rel, SysScanDesc scan)
{
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		int64		slot = int64_column(tuple, rel, OFFSETS_SLOT);
		ItemPointerData tid = tuple->t_self;

		CHECK_FOR_INTERRUPTS();
		if (row_delete(rel, &tid))
			slot_give_back(slot);
	}
	systable_endscan(scan);
	CommandCounterIncrement();
}

void
offsets_delete(const char *group_id, const pg_uuid_t *topic)
{
	Relation	rel = table_of_room_open("group_offsets", RowExclusiveLock);

	delete_rows(rel, rows_of_group(rel, group_id, topic));
	table_close(rel, NoLock);
}

void
group_topic_dropped(const pg_uuid_t *topic)
{
	Relation	rel = table_of_room_try_open("group_offsets", RowExclusiveLock);

	if (rel == NULL)
		return;
	delete_rows(rel, rows_of_topic(rel, topic));
	table_close(rel, NoLock);
}
