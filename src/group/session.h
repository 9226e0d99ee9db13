/*-------------------------------------------------------------------------
 *
 * session.h
 *	  The groups that this session is a member of, or takes from: what it owns,
 *	  where it stands, and what is to be undone or stored with the transaction.
 *	  Inside the group room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_SESSION_H
#define PGTOPIC_GROUP_SESSION_H

#include "group/catalog.h"
#include "group/members.h"
#include "group/transaction.h"

typedef enum OffsetReset
{
	RESET_EARLIEST,
	RESET_LATEST,
	RESET_NONE
} OffsetReset;

#define POSITION_UNKNOWN	(-1)	/* nothing committed: auto_offset_reset decides
									 * when it is first read */

/* A partition that this session owns. */
typedef struct SessionPartition
{
	OwnedPartition owned;
	int64		position;		/* next offset that consume returns */
	int64		committed;		/* newest offset that this session knows as
								 * stored; POSITION_UNKNOWN = none */
	TransactionId committed_xid;	/* that stored it; a snapshot that does not
									 * see it gets nothing of the partition */
	int64		lost;			/* messages trimmed unread, so far */
	SubTransactionId touched;	/* of the present transaction: it has
								 * delivered from it or moved it; else
								 * InvalidSubTransactionId */
	int64		checked_position;	/* where it stood when ... */
	int64		checked_at;		/* ... a commit left messages in flight; 0: none */
	int32		note;			/* newest offset that COMMIT is to store, in
								 * transaction.c; or NO_NOTE */
	bool		gone;			/* not owned any more; freed with the transaction */
	struct SessionPartition *next_gone;
} SessionPartition;

#define NO_NOTE				(-1)

/* A group, as this session has it. */
typedef struct Membership
{
	char		group_id[GROUP_ID_MAX_BYTES + 1];
	MemberRef	member;
	bool		taker;			/* by topic.take: ends with the transaction */
	OffsetReset reset;
	uint32		assignment;		/* that partitions[] is of */
	int			npartitions;
	SessionPartition **partitions;	/* by topic index and partition */
	int			turn;			/* where the next consume begins */
	char	   *subscription;	/* what was asked for, to see whether it changes */
	MemoryContext context;		/* of this struct and all in it */
	SessionPartition *gone;		/* to be freed with the transaction */
} Membership;

/* Settings and the hook of DISCARD ALL and session end; from group_init(). */
extern void session_init(void);

/*
 * membership_find: by name; NULL if this session is no member.  A taker's is
 * found too.  membership_get: the same, but TP002 with a hint.
 */
extern Membership *membership_find(const char *group_id);
extern Membership *membership_get(const char *group_id);

/* 0A000 with a hint where pgtopic.session_groups is off. */
extern void session_check_enabled(void);

/*
 * membership_join: becomes a member; "epoch" as group_attach() takes it.
 * membership_take: a taker's entry, which ends with the transaction; the one
 * there is if it has taken before.  Errors: those of member_join() and
 * taker_join().
 */
extern Membership *membership_join(const char *group_id, int32 epoch,
								   const Subscription *subscription, OffsetReset reset);
extern Membership *membership_take(const char *group_id, int32 epoch);

/*
 * membership_sync: tells the coordinator that the session lives, and brings
 * partitions[] up to date: new ones stand at their committed offset; what is
 * asked back is released if this transaction has not touched it
 * (consuming only); what is gone is dropped, and notes of it in this
 * transaction will fail with TP003.  Error: TP002 if the coordinator has removed
 * the member, which is then forgotten, so that it may subscribe again.
 */
extern void membership_sync(Membership *membership, bool consuming);

/* The partition if it is owned, else TP003 (or NULL with missing_ok). */
extern SessionPartition *membership_partition(Membership *membership, Oid relid,
											  int32 partition, bool missing_ok);

/*
 * membership_claimed: a taker has claimed the partition, and stands at the
 * committed offset; membership_unclaimed: it has given it back.
 */
extern SessionPartition *membership_claimed(Membership *membership,
											const OwnedPartition *owned,
											const CommittedOffset *committed);
extern void membership_unclaimed(Membership *membership, SessionPartition *partition);

/* Leaves the group at once and forgets it. */
extern void membership_leave(Membership *membership);

/*
 * session_deliver: before messages of the partition go out: in flight from now
 * on; false if it has been asked back or is gone.  session_move: the position,
 * undone with the (sub)transaction.  session_lose: so many more messages were
 * trimmed unread, undone in the same way.  session_begin_at: where there is no
 * position, or one below the log start, it is this one from now on, also after
 * a rollback.
 */
extern bool session_deliver(Membership *membership, SessionPartition *partition);
extern void session_move(Membership *membership, SessionPartition *partition, int64 position);
extern void session_lose(Membership *membership, SessionPartition *partition, int64 lost);
extern void session_begin_at(Membership *membership, SessionPartition *partition,
							 int64 log_start, int64 position);

/*
 * session_check_left: before an offset of the group is noted: TP003 if this
 * transaction has consumed from it, and has left it since.
 */
extern void session_check_left(const char *group_id);

/*
 * session_note_commit: this offset is to be stored at COMMIT; the newest note
 * of a partition wins, and goes with its (sub)transaction.  set_metadata: also
 * what is shown beside it.  Error: TP003 if the partition is not the member's.
 */
extern void session_note_commit(Membership *membership, SessionPartition *partition,
								int64 log_offset, bool set_metadata, const char *metadata);

/* The offset that is to be stored at COMMIT, else the committed one. */
extern int64 session_committed(const SessionPartition *partition);

#endif							/* PGTOPIC_GROUP_SESSION_H */
