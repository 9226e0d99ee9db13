/*-------------------------------------------------------------------------
 *
 * crc.h
 *	  CRC-32C of long byte strings.  Pure.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_CRC_H
#define PGTOPIC_LOG_CRC_H

#include "port/pg_crc32c.h"

/*
 * crc_of_more: what COMP_CRC32C() makes of a CRC and the bytes behind it; between
 * INIT_CRC32C() and FIN_CRC32C().
 */
extern pg_crc32c crc_of_more(pg_crc32c crc, const char *bytes, size_t length);

#endif							/* PGTOPIC_LOG_CRC_H */
