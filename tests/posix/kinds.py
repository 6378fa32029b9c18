"""Calls on things of every type: what is allowed on which."""
import errno
import os
import stat

from kit import TYPES, case, check, directory, equal, expect, make, outcome, put, remove, renameat2, tick, Watch
from kit import RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT


def shut(fd):
    os.close(fd)
    return True


def opening(flags):
    return lambda path: shut(os.open(path, flags | os.O_NONBLOCK))


# flags, and what opening each type with them answers; absent: success
OPENS = {
    'O_RDONLY': (os.O_RDONLY, {'symlink': errno.ENOENT, 'socket': errno.ENXIO, 'block': None}),
    'O_WRONLY': (os.O_WRONLY, {'symlink': errno.ENOENT, 'socket': errno.ENXIO, 'block': None, 'dir': errno.EISDIR,
                               'fifo': errno.ENXIO}),
    'O_RDWR': (os.O_RDWR, {'symlink': errno.ENOENT, 'socket': errno.ENXIO, 'block': None, 'dir': errno.EISDIR}),
    'O_DIRECTORY': (os.O_RDONLY | os.O_DIRECTORY, {**{kind: errno.ENOTDIR for kind in TYPES if kind != 'dir'},
                                                   'symlink': errno.ENOENT}),
    'O_NOFOLLOW': (os.O_RDONLY | os.O_NOFOLLOW, {'symlink': errno.ELOOP, 'socket': errno.ENXIO, 'block': None}),
    'O_CREAT|O_EXCL': (os.O_CREAT | os.O_EXCL | os.O_RDWR, {kind: errno.EEXIST for kind in TYPES}),
    'O_CREAT': (os.O_CREAT | os.O_WRONLY, {'dir': errno.EISDIR, 'socket': errno.ENXIO, 'block': None,
                                           'fifo': errno.ENXIO}),
    'O_TRUNC': (os.O_WRONLY | os.O_TRUNC, {'symlink': errno.ENOENT, 'dir': errno.EISDIR, 'socket': errno.ENXIO,
                                           'block': None, 'fifo': errno.ENXIO}),
    'O_PATH|O_NOFOLLOW': (os.O_PATH | os.O_NOFOLLOW, {}),
}

for _flags, (_bits, _answers) in OPENS.items():
    for _kind in TYPES:
        if _answers.get(_kind, 0) is None:
            continue

        @case('open', f'{_flags} of a {_kind}', 'XSH open, DESCRIPTION and ERRORS')
        def open_kind(bits=_bits, kind=_kind, answer=_answers.get(_kind, 0)):
            make(kind, 'x')
            expect(answer, opening(bits), 'x')
            os.lstat('x')

for _kind in TYPES:
    @case('unlink', f'of a {_kind}', 'XSH unlink, DESCRIPTION; a directory: unlink(2) EISDIR')
    def unlink_kind(kind=_kind):
        make(kind, 'x')
        watch = Watch('.')
        expect(errno.EISDIR if kind == 'dir' else 0, os.unlink, 'x')
        equal(os.path.lexists('x'), kind == 'dir', 'is there afterwards')
        watch.expect('.', '' if kind == 'dir' else 'mc')

    @case('rmdir', f'of a {_kind}', 'XSH rmdir, ERRORS [ENOTDIR]')
    def rmdir_kind(kind=_kind):
        make(kind, 'x')
        expect(0 if kind == 'dir' else errno.ENOTDIR, os.rmdir, 'x')

    @case('truncate', f'of a {_kind}', 'XSH truncate, ERRORS [EISDIR] [EINVAL]')
    def truncate_kind(kind=_kind):
        make(kind, 'x')
        answers = {'file': 0, 'dir': errno.EISDIR, 'symlink': errno.ENOENT}
        expect(answers.get(kind, errno.EINVAL), os.truncate, 'x', 0)

    @case('readlink', f'of a {_kind}', 'XSH readlink, ERRORS [EINVAL]')
    def readlink_kind(kind=_kind):
        make(kind, 'x')
        expect(0 if kind == 'symlink' else errno.EINVAL, os.readlink, 'x')

    @case('opendir', f'of a {_kind}', 'XSH fdopendir, ERRORS [ENOTDIR]')
    def opendir_kind(kind=_kind):
        make(kind, 'x')
        answers = {'dir': 0, 'symlink': errno.ENOENT}
        expect(answers.get(kind, errno.ENOTDIR), os.listdir, 'x')

    @case('link', f'of a {_kind}', 'XSH link, DESCRIPTION and ERRORS [EPERM]')
    def link_kind(kind=_kind):
        make(kind, 'x')
        nlink = os.lstat('x').st_nlink
        watch = Watch('x', '.')
        expect(errno.EPERM if kind == 'dir' else 0, lambda: os.link('x', 'y', follow_symlinks=False))
        equal(os.lstat('x').st_nlink, nlink + (kind != 'dir'), 'links')
        watch.expect('x', '' if kind == 'dir' else 'c')
        watch.expect('.', '' if kind == 'dir' else 'mc')
        if kind != 'dir':
            check(os.path.samestat(os.lstat('x'), os.lstat('y')), 'not the same inode')
            tick()
            watch = Watch('x')
            os.unlink('y')
            watch.expect('x', 'c')
            equal(os.lstat('x').st_nlink, nlink, 'links after unlink')

    for _there in TYPES:
        @case('create', f'over a {_there}: a {_kind} is refused',
              'XSH mkdir, mkfifo, mknod, symlink, link, ERRORS [EEXIST]')
        def over(kind=_kind, there=_there):
            make(there, 'x')
            before = os.lstat('x')
            expect(errno.EEXIST, lambda: make_new(kind, 'x'))
            equal(os.lstat('x').st_ino, before.st_ino, 'what is there')


def make_new(kind, path):
    if kind == 'file':
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    elif kind == 'dir':
        os.mkdir(path)
    elif kind == 'symlink':
        os.symlink('y', path)
    else:
        kinds = {'fifo': stat.S_IFIFO, 'socket': stat.S_IFSOCK, 'char': stat.S_IFCHR, 'block': stat.S_IFBLK}
        os.mknod(path, kinds[kind] | 0o644, os.makedev(1, 3))


def prepare(old, new):
    """a/x of one kind, b/y of another (none: nothing there; full: a directory with something in it)."""
    directory('a')
    directory('b')
    make(old, 'a/x')
    if new == 'full':
        directory('b/y')
        put('b/y/f')
    elif new != 'none':
        make(new, 'b/y')


def rename_answer(old, new):
    if old == 'dir':
        return 0 if new in ('none', 'dir') else errno.ENOTDIR if new != 'full' else errno.ENOTEMPTY
    return errno.EISDIR if new in ('dir', 'full') else 0


for _old in TYPES:
    for _new in TYPES + ('none', 'full'):
        @case('rename', f'of a {_old} over {_new}', 'XSH rename, DESCRIPTION, ERRORS [EISDIR] [ENOTDIR] [ENOTEMPTY]')
        def rename_kinds(old=_old, new=_new):
            prepare(old, new)
            ino = os.lstat('a/x').st_ino
            watch = Watch('a', 'b', 'a/x')
            answer = rename_answer(old, new)
            expect(answer, os.rename, 'a/x', 'b/y')
            if answer:
                equal(os.lstat('a/x').st_ino, ino, 'the old name')
                watch.expect('a', '')
                watch.expect('b', '')
                return
            equal(os.listdir('a'), [], 'the old directory')
            equal(os.lstat('b/y').st_ino, ino, 'the new name')
            watch.expect('a', 'mc')
            watch.expect('b', 'mc')
            watch.expect('a/x', 'c', now='b/y')
            equal((os.stat('a').st_nlink, os.stat('b').st_nlink), (2, 3 if old == 'dir' else 2),
                  'links of the directories')

        @case('rename', f'RENAME_NOREPLACE of a {_old} over {_new}', 'rename(2), RENAME_NOREPLACE')
        def noreplace(old=_old, new=_new):
            make(old, 'x')
            if new == 'full':
                directory('y')
                put('y/f')
            elif new != 'none':
                make(new, 'y')
            expect(0 if new == 'none' else errno.EEXIST, renameat2, 'x', 'y', RENAME_NOREPLACE)
            equal(os.path.lexists('x'), new != 'none', 'the old name is there')

        @case('rename', f'RENAME_EXCHANGE of a {_old} and {_new}', 'rename(2), RENAME_EXCHANGE')
        def exchange(old=_old, new=_new):
            prepare(old, new)
            if new == 'none':
                expect(errno.ENOENT, renameat2, 'a/x', 'b/y', RENAME_EXCHANGE)
                return
            inos = os.lstat('a/x').st_ino, os.lstat('b/y').st_ino
            watch = Watch('a', 'b', 'a/x', 'b/y')
            expect(0, renameat2, 'a/x', 'b/y', RENAME_EXCHANGE)
            equal((os.lstat('b/y').st_ino, os.lstat('a/x').st_ino), inos, 'inodes')
            links = 3 if new in ('dir', 'full') else 2, 3 if old == 'dir' else 2
            equal((os.stat('a').st_nlink, os.stat('b').st_nlink), links, 'links of the directories')
            for path in ('a', 'b'):
                watch.expect(path, 'mc')
            watch.expect('a/x', 'c', now='b/y')
            watch.expect('b/y', 'c', now='a/x')
            if new == 'full':
                equal(os.listdir('a/x'), ['f'], 'contents')
                equal(os.path.samestat(os.stat('a/x/..'), os.stat('a')), True, '..')


for _kind in TYPES:
    @case('create', f'a {_kind}: owner, times, links, size', 'XSH open, mkdir, mkfifo, mknod, symlink: DESCRIPTION')
    def created(kind=_kind):
        put('reference')
        directory('d')
        tick()
        watch = Watch('d')
        make_new(kind, 'd/x')
        info = os.lstat('d/x')
        watch.expect('d', 'mc')
        equal((info.st_uid, info.st_gid), (0, 0), 'owner')
        equal(info.st_nlink, 2 if kind == 'dir' else 1, 'links')
        equal(os.stat('d').st_nlink, 3 if kind == 'dir' else 2, 'links of the directory')
        check(info.st_mtime_ns == info.st_ctime_ns, 'mtime and ctime differ')
        check(info.st_ctime_ns > os.stat('reference').st_ctime_ns, 'the times are old')
        if kind == 'symlink':
            equal((info.st_size, stat.S_IMODE(info.st_mode)), (1, 0o777), 'size and mode')
        elif kind != 'dir':
            equal(info.st_size, 0, 'size')
        if kind in ('char', 'block'):
            equal(info.st_rdev, os.makedev(1, 3), 'device')
        watch = Watch('d')
        (os.rmdir if kind == 'dir' else os.unlink)('d/x')
        watch.expect('d', 'mc')
        equal(os.stat('d').st_nlink, 2, 'links of the directory afterwards')

    for _mask in (0, 0o22, 0o77, 0o777):
        if _kind == 'symlink':
            continue

        @case('umask', f'{_mask:03o} of a new {_kind}', 'XSH umask; XSH open, mkdir, mkfifo, mknod: mode')
        def masked(kind=_kind, mask=_mask):
            old = os.umask(mask)
            try:
                if kind == 'dir':
                    os.mkdir('x', 0o7777)
                elif kind == 'file':
                    os.close(os.open('x', os.O_CREAT | os.O_WRONLY, 0o7777))
                else:
                    kinds = {'fifo': stat.S_IFIFO, 'socket': stat.S_IFSOCK, 'char': stat.S_IFCHR, 'block': stat.S_IFBLK}
                    os.mknod('x', kinds[kind] | 0o7777, os.makedev(1, 3))
            finally:
                os.umask(old)
            wanted = 0o7777 & ~mask
            if kind == 'dir':
                wanted &= 0o1777  # mkdir(2): only the permissions and the sticky bit
            equal(stat.S_IMODE(os.lstat('x').st_mode), wanted, 'mode')


@case('rename', 'onto another link to the same file: nothing happens', 'XSH rename, DESCRIPTION')
def rename_links():
    put('a')
    os.link('a', 'b')
    watch = Watch('.')
    expect(0, os.rename, 'a', 'b')
    equal(sorted(os.listdir('.')), ['a', 'b'], 'names')
    watch.expect('.', '')
    expect(0, os.rename, 'a', 'a')
    equal(os.stat('a').st_nlink, 2, 'links')


@case('rename', 'into its own subtree', 'XSH rename, ERRORS [EINVAL]')
def rename_below():
    os.makedirs('a/b/c')
    for target in ('a/x', 'a/b/x', 'a/b/c/x'):
        expect(errno.EINVAL, os.rename, 'a', target)
        expect((errno.EINVAL, errno.ENOENT), renameat2, 'a', target, RENAME_EXCHANGE)
    expect(errno.ENOTEMPTY, os.rename, 'a/b/c', 'a')
    expect(errno.EINVAL, renameat2, 'a', 'a/b/c', RENAME_EXCHANGE)
    expect(errno.EINVAL, renameat2, 'a/b/c', 'a', RENAME_EXCHANGE)
    expect(errno.EINVAL, renameat2, 'a', 'x', RENAME_EXCHANGE | RENAME_NOREPLACE)


@case('rename', 'of a directory moves what is below it, and its ..', 'XSH rename, DESCRIPTION')
def rename_tree():
    os.makedirs('a/d/e')
    put('a/d/e/f', b'x')
    directory('b')
    here = os.open('a/d/e', os.O_RDONLY)
    os.rename('a/d', 'b/d')
    equal(open('b/d/e/f', 'rb').read(), b'x', 'contents')
    check(os.path.samestat(os.stat('b/d/..'), os.stat('b')), '.. is not the new directory')
    os.fchdir(here)
    check(os.path.samestat(os.stat('../..'), os.stat('../../../b')), '.. of where a process is')
    os.chdir('../../..')
    os.close(here)


@case('rename', '. and .. as the last component', 'XSH rename, ERRORS [EINVAL] or [EBUSY]')
def rename_dots():
    directory('d')
    for path in ('d/.', 'd/..', '.', '..'):
        expect((errno.EINVAL, errno.EBUSY), os.rename, path, 'x')
        expect((errno.EINVAL, errno.EBUSY), os.rename, 'd', path)


@case('rename', 'a trailing slash', 'XBD 4.13 Pathname Resolution; XSH rename')
def trailing():
    put('f')
    directory('d')
    expect(errno.ENOTDIR, os.rename, 'f/', 'g')
    expect(errno.ENOTDIR, os.rename, 'f', 'g/')
    expect(0, os.rename, 'd/', 'e/')
    expect(errno.ENOTDIR, os.stat, 'f/')
    expect((errno.EISDIR, errno.ENOTDIR), lambda: os.open('new/', os.O_CREAT | os.O_WRONLY))
    expect(0, os.mkdir, 'm/')


@case('rmdir', 'not empty, . and ..', 'XSH rmdir, ERRORS [EEXIST] or [ENOTEMPTY], [EINVAL]')
def rmdir_errors():
    for kind in TYPES:
        directory('d')
        make(kind, 'd/x')
        watch = Watch('.', 'd')
        expect(errno.ENOTEMPTY, os.rmdir, 'd')
        watch.expect('.', '')
        watch.expect('d', '')
        remove('d/x')
        expect(errno.EINVAL, os.rmdir, 'd/.')
        expect(errno.ENOTEMPTY, os.rmdir, 'd/..')
        expect(0, os.rmdir, 'd')


@case('rmdir', 'a directory that a process is in', 'XSH rmdir, DESCRIPTION')
def rmdir_used():
    directory('d')
    here = os.open('.', os.O_RDONLY)
    inside = os.open('d', os.O_RDONLY)
    os.rmdir('d')
    equal(os.fstat(inside).st_nlink, 0, 'links')
    os.fchdir(inside)
    expect(errno.ENOENT, lambda: os.open('f', os.O_CREAT | os.O_WRONLY))
    expect(errno.ENOENT, os.mkdir, 'f')
    equal([name for name in os.listdir(inside)], [], 'names')
    os.fchdir(here)
    os.close(here)
    os.close(inside)


@case('unlink', 'an open file lives on until it is closed', 'XSH unlink, DESCRIPTION')
def unlink_open():
    put('f', b'contents')
    with open('f', 'r+b', buffering=0) as file:
        os.unlink('f')
        equal(os.fstat(file.fileno()).st_nlink, 0, 'links')
        equal(file.read(), b'contents', 'contents')
        file.write(b' and more')
        equal(os.fstat(file.fileno()).st_size, 17, 'size')
        put('f', b'another')
        equal(os.pread(file.fileno(), 100, 0), b'contents and more', 'contents')
        os.fchmod(file.fileno(), 0o600)
        os.ftruncate(file.fileno(), 3)
        equal(os.pread(file.fileno(), 100, 0), b'con', 'after truncation')


@case('rename', 'over an open file: who has it open keeps it', 'XSH rename, DESCRIPTION')
def rename_over_open():
    put('f', b'old')
    put('g', b'new')
    with open('f', 'rb', buffering=0) as file:
        os.rename('g', 'f')
        equal(file.read(), b'old', 'the open file')
        equal(os.fstat(file.fileno()).st_nlink, 0, 'links')
    equal(open('f', 'rb').read(), b'new', 'the name')


@case('symlink', 'the contents come back as they were, up to 4095 bytes',
      'XSH symlink, readlink, ERRORS [ENAMETOOLONG]')
def targets():
    for number, target in enumerate((b'a', b'/', b'..', b'none/x//y', b'\xff\xfe', b'n' * 255, b'a/' * 2047 + b'b')):
        os.symlink(target, f's{number}')
        equal(os.readlink(os.fsencode(f's{number}')), target, 'target')
        equal(os.lstat(f's{number}').st_size, len(target), 'size')
    expect(errno.ENAMETOOLONG, os.symlink, 'a' * 4096, 'long')
    expect(errno.ENOENT, os.symlink, '', 'empty')
    equal(outcome(os.lstat, 'empty')[0], errno.ENOENT, 'a link to nothing')


@case('rename', 'RENAME_WHITEOUT leaves a device 0:0 behind', 'rename(2), RENAME_WHITEOUT')
def whiteout():
    put('x', b'x')
    os.mkdir('d')
    inode = os.stat('x').st_ino
    expect(errno.EINVAL, renameat2, 'x', 'y', RENAME_WHITEOUT | RENAME_EXCHANGE)
    expect(0, renameat2, 'x', 'd/y', RENAME_WHITEOUT | RENAME_NOREPLACE)
    equal(os.stat('d/y').st_ino, inode, 'what was moved')
    left = os.lstat('x')
    equal((left.st_mode, left.st_rdev, left.st_nlink), (stat.S_IFCHR, 0, 1), 'the whiteout')
    expect(errno.EEXIST, renameat2, 'd/y', 'x', RENAME_NOREPLACE)
    expect(0, renameat2, 'd/y', 'x', RENAME_WHITEOUT)
    equal(os.stat('x').st_ino, inode, 'moved back')
    os.unlink('d/y')
    os.rmdir('d')
