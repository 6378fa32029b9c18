"""A lock file of npm packages and a cache that has them all, for `npm ci --offline`."""
import json
import os
import shutil
import subprocess

from harness import Missing, need


class Packages:
    """A lock file of some hundred npm packages, and a cache that has them all. Needs the registry once."""

    WANTED = ('express', 'webpack', 'eslint', 'mocha', 'typescript', 'rollup', 'jest')

    def __init__(self, box, wanted):
        need('npm')
        self.path = box.directory('packages')
        with open(os.path.join(self.path, 'package.json'), 'w', encoding='ascii') as file:
            json.dump({'name': 'packages', 'version': '1.0.0', 'private': True, 'dependencies': {}}, file)
        # A lock file that names the tarballs: what the cache has is then all that `npm ci` asks for.
        words = ['npm', 'install', '--omit-lockfile-registry-resolved=false', '--ignore-scripts', '--no-audit', '--no-fund',
                 '--silent', '--cache', os.path.join(self.path, 'cache'), *self.WANTED[:wanted]]
        done = subprocess.run(words, cwd=self.path, check=False, capture_output=True, timeout=600)
        if done.returncode != 0:
            raise Missing('npm can not fetch its packages: ' + done.stderr.decode(errors='replace').strip()[-200:])
        with open(os.path.join(self.path, 'package-lock.json'), encoding='utf-8') as file:
            self.count = len(json.load(file)['packages']) - 1
        self.files = sum(len(files) for _, _, files in os.walk(os.path.join(self.path, 'node_modules')))
        shutil.rmtree(os.path.join(self.path, 'node_modules'))


def ci(packages, top):
    """`npm ci` in this directory, from the cache alone."""
    for name in ('package.json', 'package-lock.json'):
        shutil.copy(os.path.join(packages.path, name), top)
    words = ['npm', 'ci', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--silent', '--cache',
             os.path.join(packages.path, 'cache')]
    subprocess.run(words, cwd=top, check=True, stdout=subprocess.DEVNULL, timeout=600)
