"""What every call that takes a path does with a path that is wrong: one table of calls, one of wrong paths."""
import ctypes
import errno
import os
import stat

from kit import (ALICE, AT_FDCWD, BAD, CAROL, GROUP, MEMBER, OTHER, OWNER, ROOT, SHARED, case, directory, encoded,
                 expect,
                 libc, make, put, user)


def opened(path, flags, mode=0o644):
    os.close(os.open(path, flags, mode))


# call, what it needs at the path (None: nothing may be there), where POSIX describes it
CALLS = {
    'open': (lambda p: opened(p, os.O_RDONLY), 'file', 'XSH open'),
    'open for writing': (lambda p: opened(p, os.O_WRONLY), 'file', 'XSH open'),
    'open O_TRUNC': (lambda p: opened(p, os.O_WRONLY | os.O_TRUNC), 'file', 'XSH open'),
    'creat': (lambda p: opened(p, os.O_CREAT | os.O_WRONLY), None, 'XSH open'),
    'open O_EXCL': (lambda p: opened(p, os.O_CREAT | os.O_EXCL | os.O_RDWR), None, 'XSH open'),
    'opendir': (os.listdir, 'dir', 'XSH fdopendir'),
    'mkdir': (os.mkdir, None, 'XSH mkdir'),
    'mkfifo': (os.mkfifo, None, 'XSH mkfifo'),
    'mknod': (lambda p: os.mknod(p, stat.S_IFREG | 0o644), None, 'XSH mknod'),
    'symlink': (lambda p: os.symlink('target', p), None, 'XSH symlink'),
    'link from': (lambda p: os.link(p, 'free'), 'file', 'XSH link'),
    'link to': (lambda p: os.link('file', p), None, 'XSH link'),
    'unlink': (os.unlink, 'file', 'XSH unlink'),
    'rmdir': (os.rmdir, 'dir', 'XSH rmdir'),
    'rename from': (lambda p: os.rename(p, 'free'), 'file', 'XSH rename'),
    'rename to': (lambda p: os.rename('file', p), None, 'XSH rename'),
    'stat': (os.stat, 'file', 'XSH stat'),
    'lstat': (os.lstat, 'file', 'XSH lstat'),
    'access': (lambda p: libc('faccessat', AT_FDCWD, encoded(p), os.R_OK, 0x200), 'file', 'XSH faccessat'),
    'readlink': (os.readlink, 'symlink', 'XSH readlink'),
    'chdir': (lambda p: back_from(p), 'dir', 'XSH chdir'),
    'chmod': (lambda p: os.chmod(p, 0o644), 'file', 'XSH chmod'),
    'chown': (lambda p: os.chown(p, -1, -1), 'file', 'XSH chown'),
    'lchown': (lambda p: os.lchown(p, -1, -1), 'file', 'XSH lchown'),
    'truncate': (lambda p: os.truncate(p, 1), 'file', 'XSH truncate'),
    'utimensat': (lambda p: os.utime(p, None), 'file', 'XSH utimensat'),
    'statvfs': (os.statvfs, 'file', 'XSH statvfs'),
    'setxattr': (lambda p: os.setxattr(p, 'user.x', b'1'), 'file', 'setxattr(2)'),
    'listxattr': (os.listxattr, 'file', 'listxattr(2)'),
}


def back_from(path):
    here = os.open('.', os.O_RDONLY)
    try:
        os.chdir(path)
        os.fchdir(here)
    finally:
        os.close(here)


def wrong(call, needs, path, number):
    """The call fails with `number` on this path, and neither a name nor an inode changes."""
    put('file')
    before = sorted(os.listdir('.'))
    expect(number, call, path)
    if sorted(os.listdir('.')) != before:
        expect(-1, lambda: None, what=f'the names changed from {before} to {sorted(os.listdir("."))}')


def add(name, call, needs, section):
    @case(name, 'a prefix that is not a directory', f'{section}, ERRORS [ENOTDIR]')
    def not_a_directory():
        for kind in ('file', 'fifo', 'socket', 'char'):
            make(kind, kind + '-prefix')
            wrong(call, needs, f'{kind}-prefix/x', errno.ENOTDIR)

    @case(name, 'a prefix that does not exist', f'{section}, ERRORS [ENOENT]')
    def no_prefix():
        wrong(call, needs, 'none/x', errno.ENOENT)
        os.symlink('none', 'dangling')
        wrong(call, needs, 'dangling/x', errno.ENOENT)

    @case(name, 'an empty path', f'{section}, ERRORS [ENOENT]')
    def empty():
        wrong(call, needs, '', errno.ENOENT)

    if needs:
        @case(name, 'a last component that does not exist', f'{section}, ERRORS [ENOENT]')
        def missing():
            wrong(call, needs, 'missing', errno.ENOENT)

    @case(name, 'a component of 255 bytes works, of 256 does not', f'{section}, ERRORS [ENAMETOOLONG]')
    def long_name():
        put('file')
        path = 'n' * 255
        if needs:
            make(needs, path)
        expect(0, call, path)
        wrong(call, needs, 'n' * 256, errno.ENAMETOOLONG)
        wrong(call, needs, 'n' * 256 + '/x', errno.ENAMETOOLONG)
        wrong(call, needs, '\u00e4' * 128, errno.ENAMETOOLONG)  # bytes count, not characters

    @case(name, 'a path of 4095 bytes works, of 4096 does not', f'{section}, ERRORS [ENAMETOOLONG]')
    def long_path():
        put('file')
        if needs:
            make(needs, 'abc')
        expect(0, call, './' * 2046 + 'abc')
        wrong(call, needs, './' * 2046 + 'abcd', errno.ENAMETOOLONG)

    @case(name, 'a loop of symbolic links in the prefix', f'{section}, ERRORS [ELOOP]')
    def loop():
        os.symlink('two', 'one')
        os.symlink('one', 'two')
        wrong(call, needs, 'one/x', errno.ELOOP)
        os.symlink('self', 'self')
        wrong(call, needs, 'self/x', errno.ELOOP)

    @case(name, 'through 40 symbolic links it works, through 41 it does not', f'{section}, ERRORS [ELOOP]')
    def many_links():
        put('file')
        directory('l0')
        if needs:
            make(needs, 'l0/x')
        for number in range(1, 42):
            os.symlink(f'l{number - 1}', f'l{number}')
        expect(0, call, 'l40/x')
        wrong(call, needs, 'l41/x', errno.ELOOP)

    @case(name, 'search permission of the prefix, for each class of users', f'{section}, ERRORS [EACCES]')
    def search():
        os.chmod('.', 0o777)
        put('file', uid=ALICE, gid=SHARED, mode=0o666)
        for who, bit in ((OWNER, 0o100), (GROUP, 0o010), (MEMBER, 0o010), (OTHER, 0o001), (ROOT, 0)):
            for allowed in (False, True):
                mode = 0o777 if allowed else 0o777 & ~bit
                path = f'{who.split()[0]}-{int(allowed)}'
                directory(path, mode, ALICE, SHARED)
                if needs:
                    make(needs, path + '/x', 0o666, {OWNER: ALICE, ROOT: 0}.get(who, CAROL), SHARED)
                with acting(who):
                    denied = not allowed and who != ROOT
                    expect(errno.EACCES if denied else 0, call, path + '/x', what=f'{who}, {oct(mode)}')
                    if os.path.lexists('free'):
                        os.unlink('free')
                if not os.path.exists('file'):
                    put('file', uid=ALICE, gid=SHARED, mode=0o666)


def acting(who):
    """Somebody with this relation to what belongs to ALICE and SHARED."""
    return {OWNER: lambda: user(ALICE), GROUP: lambda: user(CAROL, SHARED),
            MEMBER: lambda: user(CAROL, CAROL, [SHARED]),
            OTHER: lambda: user(CAROL), ROOT: lambda: user(0)}[who]()


for _name, (_call, _needs, _section) in CALLS.items():
    add(_name, _call, _needs, _section)


# Bad addresses: raw calls, each with the bad pointer in every place there is one.
POINTERS = {
    'open': ('open', (BAD, os.O_RDONLY)), 'creat': ('open', (BAD, os.O_CREAT | os.O_WRONLY, 0o644)),
    'mkdir': ('mkdir', (BAD, 0o755)), 'mknod': ('mknod', (BAD, 0o100644, 0)), 'unlink': ('unlink', (BAD,)),
    'rmdir': ('rmdir', (BAD,)), 'chmod': ('chmod', (BAD, 0o644)), 'chown': ('chown', (BAD, 0, 0)),
    'lchown': ('lchown', (BAD, 0, 0)), 'truncate': ('truncate', (BAD, 1)), 'chdir': ('chdir', (BAD,)),
    'access': ('access', (BAD, 0)), 'symlink': ('symlink', (BAD, encoded('x'))),
    'symlink to': ('symlink', (encoded('x'), BAD)),
    'link from': ('link', (BAD, encoded('x'))), 'link to': ('link', (encoded('file'), BAD)),
    'rename from': ('rename', (BAD, encoded('x'))), 'rename to': ('rename', (encoded('file'), BAD)),
    'readlink': ('readlink', (BAD, ctypes.create_string_buffer(9), 9)),
    'readlink into': ('readlink', (encoded('sym'), BAD, 9)),
    'utimensat': ('utimensat', (AT_FDCWD, BAD, None, 0)), 'times': ('utimensat', (AT_FDCWD, encoded('file'), BAD, 0)),
    'setxattr': ('setxattr', (BAD, encoded('user.x'), encoded('v'), 1, 0)),
    'xattr value': ('setxattr', (encoded('file'), encoded('user.x'), BAD, 1, 0)),
    'getxattr': ('getxattr', (BAD, encoded('user.x'), ctypes.create_string_buffer(9), 9)),
}

for _name, (_function, _words) in POINTERS.items():
    @case(_name, 'an address outside of the process', f'{_function}(2), ERRORS EFAULT')
    def bad_address(function=_function, words=_words):
        put('file')
        os.symlink('file', 'sym')
        expect(errno.EFAULT, libc, function, *words)


@case('read', 'a buffer outside of the process', 'read(2), ERRORS EFAULT')
def read_into_nothing():
    put('file', b'x' * 10000)
    fd = os.open('file', os.O_RDWR)
    try:
        expect(errno.EFAULT, libc, 'read', fd, BAD, 100)
        expect(errno.EFAULT, libc, 'write', fd, BAD, 100)
    finally:
        os.close(fd)
