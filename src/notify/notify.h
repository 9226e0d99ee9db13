/*-------------------------------------------------------------------------
 *
 * notify.h
 *	  The door of the notify room: who waits for which partition, in shared
 *	  memory.  A leaf: it includes no other room.
 *
 * Protocol of a waiter, without lost wake-ups:
 *		notify_wait_begin(topic, partition);
 *		loop: take a new snapshot, look;  found -> leave the loop
 *			  notify_wait(milliseconds)   -- false when the time is over
 *		notify_wait_end();
 * A producer signals after its transaction has left the proc array, so that
 * whoever is woken sees it.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_NOTIFY_H
#define PGTOPIC_NOTIFY_H

#include "postgres_ext.h"

#define NOTIFY_ANY_PARTITION	(-1)

/* Shared memory request and start-up hooks; from _PG_init when preloaded. */
extern void notify_init(void);

/* Registers this backend as a waiter; one registration at a time. */
extern void notify_wait_begin(Oid topic, int32 partition);

/*
 * notify_wait: sleeps until signalled or until timeout_ms have passed; false
 * in the latter case.  Ends with an error on cancel or postmaster death.
 * Without notify shared memory (standby) the caller polls instead.
 */
extern bool notify_wait(long timeout_ms);
extern void notify_wait_end(void);

/* Wakes those who wait for the partition.  One atomic read if nobody waits. */
extern void notify_signal(Oid topic, int32 partition);

/* Wakes every waiter of this database: after COMMIT PREPARED and the like. */
extern void notify_signal_all(void);

#endif							/* PGTOPIC_NOTIFY_H */
