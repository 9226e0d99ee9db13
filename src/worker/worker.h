/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The door of the worker room: the processes that pgtopic runs by itself.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_WORKER_H
#define PGTOPIC_WORKER_H

/* Shared memory, the launcher and hooks; from _PG_init, after group_init(). */
extern void worker_init(void);

#endif							/* PGTOPIC_WORKER_H */
