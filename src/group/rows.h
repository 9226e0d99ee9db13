/*-------------------------------------------------------------------------
 *
 * rows.h
 *	  Rows of topic.message, kept until they are handed on.  Inside the group
 *	  room only.
 *
 * A tuplestore makes a tuple of every row, and takes it apart again.  These rows
 * stay as they are, up to work_mem; only what exceeds that goes to a tuplestore.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_ROWS_H
#define PGTOPIC_GROUP_ROWS_H

#include "consumer/consumer.h"

typedef struct MessageRows MessageRows;

/* In the current memory context, with which they go. */
extern MessageRows *rows_create(MessageFormat format);

/* Copies a row; not after the first rows_next(). */
extern void rows_put(MessageRows *rows, const Datum *values, const bool *isnull);

/* As a MessageSource wants them; rows_close() closes files. */
extern bool rows_next(void *rows, Datum *values, bool *isnull);
extern void rows_restart(void *rows);
extern void rows_close(void *rows);

#endif							/* PGTOPIC_GROUP_ROWS_H */
