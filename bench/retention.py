"""Cells of retention: a topic in constant space, at what price."""
import os
import subprocess
import time

from report import number, ratio_row, row, sql
from storage import drive, watch

PARTITIONS = 4
RETAINED = 64 * 1024 * 1024

# One batch of 1000 messages of 1 kB per transaction; the next partition each time.
PRODUCE = """DO $$
DECLARE
    messages bytea[] := array_fill(decode(repeat('61', 1000), 'hex'), ARRAY[1000]);
    began timestamptz := clock_timestamp();
    n bigint := 0;
BEGIN
    WHILE clock_timestamp() < began + {seconds} * interval '1 s' LOOP
        PERFORM topic.produce_batch_bytes('ring', messages, partition => (n % {partitions})::int);
        COMMIT;
        n := n + 1;
        IF {rate} > 0 THEN
            PERFORM pg_sleep(extract(epoch FROM began + n * interval '1 s' / nullif({rate}, 0) - clock_timestamp()));
        END IF;
    END LOOP;
    RAISE WARNING 'batches: %', n;
END $$"""


class OldSnapshot:
    """A session that holds the snapshot of its first statement."""

    def __enter__(self):
        self.psql = subprocess.Popen(['psql', '-XqAt', '-d', 'bench'], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        self.psql.stdin.write('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class;\n')
        self.psql.stdin.flush()
        self.psql.stdout.readline()

    def __exit__(self, *_):
        self.psql.stdin.close()
        self.psql.wait()


def constant_space(name, seconds, rate):
    """The file's largest size beside the bytes that retention keeps; rate in MB/s, 0 = full speed."""
    sql("SELECT topic.drop('ring', if_exists => true)",
        f"SELECT topic.create('ring', {PARTITIONS}, retention_bytes => {RETAINED})", 'CHECKPOINT')
    statement = PRODUCE.format(seconds=seconds, rate=rate, partitions=PARTITIONS)
    largest = 0
    with OldSnapshot():
        producer = subprocess.Popen(['psql', '-XqAt', '-d', 'bench', '-c', statement],
                                    env=dict(os.environ, PGOPTIONS='-c synchronous_commit=off'),
                                    stderr=subprocess.PIPE, text=True)
        while producer.poll() is None:
            largest = max(largest, int(sql("SELECT pg_relation_size('ring')")))
            time.sleep(0.5)
        batches = int(producer.stderr.read().split('batches: ')[1].split()[0])
    ratio = largest / (PARTITIONS * RETAINED)
    row(name, f'{PARTITIONS} × {RETAINED >> 20} MB kept', f'{largest >> 20} MB at most',
        f'{ratio:.3f}, {batches / seconds:.0f} MB/s', '≤ 1.25', 'holds' if ratio <= 1.25 else 'MISSED')


def steady(options):
    seconds = 30 if options.quick else 600
    constant_space(f'file at 20 MB/s for {seconds} s, old snapshot held', seconds, 20)


def burst(options):
    seconds = 15 if options.quick else 60
    constant_space(f'file at full speed for {seconds} s, old snapshot held', seconds, 0)


def retention(options):
    """The rate of producing where retention is at work, beside a topic that keeps all."""
    sql("SELECT topic.drop('ring', if_exists => true)", "SELECT topic.drop('all', if_exists => true)",
        f"SELECT topic.create('ring', {PARTITIONS}, retention_bytes => {RETAINED // 4})",
        f"SELECT topic.create('\"all\"', {PARTITIONS}, retention => NULL)")
    statement = "SELECT topic.produce_batch_bytes('{}', array_fill(decode(repeat('61', 1000), 'hex'), ARRAY[1000]), partition => (random() * 3)::int) FROM generate_series(1, 100)"
    for _ in range(3):
        sql(statement.format('ring'))
    ratio_row('produce with retention beside without, MB/s',
              drive('sql', statement.format('"all"'), statement.format('ring'), options.pairs,
                    RESET='TRUNCATE "all"; CHECKPOINT'), 0.95, factor=0.1)
    sql("""SELECT topic.drop('"all"')""")


def trim(options):
    """Time and WAL of leaving the larger part of a topic behind."""
    gigabytes = 1 if options.quick else 10
    sql("SELECT topic.drop('ring', if_exists => true)", "SELECT topic.create('ring', retention => NULL)")
    for _ in range(gigabytes * 10):
        sql("SELECT topic.produce_batch_bytes('ring', array_fill(decode(repeat('61', 1000), 'hex'), ARRAY[1000])) "
            'FROM generate_series(1, 107)', options='-c synchronous_commit=off')
    end = int(sql("SELECT log_end_offset FROM topic.list_offsets('ring')"))
    sql('CHECKPOINT')
    before = sql('SELECT pg_current_wal_insert_lsn()')
    seconds = float(sql(f"""DO $$ DECLARE began timestamptz := clock_timestamp(); BEGIN
        PERFORM topic.delete_records('ring', 0, {end} - 1000);
        PERFORM set_config('bench.took', extract(epoch FROM clock_timestamp() - began)::text, false); END $$""",
        "SELECT current_setting('bench.took')"))
    wal = int(sql(f"SELECT pg_current_wal_insert_lsn() - '{before}'"))
    row(f'trimming {gigabytes} GB', '', f'{seconds * 1000:.1f} ms, {wal:,} B of WAL', '', '≤ 50 ms, ≤ 10 kB',
        'holds' if seconds <= 0.05 and wal <= 10240 else 'MISSED')
    sql("SELECT topic.drop('ring')")


def compaction(options):
    """One compaction: every key has come ten times, in another order each time."""
    keys = 200_000 if options.quick else 1_000_000
    sql("SELECT topic.drop('states', if_exists => true)",
        "SELECT topic.create('states', cleanup_policy => 'compact', retention => NULL)",
        *[f"INSERT INTO states (key, value) SELECT convert_to('key ' || i * {step}::bigint % {keys}, 'UTF8'), convert_to(repeat('v', 100), 'UTF8') "
          f'FROM generate_series(1, {keys}) i' for step in (1, 3, 7, 9, 11, 13, 17, 19, 21, 23)])
    seconds, grown = watch("SELECT topic.compact('states')")
    left = int(sql('SELECT count(*) FROM states'))
    rate = 10 * keys / seconds
    row(f'compaction of {number(10 * keys)} with {number(keys)} keys', '',
        f'{number(rate)} messages/s, {grown:.0f} MB, {number(left)} left', '', '≥ 300,000/s, ≤ 128 MB',
        'holds' if rate >= 300_000 and grown <= 128 else 'MISSED')
    sql("SELECT topic.drop('states')")


CELLS = [steady, burst, retention, trim, compaction]
