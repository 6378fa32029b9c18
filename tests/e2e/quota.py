"""Limits of a sandbox: who is bound, when, and who sees it."""
import contextlib
import ctypes
import errno
import mmap
import os

from harness import Suite, check, equal, need, until

suite = Suite('quota')
MIB = 1 << 20
BLOCK = 4096
LIBC = ctypes.CDLL(None, use_errno=True)
KEEP_SIZE, PUNCH_HOLE = 1, 2


@contextlib.contextmanager
def refused(what):
    """EDQUOT."""
    try:
        yield
    except OSError as error:
        equal(error.errno, errno.EDQUOT, what)
    else:
        raise AssertionError(f'{what}: nobody refused it')


def fallocate(fd, mode, offset, length):
    if LIBC.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
        raise OSError(ctypes.get_errno(), 'fallocate')


def free(mount):
    """(free bytes, free inodes), as df shows them to everybody."""
    stats = os.statvfs(mount.where)
    equal((stats.f_bfree, stats.f_ffree), (stats.f_bavail, stats.f_favail), 'free and available')
    return stats.f_bfree * stats.f_frsize, stats.f_ffree


def fill(path, limit, step=64 * 1024):
    """Writes until it is refused; returns how much fitted."""
    done = 0
    with open(path, 'wb', buffering=0) as file:
        try:
            while done < limit:
                done += file.write(b'x' * step)
        except OSError as error:
            equal(error.errno, errno.EDQUOT, 'a write that does not fit')
    return done


@suite.case('bytes: writes, allocations and mapped files stop at the quota; what goes makes room', timeout=120)
def bytes_of_files(box):
    for option in ('async', 'sync'):
        name = f'bytes-{option}'
        box.create(name, '--quota', '1M')
        mount = box.mount(name, '-o', option)
        stats = os.statvfs(mount.where)
        equal(stats.f_blocks * stats.f_frsize, MIB, 'the size of the disk')
        equal(free(mount)[0], MIB, 'free at the start')
        equal(fill(mount.path('full'), 2 * MIB), MIB, 'what fitted')
        equal(free(mount)[0], 0, 'free when full')
        with open(mount.path('full'), 'r+b', buffering=0) as file:
            file.write(b'over what is there')
            with refused('a byte behind the end'):
                os.pwrite(file.fileno(), b'x', MIB)
            fallocate(file.fileno(), PUNCH_HOLE | KEEP_SIZE, 0, 128 * 1024)
            equal(free(mount)[0], 128 * 1024, 'free after a hole was punched')
            with refused('more reserved than there is'):
                os.posix_fallocate(file.fileno(), MIB, 256 * 1024)
            equal(os.fstat(file.fileno()).st_size, MIB, 'the size after that')
            fallocate(file.fileno(), KEEP_SIZE, MIB, 128 * 1024)
            equal(free(mount)[0], 0, 'free with everything reserved')
            os.pwrite(file.fileno(), b'y' * 128 * 1024, MIB)  # reserved, so it can not fail
        os.truncate(mount.path('full'), 0)
        equal(free(mount)[0], MIB, 'free after truncation')
        with open(mount.path('mapped'), 'w+b', buffering=0) as file:
            file.truncate(2 * MIB)
            equal(free(mount)[0], MIB, 'holes take nothing')
            with mmap.mmap(file.fileno(), 2 * MIB) as memory:
                memory[0:BLOCK] = b'm' * BLOCK
                memory.flush()
        equal(free(mount)[0], MIB - BLOCK, 'a mapped page')
        # Open without a name: it still takes room, until it is closed.
        with open(mount.path('nameless'), 'w+b', buffering=0) as file:
            file.write(b'x' * 512 * 1024)
            os.unlink(mount.path('nameless'))
            equal(free(mount)[0], MIB - BLOCK - 512 * 1024, 'a file without a name')
            check(fill(mount.path('beside'), MIB) < 512 * 1024, 'the file without a name takes no room')
            os.unlink(mount.path('beside'))
        until(10, lambda: free(mount)[0] == MIB - BLOCK, 'the nameless file was closed')
        mount.umount()
        info = box.info(name)
        equal((info['quota_bytes'], info['blocks_bytes']), (MIB, BLOCK), 'info')
        again = box.mount(name)
        equal(free(again)[0], MIB - BLOCK, 'free on the next mount')
        again.umount()


@suite.case('inodes: every kind counts, links do not', timeout=60)
def inodes(box):
    box.create('inodes', '--inodes', '6')
    mount = box.mount('inodes')
    equal((os.statvfs(mount.where).f_files, free(mount)[1]), (6, 5), 'in all, free')
    os.mkdir(mount.path('d'))
    os.mkfifo(mount.path('p'))
    os.symlink('d', mount.path('s'))
    with open(mount.path('f'), 'w', encoding='ascii'):
        pass
    os.link(mount.path('f'), mount.path('f2'))
    with open(mount.path('d/g'), 'w', encoding='ascii'):
        pass
    equal(free(mount)[1], 0, 'free')
    for what, make in (('mkdir', os.mkdir), ('mkfifo', os.mkfifo), ('symlink', lambda path: os.symlink('x', path)),
                       ('creat', lambda path: os.open(path, os.O_CREAT | os.O_WRONLY))):
        with refused(what):
            make(mount.path('more'))
    os.unlink(mount.path('f'))
    with refused('mkdir after one of two names went'):
        os.mkdir(mount.path('more'))
    os.unlink(mount.path('f2'))
    os.mkdir(mount.path('more'))
    mount.sync()
    info = box.info('inodes')
    equal((info['quota_inodes'], info['inodes']), (6, 6), 'info')
    check('(of 6)' in box.sboxfs('info', 'inodes').text, 'the quota is not shown')


@suite.case('everybody is bound: users, root, a second mount', timeout=60)
def everybody(box):
    need('sh')
    box.create('all', '--quota', '256K')
    one = box.mount('all', '-o', 'allow_other')
    two = box.mount('all', env=box.other_host('h2'))
    os.mkdir(one.path('open'))
    os.chmod(one.path('open'), 0o777)
    if os.geteuid() == 0:
        box.run(['sh', '-c', 'head -c 131072 /dev/zero > f'], cwd=one.path('open'), user=1234)
        failed = box.run(['sh', '-c', 'head -c 262144 /dev/zero > g'], cwd=one.path('open'), user=1234, status=None)
        check(failed.status != 0 and 'quota' in failed.errors.lower(), failed)
        os.unlink(one.path('open/g'))
    else:
        equal(fill(one.path('open/f'), 128 * 1024), 128 * 1024, 'half of it')
    until(10, lambda: os.path.exists(two.path('open/f')), 'the second mount knows the file')
    equal(fill(two.path('open/h'), MIB, 4096), 128 * 1024, 'what the second mount could add')
    until(10, lambda: free(one)[0] == 0, 'the first mount knows that all is used')
    with refused('the first mount, when the second has used the rest'):
        with open(one.path('x'), 'wb', buffering=0) as file:
            file.write(b'x')


@suite.case('set: living mounts learn a changed quota within an audit interval', timeout=90)
def changed(box):
    box.create('changed')
    mount = box.mount('changed', '--audit-interval', '1s')
    big = os.statvfs(mount.where).f_blocks
    fill(mount.path('f'), 512 * 1024)
    box.sboxfs('set', '--quota', '1M', '--inodes', '3', 'changed')
    until(15, lambda: os.statvfs(mount.where).f_blocks == MIB // BLOCK, 'the new quota')
    equal(free(mount), (512 * 1024, 1), 'free')
    equal(fill(mount.path('g'), 2 * MIB), 512 * 1024, 'what fitted')
    with refused('one inode too many'):
        os.mkdir(mount.path('d'))
    # Below what is used: nothing is added, nothing is taken away.
    box.sboxfs('set', '--quota', '256K', 'changed')
    until(15, lambda: os.statvfs(mount.where).f_blocks == 256 * 1024 // BLOCK, 'the lower quota')
    with open(mount.path('f'), 'r+b', buffering=0) as file:
        file.write(b'over what is there')
        with refused('an append'):
            os.pwrite(file.fileno(), b'x', 512 * 1024)
    equal(free(mount)[0], 0, 'free')
    box.sboxfs('set', '--quota', '0', '--inodes', '0', 'changed')
    until(15, lambda: os.statvfs(mount.where).f_blocks == big, 'no quota')
    os.mkdir(mount.path('d'))
    equal(box.info('changed')['quota_bytes'], 0, 'info')
    for words in (['changed'], ['--quota', 'much', 'changed'], ['--quota', '-1', 'changed']):
        equal(box.sboxfs('set', *words, status=None).status, 2, words)
    equal(box.sboxfs('set', '--quota', '1M', 'nobody', status=None).status, 3, 'an unknown name')


if __name__ == '__main__':
    suite.main()
