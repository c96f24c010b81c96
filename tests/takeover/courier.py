"""A Maildir served by a real Courier, taken over by Pillarbox: UIDVALIDITY, UIDs, flags,
keywords, dates, sizes, names, subscriptions, POP3 unique-ids and their order stay what
clients know, and mbsync transfers nothing.

Debian's Courier cannot be installed beside Dovecot; its programs are unpacked into a
folder by tests/run and driven behind a login of our own."""

import os
import socket
import subprocess
import threading
from pathlib import Path

from client import Imap, Mbsync, compare, delete_over_pop3, pop3, record
from messages import MESSAGES as BY_NAME
from messages import crlf
from ports import free_port
from servers import Pillarbox, Site

ROOT = Path(os.environ.get("COURIER_ROOT", "/nonexistent"))
PROGRAMS = (str(ROOT / "usr/bin/imapd"), "mbsync")
CAPABILITY = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE"
MESSAGES = [crlf(message) for message in BY_NAME.values() if b"\0" not in message][:30]


class Courier:
    """Courier's imapd and courierpop3d, which expect to be started logged in."""

    def __init__(self, site):
        self.site = site
        self.imap, self.pop3 = free_port(), free_port()
        subprocess.run(["chown", "-R", f"{os.getuid()}:{os.getgid()}", site.root / "mail"], check=True)
        libraries = {str(path.parent) for path in ROOT.rglob("*.so*")}
        self.environment = dict(
            os.environ, AUTHENTICATED="anna", HOME=str(site.root), LD_LIBRARY_PATH=":".join(sorted(libraries)),
            IMAP_KEYWORDS="1", IMAP_CAPABILITY=CAPABILITY, IMAP_USELOCKS="0",
            IMAP_ENHANCEDIDLE="0", IMAP_CHECK_ALL_FOLDERS="0", IMAP_UMASK="022")
        self.listeners = []
        for port, serve in ((self.imap, self.serve_imap), (self.pop3, self.serve_pop3)):
            listener = socket.create_server(("127.0.0.1", port))
            self.listeners.append(listener)
            threading.Thread(target=self.accept, args=(listener, serve), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for listener in self.listeners:
            listener.close()
        self.site.give_away(self.site.root / "mail")

    def accept(self, listener, serve):
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(stream,), daemon=True).start()

    def serve_imap(self, stream):
        with stream, stream.makefile("rwb", 0) as lines:
            lines.write(b"* OK ready\r\n")
            while line := lines.readline():
                tag, command = line.split()[:2]
                if command.upper() == b"LOGIN":
                    break
                more = b"* CAPABILITY %s\r\n" % CAPABILITY.encode() if command.upper() == b"CAPABILITY" else b""
                lines.write(more + tag + b" OK done\r\n")
            else:
                return
            self.hand_over(stream, lines, "usr/bin/imapd", b"* PREAUTH", tag + b" OK logged in\r\n")

    def serve_pop3(self, stream):
        with stream, stream.makefile("rwb", 0) as lines:
            lines.write(b"+OK ready\r\n")
            while line := lines.readline():
                if line.upper().startswith(b"PASS"):
                    break
                lines.write(b"+OK\r\n")
            else:
                return
            self.hand_over(stream, lines, "usr/lib/courier/courier/courierpop3d", b"+OK", b"+OK\r\n")

    def hand_over(self, stream, lines, program, greeting, reply):
        """Lets a program that greets so serve the stream, the greeting replaced."""
        with subprocess.Popen([ROOT / program, self.site.maildir], stdin=stream, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, env=self.environment) as process:
            while line := process.stdout.readline():
                if line.startswith(greeting):
                    lines.write(reply)
                    break
            while octets := os.read(process.stdout.fileno(), 65536):
                try:
                    stream.sendall(octets)
                except OSError:
                    return


def deliver(site, first, count):
    for number in range(first, first + count):
        name = f"{1600000000 + number}.M{number}P7.example"
        (site.maildir / "tmp" / name).write_bytes(MESSAGES[number % len(MESSAGES)].replace(b"\r\n", b"\n"))
        (site.maildir / "tmp" / name).rename(site.maildir / "new" / name)


def test_takeover(root):
    site = Site(root, delimiter=".", prefix="INBOX.")
    for name in ("cur", "new", "tmp"):
        (site.maildir / name).mkdir(parents=True)
    names = [site.name("Work"), site.name("Work", "2026"), site.name("Entwürfe"), site.name("日本語")]
    deliver(site, 10, 5)
    with Courier(site) as courier:
        # POP3 first, so that its numbers are not IMAP's UIDs.
        delete_over_pop3(courier, 2)
        deliver(site, 0, 5)
        imap = Imap(courier)
        imap.ok("SELECT INBOX")
        imap.ok("STORE 2 +FLAGS (\\Deleted)")
        imap.ok("EXPUNGE")
        for name in names:
            imap.ok(f"CREATE {name}")
            imap.append(name, MESSAGES[0], "\\Draft")
            imap.append(name, MESSAGES[1], "\\Seen")
        for name in names[:3] + ["INBOX"]:
            imap.ok(f"SUBSCRIBE {name}")
        imap.ok("SELECT INBOX")
        imap.ok("STORE 1:3 +FLAGS (\\Seen Important)")
        imap.ok("STORE 3:5 +FLAGS (\\Flagged $Label1)")
        imap.ok("STORE 2 -FLAGS (Important)")
        imap.close()
        deliver(site, 20, 3)
        pop3(courier).uidl()
        before = record(courier)
        mbsync = Mbsync(site, "*")
        kept = mbsync.run(courier)
        assert len(kept) >= 10 + 2 * len(names), kept
    with Pillarbox(site) as pillarbox:
        after = record(pillarbox)
        # Made for every account, as clients expect them; Courier's Work stays as it was.
        made = set(after["names",]) - set(before["names",])
        compare(before, {key: value for key, value in after.items() if key[0] not in made}
                | {("names",): {name: kind for name, kind in after["names",].items() if name not in made}},
                "taken over")
        assert mbsync.run(pillarbox) == kept
    return f"{len(before)} answers the same"
