"""Locks of flock(2) and fcntl(2) that hold across mounts, with and without Redis, and what becomes of a dead holder's."""
import errno
import fcntl
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time

from harness import Suite, check, equal, sized, until

suite = Suite('file_locks')

# Adds one to the number in a file, COUNT times, each time under a lock.
COUNTER = '''
import fcntl, os, sys
path, how, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
lock = fcntl.flock if how == "flock" else fcntl.lockf
fd = os.open(path, os.O_RDWR)
for _ in range(count):
    lock(fd, fcntl.LOCK_EX)
    number = int(os.pread(fd, 20, 0))
    os.pwrite(fd, b"%020d" % (number + 1), 0)
    lock(fd, fcntl.LOCK_UN)
'''

# Locks byte FIRST, says so, waits for a line, locks byte SECOND, says how that went, and ends at the next line.
CROSSING = '''
import errno, fcntl, os, sys
path, first, second = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fd = os.open(path, os.O_RDWR)
fcntl.lockf(fd, fcntl.LOCK_EX, 1, first)
print("first", flush=True)
sys.stdin.readline()
try:
    fcntl.lockf(fd, fcntl.LOCK_EX, 1, second)
    print("second", flush=True)
except OSError as error:
    print("EDEADLK" if error.errno == errno.EDEADLK else error, flush=True)
sys.stdin.readline()
'''

# Locks the whole file and holds it until it is killed.
HOLDER = '''
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
(fcntl.flock if sys.argv[2] == "flock" else fcntl.lockf)(fd, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(1000)
'''


def python(box, script, *words, **keywords):
    return box.start([sys.executable, '-c', script, *map(str, words)], **keywords)


def two_mounts(box, name, *options):
    """On two hosts, a file with a number on both."""
    box.create(name)
    a = box.mount(name, *options)
    b = box.mount(name, *options, env=box.other_host(name + '-other'))
    with open(a.path('number'), 'wb') as file:
        file.write(b'%020d' % 0)
    until(10, lambda: os.path.exists(b.path('number')), 'the file on the other mount')
    return a, b


def hold(box, path, how, **keywords):
    process = python(box, HOLDER, path, how, stdout=subprocess.PIPE, **keywords)
    equal(process.stdout.readline(), b'locked\n', 'the holder')
    return process


def end(process):
    process.kill()
    process.wait()


def try_lock(path, how):
    """Whether the lock was free (it is let go again)."""
    fd = os.open(path, os.O_RDWR)
    try:
        (fcntl.flock if how == 'flock' else fcntl.lockf)(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(fd)


def count_up(box, mounts, how, count):
    """Two processes on each mount's file at once; the number's growth, and the seconds."""
    with open(mounts[0].path('number'), 'rb') as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # granted after the refresh
        before = int(file.read())
    start = time.monotonic()
    workers = [python(box, COUNTER, mount.path('number'), how, count) for mount in mounts]
    for worker in workers:
        equal(worker.wait(600), 0, 'a counting process')
    seconds = time.monotonic() - start
    totals = []
    for mount in mounts:
        with open(mount.path('number'), 'rb') as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            totals.append(int(file.read()) - before)
    equal(totals, [count * len(mounts)] * len(mounts), 'the number on each mount')
    return seconds


@suite.case('a counter under flock and under fcntl, two mounts at once, and two processes of one', timeout=sized(60, 600))
def counters(box):
    count = sized(50, 1000)
    a, b = two_mounts(box, 'count')
    flock = count_up(box, [a, b], 'flock', count)
    record = count_up(box, [a, b], 'fcntl', count)
    alone = count_up(box, [a, a], 'fcntl', count)
    return f'{count} each; flock {flock:.1f} s, fcntl {record:.1f} s, both on one mount {alone:.1f} s'


@suite.case('the same with Redis stopped', timeout=sized(60, 1800))
def counters_without_redis(box):
    count = sized(20, 1000)
    a, b = two_mounts(box, 'alone')
    redis = box.services()['redis_pid']
    os.kill(redis, signal.SIGSTOP)
    try:
        flock = count_up(box, [a, b], 'flock', count)
        record = count_up(box, [a, b], 'fcntl', count)
    finally:
        os.kill(redis, signal.SIGCONT)
    return f'{count} each; flock {flock:.1f} s, fcntl {record:.1f} s'


@suite.case('conflicts, ranges and F_GETLK across mounts; dup and fork share a flock, processes their records alone')
def semantics(box):
    a, b = two_mounts(box, 'rules')
    one, two = os.open(a.path('number'), os.O_RDWR), os.open(b.path('number'), os.O_RDWR)
    try:
        fcntl.flock(one, fcntl.LOCK_EX)
        check(not try_lock(b.path('number'), 'flock'), 'flock does not hold on the other mount')
        check(try_lock(b.path('number'), 'fcntl'), 'flock and fcntl are not apart')
        child = os.fork()
        if child == 0:
            os.close(one)  # the open file is the parent's, too
            os._exit(0)
        os.waitpid(child, 0)
        os.close(os.dup(one))
        check(not try_lock(b.path('number'), 'flock'), 'the end of a child or of a copy let a flock go')
        fcntl.flock(one, fcntl.LOCK_UN)
        check(try_lock(b.path('number'), 'flock'), 'still locked')

        fcntl.lockf(one, fcntl.LOCK_EX, 100, 0)
        fcntl.lockf(one, fcntl.LOCK_UN, 20, 40)
        # Seen by another process: locks of one process never conflict, but these are two mounts, so two owners.
        fcntl.lockf(two, fcntl.LOCK_EX | fcntl.LOCK_NB, 20, 40)
        asked = fcntl.fcntl(two, fcntl.F_GETLK, struct.pack('hhqqi4x', fcntl.F_WRLCK, os.SEEK_SET, 60, 0, 0))
        kind, _, start, length, _ = struct.unpack('hhqqi4x', asked)
        equal((kind, start, length), (fcntl.F_WRLCK, 60, 40), 'F_GETLK')
        try:
            fcntl.lockf(one, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 50)
            raise AssertionError('a byte of the other mount was locked')
        except BlockingIOError:
            pass
        os.close(os.open(a.path('number'), os.O_RDONLY))  # any close of the file lets all records of the process go
        check(try_lock(b.path('number'), 'fcntl'), 'close(2) did not let the records go')
        # OFD locks belong to the open file: another close does not matter.
        ofd = struct.pack('hhqqi4x', fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(one, fcntl.F_OFD_SETLK, ofd)
        os.close(os.open(a.path('number'), os.O_RDONLY))
        check(not try_lock(b.path('number'), 'fcntl'), 'an OFD lock does not hold')
    finally:
        os.close(one)
        os.close(two)
    until(5, lambda: try_lock(b.path('number'), 'fcntl'), 'the OFD lock goes with its file')
    return ''


@suite.case('who waits is interrupted by a signal, and gets the lock when it is let go')
def waiting(box):
    a, b = two_mounts(box, 'wait')
    for how in ('flock', 'fcntl'):
        holder = hold(box, a.path('number'), how)
        waiter = python(box, HOLDER, b.path('number'), how, stdout=subprocess.PIPE)
        sandbox = box.info('wait')['id']
        until(10, lambda: box.value(f"SELECT count(*) FROM sboxfs.locks WHERE sandbox = '{sandbox}' AND waiting") == '1',
              'the request that waits')
        waiter.send_signal(signal.SIGTERM)
        equal(waiter.wait(5), -signal.SIGTERM, 'the interrupted process')
        until(10, lambda: box.value(f"SELECT count(*) FROM sboxfs.locks WHERE sandbox = '{sandbox}' AND waiting") == '0',
              'the request has gone')
        waiter = python(box, HOLDER, b.path('number'), how, stdout=subprocess.PIPE)
        end(holder)
        equal(waiter.stdout.readline(), b'locked\n', 'the waiter')
        end(waiter)
        until(5, lambda: try_lock(a.path('number'), how), 'the lock goes with its process')
    return ''


@suite.case('a deadlock across two mounts is EDEADLK for one of them, also when both ask at once')
def deadlock(box):
    rounds = sized(5, 50)
    a, b = two_mounts(box, 'dead')
    for _ in range(rounds):
        pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}
        ends = [python(box, CROSSING, a.path('number'), 0, 1, **pipes),
                python(box, CROSSING, b.path('number'), 1, 0, **pipes)]
        try:
            for process in ends:
                equal(process.stdout.readline(), b'first\n', 'the first lock')
            random.shuffle(ends)
            for process in ends:
                process.stdin.write(b'\n')
                process.stdin.flush()
            # The refused one answers first: the other one waits for it.
            until(10, lambda: any(refused(process) for process in ends), 'somebody is refused')
            loser = next(process for process in ends if refused(process))
            winner = ends[0] if loser is ends[1] else ends[1]
            equal(loser.stdout.readline(), b'EDEADLK\n', 'the answer')
            loser.stdin.close()
            loser.wait(10)
            equal(winner.stdout.readline(), b'second\n', 'the other one')
        finally:
            for process in ends:
                end(process)
    return f'{rounds} times'


def refused(process):
    return bool(select.select([process.stdout], [], [], 0.01)[0])


@suite.case('the mount of the holder is killed: free at once on its host, within the lease + 1 s elsewhere', timeout=90)
def killed(box):
    lease = sized(3, 10)
    a, b = two_mounts(box, 'killed', '--lease', f'{lease}s')
    here = box.mount('killed', '--lease', f'{lease}s')
    holder = hold(box, a.path('number'), 'flock')
    check(not try_lock(here.path('number'), 'flock'), 'not locked')
    a.kill()
    same_host = until(lease, lambda: try_lock(here.path('number'), 'flock'), 'free on its own host')
    end(holder)
    check(same_host < 1, f'free on its own host after {same_host:.2f} s')
    holder = hold(box, here.path('number'), 'fcntl')
    check(not try_lock(b.path('number'), 'fcntl'), 'not locked')
    here.kill()
    elsewhere = until(lease + 1, lambda: try_lock(b.path('number'), 'fcntl'), 'free on another host', pause=0.05)
    end(holder)
    return f'lease {lease} s; {same_host:.2f} s on the same host, {elsewhere:.2f} s on another'


@suite.case('a mount that hung for longer than the lease has lost its locks: EIO, and none of its writes gets through',
            timeout=90)
def hung(box):
    lease = sized(3, 10)
    a, b = two_mounts(box, 'hung', '--lease', f'{lease}s')
    fd = os.open(a.path('number'), os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.pwrite(fd, b'%020d' % 1, 0)
        os.fsync(fd)
        a.signal(signal.SIGSTOP)
        until(lease + 2, lambda: try_lock(b.path('number'), 'flock'), 'the other mount gets it', pause=0.05)
        with open(b.path('number'), 'r+b') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            number = int(file.read())
            equal(number, 1, 'what was committed')
            file.seek(0)
            file.write(b'%020d' % (number + 1))
        a.signal(signal.SIGCONT)
        try:
            os.pwrite(fd, b'%020d' % 1000, 0)
            os.fsync(fd)
            raise AssertionError('a write under a lost lock was accepted')
        except OSError as error:
            equal(error.errno, errno.EIO, 'the write')
    finally:
        a.signal(signal.SIGCONT)
        try:
            os.close(fd)
            raise AssertionError('close(2) does not tell')
        except OSError as error:
            equal(error.errno, errno.EIO, 'close')
    with open(a.path('number'), 'rb') as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        equal(int(file.read()), 2, 'the number')
    return f'lease {lease} s'


@suite.case('Postgres stopped: a lock is EIO after the I/O time-out, never granted; afterwards all goes on', timeout=90)
def stopped_postgres(box):
    box.create('stopped')
    mount = box.mount('stopped', '--io-timeout', '2s')
    with open(mount.path('f'), 'wb') as file:
        file.write(b'x')
    mount.sync()
    postgres = box.server_pids('postgres')
    fd = os.open(mount.path('f'), os.O_RDWR)
    try:
        for pid in postgres:
            os.kill(pid, signal.SIGSTOP)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            raise AssertionError('granted without Postgres')
        except OSError as error:
            equal(error.errno, errno.EIO, 'flock')
        finally:
            for pid in postgres:
                os.kill(pid, signal.SIGCONT)
        until(10, lambda: try_lock(mount.path('f'), 'flock'), 'lockable again')
    finally:
        os.close(fd)
    return ''


@suite.case('a crash of Postgres right after a grant: the lock holds, and what was let go before is free', timeout=sized(60, 300))
def crashed_postgres(box):
    rounds = sized(2, 10)
    a, b = two_mounts(box, 'crash')
    ours, theirs = os.open(a.path('number'), os.O_RDWR), os.open(b.path('number'), os.O_RDWR)
    try:
        for number in range(rounds):
            fcntl.lockf(theirs, fcntl.LOCK_EX, 1, 1000)
            fcntl.lockf(theirs, fcntl.LOCK_UN, 1, 1000)
            fcntl.lockf(ours, fcntl.LOCK_EX, 1, number)
            # One round all of Postgres dies, the next one only one of its processes: it starts again by itself.
            # A process that ended by itself since it was listed is passed over.
            for pid in sorted(box.server_pids('postgres'), reverse=number % 2 == 1):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                if number % 2 == 1:
                    break
            if number % 2 == 0:
                box.sboxfs('services', 'start')
            fcntl.lockf(ours, fcntl.LOCK_EX, 1, 1000)
            for byte in range(number + 1):
                try:
                    fcntl.lockf(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
                    raise AssertionError(f'round {number}: byte {byte} was locked twice')
                except BlockingIOError:
                    pass
            fcntl.lockf(ours, fcntl.LOCK_UN, 1, 1000)
    finally:
        os.close(ours)
        os.close(theirs)
    return f'{rounds} times'


@suite.case('read-only mounts lock, too; local_lock keeps locks inside the mount')
def options(box):
    a, b = two_mounts(box, 'options')
    reader = box.mount('options', '-o', 'ro')
    local = box.mount('options', '-o', 'local_lock')
    holder = hold(box, a.path('number'), 'flock')
    fd = os.open(reader.path('number'), os.O_RDONLY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            raise AssertionError('the read-only mount locks alone')
        except BlockingIOError:
            pass
        check(try_lock(local.path('number'), 'flock'), 'local_lock asks others')
        end(holder)
        fcntl.flock(fd, fcntl.LOCK_SH)
        check(not try_lock(b.path('number'), 'flock'), 'a read-only mount\'s lock does not hold')
        inner = hold(box, local.path('number'), 'flock')
        check(not try_lock(local.path('number'), 'flock'), 'local_lock does not lock')
        end(inner)
    finally:
        os.close(fd)
    return ''


if __name__ == '__main__':
    suite.main()
