/*-------------------------------------------------------------------------
 *
 * wal.h
 *	  WAL records of the resource manager "pgtopic".
 *
 * Writers change pages inside a critical section through a WalRecord, which
 * remembers what was changed where; wal_finish() logs it.  Redo of every
 * record but APPEND_ONE and SLOTS is: zero the page if it is a new one, copy the bytes.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_WAL_H
#define PGTOPIC_LOG_WAL_H

#include "access/xlogreader.h"
#include "log/page.h"
#include "storage/buf.h"
#include "utils/rel.h"

/* Not reserved with the PostgreSQL project; see the README of the room. */
#define TOPIC_RMGR_ID			179
#define TOPIC_RMGR_NAME			"pgtopic"

/* Info bits, high nibble. */
#define XLOG_TOPIC_APPEND_ONE	0x00
#define XLOG_TOPIC_APPEND		0x10
#define XLOG_TOPIC_EXTENT_OPEN	0x20
#define XLOG_TOPIC_DIRECTORY	0x30	/* lane page or meta page created */
#define XLOG_TOPIC_TRIM			0x40
#define XLOG_TOPIC_FREEZE		0x50
#define XLOG_TOPIC_COPY			0x60	/* rewrite of the whole relation */
#define XLOG_TOPIC_SLOTS		0x70
#define XLOG_TOPIC_SPACE		0x80	/* to and from the free lists */
#define XLOG_TOPIC_COMPACT		0x90	/* a clean section is begun, or swapped in */

/*
 * APPEND_ONE.  Block 0: the tail page; block data: AppendOne, then one record
 * that is a batch of its own.  Everything else follows from the page.
 */
#define SizeOfAppendOne (offsetof(AppendOne, flags) + sizeof(uint16))

/*
 * SLOTS.  Block 0: the page, initialised if the flag says so; block data: what
 * slots_encode() gave.  Counters and the xid follow from page and record; main
 * data, if there is any: the xid, where the record's is a subtransaction's.
 */

/*
 * The others.  Main data: xl_topic_change.  Blocks: every page that changed;
 * block data: patches, each followed by its bytes, until the data end.
 */
typedef struct xl_topic_change
{
	uint32		lane;
	TransactionId horizon;		/* FREEZE: newest xid that was resolved */
	uint64		offset;			/* where the lane stands afterwards: log end,
								 * log start or frozen_upto */
	uint32		nmessages;		/* APPEND: that begin in this record */
} xl_topic_change;

#define SizeOfTopicChange (offsetof(xl_topic_change, nmessages) + sizeof(uint32))

typedef struct xl_topic_patch
{
	uint16		pos;
	uint16		length;
} xl_topic_patch;

#define WAL_MAX_PAGES			24	/* blocks in one record */
#define WAL_MAX_PATCHES			6	/* in one block */
#define WAL_APPEND_PAGES		16	/* data pages in one APPEND */

typedef struct WalPage
{
	Buffer		buffer;
	bool		fresh;
	int			npatches;
	xl_topic_patch patches[WAL_MAX_PATCHES];
} WalPage;

typedef struct WalRecord
{
	uint8		info;
	int			npages;
	xl_topic_change change;
	WalPage		pages[WAL_MAX_PAGES];
} WalRecord;

/* Reserves room for the largest record; outside critical sections. */
extern void wal_prepare(void);

/* Starts a record; then wal_page() for each exclusively locked buffer. */
extern void wal_begin(WalRecord *record, uint8 info, uint32 lane);
extern WalPage *wal_page(WalRecord *record, Buffer buffer, bool fresh);

/* Says that the bytes at [pos, pos + length) of the page were changed. */
extern void wal_patch(WalPage *page, int pos, int length);

/*
 * wal_finish: marks the buffers dirty and logs the record if the relation is
 * WAL-logged.  Inside a critical section.  Wakes the WAL writer now and then.
 */
extern void wal_finish(WalRecord *record, Relation rel);

/* Logs one message that was appended to the page by data_append_one(). */
extern void wal_append_one(Relation rel, Buffer buffer, AppendOne *head,
						   const char *record, int length);

/* Logs what slots_apply() did to a page; fresh: it was initialised before. */
extern void wal_slots(Relation rel, Buffer buffer, bool fresh, TransactionId xid,
					  const char *writes, int length);

/* xlog.c */
extern void log_xlog_register(void);

#endif							/* PGTOPIC_LOG_WAL_H */
