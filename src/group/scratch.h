/*-------------------------------------------------------------------------
 *
 * scratch.h
 *	  Arrays in memory that the caller brings.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_SCRATCH_H
#define PGTOPIC_GROUP_SCRATCH_H

#include "c.h"

/* Takes an array from the scratch memory, or only measures if there is none. */
static inline void *
carve(char *scratch, size_t *used, size_t count, size_t size)
{
	void	   *result = scratch == NULL ? NULL : scratch + *used;

	*used += MAXALIGN(count * size);
	return result;
}

#endif							/* PGTOPIC_GROUP_SCRATCH_H */
