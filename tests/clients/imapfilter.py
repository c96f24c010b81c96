"""imapfilter: searches, flags, moves. Without TLS, since it knows no way to trust
a certificate that was made a moment ago."""

import os

from server import login, run

PROGRAM = "imapfilter"
CLIENT = "imapfilter"
VERSION = [PROGRAM, "-V"]


def test_filters(server, scratch):
    server.deliver(6)
    settings = scratch / "config.lua"
    settings.write_text(f"""
options.timeout = 30
options.certificates = false
options.starttls = false
options.create = true
options.expunge = true
box = IMAP {{ server = 'localhost', port = {server.imap}, username = 'anna', password = 'secret' }}
found = box.INBOX:contain_subject('Delivered 2') + box.INBOX:contain_body('Text 3')
found:mark_flagged()
found:move_messages(box['Filtered'])
old = box.INBOX:contain_from('ben') * box.INBOX:contain_subject('Delivered 4')
old:delete_messages()
""")
    run("imapfilter", "-c", str(settings), env=dict(os.environ, HOME=str(scratch)))
    session = login(server)
    assert session.select("INBOX")[1] == [b"3"]
    assert session.select("Filtered")[1] == [b"2"]
    assert session.search(None, "FLAGGED")[1] == [b"1 2"]
    session.logout()
