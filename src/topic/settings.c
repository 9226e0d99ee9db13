/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The settings of topics: rows of topic.settings, cached in the relcache.
 *
 * A table access method gets no reloptions, so settings live in a table of the
 * extension that pg_dump takes along.  NULL in a row means the default, and a
 * topic without a row (made by CREATE TABLE, or restored before its row) has
 * nothing but defaults: so the order of a restore does not matter.
 *
 * Rows are read and written directly and not through SQL: whoever produces
 * needs a topic's settings, but no privilege on the table of them all.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "commands/trigger.h"
#include "compat.h"
#include "fmgr.h"
#include "log/log.h"
#include "topic/internal.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define MSECS_PER_DAY			(USECS_PER_DAY / 1000)
#define UNLIMITED				(-1)

static const TopicSettings default_settings = {
	.partitions = 1,
	.retention_ms = 7 * MSECS_PER_DAY,
	.retention_bytes = UNLIMITED,
	.cleanup_policy = CLEANUP_DELETE,
	.max_message_bytes = 1024 * 1024,
	.log_append_time = false,
	.compression = 0,
	.min_compaction_lag_ms = 0,
	.delete_retention_ms = MSECS_PER_DAY,
	.timestamp_after_max_ms = 60 * 60 * 1000
};

/* Names that users know, in the order of the columns. */
static const char *const option_names[] = {
	"retention", "retention_bytes", "cleanup_policy", "max_message_bytes",
	"timestamp_type", "compression", "min_compaction_lag", "delete_retention",
	"timestamp_after_max"
};

/* A value of an enumerated setting: every spelling, the first is canonical. */
typedef struct SettingChoice
{
	const char *name;
	int			value;
} SettingChoice;

static const SettingChoice cleanup_policies[] = {
	{"delete", CLEANUP_DELETE},
	{"compact", CLEANUP_COMPACT},
	{"compact,delete", CLEANUP_COMPACT_DELETE},
	{"delete,compact", CLEANUP_COMPACT_DELETE},
	{"compact, delete", CLEANUP_COMPACT_DELETE},
	{"delete, compact", CLEANUP_COMPACT_DELETE},
	{NULL, 0}
};

static const SettingChoice timestamp_types[] = {
	{"CreateTime", false},
	{"LogAppendTime", true},
	{NULL, 0}
};

/* Values are the codec bits of Kafka's batches. */
static const SettingChoice compressions[] = {
	{"none", 0},
	{"lz4", 3},
	{"zstd", 4},
	{NULL, 0}
};

PG_FUNCTION_INFO_V1(pgtopic_settings_changed);

/* ---------- names and values ---------- */

/* The value of a spelling, or -1. */
static int
choice_value(const SettingChoice *choices, const char *name)
{
	for (; choices->name != NULL; choices++)
		if (pg_strcasecmp(choices->name, name) == 0)
			return choices->value;
	return -1;
}

static const char *
choice_name(const SettingChoice *choices, int value)
{
	while (choices->value != value)
		choices++;
	return choices->name;
}

const char *
cleanup_policy_name(CleanupPolicy policy)
{
	return choice_name(cleanup_policies, policy);
}

const char *
timestamp_type_name(bool log_append_time)
{
	return choice_name(timestamp_types, log_append_time);
}

const char *
compression_name(int codec)
{
	return choice_name(compressions, codec);
}

static const char *
option_name(SettingsColumn column)
{
	return option_names[column - SETTINGS_FIRST_OPTION];
}

/* The column of a setting that a user names; 22023 if there is none. */
SettingsColumn
settings_column(const char *name)
{
	for (int i = 0; i < lengthof(option_names); i++)
		if (strcmp(option_names[i], name) == 0)
			return (SettingsColumn) (SETTINGS_FIRST_OPTION + i);

	if (strcmp(name, "partitions") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partitions cannot be reset"),
				 errhint("Partitions of a topic only grow: use topic.alter().")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("topics have no setting \"%s\"", name),
			 errhint("Settings are retention, retention_bytes, cleanup_policy, max_message_bytes, "
					 "timestamp_type, compression, min_compaction_lag, delete_retention and timestamp_after_max.")));
}

static int
check_choice(SettingsColumn column, const SettingChoice *choices, Datum value,
			 const char *hint)
{
	char	   *name = TextDatumGetCString(value);
	int			result = choice_value(choices, name);

	if (result < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for %s: \"%s\"", option_name(column), name),
				 errhint("%s", hint)));
	return result;
}

/*
 * A duration in ms.  Months count 30 days, as justify_days() has it.  "-1",
 * as in Kafka's settings (one second or one millisecond, says the interval),
 * and 'infinity' where that exists mean no limit.
 */
static int64
check_duration(SettingsColumn column, Datum value, bool unlimited_ok)
{
	Interval   *interval = DatumGetIntervalP(value);
	int64		days = (int64) interval->month * DAYS_PER_MONTH + interval->day;
	int64		ms;

	if (unlimited_ok &&
		(IntervalIsInfinite(interval) ||
		 (interval->month == 0 && interval->day == 0 &&
		  (interval->time == -USECS_PER_SEC || interval->time == -1000))))
		return UNLIMITED;

	/* Cannot overflow: 2^31 months are 5.6e18 ms. */
	ms = days * MSECS_PER_DAY + interval->time / 1000;
	if (IntervalIsInfinite(interval) || ms < 0 || ms / MSECS_PER_DAY > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is out of range", option_name(column)),
				 unlimited_ok ?
				 errhint("It must be an interval of zero or more, or '-1' for no limit.") :
				 errhint("It must be an interval of zero or more.")));
	return ms;
}

/*
 * settings_change_option: notes a new value, of the type that topic.create()
 * takes, after checking it.
 */
void
settings_change_option(SettingsChange *change, SettingsColumn column, Datum value)
{
	int			i = column - 1;

	change->replace[i] = true;
	change->nulls[i] = false;

	switch (column)
	{
		case SETTINGS_RETENTION:
		case SETTINGS_TIMESTAMP_AFTER_MAX:
			change->values[i] = Int64GetDatum(check_duration(column, value, true));
			break;
		case SETTINGS_MIN_COMPACTION_LAG:
		case SETTINGS_DELETE_RETENTION:
			change->values[i] = Int64GetDatum(check_duration(column, value, false));
			break;
		case SETTINGS_RETENTION_BYTES:
			if (DatumGetInt64(value) < UNLIMITED)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("retention_bytes is out of range"),
						 errhint("It must be zero or more, or -1 for no limit.")));
			change->values[i] = value;
			break;
		case SETTINGS_MAX_MESSAGE_BYTES:
			if (DatumGetInt32(value) < 1 || DatumGetInt32(value) > TOPIC_MAX_MESSAGE_BYTES)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("max_message_bytes is out of range"),
						 errhint("It must be between 1 and %d.", TOPIC_MAX_MESSAGE_BYTES)));
			change->values[i] = value;
			break;
		case SETTINGS_CLEANUP_POLICY:
			change->values[i] =
				CStringGetTextDatum(cleanup_policy_name(check_choice(column, cleanup_policies, value,
																	 "Values are delete, compact and compact,delete.")));
			break;
		case SETTINGS_TIMESTAMP_TYPE:
			change->values[i] =
				CStringGetTextDatum(timestamp_type_name(check_choice(column, timestamp_types, value,
																	 "Values are CreateTime and LogAppendTime.")));
			break;
		case SETTINGS_COMPRESSION:
			change->values[i] =
				CStringGetTextDatum(compression_name(check_choice(column, compressions, value,
																  "Values are none, lz4 and zstd.")));
			break;
		default:
			Assert(false);
	}
}

/* Back to the default. */
void
settings_reset_option(SettingsChange *change, SettingsColumn column)
{
	change->replace[column - 1] = true;
	change->nulls[column - 1] = true;
}

/* For topic.create(): NULL is a value of its own here. */
void
settings_set_unlimited_retention(SettingsChange *change)
{
	change->replace[SETTINGS_RETENTION - 1] = true;
	change->nulls[SETTINGS_RETENTION - 1] = false;
	change->values[SETTINGS_RETENTION - 1] = Int64GetDatum(UNLIMITED);
}

void
settings_set_partitions(SettingsChange *change, int32 partitions)
{
	change->replace[SETTINGS_PARTITIONS - 1] = true;
	change->nulls[SETTINGS_PARTITIONS - 1] = false;
	change->values[SETTINGS_PARTITIONS - 1] = Int32GetDatum(partitions);
}

/* ---------- the table ---------- */

/* Opens topic.settings; NULL while the extension is being dropped. */
static Relation
settings_table_open(LOCKMODE lockmode)
{
	Oid			schema = topic_schema_oid();
	Oid			relid = OidIsValid(schema) ? get_relname_relid("settings", schema) : InvalidOid;

	return OidIsValid(relid) ? table_open(relid, lockmode) : NULL;
}

/*
 * Begins the scan for a topic's row, as of now and not of the transaction's
 * snapshot: settings are catalog data.
 */
static SysScanDesc
settings_row_scan(Relation settings, Oid topic)
{
	Oid			index = RelationGetReplicaIndex(settings);	/* the primary key */
	ScanKeyData key;

	ScanKeyInit(&key, SETTINGS_RELID, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(topic));
	return systable_beginscan(settings, index, OidIsValid(index), NULL, 1, &key);
}

/*
 * settings_store: writes changes to the topic's row, or makes one, and lets
 * all sessions know.  The caller's lock keeps others from doing the same.
 */
void
settings_store(Relation topic, const SettingsChange *change)
{
	Relation	settings = settings_table_open(RowExclusiveLock);
	SettingsChange row = *change;
	SysScanDesc scan;
	HeapTuple	old;
	pg_uuid_t	uuid;

	if (settings == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table topic.settings does not exist"),
				 errhint("Create extension pgtopic in this database.")));

	log_uuid(topic, &uuid);
	scan = settings_row_scan(settings, RelationGetRelid(topic));
	old = systable_getnext(scan);
	if (HeapTupleIsValid(old))
	{
		HeapTuple	new = heap_modify_tuple(old, RelationGetDescr(settings), row.values,
											row.nulls, row.replace);

		CatalogTupleUpdate(settings, &old->t_self, new);
	}
	else
	{
		for (int i = 0; i < SETTINGS_NATTS; i++)
			if (!row.replace[i])
				row.nulls[i] = true;
		row.values[SETTINGS_RELID - 1] = ObjectIdGetDatum(RelationGetRelid(topic));
		row.nulls[SETTINGS_RELID - 1] = false;
		/* pg_dump takes the identity along in the row. */
		row.values[SETTINGS_UUID - 1] = UUIDPGetDatum(&uuid);
		row.nulls[SETTINGS_UUID - 1] = false;
		CatalogTupleInsert(settings,
						   heap_form_tuple(RelationGetDescr(settings), row.values, row.nulls));
	}
	systable_endscan(scan);
	table_close(settings, NoLock);

	CacheInvalidateRelcache(topic);
	CommandCounterIncrement();
	topic_note_change();
}

/*
 * settings_forget: the topic is being dropped, by whatever command.  Says
 * whether it had a row with its identity, and which.
 */
bool
settings_forget(Oid topic, pg_uuid_t *uuid)
{
	Relation	settings = settings_table_open(RowExclusiveLock);
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull = true;

	if (settings == NULL)
		return false;
	scan = settings_row_scan(settings, topic);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Datum		value = heap_getattr(tuple, SETTINGS_UUID, RelationGetDescr(settings),
										 &isnull);

		if (!isnull)
			*uuid = *DatumGetUUIDP(value);
		CatalogTupleDelete(settings, &tuple->t_self);
	}
	systable_endscan(scan);
	table_close(settings, NoLock);
	return !isnull;
}

/* ---------- settings in force ---------- */

static void
apply_int64(HeapTuple row, TupleDesc desc, SettingsColumn column, int64 *result)
{
	bool		isnull;
	Datum		value = heap_getattr(row, column, desc, &isnull);

	if (!isnull)
		*result = DatumGetInt64(value);
}

static void
apply_int32(HeapTuple row, TupleDesc desc, SettingsColumn column, int32 *result)
{
	bool		isnull;
	Datum		value = heap_getattr(row, column, desc, &isnull);

	if (!isnull)
		*result = DatumGetInt32(value);
}

/* Values outside of the table's CHECKs cannot be; keep the default if so. */
static int
read_choice(HeapTuple row, TupleDesc desc, SettingsColumn column,
			const SettingChoice *choices, int default_value)
{
	bool		isnull;
	Datum		value = heap_getattr(row, column, desc, &isnull);
	int			result = isnull ? -1 : choice_value(choices, TextDatumGetCString(value));

	return result < 0 ? default_value : result;
}

static void
apply_row(HeapTuple row, TupleDesc desc, TopicSettings *settings)
{
	bool		isnull;
	Datum		uuid = heap_getattr(row, SETTINGS_UUID, desc, &isnull);

	if (!isnull)
		settings->uuid = *DatumGetUUIDP(uuid);
	apply_int32(row, desc, SETTINGS_PARTITIONS, &settings->partitions);
	apply_int64(row, desc, SETTINGS_RETENTION, &settings->retention_ms);
	apply_int64(row, desc, SETTINGS_RETENTION_BYTES, &settings->retention_bytes);
	settings->cleanup_policy = read_choice(row, desc, SETTINGS_CLEANUP_POLICY,
										   cleanup_policies, settings->cleanup_policy);
	apply_int32(row, desc, SETTINGS_MAX_MESSAGE_BYTES, &settings->max_message_bytes);
	settings->log_append_time = read_choice(row, desc, SETTINGS_TIMESTAMP_TYPE,
											timestamp_types, settings->log_append_time);
	settings->compression = read_choice(row, desc, SETTINGS_COMPRESSION,
										compressions, settings->compression);
	apply_int64(row, desc, SETTINGS_MIN_COMPACTION_LAG, &settings->min_compaction_lag_ms);
	apply_int64(row, desc, SETTINGS_DELETE_RETENTION, &settings->delete_retention_ms);
	apply_int64(row, desc, SETTINGS_TIMESTAMP_AFTER_MAX, &settings->timestamp_after_max_ms);
}

/*
 * Reads the settings in force.  The row comes last: no invalidation message is
 * processed between its snapshot and the caller's storing of the result, so
 * that a change which the snapshot missed cannot be missed for good.
 */
static void
read_settings(Relation rel, TopicSettings *result)
{
	Relation	settings;
	SysScanDesc scan;
	HeapTuple	row;
	int32		min_partitions = log_min_partitions(rel);

	*result = default_settings;
	log_uuid(rel, &result->uuid);

	settings = settings_table_open(AccessShareLock);
	if (settings != NULL)
	{
		scan = settings_row_scan(settings, RelationGetRelid(rel));
		row = systable_getnext(scan);
		if (HeapTupleIsValid(row))
			apply_row(row, RelationGetDescr(settings), result);
		systable_endscan(scan);
		table_close(settings, AccessShareLock);
	}
	result->partitions = Max(result->partitions, min_partitions);
}

const TopicSettings *
topic_settings(Relation rel)
{
	if (rel->rd_amcache == NULL)
	{
		TopicSettings settings;
		TopicSettings *cached;

		read_settings(rel, &settings);
		cached = MemoryContextAlloc(CacheMemoryContext, sizeof(TopicSettings));
		*cached = settings;
		/* The relcache frees it when the entry is invalidated. */
		rel->rd_amcache = cached;
	}
	return rel->rd_amcache;
}

bool
settings_retention(Relation rel, int32 lane, LogRetention *retention)
{
	const TopicSettings *settings = topic_settings(rel);

	if (settings->cleanup_policy == CLEANUP_COMPACT)
		return false;
	retention->oldest_ms = PG_INT64_MIN;
	if (settings->retention_ms != UNLIMITED)
		retention->oldest_ms = log_timestamp_from_tz(GetCurrentTimestamp()) - settings->retention_ms;
	retention->max_bytes = settings->retention_bytes;
	return true;
}

void
topic_check_partition(Relation rel, int32 partition)
{
	int32		partitions = topic_settings(rel)->partitions;

	/* Rows restored by another session raise the number without a message. */
	if (partition >= partitions)
		partitions = Max(partitions, log_min_partitions(rel));

	if (partition < 0 || partition >= partitions)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic \"%s\" has no partition %d", topic_name(rel), partition),
				 errdetail("Its partitions are 0 to %d.", partitions - 1),
				 errhint("topic.alter() adds partitions.")));
}

/*
 * Trigger of topic.settings, for pg_restore and for those who edit the table:
 * settings_store() does not come by here.
 */
Datum
pgtopic_settings_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	rows[2];

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"topic.settings_changed")));

	rows[0] = trigger->tg_trigtuple;
	rows[1] = trigger->tg_newtuple; /* of UPDATE only */
	for (int i = 0; i < 2; i++)
	{
		bool		isnull;
		Oid			topic;

		if (rows[i] == NULL)
			continue;
		topic = DatumGetObjectId(heap_getattr(rows[i], SETTINGS_RELID,
											  RelationGetDescr(trigger->tg_relation), &isnull));
		if (isnull || !relid_is_topic(topic))
			continue;
		CacheInvalidateRelcacheByRelid(topic);
		topic_note_change();
		if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		{
			Datum		log_ends = heap_getattr(rows[i], SETTINGS_LOG_ENDS,
												RelationGetDescr(trigger->tg_relation), &isnull);

			if (!isnull)
				dump_restore_ends(topic, log_ends);
		}
	}
	return PointerGetDatum(NULL);
}
