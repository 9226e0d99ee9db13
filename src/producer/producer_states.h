/*-------------------------------------------------------------------------
 *
 * producer_states.h
 *	  What is stored of an idempotent producer: per topic and partition, its
 *	  epoch and its last sequence.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_PRODUCER_STATES_H
#define PGTOPIC_PRODUCER_PRODUCER_STATES_H

#include "utils/uuid.h"

#define PRODUCER_ID_MAX_BYTES	255

/* No padding: it is a key of hash tables. */
typedef struct ProducerKey
{
	pg_uuid_t	topic;
	int32		partition;
	char		producer_id[PRODUCER_ID_MAX_BYTES + 1]; /* filled up with zeros */
} ProducerKey;

typedef struct ProducerState
{
	bool		known;			/* else there is none */
	int32		epoch;
	int64		sequence;		/* the last one */
	int64		used;			/* when it was written, seconds since 1970 */
} ProducerState;

/* Where it is stored. */
typedef struct ProducerPlace
{
	int64		slot;			/* 0: nowhere yet */
	int64		key;
} ProducerPlace;

typedef struct ProducerWrite
{
	const ProducerKey *producer;
	ProducerPlace place;
	ProducerState state;
} ProducerWrite;

/*
 * producer_state_lock: until the end of the transaction (or the rollback of
 * the savepoint) nobody else changes this state.  Waits for a transaction that
 * has it, prepared ones too; deadlocks are found.
 */
extern void producer_state_lock(const ProducerKey *producer);

/* The state as of now, whatever the snapshot; the caller has locked it. */
extern void producer_state_read(const ProducerKey *producer, ProducerPlace *place,
								ProducerState *state);

/*
 * Stores locked states, in any order, with the caller's transaction id.  For
 * PRE_COMMIT: an error must end the transaction.
 */
extern void producer_states_write(ProducerWrite *writes, int nwrites);

/* The hook of the topic room: its states go with a topic. */
extern void producer_states_topic_dropped(const pg_uuid_t *topic);

/* Settings. */
extern void producer_states_init(void);

#endif							/* PGTOPIC_PRODUCER_PRODUCER_STATES_H */
