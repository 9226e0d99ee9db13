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

#include "access/xloginsert.h"
#include "compat.h"
#include "log/page.h"
#include "log/wal.h"
#include "miscadmin.h"
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

void
wal_finish(WalRecord *record, Relation rel)
{
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
	for (int i = 0; i < record->npages; i++)
		PageSetLSN(BufferGetPage(record->pages[i].buffer), lsn);
}

void
wal_append_one(Relation rel, Buffer buffer, xl_topic_append_one *head,
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
data_append_one(Page page, const xl_topic_append_one *head, TransactionId xid,
				uint64 fxid, const char *record, int length)
{
	DataOpaque *opaque = data_opaque(page);
	uint16		lower = page_lower(page);
	BatchHead	batch = {0};
	int			size;

	batch.length = length;
	batch.xid = xid;
	batch.base_offset = (int64) opaque->next_offset;
	batch.base_timestamp = head->base_timestamp;
	batch.max_timestamp = head->base_timestamp;
	batch.crc = head->crc;
	batch.flags = head->flags;
	batch.producer_id = -1;
	batch.nrecords = 1;
	size = batch_head_encode((char *) page + lower, &batch);
	memcpy((char *) page + lower + size, record, length);

	if (opaque->entry_pos == 0)
	{
		opaque->entry_pos = lower;
		opaque->first_offset = opaque->next_offset;
	}
	opaque->next_offset++;
	if (fxid > opaque->max_fxid)
		opaque->max_fxid = fxid;
	data_page_add_times(opaque, head->base_timestamp, head->base_timestamp);
	((PageHeader) page)->pd_lower = lower + size + length;
}
