"""mutt over TLS: opens INBOX, flags, deletes, saves to another mailbox, syncs."""

import os
import subprocess

from server import login

PROGRAM = "mutt"


def test_reads_flags_saves_and_deletes(server, scratch):
    server.deliver(5)
    settings = scratch / "muttrc"
    settings.write_text(f"""
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
set header_cache = {scratch}/cache
set timeout = 1
push "<first-entry><flag-message><next-entry><delete-message><save-message>=Archive<enter><sync-mailbox><quit>"
""")
    environment = dict(os.environ, HOME=str(scratch), TERM="xterm")
    for _ in range(2):
        done = subprocess.run(["script", "-qec", f"mutt -n -F {settings}", "/dev/null"], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stdout[-500:]
        settings.write_text(settings.read_text().rsplit("push", 1)[0] + 'push "<quit>"\n')
    session = login(server)
    left = int(session.select("INBOX")[1][0])
    assert left == 3, left
    assert session.search(None, "FLAGGED")[1] == [b"1"], session.search(None, "FLAGGED")
    assert session.status("Archive", "(MESSAGES)")[1] == [b"Archive (MESSAGES 1)"]
    session.logout()
