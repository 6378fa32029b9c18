"""The version key in Redis: equal after work, caught up after Redis was away, gone after destroy."""
import os
import signal
import time

from harness import Suite, check, equal, key_of, sized, until, write

suite = Suite('redis_key')


def kill_redis(box):
    pid = box.services()['redis_pid']
    os.kill(pid, signal.SIGKILL)
    until(5, lambda: pid not in box.server_pids('redis-server'), 'Redis is gone')


@suite.case('the key equals the version after work, and never runs ahead', timeout=90)
def after_work(box):
    rounds = sized(50, 500)
    sandbox = box.create('work')
    mount = box.mount('work')
    worst = 0.0
    for number in range(rounds):
        write(mount.path(f'f{number}'))
        key = box.version_key(sandbox)
        check(key is None or int(key) <= box.versions(sandbox)[0], 'the key is ahead of Postgres')
        if number % 10 == 0:
            mount.sync()
            equal(box.version_key(sandbox), str(box.versions(sandbox)[0]), 'the key after sync')
    start = time.monotonic()
    until(3, lambda: box.version_key(sandbox) == str(box.versions(sandbox)[0]), 'the key without sync')
    worst = time.monotonic() - start
    until(5, lambda: box.versions(sandbox)[0] == box.versions(sandbox)[1], 'published_version when idle', pause=0.1)
    mount.umount()
    version, published = box.versions(sandbox)
    equal((published, box.version_key(sandbox)), (version, str(version)), 'after umount')
    return f'{rounds} files, {version} versions, caught up in {worst * 1000:.0f} ms'


@suite.case('a key that is wrong is repaired by the next publish')
def repaired(box):
    sandbox = box.create('repair')
    key = key_of(sandbox)
    mount = box.mount('repair')
    for number, damage in enumerate((('DEL', key), ('SET', key, 'not a number'), ('SET', key, '1'), None)):
        if damage is None:
            box.redis('DEL', key)
            box.redis('LPUSH', key, 'a list')
        else:
            box.redis(*damage)
        write(mount.path(f'f{number}'))
        mount.sync()
        equal(box.version_key(sandbox), str(box.versions(sandbox)[0]), f'after {damage or "a list"}')


@suite.case('Redis down during writes: success; afterwards drained', timeout=90)
def down(box):
    sandbox = box.create('down')
    mount = box.mount('down', '--drain-interval', '1s', '--audit-interval', '1s')
    write(mount.path('before'))
    mount.sync()
    kill_redis(box)
    start = time.monotonic()
    for number in range(200):
        write(mount.path(f'f{number}'))
    seconds = time.monotonic() - start
    check(seconds < 5, f'200 files took {seconds:.1f} s without Redis')
    synced = mount.sync()
    check(synced.seconds < 5, f'sync took {synced.seconds:.1f} s')
    version, published = box.versions(sandbox)
    check(published < version, 'the outbox is empty without Redis:', version, published)
    check(synced.errors.count('\n') == 1 and 'warning' in synced.errors, 'sync does not warn:', synced)
    box.sboxfs('services', 'start')
    caught_up = until(10, lambda: box.version_key(sandbox) == str(box.versions(sandbox)[0]), 'drained by the mount',
                      pause=0.05)
    until(10, lambda: box.versions(sandbox)[0] == box.versions(sandbox)[1], 'published_version', pause=0.1)
    return f'200 files in {seconds:.1f} s, drained {caught_up:.1f} s after the start'


@suite.case('Redis hangs (SIGSTOP): writes, reads and sync go on', timeout=90)
def hung(box):
    sandbox = box.create('hung')
    mount = box.mount('hung', '--drain-interval', '1s')
    write(mount.path('before'))
    mount.sync()
    redis = box.services()['redis_pid']
    os.kill(redis, signal.SIGSTOP)
    try:
        start = time.monotonic()
        for number in range(100):
            write(mount.path(f'f{number}'))
        equal(len(os.listdir(mount.where)), 101, 'files')
        box.run([os.environ.get('SHELL') or 'sh', '-c', 'cat before'], cwd=mount.where)
        mount.sync()
        seconds = time.monotonic() - start
    finally:
        os.kill(redis, signal.SIGCONT)
    check(seconds < 5, f'it took {seconds:.1f} s with Redis hung')
    until(10, lambda: box.version_key(sandbox) == str(box.versions(sandbox)[0]), 'drained by the mount', pause=0.05)
    return f'{seconds:.1f} s'


@suite.case('umount with Redis down: a warning after the drain time-out, the outbox intact', timeout=90)
def umount_down(box):
    sandbox = box.create('late')
    mount = box.mount('late', '--drain-timeout', '2s')
    write(mount.path('f'))
    mount.sync()
    kill_redis(box)
    write(mount.path('g'))
    done = mount.umount(status=None)
    check(done.status in (0, 13), done)
    check('Redis' in done.errors, 'umount does not warn:', done)
    check(done.seconds < 8, f'umount took {done.seconds:.1f} s')
    until(5, lambda: not mount.running(), 'the process is gone')
    version, published = box.versions(sandbox)
    check(published < version, 'the outbox is empty:', version, published)
    box.sboxfs('drain')
    equal(box.version_key(sandbox), str(version), 'the key after drain')
    equal(box.versions(sandbox), [version, version], 'the outbox after drain')
    return f'umount {done.seconds:.1f} s'


@suite.case('kill -9 of the mount with Redis down, then sboxfs drain', timeout=90)
def killed(box):
    sandbox = box.create('dead')
    mount = box.mount('dead')
    write(mount.path('f'))
    mount.sync()
    kill_redis(box)
    fd = os.open(mount.path('g'), os.O_WRONLY | os.O_CREAT)
    os.write(fd, b'committed')
    os.fsync(fd)
    mount.kill()
    try:
        os.close(fd)
    except OSError:
        pass  # the mount is dead
    version, published = box.versions(sandbox)
    check(published < version, 'the outbox is empty:', version, published)
    # The dead writer's lease may still run: then drain leaves the sandbox to it, unless told otherwise.
    box.sboxfs('drain', '--all')
    equal(box.version_key(sandbox), str(version), 'the key after drain')
    equal(box.versions(sandbox), [version, version], 'the outbox after drain')


@suite.case('another sandbox\'s mount drains a dead one\'s outbox', timeout=90)
def by_others(box):
    sandbox = box.create('orphaned')
    mount = box.mount('orphaned', '--lease', '2s')
    write(mount.path('f'))
    mount.sync()
    kill_redis(box)
    fd = os.open(mount.path('g'), os.O_WRONLY | os.O_CREAT)
    os.fsync(fd)
    mount.kill()
    version, published = box.versions(sandbox)
    check(published < version, 'the outbox is empty:', version, published)
    box.sboxfs('services', 'start')
    box.create('living')
    box.mount('living', '--drain-interval', '1s')
    seconds = until(15, lambda: box.version_key(sandbox) == str(version), 'drained', pause=0.1)
    until(5, lambda: box.versions(sandbox) == [version, version], 'the outbox', pause=0.1)
    return f'{seconds:.1f} s with a lease of 2 s'


@suite.case('destroy: a mount notices, the key goes and stays away', timeout=90)
def destroyed(box):
    sandbox = box.create('doomed')
    mount = box.mount('doomed')
    write(mount.path('f'))
    mount.sync()
    check(box.version_key(sandbox) is not None, 'no key before')
    write(mount.path('not committed yet'))
    box.sboxfs('destroy', '--yes', 'doomed')
    gone = until(6, lambda: not mount.running() and not mount.mounted(), 'the mount is gone', pause=0.01)
    until(6, lambda: box.version_key(sandbox) is None, 'the key is gone', pause=0.01)
    time.sleep(1.5)  # longer than any publish of the ending session could be on its way
    equal(box.version_key(sandbox), None, 'the key came back')
    equal(box.sboxfs('info', sandbox, status=None).status, 3, 'info by id')
    again = box.create('doomed')
    check(again != sandbox, 'the id was used again')
    equal(os.listdir(box.mount('doomed').where), [], 'the new sandbox inherits')
    return f'the mount was gone after {gone * 1000:.0f} ms'


if __name__ == '__main__':
    suite.main()
