/*-------------------------------------------------------------------------
 *
 * topicscan.c
 *	  The executor's side of custom scan "Topic Scan"; the planner's side is
 *	  pushdown.c.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "common/int.h"
#include "compat.h"
#include "executor/executor.h"
#include "log/am.h"
#include "log/cursor.h"
#include "log/topicscan.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

/* One condition: column, operator, value. */
typedef struct TopicCond
{
	TopicColumn column;
	int			strategy;
	bool		array;			/* = ANY (value) */
	Oid			type;			/* of the value, or of its elements */
	ExprState  *value;
} TopicCond;

typedef struct TopicScanState
{
	CustomScanState css;
	bool		backward;
	int			nconds;
	TopicCond  *conds;
	ExprState  *recheck;		/* the exact conditions, for EvalPlanQual */
	LogCursor  *cursor;
	bool		started;
	Bitmapset  *lanes;			/* in CursorBounds of this start */
	SharedCursor *shared;		/* of a parallel scan, or NULL */
} TopicScanState;

/* ---------- bounds ---------- */

static int64
integer_value(Datum value, Oid type)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			Assert(type == INT8OID);
			return DatumGetInt64(value);
	}
}

/* As the comparison operators between these types convert. */
static TimestampTz
timestamp_value(Datum value, Oid type)
{
	int			overflow;

	switch (type)
	{
		case DATEOID:
			return date2timestamptz_opt_overflow(DatumGetDateADT(value), &overflow);
		case TIMESTAMPOID:
			return timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value), &overflow);
		default:
			Assert(type == TIMESTAMPTZOID);
			return DatumGetTimestampTz(value);
	}
}

/* The range [*lower, *upper) of what fulfils "x operator value". */
static void
range_of(int strategy, int64 value, int64 *lower, int64 *upper)
{
	*lower = 0;
	*upper = PG_INT64_MAX;

	/* nothing is as large as the largest integer */
	if (value == PG_INT64_MAX)
	{
		if (strategy >= BTEqualStrategyNumber)
			*upper = 0;
		return;
	}

	switch (strategy)
	{
		case BTLessStrategyNumber:
			*upper = value;
			break;
		case BTLessEqualStrategyNumber:
			*upper = value + 1;
			break;
		case BTEqualStrategyNumber:
			*lower = value;
			*upper = value + 1;
			break;
		case BTGreaterEqualStrategyNumber:
			*lower = value;
			break;
		case BTGreaterStrategyNumber:
			*lower = value + 1;
			break;
	}
}

static void
bound_integer(const TopicCond *cond, int64 lower, int64 upper, CursorBounds *bounds)
{
	if (cond->column == TOPIC_COL_PARTITION)
	{
		bounds->first_lane = Max(bounds->first_lane, Min(lower, LOG_MAX_LANES));
		bounds->lane_limit = Min(bounds->lane_limit, Max(upper, 0));
	}
	else
	{
		bounds->lower = Max(bounds->lower, lower);
		bounds->upper = Min(bounds->upper, upper);
	}
}

/*
 * column = ANY (array): a set of lanes; of offsets the range in which they
 * lie, which the filter then thins out.
 */
static void
bound_array(TopicScanState *state, const TopicCond *cond, Datum value, CursorBounds *bounds)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	MemoryContext query_context = state->css.ss.ps.state->es_query_cxt;
	Bitmapset  *lanes = NULL;
	int64		least = PG_INT64_MAX;
	int64		greatest = -1;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	get_typlenbyvalalign(cond->type, &typlen, &typbyval, &typalign);
	deconstruct_array(array, cond->type, typlen, typbyval, typalign,
					  &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		int64		element;

		if (nulls[i])
			continue;
		element = integer_value(elements[i], cond->type);
		if (element < 0)
			continue;
		least = Min(least, element);
		greatest = Max(greatest, element);
		if (cond->column == TOPIC_COL_PARTITION && element < LOG_MAX_LANES)
			lanes = bms_add_member(lanes, (int) element);
	}

	if (greatest < 0)
		bounds->lane_limit = 0;
	else if (cond->column == TOPIC_COL_LOG_OFFSET)
		bound_integer(cond, least,
					  greatest < PG_INT64_MAX ? greatest + 1 : greatest, bounds);
	else
	{
		MemoryContext old = MemoryContextSwitchTo(query_context);

		if (bounds->lanes)
			state->lanes = bms_int_members(state->lanes, lanes);
		else
			state->lanes = bms_copy(lanes);
		bounds->lanes = state->lanes;
		MemoryContextSwitchTo(old);
		if (bms_is_empty(bounds->lanes))
			bounds->lane_limit = 0;
	}
}

static void
bound_timestamp(const TopicCond *cond, Datum value, CursorBounds *bounds)
{
	if (cond->strategy >= BTEqualStrategyNumber)
	{
		int64		ms = log_timestamp_from_tz(timestamp_value(value, cond->type));

		bounds->min_timestamp = Max(bounds->min_timestamp, ms);
	}
}

/* Takes one condition into the bounds; a NULL value lets nothing through. */
static void
apply_condition(TopicScanState *state, const TopicCond *cond, CursorBounds *bounds)
{
	Datum		value;
	bool		isnull;
	int64		lower;
	int64		upper;

	value = ExecEvalExprSwitchContext(cond->value,
									  state->css.ss.ps.ps_ExprContext, &isnull);
	if (isnull)
		bounds->lane_limit = 0;
	else if (cond->array)
		bound_array(state, cond, value, bounds);
	else if (cond->column == TOPIC_COL_TIMESTAMP)
		bound_timestamp(cond, value, bounds);
	else
	{
		range_of(cond->strategy, integer_value(value, cond->type), &lower, &upper);
		bound_integer(cond, lower, upper, bounds);
	}
}

/* ---------- running ---------- */

static void
start_scan(TopicScanState *state)
{
	CustomScan *plan = (CustomScan *) state->css.ss.ps.plan;
	EState	   *estate = state->css.ss.ps.state;
	Relation	rel = state->css.ss.ss_currentRelation;
	CursorBounds bounds;
	MemoryContext old;

	if (state->cursor == NULL)
	{
		List	   *columns = lsecond(plan->custom_private);

		old = MemoryContextSwitchTo(estate->es_query_cxt);
		state->cursor = log_cursor_create(rel, estate->es_snapshot, LANE_READ_SELECT);
		log_cursor_want(state->cursor, linitial_int(columns),
						lsecond_int(columns), lthird_int(columns));
		MemoryContextSwitchTo(old);
	}
	log_cursor_share(state->cursor, state->shared);

	bms_free(state->lanes);
	state->lanes = NULL;
	log_bounds_all(&bounds);
	for (int i = 0; i < state->nconds && bounds.lane_limit > 0; i++)
		apply_condition(state, &state->conds[i], &bounds);
	log_bounds_limit(rel, estate->es_snapshot, &bounds);

	log_cursor_start(state->cursor, &bounds, state->backward);
	state->started = true;
}

static TupleTableSlot *
topic_scan_next(ScanState *node)
{
	TopicScanState *state = (TopicScanState *) node;
	ScanDirection direction = node->ps.state->es_direction;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;

	if (!state->started)
		start_scan(state);
	if (state->backward)
		direction = (ScanDirection) -direction;
	return log_cursor_fetch(state->cursor, direction, slot) ? slot : NULL;
}

/* Conditions that are in the filter as well are tested there. */
static bool
topic_scan_recheck(ScanState *node, TupleTableSlot *slot)
{
	TopicScanState *state = (TopicScanState *) node;
	ExprContext *econtext = node->ps.ps_ExprContext;

	econtext->ecxt_scantuple = slot;
	return ExecQualAndReset(state->recheck, econtext);
}

static TupleTableSlot *
topic_scan_exec(CustomScanState *node)
{
	return ExecScan(&node->ss, topic_scan_next, topic_scan_recheck);
}

static void
topic_scan_begin(CustomScanState *node, EState *estate, int eflags)
{
	TopicScanState *state = (TopicScanState *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	ListCell   *kind = list_head(linitial(plan->custom_private));
	List	   *exact = NIL;
	ListCell   *lc;

	state->conds = palloc0(sizeof(TopicCond) * list_length(plan->custom_exprs));
	foreach(lc, plan->custom_exprs)
	{
		Expr	   *expr = lfirst(lc);
		TopicCond  *cond = &state->conds[state->nconds++];
		List	   *kinds = linitial(plan->custom_private);
		Oid			left;
		Oid			opno;
		Expr	   *value;

		cond->array = IsA(expr, ScalarArrayOpExpr);
		opno = cond->array ? ((ScalarArrayOpExpr *) expr)->opno : ((OpExpr *) expr)->opno;
		value = lsecond(cond->array ? ((ScalarArrayOpExpr *) expr)->args : ((OpExpr *) expr)->args);
		op_input_types(opno, &left, &cond->type);
		cond->value = ExecInitExpr(value, &node->ss.ps);

		cond->column = (TopicColumn) lfirst_int(kind);
		kind = lnext(kinds, kind);
		cond->strategy = lfirst_int(kind);
		kind = lnext(kinds, kind);
		if (lfirst_int(kind))
			exact = lappend(exact, expr);
		kind = lnext(kinds, kind);
	}
	state->recheck = ExecInitQual(exact, &node->ss.ps);
}

static void
topic_scan_rescan(CustomScanState *node)
{
	((TopicScanState *) node)->started = false;
	ExecScanReScan(&node->ss);
}

static void
topic_scan_end(CustomScanState *node)
{
	TopicScanState *state = (TopicScanState *) node;

	if (state->cursor)
		log_cursor_free(state->cursor);
}

/* ---------- parallel ---------- */

static Size
topic_scan_estimate(CustomScanState *node, ParallelContext *pcxt)
{
	return sizeof(SharedCursor);
}

static void
topic_scan_join(CustomScanState *node, shm_toc *toc, void *coordinate)
{
	TopicScanState *state = (TopicScanState *) node;

	state->shared = coordinate;
	state->started = false;
}

static void
topic_scan_initialize(CustomScanState *node, ParallelContext *pcxt, void *coordinate)
{
	log_shared_cursor_init(coordinate);
	topic_scan_join(node, NULL, coordinate);
}

/* ---------- EXPLAIN ---------- */

static void
explain_conditions(TopicScanState *state, TopicColumn column, const char *label,
				   List *context, bool prefix, ExplainState *es)
{
	CustomScan *plan = (CustomScan *) state->css.ss.ps.plan;
	List	   *exprs = NIL;
	ListCell   *lc;

	foreach(lc, plan->custom_exprs)
	{
		if (state->conds[foreach_current_index(lc)].column == column)
			exprs = lappend(exprs, lfirst(lc));
	}
	if (exprs != NIL)
		ExplainPropertyText(label,
							deparse_expression((Node *) make_ands_explicit(exprs),
											   context, prefix, false),
							es);
}

static void
topic_scan_explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
	TopicScanState *state = (TopicScanState *) node;
	bool		prefix = list_length(es->rtable) > 1 || es->verbose;
	List	   *context;

	context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, ancestors);
	explain_conditions(state, TOPIC_COL_PARTITION, "Partition Cond", context, prefix, es);
	explain_conditions(state, TOPIC_COL_LOG_OFFSET, "Offset Cond", context, prefix, es);
	explain_conditions(state, TOPIC_COL_TIMESTAMP, "Timestamp Cond", context, prefix, es);
}

/* ---------- registration ---------- */

static const CustomExecMethods topic_scan_exec_methods = {
	.CustomName = TOPIC_SCAN_NAME,
	.BeginCustomScan = topic_scan_begin,
	.ExecCustomScan = topic_scan_exec,
	.EndCustomScan = topic_scan_end,
	.ReScanCustomScan = topic_scan_rescan,
	.EstimateDSMCustomScan = topic_scan_estimate,
	.InitializeDSMCustomScan = topic_scan_initialize,
	.ReInitializeDSMCustomScan = topic_scan_initialize,
	.InitializeWorkerCustomScan = topic_scan_join,
	.ExplainCustomScan = topic_scan_explain
};

static Node *
topic_scan_create(CustomScan *plan)
{
	TopicScanState *state = palloc0(sizeof(TopicScanState));

	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &topic_scan_exec_methods;
	state->backward = plan->methods == &topic_scan_backward_methods;
	return (Node *) state;
}

const CustomScanMethods topic_scan_methods = {
	.CustomName = TOPIC_SCAN_NAME,
	.CreateCustomScanState = topic_scan_create
};

const CustomScanMethods topic_scan_backward_methods = {
	.CustomName = TOPIC_SCAN_BACKWARD_NAME,
	.CreateCustomScanState = topic_scan_create
};

void
topic_scan_register(void)
{
	RegisterCustomScanMethods(&topic_scan_methods);
	RegisterCustomScanMethods(&topic_scan_backward_methods);
}
