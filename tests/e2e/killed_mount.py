"""kill -9 of a mount's process: what is there afterwards is a consistent prefix with everything that was fsynced."""
import hashlib
import os
import random
import subprocess
import sys
import time

from harness import Suite, check, equal, sized, until

suite = Suite('killed_mount')

# Writes numbered files until the mount dies; says which one was the last that fsync returned for.
WRITER = '''
import hashlib, os, sys
top, first = sys.argv[1], int(sys.argv[2])
def body(n):
    return hashlib.sha256(b"%d" % n).digest() * (n * 37 % 3000)
for n in range(first, 10**6):
    directory = f"{top}/d{n // 100}"
    if n % 100 == 0 or n == first:
        os.makedirs(directory, exist_ok=True)
    fd = os.open(f"{directory}/{n}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    data = body(n)
    while data:
        data = data[os.write(fd, data):]
    if n % 23 == 0:
        os.fsync(fd)
        print(n, flush=True)
    os.close(fd)
'''


def body(number):
    return hashlib.sha256(b'%d' % number).digest() * (number * 37 % 3000)


def check_files(top, least):
    """0..N without a gap, all whole but perhaps the last, which is a prefix; N is at least `least`. Returns N + 1."""
    found = {}
    for directory in os.listdir(top):
        for name in os.listdir(os.path.join(top, directory)):
            equal(directory, f'd{int(name) // 100}', f'the directory of {name}')
            found[int(name)] = os.path.join(top, directory, name)
    equal(sorted(found), list(range(len(found))), 'files')
    check(len(found) > least, f'file {least} was fsynced, only {len(found)} are there')
    for number, path in found.items():
        with open(path, 'rb') as file:
            data = file.read()
        if number == len(found) - 1 and number > least:
            check(body(number).startswith(data), f'file {number} is not a prefix of what was written')
        else:
            check(data == body(number), f'file {number} has {len(data)} bytes that are not what was written '
                                        f'({len(body(number))} bytes)')
    return len(found)


def write_until_killed(box, mount, first, delay):
    """Returns the number of the last file for which fsync returned, or -1."""
    writer = box.start([sys.executable, '-c', WRITER, mount.where, str(first)], stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL)
    try:
        time.sleep(delay)  # the seeded moment
        mount.kill()
        out, _ = writer.communicate(timeout=20)
    finally:
        writer.kill()
        writer.wait()
    check(writer.returncode != 0, 'the writer did not notice')
    synced = [int(line) for line in out.split()]
    return synced[-1] if synced else -1


def first_write(mount):
    """Returns once a write is durable."""
    fd = os.open(mount.path('first'), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(fd, b'written after the crash')
    os.fsync(fd)
    os.close(fd)
    os.unlink(mount.path('first'))


@suite.case('killed at seeded moments, mounted again on the same host', timeout=sized(120, 600))
def same_host(box):
    kills = sized(3, 20)
    box.create('killed')
    mount = box.mount('killed')
    count, worst, seen = 0, (0.0, 0.0), []
    for number in range(kills):
        synced = write_until_killed(box, mount, count, random.uniform(0.1, 1.5))
        start = time.monotonic()
        mount = box.mount('killed', where=mount.where)
        mounted = time.monotonic() - start
        first_write(mount)
        worst = max(worst, (time.monotonic() - start, mounted))
        count = check_files(mount.where, max(synced, count - 1))
        seen.append(count)
        last = mount.path(f'd{(count - 1) // 100}', str(count - 1))
        if count and os.path.getsize(last) != len(body(count - 1)):
            os.unlink(last)  # the writer goes on with this one
            count -= 1
    check(worst[0] < 1, f'the re-mount wrote after {worst[0]:.2f} s, {worst[1]:.2f} s of them until it answered')
    sandbox = box.info('killed')['id']
    gaps = box.sql(f"SELECT version FROM (SELECT version, lag(version) OVER (ORDER BY version) AS before "
                   f"FROM sboxfs.changes WHERE sandbox = '{sandbox}') c WHERE version <> before + 1")
    equal(gaps, [], 'gaps in the versions')
    return f'{kills} kills, files after each: {seen}, re-mount to durable write {worst[0]:.2f} s at worst'


@suite.case('killed, mounted on another host: writes within the lease + 1 s', timeout=90)
def other_host(box):
    lease = sized(3, 10)
    host = box.other_host('other')
    box.create('far')
    mount = box.mount('far', '--lease', f'{lease}s')
    synced = write_until_killed(box, mount, 0, random.uniform(0.3, 1.0))
    killed = time.monotonic()
    other = box.mount('far', '--lease', f'{lease}s', env=host)
    first_write(other)
    seconds = time.monotonic() - killed
    check(seconds < lease + 1, f'it took {seconds:.2f} s with a lease of {lease} s')
    files = check_files(other.where, synced)
    return f'{files} files, lease {lease} s, {seconds:.2f} s'


@suite.case('a reader elsewhere goes on after the writer was killed')
def reader(box):
    host = box.other_host('reader')
    box.create('read')
    mount = box.mount('read')
    other = box.mount('read', env=host)
    synced = write_until_killed(box, mount, 0, 0.5)
    start = time.monotonic()
    check(os.listdir(other.where) != [] or synced < 0, 'the reader sees nothing')
    check(time.monotonic() - start < 1, 'the reader waited')
    again = box.mount('read', where=mount.where)
    wanted = check_files(again.where, synced)
    until(6, lambda: sum(len(files) for _, _, files in os.walk(other.where)) == wanted, f'{wanted} files', pause=0.05)
    equal(check_files(other.where, synced), wanted, 'the reader\'s files')
    return f'{wanted} files'


@suite.case('plain umount in the middle of a lot of work loses nothing', timeout=90)
def plain_umount(box):
    count = sized(400, 4000)
    box.create('plain')
    mount = box.mount('plain')
    for number in range(count):
        os.makedirs(mount.path(f'd{number // 100}'), exist_ok=True)
        with open(mount.path(f'd{number // 100}', str(number)), 'wb') as file:
            file.write(body(number))
    start = time.monotonic()
    mount.plain_umount()
    seconds = time.monotonic() - start
    mount = box.mount('plain')
    equal(check_files(mount.where, count - 1), count, 'files')
    return f'{count} files, umount {seconds:.2f} s'


if __name__ == '__main__':
    suite.main()
