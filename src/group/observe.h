/*-------------------------------------------------------------------------
 *
 * observe.h
 *	  A group copied out of shared memory, for those who only look at it.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_OBSERVE_H
#define PGTOPIC_GROUP_OBSERVE_H

#include "group/members.h"

typedef struct ObservedMember
{
	GroupMember entry;
	int32		index;			/* in the group; what owners[] has */
	Oid		   *topics;			/* entry.ntopics of them */
} ObservedMember;

typedef struct ObservedTopic
{
	Oid			relid;
	pg_uuid_t	uuid;
	int32		npartitions;
	int32	   *owners;			/* index of a member in the group, or NO_MEMBER */
} ObservedTopic;

typedef struct ObservedGroup
{
	char		group_id[GROUP_ID_MAX_BYTES + 1];
	GroupPhase	phase;
	AssignorKind assignor;		/* that most members ask for */
	int32		group_epoch;
	int32		target_epoch;
	int			nmembers;		/* takers included */
	ObservedMember *members;
	int			ntopics;
	ObservedTopic *topics;
} ObservedGroup;

/* A copy of the group in the current memory context. */
extern ObservedGroup *group_observe(ConsumerGroup *group);

/* The same by name; NULL if the group is not in memory. */
extern ObservedGroup *group_observe_by_id(const char *group_id);

/* The member with that index in the group, or NULL. */
extern const ObservedMember *observed_member(const ObservedGroup *group, int32 index);

#endif							/* PGTOPIC_GROUP_OBSERVE_H */
