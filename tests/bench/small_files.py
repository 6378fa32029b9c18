"""Thousands of small files by one thread and by eight, and small appends."""
import os
import subprocess

from columns import HERE


class Program:
    def __init__(self, box):
        self.path = os.path.join(box.directory('small'), 'small_files')
        box.run(['gcc', '-O2', '-pthread', os.path.join(HERE, 'small_files.c'), '-o', self.path])

    def __call__(self, what, top, count, threads, size):
        subprocess.run([self.path, what, top, str(count), str(threads), str(size)], check=True)


def run(column, record, program, count, threads):
    who = f'{threads} thread' + ('s' if threads > 1 else '')
    top = column.fresh()
    try:
        with record.timed(f'create {count} files of 1 KiB, {who}', count):
            program('create', top, count, threads, 1024)
        column.commit(top)
        with record.timed(f'stat {count} files, {who}', count):
            program('stat', top, count, threads, 0)
        with record.timed(f'unlink {count} files, {who}', count):
            program('unlink', top, count, threads, 0)
    finally:
        column.done()


def appends(column, record, count):
    top = column.fresh()
    try:
        block = b'a' * 4096
        with record.timed(f'{count} appends of 4 KiB', count):
            fd = os.open(os.path.join(top, 'log'), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
            for _ in range(count):
                os.write(fd, block)
            os.close(fd)
    finally:
        column.done()
