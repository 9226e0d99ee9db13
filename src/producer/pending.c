/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  Messages of the present transaction that are not appended yet.
 *
 * Within a lane batches stand in the order of the calls.  Their nesting
 * levels never fall along a lane, because a subtransaction's batches are gone
 * or its parent's when the parent goes on.
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
#include "executor/execdesc.h"
#include "lib/ilist.h"
#include "notify/notify.h"
#include "producer/levels.h"
#include "producer/pending.h"
#include "producer/pending_lanes.h"
#include "producer/produced.h"
#include "producer/producer.h"
#include "producer/sticky.h"
#include "tcop/pquery.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define BATCH_INITIAL_BYTES		512

/* A record that goes to another batch may need longer varints there. */
#define JOIN_BYTES_PER_RECORD	16

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

static MemoryContext batch_context; /* reset with the transaction */

static LevelLists levels;		/* of PendingBatch */
static int64 pending_bytes;		/* allocated for batches */
static int	pending_batches;

static bool appended_early;		/* this transaction has filled the buffer */
static char *spare;				/* BATCH_TARGET_BYTES for the next batch */

/*
 * Lowest nesting level of the batches that are being appended, else 0.  If it
 * stays behind after an error, it is not known which of them are in the log,
 * so that the subtransaction of that level must not commit.
 */
static int	appending_level;

/* ---------- batches ---------- */

static PendingBatch *
make_batch(PendingTopic *topic, PendingLane *lane, int level,
		   bool log_append_time, CommandId cid, int64 record_bytes)
{
	Size		capacity = Max(BATCH_INITIAL_BYTES,
							   BATCH_RESERVED_BYTES + record_bytes);
	PendingBatch *batch = MemoryContextAlloc(batch_context, sizeof(PendingBatch));
	char	   *data;

	if (spare != NULL && capacity <= BATCH_TARGET_BYTES)
	{
		capacity = BATCH_TARGET_BYTES;
		data = spare;
		spare = NULL;
	}
	else
		data = MemoryContextAlloc(batch_context, capacity);
	batch_init(&batch->batch, data, (uint32) capacity, 0);
	batch->topic = topic;
	batch->level = level;
	batch->cid = cid;
	batch->spans = NULL;
	batch->nspans = 0;
	batch->spans_size = 0;
	batch->log_append_time = log_append_time;
	batch->expected_offset = -1;
	dlist_push_tail(level_list(&levels, pending_lanes_context(), level),
					&batch->level_node);
	dlist_push_tail(&lane->batches, &batch->lane_node);
	topic->nbatches++;
	pending_batches++;
	pending_bytes += capacity + sizeof(PendingBatch);
	return batch;
}

static void
drop_batch(PendingBatch *batch)
{
	dlist_delete(&batch->lane_node);
	dlist_delete(&batch->level_node);
	batch->topic->nbatches--;
	pending_batches--;
	pending_bytes -= batch->batch.capacity + sizeof(PendingBatch);
	if (appended_early && spare == NULL && batch->batch.capacity == BATCH_TARGET_BYTES)
		spare = batch->batch.data;
	else
		pfree(batch->batch.data);
	if (batch->spans != NULL)
		pfree(batch->spans);
	pfree(batch);
}

/*
 * The next message of a batch expects an offset; so the first one does too.
 * pending_check_expected() sees to it that they agree.
 */
static void
expect_offset(PendingBatch *batch, RecordOffset offset)
{
	batch->expected_offset = offset - batch->batch.next_offset_delta;
}

/* Makes room for so many bytes more. */
static void
reserve_bytes(Batch *batch, int64 bytes)
{
	Size		needed = batch->length + bytes;
	Size		capacity;

	if (likely(needed <= batch->capacity))
		return;
	capacity = Max(needed, (Size) batch->capacity * 2);
	if (needed <= BATCH_TARGET_BYTES)
		capacity = Min(capacity, BATCH_TARGET_BYTES);
	batch->data = repalloc(batch->data, capacity);
	pending_bytes += capacity - batch->capacity;
	batch->capacity = (uint32) capacity;
}

/* Takes the next of a batch's records. */
static void
next_record(const char **from, size_t *left, DecodedRecord *record)
{
	int64		size = record_take(*from, *left, record);

	if (size <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("invalid message in the produce buffer")));
	*from += size;
	*left -= size;
}

static void
copy_record(Batch *to, int64 base_timestamp, const char **from, size_t *left)
{
	DecodedRecord record;
	RecordHeader *headers = NULL;
	RecordBytes rest;
	int			i;

	next_record(from, left, &record);
	rest = record.headers;
	if (record.nheaders > 0)
		headers = palloc(record.nheaders * sizeof(RecordHeader));
	for (i = 0; i < record.nheaders; i++)
		(void) record_next_header(&rest, &headers[i]);
	batch_add(to, base_timestamp + record.timestamp_delta, (int32) to->next_offset_delta,
			  record.key, record.value, headers, record.nheaders);
	if (headers != NULL)
		pfree(headers);
}

/*
 * move_messages: the messages of a batch from one on, whose record is at "at",
 * with their commands, to another batch.  All of them or, when memory is short,
 * none: behind a savepoint the transaction may go on, with each message once.
 */
static pg_noinline void
move_messages(PendingBatch *to, const PendingBatch *from, uint32 first,
			  const char *at, size_t left)
{
	PendingBatch before = *to;

	PG_TRY();
	{
		const char *next = at;
		size_t		rest = left;

		if (from->nspans == 0)
			pending_note_command(to, before.batch.count, from->cid);
		for (int i = 0; i < from->nspans; i++)
		{
			if (from->spans[i].first >= first)
				pending_note_command(to, before.batch.count + from->spans[i].first - first,
									 from->spans[i].cid);
		}
		while (rest > 0)
			copy_record(&to->batch, from->batch.base_timestamp, &next, &rest);
	}
	PG_CATCH();
	{
		to->batch = before.batch;
		to->cid = before.cid;
		to->nspans = before.nspans;
		if (before.batch.count == 0)
			drop_batch(to);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * join_last: a lane's last batch goes into the one before it if they are of
 * the same subtransaction by now.  So that a loop with a savepoint around
 * every message makes one batch and not one for each.  Done when the lane is
 * used again and not when the subtransaction commits, where an error, such as
 * one of memory, must not happen any more.
 */
static PendingBatch *
join_last(PendingLane *lane, PendingBatch *last)
{
	PendingBatch *previous = dlist_container(PendingBatch, lane_node,
											 dlist_prev_node(&lane->batches,
															 &last->lane_node));
	size_t		left;
	const char *at = batch_records(&last->batch, &left);
	int64		bytes = left + (int64) last->batch.count * JOIN_BYTES_PER_RECORD;
	uint64		next = previous->batch.next_offset_delta;

	if (previous->level != last->level ||
		previous->log_append_time != last->log_append_time ||
		!batch_fits(&previous->batch, bytes))
		return last;

	reserve_bytes(&previous->batch, bytes);
	move_messages(previous, last, 0, at, left);
	if (last->expected_offset >= 0)
		previous->expected_offset = last->expected_offset - next;
	drop_batch(last);
	return previous;
}

/* A batch keeps what its first commands produced; the rest gets one of its own. */
static void
keep_older(PendingLane *lane, PendingBatch *batch, int nspans)
{
	uint32		kept = batch->spans[nspans].first;
	PendingBatch *newer;
	Batch		older = batch->batch;
	size_t		left;
	const char *at = batch_records(&batch->batch, &left);

	older.min_timestamp = older.max_timestamp = older.base_timestamp;
	for (older.count = 0; older.count < kept; older.count++)
	{
		DecodedRecord record;
		int64		timestamp;

		next_record(&at, &left, &record);
		timestamp = older.base_timestamp + record.timestamp_delta;
		older.min_timestamp = Min(older.min_timestamp, timestamp);
		older.max_timestamp = Max(older.max_timestamp, timestamp);
		older.next_offset_delta = (uint64) record.offset_delta + 1;
	}
	older.length = (uint32) (at - older.data);

	newer = make_batch(batch->topic, lane, batch->level, batch->log_append_time,
					   batch->spans[nspans].cid,
					   left + (int64) (batch->batch.count - kept) * JOIN_BYTES_PER_RECORD);
	dlist_delete(&newer->lane_node);
	dlist_insert_after(&batch->lane_node, &newer->lane_node);
	move_messages(newer, batch, kept, at, left);
	if (batch->expected_offset >= 0)
		newer->expected_offset = batch->expected_offset + older.next_offset_delta;
	batch->batch = older;
	batch->cid = batch->spans[nspans - 1].cid;
	batch->nspans = nspans;
}

/*
 * split_for_snapshot: in the log a batch has the command of its newest message.
 * A statement that reads may have begun before that command, such as a STABLE
 * function in the query that produces; it has to see the older messages.
 */
static void
split_for_snapshot(PendingLane *lane, CommandId curcid)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &lane->batches)
	{
		PendingBatch *batch = dlist_container(PendingBatch, lane_node, iter.cur);
		int			n = 0;

		while (n < batch->nspans && batch->spans[n].cid < curcid)
			n++;
		if (n > 0 && n < batch->nspans)
			keep_older(lane, batch, n);
	}
}

/*
 * The reader is the one that the append is made for, or one that comes later in the
 * user's query, where a function that it called has filled the buffer.
 */
static void
split_for_readers(PendingLane *lane)
{
	const QueryDesc *query = ActivePortal != NULL ? ActivePortal->queryDesc : NULL;

	if (ActiveSnapshotSet())
		split_for_snapshot(lane, GetActiveSnapshot()->curcid);
	if (query != NULL && query->snapshot != NULL)
		split_for_snapshot(lane, query->snapshot->curcid);
}

/* The batch of a lane that may take one more message, or NULL. */
static PendingBatch *
open_batch(PendingLane *lane, int level, bool log_append_time)
{
	PendingBatch *last;

	if (dlist_is_empty(&lane->batches))
		return NULL;
	last = dlist_tail_element(PendingBatch, lane_node, &lane->batches);
	if (dlist_has_prev(&lane->batches, &last->lane_node))
		last = join_last(lane, last);
	if (last->level != level || last->log_append_time != log_append_time)
		return NULL;
	return last;
}

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
	TransactionId *xids = MemoryContextAlloc(batch_context,
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

	split_for_readers(lane);
	dlist_foreach(iter, &lane->batches)
		n++;
	if (n > APPENDS_ON_STACK)
		appends = MemoryContextAlloc(batch_context, n * sizeof(AppendBatch));

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
		drop_batch(batch);
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
			drop_batch(dlist_head_element(PendingBatch, lane_node,
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

	/* so that large transactions do not fragment the context */
	if (pending_batches == 0)
	{
		spare = NULL;
		MemoryContextReset(batch_context);
	}
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
	batch = open_batch(lane, level, log_append_time);
	if (batch != NULL)
	{
		size = message_record_size(&batch->batch, message);
		if (size >= 0 && !batch_fits(&batch->batch, size))
		{
			if (appended_early)
				flush_full_lane(topic, partition, lane);
			batch = NULL;
		}
	}
	if (batch == NULL)
	{
		size = message_record_size(NULL, message);
		if (size >= 0)
			batch = make_batch(topic, lane, level, log_append_time, cid, size);
	}
	if (size < 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message is too large"),
				 errdetail("A message can take %d bytes at most.", RECORD_MAX_BYTES)));

	reserve_bytes(&batch->batch, size);
	if (message->expects)
		expect_offset(batch, message->expected_offset);
	pending_note_command(batch, batch->batch.count, cid);
	batch_add(&batch->batch, message->timestamp,
			  (int32) batch->batch.next_offset_delta,
			  message->key, message->value, message->headers, message->nheaders);

	if (unlikely(pending_bytes > (int64) produce_buffer * 1024))
	{
		appended_early = true;
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
	int			i;

	for (i = levels.n; i >= level; i--)
	{
		dlist_head *list = &levels.heads[i - 1];

		while (!dlist_is_empty(list))
			drop_batch(dlist_tail_element(PendingBatch, level_node, list));
	}
	if (appending_level >= level)
		appending_level = 0;
	produced_at_subabort(level);
}

/* Must not fail, hence allocates nothing. */
static void
at_subcommit(int level)
{
	dlist_head *list;

	produced_at_subcommit(level);
	if (level > levels.n)
		return;
	list = &levels.heads[level - 1];
	while (!dlist_is_empty(list))
	{
		PendingBatch *batch = dlist_container(PendingBatch, level_node,
											  dlist_pop_head_node(list));

		batch->level--;
		dlist_push_tail(&levels.heads[level - 2], &batch->level_node);
	}
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
			at_subcommit(GetCurrentTransactionNestLevel());
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
	memset(&levels, 0, sizeof(levels));
	pending_bytes = 0;
	pending_batches = 0;
	appending_level = 0;
	appended_early = false;
	spare = NULL;
	MemoryContextReset(batch_context);
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

	if (pending_batches == 0)
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
	batch_context = AllocSetContextCreate(TopMemoryContext,
										  "pgtopic pending batches",
										  ALLOCSET_DEFAULT_SIZES);

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
