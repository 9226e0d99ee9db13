/*-------------------------------------------------------------------------
 *
 * headers.h
 *	  Headers of messages from their SQL forms.
 *
 * What the headers point to is in the current memory context or in the
 * argument itself.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_PRODUCER_HEADERS_H
#define PGTOPIC_PRODUCER_HEADERS_H

#include "log/record.h"
#include "postgres_ext.h"
#include "utils/array.h"
#include "utils/jsonb.h"

/*
 * headers_from_jsonb: {"key":"value", ...} or [["key","value"], ...], where a
 * value may be null.  Returns their number.  22023 for anything else.
 */
extern int	headers_from_jsonb(Jsonb *jsonb, RecordHeader **headers);

/* headers_from_array: topic.header[].  22004 for a header without a key. */
extern int	headers_from_array(ArrayType *array, RecordHeader **headers);

/* The bytes of a text (in the encoding of the database) or a bytea. */
extern RecordBytes datum_bytes(Datum datum);

#endif							/* PGTOPIC_PRODUCER_HEADERS_H */
