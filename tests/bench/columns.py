"""What is compared: places to work in. Each gives a fresh directory, forgets what is cached, and says what it cost."""
import json
import os
import resource
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'e2e'))

from harness import Missing, check, need, until  # noqa: E402


def drop_caches():
    """The kernel's caches of everything clean. Only root may; without it a cold row is not cold, and is left out."""
    os.sync()
    with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as file:
        file.write('3')


def can_drop_caches():
    return os.access('/proc/sys/vm/drop_caches', os.W_OK)


class Column:
    """One file system under test."""

    def __init__(self, box, name):
        self.box, self.name = box, name

    def fresh(self):
        """An empty directory on it."""
        raise NotImplementedError

    def cold(self):
        """Forgets everything cached, the file system's own caches included."""
        raise NotImplementedError

    def commit(self, top):
        """Returns when everything written below `top` is durable."""
        raise NotImplementedError

    def cost(self):
        """Counters that only grow, by name; empty where nobody counts."""
        return {}

    def done(self):
        """Takes the directory away."""
        raise NotImplementedError


class Local(Column):
    def __init__(self, box, where):
        super().__init__(box, 'local')
        self.base, self.top = where, None

    def fresh(self):
        self.top = os.path.join(self.base, 'local')
        os.makedirs(self.top)
        return self.top

    def cold(self):
        drop_caches()

    def commit(self, top):
        subprocess.run(['sync', '-f', top], check=True)

    def done(self):
        shutil.rmtree(self.top)


class PassThrough(Column):
    """libfuse's example passthrough_ll over a directory of the local disk, with its own defaults."""

    def __init__(self, box, where, name='pass-through'):
        super().__init__(box, name)
        self.base = where
        self.program = self._build()
        self.mount_point = self.process = None

    def _build(self):
        source = '/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c'
        packed = source + '.gz'
        if not os.path.exists(source) and not os.path.exists(packed):
            raise Missing('the examples of libfuse3-dev are not installed')
        directory = self.box.directory('passthrough')
        target = os.path.join(directory, 'passthrough_ll.c')
        text = open(source, 'rb').read() if os.path.exists(source) else \
            subprocess.run(['gzip', '-dc', packed], check=True, stdout=subprocess.PIPE).stdout
        with open(target, 'wb') as file:
            file.write(text)
        examples = os.path.dirname(source)
        flags = subprocess.run(['pkg-config', 'fuse3', '--cflags', '--libs'], check=True, stdout=subprocess.PIPE,
                               text=True).stdout.split()
        program = os.path.join(directory, 'passthrough_ll')
        self.box.run(['gcc', '-O2', '-w', '-I', examples, target, '-o', program, *flags])
        return program

    def _mount(self):
        def many_files():  # it holds a descriptor for each inode it knows
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.process = self.box.start([self.program, '-f', '-o', f'source={self.source}', self.mount_point],
                                      preexec_fn=many_files)
        until(10, lambda: os.path.ismount(self.mount_point), 'passthrough_ll mounts')

    def _umount(self):
        self.box.run(['umount', self.mount_point] if os.geteuid() == 0 else ['fusermount3', '-u', self.mount_point])
        self.process.wait(20)

    def fresh(self):
        self.source = os.path.join(self.base, 'source')
        self.mount_point = os.path.join(self.base, 'mnt')
        os.makedirs(self.source)
        os.makedirs(self.mount_point, exist_ok=True)
        self._mount()
        return self.mount_point

    def cold(self):
        self._umount()
        drop_caches()
        self._mount()

    def commit(self, top):
        subprocess.run(['sync', '-f', self.source], check=True)

    def done(self):
        self._umount()
        shutil.rmtree(self.source)


class Sboxfs(Column):
    """`where` is the box or, with a delay in between, another host's environment."""

    def __init__(self, box, mode, options=(), env=None):
        super().__init__(box, f'sboxfs {mode}')
        self.options, self.env = ['-o', mode, *options], env
        self.number, self.mounted, self.before = 0, None, {}

    def fresh(self):
        self.number += 1
        self.sandbox = f'{self.name.replace(" ", "-")}-{self.number}'
        self.box.sboxfs('create', self.sandbox, env=self.env)
        self.mounted = self.box.mount(self.sandbox, *self.options, env=self.env)
        self.before = {}
        return self.mounted.where

    def cold(self, between=drop_caches):
        for key, value in self._counted().items():
            self.before[key] = self.before.get(key, 0) + value
        where = self.mounted.where
        self.mounted.umount()
        self.box.mounts.remove(self.mounted)
        between()
        self.mounted = self.box.mount(self.sandbox, *self.options, where=where, env=self.env)

    def commit(self, top):
        self.mounted.sync()

    def _counted(self):
        for entry in json.loads(self.box.sboxfs('mount', '--json', '--stats', env=self.env).text):
            if entry['mount_point'] == self.mounted.where and entry.get('stats'):
                stats = entry['stats']
                return {**{f'fuse {kind}': count for kind, count in stats['requests'].items()},
                        'statements': stats['statements']}
        raise AssertionError(f'{self.mounted.where} counts nothing')

    def cost(self):
        counted = self._counted()
        total = {key: counted.get(key, 0) + self.before.get(key, 0) for key in {**counted, **self.before}}
        total['commits'] = self.box.info(self.sandbox, env=self.env)['version']
        total['wal bytes'] = int(self.box.value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"))
        return total

    def done(self):
        self.mounted.umount()
        self.box.mounts.remove(self.mounted)
        self.box.sboxfs('destroy', '--yes', self.sandbox, env=self.env)
        self.mounted = None

    def memory(self):
        """Private resident bytes of the mount's process."""
        with open(f'/proc/{self.mounted.pid}/smaps_rollup', encoding='ascii') as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith('Private_'))


class Other(Column):
    """Somebody else's mount: a command that mounts on $DIR and returns, and one that unmounts it."""

    def __init__(self, box, name, mount, umount):
        super().__init__(box, name)
        self.commands = mount, umount
        self.mount_point = None

    def _run(self, command):
        self.box.run(['sh', '-c', command], env={'DIR': self.mount_point}, timeout=300)

    def fresh(self):
        self.mount_point = self.box.directory('other', self.name)
        self._run(self.commands[0])
        check(os.path.ismount(self.mount_point), self.name, 'mounted nothing on', self.mount_point)
        top = os.path.join(self.mount_point, f'bench-{time.monotonic_ns()}')
        os.makedirs(top)
        return top

    def cold(self):
        self._run(self.commands[1])
        drop_caches()
        self._run(self.commands[0])

    def commit(self, top):
        subprocess.run(['sync', '-f', top], check=True)

    def done(self):
        self._run(self.commands[1])


__all__ = ['Local', 'PassThrough', 'Sboxfs', 'Other', 'can_drop_caches', 'Missing', 'need']
