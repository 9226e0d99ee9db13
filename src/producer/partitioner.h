/*-------------------------------------------------------------------------
 *
 * partitioner.h
 *	  Which partition a key belongs to.  Pure.
 *
 * Exactly Kafka's rule, so that a key lands in the same partition whether a
 * Kafka client or SQL produced it.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_PARTITIONER_H
#define PGTOPIC_PRODUCER_PARTITIONER_H

#include "c.h"

/* Kafka's 32-bit murmur2 of a byte string. */
extern uint32 murmur2(const char *data, size_t length);

/* The partition of a key among n > 0. */
extern int32 partition_for_key(const char *key, size_t length, int32 n);

#endif							/* PGTOPIC_PRODUCER_PARTITIONER_H */
