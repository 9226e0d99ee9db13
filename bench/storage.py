"""Cells of storage: pgtopic beside a heap table."""
import os
import re
import statistics
import subprocess
import threading
import time

from report import ratio_row, row, sql

DRIVER = os.environ.get('BENCH_DRIVER', './driver')
MILLION = 1000000
PAYLOAD = "'\\x" + '61' * 100 + "'::bytea"
HEAP_COLUMNS = """(log_offset bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    timestamp timestamptz NOT NULL DEFAULT now(), key bytea, value bytea)"""


def fresh():
    """Empty tables, and a checkpoint so that none falls into the cell."""
    sql('DROP TABLE IF EXISTS heap', "SELECT topic.drop('events', if_exists => true)",
        'CREATE TABLE heap ' + HEAP_COLUMNS, "SELECT topic.create('events', retention => NULL)", 'CHECKPOINT')


def fill(rows):
    """As many messages on both sides, a million per transaction, a ms apart."""
    for start in range(0, rows, MILLION):
        series = (f"SELECT timestamptz '2026-01-01' + i * interval '1 ms', {PAYLOAD} "
                  f'FROM generate_series({start}, {min(start + MILLION, rows) - 1}) AS i')
        sql('INSERT INTO heap (timestamp, value) ' + series,
            'INSERT INTO events (timestamp, value) ' + series, options='-c synchronous_commit=off')
    sql('VACUUM (FREEZE, ANALYZE) heap', 'VACUUM ANALYZE events', 'CHECKPOINT')


def drive(work, heap, topic, pairs, seconds=0.3, clients=1, sync='off', **settings):
    environment = dict(os.environ, PGDATABASE='bench',
                       PGOPTIONS=f'-c synchronous_commit={sync} -c client_min_messages=warning',
                       **{name: str(value) for name, value in settings.items()})
    output = subprocess.run([DRIVER, work, str(pairs), str(seconds), str(clients), heap, topic],
                            env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [tuple(map(float, line.split())) for line in output.splitlines()]


# ---------- the cells ----------

def insert_select(options):
    fresh()
    statement = 'INSERT INTO {} (value) SELECT ' + PAYLOAD + ' FROM generate_series(1, 1000000)'
    ratio_row('INSERT … SELECT of 1 M, rows/s',
              drive('sql', statement.format('heap'), statement.format('events'), options.pairs,
                    RESET='TRUNCATE heap; TRUNCATE events'), 6)


def copy(options):
    fresh()
    statement = 'COPY {} (value) FROM STDIN BINARY'
    ratio_row('COPY binary of 1 M, rows/s',
              drive('copy', statement.format('heap'), statement.format('events'), options.pairs,
                    RESET='TRUNCATE heap; TRUNCATE events'), 2)


def batch(options):
    for sync in 'off', 'on':
        for form in 'binary', 'text':
            fresh()
            ratio_row(f'produce_batch_bytes of 1000, {form} parameters, synchronous_commit {sync}, rows/s',
                      drive('batch', 'INSERT INTO heap (value) SELECT unnest($1::bytea[])',
                            "SELECT topic.produce_batch_bytes('events', $1)",
                            options.pairs * 2, sync=sync, FORMAT=form), 3, factor=1000)


def one(options):
    forms = (('INSERT', 'INSERT INTO events (value) VALUES ($1)'),
             ('topic.produce', "SELECT topic.produce('events', $1)"))
    for sync in 'off', 'on':
        for clients in 1, 8, 16:
            for name, statement in forms:
                fresh()
                ratio_row(f'{name}, one per transaction, {clients} clients, '
                          f'synchronous_commit {sync}, transactions/s',
                          drive('one', 'INSERT INTO heap (value) VALUES ($1)', statement,
                                options.pairs * 2, clients=clients, sync=sync), 0.95)


def read(options):
    fresh()
    fill(MILLION)
    scan = 'SELECT sum(length(value)) FROM '
    ratio_row('full scan, sum(length(value)), rows/s',
              drive('sql', scan + 'heap', scan + 'events', options.pairs), 1)
    heap = ('SELECT log_offset, timestamp, key, value FROM heap '
            'WHERE log_offset >= $1 ORDER BY log_offset LIMIT 500')
    topic = "SELECT log_offset, timestamp, key, value FROM topic.fetch('events', 0, $1, 500)"
    inside = 'SELECT max(log_offset), max(timestamp), count(key), sum(length(value)) FROM ({}) AS read'
    ratio_row('fetch of 500 at a random offset, calls/s',
              drive('read', heap, topic, options.pairs * 2, ROWS=MILLION - 500), 1.25)
    ratio_row('the same, used inside the server, calls/s',
              drive('read', inside.format(heap), inside.format(topic), options.pairs * 2,
                    ROWS=MILLION - 500), 1.25)


def buffers(statement, at, warm):
    """Buffers that a statement touches, in a new session.

    Catalogs are not counted: they were read for another topic, and by a plan for this one.
    """
    other = statement.replace('events', 'other').format(at=0)
    statement = statement.format(at=at)
    plan = sql('PREPARE other AS ' + other, *['EXECUTE other'] * 6, 'SELECT FROM events WHERE false',
               'PREPARE statement AS ' + statement, *['EXECUTE statement'] * warm,
               'EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE statement')
    touched = 0
    found = re.search(r'^ *Buffers: shared (.*)$', plan.split('Planning:')[0], re.M)
    if found:
        touched = sum(map(int, re.findall(r'(?:hit|read)=(\d+)', found.group(1))))
    return touched


def lookup(options):
    large = "decode(repeat('61', 390), 'hex')"         # 50 M of them are 20 GB
    bars = ((MILLION, PAYLOAD, 6), (10 * MILLION, PAYLOAD, 7), (50 * MILLION, large, 8))
    sql("SELECT topic.create('other', retention => NULL)",
        "INSERT INTO other (timestamp, value) SELECT timestamptz '2026-01-01', '' FROM generate_series(1, 10)")
    for rows, payload, bar in bars[:2] if options.quick else bars:
        sql('DROP TABLE IF EXISTS heap', "SELECT topic.drop('events', if_exists => true)",
            "SELECT topic.create('events', retention => NULL)")
        for start in range(0, rows, MILLION):
            sql(f"INSERT INTO events (timestamp, value) SELECT timestamptz '2026-01-01' + i * "
                f"interval '1 ms', {payload} FROM generate_series({start}, {start + MILLION - 1}) AS i",
                options='-c synchronous_commit=off')
        sql('ANALYZE events', 'CHECKPOINT')
        places = [0, 1, rows // 2, rows - 1000, rows - 10, rows - 2, rows - 1]
        places += [(k * 7919 * 104729 + 17) % rows for k in range(1, options.lookups + 1)]
        forms = (('offset', 'SELECT value FROM events WHERE partition = 0 AND log_offset = {at}'),
                 ('fetch', "SELECT value FROM topic.fetch('events', 0, {at}, 1)"),
                 ('timestamp', "SELECT log_offset FROM events WHERE partition = 0 AND timestamp >= "
                               "timestamptz '2026-01-01' + {at} * interval '1 ms' LIMIT 1"),
                 ('list_offsets', "SELECT offset_at FROM topic.list_offsets('events', "
                                  "timestamptz '2026-01-01' + {at} * interval '1 ms')"))
        for name, statement in forms:
            for warm, session in ((0, 'fresh session'), (6, 'warm session')):
                counts = [buffers(statement, at, warm) for at in places]
                worst = places[counts.index(max(counts))]
                row(f'{name} lookup in {rows // MILLION} M, {session}, buffers', '',
                    f'{statistics.median(counts):g}, at most {max(counts)} (at {worst})',
                    '', f'≤ {bar}', 'holds' if max(counts) <= bar else 'MISSED')


def anonymous_kb(pid):
    with open(f'/proc/{pid}/status') as status:
        return int(re.search(r'RssAnon:\s+(\d+)', status.read()).group(1))


def watch(*statements):
    """Runs the statements in one session: seconds, and MB that its backend's own memory grew by, sampled 100 times a second."""
    psql = subprocess.Popen(['psql', '-XqAt', '-d', 'bench'], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    psql.stdin.write('SELECT pg_backend_pid();\n')
    psql.stdin.flush()
    pid = int(psql.stdout.readline())
    start = peak = anonymous_kb(pid)
    began = time.monotonic()
    psql.stdin.write(';\n'.join(statements) + ";\n\\echo done\n")
    psql.stdin.flush()

    def until_done():
        while psql.stdout.readline() not in ('done\n', ''):
            pass

    waiter = threading.Thread(target=until_done)
    waiter.start()
    while waiter.is_alive():
        peak = max(peak, anonymous_kb(pid))
        time.sleep(0.01)
    seconds = time.monotonic() - began
    psql.stdin.close()
    psql.wait()
    return seconds, (peak - start) / 1024


def memory(options):
    """Resident memory that is the backend's own."""
    sql('DROP TABLE IF EXISTS heap', "SELECT topic.drop('events', if_exists => true)",
        "SELECT topic.create('events', retention => NULL)")
    forms = (('INSERT … SELECT', f'INSERT INTO events (value) SELECT {PAYLOAD} FROM generate_series(1, 10000000)'),
             ('topic.produce in a loop', "DO $$ BEGIN FOR i IN 1..10000000 LOOP PERFORM "
                                         f"topic.produce('events', {PAYLOAD}); END LOOP; END $$"))
    for name, statement in forms:
        _, grown = watch('BEGIN', statement, 'COMMIT')
        row(f'memory for 10 M in one transaction, {name}', '', f'{grown:.0f} MB', '', '< 64 MB',
            'holds' if grown < 64 else 'MISSED')


CELLS = [insert_select, copy, batch, one, read, lookup, memory]
