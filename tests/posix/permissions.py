"""Who may do what: every class of users against every permission, owners, sticky directories."""
import errno
import os
import stat

from kit import (ALICE, BOB, CAROL, GROUP, MEMBER, OTHER, OWNER, ROOT, SHARED, case, directory, equal, expect, make,
                 mode_of, own, put, remove, renameat2, RENAME_EXCHANGE, user)
from paths import acting

SHIFT = {OWNER: 6, GROUP: 3, MEMBER: 3, OTHER: 0}


def mode_for(who, bits):
    """Exactly these bits for this class; everything for the others, to see that no other class is asked."""
    if who == ROOT:
        return bits << 6 | bits << 3 | bits
    return 0o777 & ~(7 << SHIFT[who]) | bits << SHIFT[who]


def open_as(path, flags):
    os.close(os.open(path, flags))


FILE_CALLS = {
    'O_RDONLY': (lambda: open_as('x', os.O_RDONLY), 4), 'O_WRONLY': (lambda: open_as('x', os.O_WRONLY), 2),
    'O_RDWR': (lambda: open_as('x', os.O_RDWR), 6), 'O_TRUNC': (lambda: open_as('x', os.O_WRONLY | os.O_TRUNC), 2),
    'truncate': (lambda: os.truncate('x', 0), 2), 'getxattr': (lambda: os.getxattr('x', 'user.x'), 4),
    'setxattr': (lambda: os.setxattr('x', 'user.y', b''), 2),
}
DIR_CALLS = {
    'list': (lambda: os.listdir('d'), 4), 'stat in': (lambda: os.stat('d/f'), 1), 'chdir': (lambda: leave('d'), 1),
    'create in': (lambda: open_as('d/g', os.O_CREAT | os.O_WRONLY), 3), 'unlink in': (lambda: os.unlink('d/f'), 3),
    'mkdir in': (lambda: os.mkdir('d/g'), 3), 'symlink in': (lambda: os.symlink('a', 'd/g'), 3),
    'mkfifo in': (lambda: os.mkfifo('d/g'), 3), 'rmdir in': (lambda: os.rmdir('d/e'), 3),
    'rename in': (lambda: os.rename('d/f', 'd/g'), 3), 'rename out of': (lambda: os.rename('d/f', 'g'), 3),
    'rename into': (lambda: os.rename('outside', 'd/g'), 3),
    'exchange with': (lambda: renameat2('outside', 'd/f', RENAME_EXCHANGE), 3),
}


def clear(*paths):
    for path in paths:
        remove(path)


def leave(path):
    here = os.open('.', os.O_RDONLY)
    try:
        os.chdir(path)
    finally:
        os.fchdir(here)
        os.close(here)


for _name, (_call, _needs) in FILE_CALLS.items():
    for _who in (OWNER, GROUP, MEMBER, OTHER, ROOT):
        @case('file permissions', f'{_name} by {_who}', 'XBD 4.5 File Access Permissions; ERRORS [EACCES]')
        def on_file(call=_call, needs=_needs, who=_who):
            for bits in range(8):
                put('x', b'data', mode_for(who, bits), ALICE, SHARED)
                os.setxattr('x', 'user.x', b'')
                with acting(who):
                    expect(0 if who == ROOT or bits & needs == needs else errno.EACCES, call,
                           what=f'{oct(mode_of("x"))}')
                os.unlink('x')

for _name, (_call, _needs) in DIR_CALLS.items():
    for _who in (OWNER, GROUP, MEMBER, OTHER, ROOT):
        @case('directory permissions', f'{_name} by {_who}', 'XBD 4.5 File Access Permissions; ERRORS [EACCES]')
        def on_directory(call=_call, needs=_needs, who=_who):
            os.chmod('.', 0o777)
            for bits in range(8):
                os.mkdir('d')
                put('d/f', mode=0o666)
                os.mkdir('d/e')
                put('outside', mode=0o666)
                own('d', mode_for(who, bits), ALICE, SHARED)
                mode = mode_of('d')
                with acting(who):
                    expect(0 if who == ROOT or bits & needs == needs else errno.EACCES, call, what=oct(mode))
                clear('d', 'outside', 'g')


@case('file permissions', 'execution needs an execute bit, also for root', 'XBD 4.5 File Access Permissions')
def execution():
    for bits in range(8):
        for who in (OWNER, GROUP, MEMBER, OTHER, ROOT):
            put('x', b'#!/bin/true\n', mode_for(who, bits), ALICE, SHARED)
            allowed = bits & 5 == 5 or (who == ROOT and bits & 1)
            with acting(who):
                child = os.fork()
                if child == 0:
                    try:
                        os.setresuid(os.geteuid(), os.geteuid(), os.geteuid())
                        os.execv('./x', ['x'])
                    except OSError as error:
                        os._exit(100 + error.errno)
                _, status = os.waitpid(child, 0)
            # The interpreter must read the script too: /bin/true does not.
            wanted = 0 if allowed or bits & 1 else 100 + errno.EACCES
            equal(os.waitstatus_to_exitcode(status), wanted, f'{who} {oct(mode_for(who, bits))}')
            os.unlink('x')


OTHERS_MODE = 0o644
for _who, _uid, _allowed in (('root', 0, True), ('the owner', ALICE, True), ('somebody else', BOB, False),
                             ('a member of the group', CAROL, False)):
    for _kind in ('file', 'dir', 'fifo', 'socket'):
        @case('chmod', f'of a {_kind} by {_who}', 'XSH chmod, DESCRIPTION, ERRORS [EPERM]')
        def chmod_by(kind=_kind, uid=_uid, allowed=_allowed):
            make(kind, 'x', 0o644, ALICE, SHARED)
            old = mode_of('x')
            for mode in (0, 0o111, 0o777, 0o1777, 0o4755, 0o2755, 0o7777, 0o640):
                with user(uid, uid, [SHARED]):
                    expect(0 if allowed else errno.EPERM, os.chmod, 'x', mode)
                equal(mode_of('x'), mode if allowed else old, 'mode')

for _uid, _groups, _stays in ((0, (), True), (ALICE, (SHARED,), True), (ALICE, (), False)):
    for _kind in ('file', 'dir'):
        @case('chmod', f'setgid of a {_kind} by {"root" if _uid == 0 else "its owner"} '
                       f'{"in" if _stays else "not in"} its group', 'XSH chmod, DESCRIPTION: S_ISGID')
        def chmod_setgid(kind=_kind, uid=_uid, groups=_groups, stays=_stays):
            make(kind, 'x', 0o755, ALICE, SHARED)
            with user(uid, uid, groups):
                expect(0, os.chmod, 'x', 0o2755)
            equal(mode_of('x'), 0o2755 if stays else 0o755, 'mode')
            with user(uid, uid, groups):
                expect(0, os.chmod, 'x', 0o6711)
            equal(mode_of('x'), 0o6711 if stays else 0o4711, 'mode')

# (who, in which groups, new owner, new group) -> allowed; the file is ALICE's and SHARED's
CHOWNS = [
    (0, (), BOB, -1, True), (0, (), -1, BOB, True), (0, (), BOB, CAROL, True), (0, (), -1, -1, True),
    (ALICE, (), BOB, -1, False), (ALICE, (), ALICE, -1, True), (ALICE, (), -1, ALICE, True),
    (ALICE, (), -1, BOB, False),
    (ALICE, (BOB,), -1, BOB, True), (ALICE, (BOB,), ALICE, BOB, True), (ALICE, (BOB,), BOB, BOB, False),
    (ALICE, (), -1, SHARED, True), (ALICE, (), -1, -1, True), (ALICE, (SHARED,), ALICE, SHARED, True),
    (BOB, (), BOB, -1, False), (BOB, (SHARED,), -1, SHARED, False), (BOB, (), -1, BOB, False),
    (BOB, (), ALICE, -1, False),
]
for _row in CHOWNS:
    for _kind in ('file', 'dir', 'symlink', 'fifo'):
        @case('chown', f'of a {_kind}: {_row[0]} in {_row[1]} to {_row[2]}:{_row[3]}',
              'XSH chown, DESCRIPTION (_POSIX_CHOWN_RESTRICTED), ERRORS [EPERM]')
        def chown_by(row=_row, kind=_kind):
            who, groups, uid, gid, allowed = row
            make(kind, 'x', 0o755, ALICE, SHARED)
            before = os.lstat('x')
            with user(who, who, groups):
                expect(0 if allowed else errno.EPERM, os.lchown, 'x', uid, gid)
            after = os.lstat('x')
            wanted = (uid if uid != -1 else ALICE, gid if gid != -1 else SHARED) if allowed else (ALICE, SHARED)
            equal((after.st_uid, after.st_gid), wanted, 'owner')
            equal(after.st_mtime_ns, before.st_mtime_ns, 'mtime')


@case('chown', 'follows a symbolic link, lchown does not', 'XSH chown, lchown, DESCRIPTION')
def chown_link():
    put('f')
    os.symlink('f', 's')
    os.chown('s', ALICE, BOB)
    equal((os.stat('f').st_uid, os.lstat('s').st_uid), (ALICE, 0), 'owners after chown')
    os.lchown('s', CAROL, CAROL)
    equal((os.stat('f').st_uid, os.lstat('s').st_uid), (ALICE, CAROL), 'owners after lchown')
    os.chmod('s', 0o600)
    equal(mode_of('f'), 0o600, 'mode')


# The sticky bit: what somebody may remove from a directory where everybody may write.
for _dir_owner in (0, ALICE, BOB):
    for _owner in (0, ALICE, BOB):
        for _who in (0, ALICE, BOB):
            for _sticky in (False, True):
                @case('sticky',
                      f'{"sticky" if _sticky else "plain"} directory of {_dir_owner}, file of {_owner}, by {_who}',
                      'XBD 4.3 Directory Protection; XSH unlink, rmdir, rename: ERRORS [EPERM] or [EACCES]')
                def sticky(dir_owner=_dir_owner, owner=_owner, who=_who, with_bit=_sticky):
                    os.chmod('.', 0o777)
                    directory('d', 0o1777 if with_bit else 0o777, dir_owner, dir_owner)
                    directory('free', 0o777)
                    allowed = not with_bit or who == 0 or who in (dir_owner, owner)
                    answer = 0 if allowed else errno.EPERM
                    for kind in ('file', 'dir', 'symlink'):
                        # Moving a directory changes its "..": that needs write permission on it.
                        moves = answer or (errno.EACCES if kind == 'dir' and who not in (0, owner) else 0)
                        make(kind, 'd/x', 0o755, owner, owner)
                        with user(who):
                            expect(answer, os.rmdir if kind == 'dir' else os.unlink, 'd/x', what=f'unlink {kind}')
                        remake(kind, owner)
                        with user(who):
                            expect(answer, os.rename, 'd/x', 'd/y', what=f'rename {kind} inside')
                        remake(kind, owner)
                        with user(who):
                            expect(moves, os.rename, 'd/x', 'free/x', what=f'rename {kind} out')
                        remake(kind, owner)
                        with user(who):
                            make_own(kind, 'd/mine')
                            expect(answer, os.rename, 'd/mine', 'd/x', what=f'rename over {kind}')
                        clear('d/mine')
                        remake(kind, owner)
                        with user(who):
                            make_own(kind, 'd/mine')
                            expect(answer, renameat2, 'd/mine', 'd/x', RENAME_EXCHANGE, what=f'exchange {kind}')
                        clear('d/mine', 'd/x', 'd/y', 'free/x')


def make_own(kind, path):
    if kind == 'dir':
        os.mkdir(path)
    elif kind == 'symlink':
        os.symlink('a', path)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def remake(kind, owner):
    clear('d/x', 'd/y', 'free/x')
    make(kind, 'd/x', 0o755, owner, owner)


@case('rename', 'moving a directory needs write permission on it, for ..', 'XSH rename, ERRORS [EACCES]')
def dotdot():
    os.chmod('.', 0o777)
    directory('a', 0o777)
    directory('b', 0o777)
    for mode, answer in ((0o755, errno.EACCES), (0o757, 0)):
        directory('a/d', mode, BOB, BOB)
        with user(ALICE):
            expect(0, os.rename, 'a/d', 'a/e')  # the same parent: nothing in it changes
            expect(answer, os.rename, 'a/e', 'b/d')
        clear('a/d', 'a/e', 'b/d')
    directory('a/d', 0o555, ALICE, ALICE)
    with user(ALICE):
        expect(errno.EACCES, os.rename, 'a/d', 'b/d')


@case('mknod', 'devices are for root', 'XSH mknod, ERRORS [EPERM]')
def devices():
    os.chmod('.', 0o777)
    with user(ALICE):
        expect(errno.EPERM, os.mknod, 'c', stat.S_IFCHR | 0o666, os.makedev(1, 3))
        expect(errno.EPERM, os.mknod, 'b', stat.S_IFBLK | 0o666, os.makedev(1, 3))
        for kind in (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG):
            expect(0, os.mknod, f'n{kind}', kind | 0o644)
            equal(os.lstat(f'n{kind}').st_uid, ALICE, 'owner')


@case('link', 'needs write permission on the directory, and follows protected_hardlinks', 'XSH link, ERRORS [EACCES]')
def linking():
    directory('d', 0o755)
    put('f', mode=0o666, uid=ALICE, gid=ALICE)
    with user(ALICE):
        expect(errno.EACCES, os.link, 'f', 'd/f')
    os.chmod('d', 0o777)
    with user(ALICE):
        expect(0, os.link, 'f', 'd/f')
