/*-------------------------------------------------------------------------
 *
 * coordinators.c
 *	  Which process coordinates the groups of which database, and how it is
 *	  woken.
 *
 * One entry per worker process that there may be.  What sessions want of the
 * coordinator stands in the groups themselves; here is only whom to wake, and
 * whether catalogs have changed.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "group/group.h"
#include "group/memory.h"
#include "miscadmin.h"
#include "notify/notify.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#define COORDINATOR_TRANCHE	"pgtopic_coordinators"

typedef struct Coordinator
{
	Oid			database;		/* InvalidOid: the entry is free */
	int32		procno;
	pg_atomic_uint32 catalog_changed;
} Coordinator;

typedef struct CoordinatorTable
{
	LWLock	   *lock;
	Coordinator entries[FLEXIBLE_ARRAY_MEMBER]; /* max_worker_processes */
} CoordinatorTable;

coordinator_missing_hook_type coordinator_missing_hook = NULL;

static CoordinatorTable *table = NULL;
static Coordinator *mine = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static Size
table_size(void)
{
	return add_size(offsetof(CoordinatorTable, entries),
					mul_size(max_worker_processes, sizeof(Coordinator)));
}

static void
coordinators_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(table_size());
	RequestNamedLWLockTranche(COORDINATOR_TRANCHE, 1);
}

static void
coordinators_shmem_startup(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	table = ShmemInitStruct("pgtopic coordinators", table_size(), &found);
	if (!found)
	{
		memset(table, 0, table_size());
		table->lock = &GetNamedLWLockTranche(COORDINATOR_TRANCHE)->lock;
		for (int i = 0; i < max_worker_processes; i++)
			pg_atomic_init_u32(&table->entries[i].catalog_changed, 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
coordinators_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = coordinators_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = coordinators_shmem_startup;
}

/* The entry of this database, or a free one for InvalidOid; under the lock. */
static Coordinator *
find_entry(Oid database)
{
	for (int i = 0; i < max_worker_processes; i++)
		if (table->entries[i].database == database)
			return &table->entries[i];
	return NULL;
}

static void
detach_at_exit(int code, Datum arg)
{
	coordinator_detach();
}

bool
coordinator_attach(void)
{
	Coordinator *entry = NULL;

	members_check_preloaded();
	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	if (find_entry(MyDatabaseId) == NULL)
		entry = find_entry(InvalidOid);
	if (entry != NULL)
	{
		entry->database = MyDatabaseId;
		entry->procno = notify_my_procno();
		/* whoever changed something while there was none told nobody */
		pg_atomic_write_u32(&entry->catalog_changed, 1);
	}
	LWLockRelease(table->lock);
	if (entry == NULL)
		return false;

	if (mine == NULL)
		on_shmem_exit(detach_at_exit, (Datum) 0);
	mine = entry;
	return true;
}

void
coordinator_detach(void)
{
	if (mine == NULL)
		return;
	LWLockAcquire(table->lock, LW_EXCLUSIVE);
	mine->database = InvalidOid;
	LWLockRelease(table->lock);
	mine = NULL;
}

bool
coordinator_is_attached(void)
{
	bool		result;

	members_check_preloaded();
	LWLockAcquire(table->lock, LW_SHARED);
	result = find_entry(MyDatabaseId) != NULL;
	LWLockRelease(table->lock);
	return result;
}

void
coordinator_wake(ConsumerGroup *group)
{
	Coordinator *entry;

	if (table == NULL)
		return;
	if (group != NULL)
		pg_atomic_exchange_u32(&group->attention, 1);

	LWLockAcquire(table->lock, LW_SHARED);
	entry = find_entry(MyDatabaseId);
	if (entry != NULL)
	{
		if (group == NULL)
			pg_atomic_write_u32(&entry->catalog_changed, 1);
		notify_wake(entry->procno);
	}
	LWLockRelease(table->lock);

	if (entry == NULL && coordinator_missing_hook != NULL)
		coordinator_missing_hook();
}

bool
coordinator_catalog_changed(void)
{
	return pg_atomic_exchange_u32(&mine->catalog_changed, 0) != 0;
}
