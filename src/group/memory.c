/*-------------------------------------------------------------------------
 *
 * memory.c
 *	  Where groups are in shared memory: the area, the directory, and arrays
 *	  that grow.
 *
 * The area has one fixed size, pgtopic.group_memory, and lies in the main shared
 * memory segment, so that a group costs no file and no mapping.  Groups hang
 * in the buckets of a directory by database and name.  A group stays as long
 * as somebody has a reference to it or it has members (a static member may be
 * away, and have no session).
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "group/group.h"
#include "group/members.h"
#include "group/memory.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define GROUP_TRANCHE		"pgtopic_groups"
#define DIRECTORY_BUCKETS	1024

typedef struct GroupDirectory
{
	LWLock	   *lock;
	pg_atomic_uint64 incarnation;	/* the last one that was given out */
	dsa_pointer buckets[DIRECTORY_BUCKETS];
} GroupDirectory;

static int	group_memory = 16 * 1024;	/* kB */

static GroupDirectory *directory = NULL;
static void *area_place = NULL;
static dsa_area *area = NULL;	/* attached at the first use */

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void group_shmem_request(void);
static void group_shmem_startup(void);

void
members_init(void)
{
	/* a setting of this kind cannot be made later */
	if (!process_shared_preload_libraries_in_progress)
		return;

	DefineCustomIntVariable("pgtopic.group_memory",
							"Shared memory for consumer groups, their members and partitions.",
							"About 40 bytes per group and partition, 2 kB per member and 2 kB per group.",
							&group_memory,
							16 * 1024, 1024, MAX_KILOBYTES,
							PGC_POSTMASTER, GUC_UNIT_KB,
							NULL, NULL, NULL);

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = group_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = group_shmem_startup;
	coordinators_init();
}

static Size
area_size(void)
{
	return MAXALIGN(mul_size(group_memory, 1024));
}

static void
group_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	RequestAddinShmemSpace(add_size(MAXALIGN(sizeof(GroupDirectory)), area_size()));
	RequestNamedLWLockTranche(GROUP_TRANCHE, 1);
}

static void
group_shmem_startup(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	directory = ShmemInitStruct("pgtopic groups",
								add_size(MAXALIGN(sizeof(GroupDirectory)), area_size()),
								&found);
	area_place = (char *) directory + MAXALIGN(sizeof(GroupDirectory));
	if (!found)
	{
		dsa_area   *created;

		memset(directory, 0, sizeof(GroupDirectory));
		directory->lock = &GetNamedLWLockTranche(GROUP_TRANCHE)->lock;
		pg_atomic_init_u64(&directory->incarnation, 0);
		for (int i = 0; i < DIRECTORY_BUCKETS; i++)
			directory->buckets[i] = InvalidDsaPointer;

		/* it must not grow beyond its place */
		created = dsa_create_in_place(area_place, area_size(), group_tranche(), NULL);
		dsa_pin(created);
		dsa_set_size_limit(created, area_size());
		dsa_detach(created);
	}
	LWLockRelease(AddinShmemInitLock);
}

int
group_tranche(void)
{
	return directory->lock->tranche;
}

void
members_check_preloaded(void)
{
	if (directory == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("consumer groups need pgtopic to be preloaded"),
				 errhint("Set shared_preload_libraries = 'pgtopic' and restart the server.")));
}

bool
group_memory_exists(void)
{
	return directory != NULL;
}

int64
group_now(void)
{
	return GetCurrentTimestamp() / 1000;
}

uint64
group_new_incarnation(void)
{
	return pg_atomic_add_fetch_u64(&directory->incarnation, 1);
}

/* Before any lock is taken: attaching allocates memory of this backend. */
static void
attach_area(void)
{
	MemoryContext old;

	members_check_preloaded();
	if (area != NULL)
		return;
	old = MemoryContextSwitchTo(TopMemoryContext);
	area = dsa_attach_in_place(area_place, NULL);
	dsa_pin_mapping(area);
	MemoryContextSwitchTo(old);

	/* after the callbacks of whoever comes to use the area */
	on_shmem_exit(dsa_on_shmem_exit_release_in_place, PointerGetDatum(area_place));
}

void
group_memory_full(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of shared memory for consumer groups"),
			 errhint("Raise pgtopic.group_memory and restart the server, or end members of other groups.")));
}

/* Zeroed memory, or InvalidDsaPointer. */
static dsa_pointer
allocate(Size size)
{
	return dsa_allocate_extended(area, size, DSA_ALLOC_NO_OOM | DSA_ALLOC_ZERO);
}

static void
release(dsa_pointer *pointer)
{
	if (DsaPointerIsValid(*pointer))
		dsa_free(area, *pointer);
	*pointer = InvalidDsaPointer;
}

/* Gives an array room for n entries, at least twice as many as before. */
static bool
grow(dsa_pointer *array, int32 *capacity, int32 n, Size entry_size)
{
	int32		wanted = Max(n, *capacity * 2);
	dsa_pointer larger;

	if (n <= *capacity)
		return true;
	larger = allocate(wanted * entry_size);
	if (!DsaPointerIsValid(larger) && wanted > n)
	{
		wanted = n;
		larger = allocate(wanted * entry_size);
	}
	if (!DsaPointerIsValid(larger))
		return false;
	if (*capacity > 0)
		memcpy(dsa_get_address(area, larger), dsa_get_address(area, *array),
			   *capacity * entry_size);
	release(array);
	*array = larger;
	*capacity = wanted;
	return true;
}

/* ---------- the directory ---------- */

static dsa_pointer *
bucket_of(Oid database, const char *group_id)
{
	uint32		hash = hash_combine(hash_uint32(database),
									hash_bytes((const unsigned char *) group_id,
											   strlen(group_id)));

	return &directory->buckets[hash % DIRECTORY_BUCKETS];
}

static ConsumerGroup *
find_group(dsa_pointer bucket, Oid database, const char *group_id)
{
	while (DsaPointerIsValid(bucket))
	{
		ConsumerGroup *group = dsa_get_address(area, bucket);

		if (group->database == database && strcmp(group->group_id, group_id) == 0)
			return group;
		bucket = group->next;
	}
	return NULL;
}

static ConsumerGroup *
create_group(dsa_pointer *bucket, const char *group_id, int32 epoch)
{
	dsa_pointer pointer = allocate(sizeof(ConsumerGroup));
	ConsumerGroup *group;

	if (!DsaPointerIsValid(pointer))
		return NULL;
	group = dsa_get_address(area, pointer);
	group->self = pointer;
	group->next = *bucket;
	group->database = MyDatabaseId;
	strlcpy(group->group_id, group_id, sizeof(group->group_id));
	LWLockInitialize(&group->lock, group_tranche());
	pg_atomic_init_u32(&group->attention, 0);
	ConditionVariableInit(&group->exclusive_ended);
	group->group_epoch = epoch;
	group->target_epoch = epoch;
	group->first_epoch = epoch;
	group->epoch_limit = epoch;
	group->next_deadline = PG_INT64_MAX;
	*bucket = pointer;
	return group;
}

ConsumerGroup *
group_attach(const char *group_id, bool create, int32 epoch)
{
	dsa_pointer *bucket;
	ConsumerGroup *group;

	attach_area();
	bucket = bucket_of(MyDatabaseId, group_id);
	LWLockAcquire(directory->lock, LW_EXCLUSIVE);
	group = find_group(*bucket, MyDatabaseId, group_id);
	if (group == NULL && create)
		group = create_group(bucket, group_id, epoch);
	if (group != NULL)
		group->references++;
	LWLockRelease(directory->lock);

	if (group == NULL && create)
		group_memory_full();
	return group;
}

static void
free_group(ConsumerGroup *group)
{
	dsa_pointer *link = bucket_of(group->database, group->group_id);

	while (*link != group->self)
		link = &((ConsumerGroup *) dsa_get_address(area, *link))->next;
	*link = group->next;

	for (int i = 0; i < group->topics_capacity; i++)
		release(&topic_at(group, i)->partitions);
	release(&group->topics);
	for (int i = 0; i < group->members_capacity; i++)
		release(&member_at(group, i)->topics);
	release(&group->members);
	dsa_free(area, group->self);
}

/*
 * Under the directory's lock.  Without references nobody holds or waits for the
 * group's lock.
 */
static void
give_back(ConsumerGroup *group)
{
	Assert(group->references > 0);
	if (--group->references == 0 && group->nmembers == 0)
	{
		Assert(group->ntakers == 0 && group->exclusive == 0);
		free_group(group);
	}
}

void
group_detach(ConsumerGroup *group)
{
	LWLockAcquire(directory->lock, LW_EXCLUSIVE);
	give_back(group);
	LWLockRelease(directory->lock);
}

/*
 * Nobody is connected to the database, so nobody has a reference; a coordinator
 * that would remove its members when their time comes has left, too.
 */
void
group_forget_database(Oid database)
{
	if (directory == NULL)
		return;
	attach_area();
	LWLockAcquire(directory->lock, LW_EXCLUSIVE);
	for (int i = 0; i < DIRECTORY_BUCKETS; i++)
	{
		dsa_pointer pointer = directory->buckets[i];

		while (DsaPointerIsValid(pointer))
		{
			ConsumerGroup *group = dsa_get_address(area, pointer);

			pointer = group->next;
			if (group->database == database && group->references == 0)
				free_group(group);
		}
	}
	LWLockRelease(directory->lock);
}

/* The first group of this database in a bucket's chain. */
static ConsumerGroup *
first_of_mine(dsa_pointer pointer)
{
	while (DsaPointerIsValid(pointer))
	{
		ConsumerGroup *group = dsa_get_address(area, pointer);

		if (group->database == MyDatabaseId)
			return group;
		pointer = group->next;
	}
	return NULL;
}

ConsumerGroup *
group_attach_next(ConsumerGroup *previous)
{
	ConsumerGroup *group = NULL;
	dsa_pointer *bucket;

	attach_area();
	bucket = directory->buckets;
	LWLockAcquire(directory->lock, LW_EXCLUSIVE);
	if (previous != NULL)
	{
		group = first_of_mine(previous->next);
		bucket = bucket_of(MyDatabaseId, previous->group_id) + 1;
	}
	for (; group == NULL && bucket < directory->buckets + DIRECTORY_BUCKETS; bucket++)
		group = first_of_mine(*bucket);
	if (group != NULL)
		group->references++;
	if (previous != NULL)
		give_back(previous);
	LWLockRelease(directory->lock);
	return group;
}

void
group_lock(ConsumerGroup *group, LWLockMode mode)
{
	LWLockAcquire(&group->lock, mode);
}

void
group_unlock(ConsumerGroup *group)
{
	LWLockRelease(&group->lock);
}

/* ---------- what is in a group ---------- */

GroupMember *
member_at(ConsumerGroup *group, int index)
{
	Assert(index >= 0 && index < group->members_capacity);
	return (GroupMember *) dsa_get_address(area, group->members) + index;
}

GroupTopic *
topic_at(ConsumerGroup *group, int index)
{
	Assert(index >= 0 && index < group->topics_capacity);
	return (GroupTopic *) dsa_get_address(area, group->topics) + index;
}

GroupPartition *
partition_at(ConsumerGroup *group, int topic, int partition)
{
	GroupTopic *entry = topic_at(group, topic);

	Assert(partition >= 0 && partition < entry->npartitions);
	return (GroupPartition *) dsa_get_address(area, entry->partitions) + partition;
}

Oid *
member_topics(GroupMember *member)
{
	return member->ntopics > 0 ? dsa_get_address(area, member->topics) : NULL;
}

int
group_find_topic(ConsumerGroup *group, Oid relid)
{
	for (int i = 0; i < group->topics_capacity; i++)
		if (topic_at(group, i)->relid == relid)
			return i;
	return NO_TOPIC;
}

/* An entry that was not in use, or NO_TOPIC when memory is full. */
static int
new_topic(ConsumerGroup *group)
{
	int			index = group_find_topic(group, InvalidOid);

	if (index != NO_TOPIC)
		return index;
	index = group->topics_capacity;
	if (!grow(&group->topics, &group->topics_capacity, index + 1, sizeof(GroupTopic)))
		return NO_TOPIC;
	return index;
}

/*
 * A topic that was dropped and created anew has another OID; the same OID with
 * another identity can only be a reused one, whose old entry is about to go.
 */
bool
group_add_topic(ConsumerGroup *group, Oid relid, const pg_uuid_t *uuid, int32 npartitions)
{
	int			index = group_find_topic(group, relid);
	GroupTopic *topic;

	if (index == NO_TOPIC)
	{
		index = new_topic(group);
		if (index == NO_TOPIC)
			return false;
	}
	topic = topic_at(group, index);
	if (!grow(&topic->partitions, &topic->capacity, npartitions, sizeof(GroupPartition)))
		return false;

	topic->relid = relid;
	topic->uuid = *uuid;
	topic->dropped = false;
	for (; topic->npartitions < npartitions; topic->npartitions++)
	{
		GroupPartition *partition = (GroupPartition *)
			dsa_get_address(area, topic->partitions) + topic->npartitions;

		memset(partition, 0, sizeof(GroupPartition));
		partition->owner = NO_MEMBER;
		partition->target = NO_MEMBER;
		partition->position = -1;
	}
	return true;
}

/* The memory stays for when it grows. */
void
group_cut_topic(ConsumerGroup *group, int index, int32 npartitions)
{
	for (int i = npartitions; i < topic_at(group, index)->npartitions; i++)
	{
		int32		owner = partition_at(group, index, i)->owner;

		if (owner != NO_MEMBER)
			member_at(group, owner)->assignment++;
	}
	topic_at(group, index)->npartitions = npartitions;
}

void
group_drop_topic(ConsumerGroup *group, int index)
{
	GroupTopic *topic = topic_at(group, index);

	release(&topic->partitions);
	memset(topic, 0, sizeof(GroupTopic));
}

bool
member_set_topics(GroupMember *member, const Oid *topics, int ntopics)
{
	dsa_pointer list = InvalidDsaPointer;

	if (ntopics > 0)
	{
		list = allocate(ntopics * sizeof(Oid));
		if (!DsaPointerIsValid(list))
			return false;
		memcpy(dsa_get_address(area, list), topics, ntopics * sizeof(Oid));
	}
	release(&member->topics);
	member->topics = list;
	member->ntopics = ntopics;
	return true;
}

/* An entry that is not in use, or NO_MEMBER when memory is full. */
int
group_new_member(ConsumerGroup *group)
{
	int			index;

	for (index = 0; index < group->members_capacity; index++)
		if (member_at(group, index)->incarnation == 0)
			return index;
	if (!grow(&group->members, &group->members_capacity, index + 1, sizeof(GroupMember)))
		return NO_MEMBER;
	return index;
}

void
group_remove_member(ConsumerGroup *group, int index)
{
	GroupMember *member = member_at(group, index);

	Assert(member->incarnation != 0);
	if (member->taker)
		group->ntakers--;
	else
		group->nmembers--;
	release(&member->topics);
	memset(member, 0, sizeof(GroupMember));
}
