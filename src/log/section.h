/*-------------------------------------------------------------------------
 *
 * section.h
 *	  The clean section of a lane: making one, putting it in its place, and
 *	  releasing those that nobody reads.  Inside the log room only.
 *
 * All changes need ShareUpdateExclusiveLock on the relation: there is one
 * section being made in a topic, and one to be released, at a time.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_SECTION_H
#define PGTOPIC_LOG_SECTION_H

#include "log/reader.h"

#define SECTION_MAX_LEVELS		4

/* A section being made, and the right edge of its directory. */
typedef struct SectionBuilder
{
	Relation	rel;
	int32		lane;
	uint32		incarnation;	/* of the file */
	uint32		generation;		/* of this section */
	SectionEntry section;
	bool		tombstones;		/* there are some in it */
	BlockNumber path[SECTION_MAX_LEVELS];	/* leaf first */
	DirEntry	sums[SECTION_MAX_LEVELS];	/* what the nodes hold so far */
} SectionBuilder;

/* Begins a section of extents of this size.  WAL-logged. */
extern void section_begin(SectionBuilder *builder, Relation rel, int32 lane, int size_class);

/*
 * section_add_extent: finds blocks for the next extent, of which "entry" tells
 * everything but the block; returns the first.  What is on them the caller writes.
 */
extern BlockNumber section_add_extent(SectionBuilder *builder, const DirEntry *entry);

/*
 * section_swap: the section is complete: it takes the place of the lane's clean
 * section and of all in the main one that is before "end".  False, and nothing is
 * changed, if the log start has moved past that.
 */
extern bool section_swap(SectionBuilder *builder, const LanePlace *end);

/* Releases what was being made, or was replaced: after a swap, a failure, a crash. */
extern void section_release_leftovers(Relation rel);

/*
 * section_release_passed: that, and the clean sections that the log start has passed,
 * which nobody compacts any more if the topic's policy has changed.
 */
extern void section_release_passed(Relation rel);

/*
 * section_walk: calls visit() for each extent and directory node of a section.
 * Nodes that are of another incarnation are left out; 0 = of any.
 */
typedef void (*section_visit) (void *arg, BlockNumber block, int npages, const char *what);
extern void section_walk(Relation rel, const SectionEntry *section, uint32 incarnation,
						 section_visit visit, void *arg);

#endif							/* PGTOPIC_LOG_SECTION_H */
