/*-------------------------------------------------------------------------
 *
 * subscribe.c
 *	  topic.subscribe, unsubscribe and assignment.
 *
 * Subscribing acts at once, in shared memory, and is not undone by ROLLBACK.
 * The coordinator decides who gets what; we wait a moment for that, so that the
 * next call of consume finds messages.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/relation.h"
#include "acl/acl.h"
#include "catalog/pg_type.h"
#include "errors.h"
#include "fmgr.h"
#include "funcapi.h"
#include "group/pattern.h"
#include "group/session.h"
#include "miscadmin.h"
#include "notify/notify.h"
#include "topic/topic.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(pgtopic_subscribe);
PG_FUNCTION_INFO_V1(pgtopic_unsubscribe);
PG_FUNCTION_INFO_V1(pgtopic_assignment);

/* How long subscribe waits for the coordinator. */
#define DECISION_TIMEOUT_MS	1000

/* Longer intervals are as good as this one, and cannot overflow. */
#define LONGEST_INTERVAL_MS	(INT64CONST(1000) * 365 * 24 * 3600 * 1000)

/* Arguments of topic.subscribe(). */
typedef enum SubscribeArgument
{
	ARG_GROUP_ID,
	ARG_TOPICS,
	ARG_PATTERN,
	ARG_ASSIGNOR,
	ARG_INSTANCE_ID,
	ARG_AUTO_OFFSET_RESET,
	ARG_MAX_POLL_INTERVAL,
	ARG_SESSION_TIMEOUT
} SubscribeArgument;

/* Columns of topic.assignment(). */
typedef enum AssignmentColumn
{
	ASSIGNMENT_COL_TOPIC = 1,
	ASSIGNMENT_COL_PARTITION,
	ASSIGNMENT_COL_NEXT_POSITION,
	ASSIGNMENT_COL_COMMITTED,
	ASSIGNMENT_COL_PAUSED
} AssignmentColumn;

#define ASSIGNMENT_NATTS	5

/* A word that an argument may be, and what it means. */
typedef struct Word
{
	const char *name;
	int			value;
} Word;

/*
 * From libpq/libpq.h, which wants the headers of GSSAPI and OpenSSL where
 * PostgreSQL was built with them.  They do nothing for Unix sockets.
 */
struct Port;
extern int	pq_getkeepalivesidle(struct Port *port);
extern int	pq_getkeepalivesinterval(struct Port *port);
extern int	pq_getkeepalivescount(struct Port *port);
extern int	pq_gettcpusertimeout(struct Port *port);
extern int	pq_setkeepalivesidle(int idle, struct Port *port);
extern int	pq_setkeepalivesinterval(int interval, struct Port *port);
extern int	pq_setkeepalivescount(int count, struct Port *port);
extern int	pq_settcpusertimeout(int timeout, struct Port *port);

/* ---------- arguments ---------- */

static void
check_not_null(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

static char *
text_argument(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/* A text that is stored in so many bytes at most, and not empty; or NULL. */
static char *
limited_argument(FunctionCallInfo fcinfo, int argument, const char *name, int max_bytes)
{
	char	   *value = text_argument(fcinfo, argument);

	if (value != NULL && value[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", name)));
	if (value != NULL && strlen(value) > max_bytes)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is too long", name),
				 errdetail("It must not have more than %d bytes.", max_bytes)));
	return value;
}

/* What the word means; the list ends with NULL. */
static int
word_argument(FunctionCallInfo fcinfo, int argument, const char *name, const Word *words,
			  const char *hint)
{
	char	   *value;

	check_not_null(fcinfo, argument, name);
	value = text_argument(fcinfo, argument);
	for (; words->name != NULL; words++)
		if (pg_strcasecmp(value, words->name) == 0)
			return words->value;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for %s: \"%s\"", name, value),
			 errhint("%s", hint)));
}

/* In ms; a month has 30 days. */
static int64
interval_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	Interval   *interval;
	double		ms;

	check_not_null(fcinfo, argument, name);
	interval = PG_GETARG_INTERVAL_P(argument);
	ms = (double) interval->time / 1000.0 +
		((double) interval->day + (double) interval->month * DAYS_PER_MONTH) *
		(SECS_PER_DAY * 1000.0);
	if (ms <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be positive", name)));
	return ms > (double) LONGEST_INTERVAL_MS ? LONGEST_INTERVAL_MS : (int64) ceil(ms);
}

/* ---------- topics ---------- */

static int
compare_topics(const void *a, const void *b)
{
	Oid			x = ((const SubscribedTopic *) a)->relid;
	Oid			y = ((const SubscribedTopic *) b)->relid;

	return x < y ? -1 : (x > y);
}

/* The lock goes: what becomes of the topic now, the coordinator watches. */
static void
describe_topic(Relation topic, SubscribedTopic *result)
{
	result->relid = RelationGetRelid(topic);
	result->uuid = topic_settings(topic)->uuid;
	result->npartitions = topic_settings(topic)->partitions;
	relation_close(topic, AccessShareLock);
}

/* Sorted, and each once, so that they can be compared. */
static void
set_topics(Subscription *subscription, SubscribedTopic *topics, int ntopics)
{
	int			n = 0;

	qsort(topics, ntopics, sizeof(SubscribedTopic), compare_topics);
	for (int i = 0; i < ntopics; i++)
		if (n == 0 || topics[n - 1].relid != topics[i].relid)
			topics[n++] = topics[i];
	subscription->topics = topics;
	subscription->ntopics = n;
}

static void
resolve_names(Subscription *subscription, ArrayType *array)
{
	SubscribedTopic *topics;
	Datum	   *names;
	bool	   *isnull;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, &isnull, &n);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topics must not be empty"),
				 errhint("Name the topics to consume, as in ARRAY['orders']; topic.unsubscribe() leaves the group.")));

	topics = palloc(n * sizeof(SubscribedTopic));
	for (int i = 0; i < n; i++)
	{
		Relation	topic;

		CHECK_FOR_INTERRUPTS();
		if (isnull[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("topic name must not be null")));
		topic = topic_open(TextDatumGetCString(names[i]), AccessShareLock);
		acl_check_fetch(topic);
		describe_topic(topic, &topics[i]);
	}
	set_topics(subscription, topics, n);
}

/* What matches now; the coordinator adds what comes. */
static void
resolve_pattern(Subscription *subscription)
{
	List	   *relids = pattern_topics(subscription->pattern, GetUserId());
	SubscribedTopic *topics = palloc(Max(list_length(relids), 1) * sizeof(SubscribedTopic));
	ListCell   *cell;
	int			n = 0;

	foreach(cell, relids)
	{
		Relation	topic = try_relation_open(lfirst_oid(cell), AccessShareLock);

		CHECK_FOR_INTERRUPTS();
		if (topic == NULL)
			continue;
		if (relation_is_topic(topic))
			describe_topic(topic, &topics[n++]);
		else
			relation_close(topic, AccessShareLock);
	}
	set_topics(subscription, topics, n);
}

static void
check_topics_or_pattern(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(ARG_TOPICS) == PG_ARGISNULL(ARG_PATTERN))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("exactly one of topics and pattern must be given"),
				 errhint("Name topics, as in ARRAY['orders'], or give a regular expression that their names match.")));
}

/* All that is not a topic. */
static void
read_arguments(FunctionCallInfo fcinfo, Subscription *subscription, OffsetReset *reset)
{
	static const Word assignors[] = {
		{"uniform", ASSIGNOR_UNIFORM}, {"range", ASSIGNOR_RANGE}, {NULL, 0}
	};
	static const Word resets[] = {
		{"earliest", RESET_EARLIEST}, {"latest", RESET_LATEST}, {"none", RESET_NONE}, {NULL, 0}
	};

	check_not_null(fcinfo, ARG_GROUP_ID, "group_id");
	check_topics_or_pattern(fcinfo);
	subscription->pattern = limited_argument(fcinfo, ARG_PATTERN, "pattern", PATTERN_MAX_BYTES);
	subscription->assignor = word_argument(fcinfo, ARG_ASSIGNOR, "assignor", assignors,
										   "An assignor is uniform or range.");
	subscription->instance_id = limited_argument(fcinfo, ARG_INSTANCE_ID, "instance_id",
												 INSTANCE_ID_MAX_BYTES);
	*reset = word_argument(fcinfo, ARG_AUTO_OFFSET_RESET, "auto_offset_reset", resets,
						   "It is earliest, latest or none.");
	subscription->from_latest = (*reset == RESET_LATEST);
	subscription->max_poll_interval = interval_argument(fcinfo, ARG_MAX_POLL_INTERVAL,
														"max_poll_interval");
	subscription->session_timeout = interval_argument(fcinfo, ARG_SESSION_TIMEOUT,
													  "session_timeout");
}

/* ---------- the client's connection ---------- */

/* Not longer than it is; 0 or less: the system has no such setting. */
static void
shorten(int (*get) (struct Port *), int (*set) (int, struct Port *), int value)
{
	int			present = get(MyProcPort);

	if (present > value)
		(void) set(value, MyProcPort);
}

/*
 * Probes so that a peer that is silently gone is noticed within the session
 * timeout: a third of it idle, the rest for probes.  Data that it does not
 * acknowledge may be as old as that.  What the user has set shorter stays.
 */
static void
watch_peer(int64 session_timeout)
{
	int			seconds = (int) Min(Max(session_timeout / 1000, 1), INT_MAX / 1000);
	int			idle = Max(seconds / 3, 1);
	int			count = Max(Min(3, seconds - idle), 1);
	int			interval = Max((seconds - idle) / count, 1);
	int			present;

	if (MyProcPort == NULL)
		return;
	shorten(pq_getkeepalivesidle, pq_setkeepalivesidle, idle);
	shorten(pq_getkeepalivesinterval, pq_setkeepalivesinterval, interval);
	shorten(pq_getkeepalivescount, pq_setkeepalivescount, count);

	/* here, 0 is for ever, or for as long as the system thinks */
	present = pq_gettcpusertimeout(MyProcPort);
	if (present == 0 || present > seconds * 1000)
		(void) pq_settcpusertimeout(seconds * 1000, MyProcPort);
}

/* ---------- subscribing ---------- */

static bool
same_text(const char *stored, const char *given)
{
	return strcmp(stored, given == NULL ? "" : given) == 0;
}

/*
 * Whether the member has subscribed with the very same arguments.  What a
 * pattern matches is the coordinator's business after the first time.
 */
static bool
same_subscription(GroupMember *member, const Subscription *subscription)
{
	const Oid  *topics = member_topics(member);

	if (member->assignor != subscription->assignor ||
		member->from_latest != subscription->from_latest ||
		member->max_poll_interval != subscription->max_poll_interval ||
		member->session_timeout != subscription->session_timeout ||
		!same_text(member->pattern, subscription->pattern) ||
		!same_text(member->instance_id, subscription->instance_id))
		return false;
	if (subscription->pattern != NULL)
		return true;
	if (member->ntopics != subscription->ntopics)
		return false;
	for (int i = 0; i < member->ntopics; i++)
		if (topics[i] != subscription->topics[i].relid)
			return false;
	return true;
}

static bool
is_unchanged(const Membership *membership, const Subscription *subscription)
{
	ConsumerGroup *group = membership->member.group;
	GroupMember *member;
	bool		result;

	group_lock(group, LW_SHARED);
	member = member_at(group, membership->member.index);
	result = member->incarnation == membership->member.incarnation &&
		same_subscription(member, subscription);
	group_unlock(group);
	return result;
}

/*
 * Under the same member id, unless the member was removed meanwhile.  What
 * became of the topics since we looked at them, the coordinator has not seen
 * for this group: it is to look again.
 */
static Membership *
join_or_resubscribe(const char *group_id, int32 epoch, const Subscription *subscription,
					OffsetReset reset)
{
	Membership *membership = membership_find(group_id);

	if (membership == NULL || membership->taker)
		membership = membership_join(group_id, epoch, subscription, reset);
	else if (is_unchanged(membership, subscription))
	{
		membership->reset = reset;
		return membership;
	}
	else if (member_resubscribe(&membership->member, subscription))
		membership->reset = reset;
	else
	{
		membership_leave(membership);
		membership = membership_join(group_id, epoch, subscription, reset);
	}
	coordinator_wake(NULL);
	return membership;
}

/* Whether the coordinator has seen what we want, or us no more. */
static bool
is_decided(const Membership *membership)
{
	MemberStatus status;

	return !member_status(&membership->member, false, &status) ||
		(!status.joined && !status.changed);
}

/*
 * The coordinator wakes us with its decision.  If there is none for so long, it
 * comes later, and consume waits for it.
 */
static void
wait_for_decision(const Membership *membership)
{
	TimestampTz deadline;
	long		left;

	if (is_decided(membership))
		return;
	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), DECISION_TIMEOUT_MS);
	notify_wait_begin_keys(NULL, 0);
	while (!is_decided(membership) &&
		   (left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline)) > 0)
		(void) notify_wait(left);
	notify_wait_end();
}

/*
 * topic.subscribe(group_id, topics, pattern, assignor, instance_id,
 * auto_offset_reset, max_poll_interval, session_timeout)
 */
Datum
pgtopic_subscribe(PG_FUNCTION_ARGS)
{
	Subscription subscription = {0};
	OffsetReset reset;
	Membership *membership;
	char	   *group_id;
	int32		epoch;

	session_check_enabled();
	read_arguments(fcinfo, &subscription, &reset);
	PreventCommandDuringRecovery("topic.subscribe()");
	members_check_preloaded();
	group_id = text_argument(fcinfo, ARG_GROUP_ID);
	group_check_id(group_id);
	if (subscription.pattern != NULL)
		resolve_pattern(&subscription);
	else
		resolve_names(&subscription, PG_GETARG_ARRAYTYPE_P(ARG_TOPICS));

	epoch = group_check(group_id, GROUP_READ, true);
	membership = join_or_resubscribe(group_id, epoch, &subscription, reset);
	watch_peer(subscription.session_timeout);
	wait_for_decision(membership);
	membership_sync(membership, false);
	PG_RETURN_TEXT_P(cstring_to_text(membership->member.member_id));
}

/* ---------- unsubscribing ---------- */

/* A member of this session; what topic.take() has made ends by itself. */
static Membership *
subscribed(FunctionCallInfo fcinfo)
{
	char	   *group_id;
	Membership *membership;

	check_not_null(fcinfo, 0, "group_id");
	group_id = text_argument(fcinfo, 0);
	membership = membership_get(group_id);
	if (membership->taker)
		ereport(ERROR,
				(errcode(ERRCODE_UNKNOWN_MEMBER_ID),
				 errmsg("this session has not subscribed to group \"%s\"", group_id),
				 errhint("What topic.take() has claimed is given back when the transaction ends.")));
	return membership;
}

/* topic.unsubscribe(group_id): nobody is kept in a group. */
Datum
pgtopic_unsubscribe(PG_FUNCTION_ARGS)
{
	membership_leave(subscribed(fcinfo));
	PG_RETURN_VOID();
}

/* ---------- topic.assignment ---------- */

/* The name of a topic, or NULL if it is gone. */
static char *
name_of_topic(Oid relid)
{
	Relation	topic = try_relation_open(relid, AccessShareLock);
	char	   *name;

	if (topic == NULL)
		return NULL;
	name = topic_name(topic);
	relation_close(topic, AccessShareLock);
	return name;
}

static void
put_offset(Datum *values, bool *isnull, AssignmentColumn column, int64 offset)
{
	values[column - 1] = Int64GetDatum(offset);
	isnull[column - 1] = offset == POSITION_UNKNOWN;
}

/* topic.assignment(group_id): the partitions of a topic stand side by side. */
Datum
pgtopic_assignment(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Membership *membership = subscribed(fcinfo);
	Oid			relid = InvalidOid;
	char	   *topic = NULL;

	(void) group_check(membership->group_id, GROUP_READ, false);
	membership_sync(membership, false);
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < membership->npartitions; i++)
	{
		const SessionPartition *partition = membership->partitions[i];
		Datum		values[ASSIGNMENT_NATTS];
		bool		isnull[ASSIGNMENT_NATTS] = {false};

		CHECK_FOR_INTERRUPTS();
		if (partition->owned.relid != relid)
		{
			relid = partition->owned.relid;
			topic = name_of_topic(relid);
		}
		if (topic == NULL)
			continue;

		values[ASSIGNMENT_COL_TOPIC - 1] = CStringGetTextDatum(topic);
		values[ASSIGNMENT_COL_PARTITION - 1] = Int32GetDatum(partition->owned.partition);
		put_offset(values, isnull, ASSIGNMENT_COL_NEXT_POSITION, partition->position);
		put_offset(values, isnull, ASSIGNMENT_COL_COMMITTED, partition->committed);
		values[ASSIGNMENT_COL_PAUSED - 1] = BoolGetDatum(partition->owned.paused);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	return (Datum) 0;
}
