"""The page with the newest table: the machine, the command, the medians, the costs."""
import os
import platform
import shlex
import sys
import time

from record import costs, table


def machine():
    with open('/proc/meminfo', encoding='ascii') as file:
        memory = int(file.readline().split()[1]) >> 20
    with open('/etc/os-release', encoding='utf-8') as file:
        system = next(line for line in file if line.startswith('PRETTY_NAME')).split('"')[1]
    return f'{os.cpu_count()} processors, {memory} GiB, {system}, Linux {platform.release()}'


def write(results, columns, args):
    command = 'scripts/bench ' + shlex.join(sys.argv[1:])
    lines = ['# Benchmark', '', f'Printed by `{command}` on {time.strftime("%Y-%m-%d")}; {machine()}.', '',
             'Medians of the runs, made in turn; a peer runs once. Ratios are of the medians, in one run.', '']
    if args.plot:
        lines += [f'![ratios]({os.path.relpath(args.plot, os.path.dirname(os.path.abspath(args.page)))})', '']
    lines += [table(results, columns), '', '## Costs', '', '```', costs(results), '```']
    lines += [f'- not measured: {words}' for words in results.missing]
    with open(args.page, 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines) + '\n')
