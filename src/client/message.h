/*-------------------------------------------------------------------------
 *
 * message.h
 *	  A message as it comes from the server, in PostgreSQL's binary formats.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_CLIENT_MESSAGE_H
#define PGTOPIC_CLIENT_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/buffer.h"

/* len < 0 is NULL */
typedef struct Bytes
{
	const char *data;
	int			len;
} Bytes;

typedef struct Message
{
	Bytes		topic;
	int			partition;
	int64_t		offset;
	int64_t		timestamp;		/* ms since 1970, as Kafka has it */
	Bytes		key;
	Bytes		value;
	Bytes		headers;		/* topic.header[], binary */
} Message;

/* Columns that need not be read if nobody prints them. */
#define COLUMN_TIMESTAMP	(1 << 0)
#define COLUMN_KEY			(1 << 1)
#define COLUMN_VALUE		(1 << 2)
#define COLUMN_HEADERS		(1 << 3)

typedef struct HeaderCursor
{
	const char *at;
	const char *end;
	int			left;
} HeaderCursor;

static const Bytes null_bytes = {NULL, -1};

extern void message_select_list(unsigned columns, Buffer *sql);
extern void message_from_fields(Message *message, unsigned columns, const Bytes *fields);
extern bool message_from_copy(Message *message, unsigned columns, const char *row, int len);
extern void headers_begin(HeaderCursor *cursor, Bytes headers);
extern bool headers_next(HeaderCursor *cursor, Bytes *key, Bytes *value);

#endif							/* PGTOPIC_CLIENT_MESSAGE_H */
