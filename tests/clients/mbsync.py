"""mbsync, two ways over TLS, while mail comes and another client expunges."""

import threading
import time

from server import login, run

PROGRAM = 'mbsync'
CLIENT = "mbsync"
VERSION = [PROGRAM, "--version"]


def test_mbsync(server, scratch):
    count = 10_000
    server.deliver(count)
    local = scratch / "local"
    local.mkdir()
    certificate = server.directory / "cert.pem"
    (scratch / "mbsyncrc").write_text(f"""
IMAPStore far
Host localhost
Port {server.imaps}
User anna
Pass secret
SSLType IMAPS
CertificateFile {certificate}

MaildirStore near
Path {local}/
Inbox {local}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""")
    stop = threading.Event()

    def disturb():
        session = login(server)
        session.select("INBOX")
        number = count
        while not stop.is_set() and number < count + 200:
            number += 1
            server.deliver(1, number)
            session.uid("STORE", str(number - count), "+FLAGS.SILENT", "(\\Deleted)")
            session.expunge()
            time.sleep(0.02)
        session.logout()

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        run("mbsync", "-q", "-c", str(scratch / "mbsyncrc"), "all")
    finally:
        stop.set()
        disturber.join()
    run("mbsync", "-q", "-c", str(scratch / "mbsyncrc"), "all")
    near = sum(len(list((local / "INBOX" / folder).iterdir())) for folder in ("cur", "new"))
    session = login(server)
    far = int(session.select("INBOX")[1][0])
    assert near == far, (near, far)
    flagged = next(file for folder in ("cur", "new") for file in (local / "INBOX" / folder).iterdir())
    flagged.rename(local / "INBOX" / "cur" / (flagged.name.split(":2,")[0] + ":2,FS"))
    run("mbsync", "-q", "-c", str(scratch / "mbsyncrc"), "all")
    assert len(session.search(None, "FLAGGED")[1][0].split()) == 1
    session.logout()
    print(f"    {far} messages on both sides")
