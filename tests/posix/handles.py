"""Opening by handle, and files without a name."""
import contextlib
import ctypes
import errno
import os
import struct

from kit import (ALICE, AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_FOLLOW, SHARED, Watch, case, check, directory, encoded,
                 equal, expect,
                 libc, outcome, put, supported, user)


def handle_of(path):
    """(mount id, the handle's bytes)."""
    buffer = ctypes.create_string_buffer(struct.pack('II', 128, 0) + bytes(128), 136)
    mount = ctypes.c_int()
    supported(libc, 'name_to_handle_at', AT_FDCWD, encoded(path), buffer, ctypes.byref(mount), 0)
    return buffer.raw


def open_handle(raw, flags):
    here = os.open('.', os.O_RDONLY)
    try:
        return libc('open_by_handle_at', here, ctypes.create_string_buffer(raw, len(raw)), flags)
    finally:
        os.close(here)


def drop_caches():
    """The kernel forgets what it can: handles must be found without it."""
    with contextlib.suppress(PermissionError, FileNotFoundError):  # not in every container
        with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as file:
            file.write('2')


@case('handles', 'a file, a directory; also after the caches were dropped', 'open_by_handle_at(2)')
def by_handle():
    os.makedirs('a/b')
    put('a/b/f', b'contents')
    file, folder = handle_of('a/b/f'), handle_of('a/b')
    info = os.stat('a/b/f')
    for _ in range(2):
        fd = open_handle(file, os.O_RDONLY)
        equal(os.read(fd, 100), b'contents', 'contents')
        equal(os.fstat(fd).st_ino, info.st_ino, 'inode')
        os.close(fd)
        fd = open_handle(folder, os.O_RDONLY)
        equal(os.listdir(fd), ['f'], 'names')
        up = os.open('..', os.O_RDONLY, dir_fd=fd)
        check(os.path.samestat(os.fstat(up), os.stat('a')), '.. of the directory')
        os.close(up)
        os.close(fd)
        drop_caches()


@case('handles', 'after rename it is the same file, after unlink there is none', 'open_by_handle_at(2), ERRORS ESTALE')
def stale():
    put('f', b'1')
    handle = handle_of('f')
    os.rename('f', 'g')
    fd = open_handle(handle, os.O_RDWR)
    os.write(fd, b'2')
    os.close(fd)
    equal(open('g', 'rb').read(), b'2', 'contents')
    os.unlink('g')
    expect(errno.ESTALE, open_handle, handle, os.O_RDONLY)
    put('f')
    expect(errno.ESTALE, open_handle, handle, os.O_RDONLY)


@case('handles', 'of a removed directory', 'open_by_handle_at(2), ERRORS ESTALE')
def stale_directory():
    directory('d')
    handle = handle_of('d')
    os.rmdir('d')
    drop_caches()
    expect(errno.ESTALE, open_handle, handle, os.O_RDONLY)


@case('O_TMPFILE', 'a file without a name: owner, mode, links, times of the directory', 'open(2), O_TMPFILE')
def nameless():
    directory('d', 0o777)
    watch = Watch('d')
    with user(ALICE, umask=0o022):
        fd = supported(os.open, 'd', os.O_TMPFILE | os.O_RDWR, 0o666)
    info = os.fstat(fd)
    equal((info.st_uid, info.st_gid, info.st_nlink, oct(info.st_mode)), (ALICE, ALICE, 0, oct(0o100644)),
          'owner, links, mode')
    os.write(fd, b'x' * 100000)
    equal(os.pread(fd, 10, 99995), b'x' * 5, 'contents')
    equal(os.listdir('d'), [], 'names')
    watch.expect('d', '')
    os.close(fd)


@case('O_TMPFILE', 'gets a name by linkat, and is a file like any other', 'open(2), O_TMPFILE; linkat(2)')
def named():
    directory('d')
    fd = supported(os.open, 'd', os.O_TMPFILE | os.O_RDWR, 0o640)
    os.write(fd, b'contents')
    os.setxattr(fd, 'user.a', b'1')
    watch = Watch('d')
    libc('linkat', AT_FDCWD, encoded(f'/proc/self/fd/{fd}'), AT_FDCWD, encoded('d/f'), AT_SYMLINK_FOLLOW)
    watch.expect('d', 'mc')
    equal((os.stat('d/f').st_nlink, os.fstat(fd).st_ino), (1, os.stat('d/f').st_ino), 'links, inode')
    os.fsync(fd)
    libc('linkat', fd, encoded(''), AT_FDCWD, encoded('d/g'), AT_EMPTY_PATH)
    os.write(fd, b' and more')
    os.close(fd)
    drop_caches()
    equal((open('d/f', 'rb').read(), os.getxattr('d/g', 'user.a')), (b'contents and more', b'1'), 'contents, attribute')
    equal(sorted(os.listdir('d')), ['f', 'g'], 'names')
    os.unlink('d/f')
    os.unlink('d/g')
    equal(os.listdir('d'), [], 'names')


@case('O_TMPFILE', 'with O_EXCL it never gets a name; over a name that is there it does not', 'open(2), O_TMPFILE')
def refused():
    put('there')
    fd = supported(os.open, '.', os.O_TMPFILE | os.O_RDWR | os.O_EXCL)
    expect(errno.ENOENT, libc, 'linkat', AT_FDCWD, encoded(f'/proc/self/fd/{fd}'), AT_FDCWD, encoded('f'),
           AT_SYMLINK_FOLLOW)
    os.close(fd)
    fd = os.open('.', os.O_TMPFILE | os.O_RDWR)
    expect(errno.EEXIST, libc, 'linkat', AT_FDCWD, encoded(f'/proc/self/fd/{fd}'), AT_FDCWD, encoded('there'),
           AT_SYMLINK_FOLLOW)
    os.close(fd)
    expect(errno.EINVAL, os.open, '.', os.O_TMPFILE | os.O_RDONLY)
    expect(errno.ENOTDIR, os.open, 'there', os.O_TMPFILE | os.O_RDWR)
    expect(errno.ENOENT, os.open, 'none', os.O_TMPFILE | os.O_RDWR)


@case('O_TMPFILE', 'needs write and search permission, inherits group and default ACL', 'open(2), O_TMPFILE; acl(5)')
def permissions():
    directory('d', 0o755)
    with user(ALICE):
        expect(errno.EACCES, os.open, 'd', os.O_TMPFILE | os.O_RDWR)
    os.chown('d', 0, SHARED)
    os.chmod('d', 0o2777)
    with user(ALICE):
        fd = supported(os.open, 'd', os.O_TMPFILE | os.O_RDWR, 0o664)
    equal(os.fstat(fd).st_gid, SHARED, 'group')
    os.close(fd)
    check(outcome(os.listdir, 'd') == (0, []), 'names')
