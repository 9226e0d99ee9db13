/*-------------------------------------------------------------------------
 *
 * protection.c
 *	  What retention has to keep for protected groups: the group room's part of
 *	  log_retention_hook.
 *
 * The hook is called by whoever opens an extent, with the lane's lock held, and
 * so must not wait for anybody.  What it needs of the tables, which groups are protected
 * and where their offsets are, each backend remembers; the offsets themselves it
 * reads from their slots, as of now.  Where a table's lock cannot be had at
 * once, nothing goes this time.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "group/catalog.h"
#include "group/protection.h"
#include "group/tables.h"
#include "log/log.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define CAP_BY_SETTING			PG_INT64_MIN	/* not given to topic.protect() */

/* A slot that was found once; number 0: not yet. */
typedef struct KnownSlot
{
	int64		slot;
	int64		key;
} KnownSlot;

/* A row of topic.group_protections. */
typedef struct Protection
{
	char	   *group_id;
	pg_uuid_t	topic;
	int64		max_bytes;
	int32		nslots;
	KnownSlot  *slots;			/* by partition */
} Protection;

/* What this backend remembers of the tables. */
static MemoryContext cache_context = NULL;
static List *cache = NIL;		/* of Protection */
static bool cache_valid = false;
static bool cache_overtaken;	/* by an invalidation, while it was filled */
static Oid	protections_relid = InvalidOid;

static int	protect_max_kb;

static log_retention_hook_type next_retention;

static bool protection_retention(Relation rel, int32 lane, LogRetention *retention);

/* ---------- the tables ---------- */

static void
relcache_changed(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == protections_relid)
	{
		cache_valid = false;
		cache_overtaken = true;
	}
}

void
protection_init(void)
{
	DefineCustomIntVariable("pgtopic.protect_max_bytes",
							"Size up to which a partition is kept for a protected group.",
							"In force where topic.protect() is given no max_bytes; -1 is no limit.",
							&protect_max_kb, 1024 * 1024, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_KB,
							NULL, NULL, NULL);
	CacheRegisterRelcacheCallback(relcache_changed, (Datum) 0);
	next_retention = log_retention_hook;
	log_retention_hook = protection_retention;
}

void
protections_changed(Relation rel)
{
	CacheInvalidateRelcache(rel);
}

static void
delete_rows(Relation rel, SysScanDesc scan)
{
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ItemPointerData tid = tuple->t_self;

		CHECK_FOR_INTERRUPTS();
		if (row_delete(rel, &tid))
			protections_changed(rel);
	}
	systable_endscan(scan);
	CommandCounterIncrement();
}

void
protections_delete(const char *group_id)
{
	Relation	rel = table_of_room_open("group_protections", RowExclusiveLock);

	delete_rows(rel, rows_of_group(rel, group_id, NULL));
	relation_close(rel, NoLock);
}

void
protections_topic_dropped(const pg_uuid_t *topic)
{
	Relation	rel = table_of_room_try_open("group_protections", RowExclusiveLock);
	ScanKeyData key;

	if (rel == NULL)
		return;
	ScanKeyInit(&key, PROTECTIONS_TOPIC, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(topic));
	delete_rows(rel, systable_beginscan(rel, InvalidOid, false, NULL, 1, &key));
	relation_close(rel, NoLock);
}

static Protection
read_row(HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Protection	row = {
		.group_id = TextDatumGetCString(heap_getattr(tuple, PROTECTIONS_GROUP_ID, desc, &isnull)),
		.topic = *DatumGetUUIDP(heap_getattr(tuple, PROTECTIONS_TOPIC, desc, &isnull))
	};
	Datum		max_bytes = heap_getattr(tuple, PROTECTIONS_MAX_BYTES, desc, &isnull);

	row.max_bytes = isnull ? CAP_BY_SETTING : DatumGetInt64(max_bytes);
	return row;
}

static int64
cap_in_force(int64 max_bytes)
{
	if (max_bytes != CAP_BY_SETTING)
		return max_bytes;
	return protect_max_kb < 0 ? -1 : (int64) protect_max_kb * 1024;
}

int
protections_of_group(const char *group_id, GroupProtection **protections)
{
	Relation	rel = table_of_room_open("group_protections", AccessShareLock);
	SysScanDesc scan = rows_of_group(rel, group_id, NULL);
	HeapTuple	tuple;
	int			capacity = 8;
	int			n = 0;

	*protections = palloc(capacity * sizeof(GroupProtection));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Protection	row = read_row(tuple, RelationGetDescr(rel));

		if (n == capacity)
		{
			capacity *= 2;
			*protections = repalloc(*protections, capacity * sizeof(GroupProtection));
		}
		(*protections)[n].topic = row.topic;
		(*protections)[n++].max_bytes = cap_in_force(row.max_bytes);
	}
	systable_endscan(scan);
	relation_close(rel, AccessShareLock);
	return n;
}

/* ---------- what is remembered ---------- */

/* Opens a table without waiting for its lock; NULL if that cannot be. */
static Relation
open_at_once(const char *name)
{
	Oid			schema = get_namespace_oid("topic", true);
	Oid			relid = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
	Relation	rel;

	if (!OidIsValid(relid) || !ConditionalLockRelationOid(relid, AccessShareLock))
		return NULL;
	rel = try_relation_open(relid, NoLock);
	if (rel == NULL)
		UnlockRelationOid(relid, AccessShareLock);
	return rel;
}

static void
remember(const Protection *row)
{
	MemoryContext old = MemoryContextSwitchTo(cache_context);
	Protection *known = palloc(sizeof(Protection));

	*known = *row;
	known->group_id = pstrdup(row->group_id);
	cache = lappend(cache, known);
	MemoryContextSwitchTo(old);
}

/* False if the table cannot be read at once. */
static bool
cache_fill(void)
{
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (cache_valid)
		return true;
	rel = open_at_once("group_protections");
	if (rel == NULL)
		return false;
	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(CacheMemoryContext, "pgtopic protected groups",
											  ALLOCSET_SMALL_SIZES);
	MemoryContextReset(cache_context);
	cache = NIL;
	protections_relid = RelationGetRelid(rel);
	cache_overtaken = false;
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Protection	row = read_row(tuple, RelationGetDescr(rel));

		remember(&row);
		pfree(row.group_id);
	}
	systable_endscan(scan);
	relation_close(rel, AccessShareLock);
	cache_valid = !cache_overtaken;
	return true;
}

/* Where the slot of a partition is remembered. */
static KnownSlot *
known_slot(Protection *protection, int32 partition)
{
	if (partition >= protection->nslots)
	{
		int32		n = Max(partition + 1, 2 * protection->nslots);
		KnownSlot  *slots = MemoryContextAllocZero(cache_context, n * sizeof(KnownSlot));

		if (protection->nslots > 0)
			memcpy(slots, protection->slots, protection->nslots * sizeof(KnownSlot));
		protection->slots = slots;
		protection->nslots = n;
	}
	return &protection->slots[partition];
}

/* ---------- the hook ---------- */

/*
 * Looks for the slot in the table: the group may have committed its first
 * offset, or its first since its offsets were deleted.  False if the table
 * cannot be read at once.
 */
static bool
find_slot(Protection *protection, int32 partition, SlotState *state)
{
	Relation	rel = open_at_once("group_offsets");
	CommittedOffset offset;
	KnownSlot  *known = known_slot(protection, partition);

	if (rel == NULL)
		return false;
	offset_read(protection->group_id, &protection->topic, partition, &offset);
	relation_close(rel, AccessShareLock);
	known->slot = offset.slot;
	known->key = offset.key;
	*state = offset.state;
	return true;
}

/* What a group has not read; all, if it has committed nothing. */
static bool
find_floor(Relation slots, Protection *protection, int32 partition, LogFloor *floor)
{
	KnownSlot	known = *known_slot(protection, partition);
	SlotState	state = {false};

	if (known.slot != 0)
		slot_read(slots, known.slot, known.key, &state);
	if (!state.found && !find_slot(protection, partition, &state))
		return false;
	floor->offset = state.found ? state.value.log_offset : 0;
	floor->max_bytes = cap_in_force(protection->max_bytes);
	return true;
}

static List *
protections_of_topic(const pg_uuid_t *topic)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, cache)
	{
		Protection *protection = lfirst(cell);

		if (memcmp(&protection->topic, topic, UUID_LEN) == 0)
			result = lappend(result, protection);
	}
	return result;
}

/* The floors of a partition; false if what they depend on cannot be read at once. */
static bool
add_floors(Relation slots, List *protections, int32 partition, LogRetention *retention)
{
	ListCell   *cell;

	retention->floors = palloc(list_length(protections) * sizeof(LogFloor));
	foreach(cell, protections)
	{
		if (!find_floor(slots, lfirst(cell), partition,
						&retention->floors[retention->nfloors]))
			return false;
		retention->nfloors++;
	}
	return true;
}

static bool
protection_retention(Relation rel, int32 lane, LogRetention *retention)
{
	pg_uuid_t	uuid;
	List	   *protections;
	Relation	slots;
	bool		result;

	if (next_retention == NULL || !next_retention(rel, lane, retention))
		return false;
	if (retention->oldest_ms == PG_INT64_MIN && retention->max_bytes < 0)
		return true;
	uuid = topic_settings(rel)->uuid;

	/* A transaction may be long, and a group protected since it began. */
	AcceptInvalidationMessages();
	if (!cache_fill())
		return false;
	protections = protections_of_topic(&uuid);
	if (protections == NIL)
		return true;
	slots = open_at_once("offset_slots");
	if (slots == NULL)
		return false;
	result = add_floors(slots, protections, lane, retention);
	relation_close(slots, AccessShareLock);
	list_free(protections);
	return result;
}
