/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  Rows of topic.message, kept until they are handed on.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "group/rows.h"
#include "miscadmin.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#define FIRST_CHUNK		(16 * 1024)
#define LARGEST_CHUNK	(1024 * 1024)

typedef struct StoredRow
{
	struct StoredRow *next;
	Datum		values[MESSAGE_NATTS];
	bool		isnull[MESSAGE_NATTS];
} StoredRow;

struct MessageRows
{
	MemoryContext context;
	MessageFormat format;
	char	   *chunk;			/* memory that is handed out */
	Size		chunk_size;
	Size		chunk_used;
	Size		total;

	StoredRow  *first;
	StoredRow **end;			/* where the next row is to be linked */
	StoredRow  *next;			/* to be returned */
	struct varlena *topic;		/* of the last row: mostly that of the next one */

	Tuplestorestate *store;		/* what work_mem has no room for; or NULL */
	TupleTableSlot *slot;
};

MessageRows *
rows_create(MessageFormat format)
{
	MessageRows *rows = palloc0(sizeof(MessageRows));

	rows->context = CurrentMemoryContext;
	rows->format = format;
	rows->chunk_size = FIRST_CHUNK / 2;
	rows->chunk_used = rows->chunk_size;	/* there is none yet */
	rows->end = &rows->first;
	return rows;
}

/* ---------- in memory ---------- */

static void *
reserve(MessageRows *rows, Size size)
{
	char	   *result;

	size = MAXALIGN(size);
	if (size > rows->chunk_size - rows->chunk_used)
	{
		Size		bigger = Min(rows->chunk_size * 2, LARGEST_CHUNK);

		rows->chunk_size = Max(bigger, size);
		rows->chunk = MemoryContextAllocHuge(rows->context, rows->chunk_size);
		rows->chunk_used = 0;
	}
	result = rows->chunk + rows->chunk_used;
	rows->chunk_used += size;
	rows->total += size;
	return result;
}

static struct varlena *
copy_bytes(MessageRows *rows, const struct varlena *bytes)
{
	Size		size = VARSIZE_ANY(bytes);

	return memcpy(reserve(rows, size), bytes, size);
}

static struct varlena *
copy_topic(MessageRows *rows, const struct varlena *topic)
{
	Size		size = VARSIZE_ANY(topic);

	if (rows->topic == NULL || VARSIZE_ANY(rows->topic) != size ||
		memcmp(rows->topic, topic, size) != 0)
		rows->topic = copy_bytes(rows, topic);
	return rows->topic;
}

static void
keep_row(MessageRows *rows, const Datum *values, const bool *isnull)
{
	StoredRow  *row = reserve(rows, sizeof(StoredRow));

	row->next = NULL;
	memcpy(row->values, values, sizeof(row->values));
	memcpy(row->isnull, isnull, sizeof(row->isnull));
	row->values[MESSAGE_COL_TOPIC - 1] =
		PointerGetDatum(copy_topic(rows, (struct varlena *) DatumGetPointer(values[MESSAGE_COL_TOPIC - 1])));
	for (int i = MESSAGE_COL_KEY - 1; i < MESSAGE_NATTS; i++)
	{
		if (!isnull[i])
			row->values[i] =
				PointerGetDatum(copy_bytes(rows, (struct varlena *) DatumGetPointer(values[i])));
	}

	*rows->end = row;
	rows->end = &row->next;
	if (rows->next == NULL)
		rows->next = row;
}

/* ---------- beyond work_mem ---------- */

static void
open_store(MessageRows *rows)
{
	static const char *const types[MESSAGE_FORMATS] = {
		"message", "message_text", "message_json"
	};
	MemoryContext old = MemoryContextSwitchTo(rows->context);
	Oid			type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
									   CStringGetDatum(types[rows->format]),
									   ObjectIdGetDatum(get_namespace_oid("topic", false)));

	rows->slot = MakeSingleTupleTableSlot(lookup_rowtype_tupdesc_copy(type, -1),
										  &TTSOpsMinimalTuple);
	rows->store = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(old);
}

void
rows_put(MessageRows *rows, const Datum *values, const bool *isnull)
{
	if (rows->total < (Size) work_mem * 1024)
	{
		keep_row(rows, values, isnull);
		return;
	}
	if (rows->store == NULL)
		open_store(rows);
	tuplestore_putvalues(rows->store, rows->slot->tts_tupleDescriptor,
						 (Datum *) values, (bool *) isnull);
}

/* ---------- handing on ---------- */

bool
rows_next(void *arg, Datum *values, bool *isnull)
{
	MessageRows *rows = arg;
	StoredRow  *row = rows->next;

	if (row != NULL)
	{
		memcpy(values, row->values, sizeof(row->values));
		memcpy(isnull, row->isnull, sizeof(row->isnull));
		rows->next = row->next;
		return true;
	}
	if (rows->store == NULL ||
		!tuplestore_gettupleslot(rows->store, true, false, rows->slot))
		return false;

	slot_getallattrs(rows->slot);
	memcpy(values, rows->slot->tts_values, sizeof(row->values));
	memcpy(isnull, rows->slot->tts_isnull, sizeof(row->isnull));
	return true;
}

void
rows_restart(void *arg)
{
	MessageRows *rows = arg;

	rows->next = rows->first;
	if (rows->store != NULL)
		tuplestore_rescan(rows->store);
}

void
rows_close(void *arg)
{
	MessageRows *rows = arg;

	if (rows->store == NULL)
		return;
	ExecDropSingleTupleTableSlot(rows->slot);
	tuplestore_end(rows->store);
	rows->store = NULL;
}
