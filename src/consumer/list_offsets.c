/*-------------------------------------------------------------------------
 *
 * list_offsets.c
 *	  topic.list_offsets: where the partitions of a topic begin and end.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "acl/acl.h"
#include "consumer/consumer.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(pgtopic_list_offsets);

typedef enum OffsetsColumn
{
	OFFSETS_COL_PARTITION,
	OFFSETS_COL_LOG_START,
	OFFSETS_COL_LAST_STABLE,
	OFFSETS_COL_LOG_END,
	OFFSETS_COL_OFFSET_AT
} OffsetsColumn;

#define OFFSETS_NATTS	5

/*
 * The time to look for, in ms as the log keeps it: the first whole millisecond
 * at or after "at".  False if no message can be that late.
 */
static bool
search_time(TimestampTz at, int64 *ms)
{
	if (TIMESTAMP_IS_NOEND(at))
		return false;
	if (TIMESTAMP_IS_NOBEGIN(at))
	{
		*ms = PG_INT64_MIN;
		return true;
	}

	*ms = log_timestamp_from_tz(at);
	if (log_timestamp_to_tz(*ms) < at)
		(*ms)++;
	return true;
}

Datum
pgtopic_list_offsets(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Snapshot	snapshot = GetActiveSnapshot();
	Relation	topic;
	int32		partitions;
	int64		ms = 0;
	bool		search;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "topic")));

	search = !PG_ARGISNULL(1) && search_time(PG_GETARG_TIMESTAMPTZ(1), &ms);
	topic = topic_open(text_to_cstring(PG_GETARG_TEXT_PP(0)), AccessShareLock);
	acl_check_fetch(topic);
	InitMaterializedSRF(fcinfo, 0);

	partitions = topic_settings(topic)->partitions;
	for (int32 partition = 0; partition < partitions; partition++)
	{
		Datum		values[OFFSETS_NATTS];
		bool		isnull[OFFSETS_NATTS] = {0};
		LaneOffsets offsets;

		CHECK_FOR_INTERRUPTS();
		log_offsets(topic, partition, snapshot, search ? &ms : NULL, &offsets);

		values[OFFSETS_COL_PARTITION] = Int32GetDatum(partition);
		values[OFFSETS_COL_LOG_START] = Int64GetDatum(offsets.log_start);
		values[OFFSETS_COL_LAST_STABLE] = Int64GetDatum(offsets.stable);
		values[OFFSETS_COL_LOG_END] = Int64GetDatum(offsets.log_end);
		values[OFFSETS_COL_OFFSET_AT] = Int64GetDatum(offsets.at);
		isnull[OFFSETS_COL_OFFSET_AT] = offsets.at < 0;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}

	topic_close(topic);
	return (Datum) 0;
}
