"""Limits and borders: links, other file systems, read-only mounts, busy programs."""
import contextlib
import errno
import os
import stat
import subprocess

import kit
from kit import (ALICE, BOB, RENAME_EXCHANGE, TYPES, Unsupported, big, case, check, directory, equal, expect, make,
                 outcome, put, renameat2, tick,
                 user)
from paths import CALLS


@contextlib.contextmanager
def another(options):
    """This directory as a mount with these options shows it."""
    kit.MOUNT.sync()
    mount = kit.ANOTHER(options)
    here = os.getcwd()
    os.chdir(here.replace(kit.MOUNT.where, mount.where))
    try:
        yield
    finally:
        os.chdir(here)
        mount.umount()


@case('link', 'EMLINK', 'XSH link, ERRORS [EMLINK]; XBD limits.h: LINK_MAX')
def most_links():
    if not big(False, True):
        return
    put('f')
    directory('d')
    number, made = 0, 1
    while number == 0 and made < 70000:
        number, _ = outcome(os.link, 'f', f'd/{made}')
        made += number == 0
    equal((number, os.stat('f').st_nlink), (errno.EMLINK, made), 'after so many links')
    check(made >= os.pathconf('f', 'PC_LINK_MAX') or made >= 127, 'fewer than pathconf says')


@case('statvfs', 'sizes and limits', 'XSH statvfs; XSH pathconf: NAME_MAX, PATH_MAX, FILESIZEBITS')
def limits():
    info = os.statvfs('.')
    equal(info.f_namemax, 255, 'f_namemax')
    check(info.f_bfree <= info.f_blocks and info.f_bavail <= info.f_bfree, 'more free than there is')
    check(info.f_ffree <= info.f_files and info.f_frsize > 0 and info.f_bsize >= info.f_frsize, info)
    equal((os.pathconf('.', 'PC_NAME_MAX'), os.pathconf('.', 'PC_PATH_MAX')), (255, 4096), 'pathconf')
    check(info.f_flag & os.ST_RDONLY == 0, 'read-only')


@case('stat', 'st_ino, st_dev, st_blksize', 'XBD sys/stat.h')
def numbers():
    put('f', b'x' * 100)
    directory('d')
    here, file = os.stat('.'), os.stat('f')
    equal(file.st_dev, here.st_dev, 'device')
    check(file.st_ino not in (0, here.st_ino), 'inode')
    check(file.st_blksize >= 512, 'block size')
    equal((stat.S_ISREG(file.st_mode), file.st_size, os.stat('d').st_nlink), (True, 100, 2), 'type, size, links')
    check(os.path.samestat(os.stat('d/..'), here) and os.path.samestat(os.stat('d/.'), os.stat('d')), '. and ..')


def elsewhere():
    """A directory on another file system."""
    here = os.stat('.').st_dev
    for path in ('/dev/shm', '/tmp', '/var/tmp', '/run', '/'):
        if os.path.isdir(path) and os.access(path, os.W_OK) and os.stat(path).st_dev != here:
            return path
    raise Unsupported('another file system')

for _kind in TYPES:
    @case('rename', f'of a {_kind} to another file system', 'XSH rename, link, ERRORS [EXDEV]')
    def across(kind=_kind):
        make(kind, 'x')
        other = os.path.join(elsewhere(), 'none')
        expect(errno.EXDEV, os.rename, 'x', other)
        if kind != 'dir':
            expect(errno.EXDEV, lambda: os.link('x', other, follow_symlinks=False))
        os.lstat('x')


@case('rename', 'never EXDEV inside one', 'XSH rename, ERRORS [EXDEV]')
def inside():
    os.makedirs('a/b/c')
    directory('e')
    put('a/b/c/f')
    expect(0, os.rename, 'a/b/c/f', 'e/f')
    expect(0, os.rename, 'a/b', 'e/b')
    expect(0, renameat2, 'e/f', 'e/b', RENAME_EXCHANGE)


@case('open', 'a program that runs is not written; one that is written does not run',
      'XSH open, exec, ERRORS [ETXTBSY]')
def busy():
    with open('/bin/sleep', 'rb') as source:
        put('program', source.read(), 0o755)
    with subprocess.Popen([os.path.abspath('program'), '30']) as process:
        try:
            expect(errno.ETXTBSY, os.open, 'program', os.O_WRONLY)
            expect(errno.ETXTBSY, os.open, 'program', os.O_RDWR | os.O_TRUNC)
            expect(errno.ETXTBSY, os.truncate, 'program', 0)
            expect(0, os.rename, 'program', 'renamed')
        finally:
            process.kill()
    fd = os.open('renamed', os.O_WRONLY)
    expect(errno.ETXTBSY, lambda: subprocess.run([os.path.abspath('renamed'), '0'], check=True))
    os.close(fd)
    subprocess.run([os.path.abspath('renamed'), '0'], check=True)


@case('unlink', 'a directory that something is mounted on', 'XSH rmdir, rename, ERRORS [EBUSY]')
def mounted_on():
    directory('d')
    if subprocess.run(['mount', '-t', 'tmpfs', 'none', 'd'], check=False, stderr=subprocess.DEVNULL).returncode:
        return  # not in every container
    try:
        expect(errno.EBUSY, os.rmdir, 'd')
        expect(errno.EBUSY, os.rename, 'd', 'e')
    finally:
        subprocess.run(['umount', 'd'], check=True)


@case('read-only mount', 'every call that would change something', 'XSH, ERRORS [EROFS]')
def read_only():
    if kit.MOUNT is None:
        return
    os.chmod('.', 0o777)
    directory('d')
    for kind, name in (('file', 'file'), ('symlink', 'sym'), ('dir', 'empty')):
        make(kind, name, 0o666)
    os.setxattr('file', 'user.x', b'')
    with another('ro'):
        changing = ('open for writing', 'open O_TRUNC', 'link from', 'unlink', 'rename from', 'chmod', 'chown',
                    'lchown',
                    'truncate', 'utimensat', 'setxattr')
        for name in changing:
            expect(errno.EROFS, CALLS[name][0], 'file', what=name)
        for name in ('creat', 'open O_EXCL', 'mkdir', 'mkfifo', 'mknod', 'symlink', 'link to', 'rename to'):
            expect(errno.EROFS, CALLS[name][0], 'new', what=name)
        expect(errno.EROFS, os.rmdir, 'empty')
        expect(errno.EROFS, os.removexattr, 'file', 'user.x')
        expect(errno.EROFS, os.open, 'd', os.O_TMPFILE | os.O_RDWR)
        with user(ALICE):
            expect(errno.EROFS, os.open, 'new', os.O_CREAT | os.O_WRONLY)
        expect(errno.EEXIST, os.mkdir, 'd')
        for name, path in (('open', 'file'), ('opendir', 'd'), ('readlink', 'sym'), ('stat', 'file'),
                           ('listxattr', 'file'),
                           ('open O_CREAT of what is there', 'file')):
            call = CALLS[name][0] if name in CALLS else lambda p: os.close(os.open(p, os.O_RDONLY | os.O_CREAT))
            expect(0, call, path, what=name)
        check(os.statvfs('.').f_flag & os.ST_RDONLY, 'statvfs does not say so')


def program(mode):
    with open('/usr/bin/id', 'rb') as source:
        put('id', source.read(), mode, BOB, BOB)


def effective_user():
    done = subprocess.run([os.path.abspath('id'), '-u'], user=ALICE, group=ALICE, extra_groups=[],
                          capture_output=True, check=True)
    return int(done.stdout)


@case('mount options', 'noexec, nosuid, nodev and their opposites',
      'mount(8); XSH exec, ERRORS [EACCES]; XBD statvfs: ST_NOSUID')
def mount_options():
    if kit.MOUNT is None:
        return
    program(0o4755)
    os.mknod('null', stat.S_IFCHR | 0o666, os.makedev(1, 3))
    equal(effective_user(), BOB, 'with suid')
    with another('noexec'):
        expect(errno.EACCES, effective_user)
        check(os.statvfs('.').f_flag & os.ST_NOEXEC, 'statvfs does not say noexec')
    with another('exec,nosuid,nodev'):
        equal(effective_user(), ALICE, 'with nosuid')
        expect(errno.EACCES, os.open, 'null', os.O_RDONLY)
        flags = os.statvfs('.').f_flag
        check(flags & os.ST_NOSUID and flags & os.ST_NODEV, 'statvfs does not say nosuid, nodev')


def read_of(path):
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, 10)
    os.close(fd)


@case('mount options', 'noatime, strictatime, nodiratime', 'mount(8); XBD 4.9 File Times Update')
def access_times():
    if kit.MOUNT is None:
        return
    directory('d')
    put('d/f', b'x')
    put('d/g', b'x')
    old = 10**18
    for options, moves, twice, folder in (('noatime', False, False, False), ('relatime', True, False, True),
                                          ('strictatime', True, True, True),
                                          ('strictatime,nodiratime', True, True, False)):
        with another(options):
            os.utime('d/f', ns=(old, old))
            os.utime('d', ns=(old, old))  # and so this mount may write
            tick()
            read_of('d/f')
            first = os.stat('d/f').st_atime_ns
            equal(first > old, moves, f'{options}: a read moves atime')
            tick()
            read_of('d/f')
            equal(os.stat('d/f').st_atime_ns > first, twice, f'{options}: the second read moves it again')
            os.listdir('d')
            equal(os.stat('d').st_atime_ns > old, folder, f'{options}: listing moves atime')


@case('open', 'sizes of st_blocks tell the truth', 'XBD sys/stat.h: st_blocks')
def blocks():
    for size, wanted in ((0, 0), (1, 8), (4096, 8), (4097, 16), (131072, 256), (140000, 280)):
        put('f', b'x' * size)
        fd = os.open('f', os.O_RDWR)
        os.fsync(fd)
        equal(os.fstat(fd).st_blocks, wanted, f'blocks of {size} bytes')
        os.ftruncate(fd, size + 2**20)
        equal(os.fstat(fd).st_blocks, wanted, 'blocks with a hole behind')
        os.close(fd)
