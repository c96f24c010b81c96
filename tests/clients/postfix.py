"""Postfix delivers by its own virtual(8) Maildir transport, from a private
configuration, while an IMAP session idles and a POP3 session follows."""

import os
import poplib
import pwd
import smtplib
import subprocess
import time

from ports import free_port
from server import context, login, run

PROGRAM = "postfix"
USER = "nobody"


def configuration(server, scratch):
    port = free_port()
    account = pwd.getpwnam(USER)
    folder = scratch / "postfix"
    for name in ("queue", "data"):
        (folder / name).mkdir(parents=True)
    run("chown", "postfix:", str(folder / "data"))
    (folder / "main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = test.invalid
mydestination =
alias_maps =
local_recipient_maps =
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = example.org
virtual_mailbox_base = {server.directory}/mail
virtual_mailbox_maps = inline:{{ anna@example.org=anna/Maildir/ }}
virtual_uid_maps = static:{account.pw_uid}
virtual_gid_maps = static:{account.pw_gid}
virtual_minimum_uid = 1
""")
    (folder / "master.cf").write_text(f"""
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
""")
    return folder, port


def test_delivers_while_sessions_watch(server, scratch):
    if os.getuid() != 0:
        print("    skipped: Postfix starts as root only")
        return
    folder, port = configuration(server, scratch)
    session = login(server)
    session.select("INBOX")
    # Postfix delivers as its own user into the mailbox, as on a real server.
    for path in (scratch, server.directory, server.directory / "mail", server.directory / "mail/anna"):
        path.chmod(0o755)
    run("chown", "-R", f"{USER}:", str(server.maildir))
    started = subprocess.run(["postfix", "-c", str(folder), "start"], capture_output=True, text=True, timeout=60)
    assert started.returncode == 0, started.stderr
    try:
        session.send(b"x IDLE\r\n")
        assert session.readline().startswith(b"+")
        with smtplib.SMTP("127.0.0.1", port) as mail:
            for number in range(3):
                mail.sendmail("ben@example.org", ["anna@example.org"], f"Subject: by Postfix {number}\r\n\r\nhello\r\n")
        seen, deadline = [], time.monotonic() + 30
        while b"* 3 EXISTS" not in seen:
            assert time.monotonic() < deadline, (seen, (folder / "log").read_text()[-2000:])
            seen.append(session.readline().strip())
        session.send(b"DONE\r\n")
        while not session.readline().startswith(b"x OK"):
            pass
        pop = poplib.POP3_SSL("127.0.0.1", server.pop3s, context=context())
        pop.user("anna")
        pop.pass_("secret")
        assert pop.stat()[0] == 3
        assert b"hello" in pop.retr(2)[1]
        pop.quit()
        session.shutdown()
    finally:
        subprocess.run(["postfix", "-c", str(folder), "stop"], capture_output=True, timeout=60)
