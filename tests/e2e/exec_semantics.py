"""sboxfs exec, and how a mount ends."""
import json
import os
import signal
import subprocess
import time

import cleanup
from harness import BINARY, FULL, Suite, check, equal, until

suite = Suite('exec_semantics')


def sh(box, name, script, *options, **keywords):
    return box.sboxfs('exec', *options, name, '--', 'sh', '-c', script, **keywords)


def nothing_mounted(box):
    equal(cleanup.mounts_below(box.root), [], 'mounts that are left')


@suite.case('create, exec, exec, info, Redis, destroy')
def first_session(box):
    sandbox = box.create('x')
    sh(box, 'x', 'echo hi > a')
    equal(box.sboxfs('exec', 'x', '--', 'cat', 'a').text, 'hi\n', 'exec cat a')
    info = box.info('x')
    equal(info['id'], sandbox, 'id')
    check(info['version'] > 1, 'the version has not moved:', info)
    equal(info['published_version'], info['version'], 'published')
    equal(box.version_key(sandbox), str(info['version']), 'the key in Redis')
    equal(box.sboxfs('exec', sandbox, '--', 'cat', 'a').text, 'hi\n', 'exec by id')
    nothing_mounted(box)
    box.sboxfs('destroy', '--yes', 'x')
    until(2, lambda: box.version_key(sandbox) is None, 'the key is gone')
    equal(box.sboxfs('info', 'x', status=None).status, 3, 'info after destroy')
    check(box.create('x') != sandbox, 'a re-created name has the old id')
    equal(sh(box, 'x', 'ls -A').text, '', 'the new sandbox inherits')
    return f'version {info["version"]}'


@suite.case('exit statuses: the command\'s own, 128+N, 127, 126, 125')
def statuses(box):
    box.create('statuses')
    sh(box, 'statuses', 'echo "no program" > plain; mkdir d')
    for script, wanted in (('exit 0', 0), ('exit 1', 1), ('exit 77', 77), ('kill -TERM $$', 143), ('kill -KILL $$', 137),
                           ('kill -SEGV $$', 139)):
        equal(sh(box, 'statuses', script, status=None).status, wanted, script)
    for argv, wanted in ((['no-such-program'], 127), (['./none'], 127), (['./plain'], 126), (['./d'], 126)):
        done = box.sboxfs('exec', 'statuses', '--', *argv, status=None)
        equal(done.status, wanted, argv)
        equal(len(done.errors.splitlines()), 1, f'lines about {argv}: {done.errors}')
    for words in (('no-such-sandbox', 'true'), ('--no-such-option', 'statuses', 'true'),
                  ('-w', 'no-such-directory', 'statuses', 'true')):
        done = box.sboxfs('exec', *words, status=None)
        equal(done.status, 125, words)
        equal(len(done.errors.splitlines()), 1, f'lines about {words}: {done.errors}')
    nothing_mounted(box)


@suite.case('standard input, output and error are the command\'s own')
def streams(box):
    box.create('streams')
    data = os.urandom(3 << 20)
    done = box.sboxfs('exec', 'streams', '--', 'tee', 'copy', input=data)
    check(done.out == data, 'output differs from input')
    equal(done.err, b'', 'standard error')
    check(box.sboxfs('exec', 'streams', '--', 'cat', 'copy').out == data, 'the file differs from input')
    done = sh(box, 'streams', 'echo out; echo err >&2')
    equal((done.out, done.err), (b'out\n', b'err\n'), 'output and error')
    return f'{len(data) >> 20} MiB'


@suite.case('-w, -e, $SHELL, options before and after the name')
def options(box):
    box.create('options')
    sh(box, 'options', 'mkdir -p a/b; echo here > a/b/f')
    equal(sh(box, 'options', 'cat f', '-w', 'a/b').text, 'here\n', '-w')
    equal(sh(box, 'options', 'echo "$X-$Y"', '-e', 'X=1 2', '-e', 'Y=a=b').text, '1 2-a=b\n', '-e')
    equal(box.sboxfs('exec', 'options', '-w', 'a', '--', 'ls').text, 'b\n', 'an option after the name')
    equal(box.sboxfs('exec', 'options', 'ls', '-A').text, 'a\n', 'the command\'s own option without --')
    equal(box.sboxfs('exec', 'options', input=b'cat a/b/f\n', env={'SHELL': '/bin/sh'}).text, 'here\n', 'no command')
    pwd = sh(box, 'options', 'pwd -P; cd ..; pwd -P').text.splitlines()
    equal(os.path.dirname(pwd[0]), pwd[1], 'the mount\'s root is the working directory')


@suite.case('--create makes it once; --read-only')
def create_and_read_only(box):
    equal(sh(box, 'made', 'echo one > f', status=None).status, 125, 'without --create')
    sh(box, 'made', 'echo one > f', '--create')
    equal(sh(box, 'made', 'cat f', '--create').text, 'one\n', 'the second --create')
    done = sh(box, 'made', 'cat f; touch g', '--read-only', status=None)
    check(done.status != 0 and done.text == 'one\n' and 'Read-only' in done.errors, done)
    equal(sh(box, 'made', 'ls').text, 'f\n', 'after --read-only')
    version = box.info('made')['version']
    sh(box, 'made', 'ls', '--read-only')
    equal(box.info('made')['version'], version, 'a reader makes no version')
    nothing_mounted(box)


@suite.case('left-over processes get TERM, then KILL after 5 s; --leave')
def left_over(box):
    box.create('left')

    def running(pid):
        return pid in box.processes()

    done = sh(box, 'left', 'sleep 1000 >/dev/null 2>&1 & echo $!')
    check(not running(int(done.text)), 'still there')
    check(done.seconds < 4, 'TERM took', done.seconds)
    done = sh(box, 'left', '(trap "" TERM; while :; do sleep 1; done) >/dev/null 2>&1 & sleep 0.3; echo $!', timeout=30)
    check(not running(int(done.text)), 'still there')
    check(4.5 < done.seconds < 9, 'KILL took', done.seconds)
    nothing_mounted(box)
    done = sh(box, 'left', 'cd /; sleep 1000 >/dev/null 2>&1 & echo $!', '--leave')
    check(running(int(done.text)), 'gone with --leave')
    os.kill(int(done.text), signal.SIGKILL)
    nothing_mounted(box)


@suite.case('signals to exec reach the command')
def signals(box):
    box.create('signals')
    script = 'trap "echo got; exit 9" TERM; echo ready; while :; do sleep 0.1; done'
    process = box.start([BINARY, 'exec', 'signals', '--', 'sh', '-c', script], stdout=subprocess.PIPE)
    try:
        equal(process.stdout.readline(), b'ready\n', 'the command')
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
        equal((out, process.returncode), (b'got\n', 9), 'output, status')
    finally:
        process.kill()
        process.wait()
    nothing_mounted(box)


@suite.case('--keep leaves the mount for the next; an existing mount is used', timeout=90)
def keep(box):
    box.create('keep')

    def mounts():
        return [(entry['pid'], entry['mount_point']) for entry in json.loads(box.sboxfs('mount', '--json').text)
                if entry['name'] == 'keep']

    sh(box, 'keep', 'echo 1 > f', '--keep', '4s')
    first = mounts()
    equal(len(first), 1, 'mounts that are kept')
    start = time.monotonic()
    equal(sh(box, 'keep', 'cat f', '--keep', '1s').text, '1\n', 'f')
    second = time.monotonic() - start
    equal(mounts(), first, 'the same mount')
    until(8, lambda: not mounts(), 'it goes when its time is over', pause=0.1)
    mount = box.mount('keep')
    equal(sh(box, 'keep', 'pwd -P').text.strip(), mount.where, 'exec works in the mount that is there')
    check(mount.mounted(), 'exec took somebody else\'s mount away')
    return f'exec in a kept mount {second * 1000:.0f} ms'


@suite.case('a second exec, from another home, sees what the first wrote')
def elsewhere(box):
    host = box.other_host('other')
    box.create('elsewhere')
    for number in range(5):
        sh(box, 'elsewhere', f'echo {number} > f; mkdir d{number}', '--keep', '60s')
        equal(sh(box, 'elsewhere', 'cat f; ls -d d*', '--keep', '60s', env=host).text.splitlines(),
              [str(number)] + [f'd{n}' for n in range(number + 1)], f'round {number}')
        sh(box, 'elsewhere', f'echo back{number} > g', '--keep', '60s', env=host)
        equal(sh(box, 'elsewhere', 'cat g', '--keep', '60s').text, f'back{number}\n', f'back, round {number}')
    box.sboxfs('umount', 'elsewhere')
    box.sboxfs('umount', 'elsewhere', env=host)
    return '5 rounds'


@suite.case('SIGTERM to an idle mount: logged, unmounted, gone within 1 s')
def terminated(box):
    sandbox = box.create('term')
    mount = box.mount('term')
    with open(mount.path('f'), 'w', encoding='ascii') as file:
        file.write('kept')
    mount.sync()
    mount.signal(signal.SIGTERM)
    seconds = until(10, lambda: not mount.running(), 'the process is gone')
    check(seconds < 1, 'it took', seconds)
    check(not mount.mounted(), 'still mounted')
    log = mount.log_text()
    check('shutdown_begin' in log and log.index('shutdown_begin') < log.index('shutdown_complete'), log)
    equal(box.version_key(sandbox), str(box.info('term')['version']), 'the key in Redis')
    mount = box.mount('term')
    with open(mount.path('unsynced'), 'w', encoding='ascii') as file:
        file.write('accepted')
    mount.signal(signal.SIGTERM)
    until(10, lambda: not mount.running(), 'the process is gone')
    equal(sh(box, 'term', 'cat f unsynced').text, 'keptaccepted', 'what was accepted before SIGTERM')
    return f'{seconds * 1000:.0f} ms'


@suite.case('umount of a busy mount names the processes; --lazy; by name')
def busy(box):
    box.create('busy')
    mount = box.mount('busy')
    user = box.start(['sleep', '1000'], cwd=mount.where)
    try:
        done = mount.umount(status=None)
        equal(done.status, 10, 'umount of a busy mount')
        check(str(user.pid) in done.errors and 'sleep' in done.errors, 'it names nobody:', done)
        check(os.listdir(mount.where) == [] and mount.running(), 'the mount went')
        with open(mount.path('f'), 'w', encoding='ascii') as file:
            file.write('still works')
        mount.umount('--lazy')
        check(not mount.mounted(), 'still mounted after --lazy')
    finally:
        user.kill()
        user.wait()
    until(10, lambda: not mount.running(), 'a lazily detached mount ends with its last user')
    mount = box.mount('busy')
    with open(mount.path('f'), encoding='ascii') as file:
        equal(file.read(), 'still works', 'f')
    box.sboxfs('umount', 'busy')
    check(not mount.mounted(), 'umount by name')


@suite.case('sboxfs sync from inside; mount without arguments lists; list and drain')
def the_rest(box):
    sandbox = box.create('rest')
    mount = box.mount('rest')
    os.mkdir(mount.path('d'))
    with open(mount.path('d/f'), 'w', encoding='ascii') as file:
        file.write('x')
    box.sboxfs('sync', mount.path('d'))
    info = box.info('rest')
    equal(box.version_key(sandbox), str(info['version']), 'published after sync')
    equal(box.value(f"SELECT count(*) FROM sboxfs.dirents WHERE sandbox = '{sandbox}'"), '2', 'names in Postgres')
    check(f'rest on {mount.where} ' in box.sboxfs('mount').text, 'mount lists it')
    equal([entry['mount_point'] for entry in info['mounts']], [mount.where], 'info\'s mounts')
    check('rest' in [entry['name'] for entry in json.loads(box.sboxfs('list', '--json').text)], 'list')
    box.sboxfs('drain')


if FULL:
    @suite.case('exec ends with 125 when its commit fails', timeout=200)
    def failed_commit(box):
        box.create('failing')
        postmaster = box.services()['postgres_pid']
        mount = box.mount('failing', '--io-timeout', '5s')
        done = sh(box, 'failing', f'echo kept > a; sleep 1; kill -9 {postmaster}; sleep 0.5; echo lost > b; exit 0',
                  status=None, timeout=150)
        equal(done.status, 125, 'exec after Postgres was killed')
        equal(len(done.errors.splitlines()), 1, f'lines: {done.errors}')
        box.sboxfs('services', 'start')
        mount.umount('--force', status=None)
        until(10, lambda: not mount.running(), 'the process is gone')
        equal(sh(box, 'failing', 'cat a').text, 'kept\n', 'what was committed before')


if __name__ == '__main__':
    suite.main()
