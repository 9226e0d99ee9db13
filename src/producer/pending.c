/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  Messages of the present transaction that are not appended yet.
 *
 * A transaction that had to append early holds up its readers already, so
 * that nothing is gained by collecting more than one batch a lane: from then
 * on each is appended when it is full, while the processor's cache has it, and
 * its memory is used again.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/subtrans.h"
#include "access/table.h"
#include "access/xact.h"
#include "lib/ilist.h"
#include "notify/notify.h"
#include "producer/pending.h"
#include "producer/pending_batches.h"
#include "producer/pending_lanes.h"
#include "producer/produced.h"
#include "producer/producer.h"
#include "producer/sticky.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* So many batches of a lane are appended without an allocation. */
#define APPENDS_ON_STACK		8

/* Settings. */
int			producer_append_at = APPEND_AT_COMMIT;
static int	produce_buffer = 16 * 1024; /* kB */

static const struct config_enum_entry append_at_options[] = {
	{"commit", APPEND_AT_COMMIT, false},
	{"call", APPEND_AT_CALL, false},
	{NULL, 0, false}
};

/*
 * Lowest nesting level of the batches that are being appended, else 0.  If it
 * stays behind after an error, it is not known which of them are in the log,
 * so that the subtransaction of that level must not commit.
 */
static int	appending_level;

static inline int64
message_record_size(const Batch *batch, const Message *message)
{
	int64		delta = 0;
	int32		offset_delta = 0;

	if (batch != NULL)
	{
		delta = message->timestamp - batch->base_timestamp;
		offset_delta = (int32) batch->next_offset_delta;
	}
	return record_size(delta, offset_delta, message->key, message->value,
					   message->headers, message->nheaders);
}

/* What an earlier error left behind makes it impossible to go on. */
static void
check_appended_before(void)
{
	if (unlikely(appending_level != 0))
		ereport(ERROR,
				(errcode(ERRCODE_IN_FAILED_SQL_TRANSACTION),
				 errmsg("messages of this transaction could not be appended"),
				 errdetail("Appending failed inside a savepoint, but some of the messages had been produced before it."),
				 errhint("Roll back the whole transaction and try again.")));
}

/* ---------- expected offsets ---------- */

void
pending_check_expected(Relation rel, PendingTopic *topic, int32 partition,
					   RecordOffset expected)
{
	PendingLane *lane = pending_lane(topic, partition);
	RecordOffset next = -1;		/* if what is pending gets what it expects */
	int64		before = 0;		/* offsets that what is pending takes */
	dlist_iter	iter;
	LaneInfo	info;

	dlist_foreach(iter, &lane->batches)
	{
		PendingBatch *batch = dlist_container(PendingBatch, lane_node, iter.cur);

		if (batch->expected_offset >= 0)
			next = batch->expected_offset;
		if (next >= 0)
			next += batch->batch.next_offset_delta;
		before += batch->batch.next_offset_delta;
	}
	if (next < 0)
	{
		log_lane_info(rel, partition, &info);
		next = info.log_end + before;
		if (next <= expected)
			return;				/* others may append until then */
	}
	if (next != expected)
		log_refuse_expected(rel, partition, expected, next);
}

/* ---------- appending ---------- */

/*
 * The transaction ids of all nesting levels, [0] is the transaction's.
 * Getting the innermost one assigns all others.
 */
static TransactionId *
level_xids(void)
{
	int			level = GetCurrentTransactionNestLevel();
	TransactionId xid = GetCurrentTransactionId();
	TransactionId *xids = MemoryContextAlloc(pending_batches_context(),
											 level * sizeof(TransactionId));

	for (;;)
	{
		xids[--level] = xid;
		if (level == 0)
			return xids;
		xid = SubTransGetParent(xid);
	}
}

/*
 * Appends batches, the first of which has the lowest nesting level.  A batch
 * gets its offset before its first byte is written: if the first one has none,
 * all are still pending as they were, and only who is to blame rolls back.
 */
static void
append_batches(Relation rel, int32 partition, PendingLane *lane,
			   AppendBatch *appends, int n, int level)
{
	lane->appended = true;
	appending_level = level;
	appends[0].base_offset = -1;
	PG_TRY();
	{
		log_append(rel, partition, appends, n);
	}
	PG_CATCH();
	{
		if (appends[0].base_offset < 0)
			appending_level = 0;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

static void
flush_lane(Relation rel, int32 partition, PendingLane *lane,
		   const TransactionId *xids)
{
	AppendBatch on_stack[APPENDS_ON_STACK];
	AppendBatch *appends = on_stack;
	PendingBatch *batch;
	dlist_iter	iter;
	int			n = 0;
	int			i;

	pending_batches_split(lane);
	dlist_foreach(iter, &lane->batches)
		n++;
	if (n > APPENDS_ON_STACK)
		appends = MemoryContextAlloc(pending_batches_context(), n * sizeof(AppendBatch));

	n = 0;
	dlist_foreach(iter, &lane->batches)
	{
		batch = dlist_container(PendingBatch, lane_node, iter.cur);
		appends[n].batch = &batch->batch;
		appends[n].xid = xids[batch->level - 1];
		appends[n].cid = batch->cid;
		appends[n].log_append_time = batch->log_append_time;
		appends[n].codec = batch->topic->codec;
		appends[n].at_offset = -1;
		appends[n].expected_offset = batch->expected_offset;
		appends[n].base_offset = -1;
		n++;
	}

	batch = dlist_head_element(PendingBatch, lane_node, &lane->batches);
	append_batches(rel, partition, lane, appends, n, batch->level);
	for (i = 0; i < n; i++)
	{
		batch = dlist_head_element(PendingBatch, lane_node, &lane->batches);
		produced_add(pending_lanes_context(), &lane->newest, RelationGetRelid(rel),
					 partition, batch->level, appends[i].base_offset,
					 &batch->batch);
		pending_batch_drop(batch);
	}
	appending_level = 0;
	if (appends != on_stack)
		pfree(appends);
}

/* Appends what is pending for one lane. */
static void
flush_full_lane(PendingTopic *topic, int32 partition, PendingLane *lane)
{
	TransactionId *xids = level_xids();
	Relation	rel = table_open(topic->oid, RowExclusiveLock);

	flush_lane(rel, partition, lane, xids);
	table_close(rel, NoLock);
	pfree(xids);
}

/*
 * The relation is gone if it was dropped in this transaction, and the
 * messages with it; whoever dropped it has flushed what a savepoint before
 * the drop can bring back.
 */
static void
flush_topic(PendingTopic *topic, const TransactionId *xids)
{
	Relation	rel = try_table_open(topic->oid, RowExclusiveLock);
	PendingLane *lane;
	int32		partition;

	for (partition = 0;
		 topic->nbatches > 0 && (lane = pending_next_lane(topic, &partition)) != NULL;
		 partition++)
	{
		if (dlist_is_empty(&lane->batches))
			continue;
		if (rel != NULL)
			flush_lane(rel, partition, lane, xids);
		while (!dlist_is_empty(&lane->batches))
			pending_batch_drop(dlist_head_element(PendingBatch, lane_node,
										  &lane->batches));
	}

	sticky_advance(topic->oid);
	if (rel != NULL)
		table_close(rel, NoLock);
}

void
pending_flush(Oid oid)
{
	TransactionId *xids;
	PendingTopic *topic;
	int			i;

	check_appended_before();
	if (!producer_has_pending(oid))
		return;

	xids = level_xids();
	for (i = 0; (topic = pending_topic_at(i)) != NULL; i++)
	{
		if (topic->nbatches > 0 &&
			(!OidIsValid(oid) || topic->oid == oid))
			flush_topic(topic, xids);
	}
	pfree(xids);

	pending_batches_tidy();
}

/* ---------- adding ---------- */

void
pending_add(PendingTopic *topic, int32 partition, const Message *message,
			bool log_append_time, CommandId cid)
{
	int			level = GetCurrentTransactionNestLevel();
	PendingLane *lane = pending_lane(topic, partition);
	PendingBatch *batch;
	int64		size = -1;

	check_appended_before();
	batch = pending_batch_open(lane, level, log_append_time);
	if (likely(batch != NULL && pending_batch_try_add(batch, message, cid)))
		return;
	if (batch != NULL)
	{
		size = message_record_size(&batch->batch, message);
		if (size >= 0 && pending_batch_is_full(batch, size))
		{
			if (pending_batches_memory_is_reused())
				flush_full_lane(topic, partition, lane);
			batch = NULL;
		}
	}
	if (batch == NULL)
	{
		size = message_record_size(NULL, message);
		if (size >= 0)
			batch = pending_batch_make(topic, lane, level, log_append_time, cid, size);
	}
	if (size < 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message is too large"),
				 errdetail("A message can take %d bytes at most.", RECORD_MAX_BYTES)));

	pending_batch_add(batch, message, size, cid);
	if (unlikely(pending_batches_bytes() > (int64) produce_buffer * 1024))
	{
		pending_batches_reuse_memory();
		pending_flush(InvalidOid);
	}
}

void
pending_append(Relation rel, int32 partition, Batch *batch,
			   RecordOffset at_offset, CommandId cid)
{
	int			level = GetCurrentTransactionNestLevel();
	PendingTopic *topic = pending_topic(RelationGetRelid(rel));
	PendingLane *lane = pending_lane(topic, partition);
	AppendBatch append = {0};

	pending_flush(RelationGetRelid(rel));
	append.batch = batch;
	append.xid = GetCurrentTransactionId();
	append.cid = cid;
	append.codec = topic->codec;
	append.at_offset = at_offset;
	append.expected_offset = -1;
	append_batches(rel, partition, lane, &append, 1, level);
	produced_add(pending_lanes_context(), &lane->newest, RelationGetRelid(rel),
				 partition, level, append.base_offset, batch);
	appending_level = 0;
}

/* ---------- ends of transactions and subtransactions ---------- */

static void
at_subabort(int level)
{
	pending_batches_at_subabort(level);
	if (appending_level >= level)
		appending_level = 0;
	produced_at_subabort(level);
}

static void
pending_subxact_callback(SubXactEvent event, SubTransactionId mySubid,
						 SubTransactionId parentSubid, void *arg)
{
	if (pending_topic_at(0) == NULL)
		return;
	switch (event)
	{
		case SUBXACT_EVENT_PRE_COMMIT_SUB:
			if (appending_level == GetCurrentTransactionNestLevel())
				check_appended_before();
			break;
		case SUBXACT_EVENT_COMMIT_SUB:
			produced_at_subcommit(GetCurrentTransactionNestLevel());
			pending_batches_at_subcommit(GetCurrentTransactionNestLevel());
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			at_subabort(GetCurrentTransactionNestLevel());
			break;
		case SUBXACT_EVENT_START_SUB:
			break;
	}
}

/* Wakes those who wait for the lanes that this transaction has written. */
static void
signal_waiters(void)
{
	PendingTopic *topic;
	int			i;

	for (i = 0; (topic = pending_topic_at(i)) != NULL; i++)
	{
		PendingLane *lane;
		int32		partition;

		for (partition = 0; (lane = pending_next_lane(topic, &partition)) != NULL; partition++)
		{
			if (lane->appended)
				notify_signal(topic->oid, partition);
		}
	}
}

static void
forget_transaction(void)
{
	produced_at_eoxact();
	appending_level = 0;
	pending_batches_forget();
	pending_lanes_forget();
}

/*
 * An abort wakes waiters too: what it had appended early has held them up.
 * After PREPARE the messages hold them up still.
 */
static void
pending_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pending_flush(InvalidOid);
			produced_prepare_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			pending_flush(InvalidOid);
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			if (event != XACT_EVENT_ABORT)
				produced_count();
			if (event == XACT_EVENT_COMMIT)
				produced_at_commit();
			if (pending_topic_at(0) != NULL)
			{
				if (event != XACT_EVENT_PREPARE)
					signal_waiters();
				forget_transaction();
			}
			log_at_eoxact();
			break;
		default:
			/* parallel workers produce nothing */
			break;
	}
}

/* ---------- the door ---------- */

bool
producer_has_pending(Oid oid)
{
	PendingTopic *topic;

	if (!pending_batches_exist())
		return false;
	if (!OidIsValid(oid))
		return true;
	topic = pending_find_topic(oid);
	return topic != NULL && topic->nbatches > 0;
}

void
producer_flush(Oid topic)
{
	pending_flush(topic);
}

void
pending_init(void)
{
	pending_lanes_init();
	pending_batches_init();

	DefineCustomEnumVariable("pgtopic.append_at",
							 "Sets when produced messages are appended to their topics.",
							 "With \"commit\", when the transaction commits; with \"call\", at once, and their offsets are returned.",
							 &producer_append_at,
							 APPEND_AT_COMMIT,
							 append_at_options,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("pgtopic.produce_buffer",
							"Sets the memory for messages that wait for their transaction to commit.",
							"A transaction that produces more appends early.",
							&produce_buffer,
							16 * 1024,
							64,
							MAX_KILOBYTES,
							PGC_USERSET,
							GUC_UNIT_KB,
							NULL, NULL, NULL);

	RegisterXactCallback(pending_xact_callback, NULL);
	RegisterSubXactCallback(pending_subxact_callback, NULL);
}
