"""Programs people run: git, a C build, npm, sqlite."""
import os
import shutil
import sqlite3
import subprocess

from columns import need
from npm_packages import ci


class Repository:
    """A git repository of the source tree, on the local disk."""

    def __init__(self, box, source):
        need('git')
        self.path, self.files = box.directory('repository'), source.files
        env = {**box.env, 'GIT_CONFIG_GLOBAL': '/dev/null'}
        git = ['git', '-c', 'user.name=bench', '-c', 'user.email=bench@localhost', '-c', 'safe.directory=*']
        subprocess.run(['tar', '-xf', source.tar, '-C', self.path], check=True)
        for words in (['init', '-q'], ['add', '-A', '-f'], ['commit', '-q', '-m', 'all']):
            subprocess.run([*git, *words], cwd=self.path, env=env, check=True, stderr=subprocess.DEVNULL)


def git(column, record, repository, cold):
    env = {**os.environ, 'GIT_CONFIG_GLOBAL': '/dev/null'}
    top = column.fresh()
    try:
        clone = os.path.join(top, 'clone')
        with record.timed('git clone', repository.files) as start:
            subprocess.run(['git', 'clone', '-q', '--no-local', 'file://' + repository.path, clone], check=True, env=env)
        with record.timed('git clone until committed', repository.files, since=start):
            column.commit(top)
        status = ['git', '-C', clone, '-c', 'safe.directory=*', 'status', '--porcelain']
        subprocess.run(status, check=True, env=env, stdout=subprocess.DEVNULL)
        with record.timed('git status warm', repository.files):
            subprocess.run(status, check=True, env=env, stdout=subprocess.DEVNULL)
        if cold:
            column.cold()
            with record.timed('git status cold', repository.files):
                subprocess.run(status, check=True, env=env, stdout=subprocess.DEVNULL)
    finally:
        column.done()


def build(column, record, files):
    """make -j2 of a program of many small C files."""
    need('make', 'gcc')
    top = column.fresh()
    try:
        for number in range(files):
            with open(os.path.join(top, f'f{number}.c'), 'w', encoding='ascii') as file:
                file.write(f'#include <stdio.h>\n#include <stdlib.h>\nint f{number}(int x) {{ return x * {number}; }}\n')
        with open(os.path.join(top, 'main.c'), 'w', encoding='ascii') as file:
            file.write(''.join(f'int f{number}(int);\n' for number in range(files)))
            file.write('int main(void) { return (' + ' + '.join(f'f{number}(1)' for number in range(files)) + ') == 0; }\n')
        objects = ' '.join(f'f{number}.o' for number in range(files))
        with open(os.path.join(top, 'Makefile'), 'w', encoding='ascii') as file:
            file.write(f'prog: main.o {objects}\n\tgcc -o $@ $^\n%.o: %.c\n\tgcc -O0 -c -o $@ $<\n')
        with record.timed('build of a C project', files):
            subprocess.run(['make', '-s', '-j2'], cwd=top, check=True)
    finally:
        column.done()


def npm(column, record, packages):
    """npm ci from a warm package cache."""
    top = column.fresh()
    try:
        with record.timed(f'npm ci of {packages.count} packages', packages.files) as start:
            ci(packages, top)
        with record.timed(f'npm ci of {packages.count} packages until committed', packages.files, since=start):
            column.commit(top)
    finally:
        column.done()


def sqlite(column, record, inserts):
    """One transaction an insert, each with its fsync (journal mode WAL, synchronous FULL)."""
    top = column.fresh()
    try:
        database = sqlite3.connect(os.path.join(top, 'db'), isolation_level=None)
        database.execute('PRAGMA journal_mode = WAL')
        database.execute('PRAGMA synchronous = FULL')
        database.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)')
        with record.timed(f'sqlite, {inserts} inserts with fsync', inserts):
            for number in range(inserts):
                database.execute('INSERT INTO t (text) VALUES (?)', (f'row {number} ' + 'x' * 100,))
        database.close()
    finally:
        column.done()
