/*-------------------------------------------------------------------------
 *
 * group.c
 *	  Start-up of the group room.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "group/catalog.h"
#include "group/group.h"
#include "group/members.h"
#include "group/notifier.h"
#include "group/protection.h"
#include "group/reading.h"
#include "group/session.h"
#include "group/transaction.h"
#include "topic/topic.h"

/* Topics or what roles may do with them have changed. */
static void
topics_changed(void)
{
	coordinator_wake(NULL);
}

static topic_dropped_hook_type next_topic_dropped;

static void
topic_dropped(const pg_uuid_t *uuid)
{
	if (next_topic_dropped != NULL)
		next_topic_dropped(uuid);
	group_topic_dropped(uuid);
	protections_topic_dropped(uuid);
}

void
group_init(void)
{
	members_init();
	catalog_init();
	session_init();
	transaction_init();
	consume_init();
	take_init();
	notifier_init();
	protection_init();
	topic_changed_hook = topics_changed;
	next_topic_dropped = topic_dropped_hook;
	topic_dropped_hook = topic_dropped;
}
