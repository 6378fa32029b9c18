"""set-user-ID, set-group-ID and file capabilities: inherited, kept, cleared."""
import errno
import mmap
import os
import stat

from kit import (ALICE, BOB, KEEP_SIZE, PUNCH_HOLE, SHARED, ZERO_RANGE, case, directory, equal, expect, fallocate,
                 mode_of,
                 outcome, own, put, user)

CAPABILITY = bytes.fromhex('0100000200040000000000000000000000000000')


def aligned():
    memory = mmap.mmap(-1, 4096)
    memory.write(b'x' * 4096)
    return memory


def direct(_):
    fd = os.open('f', os.O_WRONLY | os.O_DIRECT)
    try:
        os.writev(fd, [aligned()])
    finally:
        os.close(fd)


def copied(fd):
    source = os.open('source', os.O_RDONLY)
    try:
        os.copy_file_range(source, fd, 100, 0, 0)
    finally:
        os.close(source)


CHANGES = {
    'write': lambda fd: os.write(fd, b'y'), 'pwrite behind the end': lambda fd: os.pwrite(fd, b'y', 9999),
    'pwritev': lambda fd: os.pwritev(fd, [b'a', b'b'], 5), 'O_DIRECT write': direct,
    'ftruncate shorter': lambda fd: os.ftruncate(fd, 3), 'ftruncate longer': lambda fd: os.ftruncate(fd, 30000),
    'truncate': lambda fd: os.truncate('f', 7),
    'open O_TRUNC': lambda fd: os.close(os.open('f', os.O_WRONLY | os.O_TRUNC)),
    'fallocate': lambda fd: fallocate(fd, 0, 0, 20000),
    'fallocate KEEP_SIZE': lambda fd: fallocate(fd, KEEP_SIZE, 0, 20000),
    'punch hole': lambda fd: fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, 4096),
    'zero range': lambda fd: fallocate(fd, ZERO_RANGE, 0, 4096), 'copy_file_range': copied,
}
OWNERSHIP = {
    'chown to the same owner': lambda fd: os.fchown(fd, ALICE, -1),
    'chown of nothing': lambda fd: os.chown('f', -1, -1),
    'chgrp': lambda fd: os.chown('f', -1, SHARED), 'fchown of both': lambda fd: os.fchown(fd, ALICE, SHARED),
}
MODES = (0o6755, 0o4755, 0o2755, 0o4644, 0o2745, 0o6644, 0o1755, 0o755)


def left(mode, in_group, privileged):
    """What is left of a mode after contents or owner changed (privileged: with CAP_FSETID)."""
    if privileged:
        return mode
    mode &= ~stat.S_ISUID
    if mode & stat.S_IXGRP or not in_group:
        mode &= ~stat.S_ISGID
    return mode


def change_as(who, groups, change):
    with user(who, who, groups):
        fd = os.open('f', os.O_RDWR)
        try:
            expect(0, change, fd)
        finally:
            os.close(fd)


for _name, _change in {**CHANGES, **OWNERSHIP}.items():
    for _who, _groups in ((0, ()), (ALICE, (SHARED,)), (ALICE, ())):
        if _name == 'chgrp' and not _groups and _who:
            continue

        @case('setid', f'{_name} by {"root" if _who == 0 else "the owner"} {"in" if _groups else "not in"} the group',
              'XSH write, truncate, chown: S_ISUID and S_ISGID; capabilities(7)')
        def changes(change=_change, who=_who, groups=_groups, owner=_name in OWNERSHIP):
            put('source', b's' * 1000)
            put('f', b'x' * 8192, 0o666, ALICE, SHARED)
            for mode in MODES:
                own('f', mode | 0o222, ALICE, SHARED)
                wanted = left(mode | 0o222, bool(groups) or who == 0, who == 0 and not owner)
                change_as(who, groups, change)
                equal(oct(mode_of('f')), oct(wanted), f'mode that was {oct(mode | 0o222)}')

        @case('setid', f'file capabilities: {_name} by {"root" if _who == 0 else "the owner"} '
                       f'{"in" if _groups else "not in"} the group', 'capabilities(7), File capabilities')
        def capabilities(change=_change, who=_who, groups=_groups):
            put('source', b's' * 1000)
            put('f', b'x' * 8192, 0o666, ALICE, SHARED)
            os.setxattr('f', 'security.capability', CAPABILITY)
            change_as(who, groups, change)
            equal(outcome(os.getxattr, 'f', 'security.capability')[0], errno.ENODATA, 'the capability')

for _name, _touch in {'chmod': lambda: os.chmod('f', 0o6755), 'utimensat': lambda: os.utime('f'),
                      'setxattr': lambda: os.setxattr('f', 'user.x', b'1'), 'rename': lambda: os.rename('f', 'f'),
                      'link': lambda: (os.link('f', 'g'), os.unlink('g'))}.items():
    @case('setid', f'{_name} leaves the bits and capabilities', 'XSH chmod, utimensat, link')
    def stays(touch=_touch):
        os.chmod('.', 0o777)
        put('f', b'x', 0o6755, ALICE, SHARED)
        os.setxattr('f', 'security.capability', CAPABILITY)
        with user(ALICE, ALICE, [SHARED]):
            touch()
        equal(oct(mode_of('f')), oct(0o6755), 'mode')
        equal(os.getxattr('f', 'security.capability'), CAPABILITY, 'capability')


@case('setid', "chown of nothing by a stranger: to clear bits is the owner's", 'XSH chown, ERRORS: EPERM')
def chown_of_nothing_by_a_stranger():
    os.chmod('.', 0o777)
    for mode, result in ((0o4755, errno.EPERM), (0o2755, errno.EPERM), (0o6777, errno.EPERM), (0o755, 0), (0o1777, 0)):
        put('f', b'x', mode, ALICE, SHARED)
        with user(BOB, BOB, [SHARED]):
            expect(result, os.chown, 'f', -1, -1)
            expect(result, os.lchown, 'f', -1, -1)
        equal(oct(mode_of('f')), oct(mode), 'mode')
        os.unlink('f')


@case('setid', 'chown leaves the bits of a directory', 'XSH chown, DESCRIPTION')
def chown_directory():
    directory('d', 0o7755, ALICE, SHARED)
    for who in (0, ALICE):
        with user(who, who, [SHARED]):
            os.chown('d', -1, SHARED)
        equal(oct(mode_of('d')), oct(0o7755), 'mode')


@case('setid', 'of an executing program', 'XSH exec, DESCRIPTION: set-user-ID')
def executes():
    with open('/usr/bin/id', 'rb') as source:
        put('id', source.read(), 0o4755, BOB, BOB)
    read, write = os.pipe()
    with user(ALICE):
        child = os.fork()
        if child == 0:
            os.setresuid(ALICE, ALICE, ALICE)
            os.dup2(write, 1)
            os.execv('./id', ['id', '-u'])
        os.waitpid(child, 0)
    os.close(write)
    got = os.read(read, 100)
    os.close(read)
    equal(got, b'%d\n' % BOB, 'the effective user')


for _kind in ('file', 'dir', 'fifo', 'symlink'):
    for _setgid in (False, True):
        for _groups in ((), (SHARED,)):
            @case('setgid directory', f'{"set" if _setgid else "not set"}: a {_kind} made '
                                      f'{"in" if _groups else "not in"} its group', 'XSH open, mkdir, mkfifo: group ID')
            def inherits(kind=_kind, setgid=_setgid, groups=_groups):
                directory('d', 0o2777 if setgid else 0o777, BOB, SHARED)
                with user(ALICE, ALICE, groups, umask=0):
                    if kind == 'file':
                        os.close(os.open('d/x', os.O_CREAT | os.O_WRONLY, 0o2775))
                        os.close(os.open('d/y', os.O_CREAT | os.O_WRONLY, 0o2664))
                    elif kind == 'dir':
                        os.mkdir('d/x', 0o775)
                    elif kind == 'fifo':
                        os.mkfifo('d/x', 0o664)
                    else:
                        os.symlink('a', 'd/x')
                info = os.lstat('d/x')
                equal((info.st_uid, info.st_gid), (ALICE, SHARED if setgid else ALICE), 'owner')
                if kind == 'dir':
                    equal(oct(mode_of('d/x')), oct(0o2775 if setgid else 0o775), 'mode')
                if kind == 'file':
                    stays = not setgid or groups
                    equal(oct(mode_of('d/x')), oct(0o2775 if stays else 0o775), 'mode with group execute')
                    equal(oct(mode_of('d/y')), oct(0o2664), 'mode without group execute')
