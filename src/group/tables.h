/*-------------------------------------------------------------------------
 *
 * tables.h
 *	  The group room's tables.  For the files that implement catalog.h, and no
 *	  others.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_TABLES_H
#define PGTOPIC_GROUP_TABLES_H

#include "topic/tables.h"

/* Columns of topic.consumer_groups. */
#define GROUPS_NATTS			4
#define GROUPS_GROUP_ID			1
#define GROUPS_OWNER			2
#define GROUPS_EPOCH			3
#define GROUPS_OWNER_NAME		4	/* in dumps only */

/* Columns of topic.group_grants. */
#define GRANTS_NATTS			4
#define GRANTS_GROUP_ID			1
#define GRANTS_GRANTEE			2	/* 0 = PUBLIC */
#define GRANTS_PRIVILEGE		3
#define GRANTS_GRANTEE_NAME		4	/* in dumps only */

/* Columns of topic.group_offsets. */
#define OFFSETS_NATTS			9
#define OFFSETS_GROUP_ID		1
#define OFFSETS_TOPIC			2
#define OFFSETS_PARTITION		3
#define OFFSETS_SLOT			4
#define OFFSETS_KEY				5
#define OFFSETS_METADATA		6
#define OFFSETS_METADATA_OFFSET	7
#define OFFSETS_LOG_OFFSET		8	/* in dumps only */
#define OFFSETS_LOST			9	/* in dumps only */

/* Columns of topic.group_protections. */
#define PROTECTIONS_NATTS		3
#define PROTECTIONS_GROUP_ID	1
#define PROTECTIONS_TOPIC		2
#define PROTECTIONS_MAX_BYTES	3	/* NULL: as pgtopic.protect_max_bytes; -1: no cap */

/* All rows of a group by the primary key; with a topic, those of the topic. */
extern SysScanDesc rows_of_group(Relation rel, const char *group_id, const pg_uuid_t *topic);

/* The one row of group_offsets, if any. */
extern SysScanDesc row_of_partition(Relation rel, const char *group_id,
									const pg_uuid_t *topic, int32 partition);

/* Rows of a group also of transactions in progress; ends as any scan. */
extern SysScanDesc rows_of_group_in_progress(Relation rel, const char *group_id,
											 SnapshotData *dirty);

#endif							/* PGTOPIC_GROUP_TABLES_H */
