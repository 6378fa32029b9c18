"""Extended attributes."""
import errno
import os

from kit import (ALICE, BOB, TYPES, Watch, case, check, directory, encoded, equal, expect, libc, make, outcome, put,
                 supported,
                 user)

CREATE, REPLACE = os.XATTR_CREATE, os.XATTR_REPLACE

for _space in ('user', 'trusted', 'security'):
    for _value in (b'', b'v', b'\0\xff\0', b'x' * 100, b'y' * 3000):
        @case('xattr', f'{_space}: {len(_value)} bytes come back', 'xattr(7); setxattr(2), getxattr(2)')
        def comes_back(space=_space, value=_value):
            put('f')
            for path in ('f', directory('d')):
                supported(os.setxattr, path, f'{space}.name', value)
                equal(os.getxattr(path, f'{space}.name'), value, 'value')
                check(f'{space}.name' in os.listxattr(path), 'it is not listed')
                os.removexattr(path, f'{space}.name')
                expect(errno.ENODATA, os.getxattr, path, f'{space}.name')
                check(f'{space}.name' not in os.listxattr(path), 'it is still listed')


@case('xattr', 'values of 64 KiB and not more', 'xattr(7), XATTR_SIZE_MAX; setxattr(2) E2BIG')
def large():
    put('f')
    expect(errno.E2BIG, os.setxattr, 'f', 'user.a', b'x' * 65537)
    number, _ = outcome(os.setxattr, 'f', 'user.a', os.urandom(65536))
    if number in (errno.ENOSPC, errno.E2BIG):  # ext4 keeps less
        return
    equal(number, 0, 'setxattr')
    value = os.urandom(65536)
    os.setxattr('f', 'user.b', value)
    equal(os.getxattr('f', 'user.b'), value, 'value')
    os.setxattr('f', 'user.b', value[:10])
    equal(os.getxattr('f', 'user.b'), value[:10], 'value')


@case('xattr', '64 KiB on the file system under test', 'xattr(7), XATTR_SIZE_MAX')
def really_large():
    import kit
    put('f')
    if kit.MOUNT is None:
        return
    value = os.urandom(65536)
    expect(0, os.setxattr, 'f', 'user.b', value)
    equal(os.getxattr('f', 'user.b'), value, 'value')


@case('xattr', 'XATTR_CREATE and XATTR_REPLACE', 'setxattr(2), ERRORS EEXIST, ENODATA')
def flags():
    put('f')
    expect(errno.ENODATA, os.setxattr, 'f', 'user.a', b'1', REPLACE)
    expect(0, os.setxattr, 'f', 'user.a', b'2', CREATE)
    expect(errno.EEXIST, os.setxattr, 'f', 'user.a', b'3', CREATE)
    equal(os.getxattr('f', 'user.a'), b'2', 'value')
    expect(0, os.setxattr, 'f', 'user.a', b'4', REPLACE)
    equal(os.getxattr('f', 'user.a'), b'4', 'value')
    expect((errno.EINVAL, errno.EEXIST), os.setxattr, 'f', 'user.a', b'5', CREATE | REPLACE)
    expect(errno.EINVAL, os.setxattr, 'f', 'user.a', b'5', 8)


@case('xattr', 'names: 255 bytes, not more, not none', 'xattr(7); setxattr(2), ERRORS ERANGE, EOPNOTSUPP')
def names():
    put('f')
    longest = 'user.' + 'n' * 250
    expect(0, os.setxattr, 'f', longest, b'x')
    equal(os.listxattr('f'), [longest], 'names')
    expect(errno.ERANGE, os.setxattr, 'f', longest + 'n', b'x')
    expect(errno.ERANGE, os.setxattr, 'f', '', b'x')
    for name in ('nospace', 'other.name', 'User.name', 'system.other'):
        expect(errno.EOPNOTSUPP, os.setxattr, 'f', name, b'x')
        expect((errno.EOPNOTSUPP, errno.ENODATA), os.getxattr, 'f', name)
    expect(errno.EINVAL, os.setxattr, 'f', 'user.', b'x')
    expect(0, os.setxattr, 'f', 'user.\u00e4 b=c', b'x')


@case('xattr', 'buffers that are too small, and asking for the size', 'getxattr(2), listxattr(2), ERRORS ERANGE')
def sizes():
    import ctypes
    put('f')
    os.setxattr('f', 'user.a', b'12345')
    buffer = ctypes.create_string_buffer(100)
    for function, words, size in (('getxattr', (encoded('f'), encoded('user.a')), 5),
                                  ('listxattr', (encoded('f'),), 7)):
        equal(libc(function, *words, None, 0), size, 'size')
        expect(errno.ERANGE, libc, function, *words, buffer, size - 1)
        equal(libc(function, *words, buffer, size), size, 'exactly enough')
        equal(libc(function, *words, buffer, 100), size, 'more than enough')

for _kind in TYPES:
    @case('xattr', f'which kinds of a {_kind}', 'xattr(7), Extended user attributes')
    def kinds(kind=_kind):
        make(kind, 'x')
        answer = 0 if kind in ('file', 'dir') else errno.EPERM
        expect(answer, lambda: os.setxattr('x', 'user.a', b'1', follow_symlinks=False))
        expect(0, lambda: os.setxattr('x', 'trusted.a', b'1', follow_symlinks=False))
        equal(os.getxattr('x', 'trusted.a', follow_symlinks=False), b'1', 'value')
        equal('trusted.a' in os.listxattr('x', follow_symlinks=False), True, 'listed')


@case('xattr', 'user: by the permissions of the file; in a sticky directory only by its owner',
      'xattr(7), Extended user attributes')
def permissions():
    put('f', mode=0o644, uid=ALICE)
    os.setxattr('f', 'user.a', b'1')
    with user(BOB):
        expect(0, os.getxattr, 'f', 'user.a')
        expect(errno.EACCES, os.setxattr, 'f', 'user.a', b'2')
        expect(errno.EACCES, os.removexattr, 'f', 'user.a')
    os.chmod('f', 0o622)
    with user(BOB):
        expect(errno.EACCES, os.getxattr, 'f', 'user.a')
        expect(0, os.setxattr, 'f', 'user.a', b'2')
    directory('d', 0o1777, ALICE, ALICE)
    with user(BOB):
        expect(errno.EPERM, os.setxattr, 'd', 'user.a', b'1')
    with user(ALICE):
        expect(0, os.setxattr, 'd', 'user.a', b'1')


@case('xattr', 'trusted: for administrators, others do not even see the names', 'xattr(7), Trusted extended attributes')
def trusted():
    put('f', mode=0o666, uid=ALICE)
    os.setxattr('f', 'trusted.a', b'1')
    os.setxattr('f', 'user.a', b'1')
    equal(sorted(os.listxattr('f')), ['trusted.a', 'user.a'], 'names for root')
    with user(ALICE):
        equal(os.listxattr('f'), ['user.a'], 'names for the owner')
        expect(errno.ENODATA, os.getxattr, 'f', 'trusted.a')
        expect(errno.EPERM, os.setxattr, 'f', 'trusted.a', b'2')
        expect(errno.EPERM, os.removexattr, 'f', 'trusted.a')
        expect(errno.EPERM, os.setxattr, 'f', 'security.a', b'2')


@case('xattr', 'many of them; ctime moves with each change', 'xattr(7)')
def many():
    put('f')
    for number in range(50):
        os.setxattr('f', f'user.n{number}', b'%d' % number)
    equal(sorted(os.listxattr('f')), sorted(f'user.n{number}' for number in range(50)), 'names')
    for number in range(0, 50, 2):
        os.removexattr('f', f'user.n{number}')
    equal(len(os.listxattr('f')), 25, 'how many are left')
    for number in range(1, 50, 2):
        equal(os.getxattr('f', f'user.n{number}'), b'%d' % number, 'value')
    watch = Watch('f')
    os.setxattr('f', 'user.n1', b'new')
    watch.expect('f', 'c')
    watch = Watch('f')
    expect(errno.ENODATA, os.removexattr, 'f', 'user.none')
    watch.expect('f', '')


@case('xattr', 'on open files, also without a name', 'fsetxattr(2)')
def on_descriptors():
    put('f')
    fd = os.open('f', os.O_RDWR)
    os.unlink('f')
    os.setxattr(fd, 'user.a', b'1')
    equal((os.getxattr(fd, 'user.a'), os.listxattr(fd)), (b'1', ['user.a']), 'value and names')
    os.close(fd)
