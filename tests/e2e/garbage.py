"""What nobody can reach goes: after quiet, rows and bytes in Postgres are those of the living trees; and who uses a mount
meanwhile does not feel it."""
import hashlib
import json
import os
import random
import stat
import threading
import time

from harness import Suite, check, equal, sized

suite = Suite('garbage')
CHUNK = 128 << 10
TABLES = ('inodes', 'dirents', 'chunks', 'patches', 'ranges', 'xattrs', 'orphans', 'pins', 'sessions', 'locks')


def counts(box, sandbox):
    words = ', '.join(f"(SELECT count(*) FROM sboxfs.{table} WHERE sandbox = '{sandbox}')" for table in TABLES)
    return dict(zip(TABLES, map(int, box.sql(f'SELECT {words}')[0])))


def age(box):
    """An hour and more goes by, for everything that waits for time, but for the mounts that live."""
    box.sql("UPDATE sboxfs.blobs SET dead_since = dead_since - interval '2 hours' WHERE dead_since IS NOT NULL;"
            "UPDATE sboxfs.sandboxes SET destroyed_at = destroyed_at - interval '2 hours' WHERE destroyed_at IS NOT NULL")


def collect(box):
    """Marks, lets the marks become old, deletes; until a dry run finds nothing. The first dry run's counts."""
    found = json.loads(box.sboxfs('gc', '--dry-run', '--json').text)
    for _ in range(4):
        box.sboxfs('gc')
        age(box)
        left = json.loads(box.sboxfs('gc', '--dry-run', '--json').text)
        if not any(left.values()):
            return found
    raise AssertionError(f'gc leaves {left}')


def content():
    """Random bytes, the same ones now and then: equal chunks are stored once."""
    size = random.choice((0, 1, 100, 4096, 5000, 40_000, CHUNK - 1, CHUNK, CHUNK + 1, 300_000))
    return random.Random(random.randrange(20)).randbytes(size)


def churn(mount, steps):
    """Makes, changes, replaces and removes; what is left stays small."""
    files, directories = [], ['']

    def new():
        return os.path.join(random.choice(directories), f'n{random.randrange(1 << 30)}')

    def create():
        files.append(new())
        with open(mount.path(files[-1]), 'wb') as file:
            file.write(content())

    def patch():
        path = mount.path(random.choice(files))
        if os.path.getsize(path) == 0:
            return
        with open(path, 'r+b') as file:
            for _ in range(random.randrange(1, 24)):
                file.seek(random.randrange(os.path.getsize(path)))
                file.write(random.randbytes(min(50, os.path.getsize(path) - file.tell())))
                file.flush()
                os.fsync(file.fileno())

    def shrink():
        path = mount.path(random.choice(files))
        os.truncate(path, random.randrange(os.path.getsize(path) + 1))

    def remove():
        os.unlink(mount.path(files.pop(random.randrange(len(files)))))

    def replace():
        source, target = files.pop(random.randrange(len(files))), random.choice(files)
        os.rename(mount.path(source), mount.path(target))
        if os.path.lexists(mount.path(source)):  # two names of one file: rename does nothing
            files.append(source)

    def link():
        files.append(new())
        os.link(mount.path(random.choice(files[:-1])), mount.path(files[-1]))

    def decorate():
        os.setxattr(mount.path(random.choice(files)), f'user.x{random.randrange(3)}'.encode(), b'value')

    def nest():
        directories.append(new())
        os.mkdir(mount.path(directories[-1]))
        os.symlink('elsewhere', mount.path(directories[-1], 'link'))

    for _ in range(steps):
        if len(files) < 5:
            create()
        elif len(files) > 40:
            remove()
        else:
            random.choice((create, create, patch, shrink, remove, replace, link, decorate, nest))()


class Walk:
    """What a tree is, as its users see it."""

    def __init__(self, top):
        self.names, self.inodes, self.chunks, self.xattrs = 0, {os.stat(top).st_ino}, {}, 0
        for directory, subdirectories, files in os.walk(top):
            for name in subdirectories + files:
                self.names += 1
                self._add(os.path.join(directory, name))

    def _add(self, path):
        info = os.lstat(path)
        if info.st_ino in self.inodes:
            return
        self.inodes.add(info.st_ino)
        self.xattrs += len(os.listxattr(path, follow_symlinks=False))
        if not stat.S_ISREG(info.st_mode):
            return
        with open(path, 'rb') as file:
            for index in range(-(-info.st_size // CHUNK)):
                self.chunks[info.st_ino, index] = file.read(CHUNK)


@suite.case('after quiet, rows and bytes in Postgres are those of the living trees', timeout=sized(150, 900))
def living_only(box):
    steps = sized(150, 3000)
    sandbox, dead, killed = box.create('living'), box.create('dead'), box.create('killed')
    mount = box.mount('living')
    churn(mount, steps)
    doomed = box.mount('dead')
    churn(doomed, steps // 3)
    doomed.umount()
    box.sboxfs('destroy', '--yes', 'dead')
    # Dies with open files that have no name any more.
    crashed = box.mount('killed')
    with open(crashed.path('f'), 'wb') as file:
        file.write(os.urandom(500_000))
        os.unlink(crashed.path('f'))
        crashed.sync()
        check(counts(box, killed)['chunks'] > 0, 'no orphan to collect')
        crashed.kill()
        try:
            file.close()
        except OSError:
            pass  # the mount is dead
    mount.sync()
    box.sql(f"UPDATE sboxfs.sessions SET alive_until = now() - interval '2 minutes' WHERE sandbox = '{killed}'")
    found = collect(box)
    check(found['orphans'] > 0 and found['unnamed_blobs'] > 0 and found['destroyed_sandboxes'] == 1 and
          found['dead_sessions'] == 1, 'there was nothing to collect:', found)

    tree = Walk(mount.where)
    got = counts(box, sandbox)
    patched = {(int(ino), int(index)): (int(number), int(size)) for ino, index, number, size in box.sql(
        f"SELECT ino, idx, count(*), sum(octet_length(data)) FROM sboxfs.patches WHERE sandbox = '{sandbox}' GROUP BY 1, 2")}
    equal(got, {**got, 'inodes': len(tree.inodes), 'dirents': tree.names, 'chunks': len(tree.chunks),
                'xattrs': tree.xattrs, 'ranges': 0, 'orphans': 0, 'pins': 0, 'sessions': 1, 'locks': 0}, 'rows')
    check(set(patched) <= set(tree.chunks), 'patches of chunks that do not exist')
    check(all(number <= 16 and size <= 64 << 10 for number, size in patched.values()), 'not folded:', patched)
    for other in (dead, killed):
        left = counts(box, other)
        equal({table: number for table, number in left.items() if number}, {} if other == dead else {'inodes': 1},
              'rows of what is dead')
    equal(box.value('SELECT count(*) FROM sboxfs.sandboxes'), '2', 'sandboxes')
    wanted = {hashlib.sha256(data).hexdigest(): len(data)
              for where, data in tree.chunks.items() if where not in patched}
    below = {blob for blob, in box.sql(
        f"SELECT DISTINCT encode(c.blob, 'hex') FROM sboxfs.chunks c JOIN sboxfs.patches p USING (tenant, sandbox, ino, idx) "
        f"WHERE c.sandbox = '{sandbox}' AND c.blob IS NOT NULL")}
    blobs = {name: int(size) for name, size in box.sql("SELECT encode(hash, 'hex'), size FROM sboxfs.blobs")}
    equal(set(blobs), set(wanted) | below, 'blobs')
    plain = sum(size for name, size in blobs.items() if name in wanted)
    equal(plain, sum(wanted.values()), 'bytes')
    return (f'{steps} steps: {len(tree.inodes)} inodes, {len(tree.chunks)} chunks, {len(blobs)} blobs with '
            f'{sum(blobs.values())} bytes; {found["unnamed_blobs"]} blobs and {found["orphans"]} orphans were collected')


def p99(times):
    return sorted(times)[len(times) * 99 // 100] * 1000


def stats(mount, seconds, first):
    """stat of names that are nowhere in memory, in a directory too large to be: each asks Postgres. Seconds each took."""
    times, end, number = [], time.monotonic() + seconds, first
    while time.monotonic() < end:
        start = time.monotonic()
        try:
            os.stat(mount.path(f'none{number}'))
            raise AssertionError('there is such a file')
        except FileNotFoundError:
            pass
        times.append(time.monotonic() - start)
        number += 1
        time.sleep(0.002)
    return times


def fill(box, sandbox, directories):
    """Rows of subdirectories of the root, by the shortest way; their names are never looked up."""
    box.sql(f"INSERT INTO sboxfs.inodes SELECT i.tenant, i.sandbox, n, i.mode, i.uid, i.gid, 1, i.rdev, i.flags, i.size, "
            f"i.blocks, i.atime, i.mtime, i.ctime, 1, NULL "
            f"FROM sboxfs.inodes i, generate_series(1000, {999 + directories}) n "
            f"WHERE i.sandbox = '{sandbox}' AND i.ino = 1;"
            f"INSERT INTO sboxfs.dirents (tenant, sandbox, parent, cookie, ino, type, name) SELECT 'default', '{sandbox}', "
            f"1, n, n, 4, convert_to(n::text, 'UTF8') FROM generate_series(1000, {999 + directories}) n")


@suite.case('p99 of a stat while a destroyed sandbox is purged', timeout=sized(120, 1800))
def purge(box):
    rows = sized(40_000, 1_000_000)
    fill(box, box.create('used'), 20_000)
    sandbox = box.create('huge')
    fill(box, sandbox, rows // 2)
    mount = box.mount('used', '--drain-interval', '1h')
    stats(mount, 0.5, 1 << 30)  # connections are made
    before = stats(mount, 2, 0)
    box.sboxfs('destroy', '--yes', 'huge')
    outcome = []
    worker = threading.Thread(target=lambda: outcome.append(box.sboxfs('gc', '--json', timeout=1500)))
    start = time.monotonic()
    worker.start()
    during = []
    while worker.is_alive():
        during += stats(mount, 0.2, len(before) + len(during))
    worker.join()
    seconds = time.monotonic() - start
    check(outcome and json.loads(outcome[0].text)['destroyed_rows'] >= rows, 'not purged:', outcome)
    equal(sum(counts(box, sandbox).values()), 0, 'rows left')
    return (f'{rows} rows in {seconds:.1f} s; stat p99 {p99(before):.1f} ms before, {p99(during):.1f} ms during '
            f'({len(during)} calls, {max(during) * 1000:.0f} ms at worst)')


if __name__ == '__main__':
    suite.main()
