/*-------------------------------------------------------------------------
 *
 * format.c
 *	  Messages as text: kcat's format strings, and JSON lines.
 *
 * Pure: no connection here.  Format strings are taken apart once, and say
 * which columns they need, since what is not printed need not be read.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>

#include "client/format.h"

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One escape at text, which points behind the backslash; how far it goes, 0 if it is none. */
static int
unescape_one(const char *text, char *c)
{
	switch (*text)
	{
		case 'n':
			*c = '\n';
			return 1;
		case 't':
			*c = '\t';
			return 1;
		case 'r':
			*c = '\r';
			return 1;
		case '0':
			*c = '\0';
			return 1;
		case '\\':
			*c = '\\';
			return 1;
		case 'x':
			if (hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0)
			{
				*c = (char) (hex_digit(text[1]) * 16 + hex_digit(text[2]));
				return 3;
			}
			return 0;
		default:
			return 0;
	}
}

/* A delimiter as it is typed.  Returns NULL, or what is wrong with it. */
const char *
unescape(const char *text, Buffer *out)
{
	while (*text)
	{
		char		c = *text++;

		if (c == '\\')
		{
			int			len = unescape_one(text, &c);

			if (len == 0)
				return "only \\n, \\t, \\r, \\0, \\\\ and \\xNN may follow a backslash";
			text += len;
		}
		buffer_add_char(out, c);
	}
	return NULL;
}

static void
add_part(Format *format, char what, size_t start)
{
	size_t		len = format->literals.len - start;

	if (what == 0 && len == 0)
		return;
	format->parts = checked_alloc(format->parts, (format->nparts + 1) * sizeof(FormatPart));
	format->parts[format->nparts++] = (FormatPart) {what, start, len};
}

static unsigned
column_of(char what)
{
	switch (what)
	{
		case 'k':
		case 'K':
			return COLUMN_KEY;
		case 's':
		case 'S':
		case 'R':
			return COLUMN_VALUE;
		case 'T':
			return COLUMN_TIMESTAMP;
		case 'h':
			return COLUMN_HEADERS;
		default:
			return 0;
	}
}

const char *
format_compile(Format *format, const char *text, const char *null)
{
	size_t		start = 0;

	memset(format, 0, sizeof(*format));
	format->null = null;
	while (*text)
	{
		char		c = *text++;

		if (c == '\\')
		{
			int			len = unescape_one(text, &c);

			if (len == 0)
				return "only \\n, \\t, \\r, \\0, \\\\ and \\xNN may follow a backslash";
			text += len;
		}
		else if (c == '%')
		{
			c = *text ? *text++ : '\0';
			if (c == '\0' || strchr("tpokKsSRTh%", c) == NULL)
				return "only t, p, o, k, K, s, S, R, T, h and % may follow a percent sign";
			if (c != '%')
			{
				add_part(format, 0, start);
				start = format->literals.len;
				add_part(format, c, start);
				format->columns |= column_of(c);
				continue;
			}
		}
		buffer_add_char(&format->literals, c);
	}
	add_part(format, 0, start);
	return NULL;
}

static void
add_number(Buffer *out, int64_t n)
{
	char		text[24];

	buffer_add(out, text, snprintf(text, sizeof(text), "%" PRId64, n));
}

static void
add_bytes(Buffer *out, Bytes bytes, const char *null)
{
	if (bytes.len < 0)
		buffer_add_string(out, null);
	else
		buffer_add(out, bytes.data, bytes.len);
}

static void
add_headers(Buffer *out, Bytes headers, const char *null)
{
	HeaderCursor cursor;
	Bytes		key;
	Bytes		value;
	bool		first = true;

	headers_begin(&cursor, headers);
	while (headers_next(&cursor, &key, &value))
	{
		if (!first)
			buffer_add_char(out, ',');
		first = false;
		add_bytes(out, key, null);
		buffer_add_char(out, '=');
		add_bytes(out, value, null);
	}
}

void
format_message(const Format *format, const Message *message, Buffer *out)
{
	for (const FormatPart *part = format->parts; part < format->parts + format->nparts; part++)
	{
		switch (part->what)
		{
			case 0:
				buffer_add(out, format->literals.data + part->start, part->len);
				break;
			case 't':
				add_bytes(out, message->topic, format->null);
				break;
			case 'p':
				add_number(out, message->partition);
				break;
			case 'o':
				add_number(out, message->offset);
				break;
			case 'k':
				add_bytes(out, message->key, format->null);
				break;
			case 'K':
				add_number(out, message->key.len);
				break;
			case 's':
				add_bytes(out, message->value, format->null);
				break;
			case 'S':
				add_number(out, message->value.len);
				break;
			case 'R':
				buffer_add_int32(out, message->value.len);
				break;
			case 'T':
				add_number(out, message->timestamp);
				break;
			case 'h':
				add_headers(out, message->headers, format->null);
				break;
		}
	}
}

/* Length of the UTF-8 character at data, 0 if there is none. */
static int
utf8_length(const unsigned char *data, size_t len)
{
	int			n;

	if (data[0] < 0x80)
		return 1;
	n = data[0] >= 0xf0 && data[0] <= 0xf4 ? 4 : data[0] >= 0xe0 ? 3 : data[0] >= 0xc2 ? 2 : 0;
	if (n == 0 || data[0] > 0xf4 || (size_t) n > len)
		return 0;
	for (int i = 1; i < n; i++)
		if ((data[i] & 0xc0) != 0x80)
			return 0;
	/* no overlong forms, no surrogates, nothing past U+10FFFF */
	if ((data[0] == 0xe0 && data[1] < 0xa0) || (data[0] == 0xed && data[1] > 0x9f) ||
		(data[0] == 0xf0 && data[1] < 0x90) || (data[0] == 0xf4 && data[1] > 0x8f))
		return 0;
	return n;
}

bool
is_utf8(const char *data, size_t len)
{
	while (len > 0)
	{
		int			n = utf8_length((const unsigned char *) data, len);

		if (n == 0)
			return false;
		data += n;
		len -= n;
	}
	return true;
}

/* Bytes that are not UTF-8 become U+FFFD. */
void
json_string(Buffer *out, const char *data, size_t len)
{
	buffer_add_char(out, '"');
	while (len > 0)
	{
		int			n = utf8_length((const unsigned char *) data, len);
		unsigned char c = *data;

		if (n == 0)
		{
			buffer_add_string(out, "\\ufffd");
			n = 1;
		}
		else if (c == '"' || c == '\\')
		{
			buffer_add_char(out, '\\');
			buffer_add_char(out, c);
		}
		else if (c == '\n')
			buffer_add_string(out, "\\n");
		else if (c == '\t')
			buffer_add_string(out, "\\t");
		else if (c < 0x20 || c == 0x7f)
		{
			char		text[8];

			buffer_add(out, text, snprintf(text, sizeof(text), "\\u%04x", c));
		}
		else
			buffer_add(out, data, n);
		data += n;
		len -= n;
	}
	buffer_add_char(out, '"');
}

static void
add_base64(Buffer *out, Bytes bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *b = (const unsigned char *) bytes.data;

	buffer_add_char(out, '"');
	for (int left = bytes.len; left > 0; left -= 3, b += 3)
	{
		uint32_t	bits = b[0] << 16 | (left > 1 ? b[1] << 8 : 0) | (left > 2 ? b[2] : 0);

		buffer_add_char(out, digits[bits >> 18]);
		buffer_add_char(out, digits[bits >> 12 & 63]);
		buffer_add_char(out, left > 1 ? digits[bits >> 6 & 63] : '=');
		buffer_add_char(out, left > 2 ? digits[bits & 63] : '=');
	}
	buffer_add_char(out, '"');
}

/* Keys and values that are not text keep their bytes, under another name. */
static void
add_json_bytes(Buffer *out, const char *name, Bytes bytes)
{
	bool		text = bytes.len < 0 || is_utf8(bytes.data, bytes.len);

	buffer_add_string(out, ",\"");
	buffer_add_string(out, name);
	buffer_add_string(out, text ? "\":" : "_base64\":");
	if (bytes.len < 0)
		buffer_add_string(out, "null");
	else if (text)
		json_string(out, bytes.data, bytes.len);
	else
		add_base64(out, bytes);
}

/* The members and their names are those of kcat -J. */
void
json_message(const Message *message, Buffer *out)
{
	HeaderCursor cursor;
	Bytes		key;
	Bytes		value;
	bool		first = true;

	buffer_add_string(out, "{\"topic\":");
	json_string(out, message->topic.data, message->topic.len);
	buffer_add_string(out, ",\"partition\":");
	add_number(out, message->partition);
	buffer_add_string(out, ",\"offset\":");
	add_number(out, message->offset);
	buffer_add_string(out, ",\"ts\":");
	add_number(out, message->timestamp);
	headers_begin(&cursor, message->headers);
	while (headers_next(&cursor, &key, &value))
	{
		buffer_add_string(out, first ? ",\"headers\":[" : ",");
		first = false;
		json_string(out, key.data, key.len < 0 ? 0 : key.len);
		buffer_add_char(out, ',');
		if (value.len < 0)
			buffer_add_string(out, "null");
		else
			json_string(out, value.data, value.len);
	}
	if (!first)
		buffer_add_char(out, ']');
	add_json_bytes(out, "key", message->key);
	add_json_bytes(out, "payload", message->value);
	buffer_add_string(out, "}\n");
}
