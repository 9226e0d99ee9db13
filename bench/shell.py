"""Cells of the shell and of wake-ups: the program pgtopic beside psql; how soon consumers know, and what that costs."""
import os
import re
import statistics
import subprocess
import tempfile
import time

from report import interval, ratio_row, row, sql

WAKE = os.environ.get('BENCH_WAKE', './wake')
MESSAGES = 5000000
QUICK = 200000
CLIENTS = 16
SECONDS = 3                     # of a turn of the 16 producers


def timed(*command):
    """Seconds that a command takes, from its start to its end; output is thrown away."""
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env=dict(os.environ, PGDATABASE='bench'))
    return time.monotonic() - began


def turns(options, messages, heap, topic, reset=None):
    """Pairs of rates, the sides in turns; the first pair only warms up."""
    pairs = []
    for i in range(max(3, options.pairs // 3) + 1):
        rates = {}
        for side in (heap, topic) if i % 2 else (topic, heap):
            if reset:
                reset()
            rates[side] = messages / side()
        pairs.append((rates[heap], rates[topic]))
    return pairs[1:]


def fresh():
    sql('DROP TABLE IF EXISTS lines, heap_lines', "SELECT topic.create('lines')",
        'CREATE TABLE heap_lines (log_offset bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, '
        'timestamp timestamptz DEFAULT now(), value text)')


def shell_produce(options):
    messages = QUICK if options.quick else MESSAGES
    fresh()
    with tempfile.NamedTemporaryFile('w', suffix='.txt') as file:
        for i in range(messages):
            file.write(f'{i:010d}' * 10 + '\n')
        file.flush()
        ratio_row(f'pgtopic produce of {messages:,} lines of 100 B beside psql \\copy into a heap table, lines/s',
                  turns(options, messages,
                        lambda: timed('psql', '-Xq', '-c', f'\\copy heap_lines (value) FROM {file.name}'),
                        lambda: timed('pgtopic', 'produce', 'lines', file.name),
                        lambda: sql('TRUNCATE lines', 'TRUNCATE heap_lines', 'CHECKPOINT')), 0.8)


def shell_consume(options):
    messages = QUICK if options.quick else MESSAGES
    fresh()
    sql(f"INSERT INTO heap_lines (value) SELECT repeat(lpad(i::text, 10, '0'), 10) FROM generate_series(1, {messages}) i",
        'INSERT INTO lines (value) SELECT convert_to(value, \'UTF8\') FROM heap_lines ORDER BY log_offset',
        'VACUUM (FREEZE, ANALYZE) heap_lines', 'CHECKPOINT')
    ratio_row(f'pgtopic consume -e of {messages:,} beside psql COPY (SELECT …) TO STDOUT, messages/s',
              turns(options, messages,
                    lambda: timed('psql', '-Xq', '-c', 'COPY (SELECT value FROM heap_lines ORDER BY log_offset) TO STDOUT'),
                    lambda: timed('pgtopic', 'consume', 'lines', '-e', '-o', 'beginning')), 0.8)


def commits_per_second(script):
    output = subprocess.run(['pgbench', '-n', '-M', 'prepared', '-f', script, '-c', str(CLIENTS), '-T', str(SECONDS), 'bench'],
                            check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            env=dict(os.environ, PGOPTIONS='-c synchronous_commit=on')).stdout
    return float(re.search(r'^tps = ([\d.]+)', output, re.M).group(1))


class Listener:
    """A member of a group that listens to it; psql reads what it is told when it is asked for something."""

    def __init__(self):
        self.psql = subprocess.Popen(['psql', '-Xq', '-d', 'bench', '-o', '/dev/null'], stdin=subprocess.PIPE, text=True)
        self.psql.stdin.write("SELECT topic.subscribe('listeners', ARRAY['told']), topic.listen('listeners');\n")
        self.psql.stdin.flush()
        while not int(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pgtopic notifier'")):
            time.sleep(0.01)

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()


def listeners(options):
    sql('DROP TABLE IF EXISTS told', "SELECT topic.create('told', 4)")
    with tempfile.NamedTemporaryFile('w', suffix='.sql') as script:
        script.write("SELECT topic.produce('told', 'x');\n")
        script.flush()

        def silent():
            return 1 / commits_per_second(script.name)

        def told():
            listener = Listener()
            try:
                return 1 / commits_per_second(script.name)
            finally:
                listener.close()

        ratio_row(f'commits/s of {CLIENTS} producers without and with a listening group, synchronous_commit on',
                  turns(options, 1, silent, told), 0.95)


def wake(options):
    """Median and 99th percentile in ms, from before produce until the consumer has the message."""
    seconds = 2 if options.quick else 10
    sql('DROP TABLE IF EXISTS wake, outbox', "SELECT topic.create('wake')",
        'CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value text)',
        "CREATE OR REPLACE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY outbox; RETURN NULL; END $$",
        'CREATE TRIGGER tell AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION tell()')

    def once(kind):
        sql('TRUNCATE wake, outbox RESTART IDENTITY')
        output = subprocess.run([WAKE, kind, str(seconds), '1000'], check=True, text=True, stdout=subprocess.PIPE,
                                env=dict(os.environ, PGDATABASE='bench', PGOPTIONS='-c synchronous_commit=on')).stdout
        return tuple(map(float, output.split()))

    for kind in 'listen', 'consume':
        pairs = []
        for i in range(max(3, options.pairs // 3) + 1):
            sides = {side: once(side) for side in (('outbox', kind) if i % 2 else (kind, 'outbox'))}
            pairs.append((sides['outbox'], sides[kind]))
        for at, name, bar in (0, 'p50', 1.3), (1, 'p99', 2):
            ratios = [topic[at] / outbox[at] for outbox, topic in pairs[1:]]
            low, high = interval(ratios)
            row(f'end to end at 1,000 messages/s, {kind}, {name}, ms',
                f'{statistics.median(outbox[at] for outbox, _ in pairs[1:]):.2f}',
                f'{statistics.median(topic[at] for _, topic in pairs[1:]):.2f}',
                f'{statistics.median(ratios):.2f} [{low:.2f}, {high:.2f}]', f'≤ {bar:g}', 'holds' if low <= bar else 'MISSED')


CELLS = [shell_produce, shell_consume, listeners, wake]
