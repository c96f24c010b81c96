"""Python's imaplib and poplib."""

import imaplib
import poplib
import time
import zlib

from server import context, login

PROGRAM = None


def test_imaplib(server, _):
    server.deliver(5)
    session = login(server)
    assert session.select("INBOX")[1] == [b"5"]
    assert session.fetch("1:*", "(ENVELOPE BODYSTRUCTURE)")[0] == "OK"
    assert session.search(None, "SUBJECT", '"delivered 3"')[1] == [b"3"]
    assert session.append("Archive", "\\Seen", None, b"Subject: x\r\n\r\ny\r\n")[0] == "OK"
    assert session.uid("MOVE", "1", "Archive")[0] == "OK"
    assert session.status("Archive", "(MESSAGES)")[1] == [b"Archive (MESSAGES 2)"]
    session.logout()


def test_starttls(server, _):
    session = imaplib.IMAP4("127.0.0.1", server.imap)
    session.starttls(context())
    session.login("anna", "secret")
    session.logout()
    pop = poplib.POP3("127.0.0.1", server.pop3)
    pop.stls(context())
    pop.user("anna")
    pop.pass_("secret")
    pop.quit()


class Compressed:
    """What imaplib reads and writes, compressed by zlib (RFC 4978)."""

    def __init__(self, session):
        self.session, self.sock, self.rest = session, session.sock, b""
        self.out = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        self.into = zlib.decompressobj(-zlib.MAX_WBITS)
        session.read, session.readline, session.send = self.read, self.readline, self.send

    def send(self, octets):
        self.sock.sendall(self.out.compress(octets) + self.out.flush(zlib.Z_SYNC_FLUSH))

    def more(self):
        octets = self.sock.recv(65536)
        assert octets, "closed"
        self.rest += self.into.decompress(octets)

    def read(self, count):
        while len(self.rest) < count:
            self.more()
        octets, self.rest = self.rest[:count], self.rest[count:]
        return octets

    def readline(self):
        while b"\n" not in self.rest:
            self.more()
        return self.read(self.rest.index(b"\n") + 1)


def compress(session):
    imaplib.Commands.setdefault("COMPRESS", ("AUTH", "SELECTED"))
    assert session._simple_command("COMPRESS", "DEFLATE")[0] == "OK"
    return Compressed(session)


def test_compress(server, _):
    server.deliver(500)
    for session in (login(server), imaplib.IMAP4("127.0.0.1", server.imap)):
        if session.state == "NONAUTH":
            session.login("anna", "secret")
        compressed = compress(session)
        assert session.select("INBOX")[1] == [b"500"]
        answer = session.fetch("1:*", "(ENVELOPE BODY.PEEK[])")[1]
        assert len(answer) == 1000 and answer[0][1].endswith(b"\r\n\r\nText 1\r\n.dot\r\n"), answer[0]
        big = b"Subject: x\r\n\r\n" + b"y" * 300_000 + b"\r\n"
        assert session.append("Archive", "", None, big)[0] == "OK"
        # A compressor that flushes all, and one that begins anew without a word.
        for flush in (zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_BLOCK):
            command = b"x%d NOOP\r\n" % flush
            compressed.sock.sendall(compressed.out.compress(command) + compressed.out.flush(flush))
            if flush == zlib.Z_BLOCK:
                compressed.sock.sendall(compressed.out.flush(zlib.Z_SYNC_FLUSH))
            assert session.readline().startswith(b"x%d OK" % flush)
        session.logout()


def test_unauthenticate(server, _):
    session = login(server)
    compressed = compress(session)
    # zlib ends the compressed octets; what follows them is not compressed.
    octets = compressed.out.compress(b"x UNAUTHENTICATE\r\n") + compressed.out.flush(zlib.Z_FINISH)
    compressed.sock.sendall(octets + b"y LOGIN anna secret\r\n")
    assert session.readline().startswith(b"x OK")
    while not compressed.into.eof:
        compressed.more()
    plain = compressed.into.unused_data
    while not plain.endswith(b"\n"):
        plain += compressed.sock.recv(1000)
    assert plain.startswith(b"y OK"), plain
    session.shutdown()


def test_poplib(server, _):
    server.deliver(5)
    pop = poplib.POP3_SSL("127.0.0.1", server.pop3s, context=context())
    pop.user("anna")
    pop.pass_("secret")
    count, octets = pop.stat()
    assert count == 5, count
    received = sum(sum(len(line) + 2 for line in pop.retr(number)[1]) for number in range(1, 6))
    assert received == octets, (received, octets)
    before = pop.uidl()[1]
    pop.dele(1)
    pop.quit()
    pop = poplib.POP3_SSL("127.0.0.1", server.pop3s, context=context())
    pop.user("anna")
    pop.pass_("secret")
    assert [line.split()[1] for line in pop.uidl()[1]] == [line.split()[1] for line in before[1:]]
    pop.quit()


def test_idle(server, _):
    session = login(server)
    session.select("INBOX")
    session.send(b"x IDLE\r\n")
    assert session.readline().startswith(b"+")
    started = time.monotonic()
    server.deliver(1)
    lines = []
    while b"* 1 EXISTS" not in lines:
        lines.append(session.readline().strip())
        assert time.monotonic() - started < 5, lines
    print(f"    told of a delivery after {1000 * (time.monotonic() - started):.0f} ms")
    session.send(b"DONE\r\n")
    session.shutdown()
