/*-------------------------------------------------------------------------
 *
 * fetch_scan.c
 *	  FROM topic.fetch(...) as a scan of the log.
 *
 * PostgreSQL stores all that a function in FROM returns before it uses the first
 * row: a copy of every message.  The scan here takes the function's place in
 * a query's plan, and hands on messages as they are read.  Where it cannot do
 * so it leaves the function alone; the rows are the same.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "commands/explain.h"
#include "compat.h"
#include "consumer/fetch.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

typedef struct FetchScanState
{
	CustomScanState css;
	SetExprState *call;			/* the function, for its checks and arguments */
	MessageFormat format;
	bool		want_key;
	bool		want_value;
	MemoryContext context;		/* of the fetch; NULL = none is open */
	Fetch		fetch;
} FetchScanState;

static set_rel_pathlist_hook_type prev_set_rel_pathlist_hook = NULL;

static void fetch_set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti,
								   RangeTblEntry *rte);
static Plan *fetch_plan_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
							 List *tlist, List *clauses, List *custom_plans);
static Node *fetch_create_state(CustomScan *cscan);
static void fetch_begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *fetch_exec_scan(CustomScanState *node);
static void fetch_end_scan(CustomScanState *node);
static void fetch_rescan(CustomScanState *node);
static void fetch_explain_scan(CustomScanState *node, List *ancestors,
							   ExplainState *es);

static const CustomPathMethods fetch_path_methods = {
	.CustomName = "Topic Fetch",
	.PlanCustomPath = fetch_plan_path
};

static const CustomScanMethods fetch_scan_methods = {
	.CustomName = "Topic Fetch",
	.CreateCustomScanState = fetch_create_state
};

static const CustomExecMethods fetch_exec_methods = {
	.CustomName = "Topic Fetch",
	.BeginCustomScan = fetch_begin_scan,
	.ExecCustomScan = fetch_exec_scan,
	.EndCustomScan = fetch_end_scan,
	.ReScanCustomScan = fetch_rescan,
	.ExplainCustomScan = fetch_explain_scan
};

void
fetch_scan_init(void)
{
	RegisterCustomScanMethods(&fetch_scan_methods);
	prev_set_rel_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = fetch_set_rel_pathlist;
}

/* Whether the function is one of ours, and in which format it returns rows. */
static bool
fetch_function_format(Oid funcid, MessageFormat *format)
{
	FmgrInfo	function;

	/* Looking into the library costs more than the schema's name. */
	if (get_func_namespace(funcid) != get_namespace_oid("topic", true))
		return false;

	fmgr_info(funcid, &function);
	if (function.fn_addr == pgtopic_fetch)
		*format = MESSAGE_BYTES;
	else if (function.fn_addr == pgtopic_fetch_text)
		*format = MESSAGE_TEXT;
	else if (function.fn_addr == pgtopic_fetch_json)
		*format = MESSAGE_JSON;
	else
		return false;
	return true;
}

/* The call that a range table entry consists of, if it is one to replace. */
static FuncExpr *
fetch_call(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte,
		   MessageFormat *format)
{
	RangeTblFunction *function;
	FuncExpr   *call;

	if (rte->rtekind != RTE_FUNCTION || rte->funcordinality ||
		list_length(rte->functions) != 1)
		return NULL;

	function = linitial_node(RangeTblFunction, rte->functions);
	if (!IsA(function->funcexpr, FuncExpr))
		return NULL;
	call = (FuncExpr *) function->funcexpr;
	if (!fetch_function_format(call->funcid, format) ||
		list_length(call->args) != FETCH_NARGS || rel->max_attr != MESSAGE_NATTS)
		return NULL;

	/*
	 * Row locks and UPDATE ask for a row once more by its place in the range
	 * table, which a scan without a relation does not have.  A reference to
	 * the whole row would have to be made into one.
	 */
	if (root->parse->commandType != CMD_SELECT || root->parse->rowMarks != NIL ||
		!bms_is_empty(rel->attr_needed[0 - rel->min_attr]))
		return NULL;

	return call;
}

static void
fetch_set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti,
					   RangeTblEntry *rte)
{
	CustomPath *path;
	FuncExpr   *call;
	MessageFormat format;

	if (prev_set_rel_pathlist_hook)
		prev_set_rel_pathlist_hook(root, rel, rti, rte);

	call = fetch_call(root, rel, rte, &format);
	if (call == NULL)
		return;

	path = makeNode(CustomPath);
	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.param_info = get_baserel_parampathinfo(root, rel, rel->lateral_relids);
	path->path.parallel_aware = false;
	path->path.parallel_safe = false;
	path->path.parallel_workers = 0;
	path->path.pathkeys = NIL;
	path->path.rows = path->path.param_info ? path->path.param_info->ppi_rows : rel->rows;

	/* Always less than the function, which does the same and more. */
	path->path.startup_cost = rel->baserestrictcost.startup;
	path->path.total_cost = path->path.startup_cost +
		(cpu_tuple_cost / 2 + rel->baserestrictcost.per_tuple) * rel->tuples +
		rel->reltarget->cost.startup +
		rel->reltarget->cost.per_tuple * path->path.rows;

	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_private = list_make2(call, makeInteger(format));
	path->methods = &fetch_path_methods;
	add_path(rel, &path->path);
}

/* Whether the plan uses a column, of the seven that every format has. */
static bool
column_used(Bitmapset *attnos, int attno)
{
	return bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, attnos);
}

static Plan *
fetch_plan_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
				List *tlist, List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	FuncExpr   *call = (FuncExpr *) linitial(path->custom_private);
	MessageFormat format = intVal(lsecond(path->custom_private));
	Bitmapset  *used = NULL;
	TupleDesc	desc;

	if (get_expr_result_type((Node *) call, NULL, &desc) != TYPEFUNC_COMPOSITE)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("function \"%s\" does not return a composite type",
						get_func_name(call->funcid)),
				 errhint("Do not replace functions of extension pgtopic.")));

	scan->scan.scanrelid = 0;
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->flags = path->flags;
	scan->methods = &fetch_scan_methods;
	scan->custom_exprs = list_make1(call);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Var		   *var = makeVar(rel->relid, i + 1, att->atttypid,
								  att->atttypmod, att->attcollation, 0);

		scan->custom_scan_tlist =
			lappend(scan->custom_scan_tlist,
					makeTargetEntry((Expr *) var, i + 1,
									pstrdup(NameStr(att->attname)), false));
	}

	/*
	 * Only bytes may be passed over: what is not text or JSON is an error.
	 * The target list here may be replaced later by one that uses more.
	 */
	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &used);
	pull_varattnos((Node *) scan->scan.plan.qual, rel->relid, &used);
	scan->custom_private =
		list_make3_int(format,
					   format != MESSAGE_BYTES || column_used(used, MESSAGE_COL_KEY),
					   format != MESSAGE_BYTES || column_used(used, MESSAGE_COL_VALUE));
	return &scan->scan.plan;
}

static Node *
fetch_create_state(CustomScan *cscan)
{
	FetchScanState *state = (FetchScanState *)
		newNode(sizeof(FetchScanState), T_CustomScanState);

	state->css.methods = &fetch_exec_methods;
	state->format = linitial_int(cscan->custom_private);
	state->want_key = lsecond_int(cscan->custom_private);
	state->want_value = lthird_int(cscan->custom_private);
	return (Node *) state;
}

static void
fetch_begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	FetchScanState *state = (FetchScanState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	/* Checks EXECUTE on the function, as if it were to be called. */
	state->call = ExecInitTableFunctionResult(linitial(scan->custom_exprs),
											  node->ss.ps.ps_ExprContext,
											  &node->ss.ps);
}

/* Evaluates the arguments and opens the fetch. */
static void
open_fetch(FetchScanState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	NullableDatum args[FETCH_NARGS];
	MemoryContext old;
	ListCell   *lc;
	int			i = 0;

	foreach(lc, state->call->args)
	{
		args[i].value = ExecEvalExprSwitchContext((ExprState *) lfirst(lc), econtext,
												  &args[i].isnull);
		i++;
	}

	state->context = AllocSetContextCreate(econtext->ecxt_per_query_memory,
										   "pgtopic fetch", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(state->context);
	fetch_open(&state->fetch, args, state->format);
	state->fetch.want_key = state->want_key;
	state->fetch.want_value = state->want_value;
	MemoryContextSwitchTo(old);
}

static void
close_fetch(FetchScanState *state)
{
	if (state->context == NULL)
		return;

	fetch_close(&state->fetch);
	MemoryContextDelete(state->context);
	state->context = NULL;
}

/*
 * What ExecScan does, without its part for EvalPlanQual: a scan of no relation
 * would be asked there for a row that only a relation has.
 */
static TupleTableSlot *
fetch_exec_scan(CustomScanState *node)
{
	FetchScanState *state = (FetchScanState *) node;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	ProjectionInfo *projection = node->ss.ps.ps_ProjInfo;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	Fetch	   *fetch = &state->fetch;

	ResetExprContext(econtext);
	if (state->context == NULL)
		open_fetch(state);

	for (;;)
	{
		ExecClearTuple(slot);
		if (!fetch_next(fetch))
			return projection ? ExecClearTuple(projection->pi_state.resultslot) : slot;

		message_values(&fetch->writer, fetch->partition, &fetch->record,
					   slot->tts_values, slot->tts_isnull);
		ExecStoreVirtualTuple(slot);

		econtext->ecxt_scantuple = slot;
		if (ExecQual(node->ss.ps.qual, econtext))
			return projection ? ExecProject(projection) : slot;

		InstrCountFiltered1(node, 1);
		ResetExprContext(econtext);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
fetch_end_scan(CustomScanState *node)
{
	close_fetch((FetchScanState *) node);
}

static void
fetch_rescan(CustomScanState *node)
{
	FetchScanState *state = (FetchScanState *) node;

	ExecClearTuple(node->ss.ss_ScanTupleSlot);

	/* Like a function, it is called again only for other arguments. */
	if (node->ss.ps.chgParam != NULL)
		close_fetch(state);
	else if (state->context != NULL)
		fetch_restart(&state->fetch);
}

static void
fetch_explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	List	   *context = set_deparse_context_plan(es->deparse_cxt,
												   node->ss.ps.plan, ancestors);

	ExplainPropertyText("Function Call",
						deparse_expression(linitial(scan->custom_exprs), context,
										   list_length(es->rtable) > 1 || es->verbose,
										   false),
						es);
}
