"""A proxy between sboxfs and Postgres that loses the answers of commits at seeded moments."""
import asyncio
import os
import random
import struct
import threading

COMMITS = (b'\0commit\0', b'commit_batch')  # a Bind of the prepared statement, or the statement's text


class CommitCutter:
    """Serves DIRECTORY/.s.PGSQL.5432. Of the commits that pass, about one in `odds` is hit in one of three ways:

    before  the connection is cut, the server never sees the commit
    after   the server commits, the connection is cut before the answer
    late    the connection is cut at once, the server gets the commit some 100 ms later
    """

    WAYS = ('before', 'after', 'late')

    def __init__(self, directory, server, seed, odds):
        self.directory, self._server, self._odds = directory, os.path.join(server, '.s.PGSQL.5432'), odds
        self._random = random.Random(seed)
        self.enabled = False
        self.next_way = None  # how the next commit is hit, whatever the odds
        self.commits = 0
        self.cut = dict.fromkeys(self.WAYS, 0)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        if not self._ready.wait(10):
            raise AssertionError('the proxy did not start')
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self):
        asyncio.set_event_loop(self._loop)
        path = os.path.join(self.directory, '.s.PGSQL.5432')
        self._loop.run_until_complete(asyncio.start_unix_server(self._serve, path))
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _serve(self, client_in, client_out):
        try:
            server_in, server_out = await asyncio.open_unix_connection(self._server)
        except OSError:
            client_out.close()
            return
        answers = asyncio.ensure_future(self._copy(server_in, client_out))
        try:
            size = struct.unpack('>I', await client_in.readexactly(4))[0]
            server_out.write(struct.pack('>I', size) + await client_in.readexactly(size - 4))
            while await self._group(client_in, client_out, server_out, answers):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # a side has gone, or the test ends
        finally:
            client_out.close()
            server_out.close()
            answers.cancel()

    async def _group(self, client_in, client_out, server_out, answers):
        """One group of messages up to Sync, Query, a password or the end, passed on whole. False: cut."""
        group = b''
        while True:
            kind = await client_in.readexactly(1)
            size = await client_in.readexactly(4)
            group += kind + size + await client_in.readexactly(struct.unpack('>I', size)[0] - 4)
            if kind in b'SQpX':
                break
        way = self._choose(group)
        if way is None:
            server_out.write(group)
            await server_out.drain()
            return True
        self.cut[way] += 1
        if way == 'before':
            return False
        answers.cancel()  # whatever comes from now on is lost
        if way == 'late':
            client_out.transport.abort()
            await asyncio.sleep(self._random.uniform(0.05, 0.4))
        server_out.write(group)
        await server_out.drain()
        # A server whose client has gone may give up what it is at; leave it the time to finish.
        await asyncio.sleep(0.3)
        return False

    def _choose(self, group):
        if not any(mark in group for mark in COMMITS):
            return None
        self.commits += 1
        if self.next_way is not None:
            way, self.next_way = self.next_way, None
            return way
        if not self.enabled or self._random.randrange(self._odds):
            return None
        return self._random.choice(self.WAYS)

    @staticmethod
    async def _copy(source, target):
        try:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        except (ConnectionError, OSError):
            pass
        finally:
            target.close()
