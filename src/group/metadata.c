/*-------------------------------------------------------------------------
 *
 * metadata.c
 *	  What has become of a group's topics: dropped, grown, or new ones that a
 *	  member's pattern matches.
 *
 * For the coordinator.  It never waits for a topic's lock: somebody's DDL is
 * not to stall the groups of others.  What is locked stays as it was known.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "group/coordinator.h"
#include "group/pattern.h"
#include "log/log.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "topic/topic.h"

/* A topic as the group has it, and as it is. */
typedef struct TopicNews
{
	int32		index;			/* in the group, or NO_TOPIC */
	Oid			relid;
	pg_uuid_t	uuid;
	int32		npartitions;
	int32		known;			/* partitions, as the group has it */
	bool		gone;
} TopicNews;

/* A member that subscribes by pattern, and what that matches now. */
typedef struct PatternNews
{
	int32		index;
	uint64		incarnation;
	Oid			role;
	char		pattern[PATTERN_MAX_BYTES + 1];
	List	   *known;			/* OIDs, ascending */
	List	   *matching;
} PatternNews;

typedef struct Refresh
{
	ConsumerGroup *group;
	List	   *topics;			/* TopicNews, of the group's */
	List	   *patterns;		/* PatternNews */
	List	   *new_topics;		/* TopicNews, that patterns have found */
	bool		complete;
} Refresh;

/* ---------- what the group knows ---------- */

static void
copy_topics(Refresh *refresh, TopicNews *topics, int *ntopics)
{
	for (int i = 0; i < refresh->group->topics_capacity; i++)
	{
		const GroupTopic *topic = topic_at(refresh->group, i);

		if (!OidIsValid(topic->relid) || topic->dropped)
			continue;
		topics[*ntopics].index = i;
		topics[*ntopics].relid = topic->relid;
		topics[*ntopics].uuid = topic->uuid;
		topics[*ntopics].npartitions = topic->npartitions;
		topics[*ntopics].known = topic->npartitions;
		topics[*ntopics].gone = false;
		(*ntopics)++;
	}
}

static bool
follows_pattern(const GroupMember *member)
{
	return member->incarnation != 0 && !member->taker && !member->left &&
		member->pattern[0] != '\0';
}

/*
 * Copies what is needed with the group's lock held for a moment; the memory is
 * allocated before, and again if the group has grown meanwhile.
 */
static TopicNews *
read_topics(Refresh *refresh)
{
	ConsumerGroup *group = refresh->group;
	int			capacity = 16;

	for (;;)
	{
		TopicNews  *topics = palloc(capacity * sizeof(TopicNews));
		int			ntopics = 0;
		int			needed;

		group_lock(group, LW_SHARED);
		needed = group->topics_capacity;
		if (needed <= capacity)
			copy_topics(refresh, topics, &ntopics);
		group_unlock(group);
		if (needed <= capacity)
		{
			for (int i = 0; i < ntopics; i++)
				refresh->topics = lappend(refresh->topics, &topics[i]);
			return topics;
		}
		pfree(topics);
		capacity = needed + 8;
	}
}

/* The next member from *index on that follows a pattern; false if none does. */
static bool
read_pattern(ConsumerGroup *group, int *index, PatternNews *news, Oid **topics, int *capacity,
			 int *ntopics)
{
	bool		found = false;

	group_lock(group, LW_SHARED);
	for (; *index < group->members_capacity && !found; (*index)++)
	{
		GroupMember *member = member_at(group, *index);

		if (!follows_pattern(member))
			continue;
		*ntopics = member->ntopics;
		if (member->ntopics > *capacity)
			break;				/* come again with more memory */
		found = true;
		news->index = *index;
		news->incarnation = member->incarnation;
		news->role = member->role;
		strlcpy(news->pattern, member->pattern, sizeof(news->pattern));
		if (member->ntopics > 0)
			memcpy(*topics, member_topics(member), member->ntopics * sizeof(Oid));
	}
	group_unlock(group);
	return found;
}

static void
read_patterns(Refresh *refresh)
{
	int			capacity = 16;
	Oid		   *topics = palloc(capacity * sizeof(Oid));
	int			index = 0;

	for (;;)
	{
		PatternNews *news = palloc0(sizeof(PatternNews));
		int			ntopics = 0;

		CHECK_FOR_INTERRUPTS();
		if (!read_pattern(refresh->group, &index, news, &topics, &capacity, &ntopics))
		{
			if (ntopics <= capacity)
				return;
			capacity = ntopics + 8;
			topics = repalloc(topics, capacity * sizeof(Oid));
			continue;
		}
		for (int i = 0; i < ntopics; i++)
			news->known = lappend_oid(news->known, topics[i]);
		list_sort(news->known, list_oid_cmp);
		refresh->patterns = lappend(refresh->patterns, news);
	}
}

/* ---------- what is ---------- */

/*
 * look_at_topic: fills in what the topic is now.  False if somebody holds a lock
 * that keeps us from it.
 */
static bool
look_at_topic(TopicNews *news)
{
	Relation	rel;

	if (!ConditionalLockRelationOid(news->relid, AccessShareLock))
		return false;
	rel = try_relation_open(news->relid, NoLock);
	news->gone = (rel == NULL || !relation_is_topic(rel));
	if (!news->gone)
	{
		const TopicSettings *settings = topic_settings(rel);

		news->uuid = settings->uuid;
		/* restored rows raise it although their transaction is rolled back */
		news->npartitions = Max(settings->partitions, log_min_partitions(rel));
	}
	if (rel != NULL)
		relation_close(rel, NoLock);
	UnlockRelationOid(news->relid, AccessShareLock);
	return true;
}

static void
look_at_topics(Refresh *refresh)
{
	List	   *changed = NIL;
	ListCell   *cell;

	foreach(cell, refresh->topics)
	{
		TopicNews  *news = lfirst(cell);
		TopicNews	before = *news;

		CHECK_FOR_INTERRUPTS();
		if (!look_at_topic(news))
		{
			refresh->complete = false;
			continue;
		}
		if (!news->gone && memcmp(&news->uuid, &before.uuid, sizeof(pg_uuid_t)) != 0)
			news->gone = true;	/* another topic has its OID */
		news->uuid = before.uuid;
		if (news->gone || news->npartitions != before.npartitions)
			changed = lappend(changed, news);
	}
	refresh->topics = changed;
}

/*
 * Keeps of what a pattern matches the topics that can be looked at; one that
 * is locked joins later.  Those that are known already stay.
 */
static List *
look_at_matches(Refresh *refresh, const PatternNews *pattern, List *matching)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, matching)
	{
		Oid			relid = lfirst_oid(cell);
		TopicNews  *news;

		CHECK_FOR_INTERRUPTS();
		if (list_member_oid(pattern->known, relid))
		{
			result = lappend_oid(result, relid);
			continue;
		}
		news = palloc0(sizeof(TopicNews));
		news->index = NO_TOPIC;
		news->relid = relid;
		if (!look_at_topic(news))
			refresh->complete = false;
		else if (!news->gone)
		{
			result = lappend_oid(result, relid);
			refresh->new_topics = lappend(refresh->new_topics, news);
		}
	}
	return result;
}

/* Members of a group mostly follow the same pattern in the same role. */
static void
look_at_patterns(Refresh *refresh)
{
	PatternNews *before = NULL;
	List	   *matching = NIL;
	List	   *changed = NIL;
	ListCell   *cell;

	foreach(cell, refresh->patterns)
	{
		PatternNews *news = lfirst(cell);

		if (before == NULL || before->role != news->role ||
			strcmp(before->pattern, news->pattern) != 0)
			matching = pattern_topics(news->pattern, news->role);
		before = news;
		news->matching = look_at_matches(refresh, news, matching);
		if (!equal(news->matching, news->known))
			changed = lappend(changed, news);
	}
	refresh->patterns = changed;
}

/* ---------- telling the group ---------- */

/*
 * The entry may have become another topic's since we looked.  It has fewer
 * partitions than the group thinks when who subscribed had added them in a
 * transaction that is rolled back, or that goes on.
 */
static void
tell_of_topic(ConsumerGroup *group, const TopicNews *news, bool *full)
{
	GroupTopic *topic;

	if (news->index >= group->topics_capacity)
		return;
	topic = topic_at(group, news->index);
	if (topic->relid != news->relid ||
		memcmp(&topic->uuid, &news->uuid, sizeof(pg_uuid_t)) != 0)
		return;
	if (news->gone)
		topic->dropped = true;
	else if (news->npartitions < news->known)
	{
		if (topic->npartitions != news->known)
			return;				/* it has grown meanwhile; we are asked again */
		group_cut_topic(group, news->index, news->npartitions);
	}
	else if (!group_add_topic(group, news->relid, &news->uuid, news->npartitions))
	{
		*full = true;
		return;
	}
	group->metadata_changed = true;
}

static const TopicNews *
find_new_topic(const Refresh *refresh, Oid relid)
{
	ListCell   *cell;

	foreach(cell, refresh->new_topics)
	{
		TopicNews  *news = lfirst(cell);

		if (news->relid == relid)
			return news;
	}
	return NULL;
}

/*
 * A topic that the member knew must still be the group's; it may have been
 * forgotten as dropped, and then the next refresh looks anew.
 */
static bool
add_topics(Refresh *refresh, const Oid *topics, int ntopics)
{
	for (int i = 0; i < ntopics; i++)
	{
		const TopicNews *news = find_new_topic(refresh, topics[i]);

		if (news != NULL &&
			!group_add_topic(refresh->group, news->relid, &news->uuid, news->npartitions))
			return false;
	}
	return true;
}

static void
tell_of_pattern(Refresh *refresh, const PatternNews *news, const Oid *topics, bool *full)
{
	ConsumerGroup *group = refresh->group;
	int			ntopics = list_length(news->matching);
	GroupMember *member;

	if (news->index >= group->members_capacity)
		return;
	member = member_at(group, news->index);
	if (member->incarnation != news->incarnation || strcmp(member->pattern, news->pattern) != 0)
		return;					/* its subscription is a newer one */
	if (!add_topics(refresh, topics, ntopics) || !member_set_topics(member, topics, ntopics))
		*full = true;
	else
		member->changed = true;
}

static Oid *
oid_array(const List *oids)
{
	Oid		   *array = palloc(Max(list_length(oids), 1) * sizeof(Oid));
	ListCell   *cell;
	int			n = 0;

	foreach(cell, oids)
		array[n++] = lfirst_oid(cell);
	return array;
}

/* Once until there is memory again, and not for each change. */
static void
report_memory(const ConsumerGroup *group, bool full)
{
	static bool reported = false;

	if (full && !reported)
		ereport(WARNING,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of shared memory for topics of group \"%s\"", group->group_id),
				 errdetail("New topics and partitions are assigned to nobody until the next change of a topic."),
				 errhint("Raise pgtopic.group_memory and restart the server.")));
	reported = full;
}

static void
tell_group(Refresh *refresh)
{
	ConsumerGroup *group = refresh->group;
	List	   *arrays = NIL;
	bool		full = false;
	ListCell   *cell;
	ListCell   *array;

	if (refresh->topics == NIL && refresh->patterns == NIL)
		return;
	foreach(cell, refresh->patterns)
		arrays = lappend(arrays, oid_array(((PatternNews *) lfirst(cell))->matching));

	group_lock(group, LW_EXCLUSIVE);
	foreach(cell, refresh->topics)
		tell_of_topic(group, lfirst(cell), &full);
	forboth(cell, refresh->patterns, array, arrays)
		tell_of_pattern(refresh, lfirst(cell), lfirst(array), &full);
	group->version++;
	group_unlock(group);
	pg_atomic_write_u32(&group->attention, 1);
	report_memory(group, full);
}

static void
refresh_group(void *arg)
{
	Refresh    *refresh = arg;

	read_topics(refresh);
	read_patterns(refresh);
	look_at_topics(refresh);
	look_at_patterns(refresh);
	tell_group(refresh);
}

bool
metadata_refresh(ConsumerGroup *group)
{
	Refresh		refresh = {.group = group, .complete = true};

	/* What cannot be looked at for an error waits for the next change. */
	(void) coordinator_transaction(refresh_group, &refresh);
	return refresh.complete;
}
