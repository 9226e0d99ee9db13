/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  SQLSTATEs of pgtopic's own.  Each bears the name of the Kafka error it
 *	  stands for; everything else uses PostgreSQL's own codes.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_ERRORS_H
#define PGTOPIC_ERRORS_H

#include "utils/elog.h"

/* offset below the log start or past the log end */
#define ERRCODE_OFFSET_OUT_OF_RANGE		MAKE_SQLSTATE('T','P','0','0','1')

/* not subscribed, removed or expired */
#define ERRCODE_UNKNOWN_MEMBER_ID		MAKE_SQLSTATE('T','P','0','0','2')

/* the partition does not, or no longer, belong to the member */
#define ERRCODE_STALE_MEMBER_EPOCH		MAKE_SQLSTATE('T','P','0','0','3')

/* the operation needs a group without members */
#define ERRCODE_NON_EMPTY_GROUP			MAKE_SQLSTATE('T','P','0','0','4')

#define ERRCODE_GROUP_ID_NOT_FOUND		MAKE_SQLSTATE('T','P','0','0','5')

/* instance_id is in use by another live member */
#define ERRCODE_UNRELEASED_INSTANCE_ID	MAKE_SQLSTATE('T','P','0','0','6')

#endif							/* PGTOPIC_ERRORS_H */
