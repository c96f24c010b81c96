"""offlineimap: two ways."""

import os

from server import login, run

PROGRAM = "offlineimap"
CLIENT = "offlineimap"
VERSION = [PROGRAM, "--version"]


def test_two_ways(server, scratch):
    server.deliver(5)
    settings = scratch / "offlineimaprc"
    settings.write_text(f"""[general]
accounts = all
metadata = {scratch}/state
ui = quiet
[Account all]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {scratch}/near
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {server.imaps}
remoteuser = anna
remotepass = secret
ssl = yes
sslcacertfile = {server.directory}/cert.pem
""")
    environment = dict(os.environ, HOME=str(scratch))

    def sync():
        run("offlineimap", "-c", str(settings), env=environment)
        inbox = scratch / "near/INBOX"
        return sorted(path for folder in ("cur", "new") for path in (inbox / folder).iterdir())

    near = sync()
    assert len(near) == 5, near
    near[0].rename(scratch / "near/INBOX/cur" / (near[0].name.split(":2,")[0] + ":2,FS"))
    near[1].unlink()
    server.deliver(1, first=9)
    sync()
    assert len(sync()) == 5
    session = login(server)
    assert session.select("INBOX")[1] == [b"5"]
    assert len(session.search(None, "FLAGGED", "SEEN")[1][0].split()) == 1
    session.logout()
