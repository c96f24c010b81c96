"""What all client tests use: a demo server, and a logged-in imaplib session."""

import imaplib
import os
import poplib
import socket
import ssl
import subprocess
import time
from pathlib import Path

from ports import free_port
from recording import ImapReader, Pop3Reader, Recorder

PROGRAM = None
imaplib._MAXLINE = 10_000_000
poplib._MAXLINE = 1_000_000


class Server:
    """A demo server with the user anna, password secret. Where it is recorded, a relay that
    notes what is sent has the ports; `own_imaps` is the server's own."""

    def __init__(self, directory, recorded=False):
        self.directory = Path(directory)
        self.imap, self.imaps, self.pop3, self.pop3s = (free_port() for _ in range(4))
        self.own_imaps = self.imaps
        self.process = subprocess.Popen(
            [PROGRAM, "demo", str(directory), "--imap", str(self.imap), "--imaps", str(self.imaps),
             "--pop3", str(self.pop3), "--pop3s", str(self.pop3s), "--user", "anna=secret", "--no-sample"],
            stdout=subprocess.DEVNULL, env=dict(os.environ, PILLARBOX_LOG="warn"))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                for port in (self.imap, self.imaps, self.pop3, self.pop3s):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            raise SystemExit("the server did not start")
        self.maildir = self.directory / "mail/anna/Maildir"
        self.recorder = self.record() if recorded else None

    def record(self):
        recorder = Recorder(self.directory / "cert.pem", self.directory / "key.pem")
        self.imap = recorder.relay(self.imap, ImapReader, secure=False)
        self.imaps = recorder.relay(self.imaps, ImapReader, secure=True)
        self.pop3 = recorder.relay(self.pop3, Pop3Reader, secure=False)
        self.pop3s = recorder.relay(self.pop3s, Pop3Reader, secure=True)
        return recorder

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.recorder:
            self.recorder.close()
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the server did not stop within 15 s of SIGTERM")

    def deliver(self, count, first=1):
        for number in range(first, first + count):
            name = f"{1793613000 + number}.M{number}P9.example"
            temporary = self.maildir / "tmp" / name
            temporary.write_text(f"From: Ben <ben@example.org>\nTo: anna@example.org\nSubject: Delivered {number}\n"
                                 f"Message-ID: <delivered{number}@example.org>\n\nText {number}\n.dot\n")
            temporary.rename(self.maildir / "new" / name)


def context():
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    return unverified


def login(server):
    """A session beside the client's, which is not recorded."""
    session = imaplib.IMAP4_SSL("127.0.0.1", server.own_imaps, ssl_context=context())
    session.login("anna", "secret")
    return session


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout
