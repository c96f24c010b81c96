"""A thousand idle IMAP connections: what each costs in memory."""

import resource
import socket

from server import context

PROGRAM = None
COUNT = 1_000


def memory_octets(server):
    with open(f"/proc/{server.process.pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024


def idle(server, port, secure):
    stream = socket.create_connection(("127.0.0.1", port), 30)
    if secure:
        stream = secure.wrap_socket(stream, server_hostname="localhost")
    stream.recv(1000)
    for command, end in ((b"a LOGIN anna secret", b"a OK"), (b"b SELECT INBOX", b"b OK"), (b"c IDLE", b"+ ")):
        stream.sendall(command + b"\r\n")
        answer = b""
        while end not in answer:
            answer += stream.recv(10_000)
    return stream


def measure(server, port, secure, limit):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_000), hard))
    server.deliver(100)
    first = [idle(server, port, secure) for _ in range(10)]
    before = memory_octets(server)
    streams = [idle(server, port, secure) for _ in range(COUNT)]
    each = (memory_octets(server) - before) / COUNT
    print(f"    {COUNT} idle connections {'over TLS' if secure else 'without TLS'}: {each / 1024:.1f} KB each")
    assert each < limit, each
    server.deliver(1, first=500)
    for stream in streams + first:
        stream.settimeout(20)
        assert b"101 EXISTS" in stream.recv(1000)
        stream.close()


def test_plain(server, _):
    measure(server, server.imap, None, 30 * 1024)


def test_tls(server, _):
    measure(server, server.imaps, context(), 30 * 1024)
