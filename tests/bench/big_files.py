"""One big file: in sequence and at random."""
import os
import subprocess

from columns import need

MIB = 1 << 20


def run(column, record, mib, cold):
    top = column.fresh()
    path = os.path.join(top, 'big')
    try:
        block = os.urandom(MIB)
        with record.timed(f'write {mib} MiB') as start:
            with open(path, 'wb', buffering=0) as file:
                for number in range(mib):
                    file.write(number.to_bytes(8, 'little') + block[8:])  # no two chunks alike
        with record.timed(f'write {mib} MiB until committed', since=start):
            column.commit(top)
        read_all(path)
        with record.timed(f'read {mib} MiB warm'):
            read_all(path)
        if cold:
            column.cold()
            with record.timed(f'read {mib} MiB cold'):
                read_all(path)
    finally:
        column.done()


def read_all(path):
    with open(path, 'rb', buffering=0) as file:
        while file.read(MIB):
            pass


def random_io(column, record, mib, operations):
    need('fio')
    top = column.fresh()
    try:
        common = ['fio', '--output-format=terse', '--directory=' + top, '--bs=4k', f'--size={mib}m', '--ioengine=psync',
                  f'--number_ios={operations}', '--randseed=7', '--invalidate=0', '--filename=random']
        subprocess.run(['fio', '--output-format=terse', '--name=lay', '--directory=' + top, '--filename=random', '--rw=write',
                        '--bs=1m', f'--size={mib}m'], check=True, stdout=subprocess.DEVNULL)
        column.commit(top)
        for kind, row in (('randread', 'random read'), ('randwrite', 'random write')):
            with record.timed(f'{operations} × {row} of 4 KiB in {mib} MiB'):
                subprocess.run([*common, '--name=' + kind, '--rw=' + kind], check=True, stdout=subprocess.DEVNULL)
    finally:
        column.done()
