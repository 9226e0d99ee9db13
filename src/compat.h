/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between PostgreSQL 15, 16, 17 and 18, and nothing else.
 *	  No other file tests PG_VERSION_NUM.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_COMPAT_H
#define PGTOPIC_COMPAT_H

#include "access/relation.h"
#include "access/xlogutils.h"
#include "storage/smgr.h"
#include "utils/rel.h"

#if PG_VERSION_NUM < 150000
#error "pgtopic needs PostgreSQL 15 or later"
#endif

/* The identity of a relation's files: RelFileNode until 15. */
#if PG_VERSION_NUM >= 160000
#include "storage/relfilelocator.h"
#include "varatt.h"
#define RelationFileLocator(rel) ((rel)->rd_locator)
#else
#include "storage/relfilenode.h"
typedef RelFileNode RelFileLocator;
#define RelationFileLocator(rel) ((rel)->rd_node)
#define RelFileLocatorEquals(a, b) RelFileNodeEquals(a, b)
#endif

/* The resource manager: its struct is const, conflicts name the kind, from 16. */
#if PG_VERSION_NUM >= 160000
#define RmgrDataArg(rmgr) (rmgr)
#define ResolveTopicConflict(xid, locator) \
	ResolveRecoveryConflictWithSnapshot((xid), false, (locator))
#else
#define RmgrDataArg(rmgr) ((RmgrData *) (rmgr))
#define ResolveTopicConflict(xid, locator) \
	ResolveRecoveryConflictWithSnapshot((xid), (locator))
#endif

/* The commit log's oldest xid: renamed in 17. */
#if PG_VERSION_NUM >= 170000
#define OldestClogXid() (TransamVariables->oldestClogXid)
#else
#define OldestClogXid() (ShmemVariableCache->oldestClogXid)
#endif

/* Lengthening a file by zeroed blocks: one call from 16. */
#if PG_VERSION_NUM >= 160000
#define SmgrZeroExtend(reln, blkno, nblocks) \
	smgrzeroextend((reln), MAIN_FORKNUM, (blkno), (nblocks), false)
#else
static inline void
SmgrZeroExtend(SMgrRelation reln, BlockNumber blkno, int nblocks)
{
	PGAlignedBlock zero;

	memset(zero.data, 0, BLCKSZ);
	for (int i = 0; i < nblocks; i++)
		smgrextend(reln, MAIN_FORKNUM, blkno + i, zero.data, false);
}
#endif

#endif							/* PGTOPIC_COMPAT_H */
