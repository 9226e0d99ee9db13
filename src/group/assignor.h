/*-------------------------------------------------------------------------
 *
 * assignor.h
 *	  Distributes the partitions of topics among the members of a group.
 *
 * Pure: no server state, no allocation but through the caller's memory, no
 * errors.  The result depends on the input alone, and not on the order in
 * which members or topics are listed.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_ASSIGNOR_H
#define PGTOPIC_GROUP_ASSIGNOR_H

#include "c.h"

#define NO_MEMBER				(-1)

/* A topic that at least one member subscribes to. */
typedef struct AssignTopic
{
	int32		partitions;
	int32		first;			/* index of its partition 0 in the arrays below */
} AssignTopic;

/* A member; order_key decides where order matters (instance id or member id). */
typedef struct AssignMember
{
	const char *order_key;		/* unique, compared with strcmp */
	const bool *subscribed;		/* by topic index */
} AssignMember;

typedef struct AssignInput
{
	int			ntopics;
	const AssignTopic *topics;
	int			nmembers;
	const AssignMember *members;
	int			npartitions;	/* of all topics */
	const int  *present;		/* by partition index: member that has it now as
								 * its target, or NO_MEMBER */
} AssignInput;

typedef enum AssignorKind
{
	ASSIGNOR_UNIFORM,
	ASSIGNOR_RANGE
} AssignorKind;

/* Bytes of scratch memory that assign() needs for this input. */
extern size_t assign_scratch_size(AssignorKind kind, const AssignInput *input);

/*
 * assign: fills target[] (by partition index) with the index of a member that
 * subscribes to the topic, or NO_MEMBER where nobody does.
 *
 * ASSIGNOR_RANGE: exactly Kafka's RangeAssignor (contiguous ranges per topic,
 * members in the order of their keys; co-partitioned where all subscribe alike
 * and partition counts are equal).
 *
 * ASSIGNOR_UNIFORM: loads differ by at most one where subscriptions allow it;
 * then as many partitions as possible stay where "present" has them.
 */
extern void assign(AssignorKind kind, const AssignInput *input, int *target, void *scratch);

#endif							/* PGTOPIC_GROUP_ASSIGNOR_H */
