/*-------------------------------------------------------------------------
 *
 * pushdown.c
 *	  Custom scan "Topic Scan": a sequential scan that takes conditions.
 *
 * A table access method is given no conditions, so that a plain sequential
 * scan of a topic reads all of it.  This scan takes conditions on partition,
 * log_offset and timestamp, works out their values when it starts, and reads
 * only the lanes and offsets within.  It also reads no keys, values or headers
 * that nobody asks for, and it tells the planner that rows come by partition
 * and log_offset, ascending, or descending in "Topic Scan Backward".
 *
 * Conditions on partition and offset are exact and leave the filter;
 * timestamps do not ascend, so theirs only move the start and stay.
 *
 * The same matching is done three times: to cost a path, to make its plan from
 * the clauses that the planner then gives us, and not at all in the executor,
 * which finds the clauses in custom_exprs and what they are in custom_private.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "log/am.h"
#include "log/topicscan.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/spccache.h"
#include "utils/typcache.h"

bool		enable_topicscan = true;

static set_rel_pathlist_hook_type previous_set_rel_pathlist = NULL;

/* ---------- which clauses are conditions ---------- */

typedef struct TopicClause
{
	Expr	   *expr;			/* commuted so that the column is on the left */
	TopicColumn column;
	int			strategy;
	bool		exact;			/* no row within the bounds can fail it */
} TopicClause;

/* The column that may have a condition, if the node is one of "relid". */
static bool
is_bounded_column(Node *node, Index relid, TopicColumn *column)
{
	Var		   *var = (Var *) node;

	if (node == NULL || !IsA(node, Var) || var->varno != (int) relid ||
		var->varlevelsup != 0)
		return false;
	*column = (TopicColumn) var->varattno;
	return *column == TOPIC_COL_PARTITION || *column == TOPIC_COL_LOG_OFFSET ||
		*column == TOPIC_COL_TIMESTAMP;
}

/* A value that is the same for all rows of one scan. */
static bool
is_bound(PlannerInfo *root, RelOptInfo *rel, Node *node)
{
	return !bms_is_member(rel->relid, pull_varnos(root, node)) &&
		!contain_volatile_functions(node) &&
		!contain_subplans(node);
}

static int
btree_strategy(Oid opno, TopicColumn column)
{
	Oid			type = column == TOPIC_COL_TIMESTAMP ? TIMESTAMPTZOID : INT8OID;

	return get_op_opfamily_strategy(opno,
									lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf);
}

static bool
match_operator(PlannerInfo *root, RelOptInfo *rel, OpExpr *op, TopicClause *clause)
{
	Node	   *left;
	Node	   *right;

	if (list_length(op->args) != 2)
		return false;
	left = linitial(op->args);
	right = lsecond(op->args);
	clause->expr = (Expr *) op;

	if (!is_bounded_column(left, rel->relid, &clause->column))
	{
		OpExpr	   *commuted;

		if (!is_bounded_column(right, rel->relid, &clause->column) ||
			!OidIsValid(get_commutator(op->opno)))
			return false;
		commuted = copyObject(op);
		CommuteOpExpr(commuted);
		clause->expr = (Expr *) commuted;
		op = commuted;
		right = left;
	}

	clause->strategy = btree_strategy(op->opno, clause->column);
	clause->exact = clause->column != TOPIC_COL_TIMESTAMP;
	return clause->strategy != 0 && is_bound(root, rel, right);
}

/* column = ANY (array) */
static bool
match_array(PlannerInfo *root, RelOptInfo *rel, ScalarArrayOpExpr *op, TopicClause *clause)
{
	if (!op->useOr ||
		!is_bounded_column(linitial(op->args), rel->relid, &clause->column) ||
		clause->column == TOPIC_COL_TIMESTAMP)
		return false;

	clause->expr = (Expr *) op;
	clause->strategy = btree_strategy(op->opno, clause->column);
	clause->exact = clause->column == TOPIC_COL_PARTITION;
	return clause->strategy == BTEqualStrategyNumber &&
		is_bound(root, rel, lsecond(op->args));
}

static bool
match_clause(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *rinfo, TopicClause *clause)
{
	if (rinfo->pseudoconstant || !restriction_is_securely_promotable(rinfo, rel))
		return false;
	if (is_opclause(rinfo->clause))
		return match_operator(root, rel, (OpExpr *) rinfo->clause, clause);
	if (IsA(rinfo->clause, ScalarArrayOpExpr))
		return match_array(root, rel, (ScalarArrayOpExpr *) rinfo->clause, clause);
	return false;
}

/* ---------- cost ---------- */

/* Whether a clause cuts something off, and is not only kept as a filter. */
static bool
clause_cuts(const TopicClause *clause)
{
	return clause->column != TOPIC_COL_TIMESTAMP ||
		clause->strategy >= BTEqualStrategyNumber;
}

/*
 * The part of the topic that a scan with these clauses reads.  Offsets and
 * timestamps ascend together, so only the sharper of the two counts.
 */
static double
scanned_fraction(PlannerInfo *root, RelOptInfo *rel, List *rinfos, bool *bounded)
{
	List	   *by_column[TOPIC_COL_TIMESTAMP + 1] = {NIL, NIL, NIL, NIL};
	double		fraction[TOPIC_COL_TIMESTAMP + 1];
	ListCell   *lc;

	*bounded = false;
	foreach(lc, rinfos)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		TopicClause clause;

		if (match_clause(root, rel, rinfo, &clause) && clause_cuts(&clause))
		{
			by_column[clause.column] = lappend(by_column[clause.column], rinfo);
			*bounded = true;
		}
	}

	for (int i = TOPIC_COL_PARTITION; i <= TOPIC_COL_TIMESTAMP; i++)
		fraction[i] = clauselist_selectivity(root, by_column[i], rel->relid,
											 JOIN_INNER, NULL);
	return fraction[TOPIC_COL_PARTITION] *
		Min(fraction[TOPIC_COL_LOG_OFFSET], fraction[TOPIC_COL_TIMESTAMP]);
}

/* As get_parallel_divisor() of costsize.c: the leader helps a little. */
static double
parallel_divisor(int workers)
{
	double		divisor = workers;

	if (parallel_leader_participation)
		divisor += Max(0, 1.0 - 0.3 * workers);
	return divisor;
}

static void
cost_topic_scan(PlannerInfo *root, RelOptInfo *rel, Path *path)
{
	ParamPathInfo *param_info = path->param_info;
	List	   *rinfos = rel->baserestrictinfo;
	QualCost	qual = rel->baserestrictcost;
	double		fraction;
	double		random_cost;
	double		page_cost;
	Cost		cpu;
	bool		bounded;

	path->rows = rel->rows;
	if (param_info)
	{
		QualCost	join_qual;

		path->rows = param_info->ppi_rows;
		rinfos = list_concat_copy(rinfos, param_info->ppi_clauses);
		cost_qual_eval(&join_qual, param_info->ppi_clauses, root);
		qual.startup += join_qual.startup;
		qual.per_tuple += join_qual.per_tuple;
	}
	fraction = scanned_fraction(root, rel, rinfos, &bounded);
	get_tablespace_page_costs(rel->reltablespace, &random_cost, &page_cost);

	cpu = (cpu_tuple_cost + qual.per_tuple) * fraction * rel->tuples;
	cpu += path->pathtarget->cost.per_tuple * path->rows;
	if (path->parallel_workers > 0)
	{
		double		divisor = parallel_divisor(path->parallel_workers);

		cpu /= divisor;
		path->rows = clamp_row_est(path->rows / divisor);
	}

	/* a lane's entry and the page to begin at */
	path->startup_cost = qual.startup + path->pathtarget->cost.startup +
		(bounded ? 2 * random_cost : 0);
	path->total_cost = path->startup_cost + cpu +
		page_cost * ceil(fraction * rel->pages);
}

/* ---------- paths ---------- */

static Plan *plan_topic_scan(PlannerInfo *root, RelOptInfo *rel,
							 CustomPath *best_path, List *tlist,
							 List *clauses, List *custom_plans);

static const CustomPathMethods forward_path_methods = {
	.CustomName = TOPIC_SCAN_NAME,
	.PlanCustomPath = plan_topic_scan
};

static const CustomPathMethods backward_path_methods = {
	.CustomName = TOPIC_SCAN_BACKWARD_NAME,
	.PlanCustomPath = plan_topic_scan
};

static CustomPath *
make_path(PlannerInfo *root, RelOptInfo *rel, Relids required_outer,
		  bool backward, int workers)
{
	CustomPath *path = makeNode(CustomPath);

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = get_baserel_parampathinfo(root, rel, required_outer);
	path->path.parallel_aware = workers > 0;
	path->path.parallel_safe = rel->consider_parallel;
	path->path.parallel_workers = workers;
	path->flags = CUSTOMPATH_SUPPORT_BACKWARD_SCAN | CUSTOMPATH_SUPPORT_PROJECTION;
	path->methods = backward ? &backward_path_methods : &forward_path_methods;
	cost_topic_scan(root, rel, &path->path);
	return path;
}

/*
 * The order in which rows come, as far as the query has a use for it: by
 * partition, which drops out where there is only one, and log_offset.
 */
static List *
scan_pathkeys(PlannerInfo *root, RelOptInfo *rel, bool backward)
{
	const Oid	types[] = {INT4OID, INT8OID};
	List	   *pathkeys = NIL;

	for (int i = 0; i < 2; i++)
	{
		Var		   *var = makeVar(rel->relid, TOPIC_COL_PARTITION + i, types[i],
								  -1, InvalidOid, 0);
		TypeCacheEntry *type = lookup_type_cache(types[i], TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);
		List	   *pathkey;

		pathkey = BuildExpressionPathkey(root, (Expr *) var,
										 backward ? type->gt_opr : type->lt_opr,
										 rel->relids);
		if (pathkey == NIL)
			break;
		if (!EC_MUST_BE_REDUNDANT(((PathKey *) linitial(pathkey))->pk_eclass))
			pathkeys = list_concat(pathkeys, pathkey);
	}
	return truncate_useless_pathkeys(root, rel, pathkeys);
}

static void
add_plain_paths(PlannerInfo *root, RelOptInfo *rel)
{
	Relids		outer = rel->lateral_relids;
	CustomPath *path = make_path(root, rel, outer, false, 0);
	List	   *descending;

	path->path.pathkeys = scan_pathkeys(root, rel, false);
	add_path(rel, (Path *) path);

	descending = scan_pathkeys(root, rel, true);
	if (descending != NIL)
	{
		path = make_path(root, rel, outer, true, 0);
		path->path.pathkeys = descending;
		add_path(rel, (Path *) path);
	}

	if (rel->consider_parallel && outer == NULL)
	{
		int			workers = compute_parallel_worker(rel, rel->pages, -1,
													  max_parallel_workers_per_gather);

		if (workers > 0)
			add_partial_path(rel, (Path *) make_path(root, rel, NULL, false, workers));
	}
}

/* Callback of generate_implied_equalities_for_column(). */
static bool
member_is_bounded_column(PlannerInfo *root, RelOptInfo *rel,
						 EquivalenceClass *ec, EquivalenceMember *em, void *arg)
{
	TopicColumn column;

	return is_bounded_column((Node *) em->em_expr, rel->relid, &column);
}

/*
 * For joins: the other side gives the bounds, once for each of its rows.  One
 * path for each set of relations that can do so.
 */
static void
add_join_paths(PlannerInfo *root, RelOptInfo *rel)
{
	List	   *rinfos = NIL;
	List	   *tried = NIL;
	ListCell   *lc;

	foreach(lc, rel->joininfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (join_clause_is_movable_to(rinfo, rel))
			rinfos = lappend(rinfos, rinfo);
	}
	if (rel->has_eclass_joins)
		rinfos = list_concat(rinfos,
							 generate_implied_equalities_for_column(root, rel,
																	member_is_bounded_column,
																	NULL,
																	rel->lateral_referencers));

	foreach(lc, rinfos)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		TopicClause clause;
		Relids		outer;
		ListCell   *lc2;

		if (!match_clause(root, rel, rinfo, &clause) || !clause_cuts(&clause))
			continue;
		outer = bms_union(bms_difference(rinfo->clause_relids, rel->relids),
						  rel->lateral_relids);
		if (bms_is_empty(outer))
			continue;
		foreach(lc2, tried)
		{
			if (bms_equal((Relids) lfirst(lc2), outer))
				break;
		}
		if (lc2)
			continue;
		tried = lappend(tried, outer);
		add_path(rel, (Path *) make_path(root, rel, outer, false, 0));
	}
}

/* Takes away the paths that a Topic Scan does better. */
static List *
without_seqscans(List *paths)
{
	ListCell   *lc;

	foreach(lc, paths)
	{
		if (((Path *) lfirst(lc))->pathtype == T_SeqScan)
			paths = foreach_delete_current(paths, lc);
	}
	return paths;
}

static void
topic_set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	Relation	relation;

	if (previous_set_rel_pathlist)
		previous_set_rel_pathlist(root, rel, rti, rte);

	if (rte->rtekind != RTE_RELATION || rte->relkind != RELKIND_RELATION ||
		!IS_SIMPLE_REL(rel))
		return;

	/* the planner holds a lock */
	relation = table_open(rte->relid, NoLock);
	if (RelationIsLog(relation))
	{
		/* other processes do not know which messages are this command's */
		if (log_own_appends(relation))
		{
			rel->consider_parallel = false;
			rel->partial_pathlist = NIL;
		}

		if (enable_topicscan && !IS_DUMMY_REL(rel))
		{
			rel->pathlist = without_seqscans(rel->pathlist);
			rel->partial_pathlist = without_seqscans(rel->partial_pathlist);
			add_plain_paths(root, rel);
			add_join_paths(root, rel);
		}
	}
	table_close(relation, NoLock);
}

/* ---------- plan ---------- */

/*
 * The columns that the filter or anything above the scan looks at.  The target
 * list does not tell: it may have all columns because that is cheapest.
 */
static Bitmapset *
needed_columns(RelOptInfo *rel, Path *path, List *filter)
{
	Bitmapset  *needed = NULL;

	pull_varattnos((Node *) path->pathtarget->exprs, rel->relid, &needed);
	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &needed);
	pull_varattnos((Node *) filter, rel->relid, &needed);
	return needed;
}

static bool
column_needed(Bitmapset *needed, int attno)
{
	return bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, needed) ||
		bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, needed);
}

static Plan *
plan_topic_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path,
				List *tlist, List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	bool		backward = best_path->methods == &backward_path_methods;
	Bitmapset  *needed;
	List	   *kinds = NIL;
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		TopicClause clause;

		if (rinfo->pseudoconstant)
			continue;
		if (match_clause(root, rel, rinfo, &clause))
		{
			scan->custom_exprs = lappend(scan->custom_exprs, clause.expr);
			kinds = lappend_int(kinds, clause.column);
			kinds = lappend_int(kinds, clause.strategy);
			kinds = lappend_int(kinds, clause.exact);
			if (clause.exact)
				continue;
		}
		scan->scan.plan.qual = lappend(scan->scan.plan.qual, rinfo->clause);
	}

	needed = needed_columns(rel, &best_path->path, scan->scan.plan.qual);
	for (int attno = TOPIC_COL_KEY; attno <= TOPIC_COL_HEADERS; attno++)
		columns = lappend_int(columns, column_needed(needed, attno));

	scan->scan.scanrelid = rel->relid;
	scan->scan.plan.targetlist = tlist;
	scan->flags = best_path->flags;
	scan->custom_private = list_make2(kinds, columns);
	scan->methods = backward ? &topic_scan_backward_methods : &topic_scan_methods;
	return (Plan *) scan;
}

void
log_pushdown_init(void)
{
	DefineCustomBoolVariable("pgtopic.enable_topicscan",
							 "Enables the planner's use of Topic Scans, which read only the part of a topic that a query asks for.",
							 NULL,
							 &enable_topicscan,
							 true,
							 PGC_USERSET,
							 GUC_EXPLAIN,
							 NULL, NULL, NULL);

	topic_scan_register();
	previous_set_rel_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = topic_set_rel_pathlist;
}
