"""What every cell needs: statements, intervals, rows of the table."""
import math
import os
import statistics
import subprocess


def sql(*commands, options=''):
    arguments = ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', 'bench']
    for command in commands:
        arguments += ['-c', command]
    environment = dict(os.environ, PGOPTIONS='-c client_min_messages=warning ' + options)
    return subprocess.run(arguments, env=environment, check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def interval(values):
    """The 95 % interval of the median."""
    values = sorted(values)
    n = len(values)
    k = 0
    while sum(math.comb(n, i) for i in range(k + 1)) / 2 ** n <= 0.025:
        k += 1
    k = max(k, 1)
    return values[k - 1], values[n - k]


def number(value):
    return f'{value / 1e6:.2f} M' if value >= 1e6 else f'{value:,.0f}'


def row(*columns):
    print('| ' + ' | '.join(columns) + ' |', flush=True)


def ratio_row(name, pairs, bar, factor=1):
    ratios = [topic / heap for heap, topic in pairs]
    low, high = interval(ratios)
    row(name, number(statistics.median(h for h, _ in pairs) * factor),
        number(statistics.median(t for _, t in pairs) * factor),
        f'{statistics.median(ratios):.2f} [{low:.2f}, {high:.2f}]', f'≥ {bar:g}',
        'holds' if high >= bar else 'MISSED')
