/*-------------------------------------------------------------------------
 *
 * buffer.h
 *	  A growing run of bytes.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_CLIENT_BUFFER_H
#define PGTOPIC_CLIENT_BUFFER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Buffer
{
	char	   *data;
	size_t		len;
	size_t		size;
} Buffer;

static inline void *
checked_alloc(void *old, size_t size)
{
	void	   *result = realloc(old, size ? size : 1);

	if (result == NULL)
	{
		fputs("pgtopic: out of memory\n", stderr);
		exit(1);
	}
	return result;
}

static inline void
buffer_reserve(Buffer *buffer, size_t more)
{
	if (buffer->size - buffer->len < more)
	{
		size_t		size = buffer->size ? buffer->size : 1024;

		while (size - buffer->len < more)
			size *= 2;
		buffer->data = checked_alloc(buffer->data, size);
		buffer->size = size;
	}
}

static inline void
buffer_add(Buffer *buffer, const void *data, size_t len)
{
	buffer_reserve(buffer, len);
	if (len > 0)
		memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
}

static inline void
buffer_add_char(Buffer *buffer, char c)
{
	buffer_add(buffer, &c, 1);
}

static inline void
buffer_add_string(Buffer *buffer, const char *string)
{
	buffer_add(buffer, string, strlen(string));
}

/* Integers in network byte order, as PostgreSQL's binary formats have them. */
static inline void
buffer_add_int16(Buffer *buffer, uint16_t n)
{
	unsigned char bytes[2] = {n >> 8, n};

	buffer_add(buffer, bytes, 2);
}

static inline void
buffer_add_int32(Buffer *buffer, uint32_t n)
{
	unsigned char bytes[4] = {n >> 24, n >> 16, n >> 8, n};

	buffer_add(buffer, bytes, 4);
}

/* The string so far; the NUL behind it is not counted. */
static inline char *
buffer_string(Buffer *buffer)
{
	buffer_reserve(buffer, 1);
	buffer->data[buffer->len] = '\0';
	return buffer->data;
}

#endif							/* PGTOPIC_CLIENT_BUFFER_H */
