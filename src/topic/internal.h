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
#include "compat.h"
#include "log/log.h"
#include "nodes/parsenodes.h"
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
	SETTINGS_TIMESTAMP_AFTER_MAX,
	SETTINGS_LOG_ENDS			/* in dumps only */
} SettingsColumn;

#define SETTINGS_NATTS			SETTINGS_LOG_ENDS
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
extern bool settings_forget(Oid topic, pg_uuid_t *uuid);

/* log_retention_hook: what the settings let go. */
extern bool settings_retention(Relation rel, int32 lane, LogRetention *retention);
extern const char *cleanup_policy_name(CleanupPolicy policy);
extern const char *timestamp_type_name(bool log_append_time);
extern const char *compression_name(int codec);

/* dump.c */
extern bool dump_reads_function(Node *statement);
extern PlannedStmt *dump_function_statement(PlannedStmt *planned);
extern void dump_restore_ends(Oid topic, Datum log_ends);

/* ddl.c */
extern void ddl_init(void);

/* compaction.c */
extern void compaction_init(void);

/* What to use instead of what a topic cannot honour. */
#define HINT_COLUMNS \
	"The columns of a topic are fixed; whatever else a message needs goes into its value or headers."
#define HINT_CONSTRAINTS \
	"Check messages before they are produced, for example in a function that calls topic.produce()."
#define HINT_INDEX \
	"Reading by partition with log_offset or timestamp needs no index; for other look-ups consume the topic into a table."
#define HINT_UNLOGGED \
	"Topics are always logged; produce with synchronous_commit = off where losing the last messages is acceptable."
#define HINT_CLUSTER \
	"Messages are stored in the order of their offsets; VACUUM FULL rewrites a topic."
#define HINT_INHERITANCE \
	"topic.alter() adds partitions; a view with UNION ALL reads several topics."
#define HINT_ACCESS_METHOD \
	"Create the other table and copy with INSERT ... SELECT."
#define HINT_PUBLICATION \
	"Consume topics with topic.fetch() instead, or replicate the whole server with streaming replication."
#define HINT_ROW_SECURITY \
	"Use GRANT and REVOKE, with one topic for each group of readers, or grant a view instead of the topic."

/* refuse.c: statements that a topic cannot honour; all throw 0A000 */
extern void refuse(const char *what, const char *hint) pg_attribute_noreturn();
extern void refuse_query(Query *query);
extern void refuse_alter_table(AlterTableStmt *stmt);
extern void refuse_index(IndexStmt *stmt);
extern void refuse_cluster(ClusterStmt *stmt);
extern void refuse_copy_freeze(CopyStmt *stmt);
extern void refuse_publication(List *objects);
extern void warn_publication(bool all_tables, List *objects);
extern bool storage_parameter_allowed(const char *name);
extern void refuse_storage_parameter(const char *name) pg_attribute_noreturn();

/* definition.c: what the catalogs may say about a topic; all throw 0A000 */
extern bool check_definition(Oid relid);	/* whether it is a topic */
extern void check_column_default(Oid relid);
extern void check_constraint(Oid constraint);
extern void check_trigger(Oid trigger);
extern void check_rule(Oid rule);
extern void check_policy(Oid policy);
extern void check_inheritance(Oid child, Oid parent);

#endif							/* PGTOPIC_TOPIC_INTERNAL_H */
