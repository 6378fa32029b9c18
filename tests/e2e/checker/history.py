"""What was written and what was read, and whether the one fits the other.

A cell is one thing that is read as a whole: a 4 KiB block of a file, a file's time or size, whether a name exists. Its
versions are numbered in the order in which they were written: writers of one cell take turns (whatever mount they use),
so the order is known. A mount's reads of a cell may never go back; that is kept per way of reading (`view`), because the
kernel keeps a name, a listing, attributes and pages apart and takes them back one after the other.

What async may lose. A version is *certain* once the write returned and its mount can not lose it any more: it was
fsynced, another mount has seen it, or another mount has written afterwards (the lease only goes on when everything is
committed). A mount that is killed, or stopped for longer than its lease, may lose its other versions - the newest ones
only: whatever of it is seen later makes everything older of it certain. Its life ends then (`Life`), and a mount that
was stopped may forget what it had seen of itself.
"""
import threading
import time


class Life:
    """A mount from its start (or thaw) until it is killed (or stopped)."""

    def __init__(self, mount, number, process):
        self.mount, self.number, self.process = mount, number, process
        self.committed_to = -1.0  # what returned before this moment is committed
        self.ended = False        # may have lost what came after it

    def __repr__(self):
        return f'mount {self.mount} life {self.number}'


class Version:
    def __init__(self, number, state, life):
        self.number, self.state, self.life = number, state, life
        self.began, self.ended, self.failed = time.monotonic(), None, False

    def committed(self):
        return self.ended is not None and not self.failed and (self.life is None or self.ended < self.life.committed_to)

    def certain(self):
        return self.committed() or self.ended is not None and not self.failed and not self.life.ended


class Cell:
    """`state` of a version is what a reader can tell it by: a number, or whether the name is there."""

    def __init__(self, name, state):
        first = Version(0, state, None)
        first.ended = first.began
        self.name, self.versions = name, [first]
        self.floors = {}  # (mount, view) -> [(when a read had returned it, version number)], rising
        self.writing = {}  # mount -> when its last write ended (infinity: one is under way)


class History:
    """Thread-safe. Violations are collected, in words."""

    def __init__(self, bound):
        self.bound = bound  # seconds after which every mount shows what is certain
        self.lock = threading.RLock()
        self.lives, self.violations, self.operations, self.cells = {}, [], {}, {}
        self.log = []

    def cell(self, name, state):
        with self.lock:
            self.cells[name] = Cell(name, state)
            return self.cells[name]

    def begin_life(self, mount, forget=True):
        """`forget`: it is another process, which starts with what is committed."""
        with self.lock:
            before = self.lives.get(mount) or Life(mount, 0, 0)
            life = self.lives[mount] = Life(mount, before.number + 1, before.process + (1 if forget else 0))
            for cell in self.cells.values() if forget else ():
                for key in [key for key in cell.floors if key[0] == mount]:
                    del cell.floors[key]
                cell.floors[mount, None] = [(0.0, max(v.number for v in cell.versions if v.committed()))]
            self._note(f'{life} begins')

    def end_life(self, mount):
        """Just before the mount is killed or stopped."""
        with self.lock:
            self.lives[mount].ended = True
            for cell in self.cells.values():
                for key in [key for key in cell.floors if key[0] == mount]:
                    cell.floors[key] = [(0.0, self._certain(cell, cell.floors[key][-1][1]))]
            self._note(f'{self.lives[mount]} ends')

    def count(self, operation):
        with self.lock:
            self.operations[operation] = self.operations.get(operation, 0) + 1

    def violate(self, words):
        with self.lock:
            self.violations.append(words)
            self._note('VIOLATION ' + words)

    def broken(self):
        """So much is wrong that more of it tells nothing."""
        return len(self.violations) > 100

    def _note(self, words):
        self.log.append((time.monotonic(), words))

    def note(self, words):
        with self.lock:
            self._note(words)

    # Writing. The caller is the cell's only writer until end().

    def begin(self, cell, mount, state=None):
        """`state`: None: the version's number."""
        with self.lock:
            number = len(cell.versions)
            version = Version(number, number if state is None else state, self.lives[mount])
            cell.versions.append(version)
            cell.writing[mount] = float('inf')
            return version

    def end(self, cell, mount, version, failed=False):
        with self.lock:
            version.ended, version.failed = time.monotonic(), failed
            cell.writing[mount] = version.ended
            if failed:
                return
            # Whoever writes has the lease: everybody else has committed what came before.
            for life in self.lives.values():
                if life.mount != mount and not life.ended:
                    life.committed_to = max(life.committed_to, version.began)

    def fsynced(self, life, began):
        """fsync began at `began` and returned success."""
        with self.lock:
            life.committed_to = max(life.committed_to, began)

    def newest(self, cell):
        with self.lock:
            return cell.versions[-1].state

    # Reading.

    def _certain(self, cell, number):
        while number > 0 and not cell.versions[number].certain():
            number -= 1
        return number

    def _floor(self, cell, mount, view, began):
        """What had been returned when the read began: reads at the same time may overtake each other."""
        least = 0
        for key in ((mount, view), (mount, None)):
            for moment, number in reversed(cell.floors.get(key, ())):
                if moment < began:
                    least = max(least, number)
                    break
        return least

    def _bound(self, cell, began):
        for version in reversed(cell.versions):
            if version.ended is not None and version.ended < began - self.bound and version.certain():
                return version.number
        return 0

    def read(self, cell, mount, view, number, began):
        """A read that began at `began` found this version."""
        with self.lock:
            if not 0 <= number < len(cell.versions):
                return self.violate(f'{cell.name}: mount {mount} read version {number}, which nobody has written')
            self._seen(cell, mount, view, number, began)

    def read_state(self, cell, mount, view, state, began):
        """A read found a state that several versions may have: the oldest one that fits."""
        with self.lock:
            least = max(self._floor(cell, mount, view, began), self._bound(cell, began))
            for version in cell.versions[least:]:
                if version.state == state:
                    return self._raise(cell, mount, view, version.number)
            recent = [(v.number, v.state, str(v.life)) for v in cell.versions[-4:]]
            self.violate(f'{cell.name}: mount {mount} found {state} by {view}, but has seen (or must see) version '
                         f'{least}, and since then there is {recent}')

    def _seen(self, cell, mount, view, number, began):
        floor, bound = self._floor(cell, mount, view, began), self._bound(cell, began)
        if number < floor:
            return self.violate(f'{cell.name}: mount {mount} read version {number} by {view} after version {floor}')
        if number < bound:
            return self.violate(f'{cell.name}: mount {mount} still reads version {number} by {view} although version '
                                f'{bound} is {began - cell.versions[bound].ended:.1f} s old')
        version = cell.versions[number]
        reader = self.lives[mount]
        if version.life is not None and (version.life.mount, version.life.process) != (mount, reader.process):
            version.life.committed_to = max(version.life.committed_to, version.began)
            if version.ended is not None:  # it is committed itself
                version.life.committed_to = max(version.life.committed_to, version.ended + 1e-9)
        self._raise(cell, mount, view, number)

    def _raise(self, cell, mount, view, number):
        rising = cell.floors.setdefault((mount, view), [])
        number = self._certain(cell, number)
        if not rising or rising[-1][1] < number:
            rising.append((time.monotonic(), number))
            del rising[:-50]

    def wrote_near(self, cell, mount, began):
        """Whether this mount itself wrote the cell at any time since `began`."""
        with self.lock:
            return cell.writing.get(mount, -1.0) >= began

    def total(self):
        with self.lock:
            return sum(self.operations.values())
