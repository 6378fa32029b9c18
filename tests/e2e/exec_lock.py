"""The exec lock: sboxfs exec --exclusive and --read-only order execs on all hosts."""
import os
import signal
import subprocess
import time

from harness import BINARY, Suite, check, equal, sized, until

suite = Suite('exec_lock')

LINE = 'for i in 1 2 3 4 5 6 7 8 9 10; do echo {} >> log; done'


def run(box, name, script, *options, **keywords):
    return box.sboxfs('exec', *options, name, '--', 'sh', '-c', script, **keywords)


def start(box, name, script, *options, env=None):
    return box.start([BINARY, 'exec', *options, name, '--', 'sh', '-c', script], env=env, stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE)


def holder(box, name, *options, env=None):
    """An exec that holds the lock until it is told to end."""
    process = start(box, name, 'echo here; exec sleep 1000', *options, env=env)
    equal(process.stdout.readline(), b'here\n', 'the holder')
    return process


def end(process):
    process.terminate()
    process.wait(20)


def rows(box, name):
    """Granted and waiting exec locks."""
    sandbox = box.info(name)['id']
    return box.sql(f"SELECT count(*) FILTER (WHERE NOT waiting), count(*) FILTER (WHERE waiting) FROM sboxfs.locks "
                   f"WHERE sandbox = '{sandbox}' AND kind = 3")[0]


def hosts(box, name, *options):
    """The sandbox mounted on two hosts, so that an exec costs no mount."""
    box.create(name)
    other = box.other_host(name + '-other')
    return box.mount(name, *options), box.mount(name, *options, env=other), other


def both_foreign(box, name):
    """Two hosts that are given the services' addresses, and so leave a service that hangs alone."""
    box.create(name)
    both = [box.other_host(f'{name}-{number}') for number in (1, 2)]
    for env in both:
        box.mount(name, env=env)
    return both


@suite.case('exclusive execs of two hosts do not overlap, and each sees what the one before wrote', timeout=sized(60, 300))
def exclusive(box):
    count = sized(4, 20)
    _, _, other = hosts(box, 'turns')
    begin, done = time.monotonic(), []
    workers = [start(box, 'turns', LINE.format(number), '--exclusive', env=other if number % 2 else None)
               for number in range(count)]
    for worker in workers:
        equal(worker.wait(200), 0, 'an exclusive exec')
    log = run(box, 'turns', 'cat log', '--read-only').text.split()
    for at in range(0, len(log), 10):
        equal(len(set(log[at:at + 10])), 1, f'lines {at} to {at + 9}: {log}')
        done.append(log[at])
    equal(sorted(done, key=int), [str(number) for number in range(count)], 'who wrote')
    until(5, lambda: rows(box, 'turns') == ['0', '0'], 'all locks are gone')
    return f'{count} execs, {time.monotonic() - begin:.1f} s'


@suite.case('shared beside shared; exclusive waits for both; a time-out is status 124; plain execs ask nobody')
def modes(box):
    _, _, other = hosts(box, 'modes')
    one = holder(box, 'modes', '--read-only')
    two = holder(box, 'modes', '--read-only', env=other)
    refused = run(box, 'modes', 'true', '--exclusive', '--lock-timeout', '1s', status=None)
    equal(refused.status, 124, 'the status')
    equal(len(refused.errors.splitlines()), 1, refused.errors)
    check('exec lock' in refused.errors and '1s' in refused.errors, 'the message:', refused.errors)
    equal(rows(box, 'modes')[1], '0', 'requests that wait')
    run(box, 'modes', 'true')
    end(one)
    waiting = start(box, 'modes', 'echo mine', '--exclusive')
    until(10, lambda: rows(box, 'modes')[1] == '1', 'the request that waits')
    end(two)
    equal(waiting.communicate(timeout=20)[0], b'mine\n', 'the exclusive one')
    return ''


@suite.case('who waits and is interrupted leaves nothing behind; who holds and is killed lets go, its command too')
def killed_exec(box):
    _, _, other = hosts(box, 'killed')
    one = holder(box, 'killed', '--exclusive')
    waiting = start(box, 'killed', 'true', '--exclusive', env=other)
    until(10, lambda: rows(box, 'killed')[1] == '1', 'the request that waits')
    waiting.send_signal(signal.SIGINT)
    check(waiting.wait(10) != 0, 'not interrupted')
    until(10, lambda: rows(box, 'killed')[1] == '0', 'the request has gone')
    one.kill()
    one.wait()
    equal(run(box, 'killed', 'echo free', '--exclusive', '--lock-timeout', '10s', env=other).text, 'free\n', 'the next')
    equal(one.stdout.read(), b'', 'the command has ended')  # its end of the pipe is closed
    return ''


@suite.case('the holder\'s mount is killed: the command is stopped; free within the lease + 1 s on another host', timeout=90)
def killed_mount(box):
    lease = sized(3, 10)
    mount, _, other = hosts(box, 'gone', '--lease', f'{lease}s')
    one = holder(box, 'gone', '--exclusive')
    mount.kill()
    begin = time.monotonic()
    run(box, 'gone', 'true', '--exclusive', '--lock-timeout', '30s', env=other)
    seconds = time.monotonic() - begin
    check(seconds < lease + 3, f'it took {seconds:.1f} s')
    equal(one.wait(20), 125, 'the status of the one whose mount died')
    return f'lease {lease} s, {seconds:.1f} s'


@suite.case('a host that hung loses the lock: what it wrote does not get through, and its command is stopped', timeout=90)
def hung_mount(box):
    lease = sized(3, 10)
    mount, _, other = hosts(box, 'hung', '--lease', f'{lease}s')
    run(box, 'hung', 'echo old > f')
    script = 'trap "" TERM; echo here; while :; do echo stolen > f; sleep 0.05; done 2> /dev/null'
    one = start(box, 'hung', script, '--exclusive')
    equal(one.stdout.readline(), b'here\n', 'the holder')
    time.sleep(0.2)  # it writes
    mount.signal(signal.SIGSTOP)
    try:
        run(box, 'hung', 'echo new > f', '--exclusive', '--lock-timeout', '30s', env=other)
    finally:
        mount.signal(signal.SIGCONT)
    equal(one.wait(30), 125, 'the status of the one that lost it')
    check(b'exec lock was lost' in one.stderr.read(), 'no word of the loss')
    equal(run(box, 'hung', 'cat f', '--read-only', env=other).text, 'new\n', 'the file')
    equal(run(box, 'hung', 'cat f; echo mine > f; cat f').text, 'new\nmine\n', 'the mount that lost it goes on')
    return f'lease {lease} s'


# Two lines: the first one's commit hangs in Postgres, the second waits for it when the mount stops.
TWO_LINES = '''
import os, signal, sys, time
log = os.open('log', os.O_WRONLY | os.O_APPEND)
print('here', flush=True)
sys.stdin.readline()
os.write(log, b'one')
time.sleep(0.3)
os.write(log, b'two')
os.kill(int(sys.argv[1]), signal.SIGSTOP)
print('stopped', flush=True)
sys.stdin.readline()
os._exit(0)
'''


@suite.case('an exec whose writes were lost with the right to write ends with 125, though no call of its command failed')
def lost_writes(box):
    lease = sized(3, 10)
    mount, _, other = hosts(box, 'lost', '--lease', f'{lease}s')
    run(box, 'lost', 'echo 0 > log')
    pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE}
    one = box.start([BINARY, 'exec', 'lost', '--', 'python3', '-c', TWO_LINES, str(mount.pid)], **pipes)
    equal(one.stdout.readline(), b'here\n', 'the command')
    row = box.start(['psql', '-X', '-q', '-A', '-t', '-h', box.sockets(), '-U', 'postgres', '-d', 'sboxfs'], **pipes)
    row.stdin.write(b"BEGIN; SELECT 'locked' FROM sboxfs.sandboxes WHERE name = 'lost' FOR UPDATE;\n")
    row.stdin.flush()
    equal(row.stdout.readline(), b'locked\n', "the sandbox's row")
    try:
        one.stdin.write(b'\n')
        one.stdin.flush()
        equal(one.stdout.readline(), b'stopped\n', 'the command')
        row.communicate(b'COMMIT;\n', timeout=20)
        run(box, 'lost', 'echo theirs > other', env=other)
    finally:
        mount.signal(signal.SIGCONT)
    _, errors = one.communicate(b'\n', timeout=60)
    equal(one.returncode, 125, f'the status of the one that lost its writes; {errors}')
    check(b'lost' in errors, 'no word of the loss:', errors)
    run(box, 'lost', 'echo again >> log')
    equal(run(box, 'lost', 'cat log', env=other).text, '0\noneagain\n', 'what got through')
    return f'lease {lease} s'


def newest(box, name, count, both, *lock):
    """`lock`: the option of who writes and of who reads; without, each exec still begins with a refresh."""
    writes, reads = [[word] for word in lock] or [[], []]
    for number in range(count):
        run(box, name, f'echo {number} > f', *writes, env=both[number % 2])
        equal(run(box, name, 'cat f', *reads, env=both[1 - number % 2]).text, f'{number}\n', 'the newest')


@suite.case('exec on one mount right after exec on the other: always the newest, with Redis and without',
            timeout=sized(60, 900))
def order(box):
    count = sized(10, 200)
    both = both_foreign(box, 'order')
    begin = time.monotonic()
    newest(box, 'order', count, both)
    newest(box, 'order', count, both, '--exclusive', '--exclusive')
    newest(box, 'order', sized(2, 20), both, '--exclusive', '--read-only')
    with_redis = time.monotonic() - begin
    redis = box.services()['redis_pid']
    few = sized(4, 200)
    os.kill(redis, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        newest(box, 'order', few, both, '--exclusive', '--exclusive')
        without = time.monotonic() - begin
    finally:
        os.kill(redis, signal.SIGCONT)
    return f'{count} plain, {count} with the lock: {with_redis:.1f} s; {few} without Redis: {without:.1f} s'


if __name__ == '__main__':
    suite.main()
