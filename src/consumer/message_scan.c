/*-------------------------------------------------------------------------
 *
 * message_scan.c
 *	  FROM topic.fetch(...), topic.consume(...) and the like as a scan.
 *
 * PostgreSQL stores all that a function in FROM returns before it uses the first
 * row: a copy of every message.  The scan here takes the function's place in
 * a query's plan, and hands on messages as their source gives them.  Where it
 * cannot do so it leaves the function alone; the rows are the same.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "commands/explain.h"
#include "compat.h"
#include "consumer/consumer.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#define MAX_SOURCES		4
#define MAX_ARGS		8

/* custom_private: format, whether key and value are used, then the columns */
#define MESSAGE_SCAN_COLUMNS	3

/* A source, and its entry points as PostgreSQL wants them: by name. */
typedef struct RegisteredSource
{
	const MessageSource *source;
	CustomPathMethods path;
	CustomScanMethods scan;
	CustomExecMethods exec;
} RegisteredSource;

typedef struct MessageScanState
{
	CustomScanState css;
	const MessageSource *source;
	SetExprState *call;			/* the function, for its checks and arguments */
	Bitmapset  *params;			/* that the arguments depend on */
	MessageFormat format;
	bool		want_key;
	bool		want_value;
	int			ncolumns;		/* of the scan's rows */
	int			columns[MESSAGE_NATTS]; /* of a message that they are, from 0 */
	MemoryContext context;		/* of the call; NULL = none is under way */
	void	   *rows;
} MessageScanState;

static RegisteredSource sources[MAX_SOURCES];
static int	nsources = 0;

static set_rel_pathlist_hook_type prev_set_rel_pathlist_hook = NULL;

static void message_set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti,
									 RangeTblEntry *rte);
static Plan *message_plan_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
							   List *tlist, List *clauses, List *custom_plans);
static Node *message_create_state(CustomScan *cscan);
static void message_begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *message_exec_scan(CustomScanState *node);
static void message_end_scan(CustomScanState *node);
static void message_rescan(CustomScanState *node);
static void message_explain_scan(CustomScanState *node, List *ancestors,
								 ExplainState *es);

void
message_source_register(const MessageSource *source)
{
	RegisteredSource *to = &sources[nsources];

	Assert(nsources < MAX_SOURCES && source->nargs <= MAX_ARGS);
	to->source = source;
	to->path.CustomName = source->name;
	to->path.PlanCustomPath = message_plan_path;
	to->scan.CustomName = source->name;
	to->scan.CreateCustomScanState = message_create_state;
	to->exec.CustomName = source->name;
	to->exec.BeginCustomScan = message_begin_scan;
	to->exec.ExecCustomScan = message_exec_scan;
	to->exec.EndCustomScan = message_end_scan;
	to->exec.ReScanCustomScan = message_rescan;
	to->exec.ExplainCustomScan = message_explain_scan;
	RegisterCustomScanMethods(&to->scan);

	if (nsources++ == 0)
	{
		prev_set_rel_pathlist_hook = set_rel_pathlist_hook;
		set_rel_pathlist_hook = message_set_rel_pathlist;
	}
}

/* The source whose function this is, and in which format it returns rows. */
static RegisteredSource *
find_source(Oid funcid, MessageFormat *format)
{
	FmgrInfo	function;

	/* Looking into the library costs more than the schema's name. */
	if (get_func_namespace(funcid) != get_namespace_oid("topic", true))
		return NULL;

	fmgr_info(funcid, &function);
	for (int i = 0; i < nsources; i++)
	{
		for (int j = 0; j < MESSAGE_FORMATS; j++)
		{
			if (function.fn_addr == sources[i].source->functions[j])
			{
				*format = (MessageFormat) j;
				return &sources[i];
			}
		}
	}
	return NULL;
}

/* The call that a range table entry consists of, if it is one to replace. */
static FuncExpr *
message_call(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte,
			 RegisteredSource **source, MessageFormat *format)
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
	*source = find_source(call->funcid, format);
	if (*source == NULL || list_length(call->args) != (*source)->source->nargs ||
		rel->max_attr != MESSAGE_NATTS || contain_subplans((Node *) call))
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
message_set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti,
					   RangeTblEntry *rte)
{
	CustomPath *path;
	FuncExpr   *call;
	RegisteredSource *source;
	MessageFormat format;

	if (prev_set_rel_pathlist_hook)
		prev_set_rel_pathlist_hook(root, rel, rti, rte);

	call = message_call(root, rel, rte, &source, &format);
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
	path->methods = &source->path;
	add_path(rel, &path->path);
}

/* A column that the plan uses is one of the scan's rows, once. */
static void
use_column(CustomScan *scan, Var *var)
{
	ListCell   *lc;

	foreach(lc, scan->custom_scan_tlist)
	{
		if (((Var *) lfirst_node(TargetEntry, lc)->expr)->varattno == var->varattno)
			return;
	}
	scan->custom_scan_tlist =
		lappend(scan->custom_scan_tlist,
				makeTargetEntry((Expr *) copyObject(var),
								list_length(scan->custom_scan_tlist) + 1, NULL, false));
	scan->custom_private = lappend_int(scan->custom_private, var->varattno - 1);
}

/*
 * The scan's rows have the columns that are used, in the order of the target list:
 * so they mostly are what the scan returns, and nothing has to be projected.
 */
static void
use_columns(CustomScan *scan, RelOptInfo *rel, List *exprs)
{
	List	   *vars = pull_var_clause((Node *) exprs, PVC_RECURSE_PLACEHOLDERS |
									   PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS);
	ListCell   *lc;

	foreach(lc, vars)
	{
		if (lfirst_node(Var, lc)->varno == rel->relid)
			use_column(scan, lfirst_node(Var, lc));
	}
}

static bool
column_used(CustomScan *scan, int attno)
{
	return list_member_int(list_copy_tail(scan->custom_private, MESSAGE_SCAN_COLUMNS),
						   attno - 1);
}

/* From the methods of a path or plan back to the source. */
static RegisteredSource *
source_of(const void *methods, Size offset)
{
	return (RegisteredSource *) ((char *) methods - offset);
}

static Plan *
message_plan_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
				  List *tlist, List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	RegisteredSource *source = source_of(path->methods, offsetof(RegisteredSource, path));
	FuncExpr   *call = (FuncExpr *) linitial(path->custom_private);
	MessageFormat format = intVal(lsecond(path->custom_private));
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
	scan->methods = &source->scan;
	scan->custom_exprs = list_make1(call);

	/* The target list here may be replaced later by one that uses more of its columns. */
	scan->custom_private = list_make3_int(format, true, true);
	use_columns(scan, rel, tlist);
	use_columns(scan, rel, rel->reltarget->exprs);
	use_columns(scan, rel, scan->scan.plan.qual);

	/* Only bytes may be passed over: what is not text or JSON is an error. */
	if (format == MESSAGE_BYTES)
	{
		lsecond_int(scan->custom_private) = column_used(scan, MESSAGE_COL_KEY);
		lthird_int(scan->custom_private) = column_used(scan, MESSAGE_COL_VALUE);
	}
	return &scan->scan.plan;
}

static Node *
message_create_state(CustomScan *cscan)
{
	RegisteredSource *source = source_of(cscan->methods, offsetof(RegisteredSource, scan));
	MessageScanState *state = (MessageScanState *)
		newNode(sizeof(MessageScanState), T_CustomScanState);

	state->css.methods = &source->exec;
	state->source = source->source;
	state->format = linitial_int(cscan->custom_private);
	state->want_key = lsecond_int(cscan->custom_private);
	state->want_value = lthird_int(cscan->custom_private);
	state->ncolumns = list_length(cscan->custom_private) - MESSAGE_SCAN_COLUMNS;
	for (int i = 0; i < state->ncolumns; i++)
		state->columns[i] = list_nth_int(cscan->custom_private, MESSAGE_SCAN_COLUMNS + i);
	return (Node *) state;
}

/* Parameters that an outer plan node sets, as FunctionScan's funcparams. */
static bool
collect_params(Node *node, void *context)
{
	Bitmapset **params = context;

	if (node == NULL)
		return false;
	if (IsA(node, Param))
	{
		if (((Param *) node)->paramkind == PARAM_EXEC)
			*params = bms_add_member(*params, ((Param *) node)->paramid);
		return false;
	}
	return expression_tree_walker(node, collect_params, context);
}

static void
message_begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	MessageScanState *state = (MessageScanState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	/* Checks EXECUTE on the function, as if it were to be called. */
	state->call = ExecInitTableFunctionResult(linitial(scan->custom_exprs),
											  node->ss.ps.ps_ExprContext,
											  &node->ss.ps);
	(void) collect_params(linitial(scan->custom_exprs), &state->params);
}

/* Evaluates the arguments and makes the call. */
static void
open_call(MessageScanState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	NullableDatum args[MAX_ARGS];
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
										   "pgtopic messages", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(state->context);
	state->rows = state->source->open(args, state->format, state->want_key,
									  state->want_value);
	MemoryContextSwitchTo(old);
}

static void
close_call(MessageScanState *state)
{
	if (state->context == NULL)
		return;

	state->source->close(state->rows);
	MemoryContextDelete(state->context);
	state->context = NULL;
}

/*
 * What ExecScan does, without its part for EvalPlanQual: a scan of no relation
 * would be asked there for a row that only a relation has.
 */
static TupleTableSlot *
message_exec_scan(CustomScanState *node)
{
	MessageScanState *state = (MessageScanState *) node;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	ProjectionInfo *projection = node->ss.ps.ps_ProjInfo;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	Datum		values[MESSAGE_NATTS];
	bool		isnull[MESSAGE_NATTS];

	ResetExprContext(econtext);
	if (state->context == NULL)
		open_call(state);

	for (;;)
	{
		ExecClearTuple(slot);
		if (!state->source->next(state->rows, values, isnull))
			return projection ? ExecClearTuple(projection->pi_state.resultslot) : slot;
		for (int i = 0; i < state->ncolumns; i++)
		{
			slot->tts_values[i] = values[state->columns[i]];
			slot->tts_isnull[i] = isnull[state->columns[i]];
		}
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
message_end_scan(CustomScanState *node)
{
	close_call((MessageScanState *) node);
}

static void
message_rescan(CustomScanState *node)
{
	MessageScanState *state = (MessageScanState *) node;

	ExecClearTuple(node->ss.ss_ScanTupleSlot);

	/* Like a function, it is called again only for other arguments. */
	if (bms_overlap(node->ss.ps.chgParam, state->params))
		close_call(state);
	else if (state->context != NULL)
		state->source->restart(state->rows);
}

static void
message_explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
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
