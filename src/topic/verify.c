/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  topic.verify(): the log's checker as a SQL function.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "acl/acl.h"
#include "fmgr.h"
#include "funcapi.h"
#include "log/log.h"
#include "topic/topic.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(pgtopic_verify);

static void
put_finding(void *arg, const char *finding)
{
	ReturnSetInfo *rsinfo = arg;
	Datum		value = CStringGetTextDatum(finding);
	bool		isnull = false;

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
}

/*
 * topic.verify(topic text) RETURNS SETOF text
 *
 * One row for each thing that is wrong; none if the topic is sound.  Needs
 * SELECT on the topic.
 */
Datum
pgtopic_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	rel;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("topic must not be null")));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	rel = topic_open(text_to_cstring(PG_GETARG_TEXT_PP(0)), AccessShareLock);
	acl_check_fetch(rel);
	log_verify(rel, put_finding, rsinfo);
	topic_close(rel);
	return (Datum) 0;
}
