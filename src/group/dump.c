/*-------------------------------------------------------------------------
 *
 * dump.c
 *	  What pg_dump takes along of groups, and what becomes of it in pg_restore.
 *
 * A dump has names instead of role OIDs, and offsets instead of slots.  The
 * tables' triggers turn them back, row by row, so that the order of the
 * tables and of their topics does not matter.  The library itself writes
 * the tables without triggers.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "acl/acl.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "group/catalog.h"
#include "group/protection.h"
#include "group/tables.h"
#include "log/log.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(pgtopic_group_restored);
PG_FUNCTION_INFO_V1(pgtopic_grant_restored);
PG_FUNCTION_INFO_V1(pgtopic_offset_restored);
PG_FUNCTION_INFO_V1(pgtopic_protection_restored);
PG_FUNCTION_INFO_V1(pgtopic_offset_to_dump);

/* ---------- restoring ---------- */

static TriggerData *
check_trigger(FunctionCallInfo fcinfo, const char *function)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", function)));
	return trigger;
}

/* A column of the row that is being inserted. */
static Datum
column_of(TriggerData *trigger, int column, bool *isnull)
{
	return heap_getattr(trigger->tg_trigtuple, column,
						RelationGetDescr(trigger->tg_relation), isnull);
}

static const char *
group_id_of(TriggerData *trigger)
{
	bool		isnull;
	Datum		group_id = column_of(trigger, GROUPS_GROUP_ID, &isnull);

	return isnull ? "" : TextDatumGetCString(group_id);
}

/* A group whose owner is not here belongs to the database's owner. */
Datum
pgtopic_group_restored(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = check_trigger(fcinfo, "topic.group_restored");
	Datum		values[GROUPS_NATTS] = {0};
	bool		nulls[GROUPS_NATTS] = {false};
	bool		replace[GROUPS_NATTS] = {false};
	bool		isnull;
	Datum		name = column_of(trigger, GROUPS_OWNER_NAME, &isnull);
	Oid			owner;

	group_check_id(group_id_of(trigger));
	if (isnull)
		return PointerGetDatum(trigger->tg_trigtuple);

	owner = get_role_oid(NameStr(*DatumGetName(name)), true);
	if (!OidIsValid(owner))
		ereport(WARNING,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" does not exist", NameStr(*DatumGetName(name))),
				 errdetail("The database owner owns consumer group \"%s\".", group_id_of(trigger))));
	values[GROUPS_OWNER - 1] = ObjectIdGetDatum(owner);
	nulls[GROUPS_OWNER - 1] = !OidIsValid(owner);
	nulls[GROUPS_OWNER_NAME - 1] = true;
	replace[GROUPS_OWNER - 1] = replace[GROUPS_OWNER_NAME - 1] = true;
	return PointerGetDatum(heap_modify_tuple(trigger->tg_trigtuple,
											 RelationGetDescr(trigger->tg_relation),
											 values, nulls, replace));
}

/* A grant to a role that is not here is left out. */
Datum
pgtopic_grant_restored(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = check_trigger(fcinfo, "topic.grant_restored");
	Datum		values[GRANTS_NATTS] = {0};
	bool		nulls[GRANTS_NATTS] = {false};
	bool		replace[GRANTS_NATTS] = {false};
	bool		isnull;
	Datum		name = column_of(trigger, GRANTS_GRANTEE_NAME, &isnull);
	Oid			grantee = ACL_ID_PUBLIC;

	if (isnull)
		return PointerGetDatum(trigger->tg_trigtuple);

	if (strcmp(NameStr(*DatumGetName(name)), "public") != 0)
	{
		grantee = get_role_oid(NameStr(*DatumGetName(name)), true);
		if (!OidIsValid(grantee))
		{
			ereport(WARNING,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("role \"%s\" does not exist", NameStr(*DatumGetName(name))),
					 errdetail("Its privilege on consumer group \"%s\" is not restored.",
							   group_id_of(trigger))));
			return PointerGetDatum(NULL);
		}
	}
	values[GRANTS_GRANTEE - 1] = ObjectIdGetDatum(grantee);
	nulls[GRANTS_GRANTEE_NAME - 1] = true;
	replace[GRANTS_GRANTEE - 1] = replace[GRANTS_GRANTEE_NAME - 1] = true;
	return PointerGetDatum(heap_modify_tuple(trigger->tg_trigtuple,
											 RelationGetDescr(trigger->tg_relation),
											 values, nulls, replace));
}

/*
 * The slot is new, so nobody else can write it, and it is written at once: its
 * value counts only if this transaction commits.
 */
static void
write_new_slot(TriggerData *trigger, int64 slot, int64 key, int64 log_offset)
{
	SlotWrite	write = {slot, key, {log_offset, 0}};
	bool		isnull;
	Datum		lost = column_of(trigger, OFFSETS_LOST, &isnull);

	if (!isnull)
		write.value.lost = Max(DatumGetInt64(lost), 0);
	offsets_write(&write, 1);
}

/* A row without an offset says nothing: its slot is another server's. */
Datum
pgtopic_offset_restored(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = check_trigger(fcinfo, "topic.offset_restored");
	Datum		values[OFFSETS_NATTS] = {0};
	bool		nulls[OFFSETS_NATTS] = {false};
	bool		replace[OFFSETS_NATTS] = {false};
	bool		isnull;
	int64		log_offset = DatumGetInt64(column_of(trigger, OFFSETS_LOG_OFFSET, &isnull));
	int64		slot;
	int64		key;

	if (isnull || log_offset < 0)
	{
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a row of topic.group_offsets has no offset"),
				 errdetail("An offset of consumer group \"%s\" is not restored.", group_id_of(trigger)),
				 errhint("Dump with pg_dump, which reads topic.group_offsets_to_dump().")));
		return PointerGetDatum(NULL);
	}

	slot = slot_take();
	key = slot_new_key();
	write_new_slot(trigger, slot, key, log_offset);
	values[OFFSETS_SLOT - 1] = Int64GetDatum(slot);
	values[OFFSETS_KEY - 1] = Int64GetDatum(key);
	nulls[OFFSETS_LOG_OFFSET - 1] = nulls[OFFSETS_LOST - 1] = true;
	replace[OFFSETS_SLOT - 1] = replace[OFFSETS_KEY - 1] = true;
	replace[OFFSETS_LOG_OFFSET - 1] = replace[OFFSETS_LOST - 1] = true;
	return PointerGetDatum(heap_modify_tuple(trigger->tg_trigtuple,
											 RelationGetDescr(trigger->tg_relation),
											 values, nulls, replace));
}

/* Whoever applies retention has to know it. */
Datum
pgtopic_protection_restored(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = check_trigger(fcinfo, "topic.protection_restored");

	group_check_id(group_id_of(trigger));
	protections_changed(trigger->tg_relation);
	return PointerGetDatum(trigger->tg_trigtuple);
}

/* ---------- dumping ---------- */

/*
 * The offset that the dump's snapshot sees, so that it fits the messages and
 * the other tables in the dump.  A slot keeps two versions only: if both are
 * newer, the newest is better than none, and it is said.
 */
static void
read_as_of_dump(FunctionCallInfo fcinfo, Relation slots, SlotState *state)
{
	int64		slot = PG_GETARG_INT64(3);
	int64		key = PG_GETARG_INT64(4);

	slot_read_as_of(slots, slot, key, GetActiveSnapshot(), state);
	if (state->found)
		return;
	slot_read(slots, slot, key, state);
	if (state->found)
		ereport(WARNING,
				(errmsg("consumer group \"%s\" has committed offsets since the dump began",
						text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errdetail("The dump has its newest offset, %lld, in partition %d of topic %s, "
						   "which may be ahead of what the dump has of other tables.",
						   (long long) state->value.log_offset, PG_GETARG_INT32(2),
						   DatumGetCString(DirectFunctionCall1(uuid_out, PG_GETARG_DATUM(1)))),
				 errhint("Stop the group's members while you dump, or dump a standby whose replay is paused.")));
}

/*
 * topic.offset_to_dump(group_id, topic, partition, slot, key): for those who
 * may read the table.
 */
Datum
pgtopic_offset_to_dump(PG_FUNCTION_ARGS)
{
	Relation	rel = table_of_room_open("group_offsets", AccessShareLock);
	Relation	slots = table_of_room_open("offset_slots", AccessShareLock);
	TupleDesc	desc;
	SlotState	state;
	Datum		values[2];
	bool		nulls[2];

	acl_check_fetch(rel);
	table_close(rel, AccessShareLock);
	read_as_of_dump(fcinfo, slots, &state);
	table_close(slots, AccessShareLock);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != 2)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("function topic.offset_to_dump() is declared with other results")));
	nulls[0] = nulls[1] = !state.found;
	values[0] = Int64GetDatum(state.value.log_offset);
	values[1] = Int64GetDatum(state.value.lost);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
