/*-------------------------------------------------------------------------
 *
 * group_state.h
 *	  Decides what happens in a consumer group.
 *
 * Pure: a snapshot of the group and the time go in, changes come out, which
 * the caller applies in order.  No server state, no errors, no allocation but
 * in the caller's arrays.  The rules are those of KIP-848 with the changes that
 * README.md names.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_STATE_H
#define PGTOPIC_GROUP_STATE_H

#include "group/assignor.h"

typedef enum MemberState
{
	MEMBER_STABLE,
	MEMBER_UNREVOKED,
	MEMBER_UNRELEASED,
	MEMBER_AWAY
} MemberState;

typedef enum GroupPhase
{
	GROUP_EMPTY,
	GROUP_ASSIGNING,
	GROUP_RECONCILING,
	GROUP_STABLE
} GroupPhase;

/* Why a member is removed. */
typedef enum FenceReason
{
	FENCE_LEFT,					/* unsubscribed, or its session ended */
	FENCE_SESSION_TIMEOUT,		/* static and away for too long */
	FENCE_UNCOMMITTED,			/* holds messages longer than max_poll_interval */
	FENCE_NOT_CONSUMING,		/* messages wait, and it does not call consume */
	FENCE_NOT_RELEASING			/* was asked for a partition, and keeps it */
} FenceReason;

/*
 * What the session sets in its entry, and what the decisions before have left
 * there.  Times are in ms on one clock; 0 = not running.
 */
typedef struct StateMember
{
	const char *order_key;		/* instance id if static, else member id */
	const bool *subscribed;		/* by topic index */
	int32		epoch;			/* 0: has just joined */
	MemberState state;
	bool		joined;			/* since the last decision */
	int64		joined_at;		/* and when */
	bool		changed;		/* its subscription, since then */
	bool		left;			/* unsubscribed; or not static, and the
								 * session is gone */
	bool		is_static;		/* has an instance id */
	int64		away_since;		/* static: the session ended; 0 again when
								 * another has taken over */
	int64		in_flight_since;	/* oldest uncommitted delivery */
	int64		idle_since;		/* messages wait, and no consume since */
	bool		committing;		/* marked at PRE_COMMIT */
	int64		max_poll_interval;
	int64		session_timeout;
} StateMember;

typedef struct StatePartition
{
	int			owner;			/* member index or NO_MEMBER */
	int			target;			/* member index or NO_MEMBER */
	bool		in_flight;		/* with the owner */
	bool		committing;		/* the owner's mark covers it */
	int64		asked_since;	/* asked back; 0 = not */
} StatePartition;

/* A topic that was dropped is not here any more, nor are its partitions. */
typedef struct GroupSnapshot
{
	int32		group_epoch;
	int32		target_epoch;
	AssignorKind assignor;
	bool		metadata_changed;	/* partitions or topics came or went */
	int			ntopics;
	const AssignTopic *topics;
	int			nmembers;
	const StateMember *members;
	int			npartitions;
	const StatePartition *partitions;
} GroupSnapshot;

/* In the order in which they come, but that partitions take turns. */
typedef enum ChangeKind
{
	CHANGE_FENCE,				/* member is removed, value = FenceReason */
	CHANGE_AWAY,				/* member, state: its deliveries are void */
	CHANGE_GROUP_EPOCH,			/* value = new group epoch; "joined",
								 * "changed" and "metadata_changed" are done
								 * with */
	CHANGE_TARGET,				/* partition, member = its target */
	CHANGE_TARGET_EPOCH,		/* value = new target epoch */
	CHANGE_FREE,				/* partition has no owner any more, and so is
								 * neither in flight nor asked back */
	CHANGE_ASK_BACK,			/* partition, member = owner: asked back now */
	CHANGE_KEEP,				/* partition, member = owner: not asked back
								 * any more */
	CHANGE_GIVE,				/* partition, member = owner, value = its
								 * assignment epoch */
	CHANGE_MEMBER,				/* member, value = epoch, state */
	CHANGE_WAKE					/* member has something to do or to learn */
} ChangeKind;

typedef struct GroupChange
{
	ChangeKind	kind;
	int			member;
	int			partition;
	int32		value;
	MemberState state;
} GroupChange;

typedef struct GroupDecision
{
	GroupChange *changes;		/* the caller's array */
	int			nchanges;
	int			capacity;		/* group_changes_max() suffices */
	int64		next_deadline;	/* when to decide again; PG_INT64_MAX = never */
	GroupPhase	phase;			/* after the changes */
} GroupDecision;

extern int	group_changes_max(const GroupSnapshot *group);
extern size_t group_scratch_size(const GroupSnapshot *group);

/*
 * The first members of an empty group wait for company: until no other has come
 * for so long, and no longer than this altogether.  Who starts many consumers
 * starts them together, and what the first one gets, the others would have to
 * take away from it again.  Kafka's group.initial.rebalance.delay.ms (KIP-134) is
 * 3 s; here they are few ms, since nobody has to send a heartbeat first.
 */
#define COMPANY_MS				3
#define LONGEST_COMPANY_MS		30

/*
 * group_decide: all that is to happen now.  Deciding again right after
 * applying yields no change, unless time has passed.  The scratch memory is
 * aligned like palloc's.
 */
extern void group_decide(const GroupSnapshot *group, int64 now,
						 GroupDecision *decision, void *scratch);

/*
 * group_phase: the phase before a decision, for those who look at the group in
 * between; only here it can be GROUP_ASSIGNING.
 */
extern GroupPhase group_phase(const GroupSnapshot *group);

#endif							/* PGTOPIC_GROUP_STATE_H */
