"""A source tree: unpacked, walked, searched and removed, warm and cold."""
import glob
import os
import subprocess

from columns import need

PARTS = ('fs', 'include', 'kernel', 'mm', 'net', 'lib', 'scripts', 'arch/x86')


class Source:
    """A tar of real files: a part of Debian's linux-source, or of /usr where that is not installed."""

    def __init__(self, box, limit):
        need('tar', 'find', 'grep')
        self.tar = os.path.join(box.scratch, 'source.tar')
        top = box.directory('source')
        archives = sorted(glob.glob('/usr/src/linux-source-*.tar.*'))
        if archives:
            name = os.path.basename(archives[-1]).split('.tar')[0]
            self.name = f'{name} ({", ".join(PARTS)})'
            box.run(['tar', '-xf', archives[-1], '-C', top, '--strip-components=1',
                     *(f'{name}/{part}' for part in PARTS)], timeout=600)
        else:
            self.name = '/usr/include and /usr/share/doc'
            box.run(['cp', '-a', '/usr/include', '/usr/share/doc', top], timeout=600)
        names = []
        for directory, _, files in os.walk(top):
            names += [os.path.relpath(os.path.join(directory, file), top) for file in sorted(files)]
        names = sorted(names)[:limit] if limit else sorted(names)
        self.files = len(names)
        box.run(['tar', '-cf', self.tar, '-C', top, '--null', '--no-recursion', '-T', '-'],
                input=b'\0'.join(os.fsencode(name) for name in names), timeout=600)
        self.bytes = os.path.getsize(self.tar)
        self.top = top

    def __str__(self):
        return f'{self.files} files, {self.bytes >> 20} MiB, of {self.name}'


def quiet(argv, cwd):
    subprocess.run(argv, cwd=cwd, stdout=subprocess.DEVNULL, check=False)


def run(column, record, source, cold):
    top = column.fresh()
    try:
        with record.timed('unpack', source.files) as start:
            subprocess.run(['tar', '-xf', source.tar, '-C', top], check=True)
        with record.timed('unpack until committed', source.files, since=start):
            column.commit(top)
        find = ['find', '.', '-newer', '/etc/hostname', '-size', '+1000000']  # looks at every file's attributes
        quiet(find, top)
        with record.timed('find warm', source.files):
            quiet(find, top)
        search = ['grep', '-r', 'no such words as these', '.']
        quiet(search, top)
        with record.timed('grep -r warm', source.files):
            quiet(search, top)
        if cold:
            column.cold()
            with record.timed('find cold', source.files):
                quiet(find, top)
            column.cold()
            with record.timed('grep -r cold', source.files):
                quiet(search, top)
        with record.timed('rm -rf', source.files):
            subprocess.run(['rm', '-rf', *os.listdir(top)], cwd=top, check=True)
    finally:
        column.done()
