/*-------------------------------------------------------------------------
 *
 * producer.h
 *	  The door of the producer room: messages wait in the backend and are
 *	  appended when their transaction commits.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_H
#define PGTOPIC_PRODUCER_H

#include "utils/rel.h"

/* Settings, transaction callbacks, log_insert_handler; from _PG_init. */
extern void producer_init(void);

/* Whether this transaction has messages of the topic that are not appended. */
extern bool producer_has_pending(Oid topic);

/*
 * producer_flush: appends all pending messages of one topic, or of every
 * topic (InvalidOid).  Assigns transaction ids.  For a statement that is about
 * to read the topic, and before DROP, TRUNCATE and rewrites of it.
 */
extern void producer_flush(Oid topic);

/*
 * producer_expire: forgets idempotent producers that have not produced for
 * pgtopic.producer_expiration; in the caller's transaction, in which nothing else
 * should be done, because it locks what it deletes.  Returns how many; if any,
 * there may be more.  Waits for nobody who produces.
 */
extern int64 producer_expire(void);

#endif							/* PGTOPIC_PRODUCER_H */
