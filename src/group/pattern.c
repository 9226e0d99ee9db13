/*-------------------------------------------------------------------------
 *
 * pattern.c
 *	  Topics by a regular expression.
 *
 * A pattern is PostgreSQL's, as operator ~ takes it: it matches anywhere unless
 * it is anchored.  It is held against the name of the topic and against
 * schema.name, without quotes, so that "^orders" and "^sales\.orders" do what
 * they say.  A role sees only topics that it may read.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "compat.h"
#include "group/pattern.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "topic/topic.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* In the C collation: what matches does not depend on who asks. */
static bool
matches(text *pattern, char *name)
{
	return RE_compile_and_execute(pattern, name, strlen(name), REG_ADVANCED | REG_NOSUB,
								  C_COLLATION_OID, 0, NULL);
}

/* Dropped while we look counts as not readable. */
static bool
may_read(Oid relid, Oid role)
{
	bool		missing = false;

	return pg_class_aclcheck_ext(relid, role, ACL_SELECT, &missing) == ACLCHECK_OK &&
		!missing;
}

static bool
topic_matches(Form_pg_class class, text *pattern, Oid role)
{
	char	   *schema = get_namespace_name(class->relnamespace);
	char	   *name = NameStr(class->relname);

	if (schema == NULL)
		return false;
	if (!matches(pattern, name) && !matches(pattern, psprintf("%s.%s", schema, name)))
		return false;
	return may_read(class->oid, role) && schema_usable(class->relnamespace, role);
}

List *
pattern_topics(const char *pattern, Oid role)
{
	text	   *regex = cstring_to_text(pattern);
	Oid			am = topic_am_oid();
	Relation	catalog;
	SysScanDesc scan;
	HeapTuple	row;
	List	   *result = NIL;

	/* A wrong pattern is wrong also where there is no topic. */
	(void) matches(regex, "");

	catalog = table_open(RelationRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(row = systable_getnext(scan)))
	{
		Form_pg_class class = (Form_pg_class) GETSTRUCT(row);

		CHECK_FOR_INTERRUPTS();
		if (class->relam == am && class->relkind == RELKIND_RELATION &&
			topic_matches(class, regex, role))
			result = lappend_oid(result, class->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);

	list_sort(result, list_oid_cmp);
	return result;
}
