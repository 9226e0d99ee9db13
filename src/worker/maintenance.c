/*-------------------------------------------------------------------------
 *
 * maintenance.c
 *	  What a database needs now and then: retention where nothing is appended,
 *	  compaction, freezing, forgetting of producers.
 *
 * One round, in transactions of their own, one topic after the other; it waits
 * for no topic's lock, and not for long where PostgreSQL or another room takes
 * one.  What fails is logged, and the rest goes on.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "commands/vacuum.h"
#include "compat.h"
#include "log/log.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "producer/producer.h"
#include "storage/lmgr.h"
#include "topic/topic.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "worker/processes.h"

int			maintenance_interval;
static int	freeze_age;

/* A relation of one of our access methods. */
typedef struct Subject
{
	Oid			relid;
	bool		is_topic;		/* else slots */
	bool		old;			/* to be frozen */
} Subject;

void
maintenance_init(void)
{
	DefineCustomIntVariable("pgtopic.maintenance_interval",
							"Time between two rounds of maintenance of a database.",
							"A round applies retention to partitions where nothing is appended, freezes and compacts.",
							&maintenance_interval, 60000, 100, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("pgtopic.freeze_age",
							"Age in transactions at which maintenance freezes a topic.",
							"VACUUM and autovacuum do so too; messages are not rewritten.",
							&freeze_age, 20000000, 0, 2000000000, PGC_SIGHUP, 0,
							NULL, NULL, NULL);
}

static void
begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, activity);
}

static void
end(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* The database's topics and slots, in the current context. */
static List *
find_subjects(void)
{
	MemoryContext result_context = CurrentMemoryContext;
	List	   *result = NIL;
	TransactionId next;
	Oid			topics;
	Oid			slots;
	Relation	catalog;
	TableScanDesc scan;
	HeapTuple	row;

	begin("looking for topics");
	next = ReadNextTransactionId();
	topics = topic_am_oid();
	slots = get_am_oid("topic_slots", true);
	catalog = table_open(RelationRelationId, AccessShareLock);
	scan = table_beginscan_catalog(catalog, 0, NULL);
	while (HeapTupleIsValid(row = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(row);
		MemoryContext old;
		Subject    *subject;

		if (form->relkind != RELKIND_RELATION || !OidIsValid(form->relam) ||
			(form->relam != topics && form->relam != slots))
			continue;
		old = MemoryContextSwitchTo(result_context);
		subject = palloc(sizeof(Subject));
		subject->relid = form->oid;
		subject->is_topic = (form->relam == topics);
		subject->old = TransactionIdIsNormal(form->relfrozenxid) &&
			(int32) (next - form->relfrozenxid) > freeze_age;
		result = lappend(result, subject);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(catalog, AccessShareLock);
	end();
	MemoryContextSwitchTo(result_context);
	return result;
}

/* Opens the relation if it is there and its lock can be had at once. */
static Relation
open_subject(const Subject *subject, LOCKMODE lockmode)
{
	Relation	rel;

	if (!ConditionalLockRelationOid(subject->relid, lockmode))
		return NULL;
	rel = try_relation_open(subject->relid, NoLock);
	if (rel == NULL || (subject->is_topic && !relation_is_topic(rel)))
	{
		if (rel != NULL)
			relation_close(rel, NoLock);
		UnlockRelationOid(subject->relid, lockmode);
		return NULL;
	}
	return rel;
}

/* Retention of all partitions, as if something were appended to them. */
static void
apply_retention(const Subject *subject)
{
	Relation	rel;

	begin("applying retention");
	rel = open_subject(subject, RowExclusiveLock);
	if (rel != NULL)
	{
		int32		limit = log_lane_limit(rel);

		for (int32 lane = 0; lane < limit; lane++)
		{
			CHECK_FOR_INTERRUPTS();
			(void) log_apply_retention(rel, lane);
		}
		relation_close(rel, NoLock);
	}
	end();
}

/*
 * Compaction may take long: no snapshot, which would hold back VACUUM, and no lock
 * longer than nobody else wants it.
 */
static void
compact(const Subject *subject)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pgstat_report_activity(STATE_RUNNING, "compacting");
	(void) topic_compact(subject->relid);
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* What VACUUM does, but for giving space back, which needs a strong lock. */
static void
freeze(const Subject *subject)
{
	Relation	rel;

	begin("freezing");
	rel = open_subject(subject, ShareUpdateExclusiveLock);
	if (rel != NULL)
	{
		VacuumParams params;

		memset(&params, 0, sizeof(params));
		params.truncate = VACOPTVALUE_DISABLED;
		table_relation_vacuum(rel, &params, NULL);
		relation_close(rel, NoLock);
	}
	end();
}

static void
expire_producers(const Subject *unused)
{
	int64		n;

	do
	{
		CHECK_FOR_INTERRUPTS();
		begin("forgetting producers");
		n = producer_expire();
		end();
	} while (n > 0);
}

/*
 * Runs a step; what goes wrong in it is logged and undone.  A lock that was not
 * to be had is nothing wrong.
 */
static void
attempt(void (*step) (const Subject *), const Subject *subject)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		step(subject);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

void
maintenance_run(bool (*keep_on) (void))
{
	ListCell   *cell;
	List	   *subjects;

	/* DDL that has another lock and waits for ours must not end as a deadlock's victim */
	SetConfigOption("lock_timeout", "100", PGC_USERSET, PGC_S_OVERRIDE);

	MemoryContextSwitchTo(TopMemoryContext);	/* the process ends with the round */
	subjects = find_subjects();
	foreach(cell, subjects)
	{
		const Subject *subject = lfirst(cell);

		if (!keep_on())
			return;
		if (subject->is_topic)
			attempt(apply_retention, subject);
		if (subject->old)
			attempt(freeze, subject);
	}
	/* what may take long comes last */
	foreach(cell, subjects)
	{
		const Subject *subject = lfirst(cell);

		if (!keep_on())
			return;
		if (subject->is_topic)
			attempt(compact, subject);
	}
	if (keep_on())
		attempt(expire_producers, NULL);
}
