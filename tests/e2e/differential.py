"""The same random system calls on a mount and on a local disk: not one result may differ (tests/differential)."""
import os
import subprocess

from harness import BINARY, SEED, Missing, Suite, check, equal, sized

suite = Suite('differential')
PROGRAM = (os.environ.get('SBOXFS_DIFFERENTIAL') or
           os.path.join(os.path.dirname(BINARY), 'tests', 'differential', 'differential'))
SEEDS = 5
OPTIONS = 'allow_other,dev,suid'  # several users, devices; root alone can have them


def local_directory(box):
    """A directory on ext4: what it does is the expectation. Others choose differently what counts as a block."""
    if os.geteuid() != 0:
        raise Missing('root is needed: the steps are done by several users')
    for base in (box.scratch, '/var/tmp', os.path.expanduser('~')):
        if box.run(['stat', '-f', '-c', '%T', base]).text.strip() == 'ext2/ext3':
            if base == box.scratch:
                return box.directory('s', 'local')
            break
    image, where = os.path.join(box.root, 'ext4'), box.directory('local')
    if not os.path.ismount(where):
        with open(image, 'wb') as file:
            file.truncate(1 << 30)
        for argv in (['mkfs.ext4', '-q', '-b', '4096', image], ['mount', '-o', 'loop', image, where]):
            outcome = box.run(argv, status=None)
            if outcome.status != 0:
                raise Missing(f'no ext4 to compare with: {box.scratch} is on another, and {outcome}')
    return where


class Pair:
    """The sandbox's mount, or two of them as if on two hosts."""

    def __init__(self, box, name, mode, two, env):
        box.create(name)
        self.box, self.options, self.env = box, ['-o', f'{OPTIONS},{mode}'], env
        self.here = box.mount(name, *self.options, env=env)
        self.there = None
        if two:
            self.other_env = {**box.other_host('h2'), **(env or {})}
            self.there = box.mount(name, *self.options, env=self.other_env)

    def remount(self):
        self.here.umount()
        self.here = self.box.mount(self.here.name, *self.options, where=self.here.where, env=self.env)
        return self.here.where

    def switch(self):
        """What one host's sync wrote, an exec on the other sees."""
        self.here.sync()
        self.box.sboxfs('exec', self.there.name, '--', 'true', env=self.other_env)
        return self.there.where


def follow(box, argv, mount_again):
    """Runs one of the programs, which may ask for mounts; its status and what it printed."""
    check(os.access(argv[0], os.X_OK), 'there is no program', argv[0])
    process = box.start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, errors='replace')
    words = []
    try:
        for line in process.stdout:
            if line in ('remount\n', 'switch\n'):
                process.stdin.write(mount_again(line.strip()) + '\n')
                process.stdin.flush()
                continue
            words.append(line)
            if line.startswith('note:'):
                print('      ' + line, end='', flush=True)
        return process.wait(60), ''.join(words)
    finally:
        process.kill()
        process.wait()


def run(box, name, mode, seed, steps, kind, env=None):
    """One sequence; the words of the difference, or None."""
    pair = Pair(box, name, mode, kind == 'two mounts', env)
    local = os.path.join(local_directory(box), name)
    os.mkdir(local)
    argv = [PROGRAM, '--local', local, '--mounted', pair.here.where, '--seed', str(seed), '--steps', str(steps)]
    if env:  # a planted bug
        argv += ['--shrink', '0']
    if kind == 're-mounts':
        argv += ['--remount-every', str(min(1000, steps // 2))]
    if kind == 'two mounts':
        argv += ['--switch-at', str(steps // 2)]
    status, words = follow(box, argv, lambda what: pair.remount() if what == 'remount' else pair.switch())
    box.run(['rm', '-rf', local])
    problems = box.no_mounts()
    check(not problems, problems)
    check(status in (0, 1), words)
    return words if status else None


def series(box, mode, total):
    """Five seeds; of the steps a third with re-mounts, a third half through another mount, a third plain."""
    kinds = ('plain', 're-mounts', 'two mounts')
    for number in range(SEEDS):
        for kind in kinds:
            steps = total // SEEDS // len(kinds)
            name = f'{mode}-{number}-{kind.replace(" ", "-")}'
            words = run(box, name, mode, SEED + number * 10 + kinds.index(kind), steps, kind)
            check(words is None, f'{mode}, {kind}:\n{words}')
    return f'{total} steps, {SEEDS} seeds from {SEED}'


@suite.case('mode async', timeout=sized(240, 3600))
def steps_async(box):
    return series(box, 'async', sized(30_000, 300_000))


@suite.case('mode cto', timeout=sized(240, 3600))
def steps_cto(box):
    return series(box, 'cto', sized(6_000, 60_000))


@suite.case('mode sync', timeout=sized(240, 3600))
def steps_sync(box):
    return series(box, 'sync', sized(3_000, 30_000))


@suite.case('planted bugs are found', timeout=sized(120, 300))
def planted(box):
    found = []
    for point, word in (('setattr.forget_ctime', 'ctime'), ('unlink.forget_nlink', 'nlink'),
                        ('create.forget_setgid', 'gid')):
        for attempt in range(6):  # full sizes have many times as many steps
            words = run(box, f'planted-{word}-{attempt}', 'async', SEED + attempt, 3000, 'plain',
                        {'SBOXFS_FAULT': f'{point}=fail'})
            if words is not None:
                break
        check(words is not None, f'{point}: not found in 18000 steps')
        check(f'{word}' in words.split('\n', 1)[1], f'{point} shows as something else:', words)
        found.append(f'{word} at {words.split("step ", 1)[1].split(" ", 1)[0]}')
    return 'steps: ' + ', '.join(found)


def data(box, name, seed, steps, most, *options):
    """Reads, writes, mappings of one file of up to `most` bytes, against a copy in memory."""
    box.create(name)
    where = [box.mount(name, *options)]

    def again(_):
        where[0].umount()
        where[0] = box.mount(name, *options)
        return where[0].path('data')

    argv = [os.path.join(os.path.dirname(PROGRAM), 'data'), '--file', where[0].path('data'), '--seed', str(seed),
            '--steps', str(steps), '--remount-every', str(max(steps // 4, 100)), '--most', str(most)]
    status, words = follow(box, argv, again)
    equal(status, 0, words)
    problems = box.no_mounts()
    check(not problems, problems)


@suite.case('data of one file by every way: read, write, mmap, O_DIRECT, holes', timeout=sized(120, 1800))
def data_of_a_file(box):
    steps, seeds = sized((1000, 1), (20_000, 6))
    for number in range(seeds):
        data(box, f'data-{number}', SEED + number, steps, 900_000)
        # More than the smallest cache holds.
        data(box, f'small-cache-{number}', SEED + 100 + number, steps // 4, 40_000_000, '--content-cache', '16M')
        data(box, f'data-sync-{number}', SEED + 200 + number, steps // 4, 900_000, '-o', 'sync')
    return f'{steps * seeds * 3 // 2} steps, {seeds} seeds from {SEED}'


if __name__ == '__main__':
    suite.main()
