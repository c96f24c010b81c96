"""mutt over TLS: opens INBOX, flags, deletes, saves to another mailbox, syncs; comes again to
what others did meanwhile, searches on the server, and waits for mail."""

import os
import subprocess
import time

from server import login

PROGRAM = "mutt"
CLIENT = "mutt"
VERSION = [PROGRAM, "-v"]


class Mutt:
    """mutt, or neomutt, at a terminal of its own."""

    def __init__(self, program, server, scratch, more=""):
        self.program, self.server = program, server
        self.settings = scratch / "muttrc"
        self.environment = dict(os.environ, HOME=str(scratch), TERM="xterm")
        (scratch / "cache").mkdir()
        self.common = f"""
set folder = "imaps://anna@localhost:{server.imaps}/"
set spoolfile = "+INBOX"
set imap_user = anna
set imap_pass = secret
set imap_qresync = yes
set imap_condstore = yes
set ssl_verify_host = no
set ssl_verify_dates = no
set certificate_file = {server.directory}/cert.pem
set ssl_force_tls = yes
set confirmappend = no
set confirmcreate = no
set delete = yes
set move = no
set quit = yes
set header_cache = {scratch}/cache/
set timeout = 1
set wait_key = no
{more}
"""

    def run(self, keys, meanwhile=None):
        """Presses keys; what is done meanwhile comes before the q that ends it."""
        self.settings.write_text(f'{self.common}push "{keys}"\n')
        command = ["script", "-qec", f"{self.program} -n -F {self.settings}", "/dev/null"]
        process = subprocess.Popen(command, env=self.environment, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if meanwhile:
            meanwhile()
            process.stdin.write(b"q")
        shown = process.communicate(timeout=60)[0]
        assert process.returncode == 0, shown[-2000:]
        return shown


def reads_flags_saves_and_deletes(mutt):
    server = mutt.server
    server.deliver(6)
    mutt.run("<first-entry><flag-message><next-entry><delete-message><save-message>=Archive<enter><sync-mailbox><quit>")
    session = login(server)
    assert session.select("INBOX")[1] == [b"4"]
    assert session.search(None, "FLAGGED")[1] == [b"1"]
    assert session.status("Archive", "(MESSAGES)")[1] == [b"Archive (MESSAGES 1)"]
    # What happens while it is away it learns from a difference (RFC 7162), and believes.
    assert session.store("2", "+FLAGS", "(\\Flagged)")[0] == "OK"
    assert session.store("4", "+FLAGS", "(\\Deleted)")[0] == "OK"
    assert session.expunge()[0] == "OK"
    before = server.recorder.sent(r"UID FETCH .*\(CHANGEDSINCE \d+ VANISHED\)")
    mutt.run("<delete-pattern>~F<enter><sync-mailbox><quit>")
    assert server.recorder.sent(r"UID FETCH .*\(CHANGEDSINCE \d+ VANISHED\)") > before == 0
    session.select("INBOX")
    assert session.search(None, "ALL")[1] == [b"1"], session.search(None, "ALL")
    session.logout()


def searches_on_the_server(mutt):
    mutt.server.deliver(4)
    mutt.run("<tag-pattern>=b\\\"Text 3\\\"<enter><tag-prefix><flag-message><sync-mailbox><quit>")
    session = login(mutt.server)
    session.select("INBOX")
    assert session.search(None, "FLAGGED")[1] == [b"3"]
    session.logout()


def waits_for_mail(mutt):
    server = mutt.server
    server.deliver(1)

    def sent(pattern, count):
        deadline = time.monotonic() + 30
        while server.recorder.sent(pattern) < count:
            assert time.monotonic() < deadline, server.recorder.commands
            time.sleep(0.05)

    def deliver():
        sent("IDLE$", 1)
        headers = server.recorder.sent("FETCH .*HEADER.FIELDS")
        server.deliver(1, first=9)
        # It asks for the header of what it is told of.
        sent("FETCH .*HEADER.FIELDS", headers + 1)

    mutt.run("<refresh>", deliver)


def test_reads_flags_saves_and_deletes(server, scratch):
    reads_flags_saves_and_deletes(Mutt(PROGRAM, server, scratch, "set imap_deflate = yes"))


def test_searches_on_the_server(server, scratch):
    searches_on_the_server(Mutt(PROGRAM, server, scratch))


def test_waits_for_mail(server, scratch):
    waits_for_mail(Mutt(PROGRAM, server, scratch, "set imap_idle = yes"))
