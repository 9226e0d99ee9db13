/*-------------------------------------------------------------------------
 *
 * compaction.c
 *	  When and how topics are compacted: topic.compact(), what the maintenance
 *	  worker calls, and what topic.compactions shows of those that run.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "acl/acl.h"
#include "compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "log/log.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "topic/internal.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(pgtopic_compact);
PG_FUNCTION_INFO_V1(pgtopic_running_compactions);

#define COMPACT_NATTS				4
#define RUNNING_COMPACTIONS_NATTS	6

/* Kafka's min.cleanable.dirty.ratio */
#define MIN_DIRTY_RATIO		0.5

static int	compaction_memory = 64 * 1024;
static int	compaction_rate = 0;

/* ---------- those that run ---------- */

#define SHOWN_COMPACTIONS	64

typedef struct ShownCompaction
{
	int			pid;			/* 0: free */
	Oid			database;
	Oid			topic;
	int32		lane;
	int64		done;			/* bytes */
	int64		total;
	TimestampTz started;
} ShownCompaction;

typedef struct ShownCompactions
{
	LWLockPadded *lock;
	ShownCompaction entries[SHOWN_COMPACTIONS];
} ShownCompactions;

static ShownCompactions *shown = NULL;
static shmem_request_hook_type prev_request_hook = NULL;
static shmem_startup_hook_type prev_startup_hook = NULL;

static void
request_shown(void)
{
	if (prev_request_hook)
		prev_request_hook();
	RequestAddinShmemSpace(sizeof(ShownCompactions));
	RequestNamedLWLockTranche("pgtopic compactions", 1);
}

static void
start_shown(void)
{
	bool		found;

	if (prev_startup_hook)
		prev_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shown = ShmemInitStruct("pgtopic compactions", sizeof(ShownCompactions), &found);
	if (!found)
	{
		memset(shown, 0, sizeof(ShownCompactions));
		shown->lock = GetNamedLWLockTranche("pgtopic compactions");
	}
	LWLockRelease(AddinShmemInitLock);
}

/* A place to tell how far we are; NULL if all are taken. */
static pg_noinline ShownCompaction *
show_compaction(Relation topic)
{
	ShownCompaction *entry = NULL;

	if (shown == NULL)
		return NULL;
	LWLockAcquire(&shown->lock->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SHOWN_COMPACTIONS && entry == NULL; i++)
	{
		if (shown->entries[i].pid == 0)
			entry = &shown->entries[i];
	}
	if (entry != NULL)
	{
		entry->pid = MyProcPid;
		entry->database = MyDatabaseId;
		entry->topic = RelationGetRelid(topic);
		entry->lane = 0;
		entry->done = entry->total = 0;
		entry->started = GetCurrentTimestamp();
	}
	LWLockRelease(&shown->lock->lock);
	return entry;
}

static void
hide_compaction(ShownCompaction *entry)
{
	if (entry == NULL)
		return;
	LWLockAcquire(&shown->lock->lock, LW_EXCLUSIVE);
	entry->pid = 0;
	LWLockRelease(&shown->lock->lock);
}

static void
hide_at_exit(int code, Datum entry)
{
	hide_compaction((ShownCompaction *) DatumGetPointer(entry));
}

/* What a running compaction is told. */
typedef struct RunningCompaction
{
	Relation	topic;
	ShownCompaction *entry;		/* or NULL */
	bool		gives_way;		/* to those who wait for our lock */
	TimestampTz next_look;		/* whether there are any */
} RunningCompaction;

#define LOOK_INTERVAL	(500 * INT64CONST(1000))

static bool
note_progress(void *arg, int32 lane, int64 done, int64 total)
{
	RunningCompaction *running = arg;
	ShownCompaction *entry = running->entry;
	TimestampTz now;

	if (entry != NULL)
	{
		/* who looks may see some of it a moment later than the rest */
		entry->lane = lane;
		entry->done = done;
		entry->total = total;
	}
	if (!running->gives_way)
		return true;
	now = GetCurrentTimestamp();
	if (now < running->next_look)
		return true;
	running->next_look = now + LOOK_INTERVAL;
	return !LockHasWaitersRelation(running->topic, ShareUpdateExclusiveLock);
}

/* ---------- running one ---------- */

static void
run_compaction(Relation topic, double min_dirty_ratio, bool gives_way, LogCompaction *compaction)
{
	const TopicSettings *settings = topic_settings(topic);
	RunningCompaction running = {topic, NULL, gives_way, 0};

	memset(compaction, 0, sizeof(*compaction));
	compaction->now = log_timestamp_from_tz(GetCurrentTimestamp());
	compaction->min_lag_ms = settings->min_compaction_lag_ms;
	compaction->delete_retention_ms = settings->delete_retention_ms;
	compaction->min_dirty_ratio = min_dirty_ratio;
	compaction->memory = (Size) compaction_memory * 1024;
	compaction->bytes_per_second = (int64) compaction_rate * 1024;
	compaction->progress = note_progress;
	compaction->arg = &running;
	running.entry = show_compaction(topic);
	PG_ENSURE_ERROR_CLEANUP(hide_at_exit, PointerGetDatum(running.entry));
	log_compact(topic, compaction);
	PG_END_ENSURE_ERROR_CLEANUP(hide_at_exit, PointerGetDatum(running.entry));
	hide_compaction(running.entry);
}

bool
topic_compact(Oid relid)
{
	LogCompaction compaction;
	Relation	topic;
	bool		worked = false;

	if (!ConditionalLockRelationOid(relid, ShareUpdateExclusiveLock))
		return false;
	topic = try_relation_open(relid, NoLock);
	if (topic != NULL && relation_is_topic(topic) &&
		(topic_settings(topic)->cleanup_policy & CLEANUP_COMPACT) != 0)
	{
		run_compaction(topic, MIN_DIRTY_RATIO, true, &compaction);
		worked = compaction.passes > 0;
	}
	if (topic != NULL)
		relation_close(topic, NoLock);
	UnlockRelationOid(relid, ShareUpdateExclusiveLock);
	return worked;
}

/*
 * topic.compact(topic) returns (removed, bytes_before, bytes_after, passes).  It
 * asks neither for the cleanup policy nor how much there is to gain.
 */
Datum
pgtopic_compact(PG_FUNCTION_ARGS)
{
	LogCompaction compaction;
	Relation	topic;
	TupleDesc	desc;
	Datum		values[COMPACT_NATTS];
	bool		nulls[COMPACT_NATTS] = {0};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("topic must not be null")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != COMPACT_NATTS)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("function topic.compact() is declared with other results")));
	log_check_writable("topic.compact()");
	topic = topic_open(text_to_cstring(PG_GETARG_TEXT_PP(0)), ShareUpdateExclusiveLock);
	acl_check_owner(topic);
	if ((topic_settings(topic)->cleanup_policy & CLEANUP_COMPACT) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("topic %s is not compacted", topic_name(topic)),
				 errdetail("Its setting \"%s\" is \"%s\".", "cleanup_policy",
						   cleanup_policy_name(topic_settings(topic)->cleanup_policy)),
				 errhint("Change the topic's setting \"%s\" with %s.",
						 "cleanup_policy", "topic.alter()")));
	run_compaction(topic, 0, false, &compaction);
	topic_close(topic);
	values[0] = Int64GetDatum(compaction.removed);
	values[1] = Int64GetDatum(compaction.bytes_before);
	values[2] = Int64GetDatum(compaction.bytes_after);
	values[3] = Int64GetDatum(compaction.passes);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* topic.running_compactions(): those of this database, for the view. */
Datum
pgtopic_running_compactions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ShownCompactions copy;

	InitMaterializedSRF(fcinfo, 0);
	if (shown == NULL)
		PG_RETURN_NULL();
	LWLockAcquire(&shown->lock->lock, LW_SHARED);
	copy = *shown;
	LWLockRelease(&shown->lock->lock);
	for (int i = 0; i < SHOWN_COMPACTIONS; i++)
	{
		ShownCompaction *entry = &copy.entries[i];
		Datum		values[RUNNING_COMPACTIONS_NATTS];
		bool		nulls[RUNNING_COMPACTIONS_NATTS] = {0};

		if (entry->pid == 0 || entry->database != MyDatabaseId)
			continue;
		values[0] = ObjectIdGetDatum(entry->topic);
		values[1] = Int32GetDatum(entry->pid);
		values[2] = TimestampTzGetDatum(entry->started);
		values[3] = Int32GetDatum(entry->lane);
		values[4] = Int64GetDatum(entry->done);
		values[5] = Int64GetDatum(entry->total);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

void
compaction_init(void)
{
	DefineCustomIntVariable("pgtopic.compaction_memory",
							"Sets the memory for keys while a topic is compacted.",
							"With more keys than fit, compaction makes several passes.",
							&compaction_memory,
							64 * 1024,
							64,
							MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("pgtopic.compaction_rate",
							"Sets how much a compaction reads and writes per second, in kilobytes.",
							"0 turns this limit off.",
							&compaction_rate,
							0,
							0,
							MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);
	if (!process_shared_preload_libraries_in_progress)
		return;
	prev_request_hook = shmem_request_hook;
	shmem_request_hook = request_shown;
	prev_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shown;
}
