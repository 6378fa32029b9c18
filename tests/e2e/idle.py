"""Idle eviction: what goes, what comes back, and what can not be lost in between; unmounting instead."""
import errno
import os
import random
import signal
import subprocess
import sys
import time

from harness import Suite, check, equal, sized, until, write

suite = Suite('idle')
IDLE = 1.0
FLAGS = ('--idle-timeout', f'{IDLE * 1000:.0f}ms', '--drain-timeout', '1s')


def read(path):
    with open(path, encoding='ascii') as file:
        return file.read()


def evictions(mount):
    return mount.log_text().count('idle_evicted')


def wait_evicted(mount, before=0):
    return until(IDLE * 4 + 10, lambda: evictions(mount) > before, 'the idle mount is evicted', pause=0.05)


def threads(mount):
    return len(os.listdir(f'/proc/{mount.pid}/task'))


def connections(box):
    """(to Postgres, to Redis) of all mounts together."""
    postgres = int(box.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sboxfs'"))
    redis = len([line for line in box.redis('CLIENT', 'LIST').splitlines() if line]) - 1
    return postgres, redis


def fails_with(codes, action):
    wanted = [errno.errorcode[code] for code in codes]
    try:
        action()
    except OSError as error:
        check(error.errno in codes, error, 'instead of', wanted)
        return
    raise AssertionError(f'it succeeded, {wanted} was wanted')


@suite.case('memory, connections and threads before and after; the next access sees what others wrote', timeout=120)
def before_and_after(box):
    files = sized(2000, 20000)
    sandbox = box.create('lazy')
    mount = box.mount('lazy', *FLAGS)
    for number in range(files):
        if number % 500 == 0:
            os.mkdir(mount.path(f'd{number // 500}'))
        with open(mount.path(f'd{number // 500}', str(number)), 'wb') as file:
            file.write(os.urandom(8000))
    mount.sync()
    box.run(['find', mount.where, '-type', 'f', '-newermt', '2000-01-01', '-exec', 'cat', '{}', '+'])
    # Threads that waited at once stay until the eviction.
    readers = [box.start(['ls', '-R', mount.where], stdout=subprocess.DEVNULL) for _ in range(8)]
    for reader in readers:
        equal(reader.wait(60), 0, 'ls')
    memory, tasks, sockets = mount.memory(), threads(mount), connections(box)
    check(sockets[0] > 0 and sockets[1] > 0, 'no connections before:', sockets)
    wait_evicted(mount)
    equal(connections(box), (0, 0), 'connections to Postgres and Redis after')
    after = mount.memory(), threads(mount)
    check(after[0] < memory, 'memory did not shrink:', memory, after[0])
    check(after[1] <= 6 + 17, 'threads after:', after[1])  # the notifier's stay: a dispatcher and up to 16 workers
    version, known = box.versions(sandbox)
    equal(known, version, 'published_version')
    equal(box.version_key(sandbox), str(version), 'the key')
    equal(box.value(f"SELECT count(*) FROM sboxfs.sessions WHERE sandbox = '{sandbox}'"), '0', 'session rows')
    check(mount.mounted(), 'the mount is gone')

    other = box.mount('lazy')
    write(other.path('d0', '0'), 'changed')
    os.unlink(other.path('d0', '1'))
    write(other.path('new'), 'new')
    os.mkdir(other.path('later'))
    other.umount()
    equal(evictions(mount), 1, 'evictions')
    start = time.monotonic()
    names = os.listdir(mount.where)
    seconds = time.monotonic() - start
    check('new' in names and 'later' in names, 'the listing is old:', names)
    equal(read(mount.path('d0', '0')), 'changed', 'a file that was cached')
    check(not os.path.exists(mount.path('d0', '1')), 'a removed file is there')
    equal(len(os.listdir(mount.path('d1'))), min(files, 500), 'a directory that nobody changed')
    write(mount.path('again'), 'written by the revived mount')
    mount.sync()
    equal(box.version_key(sandbox), str(box.versions(sandbox)[0]), 'the key after the revival')
    with open(mount.path('again'), encoding='ascii'):  # stays in use
        until(10, lambda: connections(box)[1] >= 2, 'the subscription is back', pause=0.05)
    return (f'{files} files: memory {memory >> 20} -> {after[0] >> 20} MiB, connections {sum(sockets)} -> 0, '
            f'threads {tasks} -> {after[1]}, first ls {seconds * 1000:.0f} ms')


@suite.case('a warm cache, an open file, a running program or an exec keeps it in use', timeout=90)
def in_use(box):
    box.create('used')
    mount = box.mount('used', *FLAGS)
    write(mount.path('f'), 'warm')
    mount.sync()
    end = time.monotonic() + 3 * IDLE
    while time.monotonic() < end:  # answered from the kernel's cache, but for once in a while
        equal(read(mount.path('f')), 'warm', 'f')
        os.stat(mount.path('f'))
        time.sleep(IDLE / 8)
    equal(evictions(mount), 0, 'evictions while used')
    with open(mount.path('f'), encoding='ascii') as file:
        time.sleep(2.5 * IDLE)
        equal(evictions(mount), 0, 'evictions with an open file')
        equal(file.read(), 'warm', 'f')
    # The command is outside: nothing of the mount is open.
    command = box.start([os.environ.get('SBOXFS_BIN') or 'sboxfs', 'exec', 'used', '--', 'sh', '-c',
                         f'cd / && exec sleep {3 * IDLE}'])
    time.sleep(2.5 * IDLE)
    equal(evictions(mount), 0, 'evictions during exec')
    equal(command.wait(30), 0, 'exec')
    wait_evicted(mount)
    # A working directory does not, and survives.
    shell = box.start(['sh', '-c', 'read go; ls; pwd; cat f'], cwd=mount.where, stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE)
    before = evictions(mount)
    write(mount.path('g'), 'x')
    wait_evicted(mount, before)
    out, _ = shell.communicate(b'go\n', timeout=20)
    equal(out.decode(), f'f\ng\n{mount.where}\nwarm', 'the shell')


@suite.case('accesses around the time-out: never an error, never an old value', timeout=sized(60, 300))
def around(box):
    rounds = sized(4, 60)
    box.create('flapping')
    sleeper, other = box.mount('flapping', *FLAGS), box.mount('flapping')
    write(other.path('f'), 'start')
    for number in range(rounds):
        text = f'{number} ' * random.randrange(1, 5000)
        writer, reader = (other, sleeper) if random.random() < 0.6 else (sleeper, other)
        time.sleep(random.uniform(0.5, 1.5) * IDLE)
        write(writer.path('f'), text)
        write(writer.path(f'n{number}'), text)
        writer.sync()
        time.sleep(random.choice((0, 0, random.uniform(0.9, 1.3))) * IDLE)
        until(2, lambda: read(reader.path('f')) == text and os.path.exists(reader.path(f'n{number}')), f'round {number}')
    for mount in (sleeper, other):
        equal(len(os.listdir(mount.where)), rounds + 1, 'files')
    return f'{rounds} rounds, {evictions(sleeper)} evictions'


@suite.case('Redis down: evicted with one warning and the outbox; revived without Redis; published when it is back',
            timeout=120)
def without_redis(box):
    sandbox = box.create('alone')
    mount = box.mount('alone', *FLAGS, '--drain-interval', '1s')
    write(mount.path('f'), 'before')
    mount.sync()
    redis = box.services()['redis_pid']
    os.kill(redis, signal.SIGKILL)
    until(5, lambda: redis not in box.server_pids('redis-server'), 'Redis is gone')
    write(mount.path('g'), 'without Redis')
    wait_evicted(mount)
    version, known = box.versions(sandbox)
    check(known < version, 'the outbox is empty')
    equal(mount.log_text().count('not_published'), 1, 'warnings')
    equal(box.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sboxfs'"), '0', 'connections')
    start = time.monotonic()
    equal(sorted(os.listdir(mount.where)), ['f', 'g'], 'names without Redis')
    seconds = time.monotonic() - start
    equal(read(mount.path('g')), 'without Redis', 'g')
    write(mount.path('h'), 'still without')
    wait_evicted(mount, 1)
    # Away again, with something in the outbox: whoever stops it gets that published.
    box.sboxfs('services', 'start')
    done = mount.umount()
    version, known = box.versions(sandbox)
    equal((known, box.version_key(sandbox)), (version, str(version)), 'published on the way out')
    return f'first ls without Redis {seconds * 1000:.0f} ms, umount {done.seconds:.1f} s'


@suite.case('Postgres down: the access fails with EIO and a later one works', timeout=120)
def without_postgres(box):
    box.create('truth')
    mount = box.mount('truth', *FLAGS, '--io-timeout', '2s')
    write(mount.path('f'), 'there')
    wait_evicted(mount)
    box.services()
    servers = box.server_pids('postgres')
    check(servers, 'no Postgres')
    for pid in servers:
        os.kill(pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        fails_with([errno.EIO], lambda: os.listdir(mount.where))
        seconds = time.monotonic() - start
    finally:
        for pid in servers:
            os.kill(pid, signal.SIGCONT)
    check(seconds < 10, f'the error came after {seconds:.1f} s')
    equal(os.listdir(mount.where), ['f'], 'names afterwards')
    equal(read(mount.path('f')), 'there', 'f')
    return f'EIO after {seconds:.1f} s with an I/O time-out of 2 s'


@suite.case('destroyed while away: the next access answers ESTALE and the mount goes', timeout=60)
def destroyed(box):
    sandbox = box.create('doomed')
    mount = box.mount('doomed', *FLAGS)
    write(mount.path('f'))
    # An open directory is no open file.
    root = os.open(mount.where, os.O_RDONLY | os.O_DIRECTORY)
    try:
        wait_evicted(mount)
        box.sboxfs('destroy', '--yes', 'doomed')
        check(mount.mounted(), 'it noticed without being asked')
        # After ESTALE the kernel asks once more, and by then the connection may have ended.
        fails_with((errno.ESTALE, errno.ENOTCONN, errno.ECONNABORTED), lambda: os.stat('f', dir_fd=root))
    finally:
        os.close(root)
    until(6, lambda: not mount.running() and not mount.mounted(), 'the mount is gone')
    equal(box.version_key(sandbox), None, 'the key')


@suite.case('SIGTERM while away ends within 2 s', timeout=60)
def stopped(box):
    box.create('ends')
    mount = box.mount('ends', *FLAGS)
    write(mount.path('f'))
    wait_evicted(mount)
    mount.signal(signal.SIGTERM)
    seconds = until(2, lambda: not mount.running() and not mount.mounted(), 'the mount is gone')
    check('shutdown_complete' in mount.log_text(), 'no shutdown_complete')
    return f'{seconds * 1000:.0f} ms'


@suite.case('--idle-unmount: gone when unused, everything committed; a busy mount stays', timeout=90)
def unmounted(box):
    sandbox = box.create('guest')
    mount = box.mount('guest', *FLAGS, '--idle-unmount')
    write(mount.path('f'), 'kept')
    shell = box.start([sys.executable, '-c', 'input()'], cwd=mount.where, stdin=subprocess.PIPE)
    time.sleep(3 * IDLE)
    check(mount.mounted(), 'unmounted under a working directory')
    shell.communicate(b'\n', timeout=10)
    seconds = until(IDLE * 4 + 5, lambda: not mount.mounted() and not mount.running(), 'unmounted', pause=0.05)
    version, known = box.versions(sandbox)
    equal((known, box.version_key(sandbox)), (version, str(version)), 'published')
    equal(read(box.mount('guest').path('f')), 'kept', 'f')
    equal(box.sboxfs('mount', '--idle-unmount', 'guest', box.directory('m', 'x'), status=None).status, 2,
          'without --idle-timeout')
    return f'{seconds:.1f} s after the last use'


if __name__ == '__main__':
    suite.main()
