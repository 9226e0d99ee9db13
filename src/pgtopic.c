/*-------------------------------------------------------------------------
 *
 * pgtopic.c
 *	  _PG_init: hands over to each room.  No logic.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "consumer/consumer.h"
#include "fmgr.h"
#include "group/group.h"
#include "log/log.h"
#include "notify/notify.h"
#include "producer/producer.h"
#include "stats/stats.h"
#include "topic/topic.h"
#include "utils/guc.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	log_init();
	topic_init();
	producer_init();
	consumer_init();
	notify_init();
	stats_init();
	group_init();
	worker_init();

	MarkGUCPrefixReserved("pgtopic");
}
