#!/usr/bin/env python3
"""One Maildir served by a real Dovecot, taken over by Pillarbox, changed, taken
back by Dovecot, and taken over again: UIDVALIDITY, UIDs, flags, keywords, dates,
sizes, subscriptions and POP3 unique-ids must stay what clients know, and mbsync
with a state of its own must transfer nothing when the server changes.

usage: run.py PATH-TO-PILLARBOX
"""

import imaplib
import os
import poplib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from messages import MESSAGES

PROGRAM = os.path.abspath(sys.argv[1])
imaplib._MAXLINE = poplib._MAXLINE = 10_000_000
MAIL_USER = "nobody"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(*ports):
    deadline = time.monotonic() + 20
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise AssertionError(f"nobody listens on {port}")
                time.sleep(0.05)


class Dovecot:
    """A private Dovecot over a Maildir; its system service is left alone."""

    name = "Dovecot"

    def __init__(self, root):
        self.imap, self.pop3 = free_port(), free_port()
        base = root / "dovecot"
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir()
        subprocess.run(["chown", "-R", f"{MAIL_USER}:", str(root / "mail")], check=True)
        (base / "passwd").write_text("anna:{PLAIN}secret::::::\n")
        account = pwd.getpwnam(MAIL_USER)
        (base / "dovecot.conf").write_text(f"""
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log
protocols = imap pop3
ssl = no
disable_plaintext_auth = no
listen = 127.0.0.1
mail_location = maildir:{root}/mail/anna/Maildir
mail_plugins = listescape
mail_uid = {account.pw_uid}
mail_gid = {account.pw_gid}
first_valid_uid = 1
first_valid_gid = 1
namespace inbox {{
  inbox = yes
  separator = /
}}
passdb {{
  driver = passwd-file
  args = {base}/passwd
}}
userdb {{
  driver = static
  args = home={root}/mail/anna
}}
service imap-login {{
  inet_listener imap {{
    port = {self.imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {self.pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service stats {{
  chroot =
}}
""")
        self.log = base / "log"
        self.process = subprocess.Popen(["dovecot", "-F", "-c", str(base / "dovecot.conf")], stdout=subprocess.DEVNULL)
        wait_for(self.imap, self.pop3)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        if kind:
            print(self.log.read_text()[-3000:])


class Pillarbox:
    """The demo server over the same Maildir."""

    name = "Pillarbox"

    def __init__(self, root):
        ports = [free_port() for _ in range(4)]
        self.imap, self.pop3 = ports[0], ports[2]
        arguments = [text for pair in zip(("--imap", "--imaps", "--pop3", "--pop3s"), map(str, ports)) for text in pair]
        self.process = subprocess.Popen(
            [PROGRAM, "demo", str(root), *arguments, "--user", "anna=secret", "--no-sample"],
            stdout=subprocess.DEVNULL, env=dict(os.environ, PILLARBOX_LOG="warn"))
        wait_for(*ports)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


class Imap:
    """A small IMAP client that shows what the server says, literals joined in."""

    def __init__(self, server):
        self.stream = socket.create_connection(("127.0.0.1", server.imap), 30)
        self.reader = self.stream.makefile("rb")
        self.reader.readline()
        self.ok("LOGIN anna secret")

    def send(self, command):
        self.stream.sendall(b"a " + command.encode() + b"\r\n")

    def answer(self):
        lines = []
        while True:
            line = self.reader.readline()
            if not line:
                raise AssertionError(f"the server closed; so far {lines[-3:]}")
            while match := re.search(rb"\{(\d+)\}\r\n$", line):
                literal = self.reader.read(int(match[1]))
                line = line[:match.start()] + quoted(literal) + self.reader.readline()
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            if text.startswith("a "):
                return lines, text
            lines.append(text)

    def ok(self, command):
        self.send(command)
        lines, end = self.answer()
        assert end.startswith("a OK"), (command, end)
        return lines

    def append(self, mailbox, message, flags="", date=""):
        arguments = " ".join(part for part in (f"({flags})" if flags else "", f'"{date}"' if date else "") if part)
        self.stream.sendall(f"a APPEND {mailbox} {arguments} {{{len(message)}}}\r\n".encode())
        assert self.reader.readline().startswith(b"+")
        self.stream.sendall(message + b"\r\n")
        end = self.answer()[1]
        assert end.startswith("a OK"), end

    def close(self):
        self.ok("LOGOUT")
        self.stream.close()


def quoted(octets):
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def fill(server):
    """What years of use leave: gaps, keywords, dates, nested and foreign names."""
    imap = Imap(server)
    for name in ('"Work/2026/Plans"', '"&BBAEQQQ0BEQ-/&ZeVnLIqe-"', '"with.dots/a.b"', "Sent", '"sp ace"'):
        imap.ok(f"CREATE {name}")
    for name in ("INBOX", '"Work/2026/Plans"', '"&BBAEQQQ0BEQ-/&ZeVnLIqe-"', "Sent"):
        imap.ok(f"SUBSCRIBE {name}")
    for place, message in enumerate(MESSAGES):
        imap.append("INBOX", message, ("\\Seen", "\\Answered \\Flagged", "", "$Label1 work")[place % 4],
                    f"{1 + place % 28:02}-Nov-2020 10:20:{place % 60:02} +0100")
    for mailbox in ('"Work/2026/Plans"', '"&BBAEQQQ0BEQ-/&ZeVnLIqe-"', '"with.dots/a.b"', '"sp ace"'):
        for message in MESSAGES[:3]:
            imap.append(mailbox, message, "\\Draft $Forwarded")
    imap.ok("SELECT INBOX")
    imap.ok("STORE 2,5 +FLAGS (\\Deleted)")
    imap.ok("EXPUNGE")
    imap.ok("COPY 1:4 Sent")
    imap.close()
    pop3 = poplib.POP3("127.0.0.1", server.pop3)
    pop3.user("anna")
    pop3.pass_("secret")
    pop3.uidl()
    pop3.dele(3)
    pop3.quit()


def change(server):
    """What a day of use changes."""
    imap = Imap(server)
    imap.ok('CREATE "New/Place"')
    imap.ok('SUBSCRIBE "New/Place"')
    imap.ok("UNSUBSCRIBE Sent")
    imap.append("INBOX", b"Subject: new one\r\n\r\nnew\r\n", "\\Seen brandnew")
    imap.ok("SELECT INBOX")
    imap.ok("STORE 1 +FLAGS (\\Flagged late)")
    imap.ok("STORE 2 FLAGS ()")
    imap.ok("STORE 3 +FLAGS (\\Deleted)")
    imap.ok("EXPUNGE")
    imap.ok('MOVE 4 "New/Place"')
    imap.ok("COPY 5 Sent")
    imap.ok('RENAME "Work/2026" "Work/old"')
    imap.ok('DELETE "sp ace"')
    imap.close()
    pop3 = poplib.POP3("127.0.0.1", server.pop3)
    pop3.user("anna")
    pop3.pass_("secret")
    pop3.uidl()
    pop3.dele(1)
    pop3.quit()


def record(server):
    """All that a client may remember of a mailbox."""
    imap = Imap(server)
    seen = {}
    names = []
    for line in imap.ok('LIST "" "*"'):
        match = re.match(r'\* LIST \(([^)]*)\) "/" (.*)$', line)
        name = match[2] if match[2].startswith('"') else f'"{match[2]}"'
        if "\\noselect" not in match[1].lower() and "\\nonexistent" not in match[1].lower():
            names.append(name)
    subscribed = [line.rsplit('"/" ', 1)[1].strip('"') for line in imap.ok('LSUB "" "*"')]
    seen["subscribed"] = sorted(subscribed)
    for name in sorted(names):
        status = imap.ok(f"STATUS {name} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")
        seen[name, "status"] = re.search(r"\(MESSAGES.*", status[-1])[0]
        imap.ok(f"EXAMINE {name}")
        rows = {}
        if "MESSAGES 0" not in seen[name, "status"]:
            for line in imap.ok("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)"):
                if " FETCH " not in line:
                    continue
                uid = int(re.search(r"UID (\d+)", line)[1])
                flags = set(re.search(r"FLAGS \(([^)]*)\)", line)[1].split()) - {"\\Recent"}
                date = imaplib.Internaldate2tuple(line.encode())
                rows[uid] = (sorted(flags, key=str.lower), time.mktime(date), re.search(r"RFC822.SIZE (\d+)", line)[1])
        seen[name, "messages"] = rows
    imap.close()
    pop3 = poplib.POP3("127.0.0.1", server.pop3)
    pop3.user("anna")
    pop3.pass_("secret")
    seen["unique-ids"] = pop3.uidl()[1]
    seen["sizes"] = pop3.list()[1]
    pop3.quit()
    return seen


def compare(before, after, what):
    for key in sorted(set(before) | set(after), key=str):
        if key not in before and after.get(key) in ({}, None) or before.get(key) == after.get(key):
            continue
        if isinstance(before.get(key), dict) and isinstance(after.get(key), dict):
            for uid in sorted(set(before[key]) | set(after[key])):
                assert before[key].get(uid) == after[key].get(uid), (what, key, uid, before[key].get(uid), after[key].get(uid))
        raise AssertionError((what, key, before.get(key), after.get(key)))


def defaults_hidden(seen):
    """Pillarbox gives an account Drafts, Junk, Trash and Archive; they are not the old server's."""
    made = {'"Drafts"', '"Junk"', '"Trash"', '"Archive"'}
    kept = {key: value for key, value in seen.items() if not (isinstance(key, tuple) and key[0] in made)}
    return kept | {"subscribed": [name for name in seen["subscribed"] if f'"{name}"' not in made]}


class Mbsync:
    """mbsync with one state over all changes of server."""

    def __init__(self, root):
        self.root = root / "mbsync"
        self.root.mkdir()

    def run(self, server):
        settings = self.root / "rc"
        settings.write_text(f"""
IMAPStore far
Host 127.0.0.1
Port {server.imap}
User anna
Pass secret
SSLType None
AuthMechs LOGIN

MaildirStore near
Path {self.root}/
Inbox {self.root}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns * !Drafts !Junk !Trash !Archive !Work* !sp*
Create Both
Expunge Both
SyncState *
""")
        done = subprocess.run(["mbsync", "-c", str(settings), "all"], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return {str(path.relative_to(self.root)): path.stat().st_mtime_ns
                for path in self.root.rglob("*") if path.is_file() and "/cur/" in str(path) or "/new/" in str(path)}


def answers(server):
    """What both servers say of the same messages."""
    imap = Imap(server)
    imap.ok("EXAMINE INBOX")
    said = {}
    for item in ("ENVELOPE", "BODY", "BODYSTRUCTURE", "BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]", "BODY.PEEK[1]",
                 "BODY.PEEK[1.MIME]", "BODY.PEEK[2]", "BODY.PEEK[2.MIME]", "BODY.PEEK[2.HEADER]", "BODY.PEEK[2.TEXT]",
                 "BODY.PEEK[2.1]", "BODY.PEEK[1.1]", "BODY.PEEK[2.1.MIME]", "BODY.PEEK[]<3.50>",
                 "BODY.PEEK[HEADER.FIELDS (SUBJECT TO)]", "BODY.PEEK[HEADER.FIELDS.NOT (RECEIVED SUBJECT)]"):
        for line in imap.ok(f"UID FETCH 1:* {item}"):
            match = re.match(r"\* \d+ FETCH \((.*)\)$", line, re.S)
            if match:
                text = match[1]
                uid = int(re.match(r"UID (\d+) ", text)[1] if text.startswith("UID") else re.search(r" UID (\d+)$", text)[1])
                said[item, uid] = re.sub(r"^UID \d+ | UID \d+$", "", text)
    for key in ("ALL", "SEEN", "UNSEEN", "FLAGGED", "ANSWERED", "DRAFT", "KEYWORD work", "UNKEYWORD work", "SUBJECT test",
                'SUBJECT "gr\u00fc"', "FROM ben", "TO example", "BODY hello", "TEXT boundary", "LARGER 500", "SMALLER 500",
                "BEFORE 10-Nov-2020", "ON 10-Nov-2020", "SINCE 10-Nov-2020", "SENTBEFORE 3-Nov-2026", "SENTON 2-Nov-2026",
                "HEADER Message-ID 1", "NOT SEEN", "OR SEEN FLAGGED", "1:5", "UID 3:9", "HEADER X-None \"\"", "CC carla", "BCC x"):
        charset = "CHARSET UTF-8 " if not key.isascii() else ""
        said["SEARCH", key] = imap.ok(f"UID SEARCH {charset}{key}")[0]
    imap.close()
    return said


# Where the two differ and both may (message numbers are UIDs of INBOX).
EXPECTED = {
    ("BODYSTRUCTURE", 11): "Dovecot joins RFC 2231 continuations, we send parameters as written",
    ("BODY", 11): "the same",
    ("BODYSTRUCTURE", 13): "a multipart without boundary is one empty part for Dovecot, plain text for us",
    ("BODY", 13): "the same",
    ("BODY.PEEK[1]", 13): "the same",
    ("BODY.PEEK[1.MIME]", 13): "the same",
    ("SEARCH", "BODY hello"): "the same: the text of UID 13 is found",
    ("BODY.PEEK[2.MIME]", 18): "a header cut off by a boundary: Dovecot gives its line end to the boundary",
    ("BODY.PEEK[1.MIME]", 18): "the same",
    ("BODY.PEEK[1]", 7): "the line end before a boundary is the boundary's (RFC 2046 section 5.1.1)",
    ("BODYSTRUCTURE", 28): "Content-Type: nonsense is a type without subtype for Dovecot, text/plain for us (RFC 2045 section 5.2)",
    ("BODY", 28): "the same",
    ("ENVELOPE", 19): "unfolding takes the line end away (RFC 5322 section 2.2.3), Dovecot the blanks too",
    ("BODY.PEEK[HEADER.FIELDS.NOT (RECEIVED SUBJECT)]", 15): "the blank line is always sent (RFC 3501 section 6.4.5)",
    ("SEARCH", "SENTBEFORE 3-Nov-2026"): "a message without Date has no sent date, for Dovecot one before all",
}


def is_expected(key, theirs, ours):
    # RFC 3501 does not say what part 1 of a leaf is: the leaf, for Dovecot.
    if key[0] in ("BODY.PEEK[2.1]", "BODY.PEEK[2.1.MIME]", "BODY.PEEK[1.1]") and ours.endswith(" NIL"):
        return True
    # A part that is not there: an empty string or NIL.
    return key in EXPECTED or theirs.endswith(' ""') and ours == theirs[:-2] + "NIL"


def main():
    missing = [program for program in ("dovecot", "mbsync") if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")]
    if missing or os.getuid() != 0:
        print(f"takeover: skipped, {', '.join(missing) or 'root'} is missing")
        return 0
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        root.chmod(0o755)
        (root / "mail/anna").mkdir(parents=True)
        mbsync = Mbsync(root)
        with Dovecot(root) as server:
            fill(server)
            before = record(server)
            said = answers(server)
            local = mbsync.run(server)
        with Pillarbox(root) as server:
            compare(before, defaults_hidden(record(server)), "after the takeover")
            print("takeover: Pillarbox shows what Dovecot showed")
            ours = answers(server)
            assert mbsync.run(server) == local, "mbsync transferred something after the takeover"
            change(server)
            before = record(server)
            local = mbsync.run(server)
        with Dovecot(root) as server:
            compare(before, record(server), "after going back")
            print("takeover: Dovecot shows what Pillarbox showed")
            assert mbsync.run(server) == local, "mbsync transferred something after going back"
            change_again = Imap(server)
            change_again.append("INBOX", b"Subject: Dovecot's\r\n\r\nx\r\n", "late")
            change_again.close()
            before = record(server)
            local = mbsync.run(server)
        with Pillarbox(root) as server:
            compare(before, record(server), "after the second takeover")
            assert mbsync.run(server) == local, "mbsync transferred something after the second takeover"
        print("takeover: mbsync transferred nothing at each change of server")
    differences = 0
    for key in sorted(said, key=str):
        if said[key] != ours.get(key) and not is_expected(key, said[key], ours.get(key)):
            differences += 1
            print(f"answer to {key} differs:\n  Dovecot:   {said[key]!r:.600}\n  Pillarbox: {ours.get(key)!r:.600}")
    print(f"takeover: {len(said)} answers compared, {differences} differ")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
