/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  What the files of the topic room share.  No other room includes this.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_TOPIC_INTERNAL_H
#define PGTOPIC_TOPIC_INTERNAL_H

#include "access/htup.h"
#include "catalog/namespace.h"
#include "log/log.h"
#include "nodes/primnodes.h"
#include "topic/topic.h"

/*
 * Columns of topic.settings, in order.  Those from TOPIC_SETTING_FIRST on are
 * settings that users name.
 */
typedef enum SettingsColumn
{
	SETTINGS_RELID = 1,
	SETTINGS_UUID,
	SETTINGS_PARTITIONS,
	SETTINGS_RETENTION,
	SETTINGS_RETENTION_BYTES,
	SETTINGS_CLEANUP_POLICY,
	SETTINGS_MAX_MESSAGE_BYTES,
	SETTINGS_TIMESTAMP_TYPE,
	SETTINGS_COMPRESSION,
	SETTINGS_MIN_COMPACTION_LAG,
	SETTINGS_DELETE_RETENTION,
	SETTINGS_TIMESTAMP_AFTER_MAX
} SettingsColumn;

#define SETTINGS_NATTS			SETTINGS_TIMESTAMP_AFTER_MAX
#define SETTINGS_FIRST_OPTION	SETTINGS_RETENTION

/* Changes to a row of topic.settings, indexed by column - 1. */
typedef struct SettingsChange
{
	Datum		values[SETTINGS_NATTS];
	bool		nulls[SETTINGS_NATTS];
	bool		replace[SETTINGS_NATTS];
} SettingsChange;

/* Declarations of a topic's columns, for CREATE TABLE and for hints. */
typedef struct TopicColumnDef
{
	const char *name;
	const char *type;			/* schema-qualified */
} TopicColumnDef;

/* topic.c */
extern RangeVar *topic_parse_name(const char *name);
extern Oid	topic_resolve(RangeVar *name, LOCKMODE lockmode, bool owner_only,
						  bool missing_ok);
extern Oid	topic_schema_oid(void);
extern Oid	topic_header_array_oid(void);
extern const TopicColumnDef topic_columns[TOPIC_NATTS];

/* settings.c: the table */
extern void settings_change_option(SettingsChange *change, SettingsColumn column,
								   Datum value);
extern void settings_reset_option(SettingsChange *change, SettingsColumn column);
extern void settings_set_unlimited_retention(SettingsChange *change);
extern void settings_set_partitions(SettingsChange *change, int32 partitions);
extern SettingsColumn settings_column(const char *name);
extern void settings_store(Relation topic, const SettingsChange *change);
extern void settings_forget(Oid topic);
extern const char *cleanup_policy_name(CleanupPolicy policy);
extern const char *timestamp_type_name(bool log_append_time);
extern const char *compression_name(int codec);

/* ddl.c */
extern void ddl_init(void);

/* refuse.c: what a topic cannot honour */
extern void refuse_query(Query *query);
extern void refuse_alter_table(AlterTableStmt *stmt);
extern void refuse_definition(Oid relid);
extern void refuse_trigger(Oid trigger);
extern void refuse_rule(Oid rule);
extern void refuse_policy(Oid policy);
extern void refuse_constraint(Oid constraint);
extern void refuse_column_default(Oid relid);
extern void refuse_inheritance(Oid child, Oid parent);
extern void refuse_publication(List *objects);
extern void refuse_cluster(RangeVar *relation);
extern void refuse_copy_freeze(CopyStmt *stmt);

#endif							/* PGTOPIC_TOPIC_INTERNAL_H */
