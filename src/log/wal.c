/*-------------------------------------------------------------------------
 *
 * wal.c
 *	  Writing WAL: the only callers of XLogInsert.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "compat.h"
#include "log/page.h"
#include "log/wal.h"
#include "miscadmin.h"
#include "postmaster/walwriter.h"
#include "storage/bufmgr.h"

void
wal_prepare(void)
{
	XLogEnsureRecordSpace(WAL_MAX_PAGES, 2 * WAL_MAX_PATCHES * WAL_MAX_PAGES + 4);
}

void
wal_begin(WalRecord *record, uint8 info, uint32 lane)
{
	record->info = info;
	record->npages = 0;
	memset(&record->change, 0, sizeof(record->change));
	record->change.lane = lane;
}

WalPage *
wal_page(WalRecord *record, Buffer buffer, bool fresh)
{
	WalPage    *page = &record->pages[record->npages++];

	Assert(record->npages <= WAL_MAX_PAGES);
	page->buffer = buffer;
	page->fresh = fresh;
	page->npatches = 0;
	if (fresh)
		wal_patch(page, 0, SizeOfPageHeaderData);
	return page;
}

void
wal_patch(WalPage *page, int pos, int length)
{
	xl_topic_patch *patch = &page->patches[page->npatches++];

	Assert(page->npatches <= WAL_MAX_PATCHES);
	Assert(pos >= 0 && length > 0 && pos + length <= BLCKSZ);
	patch->pos = (uint16) pos;
	patch->length = (uint16) length;
}

/*
 * Has the WAL writer write and flush what a large transaction inserts: in the
 * pieces of wal_writer_flush_after, or larger ones if wal_buffers have room for
 * several.  By itself it looks every wal_writer_delay, by when the transaction
 * has filled wal_buffers many times, and would write and flush its WAL itself:
 * at the end of each segment, and at COMMIT.  A small transaction's COMMIT is
 * sooner there than the WAL writer, and would wait for it.
 */
static void
wake_wal_writer(XLogRecPtr lsn, bool begins_transaction)
{
	static XLogRecPtr woken = InvalidXLogRecPtr;
	uint64		piece = (uint64) Max(WalWriterFlushAfter, XLOGbuffers / 4) * XLOG_BLCKSZ;

	if (begins_transaction)
		woken = lsn;
	else if (lsn - woken >= piece)
	{
		XLogSetAsyncXactLSN(lsn);
		woken = lsn;
	}
}

void
wal_finish(WalRecord *record, Relation rel)
{
	bool		begins_transaction = (XactLastRecEnd == InvalidXLogRecPtr);
	XLogRecPtr	lsn;

	Assert(CritSectionCount > 0);
	for (int i = 0; i < record->npages; i++)
		MarkBufferDirty(record->pages[i].buffer);

	if (!RelationNeedsWAL(rel))
		return;

	XLogBeginInsert();
	XLogRegisterData((char *) &record->change, SizeOfTopicChange);
	for (int i = 0; i < record->npages; i++)
	{
		WalPage    *page = &record->pages[i];
		char	   *bytes = (char *) BufferGetPage(page->buffer);

		XLogRegisterBuffer(i, page->buffer,
						   REGBUF_STANDARD | (page->fresh ? REGBUF_WILL_INIT : 0));
		for (int j = 0; j < page->npatches; j++)
		{
			XLogRegisterBufData(i, (char *) &page->patches[j], sizeof(xl_topic_patch));
			XLogRegisterBufData(i, bytes + page->patches[j].pos, page->patches[j].length);
		}
	}
	lsn = XLogInsert(TOPIC_RMGR_ID, record->info);
	wake_wal_writer(lsn, begins_transaction);
	for (int i = 0; i < record->npages; i++)
		PageSetLSN(BufferGetPage(record->pages[i].buffer), lsn);
}

void
wal_append_one(Relation rel, Buffer buffer, AppendOne *head,
			   const char *record, int length)
{
	XLogRecPtr	lsn;

	Assert(CritSectionCount > 0);
	MarkBufferDirty(buffer);
	if (!RelationNeedsWAL(rel))
		return;

	XLogBeginInsert();
	XLogRegisterBuffer(0, buffer, REGBUF_STANDARD);
	XLogRegisterBufData(0, (char *) head, SizeOfAppendOne);
	XLogRegisterBufData(0, (char *) record, length);
	/* a macro until 15, which evaluates its argument twice */
	lsn = XLogInsert(TOPIC_RMGR_ID, XLOG_TOPIC_APPEND_ONE);
	PageSetLSN(BufferGetPage(buffer), lsn);
}

void
wal_slots(Relation rel, Buffer buffer, bool fresh, TransactionId xid,
		  const char *writes, int length)
{
	XLogRecPtr	lsn;

	Assert(CritSectionCount > 0);
	MarkBufferDirty(buffer);
	if (!RelationNeedsWAL(rel))
		return;

	XLogBeginInsert();
	if (xid != GetCurrentTransactionIdIfAny())
		XLogRegisterData((char *) &xid, sizeof(xid));
	XLogRegisterBuffer(0, buffer, REGBUF_STANDARD | (fresh ? REGBUF_WILL_INIT : 0));
	XLogRegisterBufData(0, (char *) writes, length);
	lsn = XLogInsert(TOPIC_RMGR_ID, XLOG_TOPIC_SLOTS);
	PageSetLSN(BufferGetPage(buffer), lsn);
}
