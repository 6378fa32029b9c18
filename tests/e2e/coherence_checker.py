"""Random operations from three mounts of one sandbox while Redis, Postgres and the mounts fail: nobody reads anything
older than what he has read before, nothing that was never written, and in the end all agree with Postgres.

What is checked, and what async may lose, is told in checker/history.py. The last cases break the program on purpose
(SBOXFS_FAULT, see base/fault.hpp) and want the checker to notice.
"""
import errno
import os
import threading
import time

import cleanup
from checker.faults import KINDS, Faults
from checker.history import History
from checker.observer import Observer
from checker.tree import Client, Model
from harness import FULL, SEED, Suite, check, sized, until

suite = Suite('coherence_checker')
MOUNTS, CLIENTS, LEASE, AUDIT = 3, 2, 5, 2
BOUND = 12.0  # seconds: a mount may be stopped for LEASE + 1.5, and needs an audit then
SETTLED = 4.0  # seconds after which all mounts agree once nobody writes any more


class Seat:
    """One of the places for a mount; killed mounts are followed by others."""

    def __init__(self, arena, number):
        self.arena, self.number, self.stop = arena, number, threading.Event()
        self.ready, self.clients, self.threads = threading.Event(), [], []
        self.mount, self.forgiving = None, False
        self.remount(first=True)

    def kill(self):
        """As a crash. Everybody who works there gets an error, and leaves."""
        self.ready.clear()
        self.arena.history.end_life(self.number)
        self.mount.kill()
        until(10, lambda: not self.clients, f'who works in {self.mount.where} gets an error after kill -9')
        cleanup.detach(self.mount.where, lazy=True)

    def remount(self, first=False):
        arena = self.arena
        # Begins before: the mount must show what was committed until now.
        if not first:
            arena.history.begin_life(self.number)
        self.mount = arena.box.mount(arena.name, '--lease', f'{LEASE}s', '--audit-interval', f'{AUDIT}s',
                                     '--drain-interval', '1s', env=arena.env)
        if first:
            arena.history.begin_life(self.number)
        self.ready.set()

    def start(self):
        self.threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def forgive(self, whether):
        self.forgiving = whether
        for client in self.clients:
            client.forgiving = whether

    def _work(self, number):
        life = 0
        while not self.stop.is_set() and not self.arena.history.broken():
            if not self.ready.wait(0.1):
                continue
            life += 1
            client = Client(self.arena.model, self.number, self.mount.where, number, f'{self.arena.seed} {life}')
            client.forgiving = self.forgiving
            self.clients.append(client)
            try:
                while not self.stop.is_set() and not self.arena.history.broken() and client.step():
                    pass
                client.close()
            except Exception as error:  # of a thread: told at the end
                self.arena.history.violate(f'mount {self.number}: {error!r}')
                return
            finally:
                self.clients.remove(client)
            self.stop.wait(0.05)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


class Arena:
    def __init__(self, box, name, seed, env=None, bound=BOUND):
        self.box, self.name, self.seed, self.env, self.lease = box, name, seed, env, LEASE
        self.history = History(bound)
        self.sandbox = box.create(name)
        self.model = Model(self.history)
        maker = box.mount(name)
        self.model.make(maker.where)
        maker.umount()
        self.observer = Observer(box, self.sandbox, self.history)
        self.seats = [Seat(self, number) for number in range(MOUNTS)]

    def run(self, seconds, kinds, stop_early=False, pause=(0.3, 1.2)):
        faults = Faults(self, self.seed, kinds, pause)
        for seat in self.seats:
            seat.start()
        faults.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (self.history.violations if stop_early else self.history.broken()):
            time.sleep(0.05)
        try:
            faults.end()
        finally:
            for seat in self.seats:
                seat.end()
        return faults.counts

    def agree(self):
        """After quiet: all mounts show what a fresh one reads from Postgres, and the key is the version."""
        for seat in self.seats:
            # A mount that was stopped may say once that changes were lost.
            if (told := seat.mount.sync(status=None)).status != 0:
                check('changes were lost' in told.errors, 'sync:', told.errors)
                seat.mount.sync()
        fresh = self.box.mount(self.name)
        truth = snapshot(fresh.where)
        for path, state in truth.items():
            if isinstance(state, str):
                self.history.violate(f'in the end a fresh mount can not read {path}: {state}')
        end = time.monotonic() + SETTLED
        for seat in self.seats:
            while (found := snapshot(seat.mount.where)) != truth and time.monotonic() < end:
                time.sleep(0.05)
            for path in sorted(set(found) | set(truth)):
                if found.get(path) != truth.get(path):
                    self.history.violate(f'in the end mount {seat.number} has {path} as {brief(found.get(path))}, '
                                         f'Postgres as {brief(truth.get(path))}')
        self._newest(fresh)
        while time.monotonic() < end and self._key() != self.observer.row()[0]:
            time.sleep(0.05)
        if self._key() != self.observer.row()[0]:
            self.history.violate(f'in the end the key is {self._key()}, the version {self.observer.row()[0]}')
        fresh.umount()

    def _key(self):
        return int(self.box.version_key(self.sandbox) or 0)

    def _newest(self, fresh):
        """Nothing certain is missing: a reader that comes now sees the last certain version of everything."""
        self.history.begin_life('fresh')
        client = Client(self.model, 'fresh', fresh.where, 0, self.seed)
        for _ in range(400):
            client.step()
        client.close()

    def end(self):
        for seat in self.seats:
            seat.stop.set()
        self.observer.end()


def snapshot(where):
    """{path: (kind, size, time, contents or names)}; without the files that a killed mount left beside their target."""
    found = {}
    for directory, names, files in os.walk(where):
        for name in files:
            path = os.path.join(directory, name)
            try:
                with open(path, 'rb') as file:
                    data = file.read()
                state = os.stat(path)
            except OSError as error:
                found[path[len(where):]] = repr(error)
                continue
            found[path[len(where):]] = (state.st_size, state.st_mtime_ns, data)
        found[directory[len(where):] + '/'] = sorted(names)
    return found


def brief(state):
    if not isinstance(state, tuple):
        return repr(state)
    return f'{state[0]} bytes of {state[1]}: {state[2][:56]!r}'


def report(arena, faults, seconds):
    history = arena.history
    print(f'      seed {arena.seed}: {history.total()} operations in {seconds:.0f} s, '
          f'{arena.observer.handovers()} hand-overs of the lease, {arena.observer.looks} looks at the key')
    print('      operations: ' + ', '.join(f'{name} {count}' for name, count in sorted(history.operations.items())))
    print('      faults: ' + (', '.join(f'{name} {count}' for name, count in sorted(faults.items())) or 'none'))
    print(f'      verdict: {len(history.violations)} violations', flush=True)


def judge(arena):
    if arena.history.violations:
        first = arena.history.violations[:12]
        start = arena.history.log[0][0]
        lines = [f'{moment - start:8.3f} {words}' for moment, words in arena.history.log]
        at = next(number for number, line in enumerate(lines) if ' VIOLATION ' in line)
        raise AssertionError('\n'.join(first + ['what happened before:'] + lines[max(0, at - 50):at + 5]) + f'\nSBOXFS_SEED={SEED} repeats it')


@suite.case('three mounts and all faults', timeout=sized(120, 1500))
def everything(box):
    totals, operations, handovers = {}, 0, 0
    seeds = [SEED + number for number in range(sized(1, 5))]
    for number, seed in enumerate(seeds):
        arena = Arena(box, f'all{number}', seed)
        start = time.monotonic()
        try:
            faults = arena.run(sized(12, 75), KINDS)
            arena.agree()
        finally:
            arena.end()
        report(arena, faults, time.monotonic() - start)
        judge(arena)
        problems = box.no_mounts()
        check(not problems, 'unmounting: ', '; '.join(problems))
        operations, handovers = operations + arena.history.total(), handovers + arena.observer.handovers()
        for kind, count in faults.items():
            totals[kind] = totals.get(kind, 0) + count
    if FULL:
        check(operations >= 10000 and handovers >= 100, 'too little was done:', operations, handovers)
        check(all(totals.get(kind, 0) >= 5 for kind in KINDS), 'too few faults:', totals)
    return f'{len(seeds)} seeds, {operations} operations, {handovers} hand-overs, {sum(totals.values())} faults'


@suite.case('kill -9 while a notification waits behind a request: everybody gets an error, nobody hangs', timeout=60)
def killed_while_notifying(box):
    box.create('hang')
    one = box.mount('hang')
    os.mkdir(one.path('d'))
    one.sync()
    # Its loads take long; a look-up that waits for one holds the directory's lock, which the notification wants.
    two = box.mount('hang', env={'SBOXFS_FAULT': 'load.read=stall:2000'})
    os.listdir(two.where)
    answers = []

    def look(name):
        try:
            answers.append(os.stat(two.path('d', name)))
        except OSError as error:
            answers.append(error.errno)

    lookers = [threading.Thread(target=look, args=(f'n{number}',), daemon=True) for number in range(4)]
    for looker in lookers:
        looker.start()
    for number in range(4):
        with open(one.path('d', f'n{number}'), 'wb'):
            pass
    one.sync()

    def waits():
        for task in os.listdir(f'/proc/{two.pid}/task'):
            with open(f'/proc/{two.pid}/task/{task}/stat', 'rb') as file:
                if file.read().rpartition(b')')[2].split()[0] == b'D':
                    return True
        return False

    waited = until(1.9, lambda: waits() and not time.sleep(0.1) and waits(), 'a notification waits')
    two.kill()
    start = time.monotonic()
    for looker in lookers:
        looker.join(10)
    check(not any(looker.is_alive() for looker in lookers), 'a look-up hangs after kill -9')
    check(set(answers) <= {errno.ENOTCONN, errno.ECONNABORTED}, 'answers:', answers)
    return f'the notification waited after {waited * 1000:.0f} ms, the last error came {time.monotonic() - start:.2f} s ' \
           'after the kill'


# Each bug with what makes it show soon (a longer moment in which it matters, or the fault that it needs), and after how
# many seconds the mounts must disagree with Postgres if nothing else was noticed before.
PLANTED = {
    'an invalidation is skipped': ('notify.skip=fail', (), 4),
    'a delta is skipped': ('adopt.skip_delta=fail', (), 4),
    'a load older than what was seen is installed': ('load.install_old=fail,load.read=stall:80', (), 10),
    'the epoch is ignored': ('commit.ignore_epoch=fail,commit.before=stall:200', ('mount_stopped',), 40),
    'a version is published before it is committed': ('publish.early=fail,commit.before=stall:20', (), 8),
}


def plant(words, fault, kinds, seconds):
    @suite.case(f'planted bug, found: {words}', timeout=300)
    def planted(box):
        start = time.monotonic()
        for attempt in range(6):  # some bugs need luck to show
            name = f'{fault.partition("=")[0]}-{attempt}'
            arena = Arena(box, name, SEED + attempt, env={'SBOXFS_FAULT': fault}, bound=BOUND if kinds else 3.0)
            try:
                arena.run(seconds, kinds, stop_early=True, pause=(0.5, 1))
                if not arena.history.violations:
                    arena.agree()
            finally:
                arena.end()
            box.kill_mounts()
            box.sboxfs('destroy', '--yes', name)
            if arena.history.violations:
                return (f'seed {SEED + attempt}, {arena.history.total()} operations, {time.monotonic() - start:.1f} s: '
                        f'{arena.history.violations[0][:140]}')
        raise AssertionError('the checker did not notice')


for bug, plan in PLANTED.items():
    plant(bug, *plan)

if __name__ == '__main__':
    suite.main()
