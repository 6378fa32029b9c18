"""The many ways Redis can be of no use: writes, reads and a second mount go on, and everything heals."""
import errno
import os
import signal
import time

from harness import Suite, check, equal, key_of, until, write

suite = Suite('redis_away')
AUDIT = 1
FLAGS = ('--audit-interval', f'{AUDIT}s', '--drain-interval', '1s')


def version(box, sandbox):
    return box.value(f"SELECT version FROM sboxfs.sandboxes WHERE id = '{sandbox}'")


def read(path):
    try:
        with open(path, encoding='ascii') as file:
            return file.read()
    except FileNotFoundError:
        return None


def works(box, name, spoil, heal, key_is_stale=True):
    """Writes on one mount and reads on another while Redis is spoilt; afterwards the key follows. Words for the result."""
    sandbox = box.create(name)
    one, two = box.mount(name, *FLAGS), box.mount(name, *FLAGS)
    write(one.path('f'), 'before')
    until(5, lambda: read(two.path('f')) == 'before', 'two mounts')
    one.sync()
    spoil()
    try:
        worst = busy = 0.0
        for number in range(3):
            text = f'round {number} of {name}'
            start = time.monotonic()
            write(one.path('f'), text)
            busy = max(busy, time.monotonic() - start)
            worst = max(worst, until(AUDIT + 6, lambda: read(two.path('f')) == text, f'{text}, on the other mount',
                                     pause=0.005))
        write(two.path('g'), 'the other way')
        worst = max(worst, until(AUDIT + 6, lambda: read(one.path('g')) == 'the other way', 'the other way',
                                 pause=0.005))
        two.sync()
    finally:
        heal()
    healed = until(15, lambda: box.version_key(sandbox) == version(box, sandbox), 'the key follows', pause=0.02)
    write(one.path('f'), 'after')
    until(5, lambda: read(two.path('f')) == 'after', 'after it has healed')
    return f'a write took {busy * 1000:.0f} ms, seen after {worst * 1000:.0f} ms at worst, key right {healed:.1f} s after'


def settings(box, *pairs):
    for key, value in pairs:
        box.redis('CONFIG', 'SET', key, value)


@suite.case('no memory left, noeviction', timeout=90)
def no_memory(box):
    return works(box, 'full', lambda: settings(box, ('maxmemory-policy', 'noeviction'), ('maxmemory', '1')),
                 lambda: settings(box, ('maxmemory', '0')))


@suite.case('CLIENT PAUSE', timeout=90)
def paused(box):
    def answers():
        try:
            return box.redis('PING') == 'PONG'
        except OSError:
            return False
    # It pauses everybody, whoever would end it too.
    return works(box, 'paused', lambda: box.redis('CLIENT', 'PAUSE', '4000', 'ALL'),
                 lambda: until(20, answers, 'the pause is over', pause=0.1))


def say(box, *commands):
    """Several commands on one connection, which is then behind the password."""
    import socket
    from harness import read_reply
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(os.path.join(box.sockets(), 'redis.sock'))
        with connection.makefile('rwb') as stream:
            for words in commands:
                stream.write(b'*%d\r\n' % len(words))
                for word in words:
                    stream.write(b'$%d\r\n%s\r\n' % (len(word), word.encode()))
                stream.flush()
                read_reply(stream)


@suite.case('a password that the mounts do not have', timeout=90)
def wrong_password(box):
    def lock():
        say(box, ('CONFIG', 'SET', 'requirepass', 'secret'), ('CLIENT', 'KILL', 'TYPE', 'pubsub'),
            ('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'))
    return works(box, 'locked', lock, lambda: say(box, ('AUTH', 'secret'), ('CONFIG', 'SET', 'requirepass', '')))


@suite.case('close-to-open with a Redis that hangs: a close waits once, then not at all, and what is closed is read', timeout=60)
def close_to_open(box):
    sandbox = box.create('cto')
    one, two = box.mount('cto', *FLAGS, '-o', 'cto'), box.mount('cto', *FLAGS, '-o', 'cto')
    write(one.path('f'), 'before')
    equal(read(two.path('f')), 'before', 'with Redis')
    redis = box.services()['redis_pid']
    os.kill(redis, signal.SIGSTOP)
    try:
        times = []
        for number in range(10):
            start = time.monotonic()
            write(one.path('f'), f'number {number}')
            times.append(time.monotonic() - start)
        check(sum(times) < 2, 'ten closes took', times)
        # The writer can not be asked without Redis: the reader takes the lease, and everything that was closed is there.
        until(AUDIT + 2, lambda: read(two.path('f')) == 'number 9', 'on the other mount', pause=0.01)
    finally:
        os.kill(redis, signal.SIGCONT)
    until(15, lambda: box.version_key(sandbox) == version(box, sandbox), 'the key follows', pause=0.02)
    return f'the first close {times[0] * 1000:.0f} ms, the median {sorted(times)[5] * 1000:.1f} ms'


@suite.case('restarted empty', timeout=90)
def restarted(box):
    def restart():
        pid = box.services()['redis_pid']
        os.kill(pid, signal.SIGKILL)
        until(5, lambda: pid not in box.server_pids('redis-server'), 'Redis is gone')
        box.sboxfs('services', 'start')
    return works(box, 'empty', restart, lambda: box.redis('FLUSHALL'))


@suite.case('a key that is too high is put back by the audit, and one that was lost comes back', timeout=60)
def wrong_key(box):
    sandbox = box.create('high')
    key = key_of(sandbox)
    mount = box.mount('high', *FLAGS)
    write(mount.path('f'), 'x')
    mount.sync()
    until(5, lambda: box.version_key(sandbox) == version(box, sandbox), 'the key')
    times = []
    for damage in (('SET', key, '999999999'), ('DEL', key), ('SET', key, '1'), ('SET', key, 'nonsense')):
        box.redis(*damage)
        times.append(until(3 * AUDIT + 5, lambda: box.version_key(sandbox) == version(box, sandbox), damage, pause=0.01))
    return f'audit every {AUDIT} s: ' + ', '.join(f'{seconds:.1f} s' for seconds in times)


@suite.case('neither Postgres nor Redis: strict answers EIO after the audit interval + 1 s, the default serves', timeout=90)
def neither(box):
    box.create('stale')
    strict, default = box.mount('stale', *FLAGS, '-o', 'strict'), box.mount('stale', *FLAGS)
    write(strict.path('f'), 'kept')
    for mount in (strict, default):
        until(5, lambda: read(mount.path('f')) == 'kept', 'f')
    strict.sync()
    services = box.services()
    servers = [services['redis_pid'], *box.server_pids('postgres')]
    for pid in servers:
        os.kill(pid, signal.SIGSTOP)
    try:
        def refused():
            try:
                os.stat(strict.path('f'))
            except OSError as error:
                equal(error.errno, errno.EIO, 'the error')
                return True
            return False
        seconds = until(AUDIT + 1 + 10, refused, 'EIO under strict', pause=0.02)
        until(10, lambda: 'stale' in default.log_text(), 'the log says stale')
        equal(read(default.path('f')), 'kept', 'the default')
        equal(os.listdir(default.where), ['f'], 'the default')
    finally:
        for pid in servers:
            os.kill(pid, signal.SIGCONT)
    until(15, lambda: not refused(), 'strict serves again', pause=0.05)
    equal(read(strict.path('f')), 'kept', 'f')
    check('fresh' in strict.log_text(), 'the log does not say fresh')
    return f'EIO after {seconds:.1f} s with an audit every {AUDIT} s'


if __name__ == '__main__':
    suite.main()
