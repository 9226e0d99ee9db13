/*-------------------------------------------------------------------------
 *
 * producer.c
 *	  Start-up of the producer room.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "producer/insert.h"
#include "producer/pending.h"
#include "producer/producer.h"
#include "topic/topic.h"

void
producer_init(void)
{
	pending_init();
	log_insert_handler = insert_rows;
	topic_flush_hook = producer_flush;
	topic_pending_hook = producer_has_pending;
}
