"""One sandbox mounted twice, by two processes: what one writes, the other reads."""
import os
import random
import sys
import threading
import time

from harness import FULL, Suite, check, equal, sized, until

suite = Suite('two_mounts')
BOUND = 1.0  # seconds until a change is seen by the other mount


def pair(box, name):
    box.create(name)
    return box.mount(name), box.mount(name)


def read(path):
    """The contents, or None: no such file."""
    try:
        with open(path, 'rb') as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(path, data, mode='wb'):
    with open(path, mode) as file:
        file.write(data)


class Visibility:
    """Changes here, watches there, keeps the worst time."""

    def __init__(self, one, two):
        self.times, self._mounts = [], (one, two)

    def change(self, action, seen, what):
        action()
        try:
            self.times.append(until(10, seen, what, pause=0.0005))
        except AssertionError as late:
            raise AssertionError(f'{late}; {self._state()}; later seen: {seen()}') from None

    def _state(self):
        """What a mount that stays behind knows, to tell a lost invalidation from news that were never adopted."""
        one, two = self._mounts
        info = one.box.info(one.name)
        return (f'version {info["version"]}, seen {[(m["mount_point"], m["seen"]) for m in info["mounts"]]}, '
                f'names {sorted(os.listdir(one.where))} and {sorted(os.listdir(two.where))}')

    def check(self):
        check(max(self.times) < BOUND, f'worst {max(self.times):.3f} s, bound {BOUND} s')
        return f'{len(self.times)} changes, worst {max(self.times) * 1000:.1f} ms, ' \
               f'median {sorted(self.times)[len(self.times) // 2] * 1000:.1f} ms'


@suite.case('alternations: what one writes the other reads within 1 s', timeout=sized(90, 300))
def alternations(box):
    one, two = pair(box, 'ball')
    rounds = sized(40, 200)
    visibility = Visibility(one, two)
    write(one.path('ball'), b'start')
    until(5, lambda: read(two.path('ball')) == b'start', 'the start')
    for number in range(rounds):
        here, there = (one, two) if number % 2 == 0 else (two, one)
        data = f'round {number} '.encode() * (number % 97 + 1)
        kind = number // 2 % 4
        if kind == 0:  # written over in place
            visibility.change(lambda: write(here.path('ball'), data), lambda: read(there.path('ball')) == data, number)
        elif kind == 1:  # a name that was known to be absent
            equal(read(there.path(f'new{number}')), None, 'before')
            visibility.change(lambda: write(here.path(f'new{number}'), data),
                              lambda: read(there.path(f'new{number}')) == data, number)
        elif kind == 2:  # replaced by rename
            def replace():
                write(here.path('beside'), data)
                os.rename(here.path('beside'), here.path('ball'))
            visibility.change(replace, lambda: read(there.path('ball')) == data, number)
        else:  # appended
            before = read(here.path('ball'))
            visibility.change(lambda: write(here.path('ball'), data, 'ab'),
                              lambda: read(there.path('ball')) == before + data, number)
    return visibility.check()


@suite.case('rename, unlink, mkdir, rmdir, append, truncate, chmod, links, xattrs', timeout=sized(90, 300))
def kinds(box):
    one, two = pair(box, 'kinds')
    visibility = Visibility(one, two)

    def names(mount):
        return sorted(os.listdir(mount.where))

    def attribute(mount):
        try:
            return os.getxattr(mount.path('f2'), 'user.x')
        except OSError:
            return None

    for turn in range(sized(2, 10)):
        for here, there in ((one, two), (two, one)):
            equal(names(there), [], 'the beginning')
            visibility.change(lambda: write(here.path('f'), b'12345'), lambda: names(there) == ['f'], 'create, listed')
            visibility.change(lambda: os.rename(here.path('f'), here.path('f2')),
                              lambda: names(there) == ['f2'] and read(there.path('f')) is None, 'rename')
            visibility.change(lambda: os.mkdir(here.path('d')), lambda: os.path.isdir(there.path('d')), 'mkdir')
            visibility.change(lambda: os.rename(here.path('f2'), here.path('d/f2')),
                              lambda: read(there.path('d/f2')) == b'12345' and not os.path.exists(there.path('f2')),
                              'rename into a directory')
            visibility.change(lambda: os.rename(here.path('d/f2'), here.path('f2')),
                              lambda: os.listdir(there.path('d')) == [], 'rename out of it')
            visibility.change(lambda: os.rmdir(here.path('d')), lambda: not os.path.exists(there.path('d')), 'rmdir')
            visibility.change(lambda: write(here.path('f2'), b'678', 'ab'),
                              lambda: read(there.path('f2')) == b'12345678', 'append')
            visibility.change(lambda: os.truncate(here.path('f2'), 3),
                              lambda: read(there.path('f2')) == b'123' and os.stat(there.path('f2')).st_size == 3,
                              'truncate')
            visibility.change(lambda: os.truncate(here.path('f2'), 9000),
                              lambda: os.stat(there.path('f2')).st_size == 9000 and
                              read(there.path('f2')) == b'123' + bytes(8997), 'extend')
            mode = 0o600 + turn
            visibility.change(lambda: os.chmod(here.path('f2'), mode),
                              lambda: os.stat(there.path('f2')).st_mode & 0o777 == mode, 'chmod')
            visibility.change(lambda: os.utime(here.path('f2'), ns=(1, 10**18 + turn)),
                              lambda: os.stat(there.path('f2')).st_mtime_ns == 10**18 + turn, 'utimens')
            visibility.change(lambda: os.setxattr(here.path('f2'), 'user.x', b'1'),
                              lambda: attribute(there) == b'1', 'setxattr')
            visibility.change(lambda: os.removexattr(here.path('f2'), 'user.x'),
                              lambda: attribute(there) is None, 'removexattr')
            visibility.change(lambda: os.link(here.path('f2'), here.path('l')),
                              lambda: os.path.exists(there.path('l')) and os.stat(there.path('f2')).st_nlink == 2,
                              'link')
            visibility.change(lambda: os.symlink('f2', here.path('s')),
                              lambda: os.path.islink(there.path('s')) and os.readlink(there.path('s')) == 'f2',
                              'symlink')
            for name in ('l', 's', 'f2'):
                visibility.change(lambda: os.unlink(here.path(name)),
                                  lambda: not os.path.lexists(there.path(name)) and name not in names(there), 'unlink')
    return visibility.check()


@suite.case('both write at once: everything is there on both', timeout=sized(120, 600))
def both_write(box):
    one, two = pair(box, 'both')
    count = sized(200, 1000)
    os.mkdir(one.path('d'))
    until(5, lambda: os.path.isdir(two.path('d')), 'the directory')
    program = ('import sys\n'
               f'for n in range({count}):\n'
               '    with open(f"{sys.argv[1]}/{sys.argv[2]}{n}", "w") as f: f.write(f"{sys.argv[2]} wrote {n}")\n')
    start = time.monotonic()
    writers = [box.start([sys.executable, '-c', program, mount.path('d'), word])
               for mount, word in ((one, 'a'), (two, 'b'))]
    for writer in writers:
        equal(writer.wait(500), 0, 'the writer\'s status')
    seconds = time.monotonic() - start
    wanted = {f'{word}{number}': f'{word} wrote {number}'.encode() for word in 'ab' for number in range(count)}
    worst = 0.0
    for mount in (one, two):
        worst = max(worst, until(30, lambda: set(os.listdir(mount.path('d'))) == set(wanted), 'all names'))
        equal(len(os.listdir(mount.path('d'))), len(wanted), 'names, each once')
        for name, data in wanted.items():
            equal(read(mount.path('d', name)), data, name)
    check(worst < BOUND, 'the last names took', worst)
    return f'2 x {count} files in {seconds:.1f} s'


@suite.case('both write in turn: everything is there on both, and the right to write goes to and fro', timeout=sized(90, 600))
def in_turn(box):
    one, two = pair(box, 'turns')
    count = sized(60, 1000)
    times = []
    for number in range(count):
        for mount, word in ((one, 'a'), (two, 'b')):
            start = time.monotonic()
            os.close(os.open(mount.path(f'{word}{number}'), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            times.append(time.monotonic() - start)
    wanted = sorted(f'{word}{number}' for word in 'ab' for number in range(count))
    worst = 0.0
    for mount in (one, two):
        worst = max(worst, until(10, lambda: sorted(os.listdir(mount.where)) == wanted, 'all names, each once'))
    check(worst < BOUND, 'the last names took', worst)
    times.sort()
    return (f'2 x {count} files, a create that takes the lease over: median {times[len(times) // 2] * 1000:.1f} ms, '
            f'worst {times[-1] * 1000:.1f} ms')


@suite.case('O_APPEND from both mounts loses nothing', timeout=sized(120, 600))
def both_append(box):
    one, two = pair(box, 'append')
    count = sized(200, 1000)
    program = ('import os, sys\n'
               'fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n'
               f'for n in range({count}):\n'
               '    line = f"{sys.argv[2]} {n:06d} ".encode() + sys.argv[2].encode() * (n % 200) + b"\\n"\n'
               '    assert os.write(fd, line) == len(line)\n'
               'os.close(fd)\n')
    start = time.monotonic()
    writers = [box.start([sys.executable, '-c', program, mount.path('log'), word])
               for mount, word in ((one, 'a'), (two, 'b'))]
    for writer in writers:
        equal(writer.wait(500), 0, 'the writer\'s status')
    seconds = time.monotonic() - start
    wanted = sorted(f'{word} {n:06d} {word * (n % 200)}\n'.encode() for word in 'ab' for n in range(count))
    size = sum(map(len, wanted))
    for mount in (one, two):
        until(5, lambda: os.stat(mount.path('log')).st_size == size, f'the size is {size}')
        lines = read(mount.path('log')).splitlines(keepends=True)
        equal(len(lines), len(wanted), 'lines')
        check(sorted(lines) == wanted, 'torn or lost lines:', set(lines) ^ set(wanted))
        for word in (b'a', b'b'):
            own = [line for line in lines if line.startswith(word)]
            check(own == sorted(own), 'lines of one writer out of order')
    return f'2 x {count} lines in {seconds:.1f} s'


@suite.case('a mount that loads directories all the time ends up equal to Postgres', timeout=sized(120, 600))
def loads(box):
    one, two = pair(box, 'loads')
    steps = sized(600, 6000)
    directories = [f'd{number}' for number in range(8)]
    for directory in directories:
        os.mkdir(one.path(directory))
    until(5, lambda: sorted(os.listdir(two.where)) == directories, 'the directories')
    stop, trouble, listings = threading.Event(), [], [0]

    def load():
        while not stop.is_set():
            for directory in directories:
                try:
                    for entry in os.scandir(two.path(directory)):
                        try:
                            entry.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            pass
                    listings[0] += 1
                except OSError as error:
                    if directory in os.listdir(two.where):
                        trouble.append(repr(error))

    loader = threading.Thread(target=load)
    loader.start()
    files = {}
    try:
        for step in range(steps):
            kind = random.random()
            if kind < 0.5 or not files:
                path = f'{random.choice(directories)}/f{step}'
                files[path] = f'{step}'.encode()
                write(one.path(path), files[path])
            elif kind < 0.7:
                path = random.choice(list(files))
                files.pop(path)
                os.unlink(one.path(path))
            elif kind < 0.9:
                old = random.choice(list(files))
                new = random.choice([f'{random.choice(directories)}/r{step}', random.choice(list(files))])
                data = files.pop(old)
                files[new] = data
                os.rename(one.path(old), one.path(new))
            else:
                path = random.choice(list(files))
                files[path] = f'again {step}'.encode()
                write(one.path(path), files[path])
    finally:
        stop.set()
        loader.join()
    equal(trouble, [], 'errors while listing')

    def listed(mount):
        return sorted(f'{directory}/{name}' for directory in directories for name in os.listdir(mount.path(directory)))

    worst = until(10, lambda: listed(two) == sorted(files), 'the listing equals what was done')
    check(worst < BOUND, 'it took', worst)
    equal(listed(one), sorted(files), 'the writer\'s own listing')
    for path, data in files.items():
        equal(read(two.path(path)), data, path)
    one.sync()
    rows = box.sql('SELECT encode(p.name, \'escape\') || \'/\' || encode(d.name, \'escape\') FROM sboxfs.dirents d '
                   'JOIN sboxfs.dirents p ON p.sandbox = d.sandbox AND p.ino = d.parent '
                   f'WHERE d.sandbox = \'{box.info("loads")["id"]}\'')
    equal(sorted(row[0] for row in rows), sorted(files), 'names in Postgres')
    return f'{steps} changes, {listings[0]} listings'


@suite.case('a reader with an open file and a working directory survives changes elsewhere')
def open_files(box):
    one, two = pair(box, 'open')
    os.mkdir(one.path('d'))
    write(one.path('d/f'), b'old contents')
    until(5, lambda: read(two.path('d/f')) == b'old contents', 'the file')
    with open(two.path('d/f'), 'rb', buffering=0) as held:
        equal(held.read(3), b'old', 'the beginning')
        write(one.path('d/new'), b'new contents')
        os.rename(one.path('d/new'), one.path('d/f'))
        until(5, lambda: read(two.path('d/f')) == b'new contents', 'the new file')
        os.unlink(one.path('d/f'))
        until(5, lambda: read(two.path('d/f')) is None, 'the file is gone')
        equal(held.read(), b' contents', 'the rest of the old file')
    shell = box.start(['sh', '-c', 'read x; pwd -P; ls'], cwd=two.path('d'), stdin=-1, stdout=-1)
    write(one.path('d/again'), b'')
    until(5, lambda: os.path.exists(two.path('d/again')), 'a new file')
    out, _ = shell.communicate(b'go\n', timeout=20)
    equal(out.decode(), f'{two.path("d")}\nagain\n', 'a shell in the directory')


if FULL:
    @suite.case('alternations without Redis: bounded by the poll of Postgres', timeout=300)
    def without_redis(box):
        one, two = pair(box, 'deaf')
        write(one.path('f'), b'0')
        until(10, lambda: read(two.path('f')) == b'0', 'the start')
        os.kill(box.services()['redis_pid'], 9)
        visibility = Visibility(one, two)
        for number in range(20):
            here, there = (one, two) if number % 2 == 0 else (two, one)
            data = str(number).encode()
            visibility.change(lambda: write(here.path('f'), data), lambda: read(there.path('f')) == data, number)
        box.sboxfs('services', 'start')
        check(max(visibility.times) < 6, f'worst {max(visibility.times):.3f} s')
        return f'worst {max(visibility.times):.3f} s'


if __name__ == '__main__':
    suite.main()
