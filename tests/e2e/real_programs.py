"""Programs that people use, in a mount: git, make, sqlite3, Python, coreutils."""
import ctypes
import fcntl
import hashlib
import mmap
import os
import random
import signal
import sqlite3
import subprocess
import sys

from harness import Suite, check, equal, need, sized, until

suite = Suite('real_programs')


def fresh(box, name):
    box.create(name)
    return box.mount(name)


def again(box, mount):
    mount.umount()
    return box.mount(mount.name)


@suite.case('git: clone, edit, commit, status, fsck', timeout=sized(90, 300))
def git(box):
    need('git')
    files = sized(300, 3000)
    env = {'GIT_AUTHOR_NAME': 'a', 'GIT_AUTHOR_EMAIL': 'a@b', 'GIT_COMMITTER_NAME': 'a', 'GIT_COMMITTER_EMAIL': 'a@b'}

    def run(where, *words):
        return box.run(['git', '-C', where, *words], env=env, timeout=300).text

    origin = box.directory('s', 'origin')
    for number in range(files):
        path = os.path.join(origin, f'dir{number % 20}', f'file{number}.txt')
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='ascii') as file:
            file.write(f'line of {number}\n' * (number % 50 + 1))
    run(origin, 'init', '-q')
    run(origin, 'add', '.')
    run(origin, 'commit', '-q', '-m', 'first')
    mount = fresh(box, 'git')
    run(mount.where, 'clone', '-q', '--no-hardlinks', origin, 'clone')
    clone = mount.path('clone')
    equal(run(clone, 'status', '--porcelain'), '', 'status after the clone')
    for number in range(0, files, 7):
        with open(os.path.join(clone, f'dir{number % 20}', f'file{number}.txt'), 'a', encoding='ascii') as file:
            file.write('edited\n')
    run(clone, 'mv', 'dir1', 'moved')
    run(clone, 'commit', '-q', '-a', '-m', 'second')
    run(clone, 'checkout', '-q', '-b', 'branch', 'HEAD~1')
    run(clone, 'checkout', '-q', '-')
    run(clone, 'gc', '-q')
    equal(run(clone, 'status', '--porcelain'), '', 'status')
    head = run(clone, 'rev-parse', 'HEAD')
    clone = again(box, mount).path('clone')
    equal(run(clone, 'rev-parse', 'HEAD'), head, 'HEAD after a re-mount')
    equal(run(clone, 'status', '--porcelain'), '', 'status after a re-mount')
    fsck = box.run(['git', '-C', clone, 'fsck', '--full', '--strict'], env=env)
    equal([line for line in fsck.errors.splitlines() if line.startswith(('error', 'missing', 'broken'))], [], 'fsck')
    return f'{files} files'


@suite.case('make -j2 of a C program of several files', timeout=120)
def make(box):
    need('make', 'gcc')
    parts = sized(12, 100)
    mount = fresh(box, 'make')
    rules = ['CFLAGS = -O1', f'OBJECTS = main.o {" ".join(f"part{n}.o" for n in range(parts))}',
             'program: $(OBJECTS)', '\t$(CC) -o $@ $(OBJECTS)', '%.o: %.c parts.h']
    with open(mount.path('Makefile'), 'w', encoding='ascii') as file:
        file.write('\n'.join(rules) + '\n')
    with open(mount.path('parts.h'), 'w', encoding='ascii') as file:
        file.writelines(f'int part{number}(void);\n' for number in range(parts))
    for number in range(parts):
        with open(mount.path(f'part{number}.c'), 'w', encoding='ascii') as file:
            file.write(f'#include "parts.h"\nint part{number}(void) {{ return {number}; }}\n')
    total = ' + '.join(f'part{number}()' for number in range(parts))
    with open(mount.path('main.c'), 'w', encoding='ascii') as file:
        file.write(f'#include <stdio.h>\n#include "parts.h"\nint main(void) {{ printf("%d\\n", {total}); }}\n')
    built = box.run(['make', '-s', '-j2'], cwd=mount.where, timeout=110)
    check('Clock skew' not in built.errors and 'in the future' not in built.errors, built)
    wanted = f'{sum(range(parts))}\n'
    equal(box.run(['./program'], cwd=mount.where).text, wanted, 'the program prints')
    equal(box.run(['make', '-q'], cwd=mount.where, status=None).status, 0, 'make has nothing to do')
    with open(mount.path('part3.c'), 'a', encoding='ascii') as file:
        file.write('\n')
    equal(box.run(['make', '-q'], cwd=mount.where, status=None).status, 1, 'make sees the edit')
    mount = again(box, mount)
    equal(box.run(['./program'], cwd=mount.where).text, wanted, 'the program prints after a re-mount')
    return f'{parts + 1} files of C'


@suite.case('sqlite3 in WAL mode: inserts, integrity_check after a re-mount', timeout=sized(120, 300))
def sqlite(box):
    rows, commits = 10000, sized(200, 10000)
    mount = fresh(box, 'sqlite')
    before = int(box.value("SELECT pg_database_size('sboxfs')"))
    database = sqlite3.connect(mount.path('a.db'), isolation_level=None)
    equal(database.execute('PRAGMA journal_mode=WAL').fetchone()[0], 'wal', 'journal mode')
    database.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)')
    for start in range(0, rows, rows // commits):
        database.execute('BEGIN')
        for number in range(start, start + rows // commits):
            database.execute('INSERT INTO t VALUES (?, ?)', (number, f'row {number} ' * 5))
        database.execute('COMMIT')
    database.close()
    size = os.path.getsize(mount.path('a.db'))
    mount = again(box, mount)
    database = sqlite3.connect(mount.path('a.db'))
    equal(database.execute('PRAGMA integrity_check').fetchall(), [('ok',)], 'integrity_check')
    equal(database.execute('SELECT count(*), sum(id) FROM t').fetchone(), (rows, rows * (rows - 1) // 2), 'rows')
    database.close()
    growth = int(box.value("SELECT pg_database_size('sboxfs')")) - before
    return f'{rows} inserts in {commits} commits, file {size >> 10} KiB, database grew by {growth >> 10} KiB'


@suite.case('a Python program that writes and reads thousands of small files', timeout=sized(90, 600))
def small_files(box):
    count = sized(3000, 30000)
    mount = fresh(box, 'small')
    program = f'''
import os, hashlib
def body(n): return hashlib.sha256(str(n).encode()).hexdigest().encode() * (n % 40)
for n in range({count}):
    d = f"d{{n % 50}}"
    os.makedirs(d, exist_ok=True)
    with open(f"{{d}}/{{n}}.tmp", "wb") as f: f.write(body(n))
    os.rename(f"{{d}}/{{n}}.tmp", f"{{d}}/{{n}}")
bad = [n for n in range({count}) if open(f"d{{n % 50}}/{{n}}", "rb").read() != body(n)]
print(len(bad), sum(len(files) for _, _, files in os.walk(".")))
'''
    done = box.run([sys.executable, '-c', program], cwd=mount.where, timeout=500)
    equal(done.text, f'0 {count}\n', 'bad files, files')
    mount = again(box, mount)
    for number in random.sample(range(count), 500):
        with open(mount.path(f'd{number % 50}', str(number)), 'rb') as file:
            wanted = hashlib.sha256(str(number).encode()).hexdigest().encode() * (number % 40)
            equal(file.read(), wanted, f'file {number} after a re-mount')
    return f'{count} files'


@suite.case('flock and record locks between processes')
def locks(box):
    mount = fresh(box, 'locks')
    path = mount.path('lock')
    holder = '''
import fcntl, sys
f = open(sys.argv[1], "w")
getattr(fcntl, sys.argv[2])(f, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
'''
    for kind, function in (('flock', fcntl.flock), ('lockf', fcntl.lockf)):
        with open(path, 'w', encoding='ascii') as file:
            function(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            function(file, fcntl.LOCK_UN)
            other = box.start([sys.executable, '-c', holder, path, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            try:
                equal(other.stdout.readline(), b'held\n', kind)
                try:
                    function(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    raise AssertionError(f'{kind}: two holders')
                except BlockingIOError:
                    pass
                # A waiter that is interrupted returns; one that waits gets the lock when its holder dies.
                waiter = box.start(['flock', '-x', path, 'true'])
                if kind == 'flock':
                    waiter.send_signal(signal.SIGINT)
                check(waiter.wait(10) is not None, 'the waiter returns')
                other.kill()
                function(file, fcntl.LOCK_EX)
            finally:
                other.kill()
                other.wait()


@suite.case('shared mmap and msync')
def mapping(box):
    size = 1 << 20
    mount = fresh(box, 'mmap')
    with open(mount.path('mapped'), 'w+b') as file:
        file.truncate(size)
        with mmap.mmap(file.fileno(), size) as view:
            for offset in range(0, size, 4096):
                view[offset:offset + 8] = offset.to_bytes(8, 'big')
            view.flush()
            equal(os.pread(file.fileno(), 8, 8 * 4096), (8 * 4096).to_bytes(8, 'big'), 'read sees the mapping')
            os.pwrite(file.fileno(), b'by write', 4096 * 3)
            equal(view[4096 * 3:4096 * 3 + 8], b'by write', 'the mapping sees write')
            view[size - 8:] = b'the end.'
    mount = again(box, mount)
    with open(mount.path('mapped'), 'rb') as file:
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as view:
            equal(view[size - 8:], b'the end.', 'the last page, written without msync')
            equal(view[4096 * 3:4096 * 3 + 8], b'by write', 'a page after a re-mount')
            for offset in (0, 4096, 200 * 4096):
                equal(view[offset:offset + 8], offset.to_bytes(8, 'big'), f'the page at {offset}')
    return f'{size >> 10} KiB'


@suite.case('mv across directories, cp --reflink=auto, rm -rf', timeout=90)
def coreutils(box):
    mount = fresh(box, 'files')
    os.makedirs(mount.path('a/deep/er'))
    os.makedirs(mount.path('b'))
    data = os.urandom((5 << 20) + 12345)
    for name in ('a/deep/er/big', 'a/small'):
        with open(mount.path(name), 'wb') as file:
            file.write(data if 'big' in name else b'small')
    box.run(['mv', 'a/deep', 'b/moved'], cwd=mount.where)
    equal(sorted(os.listdir(mount.path('a'))), ['small'], 'the old directory')
    box.run(['cp', '--reflink=auto', 'b/moved/er/big', 'copy'], cwd=mount.where)
    box.run(['cmp', 'b/moved/er/big', 'copy'], cwd=mount.where)
    with open(mount.path('copy'), 'r+b') as file:
        file.seek(200000)
        file.write(b'changed in the copy')
    mount = again(box, mount)
    with open(mount.path('b/moved/er/big'), 'rb') as file:
        check(file.read() == data, 'the original changed with the copy')
    with open(mount.path('copy'), 'rb') as file:
        copy = file.read()
    check(copy[:200000] == data[:200000] and copy[200019:] == data[200019:], 'the copy differs elsewhere')
    equal(copy[200000:200019], b'changed in the copy', 'the copy')
    for number in range(500):
        os.makedirs(mount.path('gone', str(number % 25)), exist_ok=True)
        with open(mount.path('gone', str(number % 25), str(number)), 'wb'):
            pass
    box.run(['rm', '-rf', 'gone', 'b'], cwd=mount.where)
    mount = again(box, mount)
    equal(sorted(os.listdir(mount.where)), ['a', 'copy'], 'after rm -rf and a re-mount')
    return f'{len(data) >> 20} MiB, 500 files removed'


@suite.case('a sparse file: size, blocks, SEEK_DATA, SEEK_HOLE')
def sparse(box):
    size = 10 << 30
    mount = fresh(box, 'sparse')
    where = ((1 << 30) + 4096, 5 << 30)
    with open(mount.path('sparse'), 'wb') as file:
        file.truncate(size)
        for offset in where:
            file.seek(offset)
            file.write(b'D' * 8192)
    mount = again(box, mount)
    status = os.stat(mount.path('sparse'))
    equal(status.st_size, size, 'size')
    check(16384 <= status.st_blocks * 512 <= 1 << 20, 'blocks:', status.st_blocks)
    with open(mount.path('sparse'), 'rb') as file:
        position, found = 0, []
        while True:
            try:
                data = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError:
                break
            position = os.lseek(file.fileno(), data, os.SEEK_HOLE)
            found.append((data, position))
        equal(found, [(offset, offset + 8192) for offset in where], 'data')
        equal(os.pread(file.fileno(), 8194, where[0] - 1), b'\0' + b'D' * 8192 + b'\0', 'the edges')
        equal(os.pread(file.fileno(), 4096, 9 << 30), bytes(4096), 'a hole')
    return f'{size >> 30} GiB'


@suite.case('a file stays usable after unlink; its storage goes after the last close', timeout=90)
def unlinked(box):
    mount = fresh(box, 'unlinked')
    data = os.urandom(300000)
    with open(mount.path('gone'), 'w+b') as file:
        file.write(data[:200000])
        file.flush()
        os.unlink(mount.path('gone'))
        equal(os.listdir(mount.where), [], 'the name')
        mount.sync()
        file.write(data[200000:])
        file.flush()
        file.seek(0)
        check(file.read() == data, 'contents after unlink')
        equal(os.fstat(file.fileno()).st_nlink, 0, 'links')
        mount.sync()
    mount.umount()
    sandbox = box.info('unlinked')['id']
    box.sboxfs('gc')
    until(5, lambda: box.value(f"SELECT count(*) FROM sboxfs.inodes WHERE sandbox = '{sandbox}'") == '1',
          'only the root is left in Postgres', pause=0.2)
    equal(box.value(f"SELECT count(*) FROM sboxfs.chunks WHERE sandbox = '{sandbox}'"), '0', 'chunks left')


@suite.case('names: any byte, 255 bytes, 256 are too many')
def names(box):
    mount = fresh(box, 'names')
    top = os.fsencode(mount.where)
    wanted = {bytes([byte]) * 3 for byte in range(1, 256) if byte not in (ord('.'), ord('/'))}
    wanted |= {b'n' * 255, b'\xff' * 255, b'new\nline', b' ', b'...', '\u65e5\u672c\u8a9e'.encode(), b"'\"\\$`*?"}
    for name in wanted:
        with open(os.path.join(top, name), 'wb') as file:
            file.write(name)
    try:
        with open(os.path.join(top, b'n' * 256), 'wb'):
            raise AssertionError('a name of 256 bytes was accepted')
    except OSError as error:
        equal(error.errno, 36, 'ENAMETOOLONG')
    top = os.fsencode(again(box, mount).where)
    equal(set(os.listdir(top)), wanted, 'names after a re-mount')
    for name in wanted:
        with open(os.path.join(top, name), 'rb') as file:
            equal(file.read(), name, f'contents of {name!r}')
    return f'{len(wanted)} names'


@suite.case('rename: NOREPLACE, EXCHANGE, over a file that is open')
def renames(box):
    libc = ctypes.CDLL(None, use_errno=True)
    mount = fresh(box, 'renames')

    def rename(old, new, flags):
        done = libc.renameat2(-100, os.fsencode(mount.path(old)), -100, os.fsencode(mount.path(new)), flags)
        return 0 if done == 0 else ctypes.get_errno()

    def text(name):
        with open(mount.path(name), encoding='ascii') as file:
            return file.read()

    for name in ('a', 'b', 'c'):
        with open(mount.path(name), 'w', encoding='ascii') as file:
            file.write(name)
    equal(rename('a', 'b', 1), 17, 'NOREPLACE over a file: EEXIST')
    equal(rename('a', 'b', 2), 0, 'EXCHANGE')
    equal((text('a'), text('b')), ('b', 'a'), 'after EXCHANGE')
    with open(mount.path('c'), encoding='ascii') as held:
        equal(rename('a', 'c', 0), 0, 'rename over an open file')
        equal((held.read(), text('c')), ('c', 'b'), 'the open file, the new one')
    os.makedirs(mount.path('d/e'))
    equal(rename('d', 'd/e/f', 0), 22, 'a directory into itself: EINVAL')
    mount = again(box, mount)
    equal(sorted(os.listdir(mount.where)), ['b', 'c', 'd'], 'after a re-mount')
    equal((text('b'), text('c')), ('a', 'b'), 'contents after a re-mount')


if __name__ == '__main__':
    suite.main()
