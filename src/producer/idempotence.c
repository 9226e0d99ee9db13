/*-------------------------------------------------------------------------
 *
 * idempotence.c
 *	  Whether messages of a producer that numbers them are new.
 *
 * What this transaction knows of a producer in a partition is read once, when
 * the state has been locked, and is then true until the transaction ends.  It
 * changes with the calls, goes back with ROLLBACK TO, and is stored at PRE_COMMIT.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "producer/idempotence.h"
#include "producer/producer_states.h"
#include "topic/topic.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

typedef struct KnownProducer
{
	ProducerKey key;			/* of the hash table */
	Oid			topic;
	ProducerPlace place;
	ProducerState state;
	int			level;			/* of its newest note */
	bool		changed;
} KnownProducer;

/*
 * What the rollback of a nesting level puts back; the first of a producer takes
 * it away, as the lock goes too.
 */
typedef struct Note
{
	KnownProducer *producer;
	int			level;
	int			level_before;	/* 0: it was not known */
	ProducerState state_before;
	bool		changed_before;
} Note;

static MemoryContext context;	/* reset with the transaction */
static HTAB *known;				/* NULL if no producer is */
static Note *notes;				/* levels never fall */
static int	nnotes;
static int	notes_size;

/* ---------- what is known, by level ---------- */

static void
begin_knowing(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(ProducerKey);
	ctl.entrysize = sizeof(KnownProducer);
	ctl.hcxt = context;
	notes_size = 16;
	notes = MemoryContextAlloc(context, notes_size * sizeof(Note));
	known = hash_create("pgtopic producers", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Before a change of a producer that this level has not changed yet. */
static void
note_before(KnownProducer *producer, int level)
{
	Note	   *note;

	if (producer->level == level)
		return;
	if (nnotes == notes_size)
	{
		notes = repalloc_huge(notes, 2 * (Size) notes_size * sizeof(Note));
		notes_size *= 2;
	}
	note = &notes[nnotes++];
	note->producer = producer;
	note->level = level;
	note->level_before = producer->level;
	note->state_before = producer->state;
	note->changed_before = producer->changed;
	producer->level = level;
}

static KnownProducer *
know_producer(Oid topic, const ProducerKey *key)
{
	KnownProducer *producer;
	ProducerPlace place;
	ProducerState state;

	if (known == NULL)
		begin_knowing();
	producer = hash_search(known, key, HASH_FIND, NULL);
	if (producer != NULL)
		return producer;

	producer_state_lock(key);
	producer_state_read(key, &place, &state);
	producer = hash_search(known, key, HASH_ENTER, NULL);
	producer->topic = topic;
	producer->place = place;
	producer->state = state;
	producer->level = 0;
	producer->changed = false;
	note_before(producer, GetCurrentTransactionNestLevel());
	return producer;
}

static void
undo_level(int level)
{
	while (nnotes > 0 && notes[nnotes - 1].level >= level)
	{
		const Note *note = &notes[--nnotes];

		if (note->level_before == 0)
		{
			(void) hash_search(known, &note->producer->key, HASH_REMOVE, NULL);
			continue;
		}
		note->producer->state = note->state_before;
		note->producer->changed = note->changed_before;
		note->producer->level = note->level_before;
	}
}

/* The parent's note on a producer, where it has one, is enough. */
static void
give_to_parent(int level)
{
	int			first = nnotes;
	int			kept;

	while (first > 0 && notes[first - 1].level == level)
		first--;
	kept = first;
	for (int i = first; i < nnotes; i++)
	{
		notes[i].producer->level = level - 1;
		if (notes[i].level_before == level - 1)
			continue;
		notes[kept] = notes[i];
		notes[kept++].level = level - 1;
	}
	nnotes = kept;
}

/* ---------- judging ---------- */

void
numbering_check(const Numbering *numbering)
{
	if (numbering->producer_id[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("producer_id must not be empty")));
	if (strlen(numbering->producer_id) > PRODUCER_ID_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("producer_id is too long"),
				 errdetail("It must not have more than %d bytes.", PRODUCER_ID_MAX_BYTES)));
	if (numbering->sequence < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sequence must not be negative")));
	if (numbering->epoch < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("producer_epoch must not be negative")));
}

static void
refuse_old_epoch(Relation rel, int32 partition, const Numbering *numbering, int32 epoch)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("producer \"%s\" has been fenced: its epoch %d is old",
					numbering->producer_id, numbering->epoch),
			 errdetail("Partition %d of topic %s has messages of its epoch %d.",
					   partition, topic_name(rel), epoch),
			 errhint("Another instance of this producer has taken over; end this one.")));
}

static void
refuse_new_epoch(Relation rel, int32 partition, const Numbering *numbering, int32 epoch)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("epoch %d of producer \"%s\" cannot begin with sequence %lld",
					numbering->epoch, numbering->producer_id, (long long) numbering->sequence),
			 errdetail("Partition %d of topic %s has messages of its epoch %d only.",
					   partition, topic_name(rel), epoch),
			 errhint("Begin each epoch with sequence 0 in each partition.")));
}

static void
refuse_gap(Relation rel, int32 partition, const Numbering *numbering, int64 last)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("sequence %lld of producer \"%s\" is out of order",
					(long long) numbering->sequence, numbering->producer_id),
			 errdetail("Its last sequence in partition %d of topic %s is %lld.",
					   partition, topic_name(rel), (long long) last),
			 errhint("Produce what comes in between first, or begin a higher producer_epoch with sequence 0.")));
}

static void
refuse_overlap(Relation rel, int32 partition, const Numbering *numbering, int64 n, int64 last)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("sequences %lld to %lld of producer \"%s\" are partly repeats",
					(long long) numbering->sequence, (long long) (numbering->sequence + n - 1),
					numbering->producer_id),
			 errdetail("Its last sequence in partition %d of topic %s is %lld.",
					   partition, topic_name(rel), (long long) last),
			 errhint("Repeat a batch as it was.")));
}

/* KIP-98's rules: whether the messages are next; else they are repeats. */
static bool
is_next(Relation rel, int32 partition, const Numbering *numbering, int64 n,
		const ProducerState *state)
{
	int64		first = numbering->sequence;

	/* forgotten, or never heard of: it may begin anywhere */
	if (!state->known)
		return true;
	if (numbering->epoch < state->epoch)
		refuse_old_epoch(rel, partition, numbering, state->epoch);
	if (numbering->epoch > state->epoch)
	{
		if (first != 0)
			refuse_new_epoch(rel, partition, numbering, state->epoch);
		return true;
	}
	if (first > state->sequence)
	{
		if (first - 1 > state->sequence)
			refuse_gap(rel, partition, numbering, state->sequence);
		return true;
	}
	if (first + n - 1 > state->sequence)
		refuse_overlap(rel, partition, numbering, n, state->sequence);
	return false;
}

bool
numbering_admit(Relation rel, int32 partition, const Numbering *numbering, int64 n)
{
	ProducerKey key;
	KnownProducer *producer;
	bool		is_new;

	if (numbering->sequence > PG_INT64_MAX - n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sequence is out of range")));
	memset(&key, 0, sizeof(key));
	key.topic = topic_settings(rel)->uuid;
	key.partition = partition;
	strlcpy(key.producer_id, numbering->producer_id, sizeof(key.producer_id));

	producer = know_producer(RelationGetRelid(rel), &key);
	is_new = is_next(rel, partition, numbering, n, &producer->state);
	note_before(producer, GetCurrentTransactionNestLevel());
	if (is_new)
	{
		producer->state.known = true;
		producer->state.epoch = numbering->epoch;
		producer->state.sequence = numbering->sequence + n - 1;
	}
	/* a repeat too: its COMMIT promises that the message is on disk */
	producer->changed = true;
	return is_new;
}

/* ---------- ends of transactions and subtransactions ---------- */

/* But nothing of a topic that this transaction has dropped. */
static void
store(void)
{
	MemoryContext old;
	HASH_SEQ_STATUS scan;
	KnownProducer *producer;
	ProducerWrite *writes;
	int			n = 0;

	if (known == NULL || hash_get_num_entries(known) == 0)
		return;
	old = MemoryContextSwitchTo(context);
	writes = palloc(hash_get_num_entries(known) * sizeof(ProducerWrite));
	hash_seq_init(&scan, known);
	while ((producer = hash_seq_search(&scan)) != NULL)
	{
		if (!producer->changed ||
			!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(producer->topic)))
			continue;
		writes[n].producer = &producer->key;
		writes[n].place = producer->place;
		writes[n++].state = producer->state;
	}
	if (n > 0)
		producer_states_write(writes, n);
	MemoryContextSwitchTo(old);
}

static void
forget(void)
{
	known = NULL;
	notes = NULL;
	nnotes = notes_size = 0;
	MemoryContextReset(context);
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			store();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			if (known != NULL)
				forget();
			break;
		default:
			/* parallel workers produce nothing */
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	if (known == NULL)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		undo_level(GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		give_to_parent(GetCurrentTransactionNestLevel());
}

void
idempotence_init(void)
{
	context = AllocSetContextCreate(TopMemoryContext, "pgtopic producers known",
									ALLOCSET_SMALL_SIZES);
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
