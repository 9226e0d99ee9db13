/*-------------------------------------------------------------------------
 *
 * describe.c
 *	  What views topic.topics, topic.partitions and topic.stat_topics show.
 *
 * Each function decides for itself whether the caller may see the topic, and
 * shows nothing if not: the views run over every topic there is.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "acl/acl.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "log/log.h"
#include "miscadmin.h"
#include "stats/stats.h"
#include "storage/bufmgr.h"
#include "topic/internal.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(pgtopic_describe);
PG_FUNCTION_INFO_V1(pgtopic_describe_partitions);
PG_FUNCTION_INFO_V1(pgtopic_describe_stats);

#define DESCRIBE_NATTS			12
#define DESCRIBE_PARTITIONS_NATTS	5
#define DESCRIBE_STATS_NATTS	7

#define MSECS_PER_DAY			(USECS_PER_DAY / 1000)

/* Opens a topic that the caller may see; NULL if it is none, or gone. */
static Relation
open_to_describe(Oid relid)
{
	Relation	rel;

	if (!relid_is_topic(relid))
		return NULL;
	rel = try_relation_open(relid, AccessShareLock);
	if (rel != NULL && (!relation_is_topic(rel) || !acl_may_describe(rel)))
	{
		relation_close(rel, AccessShareLock);
		rel = NULL;
	}
	return rel;
}

/* A duration; no limit is NULL. */
static Datum
duration_datum(int64 ms, bool *isnull)
{
	Interval   *interval = palloc0(sizeof(Interval));

	*isnull = ms < 0;
	if (!*isnull)
	{
		interval->day = (int32) (ms / MSECS_PER_DAY);
		interval->time = (ms % MSECS_PER_DAY) * 1000;
	}
	return IntervalPGetDatum(interval);
}

static HeapTuple
describe(Relation rel, TupleDesc desc)
{
	TopicSettings settings = *topic_settings(rel);
	Datum		values[DESCRIBE_NATTS];
	bool		nulls[DESCRIBE_NATTS] = {0};

	values[0] = UUIDPGetDatum(&settings.uuid);
	values[1] = Int32GetDatum(settings.partitions);
	values[2] = duration_datum(settings.retention_ms, &nulls[2]);
	values[3] = Int64GetDatum(settings.retention_bytes);
	nulls[3] = settings.retention_bytes < 0;
	values[4] = CStringGetTextDatum(cleanup_policy_name(settings.cleanup_policy));
	values[5] = Int32GetDatum(settings.max_message_bytes);
	values[6] = CStringGetTextDatum(timestamp_type_name(settings.log_append_time));
	values[7] = CStringGetTextDatum(compression_name(settings.compression));
	values[8] = duration_datum(settings.min_compaction_lag_ms, &nulls[8]);
	values[9] = duration_datum(settings.delete_retention_ms, &nulls[9]);
	values[10] = duration_datum(settings.timestamp_after_max_ms, &nulls[10]);
	values[11] = Int64GetDatum((int64) RelationGetNumberOfBlocks(rel) * BLCKSZ);
	return heap_form_tuple(desc, values, nulls);
}

/* topic.describe(relid, OUT …) */
Datum
pgtopic_describe(PG_FUNCTION_ARGS)
{
	Relation	rel = open_to_describe(PG_GETARG_OID(0));
	TupleDesc	desc;
	HeapTuple	tuple;

	if (rel == NULL)
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != DESCRIBE_NATTS)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("function topic.describe() is declared with other results")));
	tuple = describe(rel, BlessTupleDesc(desc));
	relation_close(rel, AccessShareLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(tuple));
}

/* topic.describe_partitions(relid): one row per partition */
Datum
pgtopic_describe_partitions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	rel;
	Snapshot	snapshot = GetActiveSnapshot();
	int32		partitions;

	InitMaterializedSRF(fcinfo, 0);
	rel = open_to_describe(PG_GETARG_OID(0));
	if (rel == NULL)
		PG_RETURN_NULL();

	partitions = topic_settings(rel)->partitions;
	for (int32 i = 0; i < partitions; i++)
	{
		Datum		values[DESCRIBE_PARTITIONS_NATTS];
		bool		nulls[DESCRIBE_PARTITIONS_NATTS] = {0};
		LaneInfo	lane;

		CHECK_FOR_INTERRUPTS();
		log_lane_info(rel, i, &lane);
		values[0] = Int32GetDatum(i);
		values[1] = Int64GetDatum(lane.log_start);
		values[2] = Int64GetDatum(log_stable_offset(rel, i, snapshot));
		values[3] = Int64GetDatum(lane.log_end);
		values[4] = Int64GetDatum(lane.leader_epoch);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	relation_close(rel, AccessShareLock);
	PG_RETURN_NULL();
}

/* topic.describe_stats(relid, OUT …) */
Datum
pgtopic_describe_stats(PG_FUNCTION_ARGS)
{
	Relation	rel = open_to_describe(PG_GETARG_OID(0));
	Datum		values[DESCRIBE_STATS_NATTS];
	bool		nulls[DESCRIBE_STATS_NATTS] = {0};
	TopicStats	stats = {0};
	TupleDesc	desc;

	if (rel == NULL)
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != DESCRIBE_STATS_NATTS)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("function topic.describe_stats() is declared with other results")));

	nulls[6] = !stats_get(RelationGetRelid(rel), &stats);
	values[0] = Int64GetDatum(stats.in.messages);
	values[1] = Int64GetDatum(stats.in.bytes);
	values[2] = Int64GetDatum(stats.in.batches);
	values[3] = Int64GetDatum(stats.out.messages);
	values[4] = Int64GetDatum(stats.out.bytes);
	values[5] = Int64GetDatum(stats.out.batches);
	values[6] = TimestampTzGetDatum(stats.since);
	relation_close(rel, AccessShareLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
