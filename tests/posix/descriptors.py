"""What an open descriptor keeps: rights, the object behind it, a place in the tree."""
import errno
import mmap
import os
import signal
import stat
import threading

import kit
from harness import until
from kit import (ALICE, BOB, AT_FDCWD, big, case, check, directory, encoded, equal, expect, fallocate, libc, mode_of,
                 outcome, put,
                 user)


@case('descriptor', 'a new file can be used whatever its mode', 'XSH open, O_CREAT: mode does not affect the open file')
def mode_of_new():
    os.chmod('.', 0o777)
    for flags in (os.O_RDWR, os.O_WRONLY):
        with user(ALICE):
            fd = os.open('f', os.O_CREAT | os.O_EXCL | flags, 0)
            equal(os.write(fd, b'data'), 4, 'written')
            os.ftruncate(fd, 2)
            os.fsync(fd)
            expect(errno.EACCES, os.open, 'f', os.O_RDONLY)
            if flags == os.O_RDWR:
                equal(os.pread(fd, 10, 0), b'da', 'contents')
            os.close(fd)
            os.unlink('f')


@case('descriptor', 'rights are those of the time of opening', 'XSH open; XBD 3.166 File Description')
def rights_stay():
    put('f', b'data', 0o666, ALICE, ALICE)
    with user(BOB):
        fd = os.open('f', os.O_RDWR)
    os.chmod('f', 0)
    os.chown('f', 0, 0)
    with user(BOB):
        equal(os.pread(fd, 4, 0), b'data', 'contents')
        equal(os.pwrite(fd, b'more', 4), 4, 'written')
        expect(0, os.ftruncate, fd, 6)
        expect(0, fallocate, fd, 0, 0, 100)
        expect(errno.EPERM, os.fchmod, fd, 0o777)
        expect(errno.EPERM, os.fchown, fd, BOB, -1)
        expect(errno.EACCES, os.open, 'f', os.O_RDONLY)
    os.close(fd)


@case('descriptor', 'fchmod, fchown, ftruncate, fsetxattr reach a file that was renamed or unlinked',
      'XSH fchmod, fchown, ftruncate')
def follows():
    put('f', b'data')
    fd = os.open('f', os.O_RDWR)
    os.rename('f', 'g')
    put('f', b'another', 0o600)
    os.fchmod(fd, 0o4711)
    os.fchown(fd, ALICE, BOB)
    os.ftruncate(fd, 2)
    os.setxattr(fd, 'user.a', b'1')
    info = os.stat('g')
    equal((stat.S_IMODE(info.st_mode) & 0o777, info.st_uid, info.st_gid, info.st_size), (0o711, ALICE, BOB, 2),
          'the file')
    equal((mode_of('f'), os.stat('f').st_size), (0o600, 7), 'the other file')
    os.unlink('g')
    os.fchmod(fd, 0o640)
    os.fchown(fd, 0, 0)
    info = os.fstat(fd)
    equal((stat.S_IMODE(info.st_mode), info.st_uid, info.st_nlink), (0o640, 0, 0), 'without a name')
    os.close(fd)


@case('descriptor', 'O_PATH: a place, not a file', 'open(2), O_PATH')
def path_only():
    put('f', b'data', 0)
    with user(ALICE):
        fd = os.open('f', os.O_PATH)
        equal(os.fstat(fd).st_size, 4, 'size')
        expect(errno.EBADF, os.read, fd, 1)
        expect(errno.EBADF, os.write, fd, b'x')
        expect(errno.EBADF, os.fchmod, fd, 0o777)
        expect(errno.EACCES, os.open, f'/proc/self/fd/{fd}', os.O_RDONLY)
        os.close(fd)


@case('descriptor', 'a directory that moves: openat and its kin go along',
      'XSH openat, mkdirat, unlinkat, renameat, fstatat')
def directories():
    os.makedirs('a/d')
    fd = os.open('a/d', os.O_RDONLY)
    os.rename('a/d', 'e')
    os.close(os.open('f', os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.mkdir('g', dir_fd=fd)
    os.symlink('x', 's', dir_fd=fd)
    os.link('f', 'h', src_dir_fd=fd, dst_dir_fd=fd)
    os.rename('h', 'i', src_dir_fd=fd, dst_dir_fd=fd)
    equal(sorted(os.listdir('e')), ['f', 'g', 'i', 's'], 'names')
    expect(errno.EISDIR, libc, 'unlinkat', fd, encoded('g'), 0)
    expect(errno.ENOTDIR, libc, 'unlinkat', fd, encoded('f'), 0x200)
    expect(0, libc, 'unlinkat', fd, encoded('g'), 0x200)
    expect(errno.EINVAL, libc, 'unlinkat', fd, encoded('f'), 0x4000)
    os.unlink('f', dir_fd=fd)
    equal(os.stat('i', dir_fd=fd).st_nlink, 1, 'links')
    file = os.open('i', os.O_RDONLY, dir_fd=fd)
    expect(errno.ENOTDIR, lambda: os.open('x', os.O_RDONLY, dir_fd=file))
    expect(errno.EBADF, lambda: os.open('x', os.O_RDONLY, dir_fd=999))
    os.close(file)
    os.close(fd)


@case('descriptor', 'a tree 300 levels deep: made, walked, named by getcwd, removed', 'XSH mkdir, chdir, getcwd')
def deep():
    root = os.getcwd()
    names = [f'{level:03}' * 3 for level in range(300)]
    for name in names:
        os.mkdir(name)
        os.chdir(name)
    equal(os.getcwd(), os.path.join(root, *names), 'getcwd')
    put('f', b'deep')
    equal(open(os.path.join(root, *names, 'f'), 'rb').read(), b'deep', 'contents by the whole path')
    os.unlink('f')
    for name in reversed(names):
        os.chdir('..')
        os.rmdir(name)
    equal(os.getcwd(), root, 'the root')


@case('descriptor', 'a page behind the end of a mapped file is SIGBUS', 'XSH mmap: SIGBUS')
def sigbus():
    put('f', b'x' * 5000)
    child = os.fork()
    if child == 0:
        with open('f', 'r+b') as file, mmap.mmap(file.fileno(), 5000) as memory:
            os.ftruncate(file.fileno(), 100)
            os._exit(memory[4999] if memory[99] == ord('x') else 99)
    equal(os.waitpid(child, 0)[1], signal.SIGBUS, 'status')


@case('descriptor', 'dup shares the offset and the flags, open does not', 'XSH dup, open; XBD 3.166')
def shared():
    put('f', b'0123456789')
    first = os.open('f', os.O_RDWR)
    second, third = os.dup(first), os.open('f', os.O_RDWR)
    os.read(first, 4)
    equal((os.read(second, 2), os.read(third, 2)), (b'45', b'01'), 'what is read')
    os.close(first)
    os.write(second, b'AB')
    equal(os.pread(third, 10, 0), b'012345AB89', 'contents')
    os.close(second)
    os.close(third)


@case('rename', 'the new name is never missing for a reader',
      'XSH rename: the link named new shall remain visible throughout')
def never_missing():
    put('f', b'old')
    missing, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            number, text = outcome(read_file, 'f')
            if number or text not in (b'old', b'new'):
                missing.append((number, text))

    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(big(150, 2000)):
        put('g', b'new' if turn % 2 else b'old')
        os.rename('g', 'f')
    stop.set()
    reader.join()
    equal(missing[:3], [], 'what a reader saw')


def read_file(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


@case('open', 'O_EXCL: of several processes one makes the file', 'XSH open, O_EXCL: atomic')
def exclusive():
    for turn in range(big(10, 200)):
        children = []
        for _ in range(5):
            child = os.fork()
            if child == 0:
                os._exit(outcome(os.open, f'f{turn}', os.O_CREAT | os.O_EXCL | os.O_WRONLY)[0])
            children.append(child)
        answers = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
        equal(answers, [0] + [errno.EEXIST] * 4, 'answers')


@case('stat', 'inode numbers, modes, times and links are the same on another mount',
      'XBD 4.9, 3.174 File Serial Number')
def other_mount():
    if kit.MOUNT is None:
        return
    os.makedirs('d/e')
    put('d/f', b'x' * 100, 0o4751, ALICE, BOB)
    os.link('d/f', 'd/g')
    os.symlink('f', 'd/s')
    os.mkfifo('d/p')
    os.utime('d/f', ns=(123456789, 987654321))
    kit.MOUNT.sync()
    mount = kit.ANOTHER('dev,suid')
    there = os.getcwd().replace(kit.MOUNT.where, mount.where)
    for name in ('d', 'd/e', 'd/f', 'd/g', 'd/s', 'd/p'):
        path = os.path.join(there, name)
        until(20, lambda path=path: os.path.lexists(path), 'the other mount has it')
        one, two = os.lstat(name), os.lstat(path)
        for field in ('st_ino', 'st_mode', 'st_nlink', 'st_uid', 'st_gid', 'st_size', 'st_blocks', 'st_mtime_ns',
                      'st_ctime_ns'):
            equal(getattr(two, field), getattr(one, field), f'{field} of {name}')
    mount.umount()


@case('open', 'flags that contradict each other, descriptors that are not open',
      'XSH open, read, write, ERRORS [EINVAL] [EBADF] [EISDIR]')
def flags():
    put('f', b'x')
    directory('d')
    fd = os.open('d', os.O_RDONLY)
    expect(errno.EISDIR, os.read, fd, 1)
    expect(errno.EBADF, os.write, fd, b'x')
    expect(errno.EINVAL, os.ftruncate, fd, 0)
    os.close(fd)
    expect(errno.EBADF, os.fstat, fd)
    expect(errno.ENOTDIR, os.fchdir, os.open('f', os.O_RDONLY))
    expect((errno.EINVAL, errno.EISDIR), os.open, 'new', os.O_CREAT | os.O_DIRECTORY)
    fd = os.open('f', os.O_WRONLY)
    expect(errno.EBADF, os.read, fd, 1)
    expect(errno.EINVAL, libc, 'lseek', fd, 0, 99)
    expect(errno.EINVAL, libc, 'faccessat', AT_FDCWD, encoded('f'), 8, 0)
    os.close(fd)
