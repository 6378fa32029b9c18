"""Contents: sizes, holes, allocation, appending, direct and mapped access, copying."""
import errno
import fcntl
import mmap
import os
import resource
import signal

import kit
from harness import until
from kit import (BLOCK, KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, big, case, check, equal, expect, fallocate, outcome, put,
                 supported)


class File:
    """An open file and what must be in it."""

    def __init__(self, data=b'', flags=os.O_RDWR):
        put('f', data)
        self.fd = os.open('f', flags)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def contents(self):
        with open('f', 'rb') as file:
            return file.read()

    @property
    def size(self):
        return os.fstat(self.fd).st_size

    @property
    def bytes_on_disk(self):
        os.fsync(self.fd)  # a local file system allocates late
        return os.fstat(self.fd).st_blocks * 512


for _old in (0, 1, 4095, 4096, 4097, 131071, 131072, 131073, 300000):
    for _new in (0, 1, 4095, 4096, 4097, 131071, 131072, 131073, 300000):
        @case('truncate', f'from {_old} to {_new} bytes', 'XSH truncate, ftruncate, DESCRIPTION')
        def resize(old=_old, new=_new):
            data = bytes(range(1, 256)) * (old // 255 + 1)
            with File(data[:old]) as file:
                os.ftruncate(file.fd, new)
                equal(file.size, new, 'size')
                wanted = data[:min(old, new)] + bytes(max(0, new - old))
                check(file.contents() == wanted, 'contents')
                # What was cut off must not come back.
                os.truncate('f', old)
                check(file.contents() == (wanted + bytes(max(0, old - new)))[:old], 'contents after going back')


@case('truncate', 'a negative length, one that is too large', 'XSH truncate, ERRORS [EINVAL] [EFBIG]')
def lengths():
    with File(b'x') as file:
        expect(errno.EINVAL, os.truncate, 'f', -1)
        expect(errno.EINVAL, os.ftruncate, file.fd, -1)
        if kit.MOUNT is not None:  # some file systems have no such limit
            expect(errno.EFBIG, os.truncate, 'f', 2**62)
        equal(file.size, 1, 'size')


@case('ftruncate', 'on a descriptor that is not open for writing', 'XSH ftruncate, ERRORS [EBADF] or [EINVAL]')
def not_writable():
    with File(b'x', os.O_RDONLY) as file:
        expect((errno.EBADF, errno.EINVAL), os.ftruncate, file.fd, 0)
        expect(errno.EBADF, os.write, file.fd, b'x')


@case('write', 'beyond RLIMIT_FSIZE', 'XSH write, ERRORS [EFBIG]')
def limit():
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with File() as file:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10000, old[1]))
            equal(os.pwrite(file.fd, b'x' * 100, 9950), 50, 'what was written')
            expect(errno.EFBIG, os.pwrite, file.fd, b'x', 10000)
            expect(errno.EFBIG, os.ftruncate, file.fd, 10001)
            expect(0, os.ftruncate, file.fd, 10000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
            signal.signal(signal.SIGXFSZ, handler)

for _offset in (2**31 - 1, 2**31, 2**32 - 1, 2**32 + 5, 10 * 2**32, 2**39 + 77):
    @case('write', f'at offset {_offset}', 'XSH pwrite, pread; large files')
    def far(offset=_offset):
        with File() as file:
            os.pwrite(file.fd, b'far away', offset)
            equal(file.size, offset + 8, 'size')
            equal(os.pread(file.fd, 100, offset - 3), b'\0\0\0far away', 'contents')
            equal(os.pread(file.fd, 10, offset // 2), bytes(10), 'the hole')
            check(file.bytes_on_disk <= 16 * BLOCK, 'a hole takes', file.bytes_on_disk, 'bytes')
            equal(os.lseek(file.fd, 0, os.SEEK_DATA), offset // BLOCK * BLOCK, 'where the data starts')


@case('write', 'vectors, nothing at all, behind the end', 'XSH readv, writev, pwrite; preadv2(2)')
def vectors():
    with File(b'0123456789') as file:
        equal(os.pwritev(file.fd, [b'ab', b'', b'cde'], 3), 5, 'written')
        first, second = bytearray(4), bytearray(20)
        equal(os.preadv(file.fd, [first, second], 1), 9, 'read')
        equal((bytes(first), bytes(second[:5])), (b'12ab', b'cde89'), 'contents')
        equal(os.pwrite(file.fd, b'', 99), 0, 'nothing written')
        equal(file.size, 10, 'size')
        os.pwrite(file.fd, b'end', 20)
        equal(file.contents(), b'012abcde89' + bytes(10) + b'end', 'contents')
        equal(os.pread(file.fd, 10, 23), b'', 'at the end')
        equal(os.lseek(file.fd, -3, os.SEEK_END), 20, 'lseek')
        expect(errno.EINVAL, os.lseek, file.fd, -1, os.SEEK_SET)


# Allocation: (mode, offset, length) on a file of ten written blocks; size afterwards, blocks on disk
ALLOCATIONS = {
    'inside': (0, 0, 4 * BLOCK, 10, 10), 'behind the end': (0, 10 * BLOCK, 5 * BLOCK, 15, 15),
    'behind the end, size kept': (KEEP_SIZE, 10 * BLOCK, 5 * BLOCK, 10, 15),
    'far behind': (0, 20 * BLOCK, BLOCK, 21, 11),
    'punch inside': (PUNCH_HOLE | KEEP_SIZE, 2 * BLOCK, 3 * BLOCK, 10, 7),
    'punch all': (PUNCH_HOLE | KEEP_SIZE, 0, 10 * BLOCK, 10, 0),
    'punch parts of blocks': (PUNCH_HOLE | KEEP_SIZE, 100, 3 * BLOCK, 10, 8),
    'punch within a block': (PUNCH_HOLE | KEEP_SIZE, 100, 200, 10, 10),
    'punch behind the end': (PUNCH_HOLE | KEEP_SIZE, 12 * BLOCK, BLOCK, 10, 10),
    'zero inside': (ZERO_RANGE, 2 * BLOCK, 3 * BLOCK, 10, 10),
    'zero over the end': (ZERO_RANGE, 8 * BLOCK, 4 * BLOCK, 12, 12),
    'zero, size kept': (ZERO_RANGE | KEEP_SIZE, 8 * BLOCK, 4 * BLOCK, 10, 12),
    'zero parts of blocks': (ZERO_RANGE, 100, 2 * BLOCK, 10, 10),
}
for _name, _row in ALLOCATIONS.items():
    @case('fallocate', f'{_name}', 'XSH posix_fallocate; fallocate(2)')
    def allocation(row=_row):
        mode, offset, length, size, blocks = row
        data = os.urandom(10 * BLOCK)
        with File(data) as file:
            os.fsync(file.fd)
            supported(fallocate, file.fd, mode, offset, length)
            equal(file.size, size * BLOCK, 'size')
            equal(file.bytes_on_disk, blocks * BLOCK, 'bytes on disk')
            wanted = bytearray(data + bytes((size - 10) * BLOCK))
            if mode & (PUNCH_HOLE | ZERO_RANGE):
                end = min(offset + length, len(wanted))
                wanted[offset:end] = bytes(max(0, end - offset))
            check(file.contents() == bytes(wanted), 'contents')
            # Written over, it is what was written, and nothing more is needed.
            if not mode & PUNCH_HOLE:
                os.pwrite(file.fd, b'w' * length, offset)
                check(os.pread(file.fd, length, offset) == b'w' * length, 'contents written over it')

for _name, _mode, _offset, _length, _answer in (
        ('of nothing', 0, 0, 0, errno.EINVAL), ('a negative length', 0, 0, -1, errno.EINVAL),
        ('a negative offset', 0, -1, 1, errno.EINVAL),
        ('too large', 0, 2**62, 2**62, errno.EFBIG), ('punching without KEEP_SIZE', PUNCH_HOLE, 0, 1, errno.EOPNOTSUPP),
        ('an unknown mode', 0x1000, 0, 1, errno.EOPNOTSUPP)):
    @case('fallocate', _name, 'XSH posix_fallocate, ERRORS; fallocate(2)')
    def bad_allocation(mode=_mode, offset=_offset, length=_length, answer=_answer):
        with File(b'x') as file:
            expect((answer, errno.EINVAL) if answer == errno.EOPNOTSUPP else answer, fallocate, file.fd, mode, offset,
                   length)
            equal(file.size, 1, 'size')


@case('fallocate', 'a descriptor that is not open for writing, a fifo, a directory',
      'XSH posix_fallocate, ERRORS [EBADF] [ENODEV] [ESPIPE]')
def allocation_kinds():
    with File(b'x', os.O_RDONLY) as file:
        expect(errno.EBADF, fallocate, file.fd, 0, 0, 1)
    os.mkfifo('p')
    fifo = os.open('p', os.O_RDWR)
    expect(errno.ESPIPE, os.posix_fallocate, fifo, 0, 1)
    os.close(fifo)


@case('lseek', 'SEEK_DATA and SEEK_HOLE', 'XSH lseek, SEEK_DATA, SEEK_HOLE (2024); lseek(2)')
def holes():
    with File() as file:
        os.pwrite(file.fd, b'x' * BLOCK, 4 * BLOCK)
        os.pwrite(file.fd, b'x', 200 * BLOCK)
        os.ftruncate(file.fd, 300 * BLOCK)
        os.fsync(file.fd)

        def answers(whence):
            return [outcome(os.lseek, file.fd, at, whence) for at in
                    (0, BLOCK, 4 * BLOCK, 4 * BLOCK + 7, 5 * BLOCK, 200 * BLOCK, 201 * BLOCK, 300 * BLOCK - 1,
                     300 * BLOCK, -1)]
        none = (errno.ENXIO, None)
        equal(answers(os.SEEK_DATA), [(0, 4 * BLOCK)] * 3 + [(0, 4 * BLOCK + 7), (0, 200 * BLOCK),
                                                             (0, 200 * BLOCK)] + [none] * 4, 'SEEK_DATA')
        equal(answers(os.SEEK_HOLE), [(0, 0), (0, BLOCK), (0, 5 * BLOCK), (0, 5 * BLOCK), (0, 5 * BLOCK),
                                      (0, 201 * BLOCK),
                                      (0, 201 * BLOCK), (0, 300 * BLOCK - 1), none, none], 'SEEK_HOLE')
        equal(file.bytes_on_disk, 2 * BLOCK, 'bytes on disk')


@case('open', 'O_APPEND: every write goes to the end, wherever the offset is', 'XSH open, O_APPEND; XSH write')
def append():
    with File(b'start', os.O_RDWR | os.O_APPEND) as file:
        os.lseek(file.fd, 0, os.SEEK_SET)
        os.write(file.fd, b'-one')
        equal(os.lseek(file.fd, 0, os.SEEK_CUR), 9, 'offset')
        with open('f', 'ab', buffering=0) as other:
            other.write(b'-two')
        os.write(file.fd, b'-three')
        os.pwrite(file.fd, b'-four', 0)  # Linux: appended too (pwrite(2), BUGS)
        equal(file.contents(), b'start-one-two-three-four', 'contents')


@case('open', 'O_APPEND is what fcntl says now', 'XSH fcntl, F_SETFL')
def append_by_fcntl():
    with File(b'0123456789', os.O_RDWR | os.O_APPEND) as file:
        flags = fcntl.fcntl(file.fd, fcntl.F_GETFL)
        fcntl.fcntl(file.fd, fcntl.F_SETFL, flags & ~os.O_APPEND)
        os.pwrite(file.fd, b'X', 1)
        equal(file.contents(), b'0X23456789', 'without it')
        fcntl.fcntl(file.fd, fcntl.F_SETFL, flags | os.O_APPEND)
        os.lseek(file.fd, 0, os.SEEK_SET)
        os.write(file.fd, b'Y')
        equal(file.contents(), b'0X23456789Y', 'with it again')


@case('mmap', 'pages of a descriptor with O_APPEND stay where they are', 'XSH mmap; XSH open, O_APPEND')
def append_mapped():
    with File(b'a' * 8192, os.O_RDWR | os.O_APPEND) as file:
        with mmap.mmap(file.fd, 8192) as memory:
            memory[0:1] = b'X'
            memory.flush()
            memory[5000:5001] = b'Y'
        os.fsync(file.fd)
        contents = file.contents()
        equal(len(contents), 8192, 'size')
        equal(contents[:2] + contents[4999:5002], b'XaaYa', 'contents')
        equal(contents.count(b'a'), 8190, 'the rest')


@case('open', 'O_APPEND from several processes: nothing is lost or torn',
      'XSH write: O_APPEND, no intervening modification')
def append_processes():
    put('f')
    appended(['f'] * 4)


@case('open', 'O_APPEND from two mounts: nothing is lost or torn', 'XSH write: O_APPEND, no intervening modification')
def append_mounts():
    if kit.MOUNT is None:
        return
    put('f')
    here = os.path.join(os.getcwd(), 'f')
    second = kit.ANOTHER('dev,suid')
    there = here.replace(kit.MOUNT.where, second.where)
    until(20, lambda: os.path.exists(there), 'the second mount knows the file')
    appended([here, there, here, there])
    second.umount()


def appended(paths):
    count = big(100, 1000)
    children = []
    for number, path in enumerate(paths):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                fd = os.open(path, os.O_WRONLY | os.O_APPEND)
                for line in range(count):
                    text = b'%d:%d:' % (number, line)
                    os.write(fd, text + b'.' * (63 - len(text)) + b'\n')
                os.close(fd)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    for child in children:
        equal(os.waitpid(child, 0)[1], 0, 'a writer')
    # What another mount wrote last is seen a moment later.
    for path in set(paths):
        until(20, lambda: os.stat(path).st_size >= 64 * count * len(paths),
              f'{path} is complete: {os.stat(path).st_size}')
    with open(paths[0], 'rb') as file:
        text = file.read()
    with open(paths[1], 'rb') as file:
        equal(file.read() == text, True, 'both see the same')
    lines = text.splitlines(keepends=True)
    equal(len(lines), count * len(paths), 'lines')
    for number in range(len(paths)):
        mine = [line for line in lines if line.startswith(b'%d:' % number)]
        equal([int(line.split(b':')[1]) for line in mine], list(range(count)), f'lines of writer {number}, in order')
    check(all(len(line) == 64 for line in lines), 'a torn line')


@case('open', 'O_DIRECT, mapped and plain access see one file', 'open(2), O_DIRECT; XSH mmap, MAP_SHARED')
def mixed():
    page = mmap.mmap(-1, BLOCK)
    with File(b'a' * 4 * BLOCK) as file, mmap.mmap(file.fd, 4 * BLOCK) as memory:
        direct = supported(os.open, 'f', os.O_RDWR | os.O_DIRECT)
        memory[0:5] = b'memry'
        memory.flush()
        equal(os.pread(file.fd, 5, 0), b'memry', 'what read sees of the mapping')
        os.preadv(direct, [page], 0)
        equal(page[0:6], b'memrya', 'what O_DIRECT sees of the mapping')
        page[0:6] = b'direct'
        os.pwritev(direct, [page], BLOCK)
        equal(os.pread(file.fd, 6, BLOCK), b'direct', 'what read sees of O_DIRECT')
        equal(memory[BLOCK:BLOCK + 6], b'direct', 'what the mapping sees of O_DIRECT')
        os.pwrite(file.fd, b'plain', 2 * BLOCK)
        equal(memory[2 * BLOCK:2 * BLOCK + 5], b'plain', 'what the mapping sees of write')
        os.preadv(direct, [page], 2 * BLOCK)
        equal(page[0:6], b'plaina', 'what O_DIRECT sees of write')
        os.close(direct)


@case('mmap', 'shared mappings of several processes, private ones, the end of the file',
      'XSH mmap, MAP_SHARED, MAP_PRIVATE')
def mapped():
    with File(b'x' * 100) as file, mmap.mmap(file.fd, 100) as memory:
        child = os.fork()
        if child == 0:
            memory[0:5] = b'child'
            os._exit(0)
        os.waitpid(child, 0)
        equal(memory[0:6], b'childx', 'the mapping')
        equal(os.pread(file.fd, 6, 0), b'childx', 'the file')
        with mmap.mmap(file.fd, 100, flags=mmap.MAP_PRIVATE) as private:
            private[0:5] = b'other'
            equal(os.pread(file.fd, 5, 0), b'child', 'the file beside a private mapping')
        memory.flush()
        os.ftruncate(file.fd, 5000)
        equal(os.pread(file.fd, 10, 98), b'xx' + bytes(8), 'behind the old end')


@case('mmap', 'a file that shrinks under its mapping', 'XSH truncate, mmap')
def shrunk():
    with File(b'x' * 3 * BLOCK) as file, mmap.mmap(file.fd, 3 * BLOCK) as memory:
        memory[10:13] = b'abc'
        os.ftruncate(file.fd, 12)
        equal(memory[10:16], b'ab' + bytes(4), 'the mapping')
        os.ftruncate(file.fd, 3 * BLOCK)
        equal(os.pread(file.fd, 6, 10), b'ab' + bytes(4), 'the file')
        equal(memory[2 * BLOCK:2 * BLOCK + 4], bytes(4), 'the mapping')


@case('copy_file_range', 'parts, overlaps, ends, two files and one', 'copy_file_range(2)')
def copying():
    data = os.urandom(300000)
    put('from', data)
    with File(b'y' * 1000) as file, open('from', 'rb') as source:
        equal(os.copy_file_range(source.fileno(), file.fd, 500, 100, 10), 500, 'copied')
        check(file.contents() == b'y' * 10 + data[100:600] + b'y' * 490, 'contents')
        equal(os.copy_file_range(source.fileno(), file.fd, 100, 299950, 0), 50, 'copied at the end')
        equal(os.copy_file_range(source.fileno(), file.fd, 100, 300000, 0), 0, 'copied behind the end')
        expect(errno.EINVAL, os.copy_file_range, file.fd, file.fd, 100, 0, 50)
        expect(errno.EBADF, os.copy_file_range, file.fd, source.fileno(), 100, 0, 0)
        done = 0
        while done < len(data):
            done += os.copy_file_range(source.fileno(), file.fd, len(data) - done, done, done)
        check(file.contents() == data, 'contents')


@case('copy_file_range', 'of holes: they read as zeros', 'copy_file_range(2)')
def copying_holes():
    with open('from', 'wb') as source:
        source.truncate(100 * BLOCK)
    with File(b'y' * 100 * BLOCK) as file, open('from', 'rb') as source:
        done = 0
        while done < 100 * BLOCK:
            done += os.copy_file_range(source.fileno(), file.fd, 100 * BLOCK - done, done, done)
        check(file.contents() == bytes(100 * BLOCK), 'contents')
        if kit.MOUNT is not None:
            equal(file.bytes_on_disk, 0, 'bytes on disk')


@case('sendfile', 'and splice work', 'sendfile(2), splice(2)')
def sending():
    data = os.urandom(70000)
    put('from', data)
    with File() as file, open('from', 'rb') as source:
        done = 0
        while done < len(data):
            done += os.sendfile(file.fd, source.fileno(), done, len(data) - done)
        check(file.contents() == data, 'contents')


@case('fsync', 'of files, directories, descriptors only for reading', 'XSH fsync, fdatasync')
def syncing():
    with File(b'x', os.O_RDONLY) as file:
        expect(0, os.fsync, file.fd)
        expect(0, os.fdatasync, file.fd)
    fd = os.open('.', os.O_RDONLY)
    expect(0, os.fsync, fd)
    expect(0, os.fdatasync, fd)
    os.close(fd)
    os.mkfifo('p')
    fd = os.open('p', os.O_RDWR)
    expect(errno.EINVAL, os.fsync, fd)
    os.close(fd)
