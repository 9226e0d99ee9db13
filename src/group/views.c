/*-------------------------------------------------------------------------
 *
 * views.c
 *	  What views topic.groups, topic.members and topic.lag show, and
 *	  topic.committed().
 *
 * Groups come from the tables, and what is going on in them from shared
 * memory.  Each function leaves out the groups that the caller may not see, and
 * offsets in topics that he may not see.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "acl/acl.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "funcapi.h"
#include "group/catalog.h"
#include "group/observe.h"
#include "group/protection.h"
#include "group/tables.h"
#include "log/log.h"
#include "miscadmin.h"
#include "topic/topic.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(pgtopic_describe_groups);
PG_FUNCTION_INFO_V1(pgtopic_describe_members);
PG_FUNCTION_INFO_V1(pgtopic_describe_lag);
PG_FUNCTION_INFO_V1(pgtopic_committed);

#define DESCRIBE_GROUPS_NATTS	6
#define DESCRIBE_MEMBERS_NATTS	11
#define DESCRIBE_LAG_NATTS		11
#define COMMITTED_NATTS			4

/* A group that the caller may see. */
typedef struct VisibleGroup
{
	char	   *group_id;
	Oid			owner;			/* as stored */
	int32		epoch;			/* reserved */
	ObservedGroup *observed;	/* NULL if it is not in memory */
} VisibleGroup;

/* A topic that the caller may see. */
typedef struct VisibleTopic
{
	pg_uuid_t	uuid;
	Oid			relid;
	char	   *name;
	int32		npartitions;
	LaneInfo   *lanes;			/* NULL until somebody asks */
} VisibleTopic;

typedef struct VisibleTopics
{
	int			n;
	VisibleTopic *topics;		/* by uuid */
} VisibleTopics;

/* ---------- groups ---------- */

/* All groups in memory, copied. */
static List *
observe_all(void)
{
	List	   *volatile result = NIL;
	ConsumerGroup *volatile group = NULL;

	if (!log_is_preloaded())
		return NIL;
	PG_TRY();
	{
		while ((group = group_attach_next(group)) != NULL)
			result = lappend(result, group_observe(group));
	}
	PG_CATCH();
	{
		if (group != NULL)
			group_detach(group);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return result;
}

static VisibleGroup *
visible_group(const char *group_id, Oid owner, int32 epoch)
{
	VisibleGroup *group = palloc0(sizeof(VisibleGroup));

	group->group_id = pstrdup(group_id);
	group->owner = owner;
	group->epoch = epoch;
	return group;
}

/* Groups that have a row. */
static List *
groups_of_table(void)
{
	Relation	rel = table_of_room_open("consumer_groups", AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	List	   *result = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		no_owner;
		bool		isnull;
		char	   *id = TextDatumGetCString(heap_getattr(tuple, GROUPS_GROUP_ID, desc, &isnull));
		Datum		owner = heap_getattr(tuple, GROUPS_OWNER, desc, &no_owner);
		int32		epoch = DatumGetInt32(heap_getattr(tuple, GROUPS_EPOCH, desc, &isnull));

		CHECK_FOR_INTERRUPTS();
		if (group_may_describe(id))
			result = lappend(result, visible_group(id, no_owner ? InvalidOid : DatumGetObjectId(owner),
												   epoch));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

static VisibleGroup *
find_visible(List *groups, const char *group_id)
{
	ListCell   *cell;

	foreach(cell, groups)
	{
		VisibleGroup *group = lfirst(cell);

		if (strcmp(group->group_id, group_id) == 0)
			return group;
	}
	return NULL;
}

/* With the groups that live in memory but whose row is not committed. */
static List *
visible_groups(void)
{
	List	   *observed = observe_all();
	List	   *result = groups_of_table();
	ListCell   *cell;

	foreach(cell, observed)
	{
		ObservedGroup *copy = lfirst(cell);
		VisibleGroup *group = find_visible(result, copy->group_id);
		GroupRow	row = {InvalidOid};

		CHECK_FOR_INTERRUPTS();
		if (group == NULL && copy->nmembers > 0 && group_may_describe(copy->group_id))
		{
			if (!group_find(copy->group_id, &row))
				row.owner = copy->members[0].entry.role;
			group = visible_group(copy->group_id, row.owner, row.epoch);
			result = lappend(result, group);
		}
		if (group != NULL)
			group->observed = copy;
	}
	return result;
}

static const char *
phase_name(GroupPhase phase)
{
	switch (phase)
	{
		case GROUP_EMPTY:
			return "Empty";
		case GROUP_ASSIGNING:
			return "Assigning";
		case GROUP_RECONCILING:
			return "Reconciling";
		case GROUP_STABLE:
			return "Stable";
	}
	return NULL;
}

static Datum
role_name(Oid role, bool *isnull)
{
	char	   *name = GetUserNameFromId(role, true);

	*isnull = name == NULL;
	return name == NULL ? (Datum) 0 : DirectFunctionCall1(namein, CStringGetDatum(name));
}

/* topic.describe_groups() */
Datum
pgtopic_describe_groups(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, visible_groups())
	{
		VisibleGroup *group = lfirst(cell);
		ObservedGroup *observed = group->observed;
		bool		empty = observed == NULL || observed->nmembers == 0;
		Datum		values[DESCRIBE_GROUPS_NATTS];
		bool		nulls[DESCRIBE_GROUPS_NATTS] = {false};

		values[0] = CStringGetTextDatum(group->group_id);
		values[1] = CStringGetTextDatum(phase_name(empty ? GROUP_EMPTY : observed->phase));
		nulls[2] = empty;
		if (!empty)
			values[2] = CStringGetTextDatum(observed->assignor == ASSIGNOR_RANGE ? "range" : "uniform");
		values[3] = Int32GetDatum(observed == NULL ? group->epoch : observed->group_epoch);
		values[4] = Int32GetDatum(observed == NULL ? 0 : observed->nmembers);
		values[5] = role_name(acl_group_owner(group->owner), &nulls[5]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

/* ---------- members ---------- */

static const char *
member_state_name(const GroupMember *member)
{
	if (member->taker)
		return "Taking";
	switch (member->state)
	{
		case MEMBER_STABLE:
			return "Stable";
		case MEMBER_UNREVOKED:
			return "Unrevoked partitions";
		case MEMBER_UNRELEASED:
			return "Unreleased partitions";
		case MEMBER_AWAY:
			return "Away";
	}
	return NULL;
}

/* "schema.topic", or NULL if it is gone. */
static char *
name_of_topic(Oid relid)
{
	char	   *name = get_rel_name(relid);
	char	   *schema = name == NULL ? NULL : get_namespace_name(get_rel_namespace(relid));

	return schema == NULL ? NULL : quote_qualified_identifier(schema, name);
}

static Datum
text_array(List *strings)
{
	Datum	   *elements = palloc(Max(list_length(strings), 1) * sizeof(Datum));
	ListCell   *cell;

	foreach(cell, strings)
		elements[foreach_current_index(cell)] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(elements, list_length(strings), TEXTOID, -1,
										   false, TYPALIGN_INT));
}

static Datum
topics_of_member(const ObservedMember *member)
{
	List	   *names = NIL;

	for (int i = 0; i < member->entry.ntopics; i++)
	{
		char	   *name = name_of_topic(member->topics[i]);

		if (name != NULL)
			names = lappend(names, name);
	}
	return text_array(names);
}

static Datum
partitions_of_member(const ObservedGroup *group, const ObservedMember *member)
{
	List	   *names = NIL;

	for (int i = 0; i < group->ntopics; i++)
	{
		const ObservedTopic *topic = &group->topics[i];
		char	   *name = name_of_topic(topic->relid);

		for (int32 p = 0; name != NULL && p < topic->npartitions; p++)
			if (topic->owners[p] == member->index)
				names = lappend(names, psprintf("%s:%d", name, p));
	}
	return text_array(names);
}

/* The client's address; NULL for a local one. */
static Datum
address_datum(const GroupMember *member, bool *isnull)
{
	char		address[CLIENT_ADDR_BYTES];

	strlcpy(address, member->client_addr, sizeof(address));
	address[strcspn(address, "%")] = '\0';	/* the zone of a link-local one */
	*isnull = address[0] == '\0';
	return *isnull ? (Datum) 0 : DirectFunctionCall1(inet_in, CStringGetDatum(address));
}

static void
put_member(ReturnSetInfo *rsinfo, const ObservedGroup *group, const ObservedMember *member)
{
	const GroupMember *entry = &member->entry;
	Datum		values[DESCRIBE_MEMBERS_NATTS] = {0};
	bool		nulls[DESCRIBE_MEMBERS_NATTS] = {false};

	values[0] = CStringGetTextDatum(group->group_id);
	values[1] = CStringGetTextDatum(entry->member_id);
	nulls[2] = entry->instance_id[0] == '\0';
	if (!nulls[2])
		values[2] = CStringGetTextDatum(entry->instance_id);
	values[3] = Int32GetDatum(entry->pid);
	nulls[3] = entry->pid == 0;
	values[4] = role_name(entry->role, &nulls[4]);
	values[5] = address_datum(entry, &nulls[5]);
	values[6] = Int32GetDatum(entry->epoch);
	values[7] = Int32GetDatum(group->target_epoch);
	values[8] = CStringGetTextDatum(member_state_name(entry));
	values[9] = topics_of_member(member);
	values[10] = partitions_of_member(group, member);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* topic.describe_members() */
Datum
pgtopic_describe_members(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, observe_all())
	{
		ObservedGroup *group = lfirst(cell);

		if (group->nmembers == 0 || !group_may_describe(group->group_id))
			continue;
		for (int i = 0; i < group->nmembers; i++)
		{
			CHECK_FOR_INTERRUPTS();
			put_member(rsinfo, group, &group->members[i]);
		}
	}
	PG_RETURN_NULL();
}

/* ---------- topics ---------- */

static List *
all_topic_oids(void)
{
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(pg_class, InvalidOid, false, NULL, 0, NULL);
	List	   *result = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relkind == RELKIND_RELATION && OidIsValid(form->relam) &&
			form->relam == topic_am_oid())
			result = lappend_oid(result, form->oid);
	}
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return result;
}

static int
compare_topics(const void *a, const void *b)
{
	return memcmp(&((const VisibleTopic *) a)->uuid, &((const VisibleTopic *) b)->uuid, UUID_LEN);
}

static VisibleTopics
visible_topics(void)
{
	List	   *oids = all_topic_oids();
	VisibleTopics result = {0, palloc0(Max(list_length(oids), 1) * sizeof(VisibleTopic))};
	ListCell   *cell;

	foreach(cell, oids)
	{
		Relation	rel = try_relation_open(lfirst_oid(cell), AccessShareLock);

		CHECK_FOR_INTERRUPTS();
		if (rel == NULL)
			continue;
		if (relation_is_topic(rel) && acl_may_describe(rel))
		{
			VisibleTopic *topic = &result.topics[result.n++];

			topic->uuid = topic_settings(rel)->uuid;
			topic->relid = RelationGetRelid(rel);
			topic->name = topic_name(rel);
			topic->npartitions = topic_settings(rel)->partitions;
		}
		relation_close(rel, AccessShareLock);
	}
	qsort(result.topics, result.n, sizeof(VisibleTopic), compare_topics);
	return result;
}

static VisibleTopic *
find_topic(const VisibleTopics *topics, const pg_uuid_t *uuid)
{
	VisibleTopic key = {*uuid};

	return bsearch(&key, topics->topics, topics->n, sizeof(VisibleTopic), compare_topics);
}

/* The bounds of the topic's partitions; NULL if it has been dropped meanwhile. */
static const LaneInfo *
lanes_of(VisibleTopic *topic)
{
	Relation	rel;

	if (topic->lanes != NULL)
		return topic->lanes;
	rel = try_relation_open(topic->relid, AccessShareLock);
	if (rel == NULL)
		return NULL;
	topic->lanes = palloc0(topic->npartitions * sizeof(LaneInfo));
	for (int32 i = 0; i < topic->npartitions; i++)
	{
		CHECK_FOR_INTERRUPTS();
		log_lane_info(rel, i, &topic->lanes[i]);
	}
	relation_close(rel, AccessShareLock);
	return topic->lanes;
}

/* ---------- lag ---------- */

typedef struct LagReport
{
	ReturnSetInfo *rsinfo;
	VisibleTopics topics;
	const VisibleGroup *group;
	int			noffsets;		/* of the group, by topic and partition */
	GroupOffset *offsets;
	int			nprotections;	/* of the group */
	GroupProtection *protections;
} LagReport;

static const ObservedTopic *
observed_topic(const ObservedGroup *group, const pg_uuid_t *uuid)
{
	for (int i = 0; group != NULL && i < group->ntopics; i++)
		if (memcmp(&group->topics[i].uuid, uuid, UUID_LEN) == 0)
			return &group->topics[i];
	return NULL;
}

static const ObservedMember *
owner_of(const ObservedGroup *group, const pg_uuid_t *uuid, int32 partition)
{
	const ObservedTopic *topic = observed_topic(group, uuid);

	if (topic == NULL || partition >= topic->npartitions)
		return NULL;
	return observed_member(group, topic->owners[partition]);
}

static void
put_owner(const ObservedMember *owner, Datum *values, bool *nulls)
{
	nulls[0] = nulls[1] = nulls[2] = true;
	if (owner == NULL)
		return;
	values[0] = CStringGetTextDatum(owner->entry.member_id);
	nulls[0] = false;
	values[1] = Int32GetDatum(owner->entry.pid);
	nulls[1] = owner->entry.pid == 0;
	values[2] = address_datum(&owner->entry, &nulls[2]);
}

/* The cap up to which retention waits for the group; null if it does not. */
static Datum
protected_bytes(const LagReport *report, const pg_uuid_t *uuid, bool *isnull)
{
	for (int i = 0; i < report->nprotections; i++)
	{
		if (memcmp(&report->protections[i].topic, uuid, UUID_LEN) != 0)
			continue;
		*isnull = false;
		return Int64GetDatum(report->protections[i].max_bytes);
	}
	*isnull = true;
	return (Datum) 0;
}

/*
 * One partition; "committed" is NULL if nothing is.  What is trimmed below the
 * committed offset counts as lost: the group cannot read it any more.
 */
static void
put_lag(LagReport *report, VisibleTopic *topic, int32 partition, const SlotValue *committed)
{
	const LaneInfo *lanes = lanes_of(topic);
	Datum		values[DESCRIBE_LAG_NATTS] = {0};
	bool		nulls[DESCRIBE_LAG_NATTS] = {false};
	int64		lost = 0;

	if (lanes == NULL || partition >= topic->npartitions)
		return;
	if (committed != NULL)
		lost = committed->lost + Max(lanes[partition].log_start - committed->log_offset, 0);

	values[0] = CStringGetTextDatum(report->group->group_id);
	values[1] = CStringGetTextDatum(topic->name);
	values[2] = Int32GetDatum(partition);
	nulls[3] = nulls[5] = committed == NULL;
	values[4] = Int64GetDatum(lanes[partition].log_end);
	if (committed != NULL)
	{
		values[3] = Int64GetDatum(committed->log_offset);
		values[5] = Int64GetDatum(Max(lanes[partition].log_end - committed->log_offset, 0));
	}
	values[6] = Int64GetDatum(lost);
	put_owner(owner_of(report->group->observed, &topic->uuid, partition), &values[7], &nulls[7]);
	values[10] = protected_bytes(report, &topic->uuid, &nulls[10]);
	tuplestore_putvalues(report->rsinfo->setResult, report->rsinfo->setDesc, values, nulls);
}

static int
compare_offsets(const void *a, const void *b)
{
	const GroupOffset *x = a;
	const GroupOffset *y = b;
	int			result = memcmp(&x->topic, &y->topic, UUID_LEN);

	return result != 0 ? result : (x->partition > y->partition) - (x->partition < y->partition);
}

static bool
has_committed(const LagReport *report, const pg_uuid_t *topic, int32 partition)
{
	GroupOffset key = {*topic, partition};
	GroupOffset *found = bsearch(&key, report->offsets, report->noffsets,
								 sizeof(GroupOffset), compare_offsets);

	return found != NULL && found->committed.state.found;
}

/* The partitions of a topic in which the group has committed nothing. */
static void
put_uncommitted(LagReport *report, const pg_uuid_t *uuid)
{
	VisibleTopic *topic = find_topic(&report->topics, uuid);

	CHECK_FOR_INTERRUPTS();
	for (int32 p = 0; topic != NULL && p < topic->npartitions; p++)
		if (!has_committed(report, &topic->uuid, p))
			put_lag(report, topic, p, NULL);
}

static void
put_group(LagReport *report)
{
	const ObservedGroup *observed = report->group->observed;

	report->noffsets = offsets_of_group(report->group->group_id, &report->offsets);
	report->nprotections = protections_of_group(report->group->group_id, &report->protections);
	for (int i = 0; i < report->noffsets; i++)
	{
		GroupOffset *offset = &report->offsets[i];
		VisibleTopic *topic = find_topic(&report->topics, &offset->topic);

		CHECK_FOR_INTERRUPTS();
		if (topic != NULL && offset->committed.state.found)
			put_lag(report, topic, offset->partition, &offset->committed.state.value);
	}
	for (int i = 0; observed != NULL && i < observed->ntopics; i++)
		put_uncommitted(report, &observed->topics[i].uuid);
	for (int i = 0; i < report->nprotections; i++)
		if (observed_topic(observed, &report->protections[i].topic) == NULL)
			put_uncommitted(report, &report->protections[i].topic);
	pfree(report->offsets);
	pfree(report->protections);
}

/* topic.describe_lag() */
Datum
pgtopic_describe_lag(PG_FUNCTION_ARGS)
{
	LagReport	report = {(ReturnSetInfo *) fcinfo->resultinfo};
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	report.topics = visible_topics();
	foreach(cell, visible_groups())
	{
		report.group = lfirst(cell);
		put_group(&report);
	}
	PG_RETURN_NULL();
}

/* topic.committed(group_id) */
Datum
pgtopic_committed(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *group_id = text_to_cstring(PG_GETARG_TEXT_PP(0));
	VisibleTopics topics;
	GroupOffset *offsets;
	int			noffsets;

	/* Those who watch over the server may see what the views show. */
	if (!group_may_describe(group_id))
		(void) group_check(group_id, GROUP_DESCRIBE, false);
	InitMaterializedSRF(fcinfo, 0);
	topics = visible_topics();
	noffsets = offsets_of_group(group_id, &offsets);
	for (int i = 0; i < noffsets; i++)
	{
		VisibleTopic *topic = find_topic(&topics, &offsets[i].topic);
		Datum		values[COMMITTED_NATTS] = {0};
		bool		nulls[COMMITTED_NATTS] = {false};

		if (topic == NULL || !offsets[i].committed.state.found)
			continue;
		values[0] = CStringGetTextDatum(topic->name);
		values[1] = Int32GetDatum(offsets[i].partition);
		values[2] = Int64GetDatum(offsets[i].committed.state.value.log_offset);
		nulls[3] = offsets[i].metadata == NULL;
		if (!nulls[3])
			values[3] = CStringGetTextDatum(offsets[i].metadata);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}
