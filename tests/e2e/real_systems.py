"""Whole systems inside a mount: rsync with everything there is, a virtual environment, a Postgres server; at full size
git with 50,000 files, npm with 300 packages and a Debian made by debootstrap (both ask the network)."""
import glob
import os
import random
import shutil
import signal
import subprocess
import sys

from harness import FULL, SOURCE, Missing, Suite, check, equal, need, sized, until
from npm_packages import Packages, ci

suite = Suite('real_systems')
ROOT_OPTIONS = ('-o', 'allow_other,dev,suid')


def fresh(box, name, *options):
    box.create(name)
    return box.mount(name, *options)


def postgres_bin():
    found = sorted(glob.glob('/usr/lib/postgresql/*/bin'), key=lambda path: int(path.split('/')[-2]))
    if not found:
        raise Missing('no Postgres server is installed')
    return found[-1]


@suite.case('rsync -aHAX there and back: modes, owners, links, ACLs, attributes, holes', timeout=sized(90, 300))
def rsync(box):
    need('rsync', 'setfacl', 'setfattr')
    mount = fresh(box, 'rsync', *ROOT_OPTIONS)
    source, back = box.directory('s', 'source'), box.directory('s', 'back')
    count = sized(200, 5000)
    for number in range(count):
        path = os.path.join(source, f'd{number % 17}', f'f{number}')
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(random.randbytes(random.randrange(20_000)))
        os.chmod(path, random.choice((0o644, 0o755, 0o4755, 0o2711, 0o600)))
        os.utime(path, ns=(1, random.randrange(1 << 60)))
        if number % 10 == 0:
            os.link(path, path + '.link')
            os.symlink(f'f{number}', path + '.symlink')
            box.run(['setfattr', '-n', 'user.number', '-v', str(number), path])
            box.run(['setfacl', '-m', f'u:{1000 + number}:rw', path])
    with open(os.path.join(source, 'sparse'), 'wb') as file:
        file.truncate(50 << 20)
        file.seek(10 << 20)
        file.write(b'data')
    os.mkfifo(os.path.join(source, 'fifo'))
    if os.geteuid() == 0:
        os.mknod(os.path.join(source, 'null'), 0o20666, os.makedev(1, 3))
        os.chown(os.path.join(source, 'd1'), 1001, 1002)
    options = ['rsync', '-aHAXS', '--numeric-ids', '--delete']
    box.run([*options, source + '/', mount.path('copy') + '/'], timeout=300)
    mount.umount()
    mount = box.mount('rsync', *ROOT_OPTIONS)
    box.run([*options, mount.path('copy') + '/', back + '/'], timeout=300)
    for other in (mount.path('copy'), back):
        outcome = box.run([*options, '-n', '-i', '--checksum', source + '/', other + '/'], timeout=300)
        equal(outcome.text, '', 'what rsync would still change')
    check(os.stat(mount.path('copy', 'sparse')).st_blocks < 1000, 'the sparse file has holes')
    return f'{count} files'


@suite.case('python -m venv, and programs in it', timeout=120)
def venv(box):
    mount = fresh(box, 'venv')
    outcome = box.run([sys.executable, '-m', 'venv', '--without-pip', mount.path('env')], timeout=100)
    check(outcome.status == 0, outcome)
    python = mount.path('env', 'bin', 'python')
    equal(box.run([python, '-c', 'import sys; print(sys.prefix)']).text.strip(), mount.path('env'), 'the prefix')
    with open(mount.path('module.py'), 'w', encoding='ascii') as file:
        file.write('VALUE = 42\n')
    for _ in range(2):  # the second time from the compiled file
        equal(box.run([python, '-c', 'import module; print(module.VALUE)'], cwd=mount.where,
                      env={'PYTHONDONTWRITEBYTECODE': ''}).text, '42\n', 'import')
    check(os.listdir(mount.path('__pycache__')), 'a compiled module')


@suite.case('a Postgres data directory: pgbench, kill -9 of the server, recovery', timeout=sized(150, 900))
def postgres(box):
    if os.geteuid() != 0:
        raise Missing('root is needed: the server runs as postgres')
    need('runuser')
    bin_dir, transactions = postgres_bin(), sized(200, 5000)
    mount = fresh(box, 'pgdata', '-o', 'allow_other')
    data, sockets = mount.path('data'), box.directory('pgs')
    os.mkdir(data)
    for path in (data, sockets):
        box.run(['chown', 'postgres', path])

    def run(*words, **keywords):
        return box.run(['runuser', '-u', 'postgres', '--', os.path.join(bin_dir, words[0]), *words[1:]], cwd='/',
                       timeout=600, **keywords)

    def sql(text):
        return run('psql', '-X', '-A', '-t', '-h', sockets, '-p', '5999', '-c', text, 'postgres').text.strip()

    def start():
        run('pg_ctl', '-D', data, '-w', '-t', '120', '-l', os.path.join(sockets, 'log'), '-o',
            f'-c listen_addresses= -c unix_socket_directories={sockets} -c port=5999', 'start')
        with open(os.path.join(data, 'postmaster.pid'), encoding='ascii') as file:
            return int(file.readline())

    run('initdb', '-D', data, '-A', 'trust', '--no-locale', '-E', 'UTF8')
    pid = start()
    try:
        run('pgbench', '-i', '-q', '-s', '1', '-h', sockets, '-p', '5999', 'postgres')
        run('pgbench', '-n', '-c', '2', '-t', str(transactions), '-h', sockets, '-p', '5999', 'postgres')
        busy = subprocess.Popen(['runuser', '-u', 'postgres', '--', os.path.join(bin_dir, 'pgbench'), '-n', '-c', '2', '-T',
                                 '60', '-h', sockets, '-p', '5999', 'postgres'], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, cwd='/', env=box.env)
        before = int(sql('SELECT count(*) FROM pgbench_history'))
        until(60, lambda: int(sql('SELECT count(*) FROM pgbench_history')) > before + 20, 'transactions go on')
        before = int(sql('SELECT count(*) FROM pgbench_history'))
        os.kill(pid, signal.SIGKILL)
        busy.wait(60)
        until(30, lambda: not os.path.exists(f'/proc/{pid}'), 'the server is gone')
        pid = start()
        after = int(sql('SELECT count(*) FROM pgbench_history'))
        check(after >= before, f'{before} transactions were committed, {after} are there')
        equal(sql('SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)'),
              't', 'the balance')
        sql('SELECT count(*) FROM (SELECT 1 FROM pgbench_accounts ORDER BY aid) AS every')
    finally:
        run('pg_ctl', '-D', data, '-m', 'immediate', 'stop', status=None)
    return f'{after} transactions'


if FULL:
    @suite.case('git: a repository of 50,000 files', timeout=900)
    def git(box):
        need('git')
        mount = fresh(box, 'git')
        top = mount.path('repository')
        env = {'GIT_AUTHOR_NAME': 'a', 'GIT_AUTHOR_EMAIL': 'a@b', 'GIT_COMMITTER_NAME': 'a', 'GIT_COMMITTER_EMAIL': 'a@b',
               'GIT_CONFIG_COUNT': '1', 'GIT_CONFIG_KEY_0': 'gc.auto', 'GIT_CONFIG_VALUE_0': '0'}

        def run(*words):
            return box.run(['git', '-C', top, *words], env=env, timeout=600).text

        for directory in range(250):
            os.makedirs(os.path.join(top, f'd{directory}'))
        for number in range(50_000):
            with open(os.path.join(top, f'd{number % 250}', f'f{number}'), 'w', encoding='ascii') as file:
                file.write(f'{number}\n' * (number % 30))
        run('init', '-q')
        run('add', '.')
        run('commit', '-q', '-m', 'all')
        run('checkout', '-q', '-b', 'other')
        run('mv', 'd1', 'moved')
        run('rm', '-q', '-r', 'd2')
        run('commit', '-q', '-m', 'moved')
        run('checkout', '-q', '-')
        run('gc', '-q')
        equal(run('status', '--porcelain'), '', 'status')
        mount.umount()
        mount = box.mount('git')
        top = mount.path('repository')
        equal(run('status', '--porcelain'), '', 'status after a re-mount')
        run('fsck', '--full', '--strict')
        run('checkout', '-q', 'other')
        equal(len(os.listdir(os.path.join(top, 'moved'))), 200, 'what was moved')
        check(not os.path.exists(os.path.join(top, 'd2')), 'what was removed')
        return '50,000 files'

    @suite.case('npm ci of a lock file of 300 packages: equal to a local disk', timeout=900)
    def npm(box):
        packages = Packages(box, 7)
        check(packages.count >= 300, packages.count, 'packages')
        mount = fresh(box, 'npm')
        local = box.directory('s', 'local')
        for top in (local, mount.where):
            ci(packages, top)
        equal(box.run(['npm', 'ls', '--all', '--silent'], cwd=mount.where, timeout=300).status, 0, 'npm ls')
        mount.umount()
        mount = box.mount('npm')
        box.run(['diff', '-r', '--no-dereference', os.path.join(local, 'node_modules'), mount.path('node_modules')],
                timeout=300)
        box.run(['node', '-e', 'require("express"); require("webpack"); require("typescript")'], cwd=mount.where)
        return f'{packages.count} packages, {packages.files} files'

    @suite.case('debootstrap into the mount, then dpkg and apt in that Debian', timeout=1500)
    def debootstrap(box):
        need('debootstrap', 'unshare', 'chroot')
        mount = fresh(box, 'debian', *ROOT_OPTIONS)
        with open('/etc/os-release', encoding='ascii') as file:
            release = dict(line.rstrip().split('=', 1) for line in file if '=' in line)['VERSION_CODENAME']
        mirror = box.run([os.path.join(SOURCE, 'scripts', 'mirror')]).text.strip()

        def run(*words, timeout=600):
            # What debootstrap mounts goes with the namespace, whatever happens.
            return box.run(['unshare', '--mount', '--propagation', 'private', *words], timeout=timeout,
                           env={'LC_ALL': 'C.UTF-8', 'DEBIAN_FRONTEND': 'noninteractive'}, cwd='/')

        run('debootstrap', '--variant=minbase', release, mount.path('debian'), mirror, timeout=1200)
        for name in ('resolv.conf', 'hosts'):
            shutil.copy(os.path.join('/etc', name), mount.path('debian', 'etc', name))
        with open(mount.path('debian', 'etc', 'apt', 'apt.conf.d', '90host'), 'w', encoding='ascii') as file:
            file.writelines(line + '\n' for line in box.run(['apt-config', 'dump']).text.splitlines()
                            if line.startswith(('Acquire::http', 'Acquire::https')))
        mount.umount()
        mount = box.mount('debian', *ROOT_OPTIONS)
        top = mount.path('debian')
        run('chroot', top, 'apt-get', 'update', '-q')
        run('chroot', top, 'apt-get', 'install', '-q', '-y', '--no-install-recommends', 'git', 'sudo')
        equal(run('chroot', top, 'dpkg', '--audit').text, '', 'dpkg --audit')
        equal(run('chroot', top, 'dpkg', '--verify').text, '', 'dpkg --verify')
        check(os.stat(os.path.join(top, 'usr', 'bin', 'sudo')).st_mode & 0o4000, 'sudo is setuid')
        run('chroot', top, 'git', '--version')
        run('chroot', top, 'apt-get', 'purge', '-q', '-y', '--autoremove', 'git')
        check(not os.path.exists(os.path.join(top, 'usr', 'bin', 'git')), 'git is gone')
        return release


if __name__ == '__main__':
    suite.main()
