/*-------------------------------------------------------------------------
 *
 * clean_writer.h
 *	  Batches to the pages of a section that compaction makes.  Inside the log
 *	  room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_CLEAN_WRITER_H
#define PGTOPIC_LOG_CLEAN_WRITER_H

#include "log/section.h"

typedef struct CleanWriter
{
	SectionBuilder *builder;
	BufferAccessStrategy strategy;
	uint32		max_extents;
	bool		too_large;		/* there were more: the section is of no use */
	char	   *pages;			/* of the extent being filled */
	int			npages;			/* in use */
	uint64		records;		/* written so far */
} CleanWriter;

/* A writer of at most so many extents, in the current memory context. */
extern void clean_writer_init(CleanWriter *writer, SectionBuilder *builder, uint32 max_extents);

/*
 * clean_writer_add: writes a batch.  head: as batch_head_encode() wants it;
 * leader_epoch: the batch's own.
 */
extern void clean_writer_add(CleanWriter *writer, const BatchHead *head, uint32 leader_epoch,
							 const char *records, size_t length);

/* Writes what is left, and marks the section's end. */
extern void clean_writer_finish(CleanWriter *writer);

#endif							/* PGTOPIC_LOG_CLEAN_WRITER_H */
