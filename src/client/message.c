/*-------------------------------------------------------------------------
 *
 * message.c
 *	  PostgreSQL's binary formats of messages.  Pure: no connection here.
 *
 * A message is read as offset, then those of timestamp, key, value and headers
 * that are wanted: leaving out a column saves the server and the wire more
 * than anything else does.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "client/message.h"

/* PostgreSQL counts from 2000-01-01, in microseconds. */
#define EPOCH_DIFFERENCE_MS INT64_C(946684800000)

/* COPY's row: the number of fields, then length and bytes of each. */
#define MAX_FIELDS 5

static uint16_t
get_int16(const char *p)
{
	const unsigned char *b = (const unsigned char *) p;

	return (uint16_t) (b[0] << 8 | b[1]);
}

static uint32_t
get_int32(const char *p)
{
	const unsigned char *b = (const unsigned char *) p;

	return (uint32_t) b[0] << 24 | (uint32_t) b[1] << 16 | (uint32_t) b[2] << 8 | b[3];
}

static int64_t
get_int64(const char *p)
{
	return (int64_t) ((uint64_t) get_int32(p) << 32 | get_int32(p + 4));
}

/* What to SELECT, in the order in which message_from_fields() expects it. */
void
message_select_list(unsigned columns, Buffer *sql)
{
	buffer_add_string(sql, "log_offset");
	if (columns & COLUMN_TIMESTAMP)
		buffer_add_string(sql, ", \"timestamp\"");
	if (columns & COLUMN_KEY)
		buffer_add_string(sql, ", key");
	if (columns & COLUMN_VALUE)
		buffer_add_string(sql, ", value");
	if (columns & COLUMN_HEADERS)
		buffer_add_string(sql, ", headers");
}

/* Topic and partition are not among the fields: the caller knows them. */
void
message_from_fields(Message *message, unsigned columns, const Bytes *fields)
{
	message->offset = fields->len == 8 ? get_int64(fields->data) : -1;
	fields++;
	message->timestamp = -1;
	message->key = message->value = message->headers = null_bytes;
	if (columns & COLUMN_TIMESTAMP)
	{
		if (fields->len == 8)
		{
			int64_t		us = get_int64(fields->data);

			/* rounded down also before 2000 */
			message->timestamp = us / 1000 - (us % 1000 < 0) + EPOCH_DIFFERENCE_MS;
		}
		fields++;
	}
	if (columns & COLUMN_KEY)
		message->key = *fields++;
	if (columns & COLUMN_VALUE)
		message->value = *fields++;
	if (columns & COLUMN_HEADERS)
		message->headers = *fields;
}

/* False if this is no row of such columns, as COPY's trailer is not. */
bool
message_from_copy(Message *message, unsigned columns, const char *row, int len)
{
	const char *end = row + len;
	Bytes		fields[MAX_FIELDS];
	int			nfields;

	if (len < 2 || (nfields = get_int16(row)) != 1 + __builtin_popcount(columns))
		return false;
	row += 2;
	for (int i = 0; i < nfields; i++)
	{
		int			field_len;

		if (end - row < 4)
			return false;
		field_len = (int) get_int32(row);
		row += 4;
		if (field_len > end - row)
			return false;
		fields[i].data = row;
		fields[i].len = field_len;
		if (field_len > 0)
			row += field_len;
	}
	message_from_fields(message, columns, fields);
	return true;
}

/*
 * An array's binary form: dimensions, whether there are NULLs, element type,
 * then size and lower bound of each dimension, then the elements.
 */
void
headers_begin(HeaderCursor *cursor, Bytes headers)
{
	cursor->left = 0;
	if (headers.len < 20 || get_int32(headers.data) != 1)
		return;
	cursor->left = (int) get_int32(headers.data + 12);
	cursor->at = headers.data + 20;
	cursor->end = headers.data + headers.len;
}

static bool
next_field(HeaderCursor *cursor, int prefix, Bytes *field)
{
	if (cursor->end - cursor->at < prefix + 4)
		return false;
	cursor->at += prefix;
	field->len = (int) get_int32(cursor->at);
	cursor->at += 4;
	field->data = cursor->at;
	if (field->len > cursor->end - cursor->at)
		return false;
	if (field->len > 0)
		cursor->at += field->len;
	return true;
}

/* An element is a row of two fields, each with its type before its length. */
bool
headers_next(HeaderCursor *cursor, Bytes *key, Bytes *value)
{
	if (cursor->left-- <= 0)
		return false;
	return next_field(cursor, 4 + 4 + 4, key) && next_field(cursor, 4, value);
}
