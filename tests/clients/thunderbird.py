"""What Thunderbird sends, as it was recorded: it needs a screen, so its commands are played.
In small letters, PLAIN without an initial response, each connection compressed, and UIDNEXT:*
asked for whether or not anything is there."""

import re
import socket
import time
import zlib
from base64 import b64encode

from server import context, login

PROGRAM = None
CLIENT = "Thunderbird (its commands played)"
HEADERS = ("From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To "
           "Content-Type Reply-To Received")


class Connection:
    """One of up to five that it opens."""

    def __init__(self, server):
        stream = socket.create_connection(("127.0.0.1", server.imaps), 20)
        self.stream = context().wrap_socket(stream, server_hostname="localhost")
        self.out = self.into = None
        self.rest, self.number = b"", 0
        assert b"* OK" in self.until(b"\r\n")
        self.send(b"1 authenticate PLAIN\r\n")
        self.until(b"+ \r\n")
        self.send(b64encode(b"\0anna\0secret") + b"\r\n")
        self.number = 1
        self.capabilities = self.until(b"1 OK").upper()
        # Without a list it asks.
        assert b"CAPABILITY IMAP4REV1" in self.capabilities
        self.say("namespace")
        self.say("compress DEFLATE")
        self.out = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        self.into = zlib.decompressobj(-zlib.MAX_WBITS)
        self.say('ID ("name" "Thunderbird" "version" "128.0")')

    def send(self, octets):
        if self.out:
            octets = self.out.compress(octets) + self.out.flush(zlib.Z_SYNC_FLUSH)
        self.stream.sendall(octets)

    def until(self, end):
        while end not in self.rest:
            octets = self.stream.recv(65_536)
            assert octets, f"closed after {self.rest!r}"
            self.rest += self.into.decompress(octets) if self.into else octets
        answer, self.rest = self.rest, b""
        return answer

    def say(self, command, literal=None):
        """Sends a command; gives all of a good answer."""
        self.number += 1
        text = f"{self.number} {command}".encode()
        self.send(text + (b" {%d+}\r\n%s\r\n" % (len(literal), literal) if literal else b"\r\n"))
        answer = self.until(b"\r\n")
        while not re.search(rb"(^|\r\n)%d (OK|NO|BAD).*\r\n$" % self.number, answer):
            answer += self.until(b"\r\n")
        assert re.search(rb"(^|\r\n)%d OK" % self.number, answer), (command, answer)
        return answer

    def close(self):
        self.say("logout")
        self.stream.close()


def test_mailboxes(server, _):
    connection = Connection(server)
    connection.say('create "Kept"')
    connection.say('subscribe "Kept"')
    answer = connection.say('list (subscribed) "" "*" return (special-use)')
    assert b"Kept" in answer and b"INBOX" not in answer, answer
    answer = connection.say('list "" "INBOX"')
    assert b"INBOX" in answer
    connection.say('list (subscribed) "" "*"')
    connection.say('list "" "*"')
    connection.close()


def test_messages(server, _):
    server.deliver(5)
    inbox, archive = Connection(server), Connection(server)
    assert b"* 5 EXISTS" in inbox.say('select "INBOX"')
    assert inbox.say("UID fetch 1:* (FLAGS)").count(b"FETCH (") == 5
    # Nothing is there, and * is the last message (RFC 3501, seq-range).
    assert inbox.say("UID fetch 6:* (FLAGS)").count(b"FETCH (") == 1
    answer = inbox.say(f"UID fetch 1:5 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS ({HEADERS})])")
    assert answer.count(b"Subject: Delivered") == 5
    assert b"Text 2" in inbox.say("UID fetch 2 (UID RFC822.SIZE BODY.PEEK[])")
    inbox.say("uid store 2 +Flags (\\Seen)")
    inbox.say("uid store 2 -Flags (\\Seen)")
    archive.say('select "Archive"')
    message = b"Subject: kept\r\n\r\nbody\r\n"
    archive.say('append "Archive" (\\Seen) "01-Mar-2026 10:00:00 +0000"', message)
    inbox.say('uid copy 1 "Archive"')
    inbox.say('uid move 3 "Archive"')
    assert b"* 3 EXISTS" in archive.say("noop")
    assert b"SEARCH 4\r\n" in inbox.say('UID SEARCH UNDELETED SUBJECT "delivered 4"')
    assert b"SEARCH 5\r\n" in inbox.say('UID SEARCH UNDELETED BODY "Text 5"')
    inbox.say("uid store 1 +FLAGS (\\Deleted \\Seen)")
    assert b"EXPUNGE" in inbox.say("expunge")
    inbox.say("close")
    for connection in (inbox, archive):
        connection.close()
    session = login(server)
    assert session.select("INBOX")[1] == [b"3"]
    assert session.select("Archive")[1] == [b"3"]
    session.logout()


def test_waits(server, _):
    connection = Connection(server)
    connection.say('select "INBOX"')
    connection.number += 1
    connection.send(b"%d IDLE\r\n" % connection.number)
    connection.until(b"+ ")
    started = time.monotonic()
    server.deliver(1)
    connection.until(b"* 1 EXISTS\r\n")
    assert time.monotonic() - started < 5
    connection.send(b"DONE\r\n")
    connection.until(b"%d OK" % connection.number)
    assert connection.say("UID fetch 1:* (FLAGS)").count(b"FETCH (") == 1
    connection.close()
