/*-------------------------------------------------------------------------
 *
 * transaction.c
 *	  What the present transaction does to groups.
 *
 * Four stacks, in the order of what happened: how partitions stood before they
 * were touched, offsets to be stored, groups that must be empty, and cursors
 * that may not have handed on all that was delivered to them.  Each entry has the
 * nesting level of its subtransaction, so that levels never fall along a stack:
 * the abort of a subtransaction takes entries off the end, its commit makes the
 * last ones its parent's.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "errors.h"
#include "group/catalog.h"
#include "group/session.h"
#include "group/session_private.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* How a partition stood before this (sub)transaction touched it. */
typedef struct Undo
{
	int			level;
	Membership *membership;
	SessionPartition *partition;
	int64		position;
	int64		lost;
	int64		in_flight_since;
	SubTransactionId touched;
} Undo;

/* An offset that COMMIT stores. */
typedef struct Note
{
	int			level;
	Membership *membership;		/* NULL: the group must be empty */
	SessionPartition *partition;
	int32		previous;		/* note of the same partition, or NO_NOTE */
	int64		covers;			/* all deliveries until then; 0: not all */
	OffsetNote	offset;
	Oid			role;			/* that has noted it */
	int64		slot;			/* 0: to be made */
	int64		key;
	bool		deletes;		/* no offset: those noted before it, of the group, or
								 * of a topic of it, are void */
} Note;

/* A group that must be empty at COMMIT. */
typedef struct Exclusive
{
	int			level;
	ConsumerGroup *group;
	bool		is_commit;		/* TP002, else TP004 */
	bool		marked;
} Exclusive;

/* A cursor, or another query of the client, that has consumed at this level. */
typedef struct Cursor
{
	int			level;
	char		portal[NAMEDATALEN];
} Cursor;

/* Partitions of one member that are marked "committing". */
typedef struct Mark
{
	Membership *membership;
	const OwnedPartition **owned;
	int			nowned;
} Mark;

/* The stacks stay allocated; what else lives with the transaction. */
static Undo *undos = NULL;
static int	nundos = 0;
static int	undos_size = 0;
static Note *notes = NULL;
static int	nnotes = 0;
static int	notes_size = 0;
static Exclusive *exclusives = NULL;
static int	nexclusives = 0;
static int	exclusives_size = 0;
static Cursor *cursors = NULL;
static int	ncursors = 0;
static int	cursors_size = 0;

/* From PRE_COMMIT to the end. */
static Mark *marks = NULL;
static int	nmarks = 0;
static MemoryContext commit_context = NULL;
static TransactionId commit_xid = InvalidTransactionId;

/* Room for one more entry of a stack. */
static void *
make_room(void *stack, int n, int *size, Size entry_size)
{
	if (n < *size)
		return stack;
	*size = Max(16, *size * 2);
	if (stack == NULL)
		return MemoryContextAlloc(TopMemoryContext, *size * entry_size);
	return repalloc(stack, *size * entry_size);
}

/* ---------- what happens in the transaction ---------- */

void
transaction_touch(Membership *membership, SessionPartition *partition)
{
	SubTransactionId present = GetCurrentSubTransactionId();
	Undo	   *undo;

	if (partition->touched == present)
		return;
	undos = make_room(undos, nundos, &undos_size, sizeof(Undo));
	undo = &undos[nundos++];
	undo->level = GetCurrentTransactionNestLevel();
	undo->membership = membership;
	undo->partition = partition;
	undo->position = partition->position;
	undo->lost = partition->lost;
	undo->in_flight_since = partition->owned.in_flight_since;
	undo->touched = partition->touched;
	partition->touched = present;
}

/* Once for each level. */
void
transaction_remember_cursor(void)
{
	int			level = GetCurrentTransactionNestLevel();
	Cursor	   *cursor;

	if (!PortalIsValid(ActivePortal))
		return;
	for (int i = ncursors; i > 0 && cursors[i - 1].level == level; i--)
		if (strcmp(cursors[i - 1].portal, ActivePortal->name) == 0)
			return;
	cursors = make_room(cursors, ncursors, &cursors_size, sizeof(Cursor));
	cursor = &cursors[ncursors++];
	cursor->level = level;
	strlcpy(cursor->portal, ActivePortal->name, sizeof(cursor->portal));
}

void
transaction_untouch(SessionPartition *partition)
{
	const Undo *undo = &undos[--nundos];

	Assert(undo->partition == partition && undo->position == partition->position);
	partition->touched = undo->touched;
}

void
transaction_begin_at(SessionPartition *partition, int64 log_start, int64 position)
{
	for (int i = 0; i < nundos; i++)
	{
		Undo	   *undo = &undos[i];

		if (undo->partition != partition || undo->position >= log_start)
			continue;
		if (undo->position != POSITION_UNKNOWN)
			undo->lost += log_start - undo->position;
		undo->position = position;
	}
}

/* The note's own copies; the slot, if there is one, stays with the group. */
static void
fill_note(Note *note, const OffsetNote *offset)
{
	note->offset = *offset;
	note->role = GetUserId();
	if (offset->metadata != NULL)
		note->offset.metadata = MemoryContextStrdup(TopTransactionContext, offset->metadata);
	if (!offset_find_slot(offset->group_id, &offset->topic, offset->partition,
						  &note->slot, &note->key))
		note->slot = 0;
}

static Note *
add_note(void)
{
	Note	   *note;

	notes = make_room(notes, nnotes, &notes_size, sizeof(Note));
	note = &notes[nnotes++];
	note->level = GetCurrentTransactionNestLevel();
	note->membership = NULL;
	note->partition = NULL;
	note->previous = NO_NOTE;
	note->covers = 0;
	note->deletes = false;
	return note;
}

void
transaction_note(Membership *membership, SessionPartition *partition, const OffsetNote *offset)
{
	Note		filled;
	Note	   *note;

	fill_note(&filled, offset);

	if (partition->note != NO_NOTE &&
		notes[partition->note].level == GetCurrentTransactionNestLevel())
		note = &notes[partition->note];
	else
	{
		note = add_note();
		note->membership = membership;
		note->partition = partition;
		note->previous = partition->note;
		partition->note = nnotes - 1;
	}
	note->offset = filled.offset;
	note->role = filled.role;
	note->slot = filled.slot;
	note->key = filled.key;
	note->covers = offset->value.log_offset >= partition->position ? group_now() : 0;
}

int64
transaction_noted(int32 note)
{
	return notes[note].offset.value.log_offset;
}

static void
refuse_non_empty(const char *group_id, bool is_commit)
{
	if (is_commit)
		ereport(ERROR,
				(errcode(ERRCODE_UNKNOWN_MEMBER_ID),
				 errmsg("this session is not a member of group \"%s\"", group_id),
				 errdetail("The group has members, and only they store its offsets."),
				 errhint("Call topic.subscribe() first, or wait until the group is empty.")));
	ereport(ERROR,
			(errcode(ERRCODE_NON_EMPTY_GROUP),
			 errmsg("group \"%s\" has members", group_id),
			 errhint("End or unsubscribe its members first; topic.members shows them.")));
}

static Exclusive *
require_empty(const char *group_id, bool is_commit)
{
	GroupRow	row;
	ConsumerGroup *group;
	Exclusive  *exclusive;

	for (int i = 0; i < nexclusives; i++)
		if (strcmp(exclusives[i].group->group_id, group_id) == 0 &&
			exclusives[i].is_commit == is_commit)
			return &exclusives[i];

	exclusives = make_room(exclusives, nexclusives, &exclusives_size, sizeof(Exclusive));
	group = group_attach(group_id, true, group_find(group_id, &row) ? row.epoch : 0);
	exclusive = &exclusives[nexclusives++];
	exclusive->level = GetCurrentTransactionNestLevel();
	exclusive->group = group;
	exclusive->is_commit = is_commit;
	exclusive->marked = false;
	session_watch_exit();
	if (!group_is_empty(group))
		refuse_non_empty(group_id, is_commit);
	return exclusive;
}

void
require_empty_group(const char *group_id)
{
	(void) require_empty(group_id, false);
}

void
note_offset_of_empty_group(const OffsetNote *offset, bool is_commit)
{
	Exclusive  *exclusive = require_empty(offset->group_id, is_commit);
	Note		filled;
	Note	   *note;

	fill_note(&filled, offset);
	note = add_note();
	note->offset = filled.offset;
	note->offset.group_id = exclusive->group->group_id;
	note->role = filled.role;
	note->slot = filled.slot;
	note->key = filled.key;
}

/* Only where there is something to void. */
void
note_deletion(const char *group_id, const pg_uuid_t *topic)
{
	bool		noted = false;
	Note	   *note;

	for (int i = 0; i < nnotes && !noted; i++)
		noted = strcmp(notes[i].offset.group_id, group_id) == 0;
	if (!noted)
		return;
	group_id = MemoryContextStrdup(TopTransactionContext, group_id);
	note = add_note();
	memset(&note->offset, 0, sizeof(OffsetNote));
	note->offset.group_id = group_id;
	if (topic != NULL)
		note->offset.topic = *topic;
	note->deletes = true;
}

bool
transaction_has_left(const char *group_id, const Membership *present)
{
	for (int i = 0; i < nundos; i++)
		if (undos[i].membership != present &&
			undos[i].partition->owned.in_flight_since != 0 &&
			strcmp(undos[i].membership->group_id, group_id) == 0)
			return true;
	return false;
}

bool
transaction_concerns(const Membership *membership)
{
	for (int i = 0; i < nundos; i++)
		if (undos[i].membership == membership)
			return true;
	for (int i = 0; i < nnotes; i++)
		if (notes[i].membership == membership)
			return true;
	return false;
}

/* ---------- the end of a subtransaction ---------- */

static void
undo_touch(const Undo *undo)
{
	SessionPartition *partition = undo->partition;

	partition->position = undo->position;
	partition->lost = undo->lost;
	partition->owned.in_flight_since = undo->in_flight_since;
	partition->touched = undo->touched;
	if (partition->gone)
		return;
	if (undo->membership->taker && undo->touched == InvalidSubTransactionId)
	{
		taker_unclaim(&undo->membership->member, &partition->owned);
		membership_unclaimed(undo->membership, partition);
	}
	else
		member_settle(&undo->membership->member, &partition->owned,
					  undo->in_flight_since, undo->position);
}

static void
end_exclusive(const Exclusive *exclusive)
{
	if (exclusive->marked)
		group_unmark_exclusive(exclusive->group);
	group_detach(exclusive->group);
}

/*
 * A cursor that is older than the savepoint in which it has consumed outlives the
 * rollback, and so does the cursor of a PL/pgSQL loop that rolls back.  What it
 * has not handed on comes again, so it must not hand that on, too.
 */
static void
fail_cursor(const Cursor *cursor)
{
	Portal		portal = GetPortalByName(cursor->portal);

	if (PortalIsValid(portal) && portal->status == PORTAL_READY)
		MarkPortalFailed(portal);
}

/* Takes off what this level and deeper ones have done. */
static void
undo_levels(int level)
{
	while (nnotes > 0 && notes[nnotes - 1].level >= level)
	{
		const Note *note = &notes[--nnotes];

		if (note->partition != NULL)
			note->partition->note = note->previous;
	}
	while (nundos > 0 && undos[nundos - 1].level >= level)
		undo_touch(&undos[--nundos]);
	while (nexclusives > 0 && exclusives[nexclusives - 1].level >= level)
		end_exclusive(&exclusives[--nexclusives]);
	while (ncursors > 0 && cursors[ncursors - 1].level >= level)
		fail_cursor(&cursors[--ncursors]);
}

static void
raise_levels(int level)
{
	for (int i = nnotes; i > 0 && notes[i - 1].level >= level; i--)
		notes[i - 1].level = level - 1;
	for (int i = nundos; i > 0 && undos[i - 1].level >= level; i--)
		undos[i - 1].level = level - 1;
	for (int i = nexclusives; i > 0 && exclusives[i - 1].level >= level; i--)
		exclusives[i - 1].level = level - 1;
	for (int i = ncursors; i > 0 && cursors[i - 1].level >= level; i--)
		cursors[i - 1].level = level - 1;

	/* mostly one that the level has already, as with many blocks in a loop */
	if (ncursors > 1 && cursors[ncursors - 2].level == cursors[ncursors - 1].level &&
		strcmp(cursors[ncursors - 2].portal, cursors[ncursors - 1].portal) == 0)
		ncursors--;
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
		undo_levels(level);
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		raise_levels(level);
}

/* ---------- COMMIT ---------- */

static void
refuse_stale(const Membership *membership, const OwnedPartition *owned)
{
	if (owned == NULL)
		session_refuse_zombie(membership->group_id);
	session_refuse_stale(membership->group_id, owned->relid, owned->partition);
}

/* Marks what is noted of one member, or fails. */
static void
mark_member(Membership *membership)
{
	Mark	   *mark = &marks[nmarks];
	int			wrong;

	mark->membership = membership;
	mark->owned = palloc(nnotes * sizeof(OwnedPartition *));
	mark->nowned = 0;
	for (int i = 0; i < nnotes; i++)
		if (notes[i].membership == membership && notes[i].partition->note == i)
			mark->owned[mark->nowned++] = &notes[i].partition->owned;

	wrong = member_mark(&membership->member, mark->owned, mark->nowned);
	if (wrong == -1)
		nmarks++;
	else
		refuse_stale(membership, wrong >= 0 ? mark->owned[wrong] : NULL);
}

static bool
is_marked(const Membership *membership)
{
	for (int i = 0; i < nmarks; i++)
		if (marks[i].membership == membership)
			return true;
	return false;
}

/*
 * Groups need no order here: nobody holds the lock of one while he waits for
 * another.  A mark makes joins wait, never another mark.
 */
static void
mark_all(void)
{
	marks = palloc(nnotes * sizeof(Mark));
	for (int i = 0; i < nnotes; i++)
		if (notes[i].membership != NULL && !is_marked(notes[i].membership))
			mark_member(notes[i].membership);

	for (int i = 0; i < nexclusives; i++)
	{
		exclusives[i].marked = group_mark_exclusive(exclusives[i].group);
		if (!exclusives[i].marked)
			refuse_non_empty(exclusives[i].group->group_id, exclusives[i].is_commit);
	}
}

/* By group, topic, partition; the newer one behind. */
static int
compare_notes(const void *a, const void *b)
{
	const Note *x = *(Note *const *) a;
	const Note *y = *(Note *const *) b;
	int			order = strcmp(x->offset.group_id, y->offset.group_id);

	if (order == 0)
		order = memcmp(&x->offset.topic, &y->offset.topic, sizeof(pg_uuid_t));
	if (order == 0 && x->offset.partition != y->offset.partition)
		order = x->offset.partition < y->offset.partition ? -1 : 1;
	if (order == 0)
		order = x < y ? -1 : (x > y);
	return order;
}

static bool
same_partition(const Note *a, const Note *b)
{
	return a->offset.partition == b->offset.partition &&
		memcmp(&a->offset.topic, &b->offset.topic, sizeof(pg_uuid_t)) == 0 &&
		strcmp(a->offset.group_id, b->offset.group_id) == 0;
}

/* Whether the offset was deleted after it had been noted. */
static bool
is_deleted(const Note *note, const List *deletions)
{
	static const pg_uuid_t all_topics = {0};
	ListCell   *cell;

	foreach(cell, deletions)
	{
		const Note *deletion = lfirst(cell);

		if (deletion > note &&
			strcmp(deletion->offset.group_id, note->offset.group_id) == 0 &&
			(memcmp(&deletion->offset.topic, &all_topics, sizeof(pg_uuid_t)) == 0 ||
			 memcmp(&deletion->offset.topic, &note->offset.topic, sizeof(pg_uuid_t)) == 0))
			return true;
	}
	return false;
}

/*
 * Whether there is somewhere to store it: not if this transaction has dropped
 * the topic, alone or with the extension and all its tables.
 */
static bool
has_topic(const Note *note)
{
	return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(note->offset.relid));
}

/* Of each partition the newest note, in order; returns how many there are. */
static int
newest_notes(Note **newest)
{
	List	   *deletions = NIL;
	int			nsorted = 0;
	int			n = 0;

	for (int i = 0; i < nnotes; i++)
	{
		if (notes[i].deletes)
			deletions = lappend(deletions, &notes[i]);
		else
			newest[nsorted++] = &notes[i];
	}
	qsort(newest, nsorted, sizeof(Note *), compare_notes);
	for (int i = 0; i < nsorted; i++)
		if ((i + 1 == nsorted || !same_partition(newest[i], newest[i + 1])) &&
			!is_deleted(newest[i], deletions) && has_topic(newest[i]))
			newest[n++] = newest[i];
	return n;
}

/*
 * What stands in rows: where there is none yet, and metadata.  A group that is
 * made now belongs to who has called the function, not to who commits.
 */
static void
write_row(Note *note)
{
	const OffsetNote *offset = &note->offset;
	Oid			role;
	int			sec_context;

	GetUserIdAndSecContext(&role, &sec_context);
	SetUserIdAndSecContext(note->role, sec_context | SECURITY_LOCAL_USERID_CHANGE);

	/* heap_insert() wants one; PRE_COMMIT comes after the last statement's */
	PushActiveSnapshot(GetLatestSnapshot());
	if (note->slot == 0)
		offset_ensure_slot(offset->group_id, &offset->topic, offset->partition,
						   &note->slot, &note->key);
	if (offset->set_metadata)
		offset_set_metadata(offset->group_id, &offset->topic, offset->partition,
							offset->value.log_offset, offset->metadata);
	PopActiveSnapshot();
	SetUserIdAndSecContext(role, sec_context);
}

static int
compare_writes(const void *a, const void *b)
{
	const SlotWrite *x = a;
	const SlotWrite *y = b;

	return x->slot < y->slot ? -1 : (x->slot > y->slot);
}

static void
write_rows(Note **newest, int n)
{
	for (int i = 0; i < n; i++)
		if (newest[i]->slot == 0 || newest[i]->offset.set_metadata)
			write_row(newest[i]);
}

static void
write_slots(Note **newest, int n)
{
	SlotWrite  *writes = palloc(n * sizeof(SlotWrite));
	int			nwrites = 0;

	for (int i = 0; i < n; i++)
	{
		writes[nwrites].slot = newest[i]->slot;
		writes[nwrites].key = newest[i]->key;
		writes[nwrites].value = newest[i]->offset.value;
		nwrites++;
	}
	qsort(writes, nwrites, sizeof(SlotWrite), compare_writes);
	offsets_write(writes, nwrites);
}

/*
 * Rows come first, all transactions in the same order; then marks; then slots,
 * in theirs.  So whoever waits for a row holds no slot, and no mark either: who
 * has the row may be about to join the group, and waits for marks where no
 * deadlock is found.
 */
static void
pre_commit(void)
{
	MemoryContext old;
	Note	  **newest;
	int			n;

	if (nnotes == 0 && nexclusives == 0)
		return;
	if (commit_context == NULL)
		commit_context = AllocSetContextCreate(TopMemoryContext, "pgtopic commit",
											   ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(commit_context);
	newest = palloc(nnotes * sizeof(Note *));
	n = newest_notes(newest);
	write_rows(newest, n);
	mark_all();
	if (n > 0)
	{
		write_slots(newest, n);
		commit_xid = GetTopTransactionId();
	}
	MemoryContextSwitchTo(old);
}

static void
refuse_prepare(void)
{
	if (nundos == 0 && nnotes == 0 && nexclusives == 0 && !session_has_takers())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot PREPARE a transaction that has consumed from a group or changed its offsets"),
			 errhint("Use COMMIT instead.")));
}

static void
unmark_all(void)
{
	while (nmarks > 0)
	{
		Mark	   *mark = &marks[--nmarks];

		member_unmark(&mark->membership->member, mark->owned, mark->nowned);
	}
}

/*
 * Since when what is left has been in flight, at most.  If the note covered all
 * deliveries before it: since it.  Else the position is checked now and then:
 * when the committed offset gets there, all deliveries until that time are
 * done with.  So who commits steadily, some messages behind, is not late.
 */
static int64
in_flight_after(SessionPartition *partition, const Note *note)
{
	int64		since = partition->owned.in_flight_since;

	if (partition->position <= partition->committed || since == 0)
	{
		partition->checked_at = 0;
		return 0;
	}
	since = Max(since, note->covers);
	if (partition->checked_at != 0 && partition->committed < partition->checked_position)
		return since;
	since = Max(since, partition->checked_at);
	partition->checked_position = partition->position;
	partition->checked_at = group_now();
	return since;
}

/* What is stored is not in flight any more. */
static void
settle(Membership *membership, SessionPartition *partition)
{
	OwnedPartition *owned = &partition->owned;

	if (partition->note != NO_NOTE)
	{
		const Note *note = &notes[partition->note];

		partition->committed = note->offset.value.log_offset;
		partition->committed_xid = commit_xid;
		partition->note = NO_NOTE;
		owned->in_flight_since = in_flight_after(partition, note);
	}
	partition->touched = InvalidSubTransactionId;
	if (!partition->gone)
		member_settle(&membership->member, owned, owned->in_flight_since, partition->position);
}

static void
at_commit(void)
{
	for (int i = 0; i < nnotes; i++)
		if (notes[i].partition != NULL && notes[i].partition->note != NO_NOTE)
			settle(notes[i].membership, notes[i].partition);
	for (int i = 0; i < nundos; i++)
		if (undos[i].partition->touched != InvalidSubTransactionId)
			settle(undos[i].membership, undos[i].partition);
	unmark_all();
	nnotes = 0;
	nundos = 0;
	ncursors = 0;
	while (nexclusives > 0)
		end_exclusive(&exclusives[--nexclusives]);
}

static void
at_abort(void)
{
	unmark_all();
	undo_levels(1);
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pre_commit();
			return;
		case XACT_EVENT_PRE_PREPARE:
			refuse_prepare();
			return;
		case XACT_EVENT_COMMIT:
			at_commit();
			break;
		case XACT_EVENT_ABORT:
			at_abort();
			break;
		default:
			return;
	}
	session_at_xact_end();
	marks = NULL;
	commit_xid = InvalidTransactionId;
	if (commit_context != NULL)
		MemoryContextReset(commit_context);
}

/* The session ends; its transaction has been aborted, unless that failed. */
void
transaction_at_exit(void)
{
	unmark_all();
	while (nexclusives > 0)
		end_exclusive(&exclusives[--nexclusives]);
}

void
transaction_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
