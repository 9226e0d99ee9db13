/*-------------------------------------------------------------------------
 *
 * headers.c
 *	  Headers of messages from their SQL forms.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "producer/headers.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Attributes of topic.header. */
#define HEADER_NATTS	2

static const RecordBytes null_bytes = {NULL, -1};

RecordBytes
datum_bytes(Datum datum)
{
	struct varlena *varlena = PG_DETOAST_DATUM_PACKED(datum);
	RecordBytes bytes;

	bytes.data = VARDATA_ANY(varlena);
	bytes.length = VARSIZE_ANY_EXHDR(varlena);
	return bytes;
}

/* ---------- jsonb ---------- */

static void
invalid_headers(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid headers"),
			 errdetail_internal("%s", detail),
			 errhint("Headers are an object such as {\"key\": \"value\"}, or an array of pairs such as [[\"key\", \"value\"]]; values are strings or null.")));
}

static RecordBytes
json_string(const JsonbValue *value)
{
	RecordBytes bytes;

	if (value->type == jbvNull)
		return null_bytes;
	if (value->type != jbvString)
		invalid_headers(_("The value of a header must be a string or null."));
	bytes.data = value->val.string.val;
	bytes.length = value->val.string.len;
	return bytes;
}

/* One ["key", value] of an array. */
static void
header_from_pair(const JsonbValue *element, RecordHeader *header)
{
	JsonbContainer *pair;
	JsonbValue *key;
	JsonbValue *value;

	if (element->type != jbvBinary ||
		!JsonContainerIsArray(element->val.binary.data) ||
		JsonContainerSize(element->val.binary.data) != 2)
		invalid_headers(_("Each element of the array must be an array of a key and a value."));
	pair = element->val.binary.data;
	key = getIthJsonbValueFromContainer(pair, 0);
	value = getIthJsonbValueFromContainer(pair, 1);
	if (key->type != jbvString)
		invalid_headers(_("The key of a header must be a string."));
	header->key = json_string(key);
	header->value = json_string(value);
}

int
headers_from_jsonb(Jsonb *jsonb, RecordHeader **headers)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	RecordHeader *header;

	if (JB_ROOT_IS_SCALAR(jsonb))
		invalid_headers(_("They are a single value."));

	*headers = header = palloc(JB_ROOT_COUNT(jsonb) * sizeof(RecordHeader) + 1);
	it = JsonbIteratorInit(&jsonb->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		switch (token)
		{
			case WJB_KEY:
				header->key = json_string(&value);
				break;
			case WJB_VALUE:
				header->value = json_string(&value);
				header++;
				break;
			case WJB_ELEM:
				header_from_pair(&value, header);
				header++;
				break;
			default:
				break;
		}
	}
	return (int) (header - *headers);
}

/* ---------- topic.header[] ---------- */

static void
header_from_tuple(HeapTupleHeader tuple, TupleDesc desc, RecordHeader *header)
{
	HeapTupleData tmptup;
	Datum		values[HEADER_NATTS];
	bool		nulls[HEADER_NATTS];

	tmptup.t_len = HeapTupleHeaderGetDatumLength(tuple);
	ItemPointerSetInvalid(&tmptup.t_self);
	tmptup.t_tableOid = InvalidOid;
	tmptup.t_data = tuple;
	heap_deform_tuple(&tmptup, desc, values, nulls);
	if (nulls[0])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key of a header must not be null")));
	header->key = datum_bytes(values[0]);
	header->value = nulls[1] ? null_bytes : datum_bytes(values[1]);
}

int
headers_from_array(ArrayType *array, RecordHeader **headers)
{
	Oid			type = ARR_ELEMTYPE(array);
	TupleDesc	desc;
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	int			i;

	if (ARR_NDIM(array) == 0)
		return 0;
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("array of headers must be one-dimensional")));

	deconstruct_array(array, type, -1, false, TYPALIGN_DOUBLE,
					  &elements, &nulls, &n);
	*headers = palloc(n * sizeof(RecordHeader));
	desc = lookup_rowtype_tupdesc(type, -1);
	if (desc->natts != HEADER_NATTS ||
		TupleDescAttr(desc, 0)->atttypid != TEXTOID ||
		TupleDescAttr(desc, 1)->atttypid != BYTEAOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("headers must be of type %s", "topic.header[]")));

	for (i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("header must not be null")));
		header_from_tuple(DatumGetHeapTupleHeader(elements[i]), desc,
						  &(*headers)[i]);
	}
	ReleaseTupleDesc(desc);
	return n;
}
