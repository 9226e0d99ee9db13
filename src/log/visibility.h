/*-------------------------------------------------------------------------
 *
 * visibility.h
 *	  Which batches a snapshot sees.  Inside the log room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_VISIBILITY_H
#define PGTOPIC_LOG_VISIBILITY_H

#include "log/log.h"
#include "log/page.h"

typedef enum BatchVisibility
{
	BATCH_VISIBLE,
	BATCH_DEAD,					/* rolled back, or a crash ended it */
	BATCH_UNFINISHED,			/* the snapshot holds its writer in progress */
	BATCH_OWN,					/* of this transaction, and not yet visible to
								 * this command or not to be read by fetch */
	BATCH_FORGOTTEN				/* the commit log does not go back so far: read
								 * frozen_upto and the page again */
} BatchVisibility;

/* The last answer about a transaction, so that a run of batches asks once. */
typedef struct VisibilityCache
{
	TransactionId xid;
	BatchVisibility answer;
} VisibilityCache;

/*
 * batch_visibility: frozen_upto must have been read before the page was
 * copied.  Takes no lock but, for old xids, XactTruncationLock (shared).
 */
extern BatchVisibility batch_visibility(Relation rel, int32 lane, const BatchHead *batch,
										RecordOffset frozen_upto, Snapshot snapshot,
										LaneReadMode mode, VisibilityCache *cache);

/*
 * xid_outcome: without a snapshot, for VACUUM and COPY of pages: committed,
 * dead or still in progress.  BATCH_FORGOTTEN as above.
 */
extern BatchVisibility xid_outcome(TransactionId xid);

/* What this transaction appended, for the visibility of its own messages. */
extern void own_appends_remember(Relation rel, int32 lane, RecordOffset base_offset,
								 CommandId cid);

#endif							/* PGTOPIC_LOG_VISIBILITY_H */
