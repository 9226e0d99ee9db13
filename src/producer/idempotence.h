/*-------------------------------------------------------------------------
 *
 * idempotence.h
 *	  Whether messages of a producer that numbers them are new.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_IDEMPOTENCE_H
#define PGTOPIC_PRODUCER_IDEMPOTENCE_H

#include "utils/rel.h"

/* How a call numbers its messages: sequence, sequence + 1, ... */
typedef struct Numbering
{
	const char *producer_id;	/* NULL: not at all */
	int32		epoch;
	int64		sequence;
} Numbering;

/* Refuses what no producer can be called, and numbers that are none (22023). */
extern void numbering_check(const Numbering *numbering);

/*
 * numbering_admit: true if the n > 0 messages that come now for a partition are
 * the producer's next ones there; they count as produced from then on, unless
 * this level of the transaction rolls back.  False if all of them were produced
 * before.  Waits for another transaction with messages of the same producer
 * for the same partition.  Errors: 22023 a gap, or a repeat in part; 55000 fenced.
 */
extern bool numbering_admit(Relation rel, int32 partition, const Numbering *numbering,
							int64 n);

/* Callbacks; after pending_init(), so that states are stored before the append. */
extern void idempotence_init(void);

#endif							/* PGTOPIC_PRODUCER_IDEMPOTENCE_H */
