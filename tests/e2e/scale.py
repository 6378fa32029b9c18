"""Many files: mount, first listing, stat of one name, memory."""
import ctypes
import ctypes.util
import os
import subprocess
import time

from harness import FULL, Suite, check, equal, sized

suite = Suite('scale')
MIB = 1 << 20
LIMITS = (256 + 128 + 64) * MIB  # content cache, metadata cache, and what the issue allows beside them


class Cookies:
    """Directory cookies as the program computes them: SipHash-2-4 of the name, 63 bits."""

    def __init__(self, key):
        self._sodium = ctypes.CDLL(ctypes.util.find_library('sodium') or 'libsodium.so.23')
        self._key = key
        self._out = ctypes.create_string_buffer(8)

    def __call__(self, name):
        self._sodium.crypto_shorthash(self._out, name, ctypes.c_ulonglong(len(name)), self._key)
        return int.from_bytes(self._out.raw, 'little') & ((1 << 63) - 1)


def timed(function):
    start = time.monotonic()
    result = function()
    return result, time.monotonic() - start


def insert_inodes(box, sandbox, first, count):
    """Empty regular files, straight into Postgres: creation through a mount would take too long."""
    box.sql(f"""
INSERT INTO sboxfs.inodes (tenant, sandbox, ino, mode, uid, gid, nlink, rdev, flags, size, blocks, atime, mtime, ctime)
SELECT 'default', '{sandbox}', ino, 33188, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1
  FROM generate_series({first}::bigint, {first + count - 1}) AS ino;
UPDATE sboxfs.sandboxes SET next_ino = next_ino + {count}, used_inodes = used_inodes + {count} WHERE id = '{sandbox}';
""")


def next_ino(box, sandbox):
    return int(box.value(f"SELECT next_ino FROM sboxfs.sandboxes WHERE id = '{sandbox}'"))


def many_directories(box, name, directories, files):
    """`files` files in each of `directories`. In full size all but the first directory's files come by SQL."""
    sandbox = box.create(name)
    mount = box.mount(name)
    for number in range(directories):
        os.mkdir(mount.path(f'd{number}'))
    by_sql = directories * files > 50000
    for number in range(1 if by_sql else directories):
        for file in range(files):
            os.close(os.open(mount.path(f'd{number}', f'f{file}'), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    mount.umount()
    if by_sql:
        # A name has the same cookie in every directory.
        first = next_ino(box, sandbox)
        insert_inodes(box, sandbox, first, (directories - 1) * files)
        box.sql(f"""
INSERT INTO sboxfs.dirents (tenant, sandbox, parent, cookie, ino, type, name)
SELECT f.tenant, f.sandbox, d.ino, f.cookie, {first} + row_number() OVER () - 1, f.type, f.name
  FROM sboxfs.dirents d
  JOIN sboxfs.dirents f ON f.tenant = d.tenant AND f.sandbox = d.sandbox
   AND f.parent = (SELECT ino FROM sboxfs.dirents WHERE sandbox = '{sandbox}' AND parent = 1 AND name = 'd0')
 WHERE d.sandbox = '{sandbox}' AND d.parent = 1 AND d.name <> 'd0';
ANALYZE sboxfs.inodes, sboxfs.dirents;
""")
    return 'by SQL' if by_sql else 'through the mount'


def one_directory(box, name, files):
    sandbox = box.create(name)
    mount = box.mount(name)
    os.mkdir(mount.path('d'))
    os.mkdir(mount.path('small'))
    for number in range(10):
        with open(mount.path('small', str(number)), 'w', encoding='ascii'):
            pass
    by_sql = files > 50000
    for number in range(100 if by_sql else files):
        os.close(os.open(mount.path('d', f'f{number}'), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    mount.umount()
    if by_sql:
        key, parent = box.sql(f"SELECT encode(s.name_key, 'hex'), d.ino FROM sboxfs.sandboxes s JOIN sboxfs.dirents d "
                              f"ON d.sandbox = s.id AND d.parent = 1 AND d.name = 'd' WHERE s.id = '{sandbox}'")[0]
        cookies = Cookies(bytes.fromhex(key))
        known = box.sql(f"SELECT cookie FROM sboxfs.dirents WHERE sandbox = '{sandbox}' AND name = 'f7'")
        equal(known, [[str(cookies(b'f7'))]], 'the cookie of f7')
        first = next_ino(box, sandbox) - 100
        insert_inodes(box, sandbox, first + 100, files - 100)
        rows = ''.join(f'default\t{sandbox}\t{parent}\t{cookies(b"f%d" % n)}\t{first + n}\t8\tf{n}\n'
                       for n in range(100, files))
        box.sql('COPY sboxfs.dirents (tenant, sandbox, parent, cookie, ino, type, name) FROM STDIN;\n' + rows + '\\.\n'
                'ANALYZE sboxfs.inodes, sboxfs.dirents;\n')
    return 'by SQL' if by_sql else 'through the mount'


def find(box, where, *tests):
    """(paths, of which different, seconds)"""
    done = box.run(['find', where, *tests], timeout=900)
    paths = done.out.split(b'\n')[:-1]
    return len(paths), len(set(paths)), done.seconds


def explore(box, name, small, one, total):
    """Mounts and looks around; `total` paths in all. Returns the figures as words."""
    mount, mounting = timed(lambda: box.mount(name))
    names, listing = timed(lambda: os.listdir(mount.path(small)))
    check(names, 'an empty listing')
    _, stat = timed(lambda: os.stat(mount.path(one)))
    check(not os.path.exists(mount.path(one + '-not')), 'a name that is not there')
    check(stat < 1, f'stat of one name took {stat:.2f} s')
    count, different, finding = find(box, mount.where)
    equal((count, different), (total, total), 'paths found, different ones')
    count, different, sizes = find(box, mount.where, '-size', '0', '-type', 'f')
    equal(count, different, 'find -size lists twice')
    memory = mount.memory()
    check(memory < LIMITS, f'{memory // MIB} MiB resident after find')
    check(not os.path.exists(mount.path(one + '-not')), 'a name that is not there')
    with open(mount.path(small, 'new'), 'w', encoding='ascii') as file:
        file.write('x')
    os.rename(mount.path(one), mount.path(one + '-renamed'))
    check('new' in os.listdir(mount.path(small)) and not os.path.exists(mount.path(one)), 'a change afterwards')
    mount.umount()
    return (f'mount {mounting * 1000:.0f} ms, first ls {listing * 1000:.0f} ms, stat {stat * 1000:.1f} ms, '
            f'find {finding:.1f} s, find -size {sizes:.1f} s, {memory // MIB} MiB resident')


@suite.case('many files in many directories', timeout=sized(120, 1500))
def spread(box):
    directories, files = sized(100, 10000), 100
    how = many_directories(box, 'spread', directories, files)
    words = explore(box, 'spread', 'd5', 'd7/f50', 1 + directories + directories * files)
    return f'{directories} x {files} files made {how}, {words}'


@suite.case('many files in one directory: by page, none twice, none missed', timeout=sized(150, 1500))
def crowded(box):
    files = sized(12000, 1000000)
    how = one_directory(box, 'crowded', files)
    words = explore(box, 'crowded', 'small', f'd/f{files // 2}', 1 + 2 + 10 + files)
    return f'{files} files made {how}, {words}'


@suite.case('a listing of a large directory while it changes: what stays is listed once', timeout=90)
def changing(box):
    files = sized(11000, 30000)
    box.create('changing')
    mount = box.mount('changing')
    os.mkdir(mount.path('d'))
    for number in range(files):
        os.close(os.open(mount.path('d', f'stays{number}'), os.O_WRONLY | os.O_CREAT))
    mount.umount()
    mount = box.mount('changing')
    churn = box.start(['sh', '-c', 'i=0; while :; do i=$((i+1)); : > "c$i"; mv "c$i" "m$i"; rm "m$((i-20))" '
                                   '2>/dev/null; done'], cwd=mount.path('d'), stderr=subprocess.DEVNULL)
    rounds = 0
    try:
        end = time.monotonic() + sized(5, 30)
        while time.monotonic() < end:
            names = os.listdir(mount.path('d'))
            stays = [name for name in names if name.startswith('stays')]
            equal(len(stays), files, 'names that stay')
            equal(len(set(stays)), files, 'different names that stay')
            rounds += 1
    finally:
        churn.kill()
        churn.wait()
    return f'{files} files, {rounds} listings'


if FULL:
    @suite.case('removing 100,000 files', timeout=600)
    def removing(box):
        many_directories(box, 'removed', 1000, 100)
        mount = box.mount('removed')
        seconds = box.run(['rm', '-rf', mount.path()], timeout=500, status=None).seconds
        equal(os.listdir(mount.where), [], 'left')
        mount.umount()
        return f'rm -rf {seconds:.1f} s'


if __name__ == '__main__':
    suite.main()
