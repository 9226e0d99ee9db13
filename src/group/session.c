/*-------------------------------------------------------------------------
 *
 * session.c
 *	  The groups that this session is a member of, or takes from.
 *
 * What a membership owns is copied out of shared memory when its number has
 * changed, and merged with what the session knows: a partition that is still
 * the same assignment keeps its position, a new one begins at the committed
 * offset.  What the present transaction may still refer to stays in memory
 * until it ends.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "errors.h"
#include "group/session_private.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static bool session_groups = true;

static List *memberships = NIL; /* of Membership */
static List *ended = NIL;		/* freed with the transaction */

static ProcessUtility_hook_type next_process_utility = NULL;

/* ---------- errors ---------- */

void
session_refuse_removed(const char *group_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNKNOWN_MEMBER_ID),
			 errmsg("this session was removed from group \"%s\"", group_id),
			 errdetail("It left the group, or kept messages or did not consume for longer than max_poll_interval."),
			 errhint("Call topic.subscribe() again; what was not committed is delivered again.")));
}

void
session_refuse_zombie(const char *group_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_STALE_MEMBER_EPOCH),
			 errmsg("this session was removed from group \"%s\" during the transaction", group_id),
			 errdetail("What the transaction has consumed goes to other members."),
			 errhint("Roll back and call topic.subscribe() again.")));
}

void
session_refuse_stale(const char *group_id, Oid relid, int32 partition)
{
	char	   *name = get_rel_name(relid);
	char	   *schema = name ? get_namespace_name(get_rel_namespace(relid)) : NULL;

	ereport(ERROR,
			(errcode(ERRCODE_STALE_MEMBER_EPOCH),
			 schema ?
			 errmsg("partition %d of topic %s does not belong to this member of group \"%s\"",
					partition, quote_qualified_identifier(schema, name), group_id) :
			 errmsg("partition %d of a dropped topic does not belong to this member of group \"%s\"",
					partition, group_id),
			 errdetail("It was never assigned to this session, or it has been assigned anew since its messages were consumed."),
			 errhint("Roll back and consume again; topic.assignment() shows what is assigned.")));
}

void
session_check_enabled(void)
{
	if (!session_groups)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this session cannot be a member of a group"),
				 errdetail("pgtopic.session_groups is off, as behind a pooler that changes sessions between transactions."),
				 errhint("Use topic.take(), which is membership for one transaction.")));
}

/* ---------- memberships ---------- */

static bool
is_member(const Membership *membership)
{
	return membership->member.incarnation != 0;
}

/* Frees a membership that is in no list any more. */
static void
free_membership(Membership *membership)
{
	if (membership->member.group != NULL)
		group_detach(membership->member.group);
	MemoryContextDelete(membership->context);
}

Membership *
membership_find(const char *group_id)
{
	ListCell   *cell;

	foreach(cell, memberships)
	{
		Membership *membership = lfirst(cell);

		if (is_member(membership) && strcmp(membership->group_id, group_id) == 0)
			return membership;
	}
	return NULL;
}

Membership *
membership_get(const char *group_id)
{
	Membership *membership = membership_find(group_id);

	if (membership == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNKNOWN_MEMBER_ID),
				 errmsg("this session is not a member of group \"%s\"", group_id),
				 errhint("Call topic.subscribe() first.")));
	return membership;
}

bool
session_has_takers(void)
{
	ListCell   *cell;

	foreach(cell, memberships)
		if (((Membership *) lfirst(cell))->taker)
			return true;
	return false;
}

/* The session's end; its transaction has been aborted before. */
static void
leave_at_exit(int code, Datum arg)
{
	ListCell   *cell;

	transaction_at_exit();
	foreach(cell, memberships)
	{
		Membership *membership = lfirst(cell);

		if (membership->taker && is_member(membership))
			taker_leave(&membership->member);
		else if (is_member(membership))
			member_leave(&membership->member, true);
		free_membership(membership);
	}
	memberships = NIL;
	foreach(cell, ended)
		free_membership(lfirst(cell));
	ended = NIL;
}

/* After the group room's memory is attached, so that it is still there then. */
void
session_watch_exit(void)
{
	static bool registered = false;

	if (!registered)
	{
		on_shmem_exit(leave_at_exit, (Datum) 0);
		registered = true;
	}
}

/*
 * An entry without a member yet, which nobody finds.  Whatever can fail is done
 * before the member is in shared memory, so that it is not forgotten there; and
 * if joining fails, the entry goes with the transaction.
 */
static Membership *
new_membership(const char *group_id, int32 epoch)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pgtopic membership",
												  ALLOCSET_SMALL_SIZES);
	Membership *membership = MemoryContextAllocZero(context, sizeof(Membership));
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	memberships = lappend(memberships, membership);
	MemoryContextSwitchTo(old);
	strlcpy(membership->group_id, group_id, sizeof(membership->group_id));
	membership->context = context;
	membership->member.group = group_attach(group_id, true, epoch);
	session_watch_exit();
	return membership;
}

/* Nothing remembers it but the present transaction. */
static void
forget(Membership *membership)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	ended = lappend(ended, membership);
	memberships = list_delete_ptr(memberships, membership);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < membership->npartitions; i++)
		membership->partitions[i]->gone = true;
}

Membership *
membership_join(const char *group_id, int32 epoch, const Subscription *subscription,
				OffsetReset reset)
{
	Membership *membership = new_membership(group_id, epoch);

	membership->reset = reset;
	member_join(membership->member.group, subscription, &membership->member);
	return membership;
}

Membership *
membership_take(const char *group_id, int32 epoch)
{
	Membership *membership = membership_find(group_id);

	if (membership != NULL && membership->taker)
		return membership;
	membership = new_membership(group_id, epoch);
	membership->taker = true;
	membership->reset = RESET_EARLIEST;
	taker_join(membership->member.group, &membership->member);
	return membership;
}

void
membership_leave(Membership *membership)
{
	member_leave(&membership->member, false);
	forget(membership);
}

void
session_at_xact_end(void)
{
	ListCell   *cell;

	foreach(cell, memberships)
	{
		Membership *membership = lfirst(cell);

		if (membership->taker && is_member(membership))
			taker_leave(&membership->member);
		if (!is_member(membership))
		{
			memberships = foreach_delete_current(memberships, cell);
			free_membership(membership);
			continue;
		}
		while (membership->gone != NULL)
		{
			SessionPartition *partition = membership->gone;

			membership->gone = partition->next_gone;
			pfree(partition);
		}
	}
	foreach(cell, ended)
		free_membership(lfirst(cell));
	list_free(ended);
	ended = NIL;
}

/* ---------- partitions ---------- */

/* The present transaction may refer to it; else it could be freed at once. */
static void
drop_partition(Membership *membership, SessionPartition *partition)
{
	partition->gone = true;
	partition->next_gone = membership->gone;
	membership->gone = partition;
}

static SessionPartition *
new_partition(Membership *membership, const OwnedPartition *owned,
			  const CommittedOffset *committed)
{
	SessionPartition *partition = MemoryContextAllocZero(membership->context,
														 sizeof(SessionPartition));

	partition->owned = *owned;
	partition->owned.in_flight_since = 0;
	partition->note = NO_NOTE;
	partition->committed = POSITION_UNKNOWN;
	partition->committed_xid = FrozenTransactionId;
	if (committed->state.found)
	{
		partition->committed = committed->state.value.log_offset;
		partition->committed_xid = committed->state.xid;
		partition->lost = committed->state.value.lost;
	}
	partition->position = partition->committed;
	return partition;
}

static int
compare_owned(const OwnedPartition *a, const OwnedPartition *b)
{
	if (a->topic != b->topic)
		return a->topic < b->topic ? -1 : 1;
	return a->partition < b->partition ? -1 : (a->partition > b->partition);
}

/* What the session knows of a partition that is still the same assignment. */
static SessionPartition *
find_known(Membership *membership, const OwnedPartition *owned, int *from)
{
	for (; *from < membership->npartitions; (*from)++)
	{
		SessionPartition *known = membership->partitions[*from];
		int			order = compare_owned(&known->owned, owned);

		if (order > 0)
			return NULL;
		if (order == 0 && known->owned.epoch == owned->epoch &&
			known->owned.relid == owned->relid)
			return known;
	}
	return NULL;
}

/* The committed offsets of partitions [0, end) of a topic, read at once. */
typedef struct TopicOffsets
{
	Oid			relid;
	CommittedOffset *offsets;
} TopicOffsets;

static const CommittedOffset *
committed_of(Membership *membership, const OwnedPartition *owned, int n, TopicOffsets *read)
{
	if (read->relid != owned->relid)
	{
		int			end = owned->partition + 1;

		for (int i = 1; i < n && owned[i].relid == owned->relid; i++)
			end = owned[i].partition + 1;
		read->relid = owned->relid;
		read->offsets = palloc(end * sizeof(CommittedOffset));
		if (end == owned->partition + 1)
			offset_read(membership->group_id, &owned->uuid, owned->partition,
						&read->offsets[owned->partition]);
		else
			offsets_read(membership->group_id, &owned->uuid, end, read->offsets);
	}
	return &read->offsets[owned->partition];
}

/* Takes what is owned in place of what was known. */
static void
replace_partitions(Membership *membership, SessionPartition **partitions, int n)
{
	for (int i = 0; i < membership->npartitions; i++)
		membership->partitions[i]->gone = true;
	for (int i = 0; i < n; i++)
		partitions[i]->gone = false;
	for (int i = 0; i < membership->npartitions; i++)
		if (membership->partitions[i]->gone)
			drop_partition(membership, membership->partitions[i]);

	if (membership->partitions != NULL)
		pfree(membership->partitions);
	membership->partitions = partitions;
	membership->npartitions = n;
	if (membership->turn >= n)
		membership->turn = 0;
}

/*
 * Sorts what is owned into what was known.  Reading offsets may fail, as by a
 * cancel; all is as it was then.
 */
static void
read_assignment(Membership *membership)
{
	OwnedPartition *owned;
	SessionPartition **found;
	SessionPartition **partitions;
	const CommittedOffset **committed;
	TopicOffsets read = {InvalidOid, NULL};
	uint32		assignment = 0;
	int			known = 0;
	int			n = member_assignment(&membership->member, &owned, &assignment);

	if (n < 0)
	{
		forget(membership);
		session_refuse_removed(membership->group_id);
	}
	committed = palloc0(Max(n, 1) * sizeof(CommittedOffset *));
	found = palloc(Max(n, 1) * sizeof(SessionPartition *));
	for (int i = 0; i < n; i++)
	{
		found[i] = find_known(membership, &owned[i], &known);
		if (found[i] == NULL)
			committed[i] = committed_of(membership, &owned[i], n - i, &read);
	}

	partitions = MemoryContextAlloc(membership->context, Max(n, 1) * sizeof(SessionPartition *));
	for (int i = 0; i < n; i++)
	{
		partitions[i] = found[i] ? found[i] :
			new_partition(membership, &owned[i], committed[i]);
		partitions[i]->owned.asked_back = owned[i].asked_back;
		partitions[i]->owned.paused = owned[i].paused;
	}
	replace_partitions(membership, partitions, n);
	membership->assignment = assignment;
	pfree(found);
	pfree(committed);
	pfree(owned);
}

static void
remove_partition(Membership *membership, int index)
{
	drop_partition(membership, membership->partitions[index]);
	membership->npartitions--;
	memmove(&membership->partitions[index], &membership->partitions[index + 1],
			(membership->npartitions - index) * sizeof(SessionPartition *));
	if (membership->turn > index)
		membership->turn--;
	if (membership->turn >= membership->npartitions)
		membership->turn = 0;
}

/*
 * Gives back what the coordinator has asked for and this transaction has
 * nothing to do with: what it delivered earlier and is not committed goes to the
 * next owner again.
 */
static void
release_asked_back(Membership *membership)
{
	for (int i = membership->npartitions - 1; i >= 0; i--)
	{
		SessionPartition *partition = membership->partitions[i];

		if (!partition->owned.asked_back || partition->note != NO_NOTE ||
			partition->touched != InvalidSubTransactionId)
			continue;
		member_settle(&membership->member, &partition->owned, 0, partition->committed);
		remove_partition(membership, i);
	}
}

/*
 * The coordinator has removed the member.  A transaction that goes on with
 * what it has consumed is a zombie's; whoever consumes may simply begin anew.
 */
static void
refuse_member(Membership *membership, bool consuming)
{
	bool		zombie = !consuming && transaction_concerns(membership);

	forget(membership);
	if (zombie)
		session_refuse_zombie(membership->group_id);
	session_refuse_removed(membership->group_id);
}

void
membership_sync(Membership *membership, bool consuming)
{
	MemberStatus status;

	if (membership->taker)
		return;
	if (!member_status(&membership->member, consuming, &status))
		refuse_member(membership, consuming);
	if (status.assignment != membership->assignment)
		read_assignment(membership);
	if (consuming)
		release_asked_back(membership);
}

SessionPartition *
membership_partition(Membership *membership, Oid relid, int32 number, bool missing_ok)
{
	for (int i = 0; i < membership->npartitions; i++)
	{
		SessionPartition *partition = membership->partitions[i];

		if (partition->owned.relid == relid && partition->owned.partition == number)
			return partition;
	}
	if (!missing_ok)
		session_refuse_stale(membership->group_id, relid, number);
	return NULL;
}

SessionPartition *
membership_claimed(Membership *membership, const OwnedPartition *owned,
				   const CommittedOffset *committed)
{
	SessionPartition *partition = new_partition(membership, owned, committed);
	Size		size = (membership->npartitions + 1) * sizeof(SessionPartition *);

	if (membership->partitions == NULL)
		membership->partitions = MemoryContextAlloc(membership->context, size);
	else
		membership->partitions = repalloc(membership->partitions, size);
	membership->partitions[membership->npartitions++] = partition;
	return partition;
}

void
membership_unclaimed(Membership *membership, SessionPartition *partition)
{
	for (int i = 0; i < membership->npartitions; i++)
	{
		if (membership->partitions[i] != partition)
			continue;
		remove_partition(membership, i);
		return;
	}
}

/* ---------- delivering and committing ---------- */

bool
session_deliver(Membership *membership, SessionPartition *partition)
{
	bool		touched = partition->touched == GetCurrentSubTransactionId();
	int64		since;

	transaction_touch(membership, partition);
	if (!member_deliver(&membership->member, &partition->owned, &since))
	{
		/* asked back just now: to be given back by the next look, not kept */
		if (!touched)
			transaction_untouch(partition);
		return false;
	}
	if (since == 0)
		partition->owned.in_flight_since = group_now();
	transaction_remember_cursor();
	return true;
}

void
session_move(Membership *membership, SessionPartition *partition, int64 position)
{
	if (partition->position == position)
		return;
	transaction_touch(membership, partition);
	partition->position = position;
}

void
session_lose(Membership *membership, SessionPartition *partition, int64 lost)
{
	transaction_touch(membership, partition);
	partition->lost += lost;
}

/* The coordinator has to know it, too: no message before it waits for us. */
void
session_begin_at(Membership *membership, SessionPartition *partition, int64 log_start,
				 int64 position)
{
	transaction_begin_at(partition, log_start, position);
	if (partition->position != POSITION_UNKNOWN)
		partition->lost += log_start - partition->position;
	partition->position = position;
	member_settle(&membership->member, &partition->owned, partition->owned.in_flight_since,
				  position);
}

/*
 * Whoever has joined again owns what it owns anew: others may have worked on the
 * same messages meanwhile, and what it has consumed comes again.
 */
void
session_check_left(const char *group_id)
{
	if (ended != NIL && transaction_has_left(group_id, membership_find(group_id)))
		session_refuse_zombie(group_id);
}

void
session_note_commit(Membership *membership, SessionPartition *partition, int64 log_offset,
					bool set_metadata, const char *metadata)
{
	OffsetNote	offset = {
		.group_id = membership->group_id,
		.relid = partition->owned.relid,
		.topic = partition->owned.uuid,
		.partition = partition->owned.partition,
		.value = {.log_offset = log_offset,.lost = partition->lost},
		.set_metadata = set_metadata,
		.metadata = metadata
	};

	if (partition->gone || !member_owns(&membership->member, &partition->owned))
		session_refuse_stale(membership->group_id, partition->owned.relid,
							 partition->owned.partition);
	transaction_note(membership, partition, &offset);
}

int64
session_committed(const SessionPartition *partition)
{
	if (partition->note != NO_NOTE)
		return transaction_noted(partition->note);
	return partition->committed;
}

/* ---------- DISCARD ALL ---------- */

static void
leave_all(void)
{
	while (memberships != NIL)
		membership_leave(llast(memberships));
}

static void
session_process_utility(PlannedStmt *planned, const char *query_string,
						bool read_only_tree, ProcessUtilityContext context,
						ParamListInfo params, QueryEnvironment *environment,
						DestReceiver *dest, QueryCompletion *completion)
{
	bool		discards_all = IsA(planned->utilityStmt, DiscardStmt) &&
		((DiscardStmt *) planned->utilityStmt)->target == DISCARD_ALL;

	if (next_process_utility)
		next_process_utility(planned, query_string, read_only_tree, context, params,
							 environment, dest, completion);
	else
		standard_ProcessUtility(planned, query_string, read_only_tree, context, params,
								environment, dest, completion);
	if (discards_all)
		leave_all();
}

void
session_init(void)
{
	DefineCustomBoolVariable("pgtopic.session_groups",
							 "Whether sessions may be members of consumer groups.",
							 "Off is for connections from a pooler that gives a client another session for each transaction: there, use topic.take().",
							 &session_groups,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
	next_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = session_process_utility;
}
