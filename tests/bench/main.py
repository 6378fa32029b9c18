"""The benchmark: workloads against local disk, FUSE pass-through and sboxfs, interleaved. Prints one table."""
import argparse
import json
import os
import shutil
import signal
import sys
import time

import big_files
import npm_packages
import ours
import page
import programs
import small_files
import trees
from columns import Local, Missing, Other, PassThrough, Sboxfs, can_drop_caches
from delay import Delay
from harness import Box
from peers import JuiceFs
from record import Record, Results, costs, table


def options():
    parser = argparse.ArgumentParser(prog='scripts/bench', description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument('--quick', action='store_true', help='small inputs and one run: minutes')
    size.add_argument('--full', action='store_true', help='all of the tree, 1,000,000 files, a 10 GiB read')
    parser.add_argument('--runs', type=int, help='runs of each workload on each column (5; quick: 1)')
    parser.add_argument('--only', action='append', metavar='WORD', help='only workloads whose name has WORD')
    parser.add_argument('--modes', default='async,cto,sync', help='sboxfs mount modes to measure (async,cto,sync)')
    parser.add_argument('--rtt', type=float, metavar='MS', help='a network of so many milliseconds before the services')
    parser.add_argument('--local', metavar='DIR', help='where local disk and pass-through work (a temporary directory)')
    parser.add_argument('--floor', action='store_true', help='pass-through over memory (/dev/shm) too: what FUSE itself costs')
    parser.add_argument('--peers', action='store_true', help='JuiceFS too, from PyPI and in the same Postgres: once each')
    parser.add_argument('--peer', action='append', default=[], metavar="NAME='MOUNT|UMOUNT'",
                        help='another file system, once each: shell commands that mount on $DIR and unmount it')
    parser.add_argument('--json', metavar='FILE', help='all figures, as JSON')
    parser.add_argument('--page', metavar='FILE', help='the table and the costs as a Markdown page')
    parser.add_argument('--plot', metavar='FILE', help='the ratios as a picture (.png or .svg)')
    return parser.parse_args()


def sizes(args):
    if args.quick:
        return {'tree': 2000, 'small': 1000, 'appends': 1000, 'big': 64, 'random': 1000, 'inserts': 200, 'c': 50, 'npm': 2, 'seen': 300,
                'execs': 5, 'ls': (1000,), 'walk': 10000, 'read': 512}
    return {'tree': None, 'small': 10000, 'appends': 10000, 'big': 1024, 'random': 10000, 'inserts': 2000, 'c': 200, 'npm': 7, 'seen': 2000,
            'execs': 20, 'ls': (1000, 100_000, 1_000_000) if args.full else (1000, 100_000), 'walk': 100_000,
            'read': 10240 if args.full else 1024}


def workloads(box, size, cold, wanted, results):
    """[(name, function of column and record, only for sboxfs async)]; inputs are made here, once."""
    source = trees.Source(box, size['tree'])
    print(f'source tree: {source}', file=sys.stderr)
    small = small_files.Program(box)
    repository = programs.Repository(box, source)
    packages = []
    if wanted('npm'):
        try:
            packages.append(npm_packages.Packages(box, size['npm']))
        except Missing as missing:
            results.missing.append(f'npm: {missing}')
    return [
        ('tree', lambda column, record: trees.run(column, record, source, cold), False),
        ('git', lambda column, record: programs.git(column, record, repository, cold), False),
        *(('npm', lambda column, record, npm=npm: programs.npm(column, record, npm), False) for npm in packages),
        ('build', lambda column, record: programs.build(column, record, size['c']), False),
        ('small 1', lambda column, record: small_files.run(column, record, small, size['small'], 1), False),
        ('small 8', lambda column, record: small_files.run(column, record, small, size['small'], 8), False),
        ('appends', lambda column, record: small_files.appends(column, record, size['appends']), False),
        ('big', lambda column, record: big_files.run(column, record, size['big'], cold), False),
        ('random', lambda column, record: big_files.random_io(column, record, size['big'], size['random']), False),
        ('sqlite', lambda column, record: programs.sqlite(column, record, size['inserts']), False),
        ('exec', lambda column, record: ours.execs(column, record, size['execs']), True),
        *((f'ls {files}', lambda column, record, files=files: ours.first_ls(box, record, files), True)
          for files in size['ls']),
        ('visibility', lambda column, record: ours.visibility(column, record, size['seen']), True),
        ('memory', lambda column, record: ours.memory(column, record, size['walk'], small), True),
        ('read memory', lambda column, record: ours.read_memory(column, record, size['read']), True),
    ]


def columns_of(box, args, base, memory, delay):
    columns = [Local(box, base)]
    try:
        columns.append(PassThrough(box, base))
    except Missing as missing:
        print(f'no pass-through: {missing}', file=sys.stderr)
    if args.floor:
        columns.append(PassThrough(box, memory, 'floor'))
    columns += [Sboxfs(box, mode, env=delay.env if delay else None) for mode in args.modes.split(',')]
    if args.peers:
        columns.append(JuiceFs(box, delay.directory if delay else box.sockets()))
    for peer in args.peer:
        name, _, commands = peer.partition('=')
        mount, _, umount = commands.partition('|')
        columns.append(Other(box, name, mount, umount))
    return columns


def measure(args, box, results, columns):
    cold = can_drop_caches()
    if not cold:
        results.missing.append('cold rows: only root may drop the kernel\'s caches')
    def wanted(name):
        return not args.only or any(word in name for word in args.only)

    jobs = [job for job in workloads(box, sizes(args), cold, wanted, results) if wanted(job[0])]
    runs = args.runs or (1 if args.quick else 5)
    for name, job, only_ours in jobs:
        for run in range(runs):
            for column in columns:
                if only_ours and (column.name != 'sboxfs async' or (run > 0 and name != 'exec')):
                    continue
                if isinstance(column, Other) and run > 0:
                    continue
                start = time.monotonic()
                job(column, Record(column, results))
                print(f'{name}, {column.name}, run {run + 1} of {runs}: {time.monotonic() - start:.1f} s', file=sys.stderr,
                      flush=True)


def main():
    args = options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    box, results = Box(), Results()
    base = args.local or box.directory('local')
    mine = os.path.join(base, f'sboxfs-bench-{os.getpid()}')
    memory = os.path.join('/dev/shm', os.path.basename(mine))
    os.makedirs(mine)
    delay = None
    try:
        box.sboxfs('services', 'start')
        if args.rtt:
            delay = Delay(box, args.rtt)
            select, ping = delay.proof()
            print(f'with {args.rtt} ms in between: select 1 takes {select:.2f} ms, PING {ping:.2f} ms')
        columns = columns_of(box, args, mine, memory, delay)
        names = [column.name for column in columns]
        measure(args, box, results, columns)
        print(table(results, names))
        print()
        print(costs(results))
        for words in results.missing:
            print(f'not measured: {words}')
        if args.json:
            with open(args.json, 'w', encoding='utf-8') as file:
                json.dump(results.json(), file, indent=1)
        if args.plot:
            import plot
            plot.draw(results, names, args.plot)
        if args.page:
            page.write(results, names, args)
    finally:
        for mount in list(box.mounts):
            mount.umount(status=None)
        if delay:
            delay.end()
        box.end()
        for directory in (mine, memory):
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == '__main__':
    main()
