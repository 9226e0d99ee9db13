/*-------------------------------------------------------------------------
 *
 * processes.h
 *	  The room's processes and hooks.  Inside the worker room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_WORKER_PROCESSES_H
#define PGTOPIC_WORKER_PROCESSES_H

#include "postmaster/bgworker.h"
#include "worker/registry.h"

/* launcher.c: registers the launcher with the postmaster. */
extern void launcher_register(void);

/* worker.c: what to ask the postmaster for. */
extern void worker_describe(const WorkerPlace *place, BackgroundWorker *worker);

/* maintenance.c: one round in this database; settings. */
extern void maintenance_run(bool (*keep_on) (void));
extern void maintenance_init(void);
extern int	maintenance_interval;	/* ms */

/* make_way.c: hooks of statements and of the extension's coming and going. */
extern void make_way_init(void);

/* Called by name, by the postmaster's child. */
extern PGDLLEXPORT void pgtopic_launcher_main(Datum arg);
extern PGDLLEXPORT void pgtopic_worker_main(Datum arg);

#endif							/* PGTOPIC_WORKER_PROCESSES_H */
