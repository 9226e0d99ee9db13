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

#endif							/* PGTOPIC_ERRORS_H */
