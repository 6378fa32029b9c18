"""Postgres stands still (SIGSTOP): what is cached answers, who is interrupted returns, and all goes on after SIGCONT."""
import contextlib
import os
import signal
import subprocess
import threading
import time

from harness import Suite, check, equal, sized, until

suite = Suite('stopped_postgres')
READERS = 64


@contextlib.contextmanager
def stopped(box):
    """All processes of the private Postgres are stopped."""
    pids = box.server_pids('postgres')
    check(len(pids) > 3, 'processes of Postgres:', pids)
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def contents(number, size):
    return (b'%08d' % number) * (size // 8)


@suite.case('64 cold reads hang; stat of cached names answers in milliseconds', timeout=90)
def cold_reads(box):
    size = sized(512 << 10, 4 << 20)
    box.create('cold')
    mount = box.mount('cold')
    for number in range(READERS):
        with open(mount.path(f'f{number}'), 'wb') as file:
            file.write(contents(number, size))
    os.mkdir(mount.path('names'))
    for number in range(500):
        with open(mount.path('names', str(number)), 'wb'):
            pass
    mount.umount()
    mount = box.mount('cold')
    names = [mount.path('names', name) for name in os.listdir(mount.path('names'))]
    names += [mount.path(f'f{number}') for number in range(READERS)]
    for name in names:
        os.stat(name)
    results, handles = {}, [open(mount.path(f'f{number}'), 'rb', buffering=0) for number in range(READERS)]

    def read(number):
        data = b''
        while piece := handles[number].read(1 << 20):
            data += piece
        results[number] = data == contents(number, size)

    readers = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(READERS)]
    times = []
    with stopped(box):
        for reader in readers:
            reader.start()
        time.sleep(0.5)  # let them all reach the mount
        hanging = sum(reader.is_alive() for reader in readers)
        for name in names * 2:
            start = time.monotonic()
            os.stat(name)
            times.append(time.monotonic() - start)
        start = time.monotonic()
        equal(len(os.listdir(mount.path('names'))), 500, 'a cached listing')
        listing = time.monotonic() - start
    start = time.monotonic()
    for reader in readers:
        reader.join(30)
    check(not any(reader.is_alive() for reader in readers), 'readers still hang after SIGCONT')
    after = time.monotonic() - start
    equal([number for number in range(READERS) if not results.get(number)], [], 'files with wrong contents')
    for handle in handles:
        handle.close()
    check(hanging >= READERS // 2, f'only {hanging} readers hung: the reads were not cold')
    times.sort()
    check(times[len(times) * 99 // 100] < 0.02 and times[-1] < 0.2, f'stat took up to {times[-1]:.3f} s, '
          f'99% within {times[len(times) * 99 // 100]:.3f} s')
    check(listing < 0.2, f'a cached listing took {listing:.3f} s')
    return (f'{hanging} hanging reads, {len(times)} stats, worst {times[-1] * 1000:.1f} ms, listing '
            f'{listing * 1000:.1f} ms, all read {after:.1f} s after SIGCONT')


@suite.case('an interrupted reader returns; a killed one goes', timeout=90)
def interrupted(box):
    box.create('interrupt')
    mount = box.mount('interrupt')
    for number in range(8):
        with open(mount.path(f'f{number}'), 'wb') as file:
            file.write(contents(number, 4 << 20))
    mount.umount()
    mount = box.mount('interrupt')
    os.listdir(mount.where)
    worst = 0.0
    with stopped(box):
        readers = [box.start(['cat', mount.path(f'f{number}')], stdout=subprocess.DEVNULL) for number in range(8)]
        time.sleep(0.5)  # let them all reach the mount
        equal([reader.poll() for reader in readers], [None] * 8, 'readers that returned')
        for number, reader in enumerate(readers):
            start = time.monotonic()
            reader.send_signal(signal.SIGINT if number % 2 else signal.SIGKILL)
            reader.wait(10)
            worst = max(worst, time.monotonic() - start)
        writer = box.start(['sh', '-c', 'echo x > "$1"; exec dd if=/dev/zero of="$1" bs=4k count=1 conv=fsync', 'sh',
                            mount.path('new')], stderr=subprocess.DEVNULL)
        time.sleep(0.5)  # let it reach its fsync
        equal(writer.poll(), None, 'fsync returned although Postgres stands still')
    check(worst < 1, f'an interrupted reader took {worst:.2f} s')
    equal(writer.wait(20), 0, 'the writer after SIGCONT')
    for number in range(8):
        with open(mount.path(f'f{number}'), 'rb') as file:
            check(file.read() == contents(number, 4 << 20), f'f{number} afterwards')
    return f'worst {worst * 1000:.0f} ms'


@suite.case('writers go on in memory, and all is committed afterwards', timeout=90)
def writers(box):
    box.create('writers')
    mount = box.mount('writers')
    with open(mount.path('warm'), 'w', encoding='ascii') as file:
        file.write('the lease is here')
    mount.sync()
    start = time.monotonic()
    with stopped(box):
        for number in range(200):
            with open(mount.path(f'w{number}'), 'wb') as file:
                file.write(contents(number, 4096))
        seconds = time.monotonic() - start
    check(seconds < 3, f'200 files took {seconds:.1f} s with Postgres stopped')
    mount.sync()
    mount.umount()
    mount = box.mount('writers')
    for number in range(200):
        with open(mount.path(f'w{number}'), 'rb') as file:
            check(file.read() == contents(number, 4096), f'w{number} afterwards')
    return f'200 files in {seconds * 1000:.0f} ms'


@suite.case('Postgres killed and started again under a mount', timeout=120)
def restarted(box):
    box.create('restart')
    mount = box.mount('restart')
    for number in range(3):
        with open(mount.path(f'before{number}'), 'w', encoding='ascii') as file:
            file.write('b')
        mount.sync()
        os.kill(box.services()['postgres_pid'], signal.SIGKILL)
        with open(mount.path(f'during{number}'), 'w', encoding='ascii') as file:
            file.write('d')
        box.sboxfs('services', 'start')
        with open(mount.path(f'after{number}'), 'w', encoding='ascii') as file:
            file.write('a')
        mount.sync()
    mount.umount()
    mount = box.mount('restart')
    equal(sorted(os.listdir(mount.where)), sorted(f'{word}{n}' for word in ('after', 'before', 'during')
                                                  for n in range(3)), 'files')
    until(5, lambda: box.info('restart')['published_version'] == box.info('restart')['version'], 'published')


if __name__ == '__main__':
    suite.main()
