"""psycopg 3: the extended query protocol; strings have no type, integers the shortest one."""
import psycopg
from psycopg.types.json import Json, Jsonb

import common

MAKE = {"bytes": bytes, "json": Json, "jsonb": Jsonb}

tap = common.Tap()
connection = psycopg.connect("", autocommit=True)
connection.execute("DROP TABLE IF EXISTS drivers")
connection.execute("SELECT topic.create('drivers')")


def run(case, prepare, binary):
    args = [common.argument(spec, MAKE) for spec in case["args"]]
    sql = common.python_sql(case["sql"])
    if binary:
        sql = sql.replace("%s", "%b")
    try:
        return None, connection.execute(sql, args, prepare=prepare).fetchone()[0]
    except psycopg.Error as error:
        return error.sqlstate, error


def stored():
    return connection.execute(common.STORED).fetchone()


for prepare in (False, True):
    for case in common.cases():
        tap.test(f"psycopg 3{', prepared' if prepare else ''}: {case['name']}",
                 common.check(case, lambda: run(case, prepare, False), stored))

# In binary, a str has type text: right for topic, value and key.
for case in common.cases()[:2]:
    tap.test(f"psycopg 3, binary: {case['name']}",
             common.check(case, lambda: run(case, False, True), stored))
tap.exit()
