"""`pillarbox user device` beside a server: passwords of single devices, and what each did
over POP3."""

import poplib
import re
import subprocess
import time

import server as demo
from server import context, login

PROGRAM = None


def pillarbox(server, *words, password="", fails=False):
    done = subprocess.run([demo.PROGRAM, *words, "--config", server.directory / "pillarbox.yaml"],
                          input=password, capture_output=True, text=True, timeout=60)
    assert (done.returncode != 0) == fails, (words, done.stdout, done.stderr)
    return done.stderr if fails else done.stdout


def log_in(server, password):
    pop = poplib.POP3_SSL("127.0.0.1", server.pop3s, context=context())
    pop.user("anna")
    pop.pass_(password)
    return pop


def log_in_soon(server, password):
    """What the command line wrote is read within seconds."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return log_in(server, password)
        except poplib.error_proto:
            assert time.monotonic() < deadline, "the password never came into force"
            time.sleep(0.2)


def test_each_device_has_its_last_visit_and_its_backlog(server, _):
    server.deliver(3)
    for device in ("phone", "tablet"):
        pillarbox(server, "user", "device", "add", "anna", device, "--password-stdin", password=f"of the {device}\n")
    listed = ("user", "device", "list", "anna")
    assert pillarbox(server, *listed) == "phone\tnever\t3 not fetched\ntablet\tnever\t3 not fetched\n"
    pop = log_in_soon(server, "of the phone")
    for number in (1, 3):
        pop.retr(number)
    pop.quit()
    phone, tablet = pillarbox(server, *listed).splitlines()
    assert re.fullmatch(r"phone\t\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\t1 not fetched", phone), phone
    assert tablet == "tablet\tnever\t3 not fetched", tablet
    # A visit that ends without QUIT is none (RFC 1939 section 6).
    pop = log_in_soon(server, "of the tablet")
    pop.retr(1)
    pop.close()
    # The user's own password is no device's.
    log_in(server, "secret").quit()
    server.deliver(1, first=9)
    phone, tablet = pillarbox(server, *listed).splitlines()
    assert phone.endswith("\t2 not fetched") and tablet == "tablet\tnever\t4 not fetched", (phone, tablet)


def test_passwords_are_taken_back(server, _):
    device = ("user", "device")
    pillarbox(server, *device, "add", "anna", "phone", "--password-stdin", password="of the phone\n")
    log_in_soon(server, "of the phone").quit()
    again = pillarbox(server, *device, "add", "anna", "phone", "--password-stdin", password="x\n", fails=True)
    assert "has a device phone already" in again, again
    pillarbox(server, *device, "remove", "anna", "phone")
    assert pillarbox(server, *device, "list", "anna") == ""
    deadline = time.monotonic() + 20
    while True:
        try:
            log_in(server, "of the phone").quit()
        except poplib.error_proto:
            break
        assert time.monotonic() < deadline, "the password is never taken back"
        time.sleep(0.2)
    assert "no device phone" in pillarbox(server, *device, "remove", "anna", "phone", fails=True)
    assert "no user ben" in pillarbox(server, *device, "list", "ben", fails=True)


def test_commands_that_look_write_nothing(server, _):
    """What they find beside a server is not theirs: mod-sequences, or a mailbox being made."""
    server.deliver(2)
    imap = login(server)
    # Nothing is claimed, and so nothing moved meanwhile.
    assert imap.select(readonly=True)[1] == [b"2"]
    unfinished = server.maildir / "..PILLARBOX-NEW-x"
    unfinished.mkdir()
    asked = "(UIDNEXT UIDVALIDITY HIGHESTMODSEQ)"
    told = imap.status("INBOX", asked)

    def written():
        # The caches are the server's to write at any time.
        files = [path for path in server.maildir.rglob("*") if path.is_file() and ".index" not in path.name
                 and path.name.split(".")[0] != "pillarbox"]
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}

    before = written()
    began = time.monotonic()
    status = pillarbox(server, "mailbox", "status", "anna", "INBOX")
    assert "messages 2\nunseen 2\n" in status and "uidnext 3\n" in status, status
    assert "\tsubscribed" in pillarbox(server, "mailbox", "list", "anna")
    pillarbox(server, "user", "device", "list", "anna")
    assert time.monotonic() - began < 3, "they waited for the server"
    assert written() == before
    assert unfinished.is_dir()
    assert imap.status("INBOX", asked) == told
    imap.logout()
