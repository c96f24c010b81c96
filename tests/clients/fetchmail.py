"""fetchmail over POP3S: deleting, and keeping mail on the server."""

import os
import subprocess

from server import login

PROGRAM = 'fetchmail'
CLIENT = "fetchmail"
VERSION = [PROGRAM, "--version"]
NOTHING_NEW = 1


def fetch(server, scratch, how):
    """Runs it once; gives its exit code and how many messages it has brought so far."""
    target = scratch / "fetched"
    settings = scratch / "fetchmailrc"
    settings.write_text(f"""set idfile {scratch}/ids
poll 127.0.0.1 protocol POP3 port {server.pop3s} {"uidl" if how == "keep" else ""}
user anna password secret ssl no sslcertck {how}
mda "cat >> {target}"
""")
    settings.chmod(0o600)
    environment = dict(os.environ, FETCHMAILHOME=str(scratch))
    done = subprocess.run(["fetchmail", "-f", str(settings), "-s"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, NOTHING_NEW), (done.returncode, done.stdout, done.stderr)
    return done.returncode, target.read_text().count("Subject: Delivered")


def left(server):
    session = login(server)
    count = int(session.select("INBOX", readonly=True)[1][0])
    session.logout()
    return count


def test_deletes(server, scratch):
    server.deliver(3)
    assert fetch(server, scratch, "nokeep") == (0, 3)
    assert left(server) == 0


def test_keeps_and_fetches_only_what_is_new(server, scratch):
    server.deliver(3)
    assert fetch(server, scratch, "keep") == (0, 3)
    assert fetch(server, scratch, "keep") == (NOTHING_NEW, 3)
    server.deliver(2, first=10)
    assert fetch(server, scratch, "keep") == (0, 5)
    assert left(server) == 5
