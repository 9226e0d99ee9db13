/*-------------------------------------------------------------------------
 *
 * format.h
 *	  Messages as text: kcat's format strings, and JSON lines.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_CLIENT_FORMAT_H
#define PGTOPIC_CLIENT_FORMAT_H

#include "client/message.h"

typedef struct FormatPart
{
	char		what;			/* the letter behind %, or 0: literal bytes */
	size_t		start;			/* of the literal, in Format.literals */
	size_t		len;
} FormatPart;

typedef struct Format
{
	FormatPart *parts;
	int			nparts;
	Buffer		literals;
	const char *null;			/* printed for NULL */
	unsigned	columns;		/* that it needs */
} Format;

/* NULL, or what is wrong with the text. */
extern const char *format_compile(Format *format, const char *text, const char *null);
extern void format_message(const Format *format, const Message *message, Buffer *out);
extern const char *unescape(const char *text, Buffer *out);
extern void json_message(const Message *message, Buffer *out);
extern void json_string(Buffer *out, const char *data, size_t len);
extern bool is_utf8(const char *data, size_t len);

#endif							/* PGTOPIC_CLIENT_FORMAT_H */
