"""curl, IMAP and POP3 over TLS."""

from server import run

PROGRAM = 'curl'
CLIENT = "curl"
VERSION = [PROGRAM, "--version"]


def test_curl(server, _):
    server.deliver(2)
    listing = run("curl", "-sk", f"imaps://127.0.0.1:{server.imaps}/", "-u", "anna:secret")
    assert "INBOX" in listing, listing
    text = run("curl", "-sk", f"imaps://127.0.0.1:{server.imaps}/INBOX;UID=2", "-u", "anna:secret")
    assert "Delivered 2" in text, text
    text = run("curl", "-sk", f"pop3s://127.0.0.1:{server.pop3s}/1", "-u", "anna:secret")
    assert "Delivered 1" in text, text
