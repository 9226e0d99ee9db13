/*-------------------------------------------------------------------------
 *
 * listen.c
 *	  topic.listen, unlisten, channel and group_channel.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "group/catalog.h"
#include "group/members.h"
#include "group/session.h"
#include "notify/notify.h"
#include "topic/topic.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(pgtopic_listen);
PG_FUNCTION_INFO_V1(pgtopic_unlisten);
PG_FUNCTION_INFO_V1(pgtopic_channel);
PG_FUNCTION_INFO_V1(pgtopic_group_channel);

/* The channel of the group that the first argument names. */
static void
channel_of_group(FunctionCallInfo fcinfo, char *channel)
{
	char	   *group_id = text_to_cstring(PG_GETARG_TEXT_PP(0));

	group_check_id(group_id);
	notify_channel(NOTIFY_GROUP_PREFIX, group_id, channel);
}

static void
refuse_null(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "group_id")));
}

Datum
pgtopic_listen(PG_FUNCTION_ARGS)
{
	char		channel[NAMEDATALEN];

	refuse_null(fcinfo);
	members_check_preloaded();
	session_check_enabled();
	channel_of_group(fcinfo, channel);
	(void) group_check(text_to_cstring(PG_GETARG_TEXT_PP(0)), GROUP_READ, false);
	notify_listen(channel);
	PG_RETURN_VOID();
}

Datum
pgtopic_unlisten(PG_FUNCTION_ARGS)
{
	char		channel[NAMEDATALEN];

	refuse_null(fcinfo);
	channel_of_group(fcinfo, channel);
	notify_unlisten(channel);
	PG_RETURN_VOID();
}

Datum
pgtopic_channel(PG_FUNCTION_ARGS)
{
	Relation	rel = topic_open(text_to_cstring(PG_GETARG_TEXT_PP(0)), AccessShareLock);
	char		channel[NAMEDATALEN];

	notify_channel(NOTIFY_TOPIC_PREFIX, topic_name(rel), channel);
	topic_close(rel);
	PG_RETURN_TEXT_P(cstring_to_text(channel));
}

Datum
pgtopic_group_channel(PG_FUNCTION_ARGS)
{
	char		channel[NAMEDATALEN];

	channel_of_group(fcinfo, channel);
	PG_RETURN_TEXT_P(cstring_to_text(channel));
}
