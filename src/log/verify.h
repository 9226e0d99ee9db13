/*-------------------------------------------------------------------------
 *
 * verify.h
 *	  The checker's parts.  Inside the log room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_VERIFY_H
#define PGTOPIC_LOG_VERIFY_H

#include "utils/rel.h"

/*
 * verify_space: whether each block of the file is used by one thing, or free.
 * Allocation may go on: then it looks again, and in the end stops it for as
 * long as it takes (on a standby it gives up).
 */
extern void verify_space(Relation rel, void (*report) (void *arg, const char *finding), void *arg);

#endif							/* PGTOPIC_LOG_VERIFY_H */
