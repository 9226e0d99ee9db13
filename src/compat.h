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
#define XLogRecGetBlockTagLocator XLogRecGetBlockTag
#endif

#endif							/* PGTOPIC_COMPAT_H */
