"""Cells of groups: what consuming costs, beside other queues in PostgreSQL."""
import os
import re
import statistics
import subprocess

from report import interval, number, ratio_row, row, sql
from server import in_user_mode, on_cpu, server_processes

PROGRAM = os.environ.get('BENCH_CONSUME', './consume')
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'contestants')
MILLION = 1000000
BATCH = 500
WINDOW = 5                      # seconds, of a soak

# Contestant, its name in the table, the bar, messages of a quick turn.
PEERS = (('outbox', 'naive outbox', 1, MILLION),
         ('outbox_safe', 'outbox that loses nothing', 1.8, MILLION),
         ('pgq', 'PgQ', 2.5, MILLION),
         ('skiplocked', 'SKIP LOCKED', 3.5, MILLION),
         ('pgmq', 'PGMQ', 9, 100000))


class Contestant:
    """The sections of a file that prepare a contest; consume.c knows the others."""

    def __init__(self, name, **values):
        self.name = name
        self.path = os.path.join(FOLDER, name + '.sql')
        self.groups = 0
        self.values = dict({'partitions': 1, 'rotation': '2 hours'}, **values)
        with open(self.path) as file:
            text = ''.join(line for line in file if not line.startswith('--') or line.startswith('-- @'))
        parts = re.split(r'^-- @(\w+)\n', text, flags=re.M)[1:]
        self.sections = dict(zip(parts[::2], parts[1::2]))

    def run(self, section, **values):
        """Statement by statement: VACUUM wants no transaction around it."""
        script = self.sections.get(section, '')
        for name, value in dict(self.values, **values).items():
            script = script.replace('{' + name + '}', str(value))
        subprocess.run(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', 'bench', '-o', '/dev/null'], input=script,
                       text=True, check=True,
                       env=dict(os.environ, PGOPTIONS='-c client_min_messages=warning -c synchronous_commit=off'))

    def new_group(self, section='group'):
        self.groups += 1
        group = f'{self.name}{self.groups}'
        self.run(section, group=group)
        return group


def consume(work, contestant, *arguments, sync='on'):
    output = subprocess.run([PROGRAM, work, contestant.path, *map(str, arguments)], check=True, text=True,
                            stdout=subprocess.PIPE,
                            env=dict(os.environ, PGDATABASE='bench',
                                     PGOPTIONS=f'-c synchronous_commit={sync} -c client_min_messages=warning')).stdout
    return [tuple(map(float, line.split())) for line in output.splitlines()]


def available(name):
    """Whether the server has the peer; says so in the table if not."""
    if name == 'pgq':
        if not sql("SELECT 1 FROM pg_available_extensions WHERE name = 'pgq'"):
            row('PgQ', 'missing: package postgresql-15-pgq3 is not installed', '', '', '', '')
            return False
        sql('CREATE EXTENSION IF NOT EXISTS pgq')
    elif name == 'pgmq' and not sql("SELECT 1 FROM pg_namespace WHERE nspname = 'pgmq'"):
        script = os.environ.get('PGMQ_SQL')
        if not script:
            row('PGMQ', 'missing: PGMQ_SQL=… names no pgmq.sql', '', '', '', '')
            return False
        subprocess.run(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', 'bench', '-f', script], check=True,
                       stdout=subprocess.DEVNULL)
    return True


def make_source():
    """What every contestant is filled with: keys of 7 bytes, printable values of 100."""
    sql('CREATE TABLE IF NOT EXISTS source (id int PRIMARY KEY, key text, value text)')
    if not sql('SELECT 1 FROM source LIMIT 1'):
        sql("INSERT INTO source SELECT i, 'k' || lpad((i::bigint * 7919 % 1000000)::text, 6, '0'), "
            "left(md5(i::text) || md5((-i)::text) || md5((i * 31)::text) || md5((i * 37)::text), 100) "
            f'FROM generate_series(1, {MILLION}) AS i', 'VACUUM (FREEZE, ANALYZE) source',
            options='-c synchronous_commit=off')


def drain_turn(contestant, messages, groups=1):
    """Messages a second that so many groups, one member each, read together."""
    if 'consumed' in contestant.sections:
        contestant.run('fill', messages=messages)
    names = [contestant.new_group() for _ in range(groups)]
    (done, seconds), = consume('drain', contestant, BATCH, messages, *names)
    return done / seconds


def filled(name, messages, **values):
    contestant = Contestant(name, **values)
    contestant.run('setup')
    if 'consumed' not in contestant.sections:
        contestant.run('fill', messages=messages)
    return contestant


def drain(options):
    make_source()
    topic = filled('pgtopic', MILLION)
    peers = []
    for name, title, bar, quick in PEERS:
        if available(name):
            messages = quick if options.quick else MILLION
            peers.append((filled(name, messages), title, bar, messages))
    sql('CHECKPOINT')
    rates = {peer[0].name: [] for peer in peers}
    for turn in range(-1, options.pairs):
        order = [(topic, MILLION)] + [(peer, messages) for peer, _, _, messages in peers]
        shift = turn % len(order)
        done = {c.name: drain_turn(c, messages) for c, messages in order[shift:] + order[:shift]}
        for name, pairs in rates.items():
            if turn >= 0:               # the first turn warms up
                pairs.append((done[name], done['pgtopic']))
    for peer, title, bar, messages in peers:
        ratio_row(f'drain of 1 M, {BATCH} and their commit in a transaction, beside {title}'
                  + ('' if messages == MILLION else f' with {messages:,}') + ', messages/s', rates[peer.name], bar)


# ---------- bytes ----------

def wal_of(work):
    """Bytes of WAL records, without page images, that work() writes."""
    sql('CREATE EXTENSION IF NOT EXISTS pg_walinspect', 'CHECKPOINT')
    start = sql('SELECT pg_current_wal_insert_lsn()')
    work()
    end = sql('SELECT pg_current_wal_flush_lsn() FROM pg_switch_wal()')
    return int(sql(f"SELECT sum(record_size) FROM pg_get_wal_stats('{start}', '{end}')"))


def limit_row(name, value, bar, text, unit=''):
    row(name, '', text, '', f'≤ {bar:g}{unit}', 'holds' if value <= bar else 'MISSED')


def wal(options):
    make_source()
    for partitions, bar in (1, 0.5), (16, 1):
        topic = filled('pgtopic', MILLION, partitions=partitions)
        used = wal_of(lambda: drain_turn(topic, MILLION)) / MILLION
        limit_row(f'WAL of consuming 1 M, {BATCH} a time, {partitions} partition(s), bytes a message', used, bar,
                  f'{used:.3f}')
        (messages, used), = consume('spread', topic, BATCH, 500, topic.new_group(), sync='off') \
            if partitions == 1 else consume_new(topic)
        used /= messages
        limit_row(f'the same while they are produced, each {BATCH} spread over {partitions} partition(s)', used, bar,
                  f'{used:.3f}')


def consume_new(topic):
    """A batch lies in all partitions when it is produced just before."""
    topic.run('setup')
    return consume('spread', topic, BATCH, 500, topic.new_group(), sync='off')


def fanout(options):
    make_source()
    messages = 200000
    topic, heap = filled('pgtopic', messages), filled('outbox', messages)
    size = "SELECT pg_total_relation_size('orders')"
    slots = "SELECT pg_total_relation_size('topic.offset_slots')"
    before = int(sql(size)), int(sql(slots))
    for groups in 4, 16:
        pairs = []
        for turn in range(-1, options.pairs):
            sides = [heap, topic]
            if turn % 2:
                sides.reverse()
            rates = {side.name: drain_turn(side, messages, groups) for side in sides}
            if turn >= 0:
                pairs.append((rates['outbox'], rates['pgtopic']))
        ratio_row(f'{groups} groups on one topic, {groups} readers of a table, messages/s in all', pairs, 1)
    grown = int(sql(size)) - before[0]
    limit_row(f'growth of the topic by {topic.groups} groups, bytes (offsets: {int(sql(slots)) - before[1]:,})',
              grown, 0, f'{grown:,}')


# ---------- a snapshot that is held ----------

def soak_windows(contestant, *arguments):
    """Of every 5 s: messages a second, the size of what should not grow, the server's µs for a message: all, own code."""
    windows, pids, before = [], [], None
    environment = dict(os.environ, PGDATABASE='bench', PGOPTIONS='-c synchronous_commit=off')
    with subprocess.Popen([PROGRAM, 'soak', contestant.path, *map(str, arguments)], text=True, stdout=subprocess.PIPE,
                          env=environment) as program:
        for line in program.stdout:
            rate, size = map(float, line.split())
            used = on_cpu(pids), in_user_mode(pids)
            # the sessions of the first window were not there when it began
            windows.append((rate, size, *((now - then) / (rate * WINDOW) * 1e6 if pids else None
                                          for now, then in zip(used, before or used))))
            if not pids:
                pids = server_processes()
                used = on_cpu(pids), in_user_mode(pids)
            before = used
    if program.returncode:
        raise subprocess.CalledProcessError(program.returncode, program.args)
    return windows


# Before second 0: until the buffers are full of pages to be written, which slows all contestants down.
WARM, SOAK, HOLD = 60, 150, 15


class Soak:
    """One run: medians of the windows before the snapshot, and of as many at the end."""

    def __init__(self, contestant, held):
        contestant.run('setup')
        group = contestant.new_group('start' if 'start' in contestant.sections else 'group')
        sql('ALTER SYSTEM SET autovacuum = on', 'SELECT pg_reload_conf()', 'CHECKPOINT')
        try:
            windows = soak_windows(contestant, 100, WARM + SOAK, WARM + HOLD if held else WARM + SOAK + 1, group)
        finally:
            sql('ALTER SYSTEM RESET autovacuum', 'SELECT pg_reload_conf()')
        contestant.run('setup')         # gives the space back
        self.rates, sizes, self.cpu, self.own = zip(*windows[WARM // WINDOW:])
        self.grown = sizes[-1] - sizes[0]


def change(values):
    """Medians of the first and of the last windows of a run, and their ratio."""
    n = HOLD // WINDOW
    first, last = (statistics.median(part) for part in (values[:n], values[-n:]))
    return first, last, last / first


def changes(runs, values):
    """Of each run, how what it measured has changed."""
    return [change(getattr(run, values))[2] for run in runs]


def change_text(runs, values, form=number):
    first, last, ratio = map(statistics.median, zip(*(change(getattr(run, values)) for run in runs)))
    return f'{form(first)} → {form(last)}, {ratio:.2f}'


def soak_rows(work, runs, controls):
    def kept(title, left, right, ratios):
        low, high = interval(ratios)
        row(title, left, right, f'{statistics.median(ratios):.2f} [{low:.2f}, {high:.2f}]', '≥ 0.95',
            'holds' if high >= 0.95 else 'MISSED')

    kept(work + '; beside it without a snapshot', change_text(controls, 'rates'), change_text(runs, 'rates'),
         changes(runs, 'rates'))
    kept('the part that the snapshot has in it: last / first, with / without', '', '',
         [held / control for held, control in zip(changes(runs, 'rates'), changes(controls, 'rates'))])
    for title, values in ('', 'cpu'), (' in user mode, so without what the kernel does to write', 'own'):
        # less is better: first / last
        kept(f'CPU of the server for a message meanwhile{title}, µs',
             *(change_text(side, values, '{:.2f}'.format) for side in (controls, runs)),
             [control / held for held, control in zip(changes(runs, values), changes(controls, values))])
    grown = max(run.grown for run in runs)
    limit_row('growth of the committed offsets meanwhile, bytes', grown, 0, f'{grown:,.0f}')


def soak(options):
    work = f'soak of {SOAK} s, a snapshot held from second {HOLD} on, messages/s, first and last {HOLD} s'
    topic = Contestant('pgtopic')
    sides = {True: [], False: []}
    for turn in range(1 if options.quick else 3):
        for held in (False, True) if turn % 2 == 0 else (True, False):
            sides[held].append(Soak(topic, held))
    soak_rows(work, sides[True], sides[False])
    for name, title in () if options.quick else (p[:2] for p in PEERS):
        if available(name):
            run = Soak(Contestant(name, rotation='20 seconds'), True)
            row(f'the same, {title}', change_text([run], 'rates') + '; CPU ' + change_text([run], 'cpu', '{:.2f}'.format),
                '', '', '', '')


def commits(options):
    count, window = 200000, 10000
    make_source()
    filled('pgtopic', count)
    sql('DROP TABLE IF EXISTS offsets', 'CREATE TABLE offsets (group_id text PRIMARY KEY, position bigint)',
        "INSERT INTO offsets VALUES ('commits', 0)")
    forms = (('topic', "SELECT topic.subscribe('commits', ARRAY['orders'])",
              "SELECT topic.commit('commits', 'orders', 0, $1)", count, 3 if options.quick else 7),
             ('heap', 'SELECT 1', "UPDATE offsets SET position = $1 WHERE group_id = 'commits'",
              count // 5 if options.quick else count, 1))
    kept = {}
    for name, session, statement, number_of_commits, repeats in forms:
        kept[name] = []
        for _ in range(repeats):
            output = subprocess.run([PROGRAM, 'commits', str(number_of_commits), session, statement], check=True,
                                    text=True, stdout=subprocess.PIPE,
                                    env=dict(os.environ, PGDATABASE='bench',
                                             PGOPTIONS='-c synchronous_commit=off')).stdout
            rates = list(map(float, output.split()))
            kept[name].append((rates[0], rates[-1], rates[-1] / rates[0]))
    ratios = [ratio for _, _, ratio in kept['topic']]
    low, high = interval(ratios)
    text = {name: f'{number(statistics.median(r[0] for r in runs))} → {number(statistics.median(r[1] for r in runs))}'
            f', {statistics.median(r[2] for r in runs):.2f}' for name, runs in kept.items()}
    row(f'{count:,} commits of one partition under a held snapshot, commits/s, first and last {window:,}',
        text['heap'] + (f' after {forms[1][3]:,}' if forms[1][3] < count else ''),
        text['topic'] + f' [{low:.2f}, {high:.2f}]', '', '≥ 0.95', 'holds' if high >= 0.95 else 'MISSED')


CELLS = [drain, wal, fanout, soak, commits]
