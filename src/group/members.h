/*-------------------------------------------------------------------------
 *
 * members.h
 *	  Groups and their members in shared memory.  Inside the group room only.
 *
 * A group is here while a session needs it: because it is a member, or takes
 * from it, or changes offsets of a group that must be empty.  All of it lives
 * in one area of pgtopic.group_memory; when that is full, whoever wants more
 * gets 53200.  A crash forgets all of it, as it ends all sessions.
 *
 * Locks, in this order: the directory (find, create and free groups); one
 * group's lock (everything in it).  Under a group's lock there is no I/O, no
 * heavyweight lock and no error; memory is allocated there only by calls that
 * return nothing when it is full.  A pointer into a group (members, topics,
 * partitions) is valid under its lock only, since the arrays move when they
 * grow; indexes stay.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_MEMBERS_H
#define PGTOPIC_GROUP_MEMBERS_H

#include "group/group_state.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "utils/dsa.h"
#include "utils/uuid.h"

#define GROUP_ID_MAX_BYTES		255
#define INSTANCE_ID_MAX_BYTES	255
#define MEMBER_ID_BYTES			37	/* a uuid as text */
#define CLIENT_ADDR_BYTES		46	/* an IPv6 address as text */
#define PATTERN_MAX_BYTES		1023

#define NO_TOPIC				(-1)

/* Times are in ms since 2000 on the server's clock; 0 = not running. */

/* One partition of a topic, as the group has it. */
typedef struct GroupPartition
{
	int32		owner;			/* member index, or NO_MEMBER */
	int32		target;			/* member index, or NO_MEMBER */
	int32		epoch;			/* group epoch with which the owner got it */
	bool		committing;		/* marked at PRE_COMMIT by the owner */
	bool		paused;			/* by the owner */
	int64		asked_since;	/* the coordinator wants it back */
	int64		in_flight_since;	/* first delivery that is not committed */
	int64		position;		/* next offset that the owner reads; -1 = not
								 * known.  For the coordinator's view of idleness
								 * only */
} GroupPartition;

/* A topic that a member subscribes to, or did until just now. */
typedef struct GroupTopic
{
	Oid			relid;			/* InvalidOid: the entry is free */
	pg_uuid_t	uuid;
	bool		dropped;		/* it is gone; the entry goes with its owners */
	int32		npartitions;
	int32		capacity;
	dsa_pointer partitions;		/* GroupPartition[capacity] */
} GroupTopic;

typedef struct GroupMember
{
	uint64		incarnation;	/* unique for ever; 0: the entry is free */
	char		member_id[MEMBER_ID_BYTES];
	char		instance_id[INSTANCE_ID_MAX_BYTES + 1]; /* "" = dynamic member */
	char		client_addr[CLIENT_ADDR_BYTES]; /* "" = local */
	int32		pid;			/* 0: the session has ended */
	int32		procno;			/* for notify_wake() */
	Oid			role;
	bool		taker;			/* for one transaction; the coordinator leaves
								 * it alone */

	/* What it subscribes to. */
	AssignorKind assignor;
	bool		from_latest;	/* auto_offset_reset: no message waits where
								 * nothing is committed */
	int64		max_poll_interval;
	int64		session_timeout;
	int32		ntopics;
	dsa_pointer topics;			/* Oid[ntopics]; of a pattern: as resolved */
	char		pattern[PATTERN_MAX_BYTES + 1]; /* "" = none */

	/* What the session says to the coordinator. */
	bool		joined;			/* since the last decision */
	bool		changed;		/* its subscription, since then */
	bool		left;
	int64		away_since;		/* a static member's session has ended */
	int64		last_consume;	/* or the joining */

	/* What the coordinator says to the session. */
	int32		epoch;
	MemberState state;
	int64		idle_since;		/* messages wait, and it has not called consume */
	uint32		assignment;		/* raised with each change of what it owns or
								 * is asked for */
} GroupMember;

typedef struct ConsumerGroup
{
	/* Under the directory's lock. */
	dsa_pointer self;
	dsa_pointer next;			/* in its bucket */
	Oid			database;
	char		group_id[GROUP_ID_MAX_BYTES + 1];
	int32		references;		/* of sessions; free at 0 without members */

	LWLock		lock;
	pg_atomic_uint32 attention; /* 1: the coordinator should decide; it sets 0
								 * before it looks */

	/* Under the group's lock. */
	uint64		version;		/* raised by every change that a decision
								 * depends on, but that deliveries and marks do
								 * not raise it */
	int32		group_epoch;
	int32		target_epoch;
	int32		first_epoch;	/* with which it came into memory */
	int32		epoch_limit;	/* epochs up to here are reserved on disk */
	bool		metadata_changed;	/* partitions or topics came or went */
	int64		next_deadline;	/* when the coordinator decides in any case.
								 * It sets this to PG_INT64_MAX when it copies
								 * the group, and lowers it when it applies;
								 * deliveries lower it too */
	int32		exclusive;		/* marks of transactions that need it empty */
	ConditionVariable exclusive_ended;
	int32		nmembers;		/* entries in use, takers not counted */
	int32		ntakers;
	int32		members_capacity;
	dsa_pointer members;		/* GroupMember[members_capacity] */
	int32		topics_capacity;
	dsa_pointer topics;			/* GroupTopic[topics_capacity] */
} ConsumerGroup;

/* ---------- the room's memory ---------- */

/* Setting, request and start-up of shared memory; from group_init(). */
extern void members_init(void);

/* 55000 with a hint if the library is not preloaded: there is no memory. */
extern void members_check_preloaded(void);

/* Milliseconds, now. */
extern int64 group_now(void);

/* ---------- finding groups ---------- */

/*
 * group_attach: the group of this database with that name, with a reference
 * that group_detach() gives back.  NULL if it is not in memory and create is
 * false.  A new one starts at the given epoch, with epoch_limit the same.
 * Errors: 53200.
 */
extern ConsumerGroup *group_attach(const char *group_id, bool create, int32 epoch);
extern void group_detach(ConsumerGroup *group);

/*
 * Goes through the groups of this database that are in memory: the first one, for
 * NULL, or the one after previous, whose reference is given back; NULL at the end.
 * One at a time, so that whoever looks at all of them keeps no memory of those
 * that have ended meanwhile.  Preloading has been checked.
 */
extern ConsumerGroup *group_attach_next(ConsumerGroup *previous);

extern void group_lock(ConsumerGroup *group, LWLockMode mode);
extern void group_unlock(ConsumerGroup *group);

/* Under the group's lock. */
extern GroupMember *member_at(ConsumerGroup *group, int index);
extern GroupTopic *topic_at(ConsumerGroup *group, int index);
extern GroupPartition *partition_at(ConsumerGroup *group, int topic, int partition);
extern Oid *member_topics(GroupMember *member);
extern int	group_find_topic(ConsumerGroup *group, Oid relid);	/* or NO_TOPIC */

/*
 * Under the exclusive lock; false when memory is full.  group_add_topic:
 * finds or adds a topic, and grows it to npartitions.  member_set_topics:
 * replaces the resolved list.  group_cut_topic: takes its last partitions away.
 * group_drop_topic: frees an entry.
 */
extern bool group_add_topic(ConsumerGroup *group, Oid relid, const pg_uuid_t *uuid,
							int32 npartitions);
extern bool member_set_topics(GroupMember *member, const Oid *topics, int ntopics);
extern void group_cut_topic(ConsumerGroup *group, int topic, int32 npartitions);
extern void group_drop_topic(ConsumerGroup *group, int topic);

/* Frees a member's entry: applying CHANGE_FENCE, and the end of a taker. */
extern void group_remove_member(ConsumerGroup *group, int member);

/* ---------- a session as a member ---------- */

typedef struct SubscribedTopic
{
	Oid			relid;
	pg_uuid_t	uuid;
	int32		npartitions;
} SubscribedTopic;

typedef struct Subscription
{
	int			ntopics;
	const SubscribedTopic *topics;	/* of a pattern: what matches now */
	const char *pattern;		/* NULL = none */
	const char *instance_id;	/* NULL = dynamic member */
	AssignorKind assignor;
	bool		from_latest;
	int64		max_poll_interval;
	int64		session_timeout;
} Subscription;

/* A session's own handle.  incarnation 0 = not a member. */
typedef struct MemberRef
{
	ConsumerGroup *group;
	int32		index;
	uint64		incarnation;
	char		member_id[MEMBER_ID_BYTES];
} MemberRef;

/*
 * member_join: becomes a member, or takes over the entry of a static member
 * that is away (same member id, new incarnation, its partitions stay its own).
 * Waits, cancellably, for marks of transactions that need the group empty.
 * Errors: TP004 while there are takers; TP006; 53200.  Wakes the coordinator.
 */
extern void member_join(ConsumerGroup *group, const Subscription *subscription, MemberRef *member);

/* Replaces the subscription; false if the member was removed.  Error: 53200. */
extern bool member_resubscribe(MemberRef *member, const Subscription *subscription);

/*
 * Leaves: dynamic at once; a static one whose session ends ("session_ends")
 * is away instead.  Never fails; fit for on_shmem_exit.
 */
extern void member_leave(MemberRef *member, bool session_ends);

/* How a member stands, read at each of its calls. */
typedef struct MemberStatus
{
	uint32		assignment;		/* differs: read the assignment again */
	int32		epoch;
	int32		group_epoch;
	MemberState state;
	bool		joined;			/* no decision has seen it yet */
	bool		changed;
} MemberStatus;

/*
 * member_status: false if the member was removed.  consuming: this is a call
 * of consume, and the clock of idleness starts anew.
 */
extern bool member_status(const MemberRef *member, bool consuming, MemberStatus *status);

/* A partition as its owner knows it.  The first four identify the ownership. */
typedef struct OwnedPartition
{
	Oid			relid;
	int32		topic;			/* index in the group */
	int32		partition;
	int32		epoch;			/* of the assignment */
	pg_uuid_t	uuid;
	bool		asked_back;
	bool		paused;
	int64		in_flight_since;
} OwnedPartition;

/*
 * member_assignment: what the member owns, by topic index and partition, in a
 * palloc'd array, and the number of the assignment.  -1 if it was removed.
 */
extern int	member_assignment(const MemberRef *member, OwnedPartition **owned,
							  uint32 *assignment);

/*
 * member_deliver: before messages of a partition go out.  False if it is not
 * the member's any more, or is asked back; else it is in flight from now on, if
 * it was not (then *since is unchanged; 0 before).  *since: as it was before.
 */
extern bool member_deliver(const MemberRef *member, const OwnedPartition *owned,
						   int64 *since);

/*
 * member_settle: sets when the partition's first uncommitted delivery was, 0 =
 * not in flight any more, and the position.  Does nothing where the
 * partition is not the member's any more.  Wakes the coordinator if it waits
 * for the partition.
 */
extern void member_settle(const MemberRef *member, const OwnedPartition *owned,
						  int64 in_flight_since, int64 position);

extern void member_set_paused(const MemberRef *member, const OwnedPartition *owned,
							  bool paused);

/* Whether the partition is the member's, by this very assignment. */
extern bool member_owns(const MemberRef *member, const OwnedPartition *owned);

/*
 * member_mark: at PRE_COMMIT: marks partitions "committing" if all are the
 * member's; else marks none and returns the index of the first that is not.
 * Returns -1 when done, and -2 if the member was removed.  member_unmark clears
 * the marks and wakes the coordinator where it waits.
 */
extern int	member_mark(const MemberRef *member, const OwnedPartition *const *owned, int n);
extern void member_unmark(const MemberRef *member, const OwnedPartition *const *owned, int n);

/* ---------- a transaction as a taker, or with an empty group ---------- */

/*
 * taker_join: an entry for this transaction.  Errors: TP004 while there are
 * session members; 53200.  Waits for exclusive marks as member_join() does.
 * taker_claim: makes a partition the taker's, in flight, if nobody has it (or
 * it has it itself); false otherwise.  The topic is added to the group if
 * need be (53200).  taker_unclaim gives one back, taker_leave all.
 */
extern void taker_join(ConsumerGroup *group, MemberRef *taker);
extern bool taker_claim(const MemberRef *taker, const SubscribedTopic *topic,
						int32 partition, OwnedPartition *owned);
extern void taker_unclaim(const MemberRef *taker, const OwnedPartition *owned);
extern void taker_leave(MemberRef *taker);

/* Whether the group has neither members nor takers now. */
extern bool group_is_empty(ConsumerGroup *group);

/*
 * group_mark_exclusive: if the group is empty, marks it, so that whoever joins
 * waits until group_unmark_exclusive(); several transactions may hold a mark.
 */
extern bool group_mark_exclusive(ConsumerGroup *group);
extern void group_unmark_exclusive(ConsumerGroup *group);

/* ---------- the coordinator of this database ---------- */

/*
 * coordinator_attach: this process is it, until it exits (or detaches); false
 * if there is another one.  coordinator_wake asks it to look at the group, or
 * with NULL at what has changed in the catalogs.  If there is none,
 * coordinator_missing_hook is called, which the worker room sets.
 */
extern bool coordinator_attach(void);
extern void coordinator_detach(void);
extern void coordinator_wake(ConsumerGroup *group);
extern bool coordinator_is_attached(void);	/* some process is it */

/* Whether catalogs have changed since the last call. */
extern bool coordinator_catalog_changed(void);

#endif							/* PGTOPIC_GROUP_MEMBERS_H */
