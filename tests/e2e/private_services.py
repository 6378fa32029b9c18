"""The private Postgres and Redis: settings, roles, recovery."""
import os
import signal

import cleanup
from harness import Suite, check, equal, until

suite = Suite('private_services')


@suite.case('a command starts them; start, status and stop can be repeated')
def start_and_stop(box):
    equal(box.services()['postgres_pid'], 0, 'before the first command')
    seconds = box.sboxfs('list').seconds
    first = box.services()
    check(first['postgres_pid'] and first['redis_pid'], first)
    box.sboxfs('services', 'start')
    equal(box.services(), first, 'started again')
    check(first['postgres_pid'] in box.server_pids('postgres') and box.server_pids('redis-server'), 'not found in /proc')
    for _ in range(2):
        box.sboxfs('services', 'stop')
        until(3, lambda: not box.server_pids('postgres') and not box.server_pids('redis-server'), 'all are gone')
    equal(box.sboxfs('services', 'status', status=None).status, 6, 'status when stopped')
    box.create('again')
    return f'first start {seconds:.1f} s'


@suite.case('durable settings, no UNLOGGED table, no TCP, no password on a command line')
def settings(box):
    box.sboxfs('list')
    for name in ('fsync', 'full_page_writes', 'synchronous_commit'):
        equal(box.value(f'SHOW {name}'), 'on', name)
    equal(box.value("SELECT '<' || current_setting('listen_addresses') || '>'"), '<>', 'listen_addresses')
    equal(box.sql("SELECT relname FROM pg_class WHERE relpersistence <> 'p' AND relnamespace = 'sboxfs'::regnamespace"),
          [], 'tables that are not logged')
    equal(box.redis('CONFIG', 'GET', 'port')[1], '0', 'Redis\' port')
    inodes = set()
    for pid in box.server_pids('postgres') + box.server_pids('redis-server'):
        if os.geteuid() == 0:
            check(os.stat(f'/proc/{pid}').st_uid != 0, 'process', pid, 'runs as root')
        with open(f'/proc/{pid}/cmdline', encoding='utf-8') as file:
            check('pass' not in file.read().lower(), 'a password on a command line')
        for fd in os.listdir(f'/proc/{pid}/fd'):
            target = os.readlink(f'/proc/{pid}/fd/{fd}')
            if target.startswith('socket:['):
                inodes.add(target[8:-1])
    for table in ('tcp', 'tcp6'):
        with open(f'/proc/net/{table}', encoding='ascii') as file:
            used = {line.split()[9] for line in file.readlines()[1:]}
        equal(used & inodes, set(), f'{table} sockets of the servers')
    sockets = box.sockets()
    equal(os.stat(sockets).st_mode & 0o777, 0o700, 'mode of the sockets\' directory')
    check(len(sockets) + len('/.s.PGSQL.5432') <= 107, 'too long:', sockets)


@suite.case('sessions connect as a role that sees its tenant\'s rows only')
def isolation(box):
    box.sboxfs('init', '--tenant', 'other')
    for tenant in ('default', 'other'):
        box.sboxfs('exec', '--tenant', tenant, '--create', 'private', '--', 'sh', '-c',
                   'echo secret > f; mkdir d; ln -s f s; head -c 300000 /dev/urandom > big')
    role = box.sql("SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, "
                   "pg_has_role('sboxfs_t_default', 'sboxfs_owner', 'MEMBER') "
                   "FROM pg_roles WHERE rolname = 'sboxfs_t_default'")
    equal(role, [['f'] * 5], 'superuser, bypassrls, createrole, createdb, owner')
    mount = box.mount('private')
    users = {row[0] for row in box.sql("SELECT usename FROM pg_stat_activity WHERE datname = 'sboxfs' "
                                       "AND pid <> pg_backend_pid()")}
    equal(users, {'sboxfs_t_default'}, 'the roles of living connections')
    mount.umount()
    tables = [row[0] for row in box.sql(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' "
        "WHERE c.relkind = 'r' AND c.relnamespace = 'sboxfs'::regnamespace")]
    check(len(tables) >= 12, 'tables with a tenant:', tables)
    filled = 0
    for table in tables:
        total = int(box.value(f"SELECT count(*) FROM sboxfs.{table} WHERE tenant = 'other'"))
        seen = box.sql(f"SELECT count(*) FROM sboxfs.{table} WHERE tenant <> 'default'", user='sboxfs_t_default')
        equal(seen, [['0']], f'rows of another tenant in {table}')
        filled += total > 0
        changed = box.sql(f"WITH d AS (DELETE FROM sboxfs.{table} WHERE tenant = 'other' RETURNING 1) "
                          "SELECT count(*) FROM d", user='sboxfs_t_default', status=None)
        check(changed in ([['0']], []), f'rows of another tenant deleted from {table}:', changed)
        equal(int(box.value(f"SELECT count(*) FROM sboxfs.{table} WHERE tenant = 'other'")), total, table)
    check(filled >= 6, 'only', filled, 'tables had rows of the other tenant')
    flags = box.sql("SELECT count(*) FROM pg_class WHERE relname IN ('" + "', '".join(tables) + "') "
                    "AND relnamespace = 'sboxfs'::regnamespace AND relrowsecurity AND relforcerowsecurity")
    equal(flags, [[str(len(tables))]], 'tables with forced row-level security')
    return f'{len(tables)} tables'


@suite.case('an unclean stop, stale pid files and lost sockets are recovered from', timeout=90)
def recovery(box):
    box.sboxfs('exec', '--create', 'kept', '--', 'sh', '-c', 'echo kept > f')
    for number in range(2):
        services = box.services()
        os.kill(services['postgres_pid'], signal.SIGKILL)
        os.kill(services['redis_pid'], signal.SIGKILL)
        if number == 1:
            # Stale pid files that name a living process of somebody else.
            until(5, lambda: not box.server_pids('postgres'), 'the back-ends are gone')
            path = os.path.join(box.home, 'postgres', 'postmaster.pid')
            with open(path, encoding='ascii') as file:
                lines = file.read().splitlines()
            with open(path, 'w', encoding='ascii') as file:
                file.write('\n'.join(['1'] + lines[1:]) + '\n')
        equal(box.sboxfs('exec', 'kept', 'cat', 'f').text, 'kept\n', 'after SIGKILL')
    services = box.services()
    for name in os.listdir(services['socket_dir']):
        os.unlink(os.path.join(services['socket_dir'], name))
    equal(box.sboxfs('exec', 'kept', 'cat', 'f').text, 'kept\n', 'after the sockets were removed')
    equal(len(box.server_pids('redis-server')), 1, 'servers of Redis')


@suite.case('a home inside a mount is refused')
def inside(box):
    box.create('inside')
    mount = box.mount('inside')
    done = box.sboxfs('list', env={'SBOXFS_HOME': mount.path('home')}, status=None)
    check(done.status != 0 and len(done.errors.splitlines()) == 1 and 'inside' in done.errors, done)
    equal(os.listdir(mount.where), [], 'nothing was made in it')


@suite.case('services stop with living mounts is refused without --force')
def with_mounts(box):
    box.create('living')
    mount = box.mount('living')
    done = box.sboxfs('services', 'stop', status=None)
    equal((done.status, len(done.errors.splitlines())), (10, 1), done)
    check(box.services()['postgres_pid'] != 0, 'stopped all the same')
    equal(cleanup.comm(mount.pid), 'sboxfs', 'the mount\'s process')


if __name__ == '__main__':
    suite.main()
