"""mpop over POP3S, keeping: the second run fetches nothing."""

from server import run

PROGRAM = 'mpop'
CLIENT = "mpop"
VERSION = [PROGRAM, "--version"]


def test_mpop(server, scratch):
    server.deliver(3)
    (scratch / "inbox").mkdir()
    for folder in ("cur", "new", "tmp"):
        (scratch / "inbox" / folder).mkdir()
    settings = scratch / "mpoprc"
    settings.write_text(f"""account default
host 127.0.0.1
port {server.pop3s}
tls on
tls_starttls off
tls_certcheck off
user anna
password secret
keep on
uidls_file {scratch}/uidls
delivery maildir {scratch}/inbox
""")
    settings.chmod(0o600)
    for _ in range(2):
        run("mpop", "-q", "-C", str(settings))
    assert len(list((scratch / "inbox/new").iterdir())) == 3
