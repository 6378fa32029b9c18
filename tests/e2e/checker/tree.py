"""The files of the checker, the operations on them, and how a version is told from bytes.

block/N   four blocks of 4 KiB, overwritten in place, whole or in part; a block is 64 records that name its version
swap/N    replaced by rename: never missing, always whole
time/N    the version is the modification time
size/N    the version is the size
name/D/N  made, removed and renamed; looked up and listed
"""
import errno
import os
import random
import threading
import time

BLOCK, RECORD, BLOCKS = 4096, 64, 4
FILES, DIRECTORIES, NAMES = 5, 3, 6
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.ENODEV)


def record(name, number):
    return f'{name:<32}{number:016d}'.ljust(RECORD - 1).encode() + b'\n'


def block(name, number):
    return record(name, number) * (BLOCK // RECORD)


def versions_of(name, data):
    """The versions a block's records name; None among them: bytes nobody has written."""
    found = set()
    for at in range(0, len(data), RECORD):
        piece = data[at:at + RECORD]
        text = piece.decode('ascii', 'replace')
        number = int(text[32:48]) if text[32:48].isdigit() else None
        found.add(number if number is not None and piece == record(name, number) else None)
    return found


class Turns:
    """Who writes a thing: one at a time. Taken without waiting, several at once."""

    def __init__(self, history, cells):
        self.history, self.cells, self.lock = history, cells, threading.Lock()


class Model:
    """What there is; one for all mounts."""

    def __init__(self, history):
        self.history = history

        def thing(name, count=1, state=0):
            cells = [history.cell(f'{name}#{number}' if count > 1 else name, state) for number in range(count)]
            return Turns(history, cells)

        self.blocks = {f'block/{n}': thing(f'block/{n}', BLOCKS) for n in range(FILES)}
        self.swaps = {f'swap/{n}': thing(f'swap/{n}') for n in range(FILES)}
        self.times = {f'time/{n}': thing(f'time/{n}') for n in range(FILES)}
        self.sizes = {f'size/{n}': thing(f'size/{n}') for n in range(FILES)}
        self.names = {f'name/{d}/{n}': thing(f'name/{d}/{n}', 1, False) for d in range(DIRECTORIES)
                      for n in range(NAMES)}

    def make(self, where):
        """The first version of everything."""
        for directory in ('block', 'swap', 'time', 'size', *(f'name/{d}' for d in range(DIRECTORIES))):
            os.makedirs(f'{where}/{directory}')
        for name, thing in {**self.blocks, **self.swaps}.items():
            with open(f'{where}/{name}', 'wb') as file:
                file.write(b''.join(block(cell.name, 0) for cell in thing.cells))
        for name in self.times:
            with open(f'{where}/{name}', 'wb'):
                pass
            os.utime(f'{where}/{name}', ns=(0, 0))
        for name in self.sizes:
            with open(f'{where}/{name}', 'wb'):
                pass


class Client:
    """One thread that works on one mount."""

    def __init__(self, model, mount, where, number, seed):
        self.model, self.history, self.mount, self.where = model, model.history, mount, where
        self.random = random.Random(f'{seed} {mount} {number}')
        self.tag, self.made, self.held = f'{mount}.{number}', 0, {}
        self.forgiving = False  # the mount was stopped for long: an operation may say that changes were lost

    def path(self, name):
        return f'{self.where}/{name}'

    def pick(self, things):
        """Some names are busy, others rarely written: what is wrong there stays wrong for long."""
        names = list(things)
        return names[min(int(self.random.expovariate(4 / len(names))), len(names) - 1)]

    def step(self):
        """One random operation. False: the mount is gone."""
        operation = self.random.choices(OPERATIONS, WEIGHTS)[0]
        began = time.monotonic()
        try:
            if operation(self, began):
                self.history.count(operation.__name__)
        except OSError as error:
            if error.errno in GONE:
                self.close()
                return False
            if not self._may_fail(operation, error):
                self.history.violate(f'mount {self.mount}: {operation.__name__} failed: {error!r}')
        return True

    def _may_fail(self, operation, error):
        """A file that is only just made may be among what was lost."""
        return self.forgiving and (error.errno in (errno.EIO, errno.ESTALE) or
                                   error.errno == errno.ENOENT and operation is Client.replace)

    def close(self):
        for held in self.held.values():
            try:
                os.close(held)
            except OSError as error:
                if error.errno not in GONE and not (self.forgiving and error.errno == errno.EIO):
                    self.history.violate(f'mount {self.mount}: close failed: {error!r}')
        self.held = {}

    # Writing.

    def _write(self, things, states, action):
        """Runs action(versions) as the only writer of the cells; states: None or one each. False: somebody else is."""
        taken = []
        try:
            for thing, _ in things:
                if not thing.lock.acquire(blocking=False):
                    return False
                taken.append(thing)
            cells = [cell for _, cells in things for cell in cells]
            versions = [self.history.begin(cell, self.mount, states and states[at]) for at, cell in enumerate(cells)]
            failed = True
            try:
                failed = action(versions) is False
            finally:
                for cell, version in zip(cells, versions):
                    self.history.end(cell, self.mount, version, failed)
            return True
        finally:
            for thing in taken:
                thing.lock.release()

    def write_whole(self, _):
        return self._write_blocks(0, BLOCKS)

    def write_range(self, _):
        first = self.random.randrange(BLOCKS)
        return self._write_blocks(first, self.random.randint(first + 1, BLOCKS))

    def _write_blocks(self, first, end):
        name = self.pick(self.model.blocks)
        thing = self.model.blocks[name]
        cells = thing.cells[first:end]

        def action(versions):
            data = b''.join(block(cell.name, version.number) for cell, version in zip(cells, versions))
            fd = os.open(self.path(name), os.O_WRONLY)
            try:
                if os.pwrite(fd, data, first * BLOCK) != len(data):
                    raise AssertionError('a short write')
            finally:
                os.close(fd)

        return self._write([(thing, cells)], None, action)

    def replace(self, _):
        name = self.pick(self.model.swaps)
        thing = self.model.swaps[name]
        self.made += 1
        beside = self.path(f'swap/.{self.tag}.{self.made}')

        def action(versions):
            with open(beside, 'wb', buffering=0) as file:
                file.write(block(thing.cells[0].name, versions[0].number))
            os.rename(beside, self.path(name))

        return self._write([(thing, thing.cells)], None, action)

    def set_time(self, _):
        name = self.pick(self.model.times)
        thing = self.model.times[name]
        return self._write([(thing, thing.cells)], None, lambda versions: os.utime(
            self.path(name), ns=(0, versions[0].number * 10**9)))

    def set_size(self, _):
        name = self.pick(self.model.sizes)
        thing = self.model.sizes[name]
        return self._write([(thing, thing.cells)], None,
                           lambda versions: os.truncate(self.path(name), versions[0].number))

    def make_or_remove(self, began):
        name = self.pick(self.model.names)
        thing = self.model.names[name]
        there = self.history.newest(thing.cells[0])

        def action(_):
            try:
                if there:
                    os.unlink(self.path(name))
                else:
                    os.close(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
                return True
            except (FileExistsError, FileNotFoundError):
                return False

        return self._write_names([thing], [not there], action, there, began)

    def move(self, began):
        old, new = self.random.sample(list(self.model.names), 2)
        things = [self.model.names[old], self.model.names[new]]
        if not self.history.newest(things[0].cells[0]):
            return False

        def action(_):
            try:
                os.rename(self.path(old), self.path(new))
                return True
            except FileNotFoundError:
                return False

        return self._write_names(things, [False, True], action, True, began)

    def _write_names(self, things, states, action, there, began):
        """A refusal is a look-up of the first name that found the opposite of `there`."""
        refused = []

        def attempt(versions):
            done = action(versions)
            if not done:
                refused.append(None)
            return done

        took = self._write([(thing, thing.cells) for thing in things], states, attempt)
        if refused:
            self.history.read_state(things[0].cells[0], self.mount, 'look_up', not there, began)
        return took

    def fsync(self, began):
        life = self.history.lives[self.mount]
        fd = os.open(self.path(self.pick(self.model.blocks)), os.O_RDWR)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        self.history.fsynced(life, began)
        return True

    # Reading.

    def read(self, began):
        name = self.pick(self.model.blocks)
        with open(self.path(name), 'rb', buffering=0) as file:
            self._check_blocks(name, os.pread(file.fileno(), BLOCKS * BLOCK, 0), began)
        return True

    def read_held(self, began):
        name = self.pick(self.model.blocks)
        if name not in self.held:
            self.held[name] = os.open(self.path(name), os.O_RDONLY)
        self._check_blocks(name, os.pread(self.held[name], BLOCKS * BLOCK, 0), began)
        return True

    def _check_blocks(self, name, data, began):
        if len(data) != BLOCKS * BLOCK:
            self.history.violate(f'{name}: mount {self.mount} read {len(data)} bytes')
        for number, cell in enumerate(self.model.blocks[name].cells):
            self._check_block(cell, data[number * BLOCK:(number + 1) * BLOCK], began)

    def _check_block(self, cell, data, began):
        found = versions_of(cell.name, data)
        if None in found or not found:
            self.history.violate(f'{cell.name}: mount {self.mount} read bytes that nobody has written: {data[:80]!r}')
            return
        # A page is only written while it is read if this very mount writes it.
        if len(found) > 1 and not self.history.wrote_near(cell, self.mount, began):
            self.history.violate(f'{cell.name}: mount {self.mount} read a mixture of the versions {sorted(found)}')
        self.history.read(cell, self.mount, 'read', min(found), began)

    def read_replaced(self, began):
        name = self.pick(self.model.swaps)
        try:
            with open(self.path(name), 'rb', buffering=0) as file:
                data = os.pread(file.fileno(), 2 * BLOCK, 0)
        except FileNotFoundError:
            self.history.violate(f'{name}: mount {self.mount} does not find the target of a rename')
            return True
        if len(data) != BLOCK:
            self._not_whole(name, f'read {len(data)} bytes of a replaced file')
        else:
            self._check_block(self.model.swaps[name].cells[0], data, began)
        return True

    def _not_whole(self, name, words):
        """A mount that loses changes shows them half undone until the kernel has forgotten all of them: the name of a
        rename that was lost, on a file whose writes were lost."""
        if not self.forgiving:
            self.history.violate(f'{name}: mount {self.mount} {words}')

    def stat_replaced(self, _):
        name = self.pick(self.model.swaps)
        try:
            if os.stat(self.path(name)).st_size != BLOCK:
                self._not_whole(name, 'sees a replaced file that is not whole')
        except FileNotFoundError:
            self.history.violate(f'{name}: mount {self.mount} does not find the target of a rename')
        return True

    def get_time(self, began):
        name = self.pick(self.model.times)
        ns = os.stat(self.path(name)).st_mtime_ns
        self.history.read(self.model.times[name].cells[0], self.mount, 'stat', ns // 10**9, began)
        return True

    def get_size(self, began):
        name = self.pick(self.model.sizes)
        size = os.stat(self.path(name)).st_size
        self.history.read(self.model.sizes[name].cells[0], self.mount, 'stat', size, began)
        return True

    def look_up(self, began):
        name = self.pick(self.model.names)
        try:
            os.lstat(self.path(name))
            there = True
        except FileNotFoundError:
            there = False
        self.history.read_state(self.model.names[name].cells[0], self.mount, 'look_up', there, began)
        return True

    def list(self, began):
        directory = f'name/{self.random.randrange(DIRECTORIES)}'
        found = os.listdir(self.path(directory))
        for number in range(NAMES):
            cell = self.model.names[f'{directory}/{number}'].cells[0]
            self.history.read_state(cell, self.mount, 'list', str(number) in found, began)
        unknown = sorted(set(found) - {str(number) for number in range(NAMES)})
        if unknown or len(found) != len(set(found)):
            self.history.violate(f'{directory}: mount {self.mount} lists {found}')
        return True


OPERATIONS, WEIGHTS = zip(*(
    (Client.write_whole, 4), (Client.write_range, 5), (Client.replace, 5), (Client.set_time, 3), (Client.set_size, 3),
    (Client.make_or_remove, 8), (Client.move, 3), (Client.fsync, 1), (Client.read, 12), (Client.read_held, 8),
    (Client.read_replaced, 12), (Client.stat_replaced, 8), (Client.get_time, 8), (Client.get_size, 8),
    (Client.look_up, 12), (Client.list, 8)))
