/*-------------------------------------------------------------------------
 *
 * tailhint.h
 *	  Where lanes probably end, in shared memory.  Inside the log room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_TAILHINT_H
#define PGTOPIC_LOG_TAILHINT_H

#include "storage/block.h"
#include "utils/rel.h"

/* Shared memory hooks; from log_init() when preloaded. */
extern void tail_hint_init(void);

/*
 * tail_hint_get: a block that probably is or was the lane's last page; 0 if
 * nothing is known.  The caller checks that the file reaches so far, and that
 * the page says so itself.
 */
extern BlockNumber tail_hint_get(Relation rel, int32 lane);

extern void tail_hint_set(Relation rel, int32 lane, BlockNumber block);

#endif							/* PGTOPIC_LOG_TAILHINT_H */
