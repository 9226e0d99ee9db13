/*-------------------------------------------------------------------------
 *
 * init.c
 *	  The log room at the start of a process, and two small things that all
 *	  of the room needs: whether writing is possible, and Kafka's timestamps.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "log/am.h"
#include "log/directory.h"
#include "log/tailhint.h"
#include "log/wal.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

/* The resource manager is registered, so that a crash can be replayed. */
static bool preloaded = false;

void
log_init(void)
{
	if (process_shared_preload_libraries_in_progress)
	{
		log_xlog_register();
		tail_hint_init();
		preloaded = true;
	}
	directory_init();
	log_slot_init();
	log_pushdown_init();
}

bool
log_is_preloaded(void)
{
	return preloaded;
}

/*
 * log_check_writable: see log.h.
 *
 * XLogInsert() itself would take records of an unknown resource manager, and
 * then the server could not start again after a crash.
 */
void
log_check_writable(const char *what)
{
	PreventCommandIfReadOnly(what);
	PreventCommandIfParallelMode(what);
	PreventCommandDuringRecovery(what);

	if (!preloaded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot execute %s: pgtopic is not preloaded", what),
				 errdetail("A crash could not be recovered from."),
				 errhint("Set shared_preload_libraries = 'pgtopic' and restart the server.")));
}

/* ---------- timestamps ---------- */

#define USECS_PER_MSEC		INT64CONST(1000)
#define MSECS_EPOCH_DIFF \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (SECS_PER_DAY * INT64CONST(1000)))

/* Kafka's range is larger than ours: what is outside reads as infinity. */
TimestampTz
log_timestamp_to_tz(int64 ms)
{
	TimestampTz tz;

	if (ms < MIN_TIMESTAMP / USECS_PER_MSEC + MSECS_EPOCH_DIFF)
		TIMESTAMP_NOBEGIN(tz);
	else if (ms >= END_TIMESTAMP / USECS_PER_MSEC + MSECS_EPOCH_DIFF)
		TIMESTAMP_NOEND(tz);
	else
		tz = (ms - MSECS_EPOCH_DIFF) * USECS_PER_MSEC;
	return tz;
}

/* Truncates towards the past, so that the order of timestamps is kept. */
int64
log_timestamp_from_tz(TimestampTz tz)
{
	int64		ms;

	if (TIMESTAMP_IS_NOBEGIN(tz))
		return PG_INT64_MIN;
	if (TIMESTAMP_IS_NOEND(tz))
		return PG_INT64_MAX;

	ms = tz / USECS_PER_MSEC;
	if (tz % USECS_PER_MSEC < 0)
		ms--;
	return ms + MSECS_EPOCH_DIFF;
}
