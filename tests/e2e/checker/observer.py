"""Watches that the key in Redis never runs ahead of Postgres, and how often the lease changes hands."""
import os
import socket
import subprocess
import threading
import time

from harness import read_reply


class Redis:
    """A connection that is made again after an error. OSError or AssertionError: Redis is away."""

    def __init__(self, path):
        self.path, self.connection = path, None

    def ask(self, *words):
        try:
            if self.connection is None:
                self.connection = socket.socket(socket.AF_UNIX)
                self.connection.settimeout(0.5)
                self.connection.connect(self.path)
            self.connection.sendall(b'*%d\r\n' % len(words) + b''.join(
                b'$%d\r\n%s\r\n' % (len(word), word.encode()) for word in words))
            with self.connection.makefile('rb') as stream:
                return read_reply(stream)
        except (OSError, AssertionError):
            self.close()
            raise

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Observer:
    def __init__(self, box, sandbox, history):
        self.box, self.sandbox, self.history = box, sandbox, history
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.redis = Redis(os.path.join(box.sockets(), 'redis.sock'))
        self.psql = box.start(['psql', '-X', '-q', '-A', '-t', '-h', box.sockets(), '-U', 'postgres', '-d', 'sboxfs'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        self.first_epoch, self.last_epoch, self.looks = self.row()[1], 0, 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def ask(self, text):
        """The first line of the answer."""
        with self.lock:
            self.psql.stdin.write(text.encode() + b';\n')
            return self.psql.stdout.readline().decode().strip()

    def row(self):
        """(version, epoch)"""
        answer = self.ask(f"SELECT version, epoch FROM sboxfs.sandboxes WHERE id = '{self.sandbox}'")
        return tuple(int(word) for word in answer.split('|'))

    def writer(self):
        """The mount point of whoever has the lease; '' when nobody has."""
        return self.ask("SELECT coalesce((SELECT e.mount_point FROM sboxfs.sandboxes s JOIN sboxfs.sessions e "
                        "ON e.sandbox = s.id AND e.session = s.writer WHERE s.lease_until > clock_timestamp() "
                        f"AND s.id = '{self.sandbox}'), '')")

    def _run(self):
        while not self.stop.wait(0.003):
            try:
                key = self.redis.ask('GET', f'vfs:default:ver:{self.sandbox}')  # first: Postgres can only be ahead of it
            except (OSError, AssertionError):
                time.sleep(0.05)  # Redis is away
                continue
            version, self.last_epoch = self.row()
            self.looks += 1
            if key is not None and int(key) > version:
                self.history.violate(f'the key says {key}, but Postgres has version {version}')

    def handovers(self):
        return self.last_epoch - self.first_epoch

    def end(self):
        self.stop.set()
        self.thread.join()
        self.redis.close()
        self.psql.stdin.close()
        self.psql.wait(10)
