/*-------------------------------------------------------------------------
 *
 * assignor.c
 *	  Puts the members in order and leaves the rest to an assignor.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "group/assignors.h"

/* Kafka's order: static members, whose ids last, before the others. */
static int
compare_members(const void *a, const void *b, void *arg)
{
	const AssignMember *members = arg;
	const AssignMember *left = &members[*(const int *) a];
	const AssignMember *right = &members[*(const int *) b];

	if (left->is_static != right->is_static)
		return left->is_static ? -1 : 1;
	return strcmp(left->order_key, right->order_key);
}

static size_t
order_size(const AssignInput *input)
{
	return MAXALIGN(input->nmembers * sizeof(int));
}

size_t
assign_scratch_size(AssignorKind kind, const AssignInput *input)
{
	size_t		size = order_size(input);

	if (kind == ASSIGNOR_UNIFORM)
		size += assign_uniform_scratch_size(input);
	return size;
}

void
assign(AssignorKind kind, const AssignInput *input, int *target, void *scratch)
{
	int		   *order = scratch;
	int			i;

	for (i = 0; i < input->npartitions; i++)
		target[i] = NO_MEMBER;
	for (i = 0; i < input->nmembers; i++)
		order[i] = i;
	qsort_arg(order, input->nmembers, sizeof(int), compare_members,
			  unconstify(AssignMember *, input->members));

	switch (kind)
	{
		case ASSIGNOR_RANGE:
			assign_range(input, order, target);
			break;
		case ASSIGNOR_UNIFORM:
			assign_uniform(input, order, target, (char *) scratch + order_size(input));
			break;
	}
}
