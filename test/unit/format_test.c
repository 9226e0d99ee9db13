/*-------------------------------------------------------------------------
 *
 * format_test.c
 *	  The program's formats: kcat's escapes, JSON, and the binary rows and
 *	  headers that they are made from.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "client/format.h"
#include "tap.h"

#define BYTES(s) ((Bytes) {(s), sizeof(s) - 1})

static void
add_int64(Buffer *out, int64_t n)
{
	buffer_add_int32(out, (uint32_t) ((uint64_t) n >> 32));
	buffer_add_int32(out, (uint32_t) n);
}

/* topic.header[] as the server sends it: {("a","x"),("a",NULL)} */
static void
add_headers(Buffer *out)
{
	buffer_add_int32(out, 1);
	buffer_add_int32(out, 0);
	buffer_add_int32(out, 16400);
	buffer_add_int32(out, 2);
	buffer_add_int32(out, 1);
	for (int i = 0; i < 2; i++)
	{
		buffer_add_int32(out, i == 0 ? 22 : 21);
		buffer_add_int32(out, 2);
		buffer_add_int32(out, 25);
		buffer_add_int32(out, 1);
		buffer_add_char(out, 'a');
		buffer_add_int32(out, 17);
		buffer_add_int32(out, i == 0 ? 1 : -1);
		if (i == 0)
			buffer_add_char(out, 'x');
	}
}

static int
formats_as(const char *text, const Message *message, const char *expected, size_t len)
{
	Format		format;
	Buffer		out = {0};
	int			same;

	if (format_compile(&format, text, "NULL") != NULL)
		return 0;
	format_message(&format, message, &out);
	same = out.len == len && (len == 0 || memcmp(out.data, expected, len) == 0);
	if (!same)
		printf("# got %.*s\n", (int) out.len, out.data);
	free(out.data);
	free(format.parts);
	free(format.literals.data);
	return same;
}

#define FORMATS(text, message, expected) formats_as(text, message, expected, sizeof(expected) - 1)

static int
refuses(const char *text)
{
	Format		format;
	int			refused = format_compile(&format, text, "") != NULL;

	free(format.parts);
	free(format.literals.data);
	return refused;
}

static unsigned
columns_of(const char *text)
{
	Format		format;
	unsigned	columns;

	format_compile(&format, text, "");
	columns = format.columns;
	free(format.parts);
	free(format.literals.data);
	return columns;
}

static int
json_is(const Message *message, const char *expected)
{
	Buffer		out = {0};
	int			same;

	json_message(message, &out);
	same = strcmp(buffer_string(&out), expected) == 0;
	if (!same)
		printf("# got %s", out.data);
	free(out.data);
	return same;
}

static void
test_formats(Message *m)
{
	ok(FORMATS("%t|%p|%o|%k|%s|%T", m, "public.t|3|42|key|value|1500"), "what a message is");
	ok(FORMATS("%K %S", m, "3 5"), "lengths");
	ok(FORMATS("%h", m, "a=x,a=NULL"), "headers, with order, duplicates and NULL");
	ok(FORMATS("%R%s", m, "\0\0\0\5value"), "length as four bytes");
	ok(FORMATS("100%%\\n\\t\\x41\\0\\\\", m, "100%\n\tA\0\\"), "escapes");
	ok(FORMATS("", m, ""), "an empty format");
	m->key = m->value = null_bytes;
	ok(FORMATS("%k %K %s %S", m, "NULL -1 NULL -1"), "NULL");
	ok(FORMATS("%R", m, "\377\377\377\377"), "length of NULL as four bytes");
	ok(refuses("%"), "a percent sign at the end");
	ok(refuses("%z"), "an unknown letter");
	ok(refuses("\\q"), "an unknown escape");
	ok(refuses("\\x4"), "half a hexadecimal escape");
	ok(columns_of("%s\\n") == COLUMN_VALUE, "only the value is needed");
	ok(columns_of("%p %o") == 0, "no column is needed");
	ok(columns_of("%K%T%h") == (COLUMN_KEY | COLUMN_TIMESTAMP | COLUMN_HEADERS), "the others are needed");
}

static void
test_json(Message *m)
{
	m->key = BYTES("k\"\\\n\001\303\244");
	m->value = BYTES("\377\376\375\374");
	ok(json_is(m, "{\"topic\":\"public.t\",\"partition\":3,\"offset\":42,\"ts\":1500,\"headers\":[\"a\",\"x\",\"a\",null],"
			   "\"key\":\"k\\\"\\\\\\n\\u0001\303\244\",\"payload_base64\":\"//79/A==\"}\n"),
	   "JSON: escapes, and bytes that are no text");
	m->headers = null_bytes;
	m->key = null_bytes;
	m->value = BYTES("{}");
	ok(json_is(m, "{\"topic\":\"public.t\",\"partition\":3,\"offset\":42,\"ts\":1500,\"key\":null,\"payload\":\"{}\"}\n"),
	   "JSON without key and headers");
	ok(is_utf8("a\303\244\342\202\254\360\237\230\200", 10), "characters of all lengths are UTF-8");
	ok(!is_utf8("\300\200", 2) && !is_utf8("\340\200\200", 3) && !is_utf8("\360\200\200\200", 4), "overlong forms are not");
	ok(!is_utf8("\355\240\200", 3) && !is_utf8("\364\220\200\200", 4) && !is_utf8("\303", 1),
	   "nor surrogates, too large characters, half characters");
}

static void
test_rows(void)
{
	Buffer		row = {0};
	Message		m = {0};

	buffer_add_int16(&row, 3);
	buffer_add_int32(&row, 8);
	add_int64(&row, 7);
	buffer_add_int32(&row, 8);
	add_int64(&row, 1500);		/* microseconds after 2000-01-01 */
	buffer_add_int32(&row, -1);
	ok(message_from_copy(&m, COLUMN_TIMESTAMP | COLUMN_VALUE, row.data, (int) row.len), "a row of COPY");
	ok(m.offset == 7 && m.timestamp == INT64_C(946684800001) && m.value.len == -1 && m.key.len == -1, "its fields");
	ok(!message_from_copy(&m, COLUMN_VALUE, row.data, (int) row.len), "not as many fields as expected");
	ok(!message_from_copy(&m, COLUMN_TIMESTAMP | COLUMN_VALUE, row.data, (int) row.len - 1), "a row cut off");
	ok(!message_from_copy(&m, COLUMN_VALUE, "\377\377", 2), "the trailer is no row");
	free(row.data);
}

int
main(void)
{
	Buffer		headers = {0};
	Buffer		text = {0};
	Message		m = {.topic = BYTES("public.t"),.partition = 3,.offset = 42,.timestamp = 1500,
	.key = BYTES("key"),.value = BYTES("value")};

	add_headers(&headers);
	m.headers = (Bytes) {headers.data, (int) headers.len};
	test_formats(&m);
	test_json(&m);
	test_rows();
	ok(unescape("a\\0\\x7c", &text) == NULL && text.len == 3 && memcmp(text.data, "a\0|", 3) == 0, "a delimiter");
	ok(unescape("\\y", &text) != NULL, "a bad delimiter");
	free(text.data);
	free(headers.data);
	return done_testing();
}
