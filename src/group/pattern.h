/*-------------------------------------------------------------------------
 *
 * pattern.h
 *	  Topics by a regular expression.  Inside the group room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_PATTERN_H
#define PGTOPIC_GROUP_PATTERN_H

#include "nodes/pg_list.h"

/*
 * pattern_topics: OIDs of the topics that the pattern matches and that the role
 * may read, in ascending order.  2201B if it is no regular expression.
 */
extern List *pattern_topics(const char *pattern, Oid role);

#endif							/* PGTOPIC_GROUP_PATTERN_H */
