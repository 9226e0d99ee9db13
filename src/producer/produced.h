/*-------------------------------------------------------------------------
 *
 * produced.h
 *	  Which offsets this transaction's messages got, for last_produced().
 *
 * Ranges of offsets per lane; adjacent ones are joined, so that they are few.
 * Those of a subtransaction that rolls back are forgotten.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_PRODUCED_H
#define PGTOPIC_PRODUCER_PRODUCED_H

#include "log/log.h"
#include "log/record.h"

typedef struct ProducedRange ProducedRange;

/*
 * produced_add: a batch went to a partition, from offset first on.  *newest is
 * the newest range of that lane, NULL at first; it belongs to this file.
 */
extern void produced_add(MemoryContext context, ProducedRange **newest,
						 Oid topic, int32 partition, int level,
						 RecordOffset first, const Batch *batch);

/* The last offset of a range. */
extern RecordOffset produced_last_offset(const ProducedRange *range);

/* A subtransaction of this level rolls back, or becomes part of its parent. */
extern void produced_at_subabort(int level);
extern void produced_at_subcommit(int level);

/*
 * The end of the transaction.  Memory is allocated before the commit, since
 * an error after it would be a panic.  Ranges live in the context given to
 * produced_add(), which the caller resets after produced_at_eoxact().
 */
extern void produced_prepare_commit(void);
extern void produced_at_commit(void);
extern void produced_at_eoxact(void);

/* Counts what stays in the log now.  Cannot fail. */
extern void produced_count(void);

/* The hook of DISCARD ALL. */
extern void produced_init(void);

#endif							/* PGTOPIC_PRODUCER_PRODUCED_H */
