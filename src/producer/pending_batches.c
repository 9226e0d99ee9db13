/*-------------------------------------------------------------------------
 *
 * pending_batches.c
 *	  Batches of the present transaction that are not appended yet.
 *
 * Within a lane batches stand in the order of the calls.  Their nesting
 * levels never fall along a lane, because a subtransaction's batches are gone
 * or its parent's when the parent goes on.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/execdesc.h"
#include "producer/levels.h"
#include "producer/pending_batches.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#define BATCH_INITIAL_BYTES		512

/* Batches that share one piece of memory are cut earlier: the cache has it still. */
#define REUSED_BATCH_BYTES		(256 * 1024)

/* A record that goes to another batch may need longer varints there. */
#define JOIN_BYTES_PER_RECORD	16

static MemoryContext batch_context; /* reset with the transaction */

static LevelLists levels;		/* of PendingBatch */
static int64 pending_bytes;		/* allocated for batches */
static int	pending_batches;

static bool reuses_memory;
static char *spare;				/* REUSED_BATCH_BYTES for the next batch */

void
pending_batches_init(void)
{
	batch_context = AllocSetContextCreate(TopMemoryContext,
										  "pgtopic pending batches",
										  ALLOCSET_DEFAULT_SIZES);
}

void
pending_batches_forget(void)
{
	memset(&levels, 0, sizeof(levels));
	pending_bytes = 0;
	pending_batches = 0;
	reuses_memory = false;
	spare = NULL;
	MemoryContextReset(batch_context);
}

void
pending_batches_tidy(void)
{
	if (pending_batches == 0)
	{
		spare = NULL;
		MemoryContextReset(batch_context);
	}
}

MemoryContext
pending_batches_context(void)
{
	return batch_context;
}

bool
pending_batches_exist(void)
{
	return pending_batches > 0;
}

int64
pending_batches_bytes(void)
{
	return pending_bytes;
}

void
pending_batches_reuse_memory(void)
{
	reuses_memory = true;
}

bool
pending_batches_memory_is_reused(void)
{
	return reuses_memory;
}

/* ---------- making and dropping ---------- */

PendingBatch *
pending_batch_make(PendingTopic *topic, PendingLane *lane, int level,
				   bool log_append_time, CommandId cid, int64 record_bytes)
{
	Size		capacity = Max(BATCH_INITIAL_BYTES,
							   BATCH_RESERVED_BYTES + record_bytes);
	PendingBatch *batch = MemoryContextAlloc(batch_context, sizeof(PendingBatch));
	char	   *data;

	if (spare != NULL && capacity <= REUSED_BATCH_BYTES)
	{
		capacity = REUSED_BATCH_BYTES;
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

void
pending_batch_drop(PendingBatch *batch)
{
	dlist_delete(&batch->lane_node);
	dlist_delete(&batch->level_node);
	batch->topic->nbatches--;
	pending_batches--;
	pending_bytes -= batch->batch.capacity + sizeof(PendingBatch);
	if (reuses_memory && spare == NULL && batch->batch.capacity == REUSED_BATCH_BYTES)
		spare = batch->batch.data;
	else
		pfree(batch->batch.data);
	if (batch->spans != NULL)
		pfree(batch->spans);
	pfree(batch);
}

/* ---------- commands of a batch ---------- */

static void
push_span(PendingBatch *batch, uint32 first, CommandId cid)
{
	if (batch->nspans == batch->spans_size)
	{
		int			size = Max(4, batch->spans_size * 2);
		CommandSpan *spans = MemoryContextAlloc(batch_context, size * sizeof(CommandSpan));

		if (batch->spans != NULL)
		{
			memcpy(spans, batch->spans, batch->nspans * sizeof(CommandSpan));
			pfree(batch->spans);
		}
		batch->spans = spans;
		batch->spans_size = size;
	}
	batch->spans[batch->nspans].first = first;
	batch->spans[batch->nspans++].cid = cid;
}

static void
note_new_command(PendingBatch *batch, uint32 first, CommandId cid)
{
	if (batch->nspans == 0)
		push_span(batch, 0, batch->cid);
	push_span(batch, first, cid);
	batch->cid = cid;
}

/* The messages of a batch from the given one on are this command's. */
static inline void
note_command(PendingBatch *batch, uint32 first, CommandId cid)
{
	if (unlikely(batch->cid != cid))
		note_new_command(batch, first, cid);
}

/* ---------- messages ---------- */

/*
 * The next message of a batch expects an offset; so the first one does too.
 * pending_check_expected() sees to it that they agree.
 */
static void
expect_offset(PendingBatch *batch, RecordOffset offset)
{
	batch->expected_offset = offset - batch->batch.next_offset_delta;
}

bool
pending_batch_is_full(const PendingBatch *batch, int64 size)
{
	return !batch_fits(&batch->batch, size) ||
		(reuses_memory && batch->batch.count > 0 &&
		 batch->batch.length + size > REUSED_BATCH_BYTES);
}

/* Makes room for so many bytes more. */
static void
reserve_bytes(Batch *batch, int64 bytes)
{
	Size		needed = batch->length + bytes;
	Size		target = reuses_memory ? REUSED_BATCH_BYTES : BATCH_TARGET_BYTES;
	Size		capacity;

	if (likely(needed <= batch->capacity))
		return;
	capacity = Max(needed, (Size) batch->capacity * 2);
	if (needed <= target)
		capacity = Min(capacity, target);
	batch->data = repalloc(batch->data, capacity);
	pending_bytes += capacity - batch->capacity;
	batch->capacity = (uint32) capacity;
}

void
pending_batch_add(PendingBatch *batch, const Message *message, int64 size, CommandId cid)
{
	reserve_bytes(&batch->batch, size);
	if (message->expects)
		expect_offset(batch, message->expected_offset);
	note_command(batch, batch->batch.count, cid);
	batch_add(&batch->batch, message->timestamp,
			  (int32) batch->batch.next_offset_delta,
			  message->key, message->value, message->headers, message->nheaders);
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

/* ---------- joining and cutting ---------- */

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
			note_command(to, before.batch.count, from->cid);
		for (int i = 0; i < from->nspans; i++)
		{
			if (from->spans[i].first >= first)
				note_command(to, before.batch.count + from->spans[i].first - first,
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
			pending_batch_drop(to);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

PendingBatch *
pending_batch_join(PendingLane *lane, PendingBatch *last)
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
	pending_batch_drop(last);
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

	newer = pending_batch_make(batch->topic, lane, batch->level, batch->log_append_time,
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

void
pending_batches_split(PendingLane *lane)
{
	const QueryDesc *query = ActivePortal != NULL ? ActivePortal->queryDesc : NULL;

	if (ActiveSnapshotSet())
		split_for_snapshot(lane, GetActiveSnapshot()->curcid);
	if (query != NULL && query->snapshot != NULL)
		split_for_snapshot(lane, query->snapshot->curcid);
}

/* ---------- ends of subtransactions ---------- */

void
pending_batches_at_subabort(int level)
{
	int			i;

	for (i = levels.n; i >= level; i--)
	{
		dlist_head *list = &levels.heads[i - 1];

		while (!dlist_is_empty(list))
			pending_batch_drop(dlist_tail_element(PendingBatch, level_node, list));
	}
}

void
pending_batches_at_subcommit(int level)
{
	dlist_head *list;

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
