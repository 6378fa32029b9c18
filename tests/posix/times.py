"""The three times: which call moves which, utimensat's table, nanoseconds."""
import errno
import os

from kit import (ALICE, BOB, UTIME_NOW, UTIME_OMIT, Watch, case, check, directory, equal, expect, fallocate, libc,
                 put, tick,
                 times, user, utimensat)

NOW, OMIT, SET = (0, UTIME_NOW), (0, UTIME_OMIT), (1234567890, 123456789)
WORDS = {NOW: 'now', OMIT: 'omit', SET: 'set', None: 'null'}


def with_fd(path, flags, call):
    fd = os.open(path, flags)
    try:
        call(fd)
    finally:
        os.close(fd)


# What moves in (the object, its directory, another directory): m mtime, c ctime.
EFFECTS = {
    'chmod': (lambda: os.chmod('d/f', 0o600), 'c', '', ''), 'chown': (lambda: os.chown('d/f', ALICE, -1), 'c', '', ''),
    'chown of nothing': (lambda: os.chown('d/f', -1, -1), 'c', '', ''),
    'link': (lambda: os.link('d/f', 'e/g'), 'c', '', 'mc'),
    'write': (lambda: with_fd('d/f', os.O_WRONLY, lambda fd: os.write(fd, b'z')), 'mc', '', ''),
    'write of nothing': (lambda: with_fd('d/f', os.O_WRONLY, lambda fd: os.write(fd, b'')), '', '', ''),
    'ftruncate': (lambda: with_fd('d/f', os.O_WRONLY, lambda fd: os.ftruncate(fd, 1)), 'mc', '', ''),
    'ftruncate to the same size': (lambda: with_fd('d/f', os.O_WRONLY, lambda fd: os.ftruncate(fd, 8)), 'mc', '', ''),
    'truncate': (lambda: os.truncate('d/f', 1), 'mc', '', ''),
    'truncate longer': (lambda: os.truncate('d/f', 100), 'mc', '', ''),
    'open O_TRUNC': (lambda: with_fd('d/f', os.O_WRONLY | os.O_TRUNC, lambda fd: None), 'mc', '', ''),
    'open': (lambda: with_fd('d/f', os.O_RDWR, lambda fd: None), '', '', ''),
    'open O_CREAT of what exists': (lambda: with_fd('d/f', os.O_RDWR | os.O_CREAT, lambda fd: None), '', '', ''),
    'read': (lambda: with_fd('d/f', os.O_RDONLY, lambda fd: os.read(fd, 5)), '', '', ''),
    'create': (lambda: with_fd('d/new', os.O_WRONLY | os.O_CREAT, lambda fd: None), '', 'mc', ''),
    'mkdir': (lambda: os.mkdir('d/new'), '', 'mc', ''), 'symlink': (lambda: os.symlink('a', 'd/new'), '', 'mc', ''),
    'mkfifo': (lambda: os.mkfifo('d/new'), '', 'mc', ''),
    'unlink another': (lambda: os.unlink('d/other'), '', 'mc', ''),
    'rename away': (lambda: os.rename('d/other', 'e/other'), '', 'mc', 'mc'),
    'rename here': (lambda: os.rename('e/x', 'd/x'), '', 'mc', 'mc'),
    'rename inside': (lambda: os.rename('d/other', 'd/name'), '', 'mc', ''),
    'setxattr': (lambda: os.setxattr('d/f', 'user.a', b'1'), 'c', '', ''),
    'removexattr': (lambda: os.removexattr('d/f', 'user.there'), 'c', '', ''),
    'getxattr': (lambda: os.getxattr('d/f', 'user.there'), '', '', ''),
    'fallocate': (lambda: with_fd('d/f', os.O_WRONLY, lambda fd: fallocate(fd, 0, 0, 9000)), 'mc', '', ''),
    'punch hole': (lambda: with_fd('d/f', os.O_WRONLY, lambda fd: fallocate(fd, 3, 0, 4096)), 'mc', '', ''),
    'stat and access': (lambda: (os.stat('d/f'), os.access('d/f', os.R_OK), os.listdir('d')), '', '', ''),
    'utimensat omit': (lambda: utimensat('d/f', OMIT, OMIT), '', '', ''),
    'chmod of the directory': (lambda: os.chmod('d', 0o777), '', 'c', ''),
}
for _name, (_call, _object, _here, _there) in EFFECTS.items():
    @case('times', f'{_name}', f'XSH {_name.split()[0]}, DESCRIPTION: marked for update')
    def effects(call=_call, on_object=_object, here=_here, there=_there):
        directory('d')
        directory('e')
        put('d/f', b'contents')
        put('d/other')
        put('e/x')
        os.setxattr('d/f', 'user.there', b'')
        tick()
        watch = Watch('d/f', 'd', 'e')
        call()
        watch.expect('d/f', on_object)
        watch.expect('d', here)
        watch.expect('e', there)

FAILURES = {
    'chmod': lambda: os.chmod('d/f', 0), 'chown': lambda: os.chown('d/f', BOB, BOB), 'unlink': lambda: os.unlink('d/f'),
    'truncate': lambda: os.truncate('d/f', 0), 'link': lambda: os.link('d/f', 'd/g'), 'mkdir': lambda: os.mkdir('d/g'),
    'rename': lambda: os.rename('d/f', 'd/g'), 'utimensat': lambda: utimensat('d/f', SET, SET),
    'setxattr': lambda: os.setxattr('d/f', 'user.x', b''), 'rmdir': lambda: os.rmdir('d/e'),
    'open': lambda: os.open('d/f', os.O_WRONLY | os.O_TRUNC), 'symlink': lambda: os.symlink('a', 'd/g'),
}
for _name, _call in FAILURES.items():
    @case('times', f'{_name} that is refused changes none', f'XSH {_name}: no update on failure')
    def refused(call=_call):
        directory('d')
        directory('d/e')
        put('d/f', b'x')
        watch = Watch('d', 'd/f', 'd/e')
        with user(ALICE):
            expect((errno.EACCES, errno.EPERM), call)
        for path in ('d', 'd/f', 'd/e'):
            watch.expect(path, '')

for _who, _uid, _mode in (('the owner', ALICE, 0o444), ('root', 0, 0o444), ('who may write', BOB, 0o446),
                          ('who may only read', BOB, 0o444)):
    for _pair in ((None, None), (NOW, NOW), (NOW, OMIT), (OMIT, NOW), (OMIT, OMIT), (SET, SET), (SET, OMIT),
                  (OMIT, SET),
                  (NOW, SET), (SET, NOW)):
        @case('utimensat', f'{WORDS[_pair[0]]}/{WORDS[_pair[1]]} by {_who}',
              'XSH futimens, utimensat, ERRORS [EACCES] [EPERM]')
        def table(who=_who, uid=_uid, mode=_mode, pair=_pair):
            put('f', b'x', mode, ALICE, ALICE)
            os.utime('f', ns=(10**18, 10**18))
            before = times('f')
            tick()
            present = pair in ((None, None), (NOW, NOW))
            if pair == (OMIT, OMIT) or who in ('the owner', 'root'):
                answer = 0
            elif who == 'who may write':
                answer = 0 if present else errno.EPERM
            else:
                answer = errno.EACCES if present else errno.EPERM
            with user(uid):
                expect(answer, utimensat, 'f', *pair)
            after = times('f')
            for index, word in enumerate(pair):
                if answer or word == OMIT:
                    equal(after[index], before[index], 'a time that stays')
                elif word == SET:
                    equal(after[index], SET[0] * 10**9 + SET[1], 'a time that is set')
                else:
                    check(after[index] > before[2], 'the present is not', after[index])
            check((after[2] > before[2]) == (answer == 0 and pair != (OMIT, OMIT)), 'ctime', before, after, answer)

for _seconds, _nanoseconds in ((0, 0), (0, 1), (0, 999999999), (1, 500000001), (-1, 0), (-1, 999999999), (-2**31, 0),
                               (2**31 - 1, 0), (2**31, 1), (2**32, 7), (9 * 10**9, 123456789)):
    @case('utimensat', f'{_seconds} s and {_nanoseconds} ns come back',
          'XSH utimensat, DESCRIPTION; XBD sys/stat.h: st_mtim')
    def exact(seconds=_seconds, nanoseconds=_nanoseconds):
        put('f')
        utimensat('f', (seconds, nanoseconds), (seconds, nanoseconds))
        equal(times('f')[:2], (seconds * 10**9 + nanoseconds,) * 2, 'times')

for _bad in (10**9, -1, 2**31, -2**31, UTIME_NOW - 1, UTIME_OMIT - 1):
    if _bad in (UTIME_NOW, UTIME_OMIT):
        continue

    @case('utimensat', f'{_bad} nanoseconds', 'XSH utimensat, ERRORS [EINVAL]')
    def invalid(bad=_bad):
        put('f')
        before = times('f')
        expect(errno.EINVAL, utimensat, 'f', (1, bad), (1, 0))
        expect(errno.EINVAL, utimensat, 'f', (1, 0), (1, bad))
        equal(times('f'), before, 'times')


@case('utimensat', 'of a symbolic link itself, of a directory, of a descriptor', 'XSH utimensat, AT_SYMLINK_NOFOLLOW')
def objects():
    put('f')
    os.symlink('f', 's')
    directory('d')
    before = times('f')
    utimensat('s', SET, SET, 0x100)
    equal(times('s')[1], SET[0] * 10**9 + SET[1], 'mtime of the link')
    equal(times('f'), before, 'times of the file')
    utimensat('d', SET, SET)
    equal(times('d')[:2], (SET[0] * 10**9 + SET[1],) * 2, 'times of the directory')
    with_fd('f', os.O_RDONLY, lambda fd: utimensat(fd, SET, SET))
    equal(times('f')[:2], (SET[0] * 10**9 + SET[1],) * 2, 'times of the file')


@case('times', 'a read moves atime behind a change (relatime)', 'XBD 4.9 File Times Update; mount(8) relatime')
def access_time():
    put('f', b'x' * 10)
    tick()
    with_fd('f', os.O_WRONLY, lambda fd: os.write(fd, b'y'))
    tick()
    before = times('f')
    with_fd('f', os.O_RDONLY, lambda fd: os.read(fd, 10))
    after = times('f')
    check(after[0] > before[1], 'atime', after[0], 'is not behind mtime', before[1])
    equal(after[1:], before[1:], 'mtime and ctime')
    with_fd('f', os.O_RDONLY | os.O_NOATIME, lambda fd: os.read(fd, 10))
    equal(times('f')[0], after[0], 'atime after O_NOATIME')
    # What is not in the page cache is asked for.
    put('g', b'x' * 100)
    before = times('g')
    tick()
    with_fd('g', os.O_RDONLY | os.O_NOATIME, lambda fd: os.read(fd, 10))
    equal(times('g')[0], before[0], 'atime after O_NOATIME of what was just written')


@case('times', 'a changed mapping moves mtime and ctime', 'XSH mmap, msync: last data modification')
def mapped():
    import mmap
    put('f', b'x' * 8192)
    watch = Watch('f')
    with open('f', 'r+b') as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0:1] = b'y'
        memory.flush()
    watch.expect('f', 'mc')


@case('times', 'futimens of a file without a name', 'XSH futimens')
def nameless():
    put('f')
    fd = os.open('f', os.O_RDWR)
    os.unlink('f')
    utimensat(fd, SET, SET)
    equal(os.fstat(fd).st_mtime_ns, SET[0] * 10**9 + SET[1], 'mtime')
    libc('fchmod', fd, 0o600)
    os.close(fd)
