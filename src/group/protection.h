/*-------------------------------------------------------------------------
 *
 * protection.h
 *	  Groups for which retention waits.  Inside the group room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_PROTECTION_H
#define PGTOPIC_GROUP_PROTECTION_H

#include "utils/rel.h"
#include "utils/uuid.h"

/* Setting and hook; from group_init(), after topic_init(). */
extern void protection_init(void);

/* A topic in which retention waits for a group. */
typedef struct GroupProtection
{
	pg_uuid_t	topic;
	int64		max_bytes;		/* the cap in force; -1 = none */
} GroupProtection;

/* All of a group, in a palloc'd array. */
extern int	protections_of_group(const char *group_id, GroupProtection **protections);

/*
 * protections_changed: whoever writes topic.group_protections says so, in the
 * same transaction; all backends look again after its COMMIT.
 */
extern void protections_changed(Relation rel);

/* Those of a group, or of a topic, go with it. */
extern void protections_delete(const char *group_id);
extern void protections_topic_dropped(const pg_uuid_t *topic);

#endif							/* PGTOPIC_GROUP_PROTECTION_H */
