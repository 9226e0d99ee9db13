/*-------------------------------------------------------------------------
 *
 * coordinator.c
 *	  The process that rebalances the groups of its database.
 *
 * It keeps no state of its own: what sessions want stands in shared memory, and
 * so does what has been decided.  When it starts it looks at every group; then
 * it sleeps until a session wakes it or a deadline comes.
 *
 * A group is copied under its lock, decided about outside of it, and the
 * decision is applied if it still holds; else all over again.  So a decision
 * that takes its time holds up nobody.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "group/catalog.h"
#include "group/coordinator.h"
#include "group/group.h"
#include "group/group_copy.h"
#include "miscadmin.h"
#include "notify/notify.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* So often a decision is made outside of the lock, before one is inside. */
#define MAX_ROUNDS				10

/* Epochs that are reserved at once. */
#define FEWEST_EPOCHS			8
#define MOST_EPOCHS				1000

/* A group whose epochs could not be reserved is looked at again after so long. */
#define RETRY_RESERVE_MS		1000

/* Catalogs are looked at no more often; and again when a topic was locked. */
#define CATALOG_INTERVAL_MS		100
#define FIRST_RETRY_MS			2
#define LONGEST_SLEEP_MS		(60 * 60 * 1000L)

/* Catalogs: what is known of their changes. */
typedef struct CatalogWatch
{
	bool		pending;
	int64		due;
	int64		last;
	int64		retry_delay;
} CatalogWatch;

/* The group that this process has a reference to, for its exit. */
static ConsumerGroup *looked_at = NULL;

/* ---------- transactions of the coordinator ---------- */

bool
coordinator_transaction(void (*action) (void *arg), void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		action(arg);
		PopActiveSnapshot();
		CommitTransactionCommand();
		done = true;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		error_context_stack = NULL;
		EmitErrorReport();
		AbortCurrentTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	pgstat_report_stat(false);
	return done;
}

/* ---------- epochs ---------- */

typedef struct Reservation
{
	const char *group_id;
	int32		above;
	int32		count;
	int32		limit;
} Reservation;

static void
reserve(void *arg)
{
	Reservation *reservation = arg;

	reservation->limit = group_reserve_epochs(reservation->group_id, reservation->above,
											  reservation->count);
}

/*
 * Before a decision can raise the group's epoch beyond what is reserved: after a
 * restart, and when it has been out of memory, the group goes on above the
 * reserved ones.  What was reserved and not used is lost then, so a group that
 * comes and goes reserves a few, and one that stays many.
 */
static bool
ensure_epochs(const GroupCopy *copy, ConsumerGroup *group)
{
	Reservation reservation;

	if (copy->snapshot.group_epoch < copy->epoch_limit)
		return true;
	reservation.group_id = group->group_id;
	reservation.above = copy->snapshot.group_epoch;
	reservation.count = Max(FEWEST_EPOCHS, Min(copy->snapshot.group_epoch - copy->first_epoch,
											   MOST_EPOCHS));
	if (!coordinator_transaction(reserve, &reservation))
		return false;
	group_lock(group, LW_EXCLUSIVE);
	group->epoch_limit = Max(group->epoch_limit, reservation.limit);
	group_unlock(group);
	return true;
}

/* ---------- one group ---------- */

/* For the server log: who was removed without having wanted it. */
static void
log_fences(const GroupCopy *copy, const ConsumerGroup *group)
{
	static const char *const reasons[] = {
		[FENCE_LEFT] = "It left.",
		[FENCE_SESSION_TIMEOUT] = "Its session ended, and it did not come back within session_timeout.",
		[FENCE_UNCOMMITTED] = "It held messages uncommitted for longer than max_poll_interval.",
		[FENCE_NOT_CONSUMING] = "It did not call topic.consume() for longer than max_poll_interval while messages waited for it.",
		[FENCE_NOT_RELEASING] = "It was asked for a partition, and kept it for longer than max_poll_interval."
	};

	for (int i = 0; i < copy->decision.nchanges; i++)
	{
		const GroupChange *change = &copy->decision.changes[i];

		if (change->kind == CHANGE_FENCE && change->value != FENCE_LEFT)
			ereport(LOG,
					(errmsg("member \"%s\" was removed from group \"%s\"",
							copy->member_origins[change->member].order_key,
							group->group_id),
					 errdetail_internal("%s", reasons[change->value])));
	}
}

/* Nobody to decide about. */
static bool
is_deserted(const GroupCopy *copy)
{
	return copy->snapshot.nmembers == 0;
}

/*
 * decide_under_lock: when sessions were always faster.  Whatever it needs must
 * be there already; if not, false.
 */
static bool
decide_under_lock(GroupCopy *copy, ConsumerGroup *group, int64 now)
{
	bool		decided;

	group_lock(group, LW_EXCLUSIVE);
	decided = group_copy(copy, group, now) &&
		copy->snapshot.group_epoch < copy->epoch_limit;
	if (decided && !is_deserted(copy))
	{
		group_decide(&copy->snapshot, now, &copy->decision, copy->scratch);
		group_copy_apply(copy, group, now);
	}
	group_unlock(group);
	return decided;
}

static bool
decide_outside_lock(GroupCopy *copy, ConsumerGroup *group, int64 now)
{
	bool		holds;

	group_decide(&copy->snapshot, now, &copy->decision, copy->scratch);
	group_lock(group, LW_EXCLUSIVE);
	holds = group_copy_still_holds(copy, group);
	if (holds)
		group_copy_apply(copy, group, now);
	group_unlock(group);
	return holds;
}

/* A copy of the group that fits. */
static void
take_copy(GroupCopy *copy, ConsumerGroup *group, int64 now)
{
	for (;;)
	{
		bool		fits;

		group_lock(group, LW_EXCLUSIVE);
		fits = group_copy(copy, group, now);
		group_unlock(group);
		if (fits)
			return;
		CHECK_FOR_INTERRUPTS();
		group_copy_make_room(copy);
	}
}

static void
retry_later(ConsumerGroup *group, int64 now)
{
	group_lock(group, LW_EXCLUSIVE);
	group->next_deadline = Min(group->next_deadline, now + RETRY_RESERVE_MS);
	group_unlock(group);
}

/* False if there was nobody to decide about, or no way to. */
static bool
decide(GroupCopy *copy, ConsumerGroup *group)
{
	for (int round = 0;; round++)
	{
		int64		now = group_now();

		CHECK_FOR_INTERRUPTS();
		take_copy(copy, group, now);
		if (is_deserted(copy))
			return false;
		if (!ensure_epochs(copy, group))
		{
			retry_later(group, now);
			return false;
		}
		if (round < MAX_ROUNDS ? decide_outside_lock(copy, group, now)
			: decide_under_lock(copy, group, now))
			return !is_deserted(copy);
	}
}

static void
tell_listeners(void *arg)
{
	ConsumerGroup *group = arg;

	notify_rebalance(group->group_id);
}

static void
review_group(GroupCopy *copy, ConsumerGroup *group, bool deadline_reached)
{
	if (deadline_reached)
		idle_refresh(group);
	if (!decide(copy, group))
		return;
	for (int i = 0; i < copy->nwake; i++)
		notify_wake(copy->wake[i]);
	/* In a transaction, since a channel's name may have to be hashed. */
	if (copy->nwake > 0 && notify_has_listeners())
		(void) coordinator_transaction(tell_listeners, group);
	log_fences(copy, group);
}

/* ---------- all groups ---------- */

static void
detach_at_exit(int code, Datum arg)
{
	LWLockReleaseAll();
	if (looked_at != NULL)
		group_detach(looked_at);
	looked_at = NULL;
}

/* The next group to look at, the first one at first; false after the last. */
static bool
next_group(void)
{
	static bool registered = false;

	if (!registered)
	{
		before_shmem_exit(detach_at_exit, (Datum) 0);
		registered = true;
	}
	looked_at = group_attach_next(looked_at);
	return looked_at != NULL;
}

static int64
deadline_of(ConsumerGroup *group)
{
	int64		result;

	group_lock(group, LW_SHARED);
	result = group->next_deadline;
	group_unlock(group);
	return result;
}

/* Looks at the groups for which it is time; returns when to look again. */
static int64
review_groups(GroupCopy *copy)
{
	int64		next = PG_INT64_MAX;

	while (next_group())
	{
		ConsumerGroup *group = looked_at;
		bool		asked = pg_atomic_exchange_u32(&group->attention, 0) != 0;
		bool		due = deadline_of(group) <= group_now();
		int64		deadline;

		if (asked || due)
			review_group(copy, group, due);
		deadline = pg_atomic_read_u32(&group->attention) != 0 ? 0 : deadline_of(group);
		next = Min(next, deadline);
	}
	return next;
}

/* What was asked while there was no coordinator, nobody asks again. */
static void
look_at_everything(void)
{
	while (next_group())
		pg_atomic_write_u32(&looked_at->attention, 1);
}

/* ---------- catalogs ---------- */

static bool
refresh_all(void)
{
	bool		complete = true;

	while (next_group())
		complete &= metadata_refresh(looked_at);
	return complete;
}

/*
 * A change is looked at once at once; of changes that come one after the other,
 * as with COMMIT PREPARED of whatever, ten a second.  A lock that whoever made
 * the change is about to release is waited for a shorter time than others.
 */
static void
watch_catalogs(CatalogWatch *watch)
{
	if (coordinator_catalog_changed())
	{
		if (!watch->pending)
			watch->due = watch->last + CATALOG_INTERVAL_MS;
		watch->pending = true;
		watch->retry_delay = FIRST_RETRY_MS;
	}
	if (!watch->pending || watch->due > group_now())
		return;

	watch->pending = !refresh_all();
	watch->last = group_now();
	if (watch->pending)
	{
		watch->due = watch->last + watch->retry_delay;
		watch->retry_delay = Min(watch->retry_delay * 4, CATALOG_INTERVAL_MS);
	}
}

/* ---------- the loop ---------- */

/*
 * Whatever the server's settings: a commit of ours never waits for a standby,
 * and whatever lock it meets unexpectedly, it does not wait for it for long.
 */
static void
set_settings(void)
{
	SetConfigOption("synchronous_commit", "local", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "100", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_USERSET,
					PGC_S_OVERRIDE);
}

static void
sleep_until(int64 next)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	long		timeout = -1;

	if (next != PG_INT64_MAX)
	{
		int64		left = next - group_now();

		events |= WL_TIMEOUT;
		timeout = (long) Max(Min(left, LONGEST_SLEEP_MS), 0);
	}
	(void) WaitLatch(MyLatch, events, timeout, PG_WAIT_EXTENSION);
}

void
coordinator_run(bool (*keep_on) (void))
{
	MemoryContext coordinator = AllocSetContextCreate(TopMemoryContext, "pgtopic coordinator",
													  ALLOCSET_DEFAULT_SIZES);
	MemoryContext round = AllocSetContextCreate(coordinator, "pgtopic coordinator round",
												ALLOCSET_DEFAULT_SIZES);
	CatalogWatch watch = {0};
	GroupCopy  *copy;

	if (!coordinator_attach())
		return;
	set_settings();
	MemoryContextSwitchTo(coordinator);
	copy = group_copy_create();
	MemoryContextSwitchTo(round);
	look_at_everything();

	for (;;)
	{
		int64		next;

		ResetLatch(MyLatch);
		if (!keep_on())
			break;
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		MemoryContextReset(round);
		watch_catalogs(&watch);
		next = review_groups(copy);
		if (watch.pending)
			next = Min(next, watch.due);
		sleep_until(next);
	}
	coordinator_detach();
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextDelete(coordinator);
}
