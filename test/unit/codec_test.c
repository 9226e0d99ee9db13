/*-------------------------------------------------------------------------
 *
 * codec_test.c
 *	  Compression: round trips of all sizes, Kafka's restrictions on frames,
 *	  and damaged bytes.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include "log/codec.h"
#include "tap.h"

#define FUZZ_ROUNDS		20000

static const int codecs[] = {CODEC_LZ4, CODEC_ZSTD};
static const char *const names[] = {"lz4", "zstd"};

/* A block of exactly this size, so that AddressSanitizer sees every overrun. */
static char *
block(size_t length)
{
	return malloc(length > 0 ? length : 1);
}

/* Bytes that compress more or less, from hardly (255) to very well (0). */
static char *
some_bytes(size_t length, int variety)
{
	char	   *bytes = block(length);
	size_t		i;

	for (i = 0; i < length; i++)
		bytes[i] = (char) (tap_random() % (variety + 1));
	return bytes;
}

static char *
compressed(int codec, const char *from, size_t length, size_t *size)
{
	size_t		capacity = codec_bound(codec, length);
	char	   *to = block(capacity);
	char	   *exact;

	*size = codec_compress(codec, from, length, to, capacity);
	exact = block(*size);
	memcpy(exact, to, *size);
	free(to);
	return exact;
}

static bool
round_trip(int codec, size_t length, int variety)
{
	char	   *from = some_bytes(length, variety);
	size_t		size;
	char	   *packed = compressed(codec, from, length, &size);
	char	   *plain = block(length);
	bool		result;

	result = size > 0 && codec_plain_size(codec, packed, size) == (int64) length &&
		codec_decompress(codec, packed, size, plain, length) == CODEC_OK &&
		memcmp(from, plain, length) == 0;
	free(from);
	free(packed);
	free(plain);
	return result;
}

static void
test_round_trips(int codec)
{
	static const size_t sizes[] = {1, 127, 128, 1000, 65535, 65536, 65537, 262144, 262145, 1048576, 5000001};
	static const int varieties[] = {0, 3, 60, 255};
	bool		sound = true;
	int			i;
	int			j;

	for (i = 0; i < lengthof(sizes); i++)
	{
		for (j = 0; j < lengthof(varieties); j++)
			sound &= round_trip(codec, sizes[i], varieties[j]);
	}
	ok(sound, "all sizes, whether they compress or not");
}

static void
test_formats(void)
{
	char	   *from = some_bytes(300000, 3);
	size_t		size;
	char	   *packed = compressed(CODEC_LZ4, from, 300000, &size);

	ok(memcmp(packed, "\x04\x22\x4d\x18", 4) == 0, "lz4: the magic number of a frame");
	ok((packed[4] & 0xE0) == 0x60, "lz4: version 1, independent blocks, as Kafka's Java client wants");
	free(packed);
	packed = compressed(CODEC_ZSTD, from, 300000, &size);
	ok(memcmp(packed, "\x28\xb5\x2f\xfd", 4) == 0, "zstd: the magic number of a frame");
	free(packed);
	free(from);
}

static void
test_worthwhile(void)
{
	ok(codec_worthwhile(800, 700) && !codec_worthwhile(800, 701), "an eighth has to be saved");
	ok(!codec_worthwhile(800, 0), "what could not be compressed is not worth it");
	ok(codec_is_known(CODEC_LZ4) && codec_is_known(CODEC_ZSTD) &&
	   !codec_is_known(CODEC_NONE) && !codec_is_known(1) && !codec_is_known(2), "known codecs");
	ok(codec_compress(CODEC_NONE, "x", 1, NULL, 0) == 0 &&
	   codec_plain_size(2, "x", 1) == -1 &&
	   codec_decompress(7, "x", 1, NULL, 0) == CODEC_MALFORMED, "unknown codecs do nothing");
}

static void
test_wrong_sizes(int codec)
{
	char	   *from = some_bytes(70000, 3);
	size_t		size;
	char	   *packed = compressed(codec, from, 70000, &size);
	char	   *plain = block(70001);
	char	   *less = block(69999);
	bool		cut = true;
	size_t		i;

	ok(codec_decompress(codec, packed, size, plain, 70001) == CODEC_MALFORMED, "fewer bytes than wanted");
	ok(codec_decompress(codec, packed, size, less, 69999) == CODEC_MALFORMED, "more bytes than wanted");
	ok(codec_decompress(codec, packed, size, plain, 0) == CODEC_MALFORMED, "no room at all");
	for (i = 0; i < size; i += 1 + i / 7)
	{
		char	   *part = block(i);

		memcpy(part, packed, i);
		(void) codec_plain_size(codec, part, i);
		cut &= codec_decompress(codec, part, i, plain, 70000) == CODEC_MALFORMED;
		free(part);
	}
	ok(cut, "cut off anywhere");
	ok(codec_decompress(codec, packed, size, plain, 70000) == CODEC_OK, "and sound bytes after that");
	free(from);
	free(packed);
	free(plain);
	free(less);
}

/* Damaged bytes: any answer but a crash, and no write outside the target. */
static void
test_damage(int codec)
{
	char	   *from = some_bytes(2000, 20);
	size_t		size;
	char	   *packed = compressed(codec, from, 2000, &size);
	char	   *plain = block(2000);
	int			refused = 0;
	int			i;

	for (i = 0; i < FUZZ_ROUNDS; i++)
	{
		char	   *damaged = block(size);
		int			n = 1 + tap_random() % 4;

		memcpy(damaged, packed, size);
		while (n-- > 0)
			damaged[tap_random() % size] ^= 1 << (tap_random() % 8);
		(void) codec_plain_size(codec, damaged, size);
		if (codec_decompress(codec, damaged, size, plain, 2000) != CODEC_OK)
			refused++;
		free(damaged);
	}
	ok(refused > 0, "damaged bytes");
	ok(codec_decompress(codec, packed, size, plain, 2000) == CODEC_OK &&
	   memcmp(plain, from, 2000) == 0, "and sound bytes after that");
	free(from);
	free(packed);
	free(plain);
}

int
main(void)
{
	int			i;

	test_formats();
	test_worthwhile();
	for (i = 0; i < lengthof(codecs); i++)
	{
		printf("# %s\n", names[i]);
		test_round_trips(codecs[i]);
		test_wrong_sizes(codecs[i]);
		test_damage(codecs[i]);
	}
	return done_testing();
}
