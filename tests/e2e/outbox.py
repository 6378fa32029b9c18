"""A version that was committed and not published: kill -9 between the two, and every way to end with Redis down. Each
way back is shown alone: the sandbox's next mount, sboxfs drain, a mount of another sandbox."""
import os
import signal
import subprocess
import time

from harness import BINARY, Suite, check, equal, sized, until

suite = Suite('outbox')
STRANDED = ('killed', 'unmounted', 'evicted', 'terminated')


def is_published(box, sandbox):
    version, known = box.versions(sandbox)
    return known == version and box.version_key(sandbox) == str(version)


def write(mount, name):
    """Committed when this returns, or the mount died at it."""
    try:
        fd = os.open(mount.path(name), os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.write(fd, name.encode())
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError:
        until(5, lambda: not mount.running(), 'the mount died at its fault point')


def strand(box, tag, ways):
    """A sandbox for each of the ways to leave a version behind, its last version in the outbox: {way: id}."""
    ids, mounts = {}, {}
    for way in ways:
        ids[way] = box.create(f'{way}-{tag}')
        flags = ['--lease', '2s', '--drain-timeout', '1s', '--drain-interval', '1h']
        if way == 'evicted':
            flags += ['--idle-timeout', '1s']
        mounts[way] = box.mount(f'{way}-{tag}', *flags)
        write(mounts[way], 'published')
        until(5, lambda sandbox=ids[way]: box.version_key(sandbox) is not None, 'the first version')
    # With Redis running: only the death is between commit and publish.
    mounts['killed'].umount()
    mounts['killed'] = box.mount(f'killed-{tag}', '--lease', '2s', env={'SBOXFS_FAULT': 'publish.before=kill'})
    write(mounts['killed'], 'stranded')
    until(10, lambda: not mounts['killed'].running(), 'the mount died at its fault point')
    redis = box.services()['redis_pid']
    os.kill(redis, signal.SIGKILL)
    until(5, lambda: redis not in box.server_pids('redis-server'), 'Redis is gone')
    evictions = 0
    for way in ways[1:]:
        write(mounts[way], 'stranded')
        evictions += mounts[way].log_text().count('idle_evicted')
    if 'terminated' in ways:
        mounts['terminated'].signal(signal.SIGTERM)
        until(20, lambda: not mounts['terminated'].running(), 'ended by SIGTERM')
    if 'unmounted' in ways:
        done = mounts['unmounted'].umount(status=None)
        check('Redis' in done.errors, 'umount does not warn:', done)
    if 'evicted' in ways:
        until(20, lambda: mounts['evicted'].log_text().count('idle_evicted') > evictions, 'evicted', pause=0.05)
        mounts['evicted'].kill()  # away for good: what it left must not depend on it
    for way in ways[1:]:
        equal(mounts[way].log_text().count('not_published'), 1, f'warnings of the {way} mount')
    for way, sandbox in ids.items():
        version, known = box.versions(sandbox)
        check(known < version, f'{way}: the outbox is empty ({version}, {known})')
    return ids


@suite.case('published by the next mount of the sandbox, and by nobody else; then the rest by sboxfs drain', timeout=150)
def next_mount(box):
    mounted = strand(box, 'm', STRANDED)
    drained = strand(box, 'd', sized(('killed', 'unmounted'), STRANDED))
    box.sboxfs('services', 'start')
    worst = 0.0
    for way, sandbox in mounted.items():
        # Its housekeeper, which would drain everybody's, sleeps.
        mount = box.mount(f'{way}-m', '--drain-interval', '1h')
        worst = max(worst, until(5, lambda: is_published(box, sandbox), f'{way}: by the next mount', pause=0.02))
        with open(mount.path('stranded'), encoding='ascii') as file:
            # The killed one died at its first publish, perhaps of the name alone.
            check(file.read() in ('stranded', '' if way == 'killed' else 'stranded'), way, 'lost what it had committed')
        mount.umount()
    for way, sandbox in drained.items():
        version, known = box.versions(sandbox)
        check(known < version, f'{way}: published by a mount of another sandbox that should sleep')
    until(10, lambda: box.sboxfs('drain').text and all(is_published(box, one) for one in drained.values()),
          'drained once the leases have expired', pause=0.1)
    equal(box.sboxfs('drain').text, '0 published\n', 'a second drain')
    return f'{len(mounted)} + {len(drained)} sandboxes, by their next mount after {worst:.2f} s at worst'


@suite.case('published by a mount of another sandbox', timeout=120)
def other_mount(box):
    ids = strand(box, 'o', sized(('killed', 'terminated'), STRANDED))
    box.create('bystander')
    box.sboxfs('services', 'start')
    start = time.monotonic()
    box.mount('bystander', '--drain-interval', '500ms')
    for way, sandbox in ids.items():
        until(15, lambda sandbox=sandbox: is_published(box, sandbox), f'{way}: by a bystander', pause=0.05)
    return f'{len(ids)} sandboxes, {time.monotonic() - start:.1f} s with a lease of 2 s'


@suite.case('published by sboxfs drain --watch, which goes on until it is told to end', timeout=90)
def watched(box):
    left = strand(box, 'w', ('killed', 'unmounted'))
    watch = box.start([BINARY, 'drain', '--watch', '--drain-interval', '200ms'], stdout=subprocess.PIPE, text=True)
    try:
        until(15, lambda: all(is_published(box, sandbox) for sandbox in left.values()), 'published')
        check(watch.poll() is None, 'it goes on')
        watch.send_signal(signal.SIGTERM)
        equal(watch.wait(5), 0, 'its status after SIGTERM')
        words = watch.stdout.read()
        check(' published\n' in words, words)
    finally:
        watch.kill()
        watch.wait()


if __name__ == '__main__':
    suite.main()
