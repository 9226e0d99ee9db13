/*-------------------------------------------------------------------------
 *
 * consumer.h
 *	  The door of the consumer room: fetch, tail, list_offsets and waiting.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_CONSUMER_H
#define PGTOPIC_CONSUMER_H

extern void consumer_init(void);

#endif							/* PGTOPIC_CONSUMER_H */
