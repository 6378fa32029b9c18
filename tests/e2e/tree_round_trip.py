"""A source tree unpacked into a mount is the same tree after a new mount and in a copy."""
import glob
import os
import subprocess

from harness import FULL, Suite, check, equal, need, sized

suite = Suite('tree_round_trip')
FILES = sized(3000, 20000)
tree = {}


def unpack_kernel(into):
    """A part of Debian's linux-source package, if it is installed."""
    archives = sorted(glob.glob('/usr/src/linux-source-*.tar.*'))
    if not archives:
        return None
    top = os.path.basename(archives[-1]).split('.tar')[0]
    parts = [f'{top}/{part}' for part in ('Documentation', 'arch/x86', 'arch/arm', 'arch/arm64', 'fs', 'include',
                                          'kernel', 'lib', 'mm', 'net', 'tools')]
    subprocess.run(['tar', '-xf', archives[-1], '-C', into, *parts], check=True)
    return f'{os.path.basename(archives[-1])}, in part'


def copy_system_files(into):
    count = 0
    for root in ('/usr/include', '/usr/share/doc', '/usr/share/perl', '/usr/lib/python3', '/usr/share/zoneinfo'):
        for directory, names, files in os.walk(root):
            names.sort()
            target = into + directory
            os.makedirs(target, exist_ok=True)
            files = [name for name in sorted(files) if os.path.lexists(os.path.join(directory, name))]
            if files:
                paths = [os.path.join(directory, name) for name in files]
                subprocess.run(['cp', '-a', '--', *paths, target], check=True)
            count += len(files)
            if count >= FILES:
                return f'{root} and before'
    return 'files of /usr'


def add_specials(top):
    """What a plain source tree has not: links, modes, times, attributes, odd names."""
    def put(name, data=b'', mode=0o644):
        path = os.path.join(os.fsencode(top), name if isinstance(name, bytes) else name.encode())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(data)
        os.chmod(path, mode)
        return path

    one = put('links/one', b'shared\n' * 1000)
    for number in range(5):
        os.link(one, os.path.join(os.fsencode(top), b'links/again%d' % number))
    os.makedirs(os.path.join(top, 'other'))
    os.link(one, os.path.join(os.fsencode(top), b'other/far'))
    for name, target in (('dangling', 'nowhere/at/all'), ('absolute', '/etc/hostname'), ('up', '../links/one'),
                         ('long', 'x' * 1000), ('directory', '../other')):
        os.symlink(target, os.path.join(top, 'links', name))
    for mode in (0o000, 0o400, 0o555, 0o666, 0o4755, 0o2755, 0o1777):
        put(f'modes/{mode:04o}', b'm', mode)
    for mode in (0o700, 0o1777, 0o2775):
        os.makedirs(os.path.join(top, f'modes/d{mode:04o}'))
        os.chmod(os.path.join(top, f'modes/d{mode:04o}'), mode)
    for name in (b'names/ leading and trailing ', b'names/new\nline', b'names/latin-\xe9\xff', b'names/' + b'n' * 255,
                 'names/\u65e5\u672c\u8a9e'.encode(), b"names/quote'\"\\", b'names/-rf', b'names/.hidden'):
        put(name, name)
    for size in (0, 1, 4095, 4096, 4097, 131071, 131072, 131073, 3 << 20):
        put(f'sizes/{size}', os.urandom(size))
    with open(os.path.join(top, 'sizes', 'sparse'), 'wb') as file:
        file.truncate(64 << 20)
        file.seek(20 << 20)
        file.write(b'island')
    os.makedirs(os.path.join(top, 'empty/deeper'))
    for name, stamp in (('old', 1), ('odd', 1234567890123456789), ('new', 4102444800999999999)):
        os.utime(put(f'times/{name}'), ns=(stamp, stamp))
    for number in range(20):
        path = put(f'xattrs/{number}', b'x')
        os.setxattr(path, 'user.number', str(number).encode())
        os.setxattr(path, 'user.binary', bytes(range(256)))
    os.setxattr(os.path.join(top, 'xattrs'), 'user.of-a-directory', b'')
    subprocess.run(['setfacl', '-m', 'u:65534:rw', os.path.join(top, 'xattrs/3')], check=True)
    subprocess.run(['setfacl', '-d', '-m', 'g:65534:rx', os.path.join(top, 'empty')], check=True)
    os.mkfifo(os.path.join(top, 'special-files'))
    if os.geteuid() == 0:
        os.chown(os.path.join(top, 'modes/0666'), 65534, 12345)
        os.lchown(os.path.join(top, 'links/dangling'), 3, 4)


def count_files(top):
    return sum(len(files) for _, _, files in os.walk(top))


def same(box, there):
    """Contents by diff; contents, modes, owners, times to the nanosecond, links, xattrs, ACLs by rsync."""
    done = box.run(['diff', '-r', '--no-dereference', '-x', 'special-files', tree['source'], there], status=None,
                   timeout=900)
    check(done.status == 0 and not done.out, done)
    done = box.run(['rsync', '-aHAXnc', '--modify-window=-1', '--delete', '--itemize-changes', tree['source'] + '/',
                    there + '/'], timeout=900)
    equal(done.text, '', 'rsync finds differences')


def unpack(box, mount):
    return box.run(['tar', '--xattrs', '--xattrs-include=*', '--acls', '-xpf', tree['tar'], '-C', mount.where],
                   timeout=900).seconds


@suite.case('the source tree', timeout=sized(120, 600))
def make_source(box):
    need('tar', 'rsync', 'diff', 'setfacl', 'cp')
    source = box.directory('s', 'source')
    used = (unpack_kernel(source) if FULL else None) or copy_system_files(source)
    add_specials(source)
    tree['source'], tree['tar'] = source, os.path.join(box.scratch, 'source.tar')
    box.run(['tar', '--xattrs', '--xattrs-include=*', '--acls', '-cf', tree['tar'], '-C', source, '.'], timeout=600)
    tree['files'] = count_files(source)
    check(tree['files'] >= FILES, 'only', tree['files'], 'files in', used)
    return f'{tree["files"]} files, {os.path.getsize(tree["tar"]) >> 20} MiB, from {used}'


@suite.case('unpack, sboxfs umount, mount by a new process: the same tree', timeout=sized(120, 1200))
def by_umount(box):
    box.create('tree')
    mount = box.mount('tree')
    seconds = unpack(box, mount)
    ended = mount.umount(timeout=600).seconds
    again = box.mount('tree')
    check(again.pid != mount.pid, 'the same process')
    same(box, again.where)
    again.umount()
    return f'{tree["files"]} files, tar {seconds:.1f} s, umount {ended:.1f} s'


@suite.case('unpack, plain umount, mount at once: the same tree', timeout=sized(120, 1200))
def by_plain_umount(box):
    box.create('plain')
    mount = box.mount('plain')
    seconds = unpack(box, mount)
    mount.plain_umount()
    again = box.mount('plain', timeout=600)
    same(box, again.where)
    return f'{tree["files"]} files, tar {seconds:.1f} s'


@suite.case('sboxfs copy: the same tree, and its own', timeout=sized(120, 1200))
def by_copy(box):
    copied = box.sboxfs('copy', 'tree', 'twin', timeout=600).seconds
    check(box.info('tree')['id'] != box.info('twin')['id'], 'the copy has the id of the original')
    twin = box.mount('twin')
    same(box, twin.where)
    box.run(['rm', '-rf', twin.path('links'), twin.path('usr')])
    with open(twin.path('sizes/4096'), 'wb') as file:
        file.write(b'changed in the copy')
    twin.umount()
    original = box.mount('tree')
    same(box, original.where)
    return f'{tree["files"]} files, copy {copied:.1f} s'


@suite.case('sboxfs create --from TAR: the same tree', timeout=sized(120, 1200))
def by_create(box):
    created = box.sboxfs('create', '--from', tree['tar'], 'imported', timeout=900).seconds
    mount = box.mount('imported')
    same(box, mount.where)
    return f'{tree["files"]} files, create {created:.1f} s'


if __name__ == '__main__':
    suite.main()
