/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Waiting until there may be something new in topics.
 *
 * On a primary the commit that makes a message visible wakes those who wait
 * for its partition.  A standby has no such moment: there, we look again when
 * replay has moved, at most every 20 ms.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "consumer/consumer.h"
#include "datatype/timestamp.h"

/* How often a standby compares the replay position. */
#define STANDBY_POLL_MS		20

/*
 * A wake-up may be lost only where a transaction ends without running our
 * callbacks.  All such ends that we know of are covered; this is the net.  Not
 * oftener: hundreds of members that wait for days should cost nothing.
 */
#define LOOK_AGAIN_MS		10000

/* Longer timeouts are as good as this one, and cannot overflow. */
#define LONGEST_TIMEOUT_MS	(INT64CONST(1000) * 365 * 24 * 3600 * 1000)

int64
consumer_timeout_ms(const Interval *timeout)
{
	double		ms;

	ms = (double) timeout->time / 1000.0 +
		((double) timeout->day + (double) timeout->month * DAYS_PER_MONTH) *
		(SECS_PER_DAY * 1000.0);

	if (ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must not be negative")));
	if (ms > (double) LONGEST_TIMEOUT_MS)
		return LONGEST_TIMEOUT_MS;

	/* A timeout of less than a millisecond is still a timeout. */
	return (int64) ceil(ms);
}

bool
consumer_can_wait(int64 timeout_ms)
{
	return timeout_ms > 0 && !IsolationUsesXactSnapshot();
}

void
consumer_wait_begin(ConsumerWait *wait, Oid topic, int32 partition,
					int64 timeout_ms)
{
	NotifyKey	key = {topic, partition};

	consumer_wait_begin_keys(wait, &key, 1, timeout_ms);
}

void
consumer_wait_begin_keys(ConsumerWait *wait, const NotifyKey *keys, int nkeys,
						 int64 timeout_ms)
{
	wait->deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	wait->replayed = RecoveryInProgress() ? GetXLogReplayRecPtr(NULL) : InvalidXLogRecPtr;
	notify_wait_begin_keys(keys, nkeys);
}

bool
consumer_wait(ConsumerWait *wait)
{
	for (;;)
	{
		bool		standby = RecoveryInProgress();
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														   wait->deadline);

		if (left <= 0)
			return false;

		if (notify_wait(Min(left, standby ? STANDBY_POLL_MS : LOOK_AGAIN_MS)) ||
			!standby)
			return true;

		if (!RecoveryInProgress())
			return true;		/* promoted meanwhile */
		if (GetXLogReplayRecPtr(NULL) != wait->replayed)
		{
			wait->replayed = GetXLogReplayRecPtr(NULL);
			return true;
		}
	}
}

void
consumer_wait_end(void)
{
	notify_wait_end();
}
