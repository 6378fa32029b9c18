"""What goes wrong is told in one clear line with its own exit status, and leaves nothing half-created."""
import contextlib
import errno
import json
import os
import stat
import subprocess

import cleanup
from harness import BINARY, Suite, check, equal, need

suite = Suite('errors')
NOBODY = 65534


def fails(box, status, *words, says=(), **keywords):
    """The command ends with `status` and one line on standard error that has every word of `says`."""
    done = box.sboxfs(*words, status=None, **keywords)
    equal(done.status, status, done)
    lines = done.errors.splitlines()
    equal(len(lines), 1, f'lines of {done}')
    check(lines[0].startswith(f'sboxfs {words[0]}: '), 'the line does not name the command:', lines[0])
    for word in says:
        check(word in lines[0], f'"{word}" is not in: {lines[0]}')
    return lines[0]


@contextlib.contextmanager
def nothing_made(box):
    """Sandboxes, sessions, mounts, their records and processes are the same afterwards. (A lock file may stay.)"""
    def state():
        return (box.sql('SELECT tenant, name FROM sboxfs.sandboxes WHERE destroyed_at IS NULL ORDER BY 1, 2'),
                box.sql('SELECT session FROM sboxfs.sessions'), cleanup.mounts_below(box.root),
                sorted(name for name in os.listdir(os.path.join(box.home, 'run')) if not name.startswith('starting-')),
                [pid for pid in box.processes() if cleanup.comm(pid) == 'sboxfs'])
    before = state()
    yield
    after = state()
    for was, now in zip(before, after):
        equal(now, was, 'afterwards')


@suite.case('names: unknown, taken, not allowed')
def names(box):
    box.create('taken')
    with nothing_made(box):
        for command in ('info', 'destroy', 'copy', 'mount', 'umount', 'sync'):
            words = {'destroy': ['--yes', 'none'], 'copy': ['none', 'new'],
                     'mount': ['none', box.directory('m', 'x')]}.get(command, ['none'])
            fails(box, 3, command, *words, says=['none'])
        fails(box, 4, 'create', 'taken', says=['taken'])
        fails(box, 4, 'copy', 'taken', 'taken', says=['taken'])
        for name in ('', '.hidden', '_x', 'a/b', 'a b', 'n' * 129, '\u00e9', '01234567-89ab-cdef-0123-456789abcdef'):
            fails(box, 2, 'create', '--', name)
        fails(box, 5, 'list', '--tenant', 'nobody-knows', says=['nobody-knows'])
        fails(box, 5, 'create', '--tenant', 'nobody-knows', 'x')
    box.create('n' * 128)


@suite.case('usage: unknown commands and options, a missing argument, half an address')
def usage(box):
    box.create('usage')
    with nothing_made(box):
        done = box.sboxfs('frobnicate', status=None)
        equal((done.status, len(done.errors.splitlines())), (2, 1), done)
        where = box.directory('m', 'u')
        fails(box, 2, 'create')
        fails(box, 2, 'create', '--frobnicate', 'x', says=['frobnicate'])
        fails(box, 2, 'mount', 'usage')
        fails(box, 2, 'mount', '-o', 'ro,frobnicate', 'usage', where, says=['frobnicate'])
        fails(box, 2, 'mount', '--lease', 'soon', 'usage', where, says=['--lease'])
        for cache in ('--metadata-cache', '--content-cache'):  # too small for one call's needs it would never be answered
            fails(box, 2, 'mount', cache, '4K', 'usage', where, says=[cache])
        fails(box, 2, 'list', env={'SBOXFS_POSTGRES': 'host=/nowhere'}, says=['Redis'])
        os.makedirs(os.path.join(box.env['HOME'], '.config/sboxfs'))
        config = os.path.join(box.env['HOME'], '.config/sboxfs/config')
        with open(config, 'w', encoding='ascii') as file:
            file.write('# a comment\nfrobnicate = yes\n')
        try:
            fails(box, 2, 'list', says=[config + ':2'])
        finally:
            os.unlink(config)


@suite.case('mount points: missing, a file, not empty, busy')
def mount_points(box):
    box.create('points')
    where = box.directory('m', 'full')
    with open(os.path.join(where, 'file'), 'w', encoding='ascii'):
        pass
    mount = box.mount('points')
    with nothing_made(box):
        fails(box, 9, 'mount', 'points', os.path.join(box.root, 'm/none'), says=['none'])
        fails(box, 9, 'mount', 'points', os.path.join(where, 'file'))
        fails(box, 9, 'mount', 'points', where, says=['not empty'])
        fails(box, 9, 'mount', 'points', mount.where)
        equal(os.listdir(where), ['file'], 'the directory that was not empty')
    mount.umount()
    again = box.mount('points', '-o', 'nonempty', where=where)
    equal(os.listdir(where), [], 'mounted over it')
    again.umount()
    equal(os.listdir(where), ['file'], 'what was below')


@suite.case('services down: not reachable, one line; nothing is mounted')
def unreachable(box):
    env = {'SBOXFS_POSTGRES': f'host={box.root}/none user=sboxfs_t_default dbname=sboxfs',
           'SBOXFS_REDIS': f'unix://{box.root}/none/redis.sock'}
    for words in (('list',), ('create', 'x'), ('mount', 'x', box.directory('m', 'd'))):
        fails(box, 6, *words, env=env)
    done = box.sboxfs('exec', 'x', 'true', env=env, status=None)
    equal((done.status, len(done.errors.splitlines())), (125, 1), done)
    equal(cleanup.mounts_below(box.root), [], 'mounts')
    # Postgres answers, Redis does not.
    box.create('deaf')
    addresses = {**box.addresses(), 'SBOXFS_REDIS': env['SBOXFS_REDIS']}
    box.sboxfs('list', env=addresses)
    where = box.directory('m', 'deaf')
    done = box.sboxfs('mount', 'deaf', where, env=addresses, status=None)
    if done.status == 0:  # Redis is a cache: a mount that works without it is as good as a clear refusal.
        with open(os.path.join(where, 'f'), 'w', encoding='ascii') as file:
            file.write('x')
        box.sboxfs('umount', where, env=addresses, timeout=60)
        return 'a mount works without Redis'
    equal((done.status, len(done.errors.splitlines())), (6, 1), done)
    equal(cleanup.mounts_below(box.root), [], 'mounts')
    return 'no mount without Redis'


@suite.case('a wrong password; the right one from PGPASSFILE')
def password(box):
    box.create('secret')
    sockets = box.sockets()
    rules = os.path.join(box.home, 'pg_hba.conf')
    with open(rules, encoding='ascii') as file:
        before = file.read()
    box.sql("ALTER ROLE sboxfs_t_default PASSWORD 'right'")
    try:
        with open(rules, 'w', encoding='ascii') as file:
            file.write('local all sboxfs_t_default scram-sha-256\nlocal all all trust\n')
        box.sql('SELECT pg_reload_conf()')
        env = box.addresses()
        passwords = os.path.join(box.scratch, 'pgpass')
        for word, status in (('wrong', 7), ('right', 0)):
            with open(passwords, 'w', encoding='ascii') as file:
                file.write(f'*:*:*:*:{word}\n')
            os.chmod(passwords, 0o600)
            env = {**env, 'PGPASSFILE': passwords}
            if status:
                with nothing_made(box):
                    fails(box, status, 'list', env=env)
                    fails(box, status, 'mount', 'secret', box.directory('m', 'pw'), env=env)
            else:
                box.sboxfs('list', env=env)
                box.mount('secret', env=env).umount()
        equal(box.run([BINARY, 'list'], env={**env, 'PGPASSFILE': '/dev/null'}, status=None).status, 7, 'no password')
    finally:
        with open(rules, 'w', encoding='ascii') as file:
            file.write(before)
        box.sql('SELECT pg_reload_conf()', sockets=sockets)


@suite.case('a schema of a version it does not know')
def schema(box):
    box.create('schema')
    where = box.directory('m', 'schema')
    box.sql('INSERT INTO sboxfs.schema_version (version) VALUES (99)')
    try:
        with nothing_made(box):
            for words in (('list',), ('create', 'x'), ('mount', 'schema', where), ('init',)):
                fails(box, 8, *words, says=['99'])
    finally:
        box.sql('DELETE FROM sboxfs.schema_version WHERE version = 99')
    box.mount('schema')


@suite.case('create --from something broken: the name is free again')
def broken_source(box):
    broken = os.path.join(box.scratch, 'broken.tar')
    os.makedirs(os.path.join(box.scratch, 'good'))
    with open(os.path.join(box.scratch, 'good', 'file'), 'wb') as file:
        file.write(os.urandom(1 << 20))
    box.run(['tar', '-cf', broken, '-C', box.scratch, 'good'])
    os.truncate(broken, 300000)
    with nothing_made(box):
        fails(box, 3, 'create', '--from', os.path.join(box.scratch, 'none'), 'broken', says=['none'])
        done = box.sboxfs('create', '--from', broken, 'broken', status=None)
        check(done.status not in (0, 125) and len(done.errors.splitlines()) == 1, done)
    box.create('broken', '--from', os.path.join(box.scratch, 'good'))
    equal(box.sboxfs('exec', 'broken', 'ls').text, 'file\n', 'from a directory')


@suite.case('a dead mount point is recovered by itself')
def dead(box):
    box.create('dead')
    mount = box.mount('dead')
    mount.kill()
    try:
        os.listdir(mount.where)
        raise AssertionError('a dead mount answers')
    except OSError as error:
        check(error.errno in (errno.ENOTCONN, errno.ECONNABORTED), f'not the errno of a dead mount: {error}')
    again = box.mount('dead', where=mount.where)
    equal(os.listdir(again.where), [], 'the new mount')
    again.kill()
    box.sboxfs('umount', again.where)
    check(not again.mounted(), 'umount of a dead mount')


@suite.case('a normal user mounts without root, or is told what the host forbids')
def normal_user(box):
    user = NOBODY if os.geteuid() == 0 else None
    home = box.directory('user')
    if user:
        os.chown(home, user, user)
    where = os.path.join(home, 'mnt')
    program = BINARY
    if user and box.run(['test', '-x', BINARY], user=user, status=None).status != 0:
        program = os.path.join(box.root, 'sboxfs')
        box.run(['install', '-m', '755', BINARY, program])
    env = {'SBOXFS_HOME': os.path.join(home, 'h'), 'HOME': home, 'TMPDIR': home}

    def run(*words, status=0):
        return box.run([program, *words], env=env, cwd=home, user=user, status=status)

    box.run(['mkdir', where], user=user, cwd=home)
    try:
        run('create', 'mine')
        done = run('mount', 'mine', where, status=None)
        if done.status != 0:
            equal((done.status, len(done.errors.splitlines())), (11, 1), done)
            device = os.stat('/dev/fuse').st_mode & 0o777
            check(device & 0o006 != 0o006 or not os.path.exists('/usr/bin/fusermount3'),
                  'refused although /dev/fuse is open and fusermount3 there:', done)
            check('/dev/fuse' in done.errors or 'fusermount3' in done.errors, 'it does not say what:', done)
            equal(cleanup.mounts_below(box.root), [], 'mounts')
            equal(run('exec', 'mine', 'true', status=None).status, 125, 'exec')
            return f'forbidden here: {done.errors.strip()}'
        box.run(['sh', '-c', 'echo mine > f; mkdir d; mv f d; cat d/f'], user=user, cwd=where)
        equal(box.run(['stat', '-c', '%u', where + '/d/f'], user=user).text.strip(),
              str(user if user else os.geteuid()), 'the owner')
        run('umount', where)
        equal(run('exec', 'mine', 'cat', 'd/f').text, 'mine\n', 'exec')
        return 'mounted'
    finally:
        for point, _ in cleanup.mounts_below(home):
            cleanup.detach(point, lazy=True)
        run('services', 'stop', '--force', status=None)


OPEN_HOST = """
set -e
"$SBOXFS" create mine >made
"$SBOXFS" mount mine "$PWD/mnt"
cd mnt
echo mine > f; mkdir d; mv f d; chmod 4755 d/f
stat -c '%u %g %a' d/f
cd ..
"$SBOXFS" umount "$PWD/mnt"
"$SBOXFS" exec mine -- cat d/f
"$SBOXFS" services stop >stopped
"""


@suite.case('a normal user mounts without root on a host whose /dev/fuse is open to all')
def normal_user_on_an_open_host(box):
    need('unshare', 'setpriv')
    check(os.geteuid() == 0, 'only root can make a host of its own for this test')
    home = box.directory('open')
    os.mkdir(os.path.join(home, 'mnt'))
    for path in (home, os.path.join(home, 'mnt')):
        os.chown(path, NOBODY, NOBODY)
    program = os.path.join(box.root, 'sboxfs-for-all')
    box.run(['install', '-m', '755', BINARY, program])
    device = os.path.join(box.root, 'fuse')
    os.mknod(device, stat.S_IFCHR, os.stat('/dev/fuse').st_rdev)
    os.chmod(device, 0o666)
    env = {'SBOXFS_HOME': os.path.join(home, 'h'), 'HOME': home, 'TMPDIR': home, 'SBOXFS': program}
    # A mount namespace of its own: this host's /dev/fuse stays as it is. In a chroot / is no mount, but /dev is.
    done = box.run(['unshare', '--mount', '--propagation', 'unchanged', 'sh', '-ec',
                    'mount --make-rprivate / 2>/dev/null || mount --make-rprivate /dev; '
                    f'mount --bind {device} /dev/fuse; exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups '
                    'sh -c "$1"', 'sh', OPEN_HOST], env=env, cwd=home)
    equal(done.text, f'{NOBODY} {NOBODY} 4755\nmine\n', done)


@suite.case('two create the same name at once: one wins; init at once is safe')
def at_once(box):
    need('psql')
    processes = [box.start([BINARY, 'create', 'race'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                 for _ in range(6)]
    processes += [box.start([BINARY, 'init', '--tenant', f'team{number % 2}'], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE) for number in range(4)]
    results = [(process.communicate(timeout=60), process.returncode) for process in processes]
    equal(sorted(status for _, status in results[:6]), [0] + [4] * 5, [out for (out, _) in results[:6]])
    equal([status for _, status in results[6:]], [0] * 4, [out for (out, _) in results[6:]])
    equal([entry['name'] for entry in json.loads(box.sboxfs('list', '--json').text)].count('race'), 1, 'races')


if __name__ == '__main__':
    suite.main()
