/*-------------------------------------------------------------------------
 *
 * notify.h
 *	  The door of the notify room: who waits for which partitions, in shared
 *	  memory.  A leaf: it includes no other room.
 *
 * Protocol of a waiter, without lost wake-ups:
 *		notify_wait_begin_keys(keys, nkeys);
 *		loop: take a new snapshot, look;  found -> leave the loop
 *			  notify_wait(milliseconds)   -- false when the time is over
 *		notify_wait_end();
 * A producer signals after its transaction has left the proc array, so that
 * whoever is woken sees it.  Whoever changes something else that a waiter looks
 * at changes it first and calls notify_wake() then.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_NOTIFY_H
#define PGTOPIC_NOTIFY_H

#include "postgres_ext.h"

#define NOTIFY_ANY_PARTITION	(-1)

/* What one may wait for; the partition may be NOTIFY_ANY_PARTITION. */
typedef struct NotifyKey
{
	Oid			topic;
	int32		partition;
} NotifyKey;

/* Shared memory request and start-up hooks; from _PG_init when preloaded. */
extern void notify_init(void);

/*
 * Registers this backend as a waiter; one registration at a time.  Any number
 * of keys is taken, those of a topic should stand together; with none the
 * backend waits for notify_wake() only.  The keys are not needed afterwards.
 */
extern void notify_wait_begin_keys(const NotifyKey *keys, int nkeys);

/*
 * notify_wait: sleeps until signalled or until timeout_ms have passed; false
 * in the latter case.  Ends with an error on cancel, and with the session when
 * its client has gone or on postmaster death.  Without shared memory (pgtopic
 * is not preloaded) it only sleeps, and nobody can write either.
 */
extern bool notify_wait(long timeout_ms);
extern void notify_wait_end(void);

/* Wakes those who wait for the partition.  One atomic read if nobody waits. */
extern void notify_signal(Oid topic, int32 partition);

/* Wakes every waiter of this database: after COMMIT PREPARED and the like. */
extern void notify_signal_all(void);

/*
 * notify_wake: wakes the backend with this number, whatever it waits for, and
 * sets its latch also if it does not wait here.  Harmless when the backend has
 * gone, or another has its number now.  notify_my_procno: our own number.
 */
extern void notify_wake(int procno);
extern int	notify_my_procno(void);

#endif							/* PGTOPIC_NOTIFY_H */
