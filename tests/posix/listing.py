"""Listing directories: complete, without doubles, and stable while names come and go."""
import ctypes
import os
import stat

from kit import LIBC, TYPES, big, case, check, directory, equal, make

DT = {stat.S_IFREG: 8, stat.S_IFDIR: 4, stat.S_IFIFO: 1, stat.S_IFSOCK: 12, stat.S_IFLNK: 10, stat.S_IFCHR: 2,
      stat.S_IFBLK: 6}


class Entry(ctypes.Structure):
    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('reclen', ctypes.c_ushort),
                ('type', ctypes.c_ubyte),
                ('name', ctypes.c_char * 256)]


LIBC.opendir.restype = LIBC.readdir.restype = ctypes.c_void_p
LIBC.telldir.restype = ctypes.c_long


class Directory:
    """A stream of the C library."""

    def __init__(self, path):
        self._dir = ctypes.c_void_p(LIBC.opendir(os.fsencode(path)))
        check(self._dir.value, 'opendir')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        LIBC.closedir(self._dir)

    def read(self):
        """The next (name, inode, type), or None."""
        at = LIBC.readdir(self._dir)
        if not at:
            return None
        entry = Entry.from_address(at)
        return os.fsdecode(entry.name), entry.ino, entry.type

    def tell(self):
        return LIBC.telldir(self._dir)

    def seek(self, where):
        LIBC.seekdir(self._dir, ctypes.c_long(where))

    def rewind(self):
        LIBC.rewinddir(self._dir)

    def rest(self):
        out = []
        while (entry := self.read()) is not None:
            out.append(entry[0])
        return out


def fill(path, count):
    directory(path)
    fd = os.open(path, os.O_RDONLY)
    for number in range(count):
        os.mknod(f'n{number}', stat.S_IFREG | 0o644, dir_fd=fd)
    os.close(fd)
    return {f'n{number}' for number in range(count)}


@case('readdir', 'every type; inode numbers; . and ..', 'XSH readdir; XBD dirent.h: d_ino, d_type (2024)')
def types():
    directory('d')
    for kind in TYPES:
        make(kind, f'd/{kind}')
    with Directory('d') as stream:
        found = {}
        while (entry := stream.read()) is not None:
            check(entry[0] not in found, entry[0], 'is listed twice')
            found[entry[0]] = entry[1:]
    equal(sorted(found), sorted((*TYPES, '.', '..')), 'names')
    for name, (ino, kind) in found.items():
        info = os.lstat(f'd/{name}')
        equal((ino, kind), (info.st_ino, DT[stat.S_IFMT(info.st_mode)]), name)

for _count in (0, 1, 2, 100, 1500):
    @case('readdir', f'{_count} names, each once; telldir and seekdir go back to every one',
          'XSH readdir, telldir, seekdir, rewinddir')
    def seeking(count=_count):
        names = fill('d', count)
        with Directory('d') as stream:
            order, places = [], [stream.tell()]
            while (entry := stream.read()) is not None:
                order.append(entry[0])
                places.append(stream.tell())
            equal(len(order), count + 2, 'names')
            equal(set(order), names | {'.', '..'}, 'names')
            for at in list(range(0, count + 2, max(1, count // 50))) + [count + 2]:
                stream.seek(places[at])
                entry = stream.read()
                equal(entry[0] if entry else None, order[at] if at < len(order) else None, f'name {at}')
            stream.rewind()
            equal(stream.rest(), order, 'the order after rewinddir')


@case('readdir', 'names that stay are listed exactly once while others come and go',
      'XSH readdir: added or removed since opendir')
def changing():
    names = fill('d', big(3000, 100_000))
    stay = {name for name in names if int(name[1:]) % 3}
    going = iter(sorted(names - stay))
    with Directory('d') as stream:
        seen, made = [], 0
        while (entry := stream.read()) is not None:
            seen.append(entry[0])
            if len(seen) % 7 == 0:
                name = next(going, None)
                if name:
                    os.unlink(f'd/{name}')
                os.mknod(f'd/new{made}', stat.S_IFREG | 0o644)
                made += 1
    check(len(seen) == len(set(seen)), 'listed twice:', [name for name in set(seen) if seen.count(name) > 1][:5])
    equal(sorted(stay - set(seen)), [], 'missed')
    left = set(os.listdir('d'))
    equal(left, {f'd/{name}'[2:] for name in left if os.path.lexists(f'd/{name}')}, 'listed again')


@case('readdir', 'removing everything while listing it', 'XSH readdir: rm -r')
def removing():
    fill('d', big(2000, 100_000))
    with os.scandir('d') as entries:
        for entry in entries:
            os.unlink(entry.path)
    equal(os.listdir('d'), [], 'names')
    os.rmdir('d')


@case('readdir', 'a position is good in another stream too, after names before it went',
      'persistent positions; telldir(3)')
def persistent():
    fill('d', 500)
    with Directory('d') as stream:
        order, places = [], []
        while (entry := stream.read()) is not None:
            order.append(entry[0])
            places.append(stream.tell())
    for name in order[2:250]:
        if name not in ('.', '..'):
            os.unlink(f'd/{name}')
    with Directory('d') as stream:
        stream.seek(places[300])
        equal(stream.rest(), order[301:], 'the rest')


@case('readdir', 'names of every length and any bytes', 'XBD 3.170 Filename')
def bytes_of_names():
    directory('d')
    names = {bytes([65 + length % 26]) * length for length in range(1, 256)}
    names |= {bytes([number]) for number in range(1, 256) if number not in (0x2e, 0x2f)} | {b'...', b'\xff' * 255,
                                                                                            b' ', b'\n'}
    for name in names:
        os.mknod(b'd/' + name, stat.S_IFREG | 0o644)
    equal(set(os.listdir(b'd')), names, 'names')
    for name in names:
        os.lstat(b'd/' + name)
