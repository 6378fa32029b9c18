"""A COMMIT whose answer is lost is applied exactly once, also when the server finishes it later."""
import os
import random

from harness import Suite, check, equal, sized
from pg_proxy import CommitCutter

suite = Suite('lost_answers')


def through(box, name, odds):
    """The proxy, and the environment that goes through it."""
    directory = box.directory(name)
    addresses = box.addresses()
    proxy = CommitCutter(directory, box.sockets(), random.random(), odds)
    env = {**addresses, 'SBOXFS_POSTGRES': f'host={directory} port=5432 user=sboxfs_t_default dbname=sboxfs'}
    return proxy, env


def check_versions(box, name):
    info = box.info(name)
    rows = box.sql("SELECT count(*), min(version), max(version), count(DISTINCT batch) FROM sboxfs.changes "
                   f"WHERE sandbox = '{info['id']}'")
    version = info['version']
    equal(rows, [[str(version), '1', str(version), str(version)]], 'change rows: count, first, last, batches')
    twice = box.sql(f"SELECT parent, name FROM sboxfs.dirents WHERE sandbox = '{info['id']}' "
                    "GROUP BY parent, name HAVING count(*) > 1")
    equal(twice, [], 'names that are there twice')
    return version


@suite.case('files created while answers are lost are there exactly once', timeout=sized(120, 600))
def creations(box):
    count = sized(300, 3000)
    box.create('once')
    proxy, env = through(box, 'p', odds=6)
    with proxy:
        mount = box.mount('once', env=env)
        proxy.enabled = True
        for number in range(count):
            directory = mount.path(f'd{number // 50}')
            os.makedirs(directory, exist_ok=True)
            fd = os.open(os.path.join(directory, str(number)), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(fd, b'%d ' % number * (number % 500))
            if number % 3 == 0:
                os.fsync(fd)
            os.close(fd)
        proxy.enabled = False
        mount.sync()
        mount.umount()
    version = check_versions(box, 'once')
    check(min(proxy.cut.values()) > 0, 'too few cuts:', proxy.cut)
    mount = box.mount('once')
    found = {int(name) for _, _, files in os.walk(mount.where) for name in files}
    equal(found, set(range(count)), 'files')
    for number in range(count):
        with open(mount.path(f'd{number // 50}', str(number)), 'rb') as file:
            equal(file.read(), b'%d ' % number * (number % 500), f'file {number}')
    check(not os.path.exists(os.path.join(box.home, 'lost')) or not os.listdir(os.path.join(box.home, 'lost')),
          'changes were saved as lost')
    return f'{count} files, {version} versions, {proxy.commits} commits passed, cut {proxy.cut}'


@suite.case('appends and renames while answers are lost happen once', timeout=sized(120, 600))
def appends(box):
    count = sized(150, 1500)
    box.create('append')
    proxy, env = through(box, 'q', odds=4)
    with proxy:
        mount = box.mount('append', env=env)
        proxy.enabled = True
        name = mount.path('log')
        for number in range(count):
            with open(name, 'ab', buffering=0) as file:
                file.write(b'%06d\n' % number)
                if number % 2:
                    os.fsync(file.fileno())
            if number % 10 == 0:
                os.rename(name, mount.path(f'log{number}'))
                name = mount.path(f'log{number}')
        proxy.enabled = False
        mount.umount()
    check_versions(box, 'append')
    mount = box.mount('append')
    equal(os.listdir(mount.where), [os.path.basename(name)], 'names')
    with open(mount.path(os.path.basename(name)), 'rb') as file:
        equal(file.read(), b''.join(b'%06d\n' % number for number in range(count)), 'lines')
    return f'{count} lines, cut {proxy.cut}'


@suite.case('umount while its commit\'s answer is lost', timeout=sized(90, 300))
def at_umount(box):
    rounds = sized(6, 30)
    box.create('end')
    proxy, env = through(box, 'r', odds=2)
    with proxy:
        for number in range(rounds):
            mount = box.mount('end', env=env)
            proxy.next_way = proxy.WAYS[number % 3]
            with open(mount.path(f'f{number}'), 'w', encoding='ascii') as file:
                file.write('x' * 100)
            mount.umount()
            equal(proxy.next_way, None, 'the commit that was to be hit')
    check_versions(box, 'end')
    mount = box.mount('end')
    equal(sorted(os.listdir(mount.where)), sorted(f'f{number}' for number in range(rounds)), 'files')
    return f'{rounds} rounds, cut {proxy.cut}'


if __name__ == '__main__':
    suite.main()
