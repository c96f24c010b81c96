"""Python's imaplib and poplib."""

import imaplib
import poplib
import time

from server import context, login

PROGRAM = None


def test_imaplib(server, _):
    server.deliver(5)
    session = login(server)
    assert session.select("INBOX")[1] == [b"5"]
    assert session.fetch("1:*", "(ENVELOPE BODYSTRUCTURE)")[0] == "OK"
    assert session.search(None, "SUBJECT", '"delivered 3"')[1] == [b"3"]
    assert session.append("Archive", "\\Seen", None, b"Subject: x\r\n\r\ny\r\n")[0] == "OK"
    assert session.uid("MOVE", "1", "Archive")[0] == "OK"
    assert session.status("Archive", "(MESSAGES)")[1] == [b"Archive (MESSAGES 2)"]
    session.logout()


def test_starttls(server, _):
    session = imaplib.IMAP4("127.0.0.1", server.imap)
    session.starttls(context())
    session.login("anna", "secret")
    session.logout()
    pop = poplib.POP3("127.0.0.1", server.pop3)
    pop.stls(context())
    pop.user("anna")
    pop.pass_("secret")
    pop.quit()


def test_poplib(server, _):
    server.deliver(5)
    pop = poplib.POP3_SSL("127.0.0.1", server.pop3s, context=context())
    pop.user("anna")
    pop.pass_("secret")
    count, octets = pop.stat()
    assert count == 5, count
    received = sum(sum(len(line) + 2 for line in pop.retr(number)[1]) for number in range(1, 6))
    assert received == octets, (received, octets)
    before = pop.uidl()[1]
    pop.dele(1)
    pop.quit()
    pop = poplib.POP3_SSL("127.0.0.1", server.pop3s, context=context())
    pop.user("anna")
    pop.pass_("secret")
    assert [line.split()[1] for line in pop.uidl()[1]] == [line.split()[1] for line in before[1:]]
    pop.quit()


def test_idle(server, _):
    session = login(server)
    session.select("INBOX")
    session.send(b"x IDLE\r\n")
    assert session.readline().startswith(b"+")
    started = time.monotonic()
    server.deliver(1)
    lines = []
    while b"* 1 EXISTS" not in lines:
        lines.append(session.readline().strip())
        assert time.monotonic() - started < 5, lines
    print(f"    told of a delivery after {1000 * (time.monotonic() - started):.0f} ms")
    session.send(b"DONE\r\n")
    session.shutdown()
