"""fetchmail over POP3S, deleting."""

import os
import subprocess

from server import login

PROGRAM = 'fetchmail'


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
