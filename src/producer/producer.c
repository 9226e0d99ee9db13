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

#include "producer/idempotence.h"
#include "producer/insert.h"
#include "producer/pending.h"
#include "producer/produced.h"
#include "producer/producer.h"
#include "producer/producer_states.h"
#include "topic/topic.h"

void
producer_init(void)
{
	pending_init();
	produced_init();
	producer_states_init();
	idempotence_init();
	log_insert_handler = insert_rows;
	topic_flush_hook = producer_flush;
	topic_pending_hook = producer_has_pending;
	topic_dropped_hook = producer_states_topic_dropped;
}
