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

/* A topic; one that no member subscribes to stays without members. */
typedef struct AssignTopic
{
	int32		partitions;
	int32		first;			/* index of its partition 0 in the arrays below */
} AssignTopic;

/* A member.  Where order matters static members come first, then the key decides. */
typedef struct AssignMember
{
	const char *order_key;		/* instance id if static, else member id;
								 * compared with strcmp */
	bool		is_static;
	const bool *subscribed;		/* by topic index */
} AssignMember;

typedef struct AssignInput
{
	int			ntopics;
	const AssignTopic *topics;
	int			nmembers;
	const AssignMember *members;
	int			npartitions;	/* of all topics */
	const int  *present;		/* by partition index: member that would keep it
								 * if nothing spoke against it, or NO_MEMBER */
} AssignInput;

typedef enum AssignorKind
{
	ASSIGNOR_UNIFORM,
	ASSIGNOR_RANGE
} AssignorKind;

/*
 * Bytes of scratch memory, aligned like palloc's, that assign() needs for this
 * input.  Reads the numbers of topics, members and partitions only.
 */
extern size_t assign_scratch_size(AssignorKind kind, const AssignInput *input);

/*
 * assign: fills target[] (by partition index) with the index of a member that
 * subscribes to the topic, or NO_MEMBER where nobody does.
 *
 * ASSIGNOR_RANGE: exactly what the RangeAssignor of Kafka's group coordinator
 * gives (contiguous ranges per topic, members in order; co-partitioned where
 * all subscribe alike and partition counts are equal).
 *
 * ASSIGNOR_UNIFORM: where all subscribe alike, loads differ by at most one and
 * as many partitions as that allows stay where "present" has them.  Where they
 * do not, no single partition could move to a member that has two fewer.
 */
extern void assign(AssignorKind kind, const AssignInput *input, int *target, void *scratch);

#endif							/* PGTOPIC_GROUP_ASSIGNOR_H */
