/*-------------------------------------------------------------------------
 *
 * channel.c
 *	  Names of the channels on which news of topics and groups are told.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "notify/notify.h"

/* Digits of the hash in a name; two for each byte. */
#define HASH_DIGITS		40

static void
append_hash(char *channel, const char *name)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) name, strlen(name)) < 0 ||
		pg_cryptohash_final(context, digest, sizeof(digest)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute the SHA-256 hash of a channel's name")));
	pg_cryptohash_free(context);

	for (int i = 0; i < HASH_DIGITS / 2; i++)
		sprintf(channel + 2 * i, "%02x", digest[i]);
}

void
notify_channel(const char *prefix, const char *name, char *channel)
{
	if (strlen(prefix) + strlen(name) < NAMEDATALEN)
	{
		snprintf(channel, NAMEDATALEN, "%s%s", prefix, name);
		return;
	}
	snprintf(channel, NAMEDATALEN, "%s#", prefix);
	append_hash(channel + strlen(channel), name);
}
