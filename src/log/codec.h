/*-------------------------------------------------------------------------
 *
 * codec.h
 *	  Compression of a batch's records as a whole, in Kafka's formats: a zstd
 *	  frame, or an LZ4 frame of independent blocks.  Pure: no server state;
 *	  errors are return values.
 *
 * The frames that are made here state the size of what was compressed, and
 * only such frames are read: so nobody has to guess how much memory it takes.
 *
 * The libraries keep working memory for the process, which is not for threads.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_CODEC_H
#define PGTOPIC_LOG_CODEC_H

#include "c.h"

/* Kafka's numbers, the low bits of a batch's attributes. */
#define CODEC_NONE				0
#define CODEC_LZ4				3
#define CODEC_ZSTD				4

/* Whether batches can be compressed so; neither "none" nor unknown ones. */
extern bool codec_is_known(int codec);

/*
 * codec_worthwhile: whether a compressed form is so much shorter that it is
 * to be stored.  Saving an eighth pays for decompressing; a batch that has less
 * than CODEC_MIN_BYTES is not even tried.
 */
#define CODEC_MIN_BYTES			128

static inline bool
codec_worthwhile(size_t length, size_t compressed)
{
	return compressed > 0 && compressed <= length - length / 8;
}

/* Room that codec_compress() needs for so many bytes. */
extern size_t codec_bound(int codec, size_t length);

/*
 * codec_compress: returns the length of the compressed form, 0 if there is none
 * (memory was short).
 */
extern size_t codec_compress(int codec, const char *from, size_t length,
							 char *to, size_t capacity);

/*
 * codec_plain_size: the size that the frame states.  -1 if it states none or
 * is none.  Nothing says yet that this is true.
 */
extern int64 codec_plain_size(int codec, const char *from, size_t length);

typedef enum CodecResult
{
	CODEC_OK,
	CODEC_MALFORMED,			/* or not of exactly that size */
	CODEC_NO_MEMORY
} CodecResult;

/* Decompresses to exactly plain_size bytes. */
extern CodecResult codec_decompress(int codec, const char *from, size_t length,
									char *to, size_t plain_size);

#endif							/* PGTOPIC_LOG_CODEC_H */
