"""Cell of scale: what many partitions and many topics cost, step by step."""
import os
import subprocess
import threading
import time

from report import sql

STEPS = 'create', 'produce', 'consume', 'consume again', 'VACUUM', 'verify', 'list_offsets', 'count(*)', \
    'views', 'lag', 'drop'


class Session:
    """A psql that stays, so that the memory of its backend can be looked at."""

    def __init__(self):
        self.psql = subprocess.Popen(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', 'bench'],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                     env=dict(os.environ, PGOPTIONS='-c client_min_messages=warning'))
        self.pid = int(self.run('SELECT pg_backend_pid()')[0])

    def run(self, statement):
        self.psql.stdin.write(statement + ';\n\\echo ==end==\n')
        self.psql.stdin.flush()
        lines = []
        for line in iter(self.psql.stdout.readline, '==end==\n'):
            if not line:
                raise SystemExit('psql: ' + statement)
            lines.append(line.rstrip('\n'))
        return lines

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()


def anonymous_kb(pid):
    """Memory of a process but what it shares."""
    with open(f'/proc/{pid}/status') as file:
        return next((int(line.split()[1]) for line in file if line.startswith('RssAnon')), 0)


class Watch(threading.Thread):
    """The most memory that processes have had."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.most = {pid: anonymous_kb(pid) for pid in pids}
        self.ended = threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.005):
            for pid in self.most:
                self.most[pid] = max(self.most[pid], anonymous_kb(pid))

    def end(self):
        self.ended.set()
        self.join()
        return self.most


class Measured:
    """Seconds and WAL of named steps of a session."""

    def __init__(self):
        self.session = Session()
        self.seconds = {}
        self.wal = {}

    def step(self, name, *statements):
        before = sql('SELECT pg_current_wal_insert_lsn()')
        began = time.perf_counter()
        for statement in statements:
            result = self.session.run(statement)
        self.seconds[name] = time.perf_counter() - began
        self.wal[name] = int(sql(f"SELECT pg_current_wal_insert_lsn() - '{before}'"))
        return result


def consume_all(measured, name, topics, messages):
    """A group of one member takes and commits what there is."""
    session = measured.session
    before = sql('SELECT pg_current_wal_insert_lsn()')
    began = time.perf_counter()
    session.run(f"SELECT topic.subscribe('scale', {topics})")
    got = 0
    while got < messages:
        session.run('BEGIN')
        got += int(session.run("SELECT count(*) FROM topic.consume('scale', 100000, '5 s')")[0])
        session.run("SELECT count(*) FROM topic.commit('scale')")
        session.run('COMMIT')
    measured.seconds[name] = time.perf_counter() - began
    measured.wal[name] = int(sql(f"SELECT pg_current_wal_insert_lsn() - '{before}'"))


def measure(topics, partitions):
    """One size: its steps, the most memory of backend and coordinator in kB, the topics' bytes on disk."""
    names = f"SELECT 'scale' || i AS t FROM generate_series(1, {topics}) i"
    array = f'(SELECT array_agg(t) FROM ({names}) s)'
    every = f'FROM ({names}) s, generate_series(0, {partitions} - 1) p'
    total = topics * partitions
    m = Measured()
    m.session.run('SELECT 1')
    watch = Watch([m.session.pid])
    m.step('create', f'SELECT count(topic.create(t, {partitions})) FROM ({names}) s')
    m.step('produce', f"SELECT count(topic.produce(t, repeat('x', 100), partition => p)) {every}")
    size = int(sql(f'SELECT sum(pg_relation_size(t)) FROM ({names}) s'))
    consume_all(m, 'consume', array, total)
    coordinator = Watch([int(sql("SELECT pid FROM pg_stat_activity "
                                 "WHERE backend_type = 'pgtopic worker' AND datname = current_database()"))])
    m.session.run(f"SELECT count(topic.produce(t, repeat('x', 100), partition => p)) {every}")
    consume_all(m, 'consume again', array, total)
    m.step('lag', "SELECT count(*), sum(lag) FROM topic.lag")
    m.session.run("SELECT topic.unsubscribe('scale')")
    m.step('VACUUM', 'VACUUM (ANALYZE false) ' + ', '.join(f'scale{i + 1}' for i in range(topics)))
    m.step('verify', f'SELECT count(*) FROM ({names}) s, topic.verify(t)')
    m.step('list_offsets', f'SELECT count(*) FROM ({names}) s, topic.list_offsets(t)')
    m.step('count(*)', *(f'SELECT count(*) FROM scale{i + 1}' for i in range(topics)))
    m.step('views', 'SELECT count(*) FROM topic.topics', 'SELECT count(*) FROM topic.partitions')
    m.step('drop', *(f"SELECT topic.drop('scale{i + 1}')" for i in range(topics)))
    memory = watch.end()[m.session.pid], max(coordinator.end().values())
    m.session.close()
    sql("SELECT topic.delete_group('scale')")
    return m, memory, size


def scale(options):
    """Prints a table of its own: a column for each size."""
    sizes = [(1, 10), (1, 100), (1, 1000)] + ([] if options.quick else [(1, 10000)]) + [(10, 1), (100, 1)] + \
        ([] if options.quick else [(1000, 1)])
    results = [measure(*size) for size in sizes]
    print('\n| | ' + ' | '.join(f'{p:,} partitions' if t == 1 else f'{t:,} topics' for t, p in sizes) + ' |')
    print('|' + '---|' * (len(sizes) + 1))
    for step in STEPS:
        print(f'| {step}: ms, kB of WAL | ' + ' | '.join(
            f'{m.seconds[step] * 1000:,.0f}, {m.wal[step] / 1024:,.0f}' for m, _, _ in results) + ' |')
    print('| memory of the backend, of the coordinator, MB | ' +
          ' | '.join(f'{b / 1024:.1f}, {c / 1024:.1f}' for _, (b, c), _ in results) + ' |')
    print('| disk after one message each, kB | ' + ' | '.join(f'{size / 1024:,.0f}' for _, _, size in results) + ' |\n')


CELLS = [scale]
