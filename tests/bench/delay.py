"""The services as if a network were in between: a delaying proxy before Postgres and Redis."""
import os
import socket
import statistics
import subprocess
import time

from columns import HERE, need
from harness import until


class Delay:
    """`rtt` milliseconds, half of it each way. env: an environment in which sboxfs uses the delayed services."""

    def __init__(self, box, rtt):
        need('g++')
        self.box = box
        program = os.path.join(box.directory('delay'), 'delay_proxy')
        box.run(['g++', '-std=c++20', '-O2', '-pthread', os.path.join(HERE, 'delay_proxy.cpp'), '-o', program])
        addresses = box.addresses()
        self.directory = box.directory('far')
        real = box.sockets()
        self.postgres = os.path.join(self.directory, '.s.PGSQL.5432')
        self.redis = os.path.join(self.directory, 'redis.sock')
        self.processes = [box.start([program, here, there, str(rtt / 2)], stdin=subprocess.PIPE)
                          for here, there in ((self.postgres, os.path.join(real, '.s.PGSQL.5432')),
                                              (self.redis, os.path.join(real, 'redis.sock')))]
        for path in (self.postgres, self.redis):
            until(10, lambda path=path: os.path.exists(path), 'the proxy listens')
        self.env = {'SBOXFS_HOME': box.directory('far-home'),
                    **{key: value.replace(real, self.directory) for key, value in addresses.items()}}

    def proof(self):
        """Seconds of `select 1` and PING through the proxies: medians."""
        text = ''.join('select 1;\n' for _ in range(20))
        begin = self.box.run(['psql', '-X', '-q', '-A', '-t', '-h', self.directory, '-U', 'postgres', '-d', 'sboxfs', '-f',
                              '-'], input=b'\\timing on\n' + text.encode()).text
        select = [float(line.split()[1]) for line in begin.splitlines() if line.startswith('Time:')]
        pings = []
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.redis)
            for _ in range(20):
                start = time.perf_counter()
                connection.sendall(b'PING\r\n')
                connection.recv(64)
                pings.append((time.perf_counter() - start) * 1000)
        return statistics.median(select), statistics.median(pings)

    def end(self):
        for process in self.processes:
            process.stdin.close()
            process.wait(5)
