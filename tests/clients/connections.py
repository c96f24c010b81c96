"""Five hundred idle IMAP connections: what each costs in memory."""

import resource
import socket
import time
import zlib

from server import context

PROGRAM = None
COUNT = 500


def memory_octets(server):
    with open(f"/proc/{server.process.pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Anonymous:")) * 1024


class Idle:
    """A connection in IDLE."""

    def __init__(self, server, port, secure, compressed):
        self.stream = socket.create_connection(("127.0.0.1", port), 30)
        if secure:
            self.stream = secure.wrap_socket(self.stream, server_hostname="localhost")
        self.out = self.into = None
        self.stream.recv(1000)
        self.say(b"a LOGIN anna secret", b"a OK")
        if compressed:
            self.say(b"z COMPRESS DEFLATE", b"z OK")
            self.out = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
            self.into = zlib.decompressobj(-zlib.MAX_WBITS)
        self.say(b"b SELECT INBOX", b"b OK")
        # What a client asks for before it waits.
        self.say(b"f FETCH 1:* (FLAGS ENVELOPE)", b"f OK")
        self.say(b"c IDLE", b"+ ")

    def say(self, command, end):
        octets = command + b"\r\n"
        if self.out:
            octets = self.out.compress(octets) + self.out.flush(zlib.Z_SYNC_FLUSH)
        self.stream.sendall(octets)
        answer = b""
        while end not in answer:
            answer += self.hear()

    def hear(self):
        octets = self.stream.recv(10_000)
        assert octets, "closed"
        return self.into.decompress(octets) if self.into else octets


def measure(server, port, secure, compressed, limit):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_000), hard))
    server.deliver(100)
    first = [Idle(server, port, secure, compressed) for _ in range(10)]
    before = memory_octets(server)
    connections = [Idle(server, port, secure, compressed) for _ in range(COUNT)]
    # After five seconds at rest a compressor's memory is given back.
    time.sleep(7 if compressed else 0)
    each = (memory_octets(server) - before) / COUNT
    how = " over TLS" * bool(secure) + " compressed" * compressed
    print(f"    {COUNT} idle connections{how or ' without TLS'}: {each / 1024:.1f} KB each")
    assert each < limit, each
    server.deliver(1, first=500)
    for connection in connections + first:
        connection.stream.settimeout(20)
        assert b"101 EXISTS" in connection.hear()
        connection.stream.close()


def test_plain(server, _):
    measure(server, server.imap, None, False, 30 * 1024)


def test_tls(server, _):
    measure(server, server.imaps, context(), False, 30 * 1024)


def test_compressed(server, _):
    measure(server, server.imap, None, True, 48 * 1024)


def test_compressed_over_tls(server, _):
    measure(server, server.imaps, context(), True, 48 * 1024)
