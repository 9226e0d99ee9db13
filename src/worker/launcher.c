/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  Starts a worker in each database that has the extension, a notifier
 *	  where somebody listens, and maintenance where it is due.
 *
 * The launcher is connected to no database, and so is in nobody's way.  From
 * there it cannot see where the extension is: it starts a worker where there
 * may be one, one after the other, and the worker sees for itself.  All
 * databases are looked at when the launcher starts; later, sessions and
 * workers that end say where to look.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "group/group.h"
#include "miscadmin.h"
#include "notify/notify.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/processes.h"

/* A database gets no more workers than one in this time. */
#define RESTART_INTERVAL_MS		200

/* A worker that has not looked around by then holds up the others no longer. */
#define SETTLE_TIME_MS			1000

/* When there is no slot for a worker. */
#define RETRY_INTERVAL_MS		3000

#define NEVER					PG_INT64_MAX

/* A worker that is wanted. */
typedef struct Wanted
{
	WorkerWish	wish;
	int64		not_before;
} Wanted;

/* A worker that was started. */
typedef struct Started
{
	WorkerPlace place;
	BackgroundWorkerHandle *handle; /* NULL: it has ended */
	int64		when;
} Started;

static List *wanted = NIL;
static List *started = NIL;

/* Reported once, until a worker can be started again. */
static bool slots_lacking = false;

void
launcher_register(void)
{
	BackgroundWorker worker = {0};

	/* pg_upgrade wants to be alone. */
	if (IsBinaryUpgrade)
		return;
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "pgtopic", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pgtopic_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "pgtopic launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pgtopic launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

static int64
now_ms(void)
{
	return GetCurrentTimestamp() / 1000;
}

/* ---------- databases ---------- */

/* An interrupted DROP DATABASE has left only the row of it. */
#define IS_INVALID_DATABASE(form)	((form)->datconnlimit == -2)

/* OIDs of the databases to which one can connect, in the current context. */
static List *
connectable_databases(void)
{
	MemoryContext result_context = CurrentMemoryContext;
	List	   *result = NIL;
	Relation	catalog;
	TableScanDesc scan;
	HeapTuple	row;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(catalog, 0, NULL);
	while (HeapTupleIsValid(row = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(row);
		MemoryContext old;

		if (!form->datallowconn || IS_INVALID_DATABASE(form))
			continue;
		old = MemoryContextSwitchTo(result_context);
		result = lappend_oid(result, form->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(result_context);
	return result;
}

/* ---------- what is wanted ---------- */

static Started *
last_start(const WorkerWish *wish)
{
	ListCell   *cell;

	foreach(cell, started)
	{
		Started    *start = lfirst(cell);

		if (start->place.wish.database == wish->database &&
			start->place.wish.kind == wish->kind)
			return start;
	}
	return NULL;
}

static void
add_wanted(Oid database, WorkerKind kind)
{
	WorkerWish	wish = {.database = database, .kind = kind};
	Started    *start = last_start(&wish);
	Wanted	   *entry;
	ListCell   *cell;

	foreach(cell, wanted)
	{
		entry = lfirst(cell);
		if (entry->wish.database == database && entry->wish.kind == kind)
			return;
	}
	entry = palloc(sizeof(Wanted));
	entry->wish = wish;
	entry->not_before = start != NULL ? start->when + RESTART_INTERVAL_MS : 0;
	wanted = lappend(wanted, entry);
}

static void
collect_wanted(void)
{
	WorkerWish	wish;

	while (registry_next_wanted(&wish))
	{
		List	   *databases;
		ListCell   *cell;

		if (OidIsValid(wish.database))
		{
			add_wanted(wish.database, wish.kind);
			continue;
		}
		databases = connectable_databases();
		foreach(cell, databases)
			add_wanted(lfirst_oid(cell), WORKER_COORDINATOR);
		list_free(databases);
	}
}

/*
 * Where the extension is, maintenance makes its round at every interval; it ends
 * by itself.  Returns when the next round is due.
 */
static int64
want_maintenance(void)
{
	static int64 last_round = 0;
	int64		due = last_round + maintenance_interval;
	Oid		   *databases;
	int			n;

	if (last_round == 0)
		last_round = now_ms();	/* there is more to do after a start */
	else if (due <= now_ms())
	{
		last_round = now_ms();
		databases = palloc(max_worker_processes * sizeof(Oid));
		n = registry_homes(databases);
		for (int i = 0; i < n; i++)
			add_wanted(databases[i], WORKER_MAINTENANCE);
		pfree(databases);
	}
	return last_round + maintenance_interval;
}

/* ---------- workers ---------- */

/* Notes which workers have ended; forgets those that did so long ago. */
static void
reap_workers(void)
{
	ListCell   *cell;

	foreach(cell, started)
	{
		Started    *start = lfirst(cell);
		pid_t		pid;

		if (start->handle != NULL &&
			GetBackgroundWorkerPid(start->handle, &pid) == BGWH_STOPPED)
		{
			registry_give_up(&start->place);
			pfree(start->handle);
			start->handle = NULL;
		}
		if (start->handle == NULL && start->when + RESTART_INTERVAL_MS <= now_ms())
		{
			started = foreach_delete_current(started, cell);
			pfree(start);
		}
	}
}

/* When the last worker will have looked around; 0: now. */
static int64
settle_time(void)
{
	ListCell   *cell;
	int64		result = 0;

	foreach(cell, started)
	{
		const Started *start = lfirst(cell);

		if (start->handle != NULL && start->when + SETTLE_TIME_MS > now_ms() &&
			!registry_is_settled(&start->place))
			result = Max(result, start->when + SETTLE_TIME_MS);
	}
	return result;
}

static void
report_lack_of_slots(void)
{
	if (!slots_lacking)
		ereport(LOG,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("out of background worker slots for pgtopic"),
				 errdetail("Consumer groups of some databases cannot rebalance, listeners are not notified, or retention waits; it is tried again every few seconds."),
				 errhint("You might need to increase max_worker_processes.")));
	slots_lacking = true;
}

/* False if the postmaster has no slot for it. */
static bool
start_worker(const WorkerPlace *place)
{
	BackgroundWorker worker;
	Started    *start = palloc(sizeof(Started));

	worker_describe(place, &worker);
	start->place = *place;
	start->when = now_ms();
	if (!RegisterDynamicBackgroundWorker(&worker, &start->handle))
	{
		registry_give_up(place);
		pfree(start);
		return false;
	}
	started = lcons(start, started);
	slots_lacking = false;
	return true;
}

/*
 * start_wanted: starts the worker of a database, or says when to try again in
 * *again.  Returns whether it is done with.
 */
static bool
start_wanted(const Wanted *entry, int64 *again)
{
	WorkerPlace place;

	*again = Max(entry->not_before, settle_time());
	if (*again > now_ms())
		return false;

	switch (registry_reserve(&entry->wish, &place))
	{
		case PLACE_TAKEN:
			return true;
		case PLACE_HELD:
			*again = NEVER;		/* whoever holds it wakes us */
			return false;
		case PLACE_GIVEN:
			if (start_worker(&place))
				return true;
			break;
		case PLACE_NONE:
			break;
	}
	report_lack_of_slots();
	*again = now_ms() + RETRY_INTERVAL_MS;
	return false;
}

/* Starts what can be started; returns when to try the rest. */
static int64
start_workers(void)
{
	List	   *databases;
	int64		next = NEVER;
	ListCell   *cell;

	if (wanted == NIL)
		return NEVER;
	databases = connectable_databases();
	foreach(cell, wanted)
	{
		Wanted	   *entry = lfirst(cell);
		int64		again = NEVER;

		if (!list_member_oid(databases, entry->wish.database) || start_wanted(entry, &again))
		{
			wanted = foreach_delete_current(wanted, cell);
			pfree(entry);
		}
		next = Min(next, again);
	}
	list_free(databases);
	return next;
}

/* ---------- the loop ---------- */

static void
sleep_until(int64 next)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	long		timeout = -1;

	if (next != NEVER)
	{
		events |= WL_TIMEOUT;
		timeout = (long) Max(next - now_ms(), 1);
	}
	(void) WaitLatch(MyLatch, events, timeout, PG_WAIT_EXTENSION);
}

void
pgtopic_launcher_main(Datum arg)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("pgtopic launcher");
	if (!registry_be_launcher())
		proc_exit(1);
	MemoryContextSwitchTo(TopMemoryContext);

	for (;;)
	{
		int64		next_round;
		int64		next;

		ResetLatch(MyLatch);
		/* Not 0, or the postmaster would not start another one. */
		if (ProcDiePending)
			proc_exit(1);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		reap_workers();
		collect_wanted();
		next_round = want_maintenance();
		next = start_workers();
		sleep_until(Min(next, next_round));
	}
}
