/*-------------------------------------------------------------------------
 *
 * coordinator.h
 *	  What the coordinator's files share.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_COORDINATOR_H
#define PGTOPIC_GROUP_COORDINATOR_H

#include "group/members.h"

/*
 * coordinator_transaction: calls action(arg) in a transaction of its own.  An
 * error goes to the server log, and no further: one group's trouble is not that
 * of the others.  False then.  What is to last beyond the transaction, the action
 * allocates elsewhere.
 */
extern bool coordinator_transaction(void (*action) (void *arg), void *arg);

/*
 * metadata_refresh: tells a group what has become of its topics and patterns.
 * False if a topic could not be locked at once: then it is to be asked again.
 */
extern bool metadata_refresh(ConsumerGroup *group);

/*
 * idle_refresh: sets and resets idle_since of members that have not called
 * consume for a while, according to whether messages wait for them.
 */
extern void idle_refresh(ConsumerGroup *group);

#endif							/* PGTOPIC_GROUP_COORDINATOR_H */
