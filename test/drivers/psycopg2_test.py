"""psycopg2: parameters become literals in the statement's text."""
import psycopg2
from psycopg2.extras import Json

import common

MAKE = {"bytes": psycopg2.Binary, "json": Json, "jsonb": Json}

tap = common.Tap()
connection = psycopg2.connect("")
connection.autocommit = True
cursor = connection.cursor()
cursor.execute(common.SETUP)


def run(case):
    args = [common.argument(spec, MAKE) for spec in case["args"]]
    try:
        cursor.execute(common.python_sql(case["sql"]), args)
        return None, cursor.fetchone()[0]
    except psycopg2.Error as error:
        return error.pgcode, error


def stored():
    cursor.execute(common.STORED)
    return cursor.fetchone()


for case in common.cases():
    tap.test(f"psycopg2: {case['name']}", common.check(case, lambda: run(case), stored))
tap.exit()
