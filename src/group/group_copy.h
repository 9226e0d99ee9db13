/*-------------------------------------------------------------------------
 *
 * group_copy.h
 *	  A group copied out of shared memory to decide about it, and the decision
 *	  applied.  For the coordinator.
 *
 * Shared memory has gaps: free entries of members and topics, topics that were
 * dropped.  A GroupSnapshot is dense, so the copy keeps where everything came
 * from.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_GROUP_COPY_H
#define PGTOPIC_GROUP_GROUP_COPY_H

#include "group/group_state.h"
#include "group/members.h"

#define ORDER_KEY_BYTES		(INSTANCE_ID_MAX_BYTES + 1)

/* What a copy has room for, or a group needs. */
typedef struct CopySize
{
	int			member_entries; /* also free ones */
	int			members;
	int			topics;
	int			partitions;
	Size		subscribed;		/* members * topics */
	Size		scratch;
} CopySize;

typedef struct CopiedMember
{
	int32		index;			/* in the group */
	int32		procno;
	bool		gone;			/* the decision removes it */
	bool		woken;			/* is in "wake" */
	char		order_key[ORDER_KEY_BYTES];
} CopiedMember;

typedef struct CopiedPartition
{
	int32		topic;			/* index in the group */
	int32		number;
} CopiedPartition;

typedef struct GroupCopy
{
	CopySize	room;
	CopySize	need;			/* of the group that was copied last */

	GroupSnapshot snapshot;
	uint64		version;
	int32		epoch_limit;
	int32		first_epoch;
	int64		idle_deadline;	/* when to look who has messages waiting */

	int32	   *dense_member;	/* by index in the group */
	StateMember *members;
	CopiedMember *member_origins;
	bool	   *subscribed;
	AssignTopic *topics;
	int32	   *topic_origins;
	StatePartition *partitions;
	CopiedPartition *partition_origins;

	GroupDecision decision;
	void	   *scratch;

	int			nwake;
	int32	   *wake;			/* numbers of backends */
} GroupCopy;

/* An empty one in the current memory context, where it stays. */
extern GroupCopy *group_copy_create(void);

/* Makes room for what the last group_copy() needed.  Not under a lock. */
extern void group_copy_make_room(GroupCopy *copy);

/*
 * group_copy: copies the group, under its exclusive lock.  False if there is
 * not room enough; then "need" says how much is needed.
 */
extern bool group_copy(GroupCopy *copy, ConsumerGroup *group, int64 now);

/*
 * group_copy_still_holds: whether the decision about the copy can still be
 * applied.  group_copy_apply: does so, and fills in whom to wake after the lock.
 * Both under the group's exclusive lock; neither allocates or fails.
 */
extern bool group_copy_still_holds(const GroupCopy *copy, ConsumerGroup *group);
extern void group_copy_apply(GroupCopy *copy, ConsumerGroup *group, int64 now);

/* How often it is asked whether messages wait for a member that does not consume. */
extern int64 idle_check_interval(int64 max_poll_interval);

#endif							/* PGTOPIC_GROUP_GROUP_COPY_H */
