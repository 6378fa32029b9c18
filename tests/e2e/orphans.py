"""An open file outlives its name, on whichever mount that is removed or replaced; then its storage goes."""
import os
import time

from harness import Suite, check, equal, until

suite = Suite('orphans')
OLD, NEW = b'old contents ' * 40_000, b'new contents ' * 40_000  # several chunks


def write(path, data):
    with open(path, 'wb') as file:
        file.write(data)


def rows(box, sandbox, ino):
    """Rows that hold the inode, of all tables."""
    return int(box.value('SELECT ' + ' + '.join(
        f"(SELECT count(*) FROM sboxfs.{table} WHERE sandbox = '{sandbox}' AND ino = {ino})"
        for table in ('inodes', 'chunks', 'patches', 'ranges', 'xattrs', 'orphans', 'pins'))))


def let_it_go(box, sandbox, ino):
    """Mounts that were killed count as dead 30 s later: here at once. Then by sboxfs gc."""
    box.sql(f"UPDATE sboxfs.sessions SET alive_until = now() WHERE sandbox = '{sandbox}' AND session NOT IN "
            f"(SELECT session FROM sboxfs.sessions WHERE alive_until > now() + interval '25 seconds')")
    box.sboxfs('gc')
    return rows(box, sandbox, ino) == 0


def pair(box, name):
    """Two mounts on two hosts, and a file that both have seen; (sandbox, holder, remover, open file, inode)."""
    sandbox = box.create(name)
    holder = box.mount(name, '--lease', '2s')
    remover = box.mount(name, '--lease', '2s', env=box.other_host(name[0] + 'o'))
    write(holder.path('f'), OLD)
    holder.sync()
    until(5, lambda: os.path.exists(remover.path('f')), 'the file on the other host')
    fd = os.open(holder.path('f'), os.O_RDWR)
    return sandbox, holder, remover, fd, os.fstat(fd).st_ino


def check_usable(fd, data):
    """Readable past every cache, and writable."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    equal(os.pread(fd, len(data), 0), data, 'the open file')
    os.pwrite(fd, b'written', 1000)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    equal(os.pread(fd, 7, 1000), b'written', 'what was written through it')
    equal(os.fstat(fd).st_nlink, 0, 'links')
    os.pwrite(fd, data[1000:1007], 1000)


def removed(box, name, remove):
    sandbox, holder, remover, fd, ino = pair(box, name)
    remove(remover)
    remover.sync()
    until(5, lambda: os.fstat(fd).st_nlink == 0, 'the holder knows')
    check_usable(fd, OLD)
    box.sboxfs('gc')
    check(rows(box, sandbox, ino) > 0, 'gc took an open file')
    check_usable(fd, OLD)
    os.close(fd)
    holder.sync()
    until(30, lambda: let_it_go(box, sandbox, ino), 'its storage is gone', pause=0.5)
    return sandbox, holder, remover


@suite.case('unlinked by one mount, open on another', timeout=90)
def unlinked(box):
    _, holder, remover = removed(box, 'unlinked', lambda mount: os.unlink(mount.path('f')))
    for mount in (holder, remover):
        equal(os.listdir(mount.where), [], 'names')


@suite.case('replaced by one mount, open on another; the name is never missing', timeout=90)
def replaced(box):
    def replace(mount):
        write(mount.path('beside'), NEW)
        os.rename(mount.path('beside'), mount.path('f'))
    _, holder, _ = removed(box, 'replaced', replace)
    with open(holder.path('f'), 'rb') as file:
        equal(file.read(), NEW, 'the new file')


@suite.case('the holder is killed: the storage goes with its session', timeout=90)
def holder_killed(box):
    sandbox, holder, remover, fd, ino = pair(box, 'holder')
    os.unlink(remover.path('f'))
    remover.sync()
    until(5, lambda: os.fstat(fd).st_nlink == 0, 'the holder knows')
    check_usable(fd, OLD)
    holder.kill()
    try:
        os.close(fd)
    except OSError:
        pass  # the mount is dead
    box.sboxfs('gc')
    check(rows(box, sandbox, ino) > 0, 'gone before the dead session counts as dead')
    until(30, lambda: let_it_go(box, sandbox, ino), 'its storage is gone', pause=0.5)
    equal(os.listdir(remover.where), [], 'names')


@suite.case('the remover is killed right after its commit: the holder goes on', timeout=90)
def remover_killed(box):
    sandbox, holder, remover, fd, ino = pair(box, 'remover')
    mine = os.open(remover.path('f'), os.O_RDONLY)  # an orphan of its own, too
    os.unlink(remover.path('f'))
    remover.sync()
    remover.kill()
    try:
        os.close(mine)
    except OSError:
        pass  # the mount is dead
    until(10, lambda: os.fstat(fd).st_nlink == 0, 'the holder knows')
    start = time.monotonic()
    os.pwrite(fd, OLD[:1], 0)  # behind the lease of the dead one
    os.fsync(fd)
    waited = time.monotonic() - start
    check_usable(fd, OLD)
    box.sboxfs('gc')
    check_usable(fd, OLD)
    os.close(fd)
    holder.sync()
    until(30, lambda: let_it_go(box, sandbox, ino), 'its storage is gone', pause=0.5)
    return f'the first write behind the dead one\'s lease took {waited:.1f} s'


if __name__ == '__main__':
    suite.main()
