/*-------------------------------------------------------------------------
 *
 * codec.c
 *	  Compression of batches by liblz4 and libzstd.
 *
 * The levels are Kafka's defaults: 3 for zstd, the fast one for lz4.  Kafka's
 * clients in Java read no LZ4 blocks that depend on each other.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include <lz4frame.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "log/codec.h"

#define ZSTD_LEVEL				3

/* Working memory, made when it is first needed. */
static ZSTD_CCtx *zstd_compression;
static ZSTD_DCtx *zstd_decompression;
static LZ4F_dctx *lz4_decompression;

bool
codec_is_known(int codec)
{
	return codec == CODEC_LZ4 || codec == CODEC_ZSTD;
}

/* ---------- lz4 ---------- */

/* The library itself takes smaller blocks for what is smaller. */
static LZ4F_preferences_t
lz4_preferences(size_t length)
{
	LZ4F_preferences_t preferences;

	memset(&preferences, 0, sizeof(preferences));
	preferences.frameInfo.blockSizeID = LZ4F_max256KB;
	preferences.frameInfo.blockMode = LZ4F_blockIndependent;
	preferences.frameInfo.contentSize = length;
	return preferences;
}

static size_t
lz4_compress(const char *from, size_t length, char *to, size_t capacity)
{
	LZ4F_preferences_t preferences = lz4_preferences(length);
	size_t		result = LZ4F_compressFrame(to, capacity, from, length, &preferences);

	return LZ4F_isError(result) ? 0 : result;
}

static bool
lz4_prepare_decompression(void)
{
	if (lz4_decompression != NULL)
		LZ4F_resetDecompressionContext(lz4_decompression);
	else if (LZ4F_isError(LZ4F_createDecompressionContext(&lz4_decompression, LZ4F_VERSION)))
		lz4_decompression = NULL;
	return lz4_decompression != NULL;
}

static int64
lz4_plain_size(const char *from, size_t length)
{
	LZ4F_frameInfo_t info;
	size_t		used = length;

	memset(&info, 0, sizeof(info));
	if (!lz4_prepare_decompression() ||
		LZ4F_isError(LZ4F_getFrameInfo(lz4_decompression, &info, from, &used)) ||
		info.contentSize == 0 || info.contentSize > PG_INT64_MAX)
		return -1;
	return (int64) info.contentSize;
}

static CodecResult
lz4_decompress(const char *from, size_t length, char *to, size_t plain_size)
{
	size_t		read = 0;
	size_t		written = 0;
	size_t		hint;

	if (!lz4_prepare_decompression())
		return CODEC_NO_MEMORY;
	do
	{
		size_t		source = length - read;
		size_t		target = plain_size - written;

		hint = LZ4F_decompress(lz4_decompression, to + written, &target,
							   from + read, &source, NULL);
		if (LZ4F_isError(hint))
			return CODEC_MALFORMED;
		/* no progress: it is cut off, or there is more than was stated */
		if (hint > 0 && source == 0 && target == 0)
			return CODEC_MALFORMED;
		read += source;
		written += target;
	} while (hint > 0);
	return (read == length && written == plain_size) ? CODEC_OK : CODEC_MALFORMED;
}

/* ---------- zstd ---------- */

static size_t
zstd_compress(const char *from, size_t length, char *to, size_t capacity)
{
	size_t		result;

	if (zstd_compression == NULL)
		zstd_compression = ZSTD_createCCtx();
	if (zstd_compression == NULL)
		return 0;
	result = ZSTD_compressCCtx(zstd_compression, to, capacity, from, length, ZSTD_LEVEL);
	return ZSTD_isError(result) ? 0 : result;
}

static int64
zstd_plain_size(const char *from, size_t length)
{
	unsigned long long size = ZSTD_getFrameContentSize(from, length);

	if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR ||
		size == 0 || size > PG_INT64_MAX)
		return -1;
	return (int64) size;
}

static CodecResult
zstd_decompress(const char *from, size_t length, char *to, size_t plain_size)
{
	size_t		result;

	if (zstd_decompression == NULL)
		zstd_decompression = ZSTD_createDCtx();
	if (zstd_decompression == NULL)
		return CODEC_NO_MEMORY;
	result = ZSTD_decompressDCtx(zstd_decompression, to, plain_size, from, length);
	if (ZSTD_isError(result))
		return ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ?
			CODEC_NO_MEMORY : CODEC_MALFORMED;
	return result == plain_size ? CODEC_OK : CODEC_MALFORMED;
}

/* ---------- either ---------- */

size_t
codec_bound(int codec, size_t length)
{
	LZ4F_preferences_t preferences;

	if (codec == CODEC_ZSTD)
		return ZSTD_compressBound(length);
	preferences = lz4_preferences(length);
	return LZ4F_compressFrameBound(length, &preferences);
}

size_t
codec_compress(int codec, const char *from, size_t length, char *to, size_t capacity)
{
	if (codec == CODEC_ZSTD)
		return zstd_compress(from, length, to, capacity);
	if (codec == CODEC_LZ4)
		return lz4_compress(from, length, to, capacity);
	return 0;
}

int64
codec_plain_size(int codec, const char *from, size_t length)
{
	if (codec == CODEC_ZSTD)
		return zstd_plain_size(from, length);
	if (codec == CODEC_LZ4)
		return lz4_plain_size(from, length);
	return -1;
}

CodecResult
codec_decompress(int codec, const char *from, size_t length, char *to, size_t plain_size)
{
	if (codec == CODEC_ZSTD)
		return zstd_decompress(from, length, to, plain_size);
	if (codec == CODEC_LZ4)
		return lz4_decompress(from, length, to, plain_size);
	return CODEC_MALFORMED;
}
