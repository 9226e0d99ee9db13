/*-------------------------------------------------------------------------
 *
 * xlog.c
 *	  The resource manager: redo, description, masking.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/bufmask.h"
#include "access/xlog_internal.h"
#include "access/xlogutils.h"
#include "compat.h"
#include "log/page.h"
#include "log/slotpage.h"
#include "log/wal.h"
#include "storage/bufmgr.h"
#include "storage/standby.h"

static void
redo_append_one(XLogReaderState *record)
{
	Buffer		buffer;

	if (XLogReadBufferForRedo(record, 0, &buffer) == BLK_NEEDS_REDO)
	{
		Page		page = BufferGetPage(buffer);
		Size		size;
		char	   *data = XLogRecGetBlockData(record, 0, &size);
		TransactionId xid = XLogRecGetXid(record);
		uint64		newest = data_opaque(page)->max_fxid;
		AppendOne	head;

		memcpy(&head, data, SizeOfAppendOne);
		data_append_one(page, &head, xid,
						newest + (int32) (xid - (uint32) newest),
						data + SizeOfAppendOne, size - SizeOfAppendOne);
		PageSetLSN(page, record->EndRecPtr);
		MarkBufferDirty(buffer);
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
}

static void
redo_slots(XLogReaderState *record)
{
	Buffer		buffer;
	bool		fresh = (XLogRecGetBlock(record, 0)->flags & BKPBLOCK_WILL_INIT) != 0;
	bool		apply = true;

	if (fresh)
		buffer = XLogInitBufferForRedo(record, 0);
	else
		apply = (XLogReadBufferForRedo(record, 0, &buffer) == BLK_NEEDS_REDO);
	if (apply)
	{
		Page		page = BufferGetPage(buffer);
		Size		size;
		char	   *data = XLogRecGetBlockData(record, 0, &size);
		TransactionId xid = XLogRecGetXid(record);

		if (XLogRecGetDataLen(record) > 0)
			memcpy(&xid, XLogRecGetData(record), sizeof(xid));
		if (fresh)
			slots_page_init(page);
		if (!slots_apply(page, xid, data, size))
			elog(PANIC, "pgtopic: malformed slots in WAL record");
		PageSetLSN(page, record->EndRecPtr);
		MarkBufferDirty(buffer);
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
}

static void
apply_patches(Page page, const char *data, Size size)
{
	const char *end = data + size;

	while (data < end)
	{
		xl_topic_patch patch;

		memcpy(&patch, data, sizeof(patch));
		data += sizeof(patch);
		if (data + patch.length > end || patch.pos + patch.length > BLCKSZ)
			elog(PANIC, "pgtopic: malformed patch in WAL record");
		memcpy((char *) page + patch.pos, data, patch.length);
		data += patch.length;
	}
}

/*
 * Buffers stay locked until all are changed: a reader on a standby must not
 * see a page that says it has a successor before the successor is there.
 */
static void
redo_change(XLogReaderState *record)
{
	Buffer		buffers[WAL_MAX_PAGES];
	int			nblocks = XLogRecMaxBlockId(record) + 1;

	for (int i = 0; i < nblocks; i++)
	{
		bool		fresh = (XLogRecGetBlock(record, i)->flags & BKPBLOCK_WILL_INIT) != 0;
		bool		apply = true;

		if (fresh)
			buffers[i] = XLogInitBufferForRedo(record, i);
		else
			apply = (XLogReadBufferForRedo(record, i, &buffers[i]) == BLK_NEEDS_REDO);

		if (apply)
		{
			Page		page = BufferGetPage(buffers[i]);
			Size		size;
			char	   *data = XLogRecGetBlockData(record, i, &size);

			if (fresh)
				memset(page, 0, BLCKSZ);
			if (data != NULL)
				apply_patches(page, data, size);
			PageSetLSN(page, record->EndRecPtr);
			MarkBufferDirty(buffers[i]);
		}
	}
	for (int i = 0; i < nblocks; i++)
	{
		if (BufferIsValid(buffers[i]))
			UnlockReleaseBuffer(buffers[i]);
	}
}

static void
topic_redo(XLogReaderState *record)
{
	uint8		info = XLogRecGetInfo(record) & ~XLR_INFO_MASK;

	switch (info)
	{
		case XLOG_TOPIC_APPEND_ONE:
			redo_append_one(record);
			break;
		case XLOG_TOPIC_SLOTS:
			redo_slots(record);
			break;
		case XLOG_TOPIC_FREEZE:
			if (InHotStandby)
			{
				xl_topic_change *change = (xl_topic_change *) XLogRecGetData(record);
				RelFileLocator locator;

				/*
				 * Snapshots that still tell these transactions apart must be
				 * gone before their xids are forgotten.
				 */
				XLogRecGetBlockTag(record, 0, &locator, NULL, NULL);
				ResolveTopicConflict(change->horizon, locator);
			}
			redo_change(record);
			break;
		case XLOG_TOPIC_APPEND:
		case XLOG_TOPIC_EXTENT_OPEN:
		case XLOG_TOPIC_DIRECTORY:
		case XLOG_TOPIC_TRIM:
		case XLOG_TOPIC_COPY:
		case XLOG_TOPIC_SPACE:
		case XLOG_TOPIC_COMPACT:
			redo_change(record);
			break;
		default:
			elog(PANIC, "pgtopic: unknown op code %u", info);
	}
}

static void
slots_desc(StringInfo buf, XLogReaderState *record)
{
	Size		size = 0;
	const char *data = XLogRecGetBlock(record, 0)->has_data ?
		XLogRecGetBlockData(record, 0, &size) : NULL;
	const char *end = data + size;
	SlotChange	change;

	if (data == NULL)
		appendStringInfoString(buf, "full page");
	for (const char *sep = ""; data != NULL && data < end; sep = "; ")
	{
		data = slot_change_decode(data, end - data, &change);
		if (data == NULL)
			break;
		appendStringInfo(buf, "%sslot: %d, version: %d, offset: " INT64_FORMAT, sep,
						 change.index, change.version, change.log_offset);
		if (change.new_key)
			appendStringInfo(buf, ", key: " INT64_FORMAT, change.key);
		if (change.new_lost)
			appendStringInfo(buf, ", lost: " INT64_FORMAT, change.lost);
	}
	if (XLogRecGetDataLen(record) > 0)
	{
		TransactionId xid;

		memcpy(&xid, XLogRecGetData(record), sizeof(xid));
		appendStringInfo(buf, ", xid: %u", xid);
	}
}

static void
topic_desc(StringInfo buf, XLogReaderState *record)
{
	uint8		info = XLogRecGetInfo(record) & ~XLR_INFO_MASK;

	if (info == XLOG_TOPIC_APPEND_ONE)
	{
		Size		size = 0;
		char	   *data = XLogRecGetBlock(record, 0)->has_data ?
			XLogRecGetBlockData(record, 0, &size) : NULL;

		if (data != NULL)
			appendStringInfo(buf, "record bytes: %zu", size - SizeOfAppendOne);
		else
			appendStringInfoString(buf, "full page");
	}
	else if (info == XLOG_TOPIC_SLOTS)
		slots_desc(buf, record);
	else
	{
		xl_topic_change *change = (xl_topic_change *) XLogRecGetData(record);

		appendStringInfo(buf, "lane: %u, offset: " UINT64_FORMAT,
						 change->lane, change->offset);
		if (info == XLOG_TOPIC_APPEND)
			appendStringInfo(buf, ", messages: %u", change->nmessages);
		else if (info == XLOG_TOPIC_FREEZE)
			appendStringInfo(buf, ", conflict horizon: %u", change->horizon);
	}
}

static const char *
topic_identify(uint8 info)
{
	switch (info & ~XLR_INFO_MASK)
	{
		case XLOG_TOPIC_APPEND_ONE:
			return "APPEND_ONE";
		case XLOG_TOPIC_APPEND:
			return "APPEND";
		case XLOG_TOPIC_EXTENT_OPEN:
			return "EXTENT_OPEN";
		case XLOG_TOPIC_DIRECTORY:
			return "DIRECTORY";
		case XLOG_TOPIC_TRIM:
			return "TRIM";
		case XLOG_TOPIC_FREEZE:
			return "FREEZE";
		case XLOG_TOPIC_COPY:
			return "COPY";
		case XLOG_TOPIC_SLOTS:
			return "SLOTS";
		case XLOG_TOPIC_SPACE:
			return "SPACE";
		case XLOG_TOPIC_COMPACT:
			return "COMPACT";
	}
	return NULL;
}

static void
topic_mask(char *page, BlockNumber blkno)
{
	mask_page_lsn_and_checksum(page);
	mask_unused_space(page);
}

static const RmgrData topic_rmgr = {
	.rm_name = TOPIC_RMGR_NAME,
	.rm_redo = topic_redo,
	.rm_desc = topic_desc,
	.rm_identify = topic_identify,
	.rm_mask = topic_mask
};

void
log_xlog_register(void)
{
	RegisterCustomRmgr(TOPIC_RMGR_ID, RmgrDataArg(&topic_rmgr));
}
