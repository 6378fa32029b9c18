"""What goes wrong while the checker works. Two threads: one troubles Redis, the other Postgres and the mounts."""
import os
import random
import signal
import threading
import time

from harness import equal


class Faults:
    """`arena`: the box, the sandbox, the mounts and their history (coherence_checker.Arena)."""

    def __init__(self, arena, seed, kinds=None, pause=(0.3, 1.2)):
        self.arena, self.counts, self.pause = arena, {}, pause
        self.stop, self.trouble = threading.Event(), []
        kinds = KINDS if kinds is None else kinds
        groups = [[kind for kind in group if kind in kinds] for group in (OF_REDIS, OF_OTHERS)]
        self.threads = [threading.Thread(target=self._run, args=(group, random.Random(f'{seed} faults {number}')),
                                         daemon=True)
                        for number, group in enumerate(groups) if group]

    def start(self):
        for thread in self.threads:
            thread.start()

    def end(self):
        """Returns when everything works again."""
        self.stop.set()
        for thread in self.threads:
            thread.join()
        if self.trouble:
            raise AssertionError('; '.join(self.trouble))

    def _run(self, kinds, choose):
        order = []
        while not self.stop.wait(choose.uniform(*self.pause)):
            if not order:  # each kind as often as any other
                order = choose.sample(kinds, len(kinds))
            kind = order.pop()
            self.arena.history.note(f'fault {kind}')
            try:
                getattr(self, kind)(choose)
            except Exception as error:  # of a thread: told at the end
                self.trouble.append(f'{kind}: {error!r}')
                return
            self.arena.history.note(f'fault {kind} is over')
            self.counts[kind] = self.counts.get(kind, 0) + 1

    def _redis(self):
        return self.arena.box.services()['redis_pid']

    def redis_killed(self, choose, before_clients=None):
        pid = self._redis()
        os.kill(pid, signal.SIGKILL)
        while pid in self.arena.box.server_pids('redis-server') + self.arena.box.server_pids('valkey-server'):
            time.sleep(0.005)
        self.stop.wait(choose.uniform(0, 2))
        self.arena.box.sboxfs('services', 'start')
        if before_clients:
            self.arena.box.redis(*before_clients)

    def redis_restored(self, choose):
        """Comes back with what it had a while ago."""
        old = self.arena.box.version_key(self.arena.sandbox)
        self.stop.wait(choose.uniform(0.2, 1))
        key = f'vfs:default:ver:{self.arena.sandbox}'
        self.redis_killed(choose, ('SET', key, old) if old is not None else ('DEL', key))

    def redis_hung(self, choose):
        pid = self._redis()
        os.kill(pid, signal.SIGSTOP)
        try:
            self.stop.wait(choose.uniform(0.1, 2.5))
        finally:
            os.kill(pid, signal.SIGCONT)

    def redis_paused(self, choose):
        milliseconds = choose.randrange(50, 1500)
        self.arena.box.redis('CLIENT', 'PAUSE', milliseconds)
        self.stop.wait(milliseconds / 1000)

    def redis_flushed(self, _):
        self.arena.box.redis('FLUSHALL')

    def postgres_cut(self, choose):
        """Every connection of a mount, some times in a row."""
        for _ in range(choose.randint(1, 3)):
            self.arena.observer.ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                    "WHERE backend_type = 'client backend' AND usename <> 'postgres'")
            self.stop.wait(choose.uniform(0, 0.3))

    def mount_killed(self, choose):
        seat = choose.choice(self.arena.seats)
        seat.kill()
        self.stop.wait(choose.uniform(0, 0.5))
        seat.remount()

    def mount_stopped(self, choose):
        """For longer than its lease lasts: somebody else writes meanwhile, what it had not committed is lost. It is the
        one that writes right now, if that can be told."""
        where = self.arena.observer.writer()
        seat = next((seat for seat in self.arena.seats if seat.mount.where == where), choose.choice(self.arena.seats))
        seat.forgive(True)
        self.arena.history.end_life(seat.number)
        # By another process: one that this one starts may hang in close(2) of a file on that mount, before its exec, and
        # all threads here with it.
        pid = seat.mount.pid
        stopper = self.arena.box.start(['sh', '-c', f'kill -STOP {pid}; sleep {self.arena.lease + 1.5}; kill -CONT {pid}'])
        equal(stopper.wait(60), 0, 'who stops a mount')
        time.sleep(3)  # until it has found out
        self.arena.history.begin_life(seat.number, forget=False)
        seat.forgive(False)


OF_REDIS = ('redis_killed', 'redis_restored', 'redis_hung', 'redis_paused', 'redis_flushed')
OF_OTHERS = ('postgres_cut', 'mount_killed', 'postgres_cut', 'mount_killed', 'postgres_cut', 'mount_stopped')
KINDS = OF_REDIS + ('postgres_cut', 'mount_killed', 'mount_stopped')
