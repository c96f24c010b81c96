"""What clients see and remember of a server: over IMAP, POP3, and with mbsync."""

import imaplib
import poplib
import re
import socket
import subprocess
import time

poplib._MAXLINE = 10_000_000


class Imap:
    """A small IMAP client that gives answers as text, literals joined in as quoted strings."""

    def __init__(self, server):
        self.stream = socket.create_connection(("127.0.0.1", server.imap), 60)
        self.reader = self.stream.makefile("rb")
        self.reader.readline()
        self.ok("LOGIN anna secret")

    def send(self, command):
        self.stream.sendall(b"a " + command.encode() + b"\r\n")

    def answer(self):
        """Untagged lines and the tagged one."""
        lines = []
        while True:
            line = self.reader.readline()
            if not line:
                raise AssertionError(f"the server closed; so far {lines[-3:]}")
            while match := re.search(rb"\{(\d+)\}\r\n$", line):
                literal = self.reader.read(int(match[1]))
                literal = b'"' + literal.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
                line = line[:match.start()] + literal + self.reader.readline()
            text = line.decode("utf-8", "surrogateescape").removesuffix("\r\n")
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

    def fetch(self, command):
        """UID FETCH: the text of each message's answer by UID, without the UID."""
        said = {}
        for line in self.ok(command):
            match = re.match(r"\* \d+ FETCH \((.*)\)$", line, re.S)
            if match:
                uid = re.search(r"^UID (\d+) | UID (\d+)$", match[1])
                said[int(uid[1] or uid[2])] = re.sub(r"^UID \d+ | UID \d+$", "", match[1])
        return said

    def close(self):
        self.ok("LOGOUT")
        self.reader.close()
        self.stream.close()


def pop3(server):
    session = poplib.POP3("127.0.0.1", server.pop3, timeout=60)
    session.user("anna")
    session.pass_("secret")
    return session


def delete_over_pop3(server, number):
    session = pop3(server)
    session.uidl()
    session.dele(number)
    session.quit()


def listed(imap):
    """Names with whether they can be selected, in quotes."""
    names = {}
    for line in imap.ok('LIST "" "*"'):
        match = re.match(r'\* LIST \(([^)]*)\) "." (.*)$', line)
        name = match[2] if match[2].startswith('"') else f'"{match[2]}"'
        names[name] = not re.search(r"\\(noselect|nonexistent)", match[1], re.I)
    return names


def mailbox_rows(imap):
    """Flags, internal date and size of each message of what is selected, by UID."""
    rows = {}
    for uid, text in imap.fetch("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)").items():
        flags = set(re.search(r"FLAGS \(([^)]*)\)", text)[1].split()) - {"\\Recent"}
        date = time.mktime(imaplib.Internaldate2tuple(text.encode()))
        rows[uid] = (sorted(flags, key=str.lower), date, re.search(r"RFC822.SIZE (\d+)", text)[1])
    return rows


def record(server):
    """All that clients may remember of an account."""
    imap = Imap(server)
    names = listed(imap)
    seen = {("names",): names}
    seen["subscribed",] = sorted(re.match(r'\* LSUB \([^)]*\) "." (.*)$', line)[1].strip('"') for line in imap.ok('LSUB "" "*"'))
    for name, selectable in names.items():
        if not selectable:
            continue
        status = imap.ok(f"STATUS {name} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")
        seen[name, "status"] = re.search(r"\(MESSAGES.*", status[-1])[0]
        imap.ok(f"EXAMINE {name}")
        seen[name, "messages"] = mailbox_rows(imap) if "MESSAGES 0 " not in seen[name, "status"] else {}
    imap.close()
    session = pop3(server)
    seen["unique-ids",] = session.uidl()[1]
    seen["sizes",] = session.list()[1]
    session.quit()
    return seen


def compare(before, after, what):
    """Says exactly where two records differ."""
    for key in sorted(set(before) | set(after), key=str):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            for inner in sorted(set(old) | set(new), key=str):
                assert old.get(inner) == new.get(inner), (what, key, inner, "was", old.get(inner), "is", new.get(inner))
        assert old == new, (what, key, "was", old, "is", new)


class Resync:
    """A client that keeps INBOX by QRESYNC (RFC 7162)."""

    def __init__(self, server):
        imap = Imap(server)
        imap.ok("ENABLE QRESYNC")
        self.header = self.read_header(imap.ok("SELECT INBOX"))
        self.flags = self.read_flags(imap)
        imap.close()

    @staticmethod
    def read_header(lines):
        text = "\n".join(lines)
        return [int(re.search(rf"\[{item} (\d+)\]", text)[1]) for item in ("UIDVALIDITY", "HIGHESTMODSEQ")]

    @staticmethod
    def read_flags(imap):
        return {uid: Resync.flags_of(text) for uid, text in imap.fetch("UID FETCH 1:* (UID FLAGS)").items()}

    @staticmethod
    def flags_of(text):
        return set(re.search(r"FLAGS \(([^)]*)\)", text)[1].lower().split()) - {"\\recent"}

    def check(self, server, what):
        """What the server says to a client that comes back leads to what is there."""
        imap = Imap(server)
        imap.ok("ENABLE QRESYNC")
        uid_validity, modseq = self.header
        uids = f"1:{max(self.flags)}"
        lines = imap.ok(f"SELECT INBOX (QRESYNC ({uid_validity} {modseq} {uids}))")
        header = self.read_header(lines)
        assert header[0] == uid_validity, (what, "UIDVALIDITY", self.header, header)
        assert header[1] > modseq, (what, "HIGHESTMODSEQ", self.header, header)
        for line in lines:
            if match := re.match(r"\* VANISHED \(EARLIER\) (\S+)", line):
                for piece in match[1].split(","):
                    first, _, last = piece.partition(":")
                    for uid in range(int(first), int(last or first) + 1):
                        self.flags.pop(uid, None)
            elif match := re.match(r"\* \d+ FETCH \((.*)\)", line):
                self.flags[int(re.search(r"UID (\d+)", match[1])[1])] = self.flags_of(match[1])
        now = self.read_flags(imap)
        assert self.flags == now, (what, "QRESYNC leads to", self.flags, "but there is", now)
        self.header = header
        imap.close()


class Mbsync:
    """mbsync with one state over all changes of server."""

    def __init__(self, site, patterns):
        self.root, self.patterns = site.root / "mbsync", patterns
        self.root.mkdir()

    def run(self, server):
        """Synchronises; gives what is in the local mailboxes then."""
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
Patterns {self.patterns}
Create Near
Expunge Both
SyncState *
""")
        done = subprocess.run(["mbsync", "-c", str(settings), "all"], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return {str(path.relative_to(self.root)): path.stat().st_mtime_ns
                for path in self.root.rglob("*") if path.is_file() and path.parent.name in ("cur", "new")}
