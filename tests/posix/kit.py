"""What the cases share: registering, users, expectations, system calls Python does not have.

A case is a function with a name, the section of the standard (or manual page) that it shows, and a directory of its own
to work in. Users are acted by setting the effective ids in this very process, so thousands of cases take seconds.
"""
import contextlib
import ctypes
import errno
import os
import shutil
import stat
import struct
import time

from harness import FULL

CASES = []  # (operation, name, section, function)
MODE = None  # and in which mode it is
MOUNT = None  # of the cases that run on a mount: it
ANOTHER = None  # makes another mount of the same sandbox with options, as if on another host
LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW = -100, 0x100, 0x1000, 0x400
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 0x10
BLOCK = 4096
BAD = ctypes.c_void_p(1)  # an address nobody may read
OWNER, GROUP, MEMBER, OTHER, ROOT = 'owner', 'group', 'member of the group', 'other', 'root'
ALICE, BOB, CAROL = 10001, 10002, 10003  # users; each has the group of the same number
SHARED = 20000  # a group


def big(quick, full):
    """A size. Where each call is a commit, the full one would only take long."""
    return full if FULL and MODE != 'sync' else quick


class Failed(Exception):
    """The file system did something else than it must."""


class Unsupported(Exception):
    """The file system under test does not have this at all (only a reference may lack something)."""


def case(operation, name, section):
    """Registers a case; the name is unique within its operation."""
    def register(function):
        CASES.append((operation, name, section, function))
        return function
    return register


def check(condition, *words):
    if not condition:
        raise Failed(' '.join(str(word) for word in words))


def equal(got, wanted, what):
    if got != wanted:
        raise Failed(f'{what}: got {got!r}, wanted {wanted!r}')


def name_of(number):
    return errno.errorcode.get(number, str(number)) if number else 'success'


def outcome(call, *words):
    """(errno, value) of a call; errno 0: it succeeded."""
    try:
        return 0, call(*words)
    except OSError as error:
        return error.errno, None


def expect(wanted, call, *words, what=''):
    """The call ends with this errno (0: success; a tuple: one of them); its value is returned."""
    got, value = outcome(call, *words)
    allowed = wanted if isinstance(wanted, tuple) else (wanted,)
    if got not in allowed:
        raise Failed(f'{what or getattr(call, "__name__", "call")}: {name_of(got)}, wanted '
                     f'{" or ".join(name_of(one) for one in allowed)}')
    return value


@contextlib.contextmanager
def user(uid, gid=None, groups=(), umask=None):
    """Everything inside is done as this user. Root without groups: nothing changes."""
    before = os.getgroups()
    old_mask = os.umask(umask) if umask is not None else None
    os.setgroups(list(groups))
    os.setegid(uid if gid is None else gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)
        if old_mask is not None:
            os.umask(old_mask)


def tick():
    """Long enough for the next time stamp to differ from all before, on any file system."""
    time.sleep(0.012)


def put(path, data=b'', mode=0o644, uid=0, gid=0):
    """A file."""
    with open(path, 'wb') as file:
        file.write(data)
    own(path, mode, uid, gid)
    return path


def own(path, mode, uid=0, gid=0):
    os.chown(path, uid, gid, follow_symlinks=False)
    if not os.path.islink(path):
        os.chmod(path, mode)


def directory(path, mode=0o755, uid=0, gid=0):
    os.mkdir(path)
    own(path, mode, uid, gid)
    return path


def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


TYPES = ('file', 'dir', 'fifo', 'socket', 'symlink', 'char', 'block')


def make(kind, path, mode=0o644, uid=0, gid=0):
    """Something of this type. A directory gets search permission too."""
    if kind == 'file':
        return put(path, b'', mode, uid, gid)
    if kind == 'dir':
        return directory(path, mode | (mode & 0o444) >> 2, uid, gid)
    if kind == 'symlink':
        os.symlink('nowhere', path)
    else:
        kinds = {'fifo': stat.S_IFIFO, 'socket': stat.S_IFSOCK, 'char': stat.S_IFCHR, 'block': stat.S_IFBLK}
        os.mknod(path, kinds[kind] | 0o600, os.makedev(1, 3) if kind in ('char', 'block') else 0)
    own(path, mode, uid, gid)
    return path


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def libc(function, *words):
    """A call of the C library by name; OSError when it fails."""
    LIBC[function].restype = ctypes.c_long
    ctypes.set_errno(0)
    result = LIBC[function](*(ctypes.c_long(word) if isinstance(word, int) else word for word in words))
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def encoded(path):
    return ctypes.c_char_p(os.fsencode(path))


def renameat2(old, new, flags):
    libc('renameat2', AT_FDCWD, encoded(old), AT_FDCWD, encoded(new), flags)


def fallocate(fd, mode, offset, length):
    libc('fallocate', fd, mode, offset, length)


def utimensat(path, atime, mtime, flags=0):
    """Times as (seconds, nanoseconds); None: a null pointer, the present."""
    pair = None if atime is None else ctypes.c_char_p(struct.pack('qqqq', *atime, *mtime))
    if isinstance(path, int):
        libc('futimens', path, pair)
    else:
        libc('utimensat', AT_FDCWD, encoded(path), pair, flags)


def times(path):
    info = os.lstat(path)
    return info.st_atime_ns, info.st_mtime_ns, info.st_ctime_ns


class Watch:
    """Which times of some objects change: taken before, compared behind."""

    def __init__(self, *paths):
        self.before = {path: times(path) for path in paths}
        tick()

    def changed(self, path, now=None):
        """The letters of the times that moved: m, c."""
        _, mtime, ctime = times(now or path)
        _, old_mtime, old_ctime = self.before[path]
        check(mtime >= old_mtime and ctime >= old_ctime, path, ': a time went back')
        return ('m' if mtime > old_mtime else '') + ('c' if ctime > old_ctime else '')

    def expect(self, path, letters, now=None):
        equal(self.changed(path, now), letters, f'times of {os.path.basename(path)} that changed')


def acl(*entries):
    """The xattr of an access control list: entries (tag, permissions[, id]) with tags u, U (named), g, G, m, o."""
    tags = {'u': 1, 'U': 2, 'g': 4, 'G': 8, 'm': 0x10, 'o': 0x20}
    out = struct.pack('<I', 2)
    for tag, perm, *who in sorted(entries, key=lambda entry: (tags[entry[0]], *entry[2:])):
        out += struct.pack('<HHI', tags[tag], perm, who[0] if who else 0xffffffff)
    return out


def acl_entries(value):
    """Back: {(tag, id or None): permissions}."""
    letters = {1: 'u', 2: 'U', 4: 'g', 8: 'G', 0x10: 'm', 0x20: 'o'}
    out = {}
    for at in range(4, len(value), 8):
        tag, perm, who = struct.unpack('<HHI', value[at:at + 8])
        out[letters[tag], who if tag in (2, 8) else None] = perm
    return out


ACCESS, DEFAULT = 'system.posix_acl_access', 'system.posix_acl_default'


def supported(call, *words):
    """Unsupported when the call answers EOPNOTSUPP: a reference may lack it, the file system under test may not."""
    number, value = outcome(call, *words)
    if number == errno.EOPNOTSUPP:
        raise Unsupported(getattr(call, '__name__', 'call'))
    if number:
        raise OSError(number, os.strerror(number))
    return value
