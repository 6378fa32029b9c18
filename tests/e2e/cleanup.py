"""Takes away whatever a test file left behind: mounts, processes, directories.

Run as `cleanup.py ROOT TOKEN` with a pipe as standard input, it waits until the pipe closes - however the test file
ended, SIGKILL included - and then cleans up. Only mounts below ROOT and processes whose environment has TOKEN are
touched.
"""
import os
import shutil
import signal
import subprocess
import sys
import time

VARIABLE = 'SBOXFS_E2E'


def mounts_below(root):
    """[(mount point, minor number of its device)], innermost last. Touches no mount."""
    found = []
    with open('/proc/self/mountinfo', encoding='utf-8', errors='surrogateescape') as lines:
        for line in lines:
            words = line.split(' ')
            where = words[4].replace('\\040', ' ').replace('\\011', '\t').replace('\\134', '\\')
            if where.startswith(root + '/'):
                found.append((where, words[2].split(':')[1]))
    return found


def processes_of(root, token):
    """Pids of living processes that were started with TOKEN in their environment, or work below ROOT: servers that
    show a title of their own overwrite their environment."""
    mark = f'{VARIABLE}={token}'.encode()
    found = []
    for name in os.listdir('/proc'):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f'/proc/{name}/environ', 'rb') as file:
                ours = mark in file.read().split(b'\0')
            if not ours and not os.readlink(f'/proc/{name}/cwd').startswith(root + '/'):
                continue
            with open(f'/proc/{name}/stat', 'rb') as file:
                if file.read().rpartition(b')')[2].split()[0] in (b'Z', b'X'):
                    continue
        except OSError:
            continue
        found.append(int(name))
    return found


def comm(pid):
    try:
        with open(f'/proc/{pid}/comm', encoding='utf-8', errors='replace') as file:
            return file.read().strip()
    except OSError:
        return '?'


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def wait_gone(root, token, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not processes_of(root, token):
            return True
        time.sleep(0.05)
    return not processes_of(root, token)


def abort_connection(minor):
    """The way out of a hung FUSE mount, while it is still mounted (afterwards the number may be another mount's): every
    waiting call fails. Where the host has not mounted the control file system, it is mounted for the moment, in a
    namespace that nobody else sees."""
    control = '/sys/fs/fuse/connections'
    if os.path.ismount(control):
        try:
            with open(f'{control}/{minor}/abort', 'w', encoding='ascii') as file:
                file.write('1')
        except OSError:
            pass  # it has gone by itself
    elif os.geteuid() == 0:
        for propagation in ('private', 'unchanged'):  # in a chroot / is no mount, and can not be made private
            done = subprocess.run(
                ['unshare', '--mount', '--propagation', propagation, 'sh', '-c', f'mount -t fusectl none {control} && '
                 f'{{ test ! -e {control}/{minor} || echo 1 > {control}/{minor}/abort; }}'],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20)
            if done.returncode == 0:
                break


def detach(mount_point, lazy):
    if os.geteuid() == 0:
        argv = ['umount', '-i'] + (['-l'] if lazy else []) + [mount_point]
    else:
        argv = ['fusermount3', '-uz' if lazy else '-u', mount_point]
    return subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20).returncode == 0


def clean_up(root, token):
    """Returns what had to be taken away by force, as words."""
    forced = []
    mounts = mounts_below(root)
    # A stopped server would keep everything below waiting.
    send(processes_of(root, token), signal.SIGCONT)
    for where, minor in reversed(mounts):
        forced.append(f'mount {where}')
        if not detach(where, lazy=False):
            abort_connection(minor)
            detach(where, lazy=True)
    left = processes_of(root, token)
    forced += [f'process {pid} ({comm(pid)})' for pid in left]
    # The mounts' processes first: they still want the servers.
    servers = [pid for pid in left if comm(pid) in ('postgres', 'redis-server', 'valkey-server')]
    others = [pid for pid in left if pid not in servers]
    send(others, signal.SIGTERM)
    end = time.monotonic() + 5
    while time.monotonic() < end and set(others) & set(processes_of(root, token)):
        time.sleep(0.05)
    send(set(others) & set(processes_of(root, token)), signal.SIGKILL)
    send(servers, signal.SIGINT)
    if not wait_gone(root, token, 10):
        send(processes_of(root, token), signal.SIGKILL)
        wait_gone(root, token, 5)
    if not mounts_below(root):
        shutil.rmtree(root, ignore_errors=True)
    if os.path.lexists(root):
        forced.append(f'could not remove {root}')
    return forced


def main():
    root, token = sys.argv[1:3]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir('/')
    sys.stdin.buffer.read()
    clean_up(root, token)


if __name__ == '__main__':
    main()
