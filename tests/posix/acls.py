"""POSIX access control lists: enforced, inherited, kept in step with the mode."""
import errno
import os
import stat

from kit import (ACCESS, ALICE, BOB, CAROL, DEFAULT, SHARED, Watch, acl, acl_entries, case, check, directory, equal,
                 expect,
                 mode_of, outcome, own, put, supported, user)

BASIC = (('u', 6), ('g', 4), ('o', 0))


def set_acl(path, *entries, name=ACCESS):
    supported(os.setxattr, path, name, acl(*entries))


def get_acl(path, name=ACCESS):
    number, value = outcome(os.getxattr, path, name)
    equal(number in (0, errno.ENODATA), True, 'getxattr')
    return acl_entries(value) if number == 0 else None


def readable(uid, gid, groups=(), bits=os.R_OK):
    flags = {os.R_OK: os.O_RDONLY, os.W_OK: os.O_WRONLY, os.R_OK | os.W_OK: os.O_RDWR}[bits]
    with user(uid, gid, groups):
        number, fd = outcome(os.open, 'f', flags)
    if number == 0:
        os.close(fd)
    check(number in (0, errno.EACCES), 'open:', number)
    return number == 0


# (entries, who: uid, gid, groups, may read, may write); the file is ALICE's and SHARED's
ENFORCED = {
    'named user': ((*BASIC, ('U', 6, BOB), ('m', 7)), BOB, BOB, (), True, True),
    'named user, masked': ((*BASIC, ('U', 6, BOB), ('m', 4)), BOB, BOB, (), True, False),
    'named user, denied': ((('u', 6), ('g', 7), ('o', 7), ('U', 0, BOB), ('m', 7)), BOB, SHARED, (), False, False),
    'named group': ((*BASIC, ('G', 6, CAROL), ('m', 7)), BOB, CAROL, (), True, True),
    'named group by membership': ((*BASIC, ('G', 6, CAROL), ('m', 7)), BOB, BOB, (CAROL,), True, True),
    'named group, masked': ((*BASIC, ('G', 6, CAROL), ('m', 2)), BOB, CAROL, (), False, True),
    'a group that denies, no fall through to other': ((('u', 6), ('g', 0), ('o', 7), ('m', 7)), BOB, SHARED, (),
                                                      False, False),
    'one of two groups grants': ((('u', 6), ('g', 0), ('o', 0), ('G', 6, CAROL), ('m', 7)), BOB, SHARED, (CAROL,),
                                 True, True),
    'owner is not masked': ((('u', 6), ('g', 0), ('o', 0), ('m', 0)), ALICE, ALICE, (), True, True),
    'other is not masked': ((('u', 6), ('g', 0), ('o', 6), ('U', 0, CAROL), ('m', 0)), BOB, BOB, (), True, True),
    'group masked': ((('u', 6), ('g', 6), ('o', 0), ('m', 4)), BOB, SHARED, (), True, False),
    'root': ((('u', 0), ('g', 0), ('o', 0), ('U', 0, BOB), ('m', 0)), 0, 0, (), True, True),
}
for _name, _row in ENFORCED.items():
    @case('acl', f'checked: {_name}', 'POSIX 1003.1e draft 17, 23.1.5 ACL Access Check Algorithm; acl(5)')
    def enforced(row=_row):
        entries, uid, gid, groups, read, write = row
        put('f', b'x', 0o600, ALICE, SHARED)
        set_acl('f', *entries)
        equal(readable(uid, gid, groups), read, 'may read')
        equal(readable(uid, gid, groups, os.W_OK), write, 'may write')

# entries -> mode
MODES = {
    'basic only': (BASIC, 0o640, False), 'with a mask': ((*BASIC, ('m', 6)), 0o660, True),
    'named user': ((('u', 7), ('g', 1), ('o', 2), ('U', 7, BOB), ('m', 5)), 0o752, True),
    'mask of nothing': ((('u', 7), ('g', 7), ('o', 7), ('U', 7, BOB), ('m', 0)), 0o707, True),
}
for _name, _row in MODES.items():
    for _kind in ('file', 'dir'):
        @case('acl', f'the mode of a {_kind} follows: {_name}',
              'acl(5), CORRESPONDENCE BETWEEN ACL ENTRIES AND FILE PERMISSION BITS')
        def follows(row=_row, kind=_kind):
            entries, mode, kept = row
            (put if kind == 'file' else directory)('f', mode=0o777)
            watch = Watch('f')
            set_acl('f', *entries)
            equal(oct(mode_of('f')), oct(mode), 'mode')
            watch.expect('f', 'c')
            equal(get_acl('f') is not None, kept, 'an ACL is kept')
            if kept:
                equal(get_acl('f'), acl_entries(acl(*entries)), 'the ACL')

for _mode in (0o000, 0o700, 0o750, 0o717, 0o776, 0o777, 0o4755):
    @case('acl', f'chmod {oct(_mode)} changes owner, mask and other', 'acl(5); chmod(2)')
    def chmod(mode=_mode):
        put('f', mode=0o640, uid=ALICE, gid=SHARED)
        set_acl('f', *BASIC, ('U', 7, BOB), ('G', 5, CAROL), ('m', 7))
        os.chmod('f', mode)
        equal(get_acl('f'), {('u', None): mode >> 6 & 7, ('U', BOB): 7, ('g', None): 4, ('G', CAROL): 5,
                             ('m', None): mode >> 3 & 7, ('o', None): mode & 7}, 'the ACL')
        equal(oct(mode_of('f')), oct(mode), 'mode')

WRONG = {
    'no owner': acl(('g', 4), ('o', 4)), 'no group': acl(('u', 4), ('o', 4)), 'no other': acl(('u', 4), ('g', 4)),
    'named user without mask': acl(*BASIC, ('U', 4, BOB)), 'two masks': acl(*BASIC, ('m', 4), ('m', 5)),
    'two owners': acl(*BASIC, ('u', 4)), 'permissions above 7': acl(('u', 8), ('g', 4), ('o', 4)),
    'cut off': acl(*BASIC)[:-3], 'another version': b'\x03' + acl(*BASIC)[1:],
    'an unknown tag': acl(*BASIC) + b'\x40\0\0\0\xff\xff\xff\xff',
}
for _name, _value in WRONG.items():
    @case('acl', f'not a list: {_name}', 'acl(5), VALID ACLs; setxattr(2)')
    def wrong(value=_value):
        put('f', mode=0o640)
        directory('d')
        supported(os.setxattr, 'f', ACCESS, acl(*BASIC))
        answer = (errno.EINVAL, errno.EOPNOTSUPP)
        expect(answer, os.setxattr, 'f', ACCESS, value)
        expect(answer, os.setxattr, 'd', DEFAULT, value)
        equal(oct(mode_of('f')), oct(0o640), 'mode')

FULL = (('u', 7), ('g', 5), ('o', 1), ('U', 7, BOB), ('m', 7))
for _mode in (0o777, 0o666, 0o640, 0o600, 0o000):
    for _mask in (0, 0o77):
        for _kind in ('file', 'dir', 'fifo'):
            @case('acl', f'a default one: a {_kind} made with {oct(_mode)}, umask {oct(_mask)}',
                  'acl(5), OBJECT CREATION AND DEFAULT ACLs')
            def inherited(mode=_mode, mask=_mask, kind=_kind):
                directory('d', 0o777)
                set_acl('d', *FULL, name=DEFAULT)
                with user(ALICE, umask=mask):
                    if kind == 'file':
                        os.close(os.open('d/x', os.O_CREAT | os.O_WRONLY, mode))
                    elif kind == 'dir':
                        os.mkdir('d/x', mode)
                    else:
                        os.mkfifo('d/x', mode)
                wanted = {('u', None): 7 & mode >> 6, ('U', BOB): 7, ('g', None): 5, ('m', None): 7 & mode >> 3,
                          ('o', None): 1 & mode}
                equal(get_acl('d/x'), wanted, 'the ACL')
                equal(oct(mode_of('d/x')), oct((7 & mode >> 6) << 6 | (7 & mode >> 3) << 3 | 1 & mode), 'mode')
                equal(get_acl('d/x', DEFAULT) if kind == 'dir' else None, acl_entries(acl(*FULL))
                      if kind == 'dir' else None, 'default')


@case('acl', 'a minimal default one: no ACL, only the mode is narrowed', 'acl(5), OBJECT CREATION AND DEFAULT ACLs')
def minimal_default():
    directory('d')
    set_acl('d', ('u', 7), ('g', 5), ('o', 0), name=DEFAULT)
    with user(0, umask=0o077):
        os.close(os.open('d/f', os.O_CREAT | os.O_WRONLY, 0o666))
        os.mkdir('d/e', 0o777)
    equal((oct(mode_of('d/f')), oct(mode_of('d/e'))), (oct(0o640), oct(0o750)), 'modes')
    equal((get_acl('d/f'), get_acl('d/e')), (None, None), 'ACLs')
    equal(get_acl('d/e', DEFAULT), acl_entries(acl(('u', 7), ('g', 5), ('o', 0))), 'default of the new directory')


@case('acl', 'a default one is for directories only, and changes nothing of the directory itself', 'acl(5)')
def default_only():
    put('f')
    directory('d', 0o711)
    supported(os.setxattr, 'f', ACCESS, acl(*BASIC))
    expect(errno.EACCES, os.setxattr, 'f', DEFAULT, acl(*BASIC))
    set_acl('d', *FULL, name=DEFAULT)
    equal((oct(mode_of('d')), get_acl('d')), (oct(0o711), None), 'the directory')
    os.symlink('f', 'd/s')
    expect((errno.EOPNOTSUPP, errno.ENODATA), lambda: os.getxattr('d/s', ACCESS, follow_symlinks=False))


@case('acl', 'removing', 'acl(5); removexattr(2)')
def removing():
    directory('d', 0o750)
    set_acl('d', *FULL)
    set_acl('d', *FULL, name=DEFAULT)
    for name in (ACCESS, DEFAULT):
        expect(0, os.removexattr, 'd', name)
        equal(get_acl('d', name), None, name)
        expect((0, errno.ENODATA), os.removexattr, 'd', name)
    check(not [name for name in os.listxattr('d') if 'acl' in name], 'it is still listed')
    os.close(os.open('d/f', os.O_CREAT | os.O_WRONLY, 0o666))
    equal(oct(mode_of('d/f')), oct(0o644), 'mode of a new file')


@case('acl', 'is set by the owner and root only', 'acl(5); setxattr(2), ERRORS EPERM')
def who_sets():
    put('f', mode=0o666, uid=ALICE, gid=SHARED)
    supported(os.setxattr, 'f', ACCESS, acl(*BASIC))
    with user(BOB, SHARED):
        expect(errno.EPERM, os.setxattr, 'f', ACCESS, acl(*BASIC, ('m', 7)))
        expect(errno.EPERM, os.removexattr, 'f', ACCESS)
    with user(ALICE):
        expect(0, os.setxattr, 'f', ACCESS, acl(*BASIC, ('m', 6)))
    with user(BOB, SHARED):
        expect(0, os.getxattr, 'f', ACCESS)  # reading needs nothing but to reach it

for _who, _groups, _stays in ((0, (), True), (ALICE, (SHARED,), True), (ALICE, (), False)):
    for _kind in ('file', 'dir'):
        @case('acl', f'set on a setgid {_kind} by {_who} {"in" if _stays else "not in"} the group',
              'acl(5); posix_acl_update_mode: S_ISGID')
        def clears(who=_who, groups=_groups, stays=_stays, kind=_kind):
            (put if kind == 'file' else directory)('f', mode=0o755)
            own('f', 0o2755, ALICE, SHARED)
            with user(who, who, groups):
                set_acl('f', ('u', 7), ('g', 5), ('o', 5), ('U', 7, BOB), ('m', 5))
            equal(oct(mode_of('f')), oct(0o2755 if stays else 0o755), 'mode')


@case('acl', 'goes along with rename and link, not with a copy of the name', 'acl(5)')
def moved():
    put('f', b'x', 0o640)
    set_acl('f', *BASIC, ('U', 4, BOB), ('m', 4))
    os.rename('f', 'g')
    os.link('g', 'h')
    equal(get_acl('h'), acl_entries(acl(*BASIC, ('U', 4, BOB), ('m', 4))), 'the ACL')
    put('f', mode=0o640)
    equal(get_acl('f'), None, 'of a new file')
    check(stat.S_IMODE(os.stat('f').st_mode) == 0o640, 'mode')
