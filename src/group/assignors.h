/*-------------------------------------------------------------------------
 *
 * assignors.h
 *	  What assignor.c and the assignors say to each other.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_ASSIGNORS_H
#define PGTOPIC_GROUP_ASSIGNORS_H

#include "group/assignor.h"

/*
 * An assignor finds all of target[] at NO_MEMBER and fills what it can.
 * order[] has the indexes of the members, static ones first, by their keys.
 */
extern void assign_range(const AssignInput *input, const int *order, int *target);
extern void assign_uniform(const AssignInput *input, const int *order, int *target,
						   char *scratch);

extern size_t assign_uniform_scratch_size(const AssignInput *input);

#endif							/* PGTOPIC_GROUP_ASSIGNORS_H */
