"""What only sboxfs is asked: exec, the first ls after a mount, memory."""
import os
import subprocess
import time

import columns  # noqa: F401 (where the tests' modules are)
import coherence
from scale import many_directories


def seconds_of(job, times):
    start = time.perf_counter()
    for _ in range(times):
        job()
    return time.perf_counter() - start


def execs(column, record, times):
    """`sboxfs exec NAME -- true`, with the sandbox mounted here and not."""
    program = os.environ['SBOXFS_BIN']
    env = {**column.box.env, **(column.env or {})}
    column.fresh()

    def once():
        subprocess.run([program, 'exec', column.sandbox, '--', 'true'], env=env, check=True)
    try:
        once()
        with record.timed(f'exec -- true, mounted here, {times} times'):
            for _ in range(times):
                once()
        column.cold(between=lambda: record.value(f'exec -- true, not mounted, {times} times', seconds_of(once, times), 's'))
    finally:
        column.done()


def first_ls(box, record, files):
    """The first listing of the root of `files` files, 100 a directory."""
    name = f'ls-{files}'
    many_directories(box, name, files // 100, 100)
    for _ in range(5):
        mount = box.mount(name)
        start = time.perf_counter()
        names = os.listdir(mount.where)
        record.value(f'first ls after mount, {files} files ({len(names)} names)', time.perf_counter() - start, 's')
        mount.umount()
        box.mounts.remove(mount)


def visibility(column, record, changes):
    """A change on one mount until stat, cat or ls on another shows it: the median and the 99th percentile."""
    box = column.box
    if column.env:
        record.results.missing.append('visibility with a delay: scripts/bench-coherence measures it without')
        return
    name = 'visibility'
    box.create(name)
    mounts = [box.mount(name), box.mount(name)]
    times = sorted(seconds for kind in coherence.changes_seen(*mounts, changes).values() for seconds in kind)
    record.value(f'a change seen on another mount, p50 of {len(times)}', times[len(times) // 2], 's')
    record.value(f'a change seen on another mount, p99 of {len(times)}', times[len(times) * 99 // 100], 's')
    for mount in mounts:
        mount.umount()
        box.mounts.remove(mount)


def memory(column, record, files, program):
    """Private memory after the first ls, and after a walk of `files` files on a new mount."""
    top = column.fresh()
    try:
        program('create', top, files, 8, 0)
        column.commit(top)
        column.cold()
        os.listdir(top)
        record.value('memory after the first ls', column.memory() / (1 << 20), 'MiB')
        subprocess.run(['find', top, '-size', '+1000000'], check=True, stdout=subprocess.DEVNULL)
        time.sleep(0.2)
        record.value(f'memory after a walk of {files} files', column.memory() / (1 << 20), 'MiB')
    finally:
        column.done()


def read_memory(column, record, mib):
    """The most private memory while a file that is larger than the content cache is read."""
    top = column.fresh()
    try:
        path = os.path.join(top, 'big')
        block = os.urandom(1 << 20)
        with open(path, 'wb', buffering=0) as file:
            for number in range(mib):
                file.write(number.to_bytes(8, 'little') + block[8:])
        column.commit(top)
        column.cold()
        most = 0
        with open(path, 'rb', buffering=0) as file:
            number = 0
            while file.read(1 << 20):
                number += 1
                if number % 16 == 0:
                    most = max(most, column.memory())
        record.value(f'most memory while {mib} MiB are read', most / (1 << 20), 'MiB')
    finally:
        column.done()
