/*-------------------------------------------------------------------------
 *
 * notifier.h
 *	  The process that notifies listeners.  Inside the group room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_GROUP_NOTIFIER_H
#define PGTOPIC_GROUP_NOTIFIER_H

/* Setting pgtopic.notify_queue_limit; from group_init(). */
extern void notifier_init(void);

#endif							/* PGTOPIC_GROUP_NOTIFIER_H */
