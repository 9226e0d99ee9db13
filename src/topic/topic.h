/*-------------------------------------------------------------------------
 *
 * topic.h
 *	  The door of the topic room: names, settings, and what a topic refuses.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_TOPIC_H
#define PGTOPIC_TOPIC_H

#include "storage/lock.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#define TOPIC_MAX_MESSAGE_BYTES	(499 * 1024 * 1024)

typedef enum CleanupPolicy
{
	CLEANUP_DELETE = 1,
	CLEANUP_COMPACT = 2,
	CLEANUP_COMPACT_DELETE = 3
} CleanupPolicy;

/* The settings in force; times in ms, -1 = no limit. */
typedef struct TopicSettings
{
	int32		partitions;
	int64		retention_ms;
	int64		retention_bytes;
	CleanupPolicy cleanup_policy;
	int32		max_message_bytes;
	bool		log_append_time;
	int			compression;	/* BATCH codec: 0 none, 3 lz4, 4 zstd */
	int64		min_compaction_lag_ms;
	int64		delete_retention_ms;
	int64		timestamp_after_max_ms;
	pg_uuid_t	uuid;			/* the topic's permanent identity */
} TopicSettings;

/*
 * What the producer room, which lies above this one, gives to it; set in
 * producer_init().  The flush hook appends the pending messages of one topic,
 * or of all (InvalidOid), before a statement reads it and before DROP, TRUNCATE
 * and rewrites; the pending hook says whether one topic, or any, has some.
 */
typedef void (*topic_flush_hook_type) (Oid topic);
typedef bool (*topic_pending_hook_type) (Oid topic);
extern topic_flush_hook_type topic_flush_hook;
extern topic_pending_hook_type topic_pending_hook;

/*
 * What the group room, which lies above this one too, wants to know; set in
 * group_init().  topic_changed_hook is called after the end of a transaction that
 * made, altered or dropped a topic, or changed what roles may do; it must not
 * fail, and may be called when nothing has changed after all.
 * topic_dropped_hook is called in the transaction that drops a topic; whoever
 * sets it calls the one that was there before, which is the producer room's.
 */
typedef void (*topic_changed_hook_type) (void);
typedef void (*topic_dropped_hook_type) (const pg_uuid_t *uuid);
extern topic_changed_hook_type topic_changed_hook;
extern topic_dropped_hook_type topic_dropped_hook;

/* This transaction has changed topics in a way that no statement's hook sees. */
extern void topic_note_change(void);

/* Hooks that refuse what a topic cannot honour; called from _PG_init. */
extern void topic_init(void);

/* OID of access method "topic", or InvalidOid without the extension. */
extern Oid	topic_am_oid(void);

extern bool relation_is_topic(Relation rel);

/* The same by OID, without opening it; false if there is no such relation. */
extern bool relid_is_topic(Oid relid);

/*
 * topic_open: resolves a name through search_path, as regclass does, and
 * opens the topic.  Errors: 42P01 no such relation, 42809 not a topic.
 * topic_close closes it and keeps the lock.
 */
extern Relation topic_open(const char *name, LOCKMODE lockmode);
extern void topic_close(Relation rel);

/*
 * topic_settings: the settings in force, from a cache in the relcache entry.
 * Valid until the next invalidation message is processed: copy what must last.
 * partitions is never less than what restored rows called for.
 */
extern const TopicSettings *topic_settings(Relation rel);

/*
 * topic_name: "schema.topic", each part quoted where needed; palloc'd.
 */
extern char *topic_name(Relation rel);

/*
 * topic_compact: compacts a topic whose cleanup policy asks for it, where half of a
 * partition was not compacted yet; for the maintenance worker, within a transaction
 * that has no snapshot.  Whether there was anything to do.  Does nothing where the lock
 * cannot be had at once, and stops when somebody waits for it.
 */
extern bool topic_compact(Oid relid);

/* 22023 unless 0 <= partition < the topic's partitions. */
extern void topic_check_partition(Relation rel, int32 partition);

#endif							/* PGTOPIC_TOPIC_H */
