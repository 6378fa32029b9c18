"""Destroy wins: every mount notices and goes, nobody hangs, and neither key nor rows are left behind."""
import errno
import os
import signal
import subprocess
import time

from harness import Suite, check, equal, key_of, until, write

suite = Suite('destroyed')


def close(fd):
    try:
        os.close(fd)
    except OSError:
        pass  # the mount is gone


def gone(mount):
    return not mount.mounted() and not mount.running()


@suite.case('other mounts answer ESTALE and go; a process inside gets errors, not hangs', timeout=90)
def noticed(box):
    sandbox = box.create('doomed')
    host = box.other_host('other')
    here, there = box.mount('doomed'), box.mount('doomed', env=host)
    os.mkdir(here.path('d'))
    write(here.path('d', 'f'), 'text')
    here.sync()
    until(5, lambda: os.path.exists(there.path('d', 'f')), 'the file on the other host')
    # Its working directory and an open file are inside; it is asked after the end.
    inside = box.start(['sh', '-c', 'exec 3<d/f; echo ready; read go; ls; cat d/f; cat <&3; echo x > d/g; cd d; echo end'],
                       cwd=there.where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    equal(inside.stdout.readline(), b'ready\n', 'the shell inside')
    file = os.open(there.path('d', 'f'), os.O_RDONLY)
    start = time.monotonic()
    box.sboxfs('destroy', '--yes', 'doomed')
    wanted = (errno.ESTALE, errno.ENOTCONN, errno.ECONNABORTED)
    seen = []

    def refused():
        try:
            os.pread(file, 4, 1 << 20)  # past what the kernel may have cached
            os.fstat(file)
            os.fsync(file)
        except OSError as error:
            seen.append(error.errno)
        return bool(seen)
    noticing = until(10, refused, 'an open file answers an error')
    check(seen[-1] in wanted, 'the error:', os.strerror(seen[-1]))
    until(10, lambda: gone(here), 'the mount where it was destroyed')
    out, _ = inside.communicate(b'go\n', timeout=20)
    check(out.endswith(b'end\n'), 'the shell inside did not come to its end:', out)
    check(b'text' not in out, 'the shell inside still reads:', out)
    close(file)
    seconds = until(10, lambda: gone(there), 'the mount on the other host') + time.monotonic() - start
    equal(box.version_key(sandbox), None, 'the key')
    equal(box.sql(f"SELECT writer FROM sboxfs.sandboxes WHERE id = '{sandbox}' AND destroyed_at IS NULL"), [], 'living')
    return f'noticed after {noticing * 1000:.0f} ms, all gone after {seconds:.1f} s'


@suite.case('a re-created name is a fresh tree, also for mounts that begin and end beside the old one', timeout=60)
def recreated(box):
    old = box.create('again')
    mount = box.mount('again')
    write(mount.path('old'))
    mount.sync()
    box.sboxfs('destroy', '--yes', 'again')
    new = box.create('again')
    check(new != old, 'the id was used again')
    fresh = box.mount('again')
    equal(os.listdir(fresh.where), [], 'the new tree')
    write(fresh.path('new'))
    fresh.sync()
    until(10, lambda: gone(mount), 'the old mount')
    equal(os.listdir(fresh.where), ['new'], 'the new tree afterwards')
    equal(box.version_key(old), None, 'the old key')
    check(box.version_key(new) is not None, 'the new key')
    fresh.umount()
    equal(box.sboxfs('gc', status=None).status, 0, 'gc')
    equal(os.listdir(box.mount('again').where), ['new'], 'after gc')


@suite.case('a publish that hung in a stopped Redis does not leave the key behind for good', timeout=90)
def hung_publish(box):
    sandbox = box.create('hung')
    box.create('bystander')
    host = box.other_host('far')  # at home the program would replace a private Redis that hangs
    mount = box.mount('hung', '--audit-interval', '1s')
    write(mount.path('f'))
    mount.sync()
    redis = box.services()['redis_pid']
    os.kill(redis, signal.SIGSTOP)
    try:
        # On its way to Redis, which takes it in when it goes on: after the end of the sandbox.
        fd = os.open(mount.path('g'), os.O_WRONLY | os.O_CREAT)
        os.fsync(fd)
        close(fd)
        warned = box.sboxfs('destroy', '--yes', 'hung', env=host)
        check('Redis' in warned.errors, 'destroy does not warn:', warned)
        noticed = until(10, lambda: gone(mount), 'the mount notices without Redis')
    finally:
        os.kill(redis, signal.SIGCONT)
    box.mount('bystander', '--drain-interval', '500ms')
    until(10, lambda: box.version_key(sandbox) is None and
          box.value(f"SELECT erased_at IS NOT NULL FROM sboxfs.sandboxes WHERE id = '{sandbox}'") == 't',
          'the key is gone', pause=0.05)
    # The latest that can be: behind everybody's first deletion. The rows have gone, the last one waits a minute.
    box.redis('SET', key_of(sandbox), '99')
    rows = ('SELECT ' + ' + '.join(f"(SELECT count(*) FROM sboxfs.{table} WHERE sandbox = '{sandbox}')"
                                   for table in ('inodes', 'dirents', 'chunks', 'patches', 'changes', 'sessions')))
    until(10, lambda: box.value(rows) == '0', 'the rows are gone', pause=0.05)
    time.sleep(1.5)  # several rounds of the housekeeper
    equal(box.value(f"SELECT count(*) FROM sboxfs.sandboxes WHERE id = '{sandbox}'"), '1', 'its last row within a minute')
    box.sql(f"UPDATE sboxfs.sandboxes SET destroyed_at = destroyed_at - interval '1 minute' WHERE id = '{sandbox}'")
    until(10, lambda: box.value(f"SELECT count(*) FROM sboxfs.sandboxes WHERE id = '{sandbox}'") == '0', 'the last row',
          pause=0.05)
    equal(box.version_key(sandbox), None, 'the key after the last row')
    return f'noticed without Redis after {noticed:.1f} s with an audit every 1 s'


@suite.case('with Redis down the key goes when it is back: by a bystander, and by sboxfs gc', timeout=90)
def redis_down(box):
    box.create('watching')
    sandboxes = [box.create('first'), box.create('second')]
    host = box.other_host('far')
    for name in ('first', 'second'):
        mount = box.mount(name)
        write(mount.path('f'))
        mount.sync()
        mount.umount()
    keys = [box.version_key(sandbox) for sandbox in sandboxes]
    bystander = box.mount('watching', '--drain-interval', '500ms')
    pid = box.services()['redis_pid']
    os.kill(pid, signal.SIGSTOP)
    try:
        box.sboxfs('destroy', '--yes', 'first', env=host)
        time.sleep(1)  # the bystander's housekeeper finds nobody
        equal(box.value(f"SELECT erased_at IS NULL FROM sboxfs.sandboxes WHERE id = '{sandboxes[0]}'"), 't', 'erased')
    finally:
        os.kill(pid, signal.SIGCONT)
    until(10, lambda: box.version_key(sandboxes[0]) is None, 'the first key, by a bystander', pause=0.02)
    bystander.umount()
    os.kill(pid, signal.SIGSTOP)
    try:
        box.sboxfs('destroy', '--yes', 'second', env=host)
    finally:
        os.kill(pid, signal.SIGCONT)
    box.redis('SET', key_of(sandboxes[1]), keys[1])  # whether or not destroy's own deletion has arrived by now
    box.sboxfs('gc')
    equal(box.version_key(sandboxes[1]), None, 'the second key, by gc')


if __name__ == '__main__':
    suite.main()
