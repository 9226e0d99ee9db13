#!/usr/bin/env python3
"""Measures pgtopic beside what one would use instead, on the server of PGHOST, and prints a table.

Every cell runs in pairs, the other side and the topic in turns; its ratio is the median over the pairs, with
the 95 % interval of the median from order statistics (the binomial one: no assumption about the distribution).
A bar holds when the interval reaches it.
"""
import argparse
import os
import subprocess
import sys

import consume
import members
import retention
import scale
import shell
import storage
from report import row, sql

CELLS = {f.__name__: f for f in storage.CELLS + consume.CELLS + members.CELLS + retention.CELLS + scale.CELLS +
         shell.CELLS}
CONSUME = [f.__name__ for f in consume.CELLS + members.CELLS]


def recycle_wal():
    """Leaves 6 GB of WAL files to use again, as a server has that has run for a while.

    Else whoever fills one would have to make the next: a part of the time of both sides that depends on how much
    WAL the cells before have written.
    """
    sql("SELECT count(pg_logical_emit_message(false, 'bench', repeat('.', 1000000))) FROM generate_series(1, 6400)",
        'CHECKPOINT', options='-c synchronous_commit=off')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('cells', nargs='*', metavar='CELL',
                        help='of ' + ', '.join(CELLS) + '; consume = those of groups: ' + ', '.join(CONSUME) +
                        '; default all')
    parser.add_argument('--pairs', type=int, default=15, help='pairs of a cell, twice as many of short ones')
    parser.add_argument('--lookups', type=int, default=20, help='random places that are looked up')
    parser.add_argument('--quick', action='store_true',
                        help='without the lookups in 50 M; peers get fewer messages, and no soak')
    options = parser.parse_args()
    names = []
    for name in options.cells or CELLS:
        names += CONSUME if name == 'consume' else [name]
    unknown = set(names) - set(CELLS)
    if unknown:
        parser.error('no such cell: ' + ', '.join(sorted(unknown)))

    subprocess.run(['psql', '-XqAt', '-d', 'postgres', '-c', 'DROP DATABASE IF EXISTS bench WITH (FORCE)',
                    '-c', 'CREATE DATABASE bench'], check=True,
                   env=dict(os.environ, PGOPTIONS='-c client_min_messages=warning'))
    sql('CREATE EXTENSION pgtopic')
    recycle_wal()
    print('Server ' + sql('SHOW server_version') + f', {os.cpu_count()} processors, load average at the start '
          f'{os.getloadavg()[0]:.1f}.\n')
    row('work', 'heap or peer', 'pgtopic', 'ratio, median [95 %]', 'bar', '')
    row(*['---'] * 6)
    for name in names:
        CELLS[name](options)


if __name__ == '__main__':
    sys.exit(main())
