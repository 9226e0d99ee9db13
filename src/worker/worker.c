/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The processes that serve one database.
 *
 * They are started on suspicion, and end at once where the extension is not.
 * What they do is the coordinator's and the notifier's; this file lets them come
 * and go.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "group/group.h"
#include "miscadmin.h"
#include "notify/notify.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"
#include "worker/processes.h"
#include "worker/worker.h"

static const char *const kind_names[] = {
	[WORKER_COORDINATOR] = "pgtopic worker",
	[WORKER_NOTIFIER] = "pgtopic notifier",
	[WORKER_MAINTENANCE] = "pgtopic maintenance"
};

static void
want_coordinator_here(void)
{
	registry_want(MyDatabaseId, WORKER_COORDINATOR);
}

static void
want_notifier_here(void)
{
	registry_want(MyDatabaseId, WORKER_NOTIFIER);
}

void
worker_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	registry_init();
	launcher_register();
	maintenance_init();
	make_way_init();
	coordinator_missing_hook = want_coordinator_here;
	notifier_missing_hook = want_notifier_here;
}

void
worker_describe(const WorkerPlace *place, BackgroundWorker *worker)
{
	memset(worker, 0, sizeof(BackgroundWorker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;	/* the launcher decides */
	strlcpy(worker->bgw_library_name, "pgtopic", BGW_MAXLEN);
	strlcpy(worker->bgw_function_name, "pgtopic_worker_main", BGW_MAXLEN);
	snprintf(worker->bgw_name, BGW_MAXLEN, "%s of database %u",
			 kind_names[place->wish.kind], place->wish.database);
	strlcpy(worker->bgw_type, kind_names[place->wish.kind], BGW_MAXLEN);
	memcpy(worker->bgw_extra, place, sizeof(WorkerPlace));
	worker->bgw_notify_pid = MyProcPid;
}

static bool
has_extension(void)
{
	bool		result;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	result = OidIsValid(get_extension_oid("pgtopic", true));
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	return result;
}

/*
 * For what the workers run.  Who is asked to end by SIGTERM ends here, and silently,
 * unless it is in the midst of a transaction.
 */
static bool
keep_on(void)
{
	if (ProcDiePending)
		return false;
	if (registry_was_told() && !has_extension())
	{
		registry_set_at_home(false);
		return false;
	}
	return true;
}

void
pgtopic_worker_main(Datum arg)
{
	WorkerPlace place;

	memcpy(&place, MyBgworkerEntry->bgw_extra, sizeof(WorkerPlace));
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	if (!registry_occupy(&place))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(place.wish.database, InvalidOid, 0);
	if (has_extension())
	{
		/* what makes one round is not started again when that has ended */
		registry_set_at_home(place.wish.kind != WORKER_MAINTENANCE);
		pgstat_report_appname(kind_names[place.wish.kind]);
		pgstat_report_activity(STATE_IDLE, NULL);
		if (place.wish.kind == WORKER_COORDINATOR)
			coordinator_run(keep_on);
		else if (place.wish.kind == WORKER_MAINTENANCE)
			maintenance_run(keep_on);
		else if (!notifier_run(keep_on))
			registry_set_at_home(false);
	}
	proc_exit(0);
}
