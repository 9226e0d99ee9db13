/*-------------------------------------------------------------------------
 *
 * producer_states.c
 *	  Where the states of idempotent producers are: from (producer, topic,
 *	  partition) to a slot.
 *
 * A row of topic.producer_states is written when a producer first meets a
 * partition; epoch and sequence are in a slot of topic.offset_slots, and
 * change without a row.  Whoever changes a state holds its lock from before it
 * read it until the end of its transaction, so that slots of producers are
 * never waited for.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "acl/acl.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "log/log.h"
#include "log/slots.h"
#include "miscadmin.h"
#include "producer/producer.h"
#include "producer/producer_states.h"
#include "storage/lmgr.h"
#include "topic/tables.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Columns of topic.producer_states. */
#define STATES_NATTS			8
#define STATES_PRODUCER_ID		1
#define STATES_TOPIC			2
#define STATES_PARTITION		3
#define STATES_SLOT				4
#define STATES_KEY				5
#define STATES_EPOCH			6	/* in dumps only, like those after it */
#define STATES_SEQUENCE			7
#define STATES_LAST_USED		8

/* Each takes a lock until the transaction ends; the table of locks is small. */
#define EXPIRED_AT_ONCE			1000

#define MS_PER_SECOND			1000

/* pgtopic.producer_expiration, in seconds; -1 = never */
static int	producer_expiration = 24 * 60 * 60;

/* ---------- a state in a slot ---------- */

/* The sequence as the offset; epoch and time, which fit into 63 bits, as the loss. */
static SlotValue
state_to_slot(const ProducerState *state)
{
	SlotValue	value;

	value.log_offset = state->sequence;
	value.lost = ((int64) state->epoch << 32) | (uint32) state->used;
	return value;
}

static void
state_from_slot(const SlotState *slot, ProducerState *state)
{
	memset(state, 0, sizeof(*state));
	if (!slot->found)
		return;
	state->known = true;
	state->sequence = slot->value.log_offset;
	state->epoch = (int32) (slot->value.lost >> 32);
	state->used = (uint32) slot->value.lost;
}

static int64
seconds_now(void)
{
	return log_timestamp_from_tz(GetCurrentTimestamp()) / MS_PER_SECOND;
}

/* ---------- the lock of a state ---------- */

/*
 * Locks of objects in a class that is not a catalog: nobody else's, advisory
 * ones included.  Where two states have the same hash, one waits for the other.
 */
static LockAcquireResult
lock_state(const ProducerKey *producer, bool dont_wait)
{
	Relation	rel = table_of_room_open("producer_states", RowExclusiveLock);
	uint64		hash = hash_bytes_extended((const unsigned char *) producer,
										   sizeof(ProducerKey), 0);
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationGetRelid(rel),
					   (uint32) hash, (uint16) (hash >> 32));
	table_close(rel, NoLock);
	return LockAcquire(&tag, ExclusiveLock, false, dont_wait);
}

void
producer_state_lock(const ProducerKey *producer)
{
	(void) lock_state(producer, false);
}

/* ---------- reading ---------- */

static int64
int64_column(HeapTuple tuple, Relation rel, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, RelationGetDescr(rel), &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static bool
find_place(Relation rel, const ProducerKey *producer, ProducerPlace *place)
{
	SysScanDesc scan = rows_by_key(rel, producer->producer_id, &producer->topic,
								   &producer->partition, NULL);
	HeapTuple	tuple = systable_getnext(scan);
	bool		found = HeapTupleIsValid(tuple);

	memset(place, 0, sizeof(*place));
	if (found)
	{
		place->slot = int64_column(tuple, rel, STATES_SLOT);
		place->key = int64_column(tuple, rel, STATES_KEY);
	}
	systable_endscan(scan);
	return found;
}

void
producer_state_read(const ProducerKey *producer, ProducerPlace *place, ProducerState *state)
{
	Relation	rel = table_of_room_open("producer_states", AccessShareLock);
	SlotState	slot = {0};

	if (find_place(rel, producer, place))
	{
		Relation	slots = table_of_room_open("offset_slots", AccessShareLock);

		slot_read(slots, place->slot, place->key, &slot);
		table_close(slots, AccessShareLock);
	}
	state_from_slot(&slot, state);
	table_close(rel, AccessShareLock);
}

/* ---------- writing ---------- */

static bool
make_place(Relation rel, const ProducerKey *producer, ProducerPlace *place)
{
	Datum		values[STATES_NATTS] = {0};
	bool		nulls[STATES_NATTS];

	place->slot = slot_take();
	place->key = slot_new_key();
	memset(nulls, true, sizeof(nulls));
	for (int i = STATES_PRODUCER_ID; i <= STATES_KEY; i++)
		nulls[i - 1] = false;
	values[STATES_PRODUCER_ID - 1] = CStringGetTextDatum(producer->producer_id);
	values[STATES_TOPIC - 1] = UUIDPGetDatum(&producer->topic);
	values[STATES_PARTITION - 1] = Int32GetDatum(producer->partition);
	values[STATES_SLOT - 1] = Int64GetDatum(place->slot);
	values[STATES_KEY - 1] = Int64GetDatum(place->key);
	if (row_insert(rel, values, nulls))
		return true;
	slot_give_back(place->slot);
	return false;
}

/*
 * Rows that are not there yet.  The lock of the state keeps everybody away
 * but those who write the table themselves, as pg_restore does.
 */
static void
make_places(ProducerWrite *writes, int nwrites)
{
	Relation	rel = table_of_room_open("producer_states", RowExclusiveLock);

	/* heap_insert() wants one; PRE_COMMIT comes after the last statement's */
	PushActiveSnapshot(GetLatestSnapshot());
	for (int i = 0; i < nwrites; i++)
	{
		while (writes[i].place.slot == 0 &&
			   !find_place(rel, writes[i].producer, &writes[i].place))
		{
			CHECK_FOR_INTERRUPTS();
			if (make_place(rel, writes[i].producer, &writes[i].place))
				break;
		}
	}
	PopActiveSnapshot();
	table_close(rel, NoLock);
}

static int
compare_writes(const void *a, const void *b)
{
	const SlotWrite *x = a;
	const SlotWrite *y = b;

	return x->slot < y->slot ? -1 : (x->slot > y->slot);
}

/* Ascending, as all writers of slots. */
static void
write_slots(SlotWrite *writes, int nwrites)
{
	Relation	slots = table_of_room_open("offset_slots", RowExclusiveLock);

	qsort(writes, nwrites, sizeof(SlotWrite), compare_writes);
	slots_write(slots, writes, nwrites);
	table_close(slots, NoLock);
}

void
producer_states_write(ProducerWrite *writes, int nwrites)
{
	SlotWrite  *slot_writes = palloc(nwrites * sizeof(SlotWrite));
	int64		now = seconds_now();

	make_places(writes, nwrites);
	for (int i = 0; i < nwrites; i++)
	{
		writes[i].state.used = now;
		slot_writes[i].slot = writes[i].place.slot;
		slot_writes[i].key = writes[i].place.key;
		slot_writes[i].value = state_to_slot(&writes[i].state);
	}
	write_slots(slot_writes, nwrites);
	pfree(slot_writes);
}

/* ---------- deleting ---------- */

void
producer_states_topic_dropped(const pg_uuid_t *topic)
{
	/* while the extension is dropped, one table goes before the other */
	Relation	rel = table_of_room_try_open("producer_states", RowExclusiveLock);
	SysScanDesc scan;
	HeapTuple	tuple;

	if (rel == NULL)
		return;
	scan = rows_of_topic(rel, topic);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		int64		slot = int64_column(tuple, rel, STATES_SLOT);
		ItemPointerData tid = tuple->t_self;

		CHECK_FOR_INTERRUPTS();
		if (row_delete(rel, &tid))
			slot_give_back(slot);
	}
	systable_endscan(scan);
	CommandCounterIncrement();
	table_close(rel, NoLock);
}

static void
key_of_row(HeapTuple tuple, Relation rel, ProducerKey *producer)
{
	TupleDesc	desc = RelationGetDescr(rel);
	bool		isnull;

	memset(producer, 0, sizeof(*producer));
	producer->topic = *DatumGetUUIDP(heap_getattr(tuple, STATES_TOPIC, desc, &isnull));
	producer->partition = DatumGetInt32(heap_getattr(tuple, STATES_PARTITION, desc, &isnull));
	strlcpy(producer->producer_id,
			TextDatumGetCString(heap_getattr(tuple, STATES_PRODUCER_ID, desc, &isnull)),
			sizeof(producer->producer_id));
}

/* Also what has no value, which only a row made by hand has not. */
static bool
unused_since(Relation slots, const ProducerPlace *place, int64 time)
{
	SlotState	slot;
	ProducerState state;

	slot_read(slots, place->slot, place->key, &slot);
	state_from_slot(&slot, &state);
	return !TransactionIdIsValid(slot.busy) && (!state.known || state.used <= time);
}

/*
 * Deletes states that were last used at this time or before it, but none that
 * somebody has locked; returns how many.
 */
static int64
delete_unused(int64 time)
{
	Relation	rel = table_of_room_open("producer_states", RowExclusiveLock);
	Relation	slots = table_of_room_open("offset_slots", AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	int			locks = 0;
	int64		deleted = 0;

	while (locks < EXPIRED_AT_ONCE && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ProducerPlace place = {int64_column(tuple, rel, STATES_SLOT),
		int64_column(tuple, rel, STATES_KEY)};
		ItemPointerData tid = tuple->t_self;
		ProducerKey producer;

		CHECK_FOR_INTERRUPTS();
		if (!unused_since(slots, &place, time))
			continue;
		key_of_row(tuple, rel, &producer);
		/* nor what this transaction itself is about to store */
		if (lock_state(&producer, true) != LOCKACQUIRE_OK)
			continue;
		locks++;
		/* somebody may have used it before we had the lock */
		if (unused_since(slots, &place, time) && row_delete_now(rel, &tid))
		{
			slot_give_back(place.slot);
			deleted++;
		}
	}
	systable_endscan(scan);
	CommandCounterIncrement();
	table_close(slots, AccessShareLock);
	table_close(rel, NoLock);
	return deleted;
}

int64
producer_expire(void)
{
	int64		deleted;

	if (producer_expiration < 0)
		return 0;
	PushActiveSnapshot(GetLatestSnapshot());
	deleted = delete_unused(seconds_now() - producer_expiration);
	PopActiveSnapshot();
	return deleted;
}

/* topic.expire_producers(unused_for interval) RETURNS bigint */
PG_FUNCTION_INFO_V1(pgtopic_expire_producers);
Datum
pgtopic_expire_producers(PG_FUNCTION_ARGS)
{
	Interval   *unused_for;
	TimestampTz time;

	log_check_writable("topic.expire_producers()");
	if (PG_ARGISNULL(0))
		PG_RETURN_INT64(producer_expire());
	unused_for = PG_GETARG_INTERVAL_P(0);
	time = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
												   TimestampTzGetDatum(GetCurrentTimestamp()),
												   IntervalPGetDatum(unused_for)));
	PG_RETURN_INT64(delete_unused(log_timestamp_from_tz(time) / MS_PER_SECOND));
}

/* ---------- dumping and restoring ---------- */

/*
 * topic.producer_to_dump(producer_id, topic, partition, slot, key): for those
 * who may read the table.  The state that the dump's snapshot sees, so that it
 * fits the messages in the dump.  A slot keeps two versions only; a state that
 * is ahead of the messages would take some for repeats that are not there, so
 * none is better then.
 */
PG_FUNCTION_INFO_V1(pgtopic_producer_to_dump);
Datum
pgtopic_producer_to_dump(PG_FUNCTION_ARGS)
{
	Relation	rel = table_of_room_open("producer_states", AccessShareLock);
	Relation	slots = table_of_room_open("offset_slots", AccessShareLock);
	TupleDesc	desc;
	SlotState	slot;
	ProducerState state;
	Datum		values[3];
	bool		nulls[3];

	acl_check_fetch(rel);
	table_close(rel, AccessShareLock);
	slot_read_as_of(slots, PG_GETARG_INT64(3), PG_GETARG_INT64(4), GetActiveSnapshot(), &slot);
	table_close(slots, AccessShareLock);
	state_from_slot(&slot, &state);
	if (!state.known)
		ereport(WARNING,
				(errmsg("producer \"%s\" has produced since the dump began",
						text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errdetail("The dump does not have its state in partition %d of topic %s: "
						   "after a restore it may begin with any sequence there.",
						   PG_GETARG_INT32(2),
						   DatumGetCString(DirectFunctionCall1(uuid_out, PG_GETARG_DATUM(1)))),
				 errhint("Stop producers while you dump, or dump a standby whose replay is paused.")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 3)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("function topic.producer_to_dump() is declared with other results")));
	nulls[0] = nulls[1] = nulls[2] = !state.known;
	values[0] = Int32GetDatum(state.epoch);
	values[1] = Int64GetDatum(state.sequence);
	values[2] = TimestampTzGetDatum(log_timestamp_to_tz(state.used * MS_PER_SECOND));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* A column of the row that a trigger is about; 0 if it is NULL. */
static Datum
column_of(TriggerData *trigger, int column, bool *complete)
{
	bool		isnull;
	Datum		value = heap_getattr(trigger->tg_trigtuple, column,
									 RelationGetDescr(trigger->tg_relation), &isnull);

	if (isnull)
		*complete = false;
	return isnull ? (Datum) 0 : value;
}

/* The state that stands in a row of a dump; false if it is incomplete. */
static bool
dumped_state(TriggerData *trigger, ProducerState *state)
{
	bool		complete = true;

	state->known = true;
	state->epoch = DatumGetInt32(column_of(trigger, STATES_EPOCH, &complete));
	state->sequence = DatumGetInt64(column_of(trigger, STATES_SEQUENCE, &complete));
	state->used = log_timestamp_from_tz(DatumGetTimestampTz(column_of(trigger, STATES_LAST_USED, &complete)))
		/ MS_PER_SECOND;
	return complete && state->epoch >= 0 && state->sequence >= 0;
}

/*
 * Trigger of topic.producer_states: puts a state of a dump into a slot.  The
 * slot is new, so nobody else can write it, and it is written at once: its value
 * counts only if this transaction commits.
 */
PG_FUNCTION_INFO_V1(pgtopic_producer_restored);
Datum
pgtopic_producer_restored(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Datum		values[STATES_NATTS] = {0};
	bool		nulls[STATES_NATTS] = {false};
	bool		replace[STATES_NATTS] = {false};
	ProducerState state;
	SlotWrite	write;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "topic.producer_restored")));
	if (!dumped_state(trigger, &state))
	{
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a row of topic.producer_states has no state"),
				 errdetail("The state of a producer is not restored."),
				 errhint("Dump with pg_dump, from a server that preloads pgtopic.")));
		return PointerGetDatum(NULL);
	}

	log_check_writable("COPY");
	write.slot = slot_take();
	write.key = slot_new_key();
	write.value = state_to_slot(&state);
	write_slots(&write, 1);
	values[STATES_SLOT - 1] = Int64GetDatum(write.slot);
	values[STATES_KEY - 1] = Int64GetDatum(write.key);
	replace[STATES_SLOT - 1] = replace[STATES_KEY - 1] = true;
	for (int i = STATES_EPOCH; i <= STATES_LAST_USED; i++)
		nulls[i - 1] = replace[i - 1] = true;
	return PointerGetDatum(heap_modify_tuple(trigger->tg_trigtuple,
											 RelationGetDescr(trigger->tg_relation),
											 values, nulls, replace));
}

void
producer_states_init(void)
{
	DefineCustomIntVariable("pgtopic.producer_expiration",
							"Sets how long an idempotent producer is remembered that does not produce.",
							"-1 = for ever. Kafka: producer.id.expiration.ms.",
							&producer_expiration,
							24 * 60 * 60,
							-1,
							INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL, NULL, NULL);
}
