/*-------------------------------------------------------------------------
 *
 * sender.c
 *	  Messages on their way to a topic: binary COPY, a transaction a batch.
 *
 * COPY takes keys, values, partitions and headers alike, needs no array in
 * memory on either side, and costs the server the least for each message.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "client/sender.h"

/* How much libpq is handed at once. */
#define CHUNK (128 * 1024)

/* What begins a binary COPY: signature, flags, length of the extension. */
static const char copy_header[11 + 4 + 4] = "PGCOPY\n\377\r\n";

/* The array topic.header[] with these k=v pairs, in binary form. */
static void
encode_headers(PGconn *conn, Buffer *out, const char *const *headers, int nheaders)
{
	PGresult   *oid = query(conn, "SELECT 'topic.header'::pg_catalog.regtype::pg_catalog.oid", 0, NULL);

	/* one dimension, NULLs or not, type of the elements, how many, from 1 on */
	buffer_add_int32(out, 1);
	buffer_add_int32(out, 0);
	buffer_add_int32(out, strtoul(PQgetvalue(oid, 0, 0), NULL, 10));
	buffer_add_int32(out, nheaders);
	buffer_add_int32(out, 1);
	for (int i = 0; i < nheaders; i++)
	{
		const char *equals = strchr(headers[i], '=');
		int			key_len = equals ? equals - headers[i] : (int) strlen(headers[i]);
		int			value_len = equals ? (int) strlen(equals + 1) : -1;

		/* a row of two fields, text and bytea, each after its type and length */
		buffer_add_int32(out, 4 + 8 + key_len + 8 + (value_len > 0 ? value_len : 0));
		buffer_add_int32(out, 2);
		buffer_add_int32(out, 25);
		buffer_add_int32(out, key_len);
		buffer_add(out, headers[i], key_len);
		buffer_add_int32(out, 17);
		buffer_add_int32(out, value_len);
		if (value_len > 0)
			buffer_add(out, equals + 1, value_len);
	}
	PQclear(oid);
}

/*
 * The topic's name is looked up as topic.produce() looks it up, so that what
 * is no topic is refused here, and quoted by the server.
 */
void
sender_init(Sender *sender, PGconn *conn, const char *topic, int partition, bool keys,
			const char *const *headers, int nheaders)
{
	PGresult   *name = query(conn,
							 "SELECT t.topic, $1::pg_catalog.text::pg_catalog.regclass FROM topic.topics t"
							 " WHERE t.relid OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.regclass", 1, &topic);
	Buffer		sql = {0};

	if (PQntuples(name) == 0)
		fail(EXIT_ERROR, "\"%s\" is not a topic", topic);
	memset(sender, 0, sizeof(*sender));
	sender->conn = conn;
	sender->partition = partition;
	sender->keys = keys;
	sender->nfields = 1 + (partition >= 0) + keys + (nheaders > 0);
	if (nheaders > 0)
		encode_headers(conn, &sender->headers, headers, nheaders);
	buffer_add_string(&sql, "COPY ");
	buffer_add_string(&sql, PQgetvalue(name, 0, 0));
	buffer_add_string(&sql, " (value");
	if (partition >= 0)
		buffer_add_string(&sql, ", partition");
	if (keys)
		buffer_add_string(&sql, ", key");
	if (nheaders > 0)
		buffer_add_string(&sql, ", headers");
	buffer_add_string(&sql, ") FROM STDIN (FORMAT binary)");
	sender->copy = buffer_string(&sql);
	PQclear(name);
}

static void
hand_over(Sender *sender)
{
	if (!sender->broken && PQputCopyData(sender->conn, sender->pending.data, sender->pending.len) != 1)
		sender->broken = true;
	sender->pending.len = 0;
}

static void
begin_batch(Sender *sender)
{
	PGresult   *result = PQexec(sender->conn, sender->copy);

	sender->open = true;
	sender->in_batch = 0;
	if (PQresultStatus(result) != PGRES_COPY_IN)
	{
		if (!is_lost(sender->conn, result))
			fail_query(sender->conn, result);
		sender->broken = true;
	}
	PQclear(result);
	buffer_add(&sender->pending, copy_header, sizeof(copy_header));
}

static void
add_field(Buffer *out, Bytes field)
{
	buffer_add_int32(out, field.len);
	if (field.len > 0)
		buffer_add(out, field.data, field.len);
}

void
sender_add(Sender *sender, Bytes key, Bytes value)
{
	Buffer	   *out = &sender->pending;

	if (!sender->open)
		begin_batch(sender);
	buffer_add_int16(out, sender->nfields);
	add_field(out, value);
	if (sender->partition >= 0)
	{
		buffer_add_int32(out, 4);
		buffer_add_int32(out, sender->partition);
	}
	if (sender->keys)
		add_field(out, key);
	if (sender->headers.len > 0)
	{
		buffer_add_int32(out, sender->headers.len);
		buffer_add(out, sender->headers.data, sender->headers.len);
	}
	sender->in_batch++;
	sender->bytes += value.len > 0 ? value.len : 0;
	if (out->len >= CHUNK)
		hand_over(sender);
}

/* What is known about messages when something went wrong. */
static void
report_committed(const Sender *sender, bool uncertain)
{
	warn("%s messages are committed", with_separators(sender->committed));
	if (uncertain)
		warn("whether the last batch of %s messages is committed is not known", with_separators(sender->in_batch));
	else
		warn("the last batch of %s messages is not committed", with_separators(sender->in_batch));
}

/*
 * Ends the transaction.  Once the end has been sent and the answer does not
 * come, nobody can say whether it is committed.
 */
void
sender_commit(Sender *sender)
{
	PGresult   *result;
	bool		told = false;
	bool		good = false;

	if (!sender->open)
		return;
	buffer_add_int16(&sender->pending, 0xffff);
	hand_over(sender);
	if (!sender->broken)
		told = PQputCopyEnd(sender->conn, NULL) == 1;
	result = PQgetResult(sender->conn);
	good = told && PQresultStatus(result) == PGRES_COMMAND_OK;
	if (!good)
	{
		/* an answer that is an error says that the transaction is undone */
		bool		answered = PQresultErrorField(result, PG_DIAG_SQLSTATE) != NULL;

		report_committed(sender, told && !answered);
		fail_query(sender->conn, result);
	}
	PQclear(result);
	while ((result = PQgetResult(sender->conn)) != NULL)
		PQclear(result);
	sender->committed += sender->in_batch;
	sender->in_batch = 0;
	sender->open = false;
}
