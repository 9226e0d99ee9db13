/*-------------------------------------------------------------------------
 *
 * vacuum.h
 *	  Freezing, for VACUUM and rewrites.  Inside the log room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_VACUUM_H
#define PGTOPIC_LOG_VACUUM_H

#include "utils/rel.h"

typedef struct FreezeResult
{
	TransactionId oldest_xid;	/* no older one has to be looked up any more;
								 * invalid: not known */
	double		messages;		/* offsets between log start and log end */
} FreezeResult;

/*
 * log_freeze: resolves all batches of transactions before oldest_xmin, lane by
 * lane up to the first that is not; flags the dead ones.  Takes
 * ShareUpdateExclusiveLock or stronger to be held by the caller.
 *
 * With "thorough" it reads on to the end of each lane for oldest_xid, else not
 * far: under an old snapshot, what is not resolved grows with each message.
 */
extern void log_freeze(Relation rel, TransactionId oldest_xmin, bool thorough,
					   FreezeResult *result);

#endif							/* PGTOPIC_LOG_VACUUM_H */
