/*-------------------------------------------------------------------------
 *
 * session_private.h
 *	  What session.c and transaction.c give to each other; the rest of the room
 *	  includes session.h only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_SESSION_PRIVATE_H
#define PGTOPIC_GROUP_SESSION_PRIVATE_H

#include "group/session.h"

/* ---------- transaction.c ---------- */

/*
 * Remembers how the partition stands, so that the (sub)transaction's abort
 * brings it back; before anything of it changes.
 */
extern void transaction_touch(Membership *membership, SessionPartition *partition);

/* Takes back the last touch, after which nothing has changed. */
extern void transaction_untouch(SessionPartition *partition);

/*
 * Where a rollback would bring back no position, or one below the log start, it
 * brings back this one, and counts what is lost.
 */
extern void transaction_begin_at(SessionPartition *partition, int64 log_start,
								 int64 position);

/*
 * The query that is running gets messages: if they come again after a rollback, it
 * must not go on with them, as a cursor could.
 */
extern void transaction_remember_cursor(void);

/* An offset to be stored; transaction_noted() reads it back. */
extern void transaction_note(Membership *membership, SessionPartition *partition,
							 const OffsetNote *offset);
extern int64 transaction_noted(int32 note);

/* Whether this transaction has consumed or noted anything of the membership. */
extern bool transaction_concerns(const Membership *membership);

/* Whether it has consumed from the group under another membership than the present one. */
extern bool transaction_has_left(const char *group_id, const Membership *present);

/* Takes away the marks that are left when the session ends. */
extern void transaction_at_exit(void);

/* ---------- session.c ---------- */

/* Frees what is gone, and ends takers; in the callbacks of the transaction's end. */
extern void session_at_xact_end(void);

extern bool session_has_takers(void);

/* Calls transaction_at_exit() and leaves all groups when the session ends. */
extern void session_watch_exit(void);

/*
 * TP002; TP003 of a transaction that had to do with the group when the session
 * was removed from it; TP003 of a partition.
 */
extern void session_refuse_removed(const char *group_id) pg_attribute_noreturn();
extern void session_refuse_zombie(const char *group_id) pg_attribute_noreturn();
extern void session_refuse_stale(const char *group_id, Oid relid, int32 partition)
			pg_attribute_noreturn();

#endif							/* PGTOPIC_GROUP_SESSION_PRIVATE_H */
