"""What the end-to-end tests share: cases with names, time-outs and a summary; a private home; mounts that go away.

SBOXFS_BIN   the program under test (default build/sboxfs below the source tree)
SBOXFS_FULL  1: full sizes
SBOXFS_SEED  the seed of everything that is random (printed at the start)

A case that lacks something it needs fails and says what. Standard library only.
"""
import faulthandler
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import cleanup

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
BINARY = os.path.abspath(os.environ.get('SBOXFS_BIN') or os.path.join(SOURCE, 'build', 'sboxfs'))
FULL = os.environ.get('SBOXFS_FULL') == '1'
SEED = int(os.environ.get('SBOXFS_SEED') or random.SystemRandom().randrange(1 << 31))
GRACE = 10  # seconds between a case's time-out and the mounts' processes being killed


def sized(quick, full):
    return full if FULL else quick


class Missing(Exception):
    """A prerequisite is not there."""


class Timeout(Exception):
    pass


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Missing(f'{program} is not installed')


def check(condition, *words):
    if not condition:
        raise AssertionError(' '.join(str(word) for word in words))


def equal(got, wanted, what):
    if got != wanted:
        raise AssertionError(f'{what}: got {shorten(got)}, wanted {shorten(wanted)}')


def shorten(value, limit=600):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[:limit] + f'... ({len(text)} characters)'


def write(path, text='x'):
    with open(path, 'w', encoding='ascii') as file:
        file.write(text)


def key_of(sandbox):
    """The name of its version key in Redis."""
    return f'vfs:default:ver:{sandbox}'


def until(seconds, condition, what, pause=0.002):
    """Polls until condition() is true; returns the seconds it took. AssertionError after `seconds`."""
    start = time.monotonic()
    while True:
        if condition():
            return time.monotonic() - start
        if time.monotonic() - start > seconds:
            raise AssertionError(f'not within {seconds} s: {what}')
        time.sleep(pause)


class Outcome:
    def __init__(self, argv, status, out, err, seconds):
        self.argv, self.status, self.out, self.err, self.seconds = argv, status, out, err, seconds

    @property
    def text(self):
        return self.out.decode('utf-8', 'surrogateescape')

    @property
    def errors(self):
        return self.err.decode('utf-8', 'surrogateescape')

    def __str__(self):
        return (f'{" ".join(map(str, self.argv))}: status {self.status}\n'
                f'stdout: {shorten(self.text)}\nstderr: {shorten(self.errors, 2000)}')


class Mount:
    """A mount and its process."""

    def __init__(self, box, name, where, pid, log, env):
        self.box, self.name, self.where, self.pid, self.log, self.env = box, name, where, pid, log, env
        with open(f'/proc/{pid}/stat', 'rb') as file:
            self.born = file.read().rpartition(b')')[2].split()[19]

    def path(self, *parts):
        return os.path.join(self.where, *parts)

    def mounted(self):
        return any(where == self.where for where, _ in cleanup.mounts_below(self.box.root))

    def running(self):
        try:
            with open(f'/proc/{self.pid}/stat', 'rb') as file:
                words = file.read().rpartition(b')')[2].split()
        except OSError:
            return False
        return words[0] not in (b'Z', b'X') and words[19] == self.born

    def signal(self, number):
        check(self.running(), 'the process of', self.where, 'is gone')
        os.kill(self.pid, number)

    def kill(self):
        """SIGKILL, as a crash: returns when the process is gone. The dead mount stays."""
        self.signal(signal.SIGKILL)
        until(10, lambda: not self.running(), 'the killed process is gone')

    def umount(self, *options, **keywords):
        outcome = self.box.sboxfs('umount', *options, self.where, env=self.env, **keywords)
        if outcome.status == 0 and not options:
            check(not self.mounted(), self.where, 'is still mounted after sboxfs umount')
            until(2, lambda: not self.running(), 'the process is gone after sboxfs umount')
        return outcome

    def plain_umount(self):
        """umount(8) or fusermount3: returns at once, the process commits behind it."""
        argv = ['umount', self.where] if os.geteuid() == 0 else ['fusermount3', '-u', self.where]
        return self.box.run(argv)

    def sync(self, **keywords):
        return self.box.sboxfs('sync', self.where, env=self.env, **keywords)

    def log_text(self):
        with open(self.log, encoding='utf-8', errors='replace') as file:
            return file.read()

    def memory(self):
        """Resident bytes of the process now."""
        with open(f'/proc/{self.pid}/status', encoding='ascii') as file:
            for line in file:
                if line.startswith('VmRSS:'):
                    return int(line.split()[1]) * 1024
        raise AssertionError('no VmRSS')


class Box:
    """A private home in a short directory of its own, with everything that must go at the end."""

    def __init__(self):
        self.token = secrets.token_hex(8)
        self.root = os.path.realpath(tempfile.mkdtemp(prefix='sbx'))
        os.chmod(self.root, 0o755)
        self._guardian = subprocess.Popen([sys.executable, os.path.join(HERE, 'cleanup.py'), self.root, self.token],
                                          stdin=subprocess.PIPE, start_new_session=True)
        self.home = self.directory('h')
        self.scratch = self.directory('s')
        self.mounts = []
        self._number = 0
        self.env = {key: value for key, value in os.environ.items()
                    if not key.startswith(('SBOXFS_', 'PG', 'XDG_', 'GIT_'))}
        self.env.update({'SBOXFS_HOME': self.home, cleanup.VARIABLE: self.token, 'HOME': self.directory('u'),
                         'LC_ALL': 'C.UTF-8', 'TMPDIR': self.scratch})

    def directory(self, *parts):
        path = os.path.join(self.root, *parts)
        os.makedirs(path, exist_ok=True)
        return path

    def run(self, argv, *, status=0, input=None, timeout=120, env=None, cwd=None, user=None):
        """`status`: the one wanted, or None for any. `env`: changes to the environment."""
        environment = {**self.env, **(env or {})}
        start = time.monotonic()
        try:
            done = subprocess.run(argv, input=input, stdin=subprocess.DEVNULL if input is None else None,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, env=environment,
                                  cwd=cwd or self.scratch, user=user, group=user,
                                  extra_groups=None if user is None else [])
        except subprocess.TimeoutExpired as late:
            raise Timeout(f'{" ".join(map(str, argv))}: no end after {timeout} s\n'
                          f'stderr: {shorten((late.stderr or b"").decode(errors="replace"), 2000)}') from None
        outcome = Outcome(argv, done.returncode, done.stdout, done.stderr, time.monotonic() - start)
        check(status is None or outcome.status == status, outcome)
        return outcome

    def start(self, argv, *, env=None, cwd=None, **keywords):
        """A process beside the test; it dies with the box."""
        return subprocess.Popen(argv, env={**self.env, **(env or {})}, cwd=cwd or self.scratch, **keywords)

    def sboxfs(self, *words, **keywords):
        return self.run([BINARY, *words], **keywords)

    def create(self, name, *words):
        """Makes a sandbox and returns its id."""
        return self.sboxfs('create', *words, name).text.strip()

    def info(self, name, **keywords):
        return json.loads(self.sboxfs('info', '--json', name, **keywords).text)

    def mount(self, name, *options, where=None, env=None, timeout=60):
        if where is None:
            self._number += 1
            where = self.directory('m', str(self._number))
        self.sboxfs('mount', *options, name, where, env=env, timeout=timeout)
        for entry in json.loads(self.sboxfs('mount', '--json', env=env).text):
            if entry['mount_point'] == where and entry['alive']:
                mount = Mount(self, name, where, entry['pid'], entry['log_file'], env)
                self.mounts.append(mount)
                return mount
        raise AssertionError(f'{where} is not in the list of mounts')

    def services(self):
        """{postgres_pid, redis_pid, socket_dir}; starts nothing."""
        return json.loads(self.sboxfs('services', 'status', '--json', status=None).text)

    def addresses(self):
        """The private services as any other host would be given them."""
        self.sboxfs('services', 'start')
        pairs = (line[len('export '):].split('=', 1) for line in self.sboxfs('services', 'env').text.splitlines())
        return {key: value.strip("'") for key, value in pairs}

    def other_host(self, name):
        """An environment with a home of its own that uses the first home's services: as if another host."""
        return {'SBOXFS_HOME': self.directory(name), **self.addresses()}

    def processes(self):
        return cleanup.processes_of(self.root, self.token)

    def server_pids(self, name):
        return [pid for pid in self.processes() if cleanup.comm(pid) == name]

    def sql(self, text, *, user='postgres', status=0, sockets=None):
        """Runs SQL as the private server's administrator; [[column, ...], ...] of text."""
        need('psql')
        outcome = self.run(['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', sockets or self.sockets(),
                            '-U', user, '-d', 'sboxfs', '-f', '-'], input=text.encode(), status=status, timeout=900)
        return [line.split('|') for line in outcome.text.splitlines() if line]

    def value(self, text):
        rows = self.sql(text)
        check(len(rows) == 1, 'one row wanted:', text, rows)
        return rows[0][0]

    def sockets(self):
        return self.services()['socket_dir']

    def redis(self, *words):
        """One command; text, an int, None or a list."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(5)
        connection.connect(os.path.join(self.sockets(), 'redis.sock'))
        with connection, connection.makefile('rwb') as stream:
            stream.write(b'*%d\r\n' % len(words))
            for word in words:
                data = str(word).encode()
                stream.write(b'$%d\r\n%s\r\n' % (len(data), data))
            stream.flush()
            return read_reply(stream)

    def version_key(self, sandbox):
        return self.redis('GET', key_of(sandbox))

    def versions(self, sandbox):
        """[version, published_version] as Postgres has them; needs no Redis."""
        return [int(number) for number in
                self.sql(f"SELECT version, published_version FROM sboxfs.sandboxes WHERE id = '{sandbox}'")[0]]

    def no_mounts(self):
        """Unmounts what a case left, properly; problems are returned as words."""
        problems = []
        for mount in self.mounts:
            if mount.mounted() and mount.running():
                outcome = mount.umount(status=None, timeout=60)
                if outcome.status != 0:
                    problems.append(str(outcome))
            elif mount.mounted():  # of a process that was killed
                cleanup.detach(mount.where, lazy=True)
        self.mounts = []
        return problems

    def kill_mounts(self):
        """After a failure: nothing may keep the next case waiting."""
        for mount in self.mounts:
            if mount.running():
                os.kill(mount.pid, signal.SIGCONT)
                os.kill(mount.pid, signal.SIGKILL)
        for where, minor in reversed(cleanup.mounts_below(self.root)):
            cleanup.abort_connection(minor)
            cleanup.detach(where, lazy=True)
        self.mounts = []

    def end(self):
        """Stops the services and removes the directory; what should not have been there is returned as words."""
        problems = []
        self.kill_mounts()
        stopped = self.sboxfs('services', 'stop', '--force', status=None) if os.path.exists(BINARY) else None
        if stopped is not None and stopped.status != 0:
            problems.append(str(stopped))
        # Servers take a moment to leave /proc after their pid file has gone.
        if not cleanup.wait_gone(self.root, self.token, 3):
            problems += [f'left behind: process {pid} ({cleanup.comm(pid)})' for pid in self.processes()]
        self._guardian.stdin.close()
        self._guardian.wait(600)  # a large database goes file by file
        if os.path.lexists(self.root):
            problems.append(f'could not remove {self.root}')
        return problems


def read_reply(stream):
    line = stream.readline().rstrip(b'\r\n')
    kind, rest = line[:1], line[1:]
    if kind == b'-':
        raise AssertionError('Redis: ' + rest.decode())
    if kind == b'+':
        return rest.decode()
    if kind == b':':
        return int(rest)
    if kind == b'$':
        size = int(rest)
        return None if size < 0 else stream.read(size + 2)[:-2].decode('utf-8', 'surrogateescape')
    if kind == b'*':
        return [read_reply(stream) for _ in range(int(rest))]
    raise AssertionError(f'Redis answered {line!r}')


class Suite:
    """Cases in the order of their definition. Each is called with the box and returns its sizes, as words."""

    def __init__(self, name, fuse=True):
        self.name, self.fuse, self.cases = name, fuse, []

    def case(self, title, timeout=60):
        def add(function):
            self.cases.append((title, timeout, function))
            return function
        return add

    def main(self):
        wanted = sys.argv[1:]
        print(f'{self.name}: {BINARY}, {"full" if FULL else "quick"} sizes, seed {SEED}', flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        signal.signal(signal.SIGALRM, _on_alarm)
        passed = failed = 0
        begin = time.monotonic()
        box = Box()
        try:
            for title, timeout, function in self.cases:
                if wanted and not any(word in title for word in wanted):
                    continue
                if self._run(box, title, timeout, function):
                    passed += 1
                else:
                    failed += 1
        finally:
            problems = box.end()
        if problems:
            failed += 1
            print('FAIL  clean end: ' + '; '.join(problems))
        print(f'{self.name}: {time.monotonic() - begin:.1f} s')
        print(f'{passed} passed, {failed} failed', flush=True)
        sys.exit(1 if failed else 0)

    def _run(self, box, title, timeout, function):
        random.seed(f'{SEED} {title}')
        start = time.monotonic()
        rescue = threading.Timer(timeout + GRACE, _rescue, (box,))
        rescue.daemon = True
        rescue.start()
        signal.alarm(timeout)
        try:
            if not os.access(BINARY, os.X_OK):
                raise Missing(f'there is no program {BINARY} (set SBOXFS_BIN)')
            if self.fuse and not os.path.exists('/dev/fuse'):
                raise Missing('this host has no /dev/fuse')
            sizes = function(box) or ''
            problems = box.no_mounts()
            check(not problems, 'unmounting afterwards: ', '; '.join(problems))
            signal.alarm(0)
            print(f'ok    {title}  ({sizes + ", " if sizes else ""}{time.monotonic() - start:.1f} s)', flush=True)
            return True
        except (Exception, KeyboardInterrupt) as error:  # a failure of any kind is a failed case, reported below
            signal.alarm(0)
            print(f'FAIL  {title}  ({time.monotonic() - start:.1f} s)')
            print('      ' + str(error).replace('\n', '\n      '))
            for frame in traceback.extract_tb(error.__traceback__):
                if frame.filename.startswith(HERE) and not frame.filename.endswith('harness.py'):
                    print(f'      at {os.path.basename(frame.filename)}:{frame.lineno}: {frame.line}')
            _print_logs(box)
            box.kill_mounts()
            if isinstance(error, KeyboardInterrupt):
                raise
            return False
        finally:
            rescue.cancel()


def _on_alarm(*_):
    raise Timeout('the case took too long')


def _rescue(box):
    """The main thread may hang in a system call on a mount: only the mount's end lets it go on."""
    faulthandler.dump_traceback(sys.stderr)
    box.kill_mounts()


def _print_logs(box):
    for mount in {mount.log: mount for mount in box.mounts}.values():
        try:
            lines = mount.log_text().splitlines()[-12:]
        except OSError:
            continue
        print(f'      {mount.log}:')
        for line in lines:
            print('        ' + line)
