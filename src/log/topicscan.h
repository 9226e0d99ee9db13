/*-------------------------------------------------------------------------
 *
 * topicscan.h
 *	  What the planner's side of a Topic Scan needs of the executor's.  Inside
 *	  the log room only.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGTOPIC_LOG_TOPICSCAN_H
#define PGTOPIC_LOG_TOPICSCAN_H

#include "nodes/extensible.h"

#define TOPIC_SCAN_NAME				"Topic Scan"
#define TOPIC_SCAN_BACKWARD_NAME	"Topic Scan Backward"

/*
 * The plan node: custom_exprs are the conditions, column on the left.
 * custom_private is two lists of integers: of each condition its column, its
 * btree strategy and whether it is exact (then it is not in the filter); and
 * whether key, value and headers are needed.
 */
extern const CustomScanMethods topic_scan_methods;
extern const CustomScanMethods topic_scan_backward_methods;

extern void topic_scan_register(void);

#endif							/* PGTOPIC_LOG_TOPICSCAN_H */
