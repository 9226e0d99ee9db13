/*-------------------------------------------------------------------------
 *
 * crc.c
 *	  CRC-32C of long byte strings.
 *
 * The processor's CRC instruction takes three cycles, but one can begin in each
 * cycle.  So a long string is read as three streams side by side, and the CRCs
 * of these are joined: to append n bytes to a string is to multiply its CRC, as
 * a polynomial modulo CRC-32C's, by x^(8n).  PostgreSQL's own function, which
 * is used elsewhere, reads one stream.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "log/crc.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <nmmintrin.h>
#include <wmmintrin.h>

#define HAS_STREAMS
#define STREAM_BYTES			1024

/*
 * x^(8n - 33) for n = STREAM_BYTES and twice as many, bits reflected as in the
 * CRC.  33, because the reflected product of two polynomials of 32 bits counts
 * as once x more, and reducing it as 32 times.
 */
#define BEFORE_ONE_STREAM		UINT64CONST(0x170076fa)
#define BEFORE_TWO_STREAMS		UINT64CONST(0xa51b6135)

/* The CRC of a string, when so many streams stand behind it. */
__attribute__((target("sse4.2,pclmul")))
static inline uint64
shift_crc(uint64 crc, uint64 factor)
{
	__m128i		product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64) crc),
											   _mm_cvtsi64_si128((int64) factor), 0);

	return _mm_crc32_u64(0, (uint64) _mm_cvtsi128_si64(product));
}

static inline uint64
word_at(const char *bytes)
{
	uint64		word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* Three streams of STREAM_BYTES. */
__attribute__((target("sse4.2,pclmul")))
static pg_crc32c
crc_of_streams(pg_crc32c crc, const char *bytes)
{
	uint64		first = crc;
	uint64		second = 0;
	uint64		third = 0;

	for (int i = 0; i < STREAM_BYTES; i += sizeof(uint64))
	{
		first = _mm_crc32_u64(first, word_at(bytes + i));
		second = _mm_crc32_u64(second, word_at(bytes + STREAM_BYTES + i));
		third = _mm_crc32_u64(third, word_at(bytes + 2 * STREAM_BYTES + i));
	}
	return (pg_crc32c) (shift_crc(first, BEFORE_TWO_STREAMS) ^
						shift_crc(second, BEFORE_ONE_STREAM) ^ third);
}

static bool
streams_are_possible(void)
{
	static int	possible = -1;

	if (possible < 0)
		possible = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
	return possible;
}

#endif							/* x86-64 */

pg_crc32c
crc_of_more(pg_crc32c crc, const char *bytes, size_t length)
{
#ifdef HAS_STREAMS
	if (length >= 3 * STREAM_BYTES && streams_are_possible())
	{
		for (; length >= 3 * STREAM_BYTES; length -= 3 * STREAM_BYTES)
		{
			crc = crc_of_streams(crc, bytes);
			bytes += 3 * STREAM_BYTES;
		}
	}
#endif
	COMP_CRC32C(crc, bytes, length);
	return crc;
}
