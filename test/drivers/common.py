"""What the tests of Python drivers share: the cases, and TAP."""
import datetime
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# The newest message: key and value with odd bytes escaped, headers, and the
# timestamp if the case has chosen it.
STORED = """SELECT encode(key, 'escape'), encode(value, 'escape'),
       (SELECT string_agg(h.key || '=' || coalesce(encode(h.value, 'escape'), 'NULL'), ',')
        FROM unnest(headers) AS h),
       CASE WHEN timestamp < '2002-01-01' THEN (timestamp AT TIME ZONE 'UTC')::text END
FROM drivers ORDER BY log_offset DESC LIMIT 1"""

SETUP = "DROP TABLE IF EXISTS drivers; SELECT topic.create('drivers')"


def cases():
    with open(os.path.join(HERE, "cases.json"), encoding="utf-8") as file:
        return json.load(file)


def python_sql(sql):
    """$1, $2 … stand in order, so each becomes a %s."""
    return re.sub(r"\$\d+", "%s", sql)


def argument(spec, make):
    """A value from "type:text"; make has a function for each type that differs among drivers."""
    if spec is None:
        return None
    if isinstance(spec, list):
        return [argument(element, make) for element in spec]
    kind, _, text = spec.partition(":")
    if kind == "int":
        return int(text)
    if kind == "bytes":
        return make["bytes"](bytes.fromhex(text))
    if kind == "time":
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if kind in ("json", "jsonb"):
        return make[kind](json.loads(text))
    return text


def compact(value):
    """JSON texts may differ in blanks."""
    return value.replace('": ', '":') if value and value.startswith("{") else value


def check(case, run, stored):
    """Runs a case: None, or what is wrong."""
    state, value = run()
    if state != case.get("error"):
        return f"{state}: {value}"
    if "returns" in case and str(value) != case["returns"]:
        return f"returned {value}, not {case['returns']}"
    if "stored" in case:
        row = [compact(column) for column in stored()]
        if row != case["stored"]:
            return f"stored {row}, not {case['stored']}"
    return None


class Tap:
    def __init__(self):
        self.failed = False

    def test(self, name, wrong):
        print(f"{'not ok' if wrong else 'ok'} - {name}")
        if wrong:
            self.failed = True
            print("# " + str(wrong).replace("\n", "\n# "))

    def exit(self):
        sys.exit(1 if self.failed else 0)
