/*-------------------------------------------------------------------------
 *
 * rewrite.c
 *	  Other files for a topic: creation, TRUNCATE, SET TABLESPACE and VACUUM
 *	  FULL.  Offsets go on in all of them.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/multixact.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogutils.h"
#include "catalog/storage.h"
#include "log/am.h"
#include "log/directory.h"
#include "log/vacuum.h"
#include "log/wal.h"
#include "miscadmin.h"

#define LANE_CONTENTS	(LANES_PER_PAGE * sizeof(LaneEntry))
#define NODE_CONTENTS	(NODE_FANOUT * sizeof(DirEntry))

/* What new files begin with. */
typedef struct NewTopic
{
	TopicMeta	meta;			/* lane_page is filled in by write_topic() */
	int			nlanes;
	LaneEntry  *lanes;
} NewTopic;

static uint32
new_incarnation(void)
{
	uint32		number;

	do
	{
		if (!pg_strong_random(&number, sizeof(number)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
	} while (number == 0);
	return number;
}

static void
new_topic_init(NewTopic *topic)
{
	memset(topic, 0, sizeof(*topic));
	topic->meta.magic = TOPIC_MAGIC;
	topic->meta.version = TOPIC_FORMAT_VERSION;
	topic->meta.incarnation = new_incarnation();
	if (!pg_strong_random(topic->meta.uuid, sizeof(topic->meta.uuid)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	/* version 4, variant 1, as RFC 4122 wants them */
	topic->meta.uuid[6] = (topic->meta.uuid[6] & 0x0F) | 0x40;
	topic->meta.uuid[8] = (topic->meta.uuid[8] & 0x3F) | 0x80;
}

/* A page of new files, locked; the file is long enough. */
static Buffer
fresh_buffer(Relation rel, BlockNumber block)
{
	return ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_ZERO_AND_LOCK, NULL);
}

static void
write_dir_page(Relation rel, BlockNumber block, uint32 incarnation, int32 lane, uint32 first_seq,
			   int level, const void *contents, uint16 size, uint16 page_id)
{
	Buffer		buffer = fresh_buffer(rel, block);
	Page		page = BufferGetPage(buffer);
	WalRecord	record;
	WalPage    *walpage;

	wal_begin(&record, XLOG_TOPIC_DIRECTORY, lane);
	START_CRIT_SECTION();
	dir_page_init(page, incarnation, lane, first_seq, level, size, page_id);
	memcpy((char *) page + DATA_PAGE_START, contents, size);
	walpage = wal_page(&record, buffer, true);
	wal_patch(walpage, DATA_PAGE_START, size);
	wal_patch(walpage, BLCKSZ - sizeof(DirOpaque), sizeof(DirOpaque));
	wal_finish(&record, rel);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
}

/*
 * Writes lane pages from block 1 on, and the meta page; the file must hold
 * them.  meta.high_block: what is taken behind them.
 */
static void
write_topic(Relation rel, NewTopic *topic)
{
	BlockNumber block = TOPIC_META_BLOCK + 1;

	for (int first = 0; first < topic->nlanes; first += LANES_PER_PAGE)
	{
		LaneEntry	lanes[LANES_PER_PAGE];

		memset(lanes, 0, sizeof(lanes));
		memcpy(lanes, topic->lanes + first,
			   Min(LANES_PER_PAGE, topic->nlanes - first) * sizeof(LaneEntry));
		write_dir_page(rel, block, topic->meta.incarnation, 0, first, 0, lanes,
					   LANE_CONTENTS, TOPIC_LANE_PAGE_ID);
		topic->meta.lane_page[first / LANES_PER_PAGE] = block++;
	}
	topic->meta.high_block = Max(topic->meta.high_block, block);
	write_dir_page(rel, TOPIC_META_BLOCK, topic->meta.incarnation, 0, 0, 0, &topic->meta,
				   sizeof(TopicMeta), TOPIC_META_PAGE_ID);
}

static int
lane_page_count(const NewTopic *topic)
{
	return (topic->nlanes + LANES_PER_PAGE - 1) / LANES_PER_PAGE;
}

/* A lane without a message, which goes on at this offset. */
static void
empty_lane_at(LaneEntry *lane, RecordOffset offset)
{
	memset(lane, 0, sizeof(*lane));
	lane->log_start = lane->initial_offset = lane->frozen_upto = offset;
}

/* After TRUNCATE: the same topic, every lane empty at its present log end. */
static void
carry_offsets(Relation rel, NewTopic *topic)
{
	TopicMeta	old;

	directory_read_meta(rel, &old);
	memcpy(topic->meta.uuid, old.uuid, sizeof(old.uuid));
	topic->meta.min_partitions = old.min_partitions;
	topic->nlanes = log_lane_limit(rel);
	topic->lanes = palloc0(Max(topic->nlanes, 1) * sizeof(LaneEntry));
	for (int lane = 0; lane < topic->nlanes; lane++)
	{
		LaneInfo	info;

		CHECK_FOR_INTERRUPTS();
		log_lane_info(rel, lane, &info);
		empty_lane_at(&topic->lanes[lane], info.log_end);
	}
}

/*
 * log_set_new_filelocator: new files, for CREATE TABLE or for TRUNCATE and
 * rewrites.  In the latter case rel still points to the old ones.
 */
void
log_set_new_filelocator(Relation rel, const RelFileLocator *newlocator, char persistence,
						TransactionId *freezeXid, MultiXactId *minmulti)
{
	NewTopic	topic;
	SMgrRelation reln;
	Relation	files;

	log_check_writable("CREATE TABLE");
	if (persistence != RELPERSISTENCE_PERMANENT)
		log_refuse("UNLOGGED or TEMPORARY", "Topics are always WAL-logged.");

	*freezeXid = RecentXmin;
	*minmulti = InvalidMultiXactId; /* messages are never locked */

	wal_prepare();
	new_topic_init(&topic);
	if (!RelFileLocatorEquals(*newlocator, RelationFileLocator(rel)))
		carry_offsets(rel, &topic);

	reln = RelationCreateStorage(*newlocator, persistence, true);
	SmgrZeroExtend(reln, 0, 1 + lane_page_count(&topic));

	/* these files belong to this transaction: with wal_level minimal no WAL */
	files = CreateFakeRelcacheEntry(*newlocator);
	files->rd_createSubid = GetCurrentSubTransactionId();
	write_topic(files, &topic);
	FreeFakeRelcacheEntry(files);
}

void
log_nontransactional_truncate(Relation rel)
{
	NewTopic	topic;

	log_check_writable("TRUNCATE TABLE");
	wal_prepare();
	new_topic_init(&topic);
	carry_offsets(rel, &topic);
	RelationTruncate(rel, 0);
	directory_forget(rel);
	extent_ensure_file(rel, 1 + lane_page_count(&topic));
	write_topic(rel, &topic);
}

/* SET TABLESPACE: the same pages elsewhere. */
void
log_copy_data(Relation rel, const RelFileLocator *newlocator)
{
	SMgrRelation target;

	FlushRelationBuffers(rel);
	target = RelationCreateStorage(*newlocator, rel->rd_rel->relpersistence, true);
	RelationCopyStorage(RelationGetSmgr(rel), target, MAIN_FORKNUM,
						rel->rd_rel->relpersistence);
	RelationDropStorage(rel);
	smgrclose(target);
}

/* ---------- VACUUM FULL ---------- */

/*
 * Copies the written pages of an extent to "block" on; returns how many.
 * incarnation: what the copies bear.
 */
static int
copy_extent(LaneMap *map, Relation to, uint32 incarnation, uint32 seq,
			BlockNumber from, BlockNumber block)
{
	int			npages = directory_valid_pages(map, seq, from);

	for (int first = 0; first < npages; first += WAL_APPEND_PAGES)
	{
		int			n = Min(WAL_APPEND_PAGES, npages - first);
		Buffer		buffers[WAL_APPEND_PAGES];
		PGAlignedBlock copies[WAL_APPEND_PAGES];
		WalRecord	record;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
			directory_copy_page(map->rel, from + first + i, NULL, copies[i].data);
		for (int i = 0; i < n; i++)
			buffers[i] = fresh_buffer(to, block + first + i);
		wal_begin(&record, XLOG_TOPIC_COPY, map->lane);
		START_CRIT_SECTION();
		for (int i = 0; i < n; i++)
		{
			Page		page = BufferGetPage(buffers[i]);
			WalPage    *walpage = wal_page(&record, buffers[i], true);

			memcpy(page, copies[i].data, BLCKSZ);
			PageSetLSN(page, (XLogRecPtr) 0);
			data_opaque(page)->incarnation = incarnation;
			if (page_lower(page) > DATA_PAGE_START)
				wal_patch(walpage, DATA_PAGE_START, page_lower(page) - DATA_PAGE_START);
			wal_patch(walpage, DATA_PAGE_END, sizeof(DataOpaque));
		}
		record.change.offset = data_opaque(BufferGetPage(buffers[n - 1]))->next_offset;
		wal_finish(&record, to);
		END_CRIT_SECTION();
		for (int i = 0; i < n; i++)
			UnlockReleaseBuffer(buffers[i]);
	}
	return npages;
}

/* One of a lane's sections on its way to new files. */
typedef struct SectionCopy
{
	LaneMap    *map;
	Relation	to;
	uint32		old_incarnation;	/* of its pages and nodes */
	uint32		incarnation;	/* of their copies */
	uint32		head;			/* extents, as its directory numbers them */
	uint32		next;
	uint32		base;			/* what readers add to that */
	BlockNumber *next_block;
} SectionCopy;

/* Copies an extent of the section; returns its new first block. */
static BlockNumber
copy_section_extent(SectionCopy *copy, uint32 seq, BlockNumber block)
{
	BlockNumber target = *copy->next_block;

	*copy->next_block += map_extent_pages(copy->map, copy->base + seq);
	extent_ensure_file(copy->to, *copy->next_block);
	copy_extent(copy->map, copy->to, copy->incarnation, copy->base + seq, block, target);
	return target;
}

/*
 * Copies a directory node and what is below it, changing block numbers by way
 * of the extents' copies; returns its new block.
 */
static BlockNumber
copy_node(SectionCopy *copy, BlockNumber block, int level, uint32 first_seq)
{
	DirEntry	entries[NODE_FANOUT];
	uint32		stride = node_stride(level);
	BlockNumber mine;

	directory_read_any_node(copy->map, block, copy->old_incarnation, level, first_seq, entries);
	for (int i = 0; i < NODE_FANOUT; i++)
	{
		uint32		seq = first_seq + i * stride;

		if (seq >= copy->next)
			break;
		if (seq + stride <= copy->head)
			memset(&entries[i], 0, sizeof(DirEntry));
		else if (level > 0)
			entries[i].block = copy_node(copy, entries[i].block, level - 1, seq);
		else if (seq >= copy->head)
			entries[i].block = copy_section_extent(copy, seq, entries[i].block);
	}
	mine = (*copy->next_block)++;
	extent_ensure_file(copy->to, *copy->next_block);
	write_dir_page(copy->to, mine, copy->incarnation, copy->map->lane, first_seq, level, entries,
				   NODE_CONTENTS, TOPIC_NODE_PAGE_ID);
	return mine;
}

static void
copy_lane(LaneMap *map, Relation to, NewTopic *topic, LaneEntry *lane, BlockNumber *next_block)
{
	SectionCopy copy = {map, to, map->incarnation, topic->meta.incarnation,
	map->entry.head_seq, map->entry.next_seq, 0, next_block};
	LaneInfo	info;

	log_lane_info(map->rel, map->lane, &info);
	if (info.log_start == info.log_end)
	{
		empty_lane_at(lane, info.log_end);
		/* as VACUUM leaves it: it has been written */
		lane->head_seq = lane->trim_seq = lane->next_seq = map->entry.next_seq;
		return;
	}
	*lane = map->entry;
	lane->next_trimmed = 0;
	if (lane->height > 0)
		lane->root = copy_node(&copy, map->entry.root, lane->height - 1, 0);
	else
	{
		for (uint32 seq = lane->head_seq; seq < lane->next_seq; seq++)
			lane->extents[seq].block = copy_section_extent(&copy, seq, map->entry.extents[seq].block);
	}
	if (lane->log_start >= lane->clean_end)
	{
		/* nobody reads it any more */
		memset(&lane->clean, 0, sizeof(SectionEntry));
		lane->flags &= ~LANE_CLEAN_TOMBSTONES;
	}
	if (lane->clean.next > 0)
	{
		copy.old_incarnation += lane->generation;
		copy.incarnation += lane->generation;
		copy.head = lane->clean.head;
		copy.next = lane->clean.next;
		copy.base = lane->trim_seq - lane->clean.next;
		lane->clean.root = copy_node(&copy, lane->clean.root, lane->clean.height - 1, 0);
	}
}

/*
 * log_copy_for_cluster: VACUUM FULL.  Extents before the log start and free
 * ones stay behind.  The cutoff handed back is never later than the oldest
 * transaction that still has to be looked up in the commit log.
 */
void
log_copy_for_cluster(Relation OldTable, Relation NewTable, Relation OldIndex, bool use_sort,
					 TransactionId OldestXmin, TransactionId *xid_cutoff,
					 MultiXactId *multi_cutoff, double *num_tuples, double *tups_vacuumed,
					 double *tups_recently_dead)
{
	NewTopic	topic;
	TopicMeta	old;
	BlockNumber next_block;
	FreezeResult frozen;

	log_check_writable("VACUUM");
	wal_prepare();
	log_freeze(OldTable, OldestXmin, true, &frozen);

	new_topic_init(&topic);
	directory_read_meta(OldTable, &old);
	memcpy(topic.meta.uuid, old.uuid, sizeof(old.uuid));
	topic.meta.min_partitions = old.min_partitions;
	topic.meta.building_generation = old.building_generation;
	topic.nlanes = log_lane_limit(OldTable);
	topic.lanes = palloc0(Max(topic.nlanes, 1) * sizeof(LaneEntry));
	next_block = TOPIC_META_BLOCK + 1 + lane_page_count(&topic);
	for (int lane = 0; lane < topic.nlanes; lane++)
	{
		LaneMap		map;

		directory_read_lane(OldTable, lane, &map);
		copy_lane(&map, NewTable, &topic, &topic.lanes[lane], &next_block);
	}
	extent_ensure_file(NewTable, next_block);
	topic.meta.high_block = next_block;
	write_topic(NewTable, &topic);
	directory_forget(NewTable);

	*xid_cutoff = frozen.oldest_xid;
	*multi_cutoff = InvalidMultiXactId;
	*num_tuples = frozen.messages;
	*tups_vacuumed = 0;
	*tups_recently_dead = 0;
}
