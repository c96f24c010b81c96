"""getmail6: POP3 and IMAP, keeping and deleting."""

import os

from server import login, run

PROGRAM = "getmail"
CLIENT = "getmail"
VERSION = [PROGRAM, "--version"]


def settings(server, scratch, kind, port, delete, options=""):
    inbox = scratch / "inbox"
    for folder in ("cur", "new", "tmp"):
        (inbox / folder).mkdir(parents=True, exist_ok=True)
    user = ""
    if os.getuid() == 0:
        # getmail refuses to deliver as root.
        user = "user = nobody"
        scratch.chmod(0o755)
        run("chown", "-R", "nobody:", str(inbox))
    file = scratch / "getmailrc"
    file.write_text(f"""[retriever]
type = {kind}
server = localhost
port = {port}
username = anna
password = secret
{options}
[destination]
type = Maildir
path = {inbox}/
{user}
[options]
delete = {delete}
read_all = false
verbose = 0
""")
    file.chmod(0o600)
    return inbox


def fetched(scratch, inbox):
    run("getmail", f"--getmaildir={scratch}", "--rcfile=getmailrc")
    return len(list((inbox / "new").iterdir()))


def test_pop3_keeps_then_deletes(server, scratch):
    server.deliver(4)
    inbox = settings(server, scratch, "SimplePOP3SSLRetriever", server.pop3s, "false")
    assert fetched(scratch, inbox) == 4
    server.deliver(1, first=9)
    assert fetched(scratch, inbox) == 5, "only the new one is fetched"
    settings(server, scratch, "SimplePOP3SSLRetriever", server.pop3s, "true")
    assert fetched(scratch, inbox) == 5
    session = login(server)
    assert session.select("INBOX")[1] == [b"0"]
    session.logout()


def test_imap_deletes(server, scratch):
    server.deliver(4)
    inbox = settings(server, scratch, "SimpleIMAPSSLRetriever", server.imaps, "true", 'mailboxes = ("INBOX",)')
    assert fetched(scratch, inbox) == 4
    session = login(server)
    assert session.select("INBOX")[1] == [b"0"]
    session.logout()
