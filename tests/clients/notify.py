"""NOTIFY (RFC 5465): one session is told, and believes, what others do to all mailboxes:
IMAP and POP3 clients, a delivery by a plain rename, a program that renames files as Dovecot
does, while it does something itself now and then. What watching many mailboxes costs."""

import collections
import os
import poplib
import random
import re
import socket
import time

from connections import memory_octets
from server import context, login

PROGRAM = None
STEPS = 80
MANY = 500


class Listener:
    """A session that asked to be told, and keeps what it was told."""

    def __init__(self, server):
        self.stream = socket.create_connection(("127.0.0.1", server.imap), 20)
        self.rest, self.tags = b"", 0
        self.names, self.status, self.messages = set(), {}, []
        self.heard = collections.deque(maxlen=40)
        self.line()
        self.say("LOGIN anna secret")

    def line(self):
        while b"\r\n" not in self.rest:
            octets = self.stream.recv(65536)
            assert octets, "closed"
            self.rest += octets
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line.decode()

    def say(self, command):
        line = self.answer(command)
        assert line.startswith(f"n{self.tags} OK"), line
        return line

    def answer(self, command):
        self.tags += 1
        self.stream.sendall(f"n{self.tags} {command}\r\n".encode())
        while not (line := self.line()).startswith(f"n{self.tags} "):
            self.believe(line)
        return line

    # What it does itself, of which it is told nothing.

    def brought(self, name, uid, seen):
        """It brought a message, which may be counted in what it was told meanwhile. Whether
        what it copied has been seen by others it may not know yet."""
        status = self.status.setdefault(name, {})
        if uid < int(status.get("UIDNEXT", 1)):
            return
        status.pop("HIGHESTMODSEQ", None)
        status["UIDNEXT"] = str(uid + 1)
        if seen is None:
            status.pop("UNSEEN", None)
        for item in ["MESSAGES"] + ["UNSEEN"] * (seen is False):
            if item in status:
                status[item] = str(int(status[item]) + 1)

    def append(self, name, seen):
        line = self.answer(f"APPEND {name} {'(' + chr(92) + 'Seen)' if seen else '()'} {{6+}}\r\na: 1\r\n")
        if told := re.search(r"APPENDUID \d+ (\d+)", line):
            self.brought(name, int(told[1]), seen)

    def copy(self, name):
        if self.messages and self.messages[0]:
            uid, _ = self.messages[0]
            line = self.answer(f"UID COPY {uid} {name}")
            if told := re.search(r"COPYUID \d+ \d+ (\d+)", line):
                self.brought(name, int(told[1]), None)

    def create(self, name):
        self.say(f"CREATE {name}")
        self.names.add(name)

    def hear(self, seconds):
        """Believes what comes within so many seconds."""
        self.stream.settimeout(seconds)
        try:
            self.believe(self.line())
            while b"\r\n" in self.rest:
                self.believe(self.line())
        except TimeoutError:
            pass
        self.stream.settimeout(20)

    def believe(self, line):
        self.heard.append(line)
        if told := re.fullmatch(r"\* STATUS (\S+) \((.*)\)", line):
            words = told[2].split()
            self.status.setdefault(told[1], {}).update(zip(words[::2], words[1::2]))
        elif told := re.fullmatch(r'\* LIST \((.*?)\) "/" (\S+)(?: \("OLDNAME" \((\S+)\)\))?', line):
            attributes, name, old = told.groups()
            for known in [known for known in self.names if old and (known + "/").startswith(old + "/")]:
                if old != "INBOX":
                    renamed = name + known[len(old):]
                    self.names.discard(known)
                    self.names.add(renamed)
                    if known in self.status:
                        self.status[renamed] = self.status.pop(known)
            (self.names.discard if "\\NonExistent" in attributes else self.names.add)(name)
            if "\\NonExistent" in attributes:
                self.status.pop(name, None)
        elif told := re.fullmatch(r"\* (\d+) EXISTS", line):
            assert int(told[1]) >= len(self.messages), line
            self.messages += [None] * (int(told[1]) - len(self.messages))
        elif told := re.fullmatch(r"\* (\d+) EXPUNGE", line):
            del self.messages[int(told[1]) - 1]
        elif told := re.fullmatch(r"\* (\d+) FETCH \(UID (\d+) FLAGS \((.*?)\)(?: MODSEQ \(\d+\))?\)", line):
            flags = set(told[3].split()) - {"\\Recent"}
            self.messages[int(told[1]) - 1] = int(told[2]), flags
        else:
            assert re.match(r"\* (OK|FLAGS|ENABLED|\d+ RECENT)", line), line


class Others:
    """Everybody else."""

    def __init__(self, server, seed, items):
        self.server, self.random, self.items = server, random.Random(seed), items
        self.session, self.looking = login(server), login(server)
        self.made = 0
        assert self.looking.select("INBOX", readonly=True)[0] == "OK"

    def names(self):
        listed = [re.fullmatch(rb'\((.*)\) "/" (\S+)', line) for line in self.looking.list()[1]]
        return {told[2].decode() for told in listed if b"\\Non" not in told[1] and b"\\Nos" not in told[1]}

    def status(self, name):
        told = self.looking.status(name, f"({' '.join(self.items)})")[1][0].decode()
        words = told[told.index("(") + 1:-1].split()
        return dict(zip(words[::2], words[1::2]))

    def messages(self):
        self.looking.noop()
        told = self.looking.uid("FETCH", "1:*", "(UID FLAGS)")[1]
        found = []
        for line in told if told != [None] else []:
            match = re.search(rb"UID (\d+) FLAGS \((.*?)\)|FLAGS \((.*?)\) UID (\d+)", line)
            # One without the UID tells of a change meanwhile, and the other all.
            if match:
                flags = set((match[2] if match[1] else match[3]).decode().split()) - {"\\Recent"}
                found.append((int(match[1] or match[4]), flags))
        return found

    def any(self):
        return self.random.choice(sorted(self.names()))

    def directory(self, name):
        return self.server.maildir / ("." if name == "INBOX" else "." + name.replace("/", "."))

    def file(self):
        files = list((self.directory(self.any()) / "cur").glob("*:2,*"))
        return self.random.choice(sorted(files)) if files else None

    def selected(self):
        self.status_name = name = self.any()
        count = int(self.session.select(name)[1][0])
        return str(self.random.randint(1, count)) if count else None

    # What they do.

    def append(self):
        flags = self.random.choice([None, "\\Seen", "\\Flagged"])
        assert self.session.append(self.any(), flags, None, b"Subject: x\r\n\r\ny\r\n")[0] == "OK"

    def store(self):
        if number := self.selected():
            flag = self.random.choice(["\\Seen", "\\Flagged", "\\Answered", "$Junk"])
            sign = self.random.choice("+-")
            assert self.session.store(number, sign + "FLAGS.SILENT", f"({flag})")[0] == "OK"

    def expunge(self):
        if number := self.selected():
            self.session.store(number, "+FLAGS.SILENT", "(\\Deleted)")
            assert self.session.expunge()[0] == "OK"

    def move(self):
        if number := self.selected():
            command = self.random.choice(["COPY", "MOVE"])
            told = self.session.fetch(number, "(UID)")[1][0]
            # It may be gone already.
            if told:
                uid = told.split()[2].rstrip(b")").decode()
                assert self.session.uid(command, uid, self.any())[0] == "OK"

    def pop3(self):
        session = poplib.POP3_SSL("127.0.0.1", self.server.pop3s, context=context())
        session.user("anna")
        session.pass_("secret")
        if session.stat()[0]:
            session.dele(1)
        session.quit()

    def deliver(self):
        self.made += 1
        directory, name = self.directory(self.any()), f"{1793613000 + self.made}.M{self.made}P7.example"
        (directory / "tmp" / name).write_text(f"Subject: Delivered {self.made}\n\ntext\n")
        os.rename(directory / "tmp" / name, directory / "new" / name)

    def rename_file(self):
        if file := self.file():
            name, flags = file.name.rsplit(":2,", 1)
            letter = self.random.choice("FRST")
            flags = set(flags) ^ {letter}
            try:
                os.rename(file, file.with_name(name + ":2," + "".join(sorted(flags))))
            except FileNotFoundError:
                pass

    def remove_file(self):
        if file := self.file():
            file.unlink(missing_ok=True)

    def create(self):
        self.made += 1
        above = self.any()
        name = f"made{self.made}" if above == "INBOX" else f"{above}/made{self.made}"
        assert self.session.create(name)[0] == "OK"
        self.session.subscribe(name)

    def rename(self):
        self.made += 1
        if made := sorted(name for name in self.names() if "made" in name):
            self.session.select("INBOX")
            assert self.session.rename(self.random.choice(made), f"renamed{self.made}made")[0] == "OK"

    def again(self):
        """Another mailbox gets the name of one at once, and may get mail."""
        if made := sorted(name for name in self.names() if "made" in name):
            name, other = self.random.choice(made), self.random.choice(made)
            self.session.select("INBOX")
            if self.session.delete(name)[0] != "OK":
                return
            if other != name and not other.startswith(name + "/") and not name.startswith(other + "/"):
                # What was below it has its name still, and may be in the way.
                self.session.rename(other, name)
            else:
                self.session.create(name)
            if name in self.names() and self.random.random() < 0.5:
                assert self.session.append(name, None, None, b"Subject: x\r\n\r\ny\r\n")[0] == "OK"

    def fresh(self):
        """A mailbox is made and has mail at once."""
        self.made += 1
        name = f"made{self.made}"
        assert self.session.create(name)[0] == "OK"
        assert self.session.append(name, None, None, b"Subject: x\r\n\r\ny\r\n")[0] == "OK"

    def exchange(self):
        """A message goes and another one comes: there are as many as before."""
        if number := self.selected():
            name = self.status_name
            self.session.store(number, "+FLAGS.SILENT", "(\\Deleted)")
            assert self.session.append(name, None, None, b"Subject: x\r\n\r\ny\r\n")[0] == "OK"
            assert self.session.expunge()[0] == "OK"

    def delete(self):
        if made := sorted(name for name in self.names() if "made" in name):
            self.session.select("INBOX")
            assert self.session.delete(self.random.choice(made))[0] == "OK"


def differences(listener, others):
    """What the listener believes that is not so."""
    names = others.names()
    found = [f"names {listener.names ^ names}"] if listener.names != names else []
    for name in sorted(names - {"INBOX"}):
        believed, true = listener.status.get(name, {}), others.status(name)
        if any(believed.get(item, true[item]) != true[item] for item in others.items):
            found.append(f"{name}: {believed}, but {true}")
        if not believed and true["UIDNEXT"] != "1":
            found.append(f"{name}: nothing, but {true}")
    if listener.messages != (true := others.messages()):
        found.append(f"INBOX: {listener.messages}, but {true}")
    return found


def compare(server, seed, enabled):
    # Without CONDSTORE flags are told by how many messages are unseen alone.
    items = ["MESSAGES", "UIDNEXT", "UNSEEN", "UIDVALIDITY"] + ["HIGHESTMODSEQ"] * bool(enabled)
    others = Others(server, seed, items)
    server.deliver(5)
    listener = Listener(server)
    listener.names = others.names()
    if enabled:
        listener.say(f"ENABLE {enabled}")
    listener.say("SELECT INBOX")
    listener.say("FETCH 1:* (UID FLAGS)")
    terms = ("(selected (MessageNew (UID FLAGS) MessageExpunge FlagChange)) "
             "(personal (MessageNew MessageExpunge FlagChange MailboxName))")
    listener.say(f"NOTIFY SET STATUS {terms}")
    deeds = [others.append, others.store, others.expunge, others.move, others.pop3, others.deliver,
             others.deliver, others.rename_file, others.rename_file, others.remove_file, others.create,
             others.rename, others.delete, others.again, others.again, others.fresh, others.exchange]
    for step in range(STEPS):
        done = [others.random.choice(deeds) for _ in range(others.random.randint(1, 4))]
        for deed in done:
            deed()
            if others.random.random() < 0.3:
                # After it is told of something it is told of nothing for a while.
                listener.hear(0.02)
        own = others.random.choice(["nothing", "nothing", "append", "copy", "create", "subscribe", "again"])
        others_names = sorted(others.names() - {"INBOX"})
        if own == "append":
            listener.append(others.random.choice(others_names), others.random.random() < 0.5)
        elif own == "copy":
            listener.copy(others.random.choice(others_names))
        elif own == "create":
            others.made += 1
            listener.create(f"own{others.made}made")
        elif own == "subscribe":
            listener.say(f"SUBSCRIBE {others.random.choice(others_names)}")
        elif own == "again":
            listener.say(f"NOTIFY SET {terms}")
        deadline = time.monotonic() + 10
        listener.hear(0.01)
        while wrong := differences(listener, others):
            assert time.monotonic() < deadline, (
                seed, step, [deed.__name__ for deed in done], own, wrong, listener.heard)
            listener.hear(0.05)


def test_what_is_told_is_so(server, _):
    compare(server, 1, "")


def test_what_is_told_is_so_with_condstore(server, _):
    compare(server, 2, "CONDSTORE")


def seconds_of(server):
    with open(f"/proc/{server.process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_many_mailboxes(server, _):
    """Mailboxes that are watched are not in memory, and cost nothing while nothing happens."""
    for number in range(MANY):
        for part in ("tmp", "new", "cur"):
            (server.maildir / f".m{number:03}" / part).mkdir(parents=True)
        for message in range(3):
            name = f"{1793613000 + message}.M{number}P{message}.example"
            (server.maildir / f".m{number:03}" / "new" / name).write_text("Subject: x\n\ny\n")
    first = Listener(server)
    first.say("LIST \"\" * RETURN (STATUS (MESSAGES))")
    before, began = memory_octets(server), time.monotonic()
    first.say("NOTIFY SET STATUS (personal (MessageNew MessageExpunge FlagChange MailboxName))")
    took, one = time.monotonic() - began, memory_octets(server) - before
    assert len(first.status) == MANY + 1, len(first.status)
    more = [Listener(server) for _ in range(10)]
    before = memory_octets(server)
    for listener in more:
        listener.say("NOTIFY SET (personal (MessageNew MessageExpunge FlagChange MailboxName))")
    each = (memory_octets(server) - before) / len(more)
    time.sleep(1)
    used = seconds_of(server)
    time.sleep(5)
    idle = seconds_of(server) - used
    for listener in more:
        listener.stream.close()
    time.sleep(0.5)
    used, waited = seconds_of(server), []
    for delivered in range(50):
        directory = server.maildir / f".m{delivered * 7:03}"
        (directory / "tmp/x").write_text("Subject: x\n\ny\n")
        began = time.monotonic()
        os.rename(directory / "tmp/x", directory / f"new/17936139{delivered:02}.M1P1.example")
        assert first.line().startswith(f"* STATUS m{delivered * 7:03} (UIDNEXT 5 MESSAGES 4 ")
        waited.append(time.monotonic() - began)
        time.sleep(0.12)
    each_delivery = (seconds_of(server) - used) / len(waited)
    waited.sort()
    print(f"    {MANY} mailboxes: {one / 1024:.0f} KB and {took * 1000:.0f} ms for the first session, "
          f"{each / 1024:.0f} KB for each more; {idle * 1000:.0f} ms of processor time in 5 s at rest; "
          f"a delivery {each_delivery * 1000:.1f} ms, told after {waited[25] * 1000:.1f} ms")
    assert one < 4 << 20 and each < 1 << 20, (one, each)
    assert idle < 0.1 and each_delivery < 0.1, (idle, each_delivery)
