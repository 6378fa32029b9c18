"""The conformance suite. Every case runs on a local directory first, which proves the case, and then on a mount.

    run.py [--dir DIRECTORY] [--only WORD] [--mode MODE] [-v]

--dir   only this directory, whatever file system it is on
--only  cases whose operation or name has this word
--mode  the mount in this mode only (async, cto, sync)
SBOXFS_FULL=1  full sizes, and the mount in all three modes (async, cto, sync)
"""
import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'e2e'))

import harness  # noqa: E402  (the path comes first)
import kit  # noqa: E402

MODULES = ('paths', 'kinds', 'permissions', 'setid', 'times', 'limits', 'acls', 'xattrs', 'data', 'listing',
           'handles', 'descriptors')
SECONDS = harness.sized(60, 600)  # for one case


class TooLong(Exception):
    pass


def on_alarm(*_):
    raise TooLong(f'no end after {SECONDS} s')


def open_descriptors():
    out = set()
    for name in os.listdir('/proc/self/fd'):
        with contextlib.suppress(OSError):  # the one that lists them is closed again
            os.fstat(int(name))
            out.add(int(name))
    return out


def run_case(root, number, function):
    """None, or what is wrong as text; Unsupported goes through."""
    where = os.path.join(root, f'{number}')
    os.mkdir(where)
    os.chdir(where)
    before = open_descriptors()
    signal.alarm(SECONDS)
    try:
        function()
        return None
    except kit.Unsupported:
        raise
    except kit.Failed as failed:
        return str(failed)
    except Exception:  # pylint: disable=broad-except
        return traceback.format_exc(limit=-3)
    finally:
        signal.alarm(0)
        os.seteuid(0)
        os.umask(0o022)
        os.chdir(root)
        for left in open_descriptors() - before:
            os.close(left)
        if os.path.isdir(where):
            shutil.rmtree(where, ignore_errors=True)


def run_all(root, label, only, verbose, reference):
    """(passed, failed) of the cases in this directory."""
    passed = failed = unsupported = 0
    start = time.monotonic()
    signal.signal(signal.SIGALRM, on_alarm)
    os.umask(0o022)
    os.chmod(root, 0o755)
    for number, (operation, name, section, function) in enumerate(kit.CASES):
        if only and only not in f'{operation}: {name}':
            continue
        try:
            problem = run_case(root, number, function)
        except kit.Unsupported as what:
            if reference:
                unsupported += 1
                continue
            problem = f'{what} is not supported'
        if problem is None:
            passed += 1
            if verbose:
                print(f'ok    {operation}: {name}  [{section}]')
            continue
        failed += 1
        print(f'FAIL  {label}: {operation}: {name}  [{section}]\n      ' + problem.strip().replace('\n', '\n      '))
    words = f', {unsupported} not supported there' if unsupported else ''
    print(f'{label}: {passed} cases passed, {failed} failed{words}, {time.monotonic() - start:.1f} s', flush=True)
    return passed, failed


def is_complete(root):
    """Whether this is a file system that a mount can be compared with (a tmpfs of an old kernel is not)."""
    path = os.path.join(root, 'probe')
    try:
        with open(path, 'wb') as file:
            os.setxattr(path, 'user.probe', b'')
            os.setxattr(path, 'trusted.probe', b'')
            kit.fallocate(file.fileno(), kit.ZERO_RANGE, 0, 10)
            os.close(os.open(path, os.O_RDWR | os.O_DIRECT))
    except OSError:
        return False
    os.unlink(path)
    return True


def on_reference(only, verbose):
    """A local directory: what fails there is a wrong case."""
    for parent in (tempfile.gettempdir(), '/var/tmp'):
        root = tempfile.mkdtemp(prefix='posix-', dir=parent)
        try:
            if is_complete(root):
                return run_all(root, 'local', only, verbose, True)
        finally:
            os.chdir('/')
            shutil.rmtree(root, ignore_errors=True)
    print('local: no file system here that has all of it; the cases are not proved on one')
    return 0, 0


def on_mount(box, mode, only, verbose):
    box.create(f'posix-{mode}')
    mount = box.mount(f'posix-{mode}', '-o', f'{mode},allow_other,dev,suid')
    kit.MOUNT, kit.MODE = mount, mode
    other = box.other_host('second')
    kit.ANOTHER = lambda options: box.mount(f'posix-{mode}', '-o', f'{mode},allow_other,{options}', env=other)
    root = mount.path('cases')
    os.mkdir(root)
    try:
        return run_all(root, mode, only, verbose, False)
    finally:
        os.chdir('/')
        kit.MOUNT = kit.MODE = None
        problems = box.no_mounts()
        for problem in problems:
            print(problem)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--dir')
    parser.add_argument('--only')
    parser.add_argument('--mode', choices=('async', 'cto', 'sync'))
    parser.add_argument('-v', action='store_true')
    options = parser.parse_args()
    for module in MODULES:
        __import__(module)
    names = [(operation, name) for operation, name, _, _ in kit.CASES]
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    if twice or os.geteuid() != 0:
        print('FAIL  two cases of one name:', twice) if twice else print('FAIL  only root can act as other users')
        print('0 passed, 1 failed')
        return 1
    if options.dir:
        passed, failed = run_all(os.path.abspath(options.dir), options.dir, options.only, options.v, True)
    else:
        print(f'posix: {len(names)} cases, {harness.BINARY}, {"full" if harness.FULL else "quick"} sizes', flush=True)
        passed, failed = on_reference(options.only, options.v)
        box = harness.Box()
        try:
            modes = [options.mode] if options.mode else ['async', 'cto', 'sync'] if harness.FULL else ['async']
            for mode in modes:
                more = on_mount(box, mode, options.only, options.v)
                passed, failed = passed + more[0], failed + more[1]
        except BaseException:
            os.chdir('/')
            box.kill_mounts()
            raise
        finally:
            for problem in box.end() or []:
                print(problem)
                failed += 1
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
