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

#include <fcntl.h>

#include "access/relation.h"
#include "access/xlogutils.h"
#include "storage/bufmgr.h"
#include "common/relpath.h"
#include "storage/fd.h"
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

/* Whether a role owns a relation, or a database. */
#if PG_VERSION_NUM >= 160000
#define class_ownercheck(relid, role) \
	object_ownercheck(RelationRelationId, (relid), (role))
#define database_ownercheck(database, role) \
	object_ownercheck(DatabaseRelationId, (database), (role))
#else
#define class_ownercheck(relid, role) pg_class_ownercheck((relid), (role))
#define database_ownercheck(database, role) pg_database_ownercheck((database), (role))
#endif

/* Whether a role may look into a schema, which the caller has just seen. */
#if PG_VERSION_NUM >= 160000
#define schema_usable(schema, role) \
	(object_aclcheck(NamespaceRelationId, (schema), (role), ACL_USAGE) == ACLCHECK_OK)
#else
#define schema_usable(schema, role) \
	(pg_namespace_aclcheck((schema), (role), ACL_USAGE) == ACLCHECK_OK)
#endif

/* Parsing a possibly quoted, qualified name. */
#if PG_VERSION_NUM >= 160000
#define QualifiedNameList(name) stringToQualifiedNameList((name), NULL)
#else
#define QualifiedNameList(name) stringToQualifiedNameList(name)
#endif

/* 'infinity' as an interval exists from 17. */
#if PG_VERSION_NUM >= 170000
#define IntervalIsInfinite(interval) INTERVAL_NOT_FINITE(interval)
#else
#define IntervalIsInfinite(interval) false
#endif

/*
 * Lengthening a file by zeroed blocks: one call from 16, which reserves the
 * space without writing it.  Done by hand until then where many blocks are
 * wanted, since writing zeros is the dearest part of a bulk load.  What fails
 * here, for want of space or of support by the file system, fails again, and
 * is reported, in smgrextend().  Whoever writes one of the blocks has the
 * file fsynced.
 */
#if PG_VERSION_NUM >= 160000
#define SmgrZeroExtend(reln, blkno, nblocks) \
	smgrzeroextend((reln), MAIN_FORKNUM, (blkno), (nblocks), false)
#else
#define ZERO_EXTEND_BY_WRITING	8	/* up to so many blocks */

static inline bool
SmgrReserveBlocks(SMgrRelation reln, BlockNumber blkno, int nblocks)
{
#ifdef HAVE_POSIX_FALLOCATE
	BlockNumber in_segment = blkno % (BlockNumber) RELSEG_SIZE;
	char	   *name;
	char		path[MAXPGPATH];
	int			fd;
	int			result;

	/* only in a segment that exists, and not across its end */
	if (nblocks <= ZERO_EXTEND_BY_WRITING || in_segment == 0 ||
		in_segment + nblocks > (BlockNumber) RELSEG_SIZE)
		return false;

	name = relpath(reln->smgr_rnode, MAIN_FORKNUM);
	if (blkno < (BlockNumber) RELSEG_SIZE)
		strlcpy(path, name, sizeof(path));
	else
		snprintf(path, sizeof(path), "%s.%u", name, blkno / (BlockNumber) RELSEG_SIZE);
	pfree(name);

	fd = OpenTransientFile(path, O_RDWR | PG_BINARY);
	if (fd < 0)
		return false;
	result = posix_fallocate(fd, (off_t) in_segment * BLCKSZ, (off_t) nblocks * BLCKSZ);
	CloseTransientFile(fd);
	return result == 0;
#else
	return false;
#endif
}

static inline void
SmgrZeroExtend(SMgrRelation reln, BlockNumber blkno, int nblocks)
{
	PGAlignedBlock zero;
	BlockNumber block;

	if (SmgrReserveBlocks(reln, blkno, nblocks))
		return;
	memset(zero.data, 0, BLCKSZ);
	/* some may have been reserved before the disk was full, and be in use already */
	block = smgrnblocks(reln, MAIN_FORKNUM);
	for (block = Max(block, blkno); block < blkno + nblocks; block++)
		smgrextend(reln, MAIN_FORKNUM, block, zero.data, false);
}
#endif

/* The code of old_snapshot_threshold, which went in 17. */
#if PG_VERSION_NUM >= 170000
#define ERRCODE_SNAPSHOT_TOO_OLD MAKE_SQLSTATE('7','2','0','0','0')
#endif

/* "Does not return" stands before the declaration from 18, and after it until 17. */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/* VACUUM's report to the catalog and to the statistics. */
#if PG_VERSION_NUM >= 180000
#define VacuumUpdateStats(rel, pages, tuples, xid) \
	vac_update_relstats((rel), (pages), (tuples), 0, 0, false, (xid), \
						InvalidMultiXactId, NULL, NULL, false)
#define VacuumReportStats(rel, tuples) \
	pgstat_report_vacuum(RelationGetRelid(rel), false, (tuples), 0, GetCurrentTimestamp())
#else
#define VacuumUpdateStats(rel, pages, tuples, xid) \
	vac_update_relstats((rel), (pages), (tuples), 0, false, (xid), \
						InvalidMultiXactId, NULL, NULL, false)
#define VacuumReportStats(rel, tuples) \
	pgstat_report_vacuum(RelationGetRelid(rel), false, (tuples), 0)
#endif

/* VACUUM's horizons: what nobody can ask about, and what is to be frozen. */
#if PG_VERSION_NUM >= 160000
#define VacuumHorizons(rel, params, oldest_xmin, freeze_limit) \
	do { \
		struct VacuumCutoffs cutoffs_; \
		(void) vacuum_get_cutoffs((rel), (params), &cutoffs_); \
		*(oldest_xmin) = cutoffs_.OldestXmin; \
		*(freeze_limit) = cutoffs_.FreezeLimit; \
	} while (0)
#else
#define VacuumHorizons(rel, params, oldest_xmin, freeze_limit) \
	do { \
		MultiXactId multi_[2]; \
		(void) vacuum_set_xid_limits((rel), (params)->freeze_min_age, \
									 (params)->freeze_table_age, \
									 (params)->multixact_freeze_min_age, \
									 (params)->multixact_freeze_table_age, \
									 (oldest_xmin), &multi_[0], \
									 (freeze_limit), &multi_[1]); \
	} while (0)
#endif

/* The table access method's callbacks. */
#if PG_VERSION_NUM < 160000
#define relation_set_new_filelocator relation_set_new_filenode
typedef bool TU_UpdateIndexes;
#endif

/* A parallel scan knows its relation by its files from 18. */
#if PG_VERSION_NUM >= 180000
#define ParallelScanSetRelation(pscan, rel) \
	((pscan)->phs_locator = (rel)->rd_locator)
#else
#define ParallelScanSetRelation(pscan, rel) \
	((pscan)->phs_relid = RelationGetRelid(rel))
#endif

/*
 * Defines the callback scan_analyze_next_block.  Until 16 ANALYZE names a
 * block and takes "false" for "skip it"; from 17 the callback takes blocks from
 * a stream until one is usable.  use_block(scan, blkno, strategy) decides.
 */
#if PG_VERSION_NUM >= 170000
#include "storage/read_stream.h"
#define DEFINE_ANALYZE_NEXT_BLOCK(name, use_block) \
static bool \
name(TableScanDesc scan, ReadStream *stream) \
{ \
	Buffer		buffer; \
	while (BufferIsValid(buffer = read_stream_next_buffer(stream, NULL))) \
	{ \
		BlockNumber blkno = BufferGetBlockNumber(buffer); \
		ReleaseBuffer(buffer); \
		if (use_block(scan, blkno, NULL)) \
			return true; \
	} \
	return false; \
}
#else
#define DEFINE_ANALYZE_NEXT_BLOCK(name, use_block) \
static bool \
name(TableScanDesc scan, BlockNumber blkno, BufferAccessStrategy strategy) \
{ \
	return use_block(scan, blkno, strategy); \
}
#endif

/* Outer joins' nullable relids went in 16. */
#if PG_VERSION_NUM >= 160000
#define BuildExpressionPathkey(root, expr, opno, relids) \
	build_expression_pathkey((root), (expr), (opno), (relids), false)
#else
#define BuildExpressionPathkey(root, expr, opno, relids) \
	build_expression_pathkey((root), (expr), NULL, (opno), (relids), false)
#endif

/*
 * What INSERT ... ON CONFLICT DO NOTHING calls: whether no other row has the
 * same key, and the index entries of a row that is being tried.
 */
#if PG_VERSION_NUM >= 180000
#define CheckIndexConstraints(info, slot, estate, conflict) \
	ExecCheckIndexConstraints((info), (slot), (estate), (conflict), &(slot)->tts_tid, NIL)
#else
#define CheckIndexConstraints(info, slot, estate, conflict) \
	ExecCheckIndexConstraints((info), (slot), (estate), (conflict), NIL)
#endif
#if PG_VERSION_NUM >= 160000
#define InsertIndexTuplesUnlessDuplicate(info, slot, estate, conflict) \
	ExecInsertIndexTuples((info), (slot), (estate), false, true, (conflict), NIL, false)
#else
#define InsertIndexTuplesUnlessDuplicate(info, slot, estate, conflict) \
	ExecInsertIndexTuples((info), (slot), (estate), false, true, (conflict), NIL)
#endif

/* Whether a role may become another one, as an object's owner must. */
#if PG_VERSION_NUM >= 160000
#define CheckCanSetRole(member, role) check_can_set_role((member), (role))
#else
#define CheckCanSetRole(member, role) check_is_member_of_role((member), (role))
#endif

#endif							/* PGTOPIC_COMPAT_H */
