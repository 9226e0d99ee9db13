/*-------------------------------------------------------------------------
 *
 * insert.h
 *	  INSERT and COPY into a topic.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_INSERT_H
#define PGTOPIC_PRODUCER_INSERT_H

#include "log/log.h"

/* The log room's log_insert_handler. */
extern void insert_rows(Relation rel, TupleTableSlot **slots, int nslots,
						CommandId cid);

#endif							/* PGTOPIC_PRODUCER_INSERT_H */
