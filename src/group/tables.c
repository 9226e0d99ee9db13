/*-------------------------------------------------------------------------
 *
 * tables.c
 *	  Finding rows of the group room's tables.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "group/tables.h"
#include "utils/snapmgr.h"

SysScanDesc
rows_of_group(Relation rel, const char *group_id, const pg_uuid_t *topic)
{
	return rows_by_key(rel, group_id, topic, NULL, NULL);
}

SysScanDesc
row_of_partition(Relation rel, const char *group_id, const pg_uuid_t *topic, int32 partition)
{
	return rows_by_key(rel, group_id, topic, &partition, NULL);
}

SysScanDesc
rows_of_group_in_progress(Relation rel, const char *group_id, SnapshotData *dirty)
{
	InitDirtySnapshot(*dirty);
	return rows_by_key(rel, group_id, NULL, NULL, dirty);
}
