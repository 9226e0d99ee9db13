/*-------------------------------------------------------------------------
 *
 * message.c
 *	  Records of the log as rows of topic.message, topic.message_text and
 *	  topic.message_json.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "consumer/consumer.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

static void check_text(const MessageWriter *writer, int32 partition,
					   const LaneRecord *record, const char *what,
					   struct varlena *bytes);
static Datum json_datum(const MessageWriter *writer, int32 partition,
						const LaneRecord *record);

void
message_writer_init(MessageWriter *writer, Relation topic, MessageFormat format)
{
	writer->format = format;
	writer->topic = topic_name(topic);
	writer->topic_datum = CStringGetTextDatum(writer->topic);
	writer->row_context = AllocSetContextCreate(CurrentMemoryContext,
												"pgtopic message",
												ALLOCSET_DEFAULT_SIZES);
}

void
message_values(MessageWriter *writer, int32 partition, const LaneRecord *record,
			   Datum *values, bool *isnull)
{
	memset(isnull, false, MESSAGE_NATTS * sizeof(bool));
	values[MESSAGE_COL_TOPIC - 1] = writer->topic_datum;
	values[MESSAGE_COL_PARTITION - 1] = Int32GetDatum(partition);
	values[MESSAGE_COL_LOG_OFFSET - 1] = Int64GetDatum(record->offset);
	values[MESSAGE_COL_TIMESTAMP - 1] =
		TimestampTzGetDatum(log_timestamp_to_tz(record->timestamp));
	values[MESSAGE_COL_KEY - 1] = PointerGetDatum(record->key);
	isnull[MESSAGE_COL_KEY - 1] = record->key == NULL;
	values[MESSAGE_COL_VALUE - 1] = PointerGetDatum(record->value);
	isnull[MESSAGE_COL_VALUE - 1] = record->value == NULL;
	isnull[MESSAGE_COL_HEADERS - 1] = true;

	if (record->nheaders > 0 || writer->format == MESSAGE_JSON)
		MemoryContextReset(writer->row_context);

	/* text and bytea differ only in what they may hold. */
	if (writer->format != MESSAGE_BYTES)
		check_text(writer, partition, record, "key", record->key);
	if (writer->format == MESSAGE_TEXT)
		check_text(writer, partition, record, "value", record->value);
	else if (writer->format == MESSAGE_JSON && record->value != NULL)
	{
		check_text(writer, partition, record, "value", record->value);
		values[MESSAGE_COL_VALUE - 1] = json_datum(writer, partition, record);
	}

	if (record->nheaders > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(writer->row_context);

		values[MESSAGE_COL_HEADERS - 1] = log_headers_datum(record->headers,
														record->nheaders,
														&isnull[MESSAGE_COL_HEADERS - 1]);
		MemoryContextSwitchTo(old);
	}
}

/* 22021 unless the bytes are text in the database's encoding. */
static void
check_text(const MessageWriter *writer, int32 partition, const LaneRecord *record,
		   const char *what, struct varlena *bytes)
{
	if (bytes == NULL ||
		pg_verify_mbstr(GetDatabaseEncoding(), VARDATA_ANY(bytes),
						VARSIZE_ANY_EXHDR(bytes), true))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
			 errmsg("message %s is not valid text in encoding \"%s\"",
					what, GetDatabaseEncodingName()),
			 errdetail("Topic %s, partition %d, offset %lld.",
					   writer->topic, partition, (long long) record->offset),
			 errhint("Read this message as bytea, or go on at the next offset.")));
}

/*
 * The value as jsonb, in the row context.  22P02 where it is none: the error
 * that the parser raised is thrown on with the message's place in its detail.
 */
static Datum
json_datum(const MessageWriter *writer, int32 partition, const LaneRecord *record)
{
	MemoryContext old = MemoryContextSwitchTo(writer->row_context);
	char	   *string = text_to_cstring(record->value);
	volatile Datum result = (Datum) 0;

	PG_TRY();
	{
		result = DirectFunctionCall1(jsonb_in, CStringGetDatum(string));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(writer->row_context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();

		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("message value is not valid JSON"),
				 errdetail("Topic %s, partition %d, offset %lld: %s",
						   writer->topic, partition, (long long) record->offset,
						   error->detail ? error->detail : error->message),
				 errhint("Read this message as bytea or text, or go on at the next offset.")));
	}
	PG_END_TRY();

	MemoryContextSwitchTo(old);
	return result;
}
