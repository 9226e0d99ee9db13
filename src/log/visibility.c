/*-------------------------------------------------------------------------
 *
 * visibility.c
 *	  Which batches a snapshot sees, from the commit log alone: no hint bits,
 *	  and no page is rewritten to freeze it.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/transam.h"
#include "access/xact.h"
#include "compat.h"
#include "log/visibility.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* ---------- own appends ---------- */

typedef struct OwnLaneKey
{
	RelFileLocator locator;
	int32		lane;
} OwnLaneKey;

typedef struct OwnSpan
{
	RecordOffset first;
	CommandId	cid;			/* of own batches from there on */
} OwnSpan;

typedef struct OwnLane
{
	OwnLaneKey	key;
	int			nspans;
	int			capacity;
	OwnSpan    *spans;			/* ascending */
} OwnLane;

static HTAB *own_lanes = NULL;
static MemoryContext own_context = NULL;

static OwnLaneKey
own_key(Relation rel, int32 lane)
{
	OwnLaneKey	key;

	memset(&key, 0, sizeof(key));
	key.locator = RelationFileLocator(rel);
	key.lane = lane;
	return key;
}

void
own_appends_remember(Relation rel, int32 lane, RecordOffset base_offset, CommandId cid)
{
	OwnLaneKey	key = own_key(rel, lane);
	OwnLane    *own;
	bool		found;

	if (own_lanes == NULL)
	{
		HASHCTL		ctl;

		own_context = AllocSetContextCreate(TopTransactionContext, "pgtopic own appends",
											ALLOCSET_SMALL_SIZES);
		ctl.keysize = sizeof(OwnLaneKey);
		ctl.entrysize = sizeof(OwnLane);
		ctl.hcxt = own_context;
		own_lanes = hash_create("pgtopic own appends", 16, &ctl,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	own = hash_search(own_lanes, &key, HASH_ENTER, &found);
	if (!found)
	{
		own->nspans = 0;
		own->capacity = 4;
		own->spans = MemoryContextAlloc(own_context, own->capacity * sizeof(OwnSpan));
	}
	if (own->nspans > 0 && own->spans[own->nspans - 1].cid == cid)
		return;
	if (own->nspans == own->capacity)
	{
		own->capacity *= 2;
		own->spans = repalloc_huge(own->spans, own->capacity * sizeof(OwnSpan));
	}
	own->spans[own->nspans].first = base_offset;
	own->spans[own->nspans].cid = cid;
	own->nspans++;
}

bool
log_own_appends(Relation rel)
{
	HASH_SEQ_STATUS status;
	OwnLane    *own;

	if (own_lanes == NULL)
		return false;
	hash_seq_init(&status, own_lanes);
	while ((own = hash_seq_search(&status)) != NULL)
	{
		if (RelFileLocatorEquals(own->key.locator, RelationFileLocator(rel)))
		{
			hash_seq_term(&status);
			return true;
		}
	}
	return false;
}

/* The memory itself goes with the transaction's. */
void
log_at_eoxact(void)
{
	own_lanes = NULL;
	own_context = NULL;
}

/* Whether an own batch was appended by a command before the snapshot's. */
static bool
own_is_visible(Relation rel, int32 lane, RecordOffset base_offset, Snapshot snapshot)
{
	OwnLaneKey	key = own_key(rel, lane);
	OwnLane    *own = own_lanes ? hash_search(own_lanes, &key, HASH_FIND, NULL) : NULL;
	int			low = 0;
	int			high;

	if (own == NULL)
		return true;
	high = own->nspans - 1;
	while (low < high)
	{
		int			mid = (low + high + 1) / 2;

		if (own->spans[mid].first <= base_offset)
			low = mid;
		else
			high = mid - 1;
	}
	return own->spans[low].first > base_offset || own->spans[low].cid < snapshot->curcid;
}

/* ---------- other transactions ---------- */

/*
 * The commit log may be truncated past xids older than every snapshot, as
 * soon as VACUUM has resolved them; so such an xid is looked up only under the
 * lock that holds truncation off, as pg_xact_status() does.
 */
static BatchVisibility
old_xid_outcome(TransactionId xid)
{
	BatchVisibility answer;

	LWLockAcquire(XactTruncationLock, LW_SHARED);
	if (TransactionIdPrecedes(xid, OldestClogXid()))
		answer = BATCH_FORGOTTEN;
	else
		answer = TransactionIdDidCommit(xid) ? BATCH_VISIBLE : BATCH_DEAD;
	LWLockRelease(XactTruncationLock);
	return answer;
}

BatchVisibility
xid_outcome(TransactionId xid)
{
	if (!TransactionIdIsNormal(xid))
		return (xid == FrozenTransactionId) ? BATCH_VISIBLE : BATCH_DEAD;
	/* in this order: a commit writes the log before it leaves the array */
	if (TransactionIdIsInProgress(xid))
		return BATCH_UNFINISHED;
	return old_xid_outcome(xid);
}

static BatchVisibility
snapshot_outcome(TransactionId xid, Snapshot snapshot)
{
	if (TransactionIdFollowsOrEquals(xid, snapshot->xmin))
	{
		if (XidInMVCCSnapshot(xid, snapshot))
			return BATCH_UNFINISHED;
		return TransactionIdDidCommit(xid) ? BATCH_VISIBLE : BATCH_DEAD;
	}
	return old_xid_outcome(xid);
}

BatchVisibility
batch_visibility(Relation rel, int32 lane, const BatchHead *batch,
				 RecordOffset frozen_upto, Snapshot snapshot,
				 LaneReadMode mode, VisibilityCache *cache)
{
	if (batch->flags & BATCH_ABORTED)
		return BATCH_DEAD;
	if (batch->base_offset < frozen_upto)
		return BATCH_VISIBLE;
	if (batch->xid == cache->xid)
		return cache->answer;
	if (!TransactionIdIsNormal(batch->xid))
		return xid_outcome(batch->xid);

	if (TransactionIdIsCurrentTransactionId(batch->xid))
	{
		if (mode == LANE_READ_ANY ||
			(mode == LANE_READ_SELECT &&
			 own_is_visible(rel, lane, batch->base_offset, snapshot)))
			return BATCH_VISIBLE;
		return BATCH_OWN;
	}
	cache->answer = (snapshot != NULL && IsMVCCSnapshot(snapshot)) ?
		snapshot_outcome(batch->xid, snapshot) : xid_outcome(batch->xid);
	cache->xid = batch->xid;
	return cache->answer;
}
