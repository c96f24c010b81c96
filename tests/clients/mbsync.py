"""mbsync, two ways over TLS, while mail comes and another client expunges."""

import threading
import time

from server import login, run

PROGRAM = 'mbsync'
CLIENT = "mbsync"
VERSION = [PROGRAM, "--version"]


def settings(server, scratch, local):
    """Writes what both sides are; gives the command that makes them alike."""
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
    return "mbsync", "-q", "-c", str(scratch / "mbsyncrc"), "all"


def test_old_mail_with_raw_headers_moves_here(server, scratch):
    local = scratch / "local"
    synchronise = settings(server, scratch, local)
    for folder in ("cur", "new", "tmp"):
        (local / "INBOX" / folder).mkdir(parents=True)
    for number, charset in enumerate(("latin-1", "gbk", "utf-8")):
        subject = "f\u00fcr" if charset != "gbk" else "\u4f60\u597d"
        text = f"From: Ben <ben@example.org>\nSubject: {subject}\n\nText {number}\n".encode(charset)
        (local / "INBOX/cur" / f"{1793613000 + number}.M{number}P9.example:2,S").write_bytes(text)
    run(*synchronise)
    session = login(server)
    assert session.select("INBOX")[1] == [b"3"]
    fetched = [part[1] for part in session.fetch("1:3", "BODY.PEEK[]")[1] if isinstance(part, tuple)]
    assert b"Subject: f\xfcr\r\n" in fetched[0] and b"Subject: f\xc3\xbcr\r\n" in fetched[2], fetched
    session.logout()


def test_mbsync(server, scratch):
    count = 10_000
    server.deliver(count)
    local = scratch / "local"
    synchronise = settings(server, scratch, local)
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
        run(*synchronise)
    finally:
        stop.set()
        disturber.join()
    run(*synchronise)
    near = sum(len(list((local / "INBOX" / folder).iterdir())) for folder in ("cur", "new"))
    session = login(server)
    far = int(session.select("INBOX")[1][0])
    assert near == far, (near, far)
    flagged = next(file for folder in ("cur", "new") for file in (local / "INBOX" / folder).iterdir())
    flagged.rename(local / "INBOX" / "cur" / (flagged.name.split(":2,")[0] + ":2,FS"))
    run(*synchronise)
    assert len(session.search(None, "FLAGGED")[1][0].split()) == 1
    session.logout()
    print(f"    {far} messages on both sides")
