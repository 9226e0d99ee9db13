"""Cells of groups with many members: taking over, joining, doing nothing."""
import os
import statistics
import subprocess
import time

from consume import limit_row
from report import interval, row, sql
from server import on_cpu, server_processes

PROGRAM = os.environ.get('BENCH_MEMBERS', './members')
MEMBERS, PARTITIONS = 100, 1000
SETTLE = 20                     # seconds; the background writer logs a snapshot 15 s after the last change
ENVIRONMENT = dict(os.environ, PGDATABASE='bench', PGOPTIONS='-c client_min_messages=warning')


def members(*arguments):
    output = subprocess.run([PROGRAM, *map(str, arguments)], check=True, text=True, stdout=subprocess.PIPE,
                            env=ENVIRONMENT).stdout
    return [tuple(map(float, line.split())) for line in output.splitlines()]


def new_fleet():
    sql("SELECT topic.drop('fleet', if_exists => true)",
        f"SELECT topic.create('fleet', {PARTITIONS}, retention => NULL)", 'CHECKPOINT')


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))]


def takeover(options):
    tries, load = 50, 1000
    new_fleet()
    *lines, (errors,) = members('takeover', MEMBERS, PARTITIONS, tries, load)
    owned, consumed, _ = zip(*lines)
    work = f'one of {MEMBERS} members is killed, {PARTITIONS} partitions, {load} messages/s, ms until '
    limit_row(work + f'all are owned again, p99 of {tries}', percentile(owned, 99), 50,
              f'{percentile(owned, 99):.1f}, p50 {statistics.median(owned):.1f}', ' ms')
    row('the same, until the new owners have got a message of each, produced then', '',
        f'{percentile(consumed, 99):.1f}, p50 {statistics.median(consumed):.1f}', '', '', '')
    limit_row("errors of those who weren't killed meanwhile", errors, 0, f'{errors:.0f}')


def join(options):
    new_fleet()
    stable, longest, gains = zip(*members('join', MEMBERS, PARTITIONS, options.pairs))
    low, high = interval(stable)
    limit_row(f'{MEMBERS} members join a group of {PARTITIONS} partitions at once, ms until it is stable', low, 1000,
              f'{statistics.median(stable):.0f} [{low:.0f}, {high:.0f}], at most {max(stable):.0f}', ' ms')
    row('the same, the longest subscribe()', '', f'{statistics.median(longest):.0f}, at most {max(longest):.0f}',
        '', '', '')
    row(f'partitions given in these, {PARTITIONS} at least', '',
        f'{statistics.median(gains):,.0f}, at most {max(gains):,.0f}', '', '', '')


# ---------- nothing to do ----------

def idle_turn(idleness, seconds):
    """Seconds of CPU and bytes of WAL of the whole server."""
    program = subprocess.Popen([PROGRAM, 'idle', str(MEMBERS), idleness], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=ENVIRONMENT)
    program.stdout.readline()
    time.sleep(SETTLE)
    position = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
    before = int(sql(position))
    pids = server_processes()
    start = on_cpu(pids)
    time.sleep(seconds)
    used = on_cpu(pids) - start
    written = int(sql(position)) - before
    program.stdin.close()
    program.wait()
    time.sleep(2)
    return used, written


def idle(options):
    seconds = 10
    new_fleet()
    sql('CHECKPOINT')
    turns = {name: [] for name in ('connected', 'subscribed', 'waiting')}
    for _ in range(1 if options.quick else 3):
        for name, done in turns.items():
            done.append(idle_turn(name, seconds))
    base = statistics.median(used for used, _ in turns['connected']) * 1e3
    for name, title in (('subscribed', 'between calls'), ('waiting', 'waiting in consume()')):
        used = statistics.median(used for used, _ in turns[name]) * 1e3
        work = f'idle group of {MEMBERS} members {title}, {seconds} s of it, ms of CPU in the server'
        row(work, f'{base:.1f} without a group', f'{used:.1f}', '', '< 10 more', 'holds' if used - base < 10 else 'MISSED')
        written = max(written for _, written in turns[name])
        limit_row('the same, bytes of WAL', written, 0, f'{written}')


CELLS = [takeover, join, idle]
