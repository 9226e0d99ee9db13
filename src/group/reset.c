/*-------------------------------------------------------------------------
 *
 * reset.c
 *	  topic.reset_offsets: sets the committed offsets of a group without
 *	  members to another place.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "acl/acl.h"
#include "common/int.h"
#include "errors.h"
#include "fmgr.h"
#include "funcapi.h"
#include "group/catalog.h"
#include "group/transaction.h"
#include "log/log.h"
#include "miscadmin.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(pgtopic_reset_offsets);

#define RESET_NATTS				3

typedef enum ResetTargetKind
{
	TARGET_EARLIEST,
	TARGET_LATEST,
	TARGET_OFFSET,
	TARGET_SHIFT,				/* relative to the committed offset */
	TARGET_TIME
} ResetTargetKind;

typedef struct ResetTarget
{
	ResetTargetKind kind;
	int64		value;			/* an offset, a distance, or ms since 1970 */
} ResetTarget;

typedef struct Reset
{
	const char *group_id;
	Relation	topic;
	pg_uuid_t	uuid;
	ResetTarget target;
	bool		dry_run;
	int64		skipped;		/* trimmed messages, of all partitions */
} Reset;

/* ---------- the target ---------- */

static void
refuse_target(const char *target, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid target \"%s\"", target),
			 detail ? errdetail_internal("%s", detail) : 0,
			 errhint("Targets are earliest, latest, an offset, +n or -n from the committed offset, "
					 "and a timestamp.")));
}

/* A timestamp as timestamptz takes it; what it refuses is no target. */
static TimestampTz
parse_timestamp(const char *target)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz result = 0;

	PG_TRY();
	{
		result = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
														 CStringGetDatum(target),
														 ObjectIdGetDatum(InvalidOid),
														 Int32GetDatum(-1)));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		refuse_target(target, psprintf("It is not a timestamp: %s.", error->message));
	}
	PG_END_TRY();
	return result;
}

/* Whether it is digits, with a sign or without. */
static bool
looks_like_number(const char *target)
{
	const char *digits = target + (target[0] == '+' || target[0] == '-');

	return digits[0] != '\0' && strspn(digits, "0123456789") == strlen(digits);
}

static ResetTarget
parse_number(const char *target)
{
	bool		sign = target[0] == '+' || target[0] == '-';
	ResetTarget result = {sign ? TARGET_SHIFT : TARGET_OFFSET, 0};

	errno = 0;
	result.value = strtoi64(target, NULL, 10);
	if (errno == ERANGE)
		refuse_target(target, _("The number is out of range."));
	return result;
}

static ResetTarget
parse_target(const char *target)
{
	ResetTarget result = {TARGET_TIME, 0};
	TimestampTz at;

	if (pg_strcasecmp(target, "earliest") == 0)
		return (ResetTarget) {TARGET_EARLIEST, 0};
	if (pg_strcasecmp(target, "latest") == 0)
		return (ResetTarget) {TARGET_LATEST, 0};
	if (looks_like_number(target))
		return parse_number(target);

	at = parse_timestamp(target);
	if (TIMESTAMP_IS_NOBEGIN(at))
		return (ResetTarget) {TARGET_EARLIEST, 0};
	if (TIMESTAMP_IS_NOEND(at))
		return (ResetTarget) {TARGET_LATEST, 0};

	/* The first whole millisecond at or after it. */
	result.value = log_timestamp_from_tz(at);
	if (log_timestamp_to_tz(result.value) < at)
		result.value++;
	return result;
}

/* ---------- the reset ---------- */

/*
 * Where the target is in a partition.  "latest" is the first offset whose
 * transaction is open, as for a consumer: what commits later is not skipped.  A
 * shift of what was never committed starts at the log start.
 */
static int64
find_target(const Reset *reset, int32 partition, const CommittedOffset *committed,
			LaneOffsets *offsets)
{
	const ResetTarget *target = &reset->target;
	int64		base;
	int64		result = 0;

	log_offsets(reset->topic, partition, GetActiveSnapshot(),
				target->kind == TARGET_TIME ? &target->value : NULL, offsets);
	switch (target->kind)
	{
		case TARGET_EARLIEST:
			return offsets->log_start;
		case TARGET_LATEST:
			return offsets->stable;
		case TARGET_TIME:
			return offsets->at >= 0 ? offsets->at : offsets->stable;
		case TARGET_OFFSET:
			result = target->value;
			break;
		case TARGET_SHIFT:
			base = committed->state.found ? committed->state.value.log_offset : offsets->log_start;
			if (pg_add_s64_overflow(base, target->value, &result))
				result = target->value < 0 ? 0 : PG_INT64_MAX;
			break;
	}
	return Min(Max(result, offsets->log_start), offsets->log_end);
}

static void
note_reset(const Reset *reset, int32 partition, const SlotValue *value)
{
	OffsetNote	offset = {
		.group_id = reset->group_id,
		.relid = RelationGetRelid(reset->topic),
		.topic = reset->uuid,
		.partition = partition,
		.value = *value
	};

	note_offset_of_empty_group(&offset, false);
}

static void
reset_partition(Reset *reset, int32 partition, ReturnSetInfo *rsinfo)
{
	Datum		values[RESET_NATTS];
	bool		nulls[RESET_NATTS] = {false};
	CommittedOffset committed;
	LaneOffsets offsets;
	SlotValue	value = {0, 0};
	int64		old;

	offset_read(reset->group_id, &reset->uuid, partition, &committed);
	if (committed.state.found)
		value = committed.state.value;
	old = value.log_offset;
	value.log_offset = find_target(reset, partition, &committed, &offsets);
	if (committed.state.found && old < offsets.log_start)
	{
		value.lost += offsets.log_start - old;
		reset->skipped += offsets.log_start - old;
	}
	if (!reset->dry_run)
		note_reset(reset, partition, &value);

	values[0] = Int32GetDatum(partition);
	values[1] = Int64GetDatum(old);
	nulls[1] = !committed.state.found;
	values[2] = Int64GetDatum(value.log_offset);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
reset_all(Reset *reset, ReturnSetInfo *rsinfo)
{
	int32		partitions = topic_settings(reset->topic)->partitions;

	for (int32 i = 0; i < partitions; i++)
	{
		CHECK_FOR_INTERRUPTS();
		reset_partition(reset, i, rsinfo);
	}
}

static void
warn_of_lost_messages(const Reset *reset)
{
	ereport(WARNING,
			(errmsg_plural("consumer group \"%s\" has not read %lld message of topic \"%s\" before it was trimmed",
						   "consumer group \"%s\" has not read %lld messages of topic \"%s\" before they were trimmed",
						   (unsigned long) reset->skipped,
						   reset->group_id, (long long) reset->skipped, topic_name(reset->topic)),
			 errdetail("They are counted as lost in view topic.lag.")));
}

static char *
text_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* topic.reset_offsets(group_id, topic, target, partition, dry_run) */
Datum
pgtopic_reset_offsets(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Reset		reset = {0};

	reset.group_id = text_argument(fcinfo, 0, "group_id");
	reset.target = parse_target(text_argument(fcinfo, 2, "target"));
	reset.dry_run = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	reset.topic = topic_open(text_argument(fcinfo, 1, "topic"), AccessShareLock);
	reset.uuid = topic_settings(reset.topic)->uuid;
	acl_check_fetch(reset.topic);
	(void) group_check(reset.group_id, reset.dry_run ? GROUP_DESCRIBE : GROUP_READ, false);
	if (!reset.dry_run)
	{
		log_check_writable("topic.reset_offsets()");
		require_empty_group(reset.group_id);

		/* Waits for one that deletes the group or its offsets; then looks again. */
		group_lock_rows(reset.group_id, AccessShareLock);
		(void) group_check(reset.group_id, GROUP_READ, false);
	}

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(3))
		reset_all(&reset, rsinfo);
	else
	{
		topic_check_partition(reset.topic, PG_GETARG_INT32(3));
		reset_partition(&reset, PG_GETARG_INT32(3), rsinfo);
	}
	if (reset.skipped > 0)
		warn_of_lost_messages(&reset);
	topic_close(reset.topic);
	PG_RETURN_NULL();
}
