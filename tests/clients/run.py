#!/usr/bin/env python3
"""Real mail programs against the built server: python imaplib and poplib, curl,
mbsync, fetchmail, mpop. A program that is not installed is named as skipped.

usage: run.py PATH-TO-PILLARBOX
"""

import imaplib
import os
import poplib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROGRAM = os.path.abspath(sys.argv[1])
imaplib._MAXLINE = 10_000_000
poplib._MAXLINE = 1_000_000


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A demo server with the user anna, password secret."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.imap, self.imaps, self.pop3, self.pop3s = (free_port() for _ in range(4))
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

    def __enter__(self):
        return self

    def __exit__(self, *_):
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
    session = imaplib.IMAP4_SSL("127.0.0.1", server.imaps, ssl_context=context())
    session.login("anna", "secret")
    return session


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


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


def test_curl(server, _):
    server.deliver(2)
    listing = run("curl", "-sk", f"imaps://127.0.0.1:{server.imaps}/", "-u", "anna:secret")
    assert "INBOX" in listing, listing
    text = run("curl", "-sk", f"imaps://127.0.0.1:{server.imaps}/INBOX;UID=2", "-u", "anna:secret")
    assert "Delivered 2" in text, text
    text = run("curl", "-sk", f"pop3s://127.0.0.1:{server.pop3s}/1", "-u", "anna:secret")
    assert "Delivered 1" in text, text


def test_mbsync(server, scratch):
    count = 10_000
    server.deliver(count)
    local = scratch / "local"
    local.mkdir()
    certificate = server.directory / "cert.pem"
    (scratch / "mbsyncrc").write_text(f"""
IMAPStore far
Host localhost
Port {server.imaps}
User anna
Pass secret
SSLType IMAPS
CertificateFile {certificate}

MaildirStore near
Path {local}/
Inbox {local}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""")
    stop = threading.Event()

    def disturb():
        session = login(server)
        session.select("INBOX")
        number = count
        while not stop.is_set() and number < count + 200:
            number += 1
            server.deliver(1, number)
            session.uid("STORE", str(number - count), "+FLAGS.SILENT", "(\\Deleted)")
            session.expunge()
            time.sleep(0.02)
        session.logout()

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        run("mbsync", "-q", "-c", str(scratch / "mbsyncrc"), "all")
    finally:
        stop.set()
        disturber.join()
    run("mbsync", "-q", "-c", str(scratch / "mbsyncrc"), "all")
    near = sum(len(list((local / "INBOX" / folder).iterdir())) for folder in ("cur", "new"))
    session = login(server)
    far = int(session.select("INBOX")[1][0])
    assert near == far, (near, far)
    flagged = next(file for folder in ("cur", "new") for file in (local / "INBOX" / folder).iterdir())
    flagged.rename(local / "INBOX" / "cur" / (flagged.name.split(":2,")[0] + ":2,FS"))
    run("mbsync", "-q", "-c", str(scratch / "mbsyncrc"), "all")
    assert len(session.search(None, "FLAGGED")[1][0].split()) == 1
    session.logout()
    print(f"    {far} messages on both sides")


def test_fetchmail(server, scratch):
    server.deliver(3)
    target = scratch / "fetched"
    settings = scratch / "fetchmailrc"
    settings.write_text(f"""poll 127.0.0.1 protocol POP3 port {server.pop3s}
user anna password secret ssl no sslcertck nokeep
mda "cat >> {target}"
""")
    settings.chmod(0o600)
    environment = dict(os.environ, FETCHMAILHOME=str(scratch))
    done = subprocess.run(["fetchmail", "-f", str(settings), "-s"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    assert target.read_text().count("Subject: Delivered") == 3
    session = login(server)
    assert session.select("INBOX")[1] == [b"0"]
    session.logout()


def test_mpop(server, scratch):
    server.deliver(3)
    (scratch / "inbox").mkdir()
    for folder in ("cur", "new", "tmp"):
        (scratch / "inbox" / folder).mkdir()
    settings = scratch / "mpoprc"
    settings.write_text(f"""account default
host 127.0.0.1
port {server.pop3s}
tls on
tls_starttls off
tls_certcheck off
user anna
password secret
keep on
uidls_file {scratch}/uidls
delivery maildir {scratch}/inbox
""")
    settings.chmod(0o600)
    for _ in range(2):
        run("mpop", "-q", "-C", str(settings))
    assert len(list((scratch / "inbox/new").iterdir())) == 3


TESTS = [
    (None, test_imaplib), (None, test_starttls), (None, test_poplib), (None, test_idle),
    ("curl", test_curl), ("mbsync", test_mbsync), ("fetchmail", test_fetchmail), ("mpop", test_mpop),
]


def main():
    failed = skipped = passed = 0
    for program, test in TESTS:
        name = test.__name__.removeprefix("test_")
        if program and not shutil.which(program):
            print(f"client {name}: skipped, {program} is not installed")
            skipped += 1
            continue
        with tempfile.TemporaryDirectory() as directory:
            scratch = Path(directory)
            try:
                with Server(scratch / "server") as server:
                    test(server, scratch)
                print(f"client {name}: ok")
                passed += 1
            except Exception as error:  # each program's failure is reported, then the next runs
                print(f"client {name}: FAILED: {error!r}")
                failed += 1
    print(f"clients: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
