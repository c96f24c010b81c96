"""One Maildir served by a real Dovecot, taken over by Pillarbox, changed, taken back
by Dovecot, changed, and taken over again. UIDVALIDITY, UIDs, flags, keywords, dates,
sizes, names, subscriptions and POP3 unique-ids must stay what clients know, and
mbsync with a state of its own must transfer nothing when the server changes."""

import shutil

from client import Imap, Mbsync, Resync, compare, delete_over_pop3, pop3, record
from messages import MESSAGES as BY_NAME
from messages import crlf
from servers import LISTESCAPE, Dovecot, Pillarbox, Site

PROGRAMS = ("dovecot", "mbsync")

MESSAGES = [crlf(message) for message in BY_NAME.values() if b"\0" not in message][:40]

PLAIN_NAMES = (("Work", "2026", "Plans"), ("Очень", "日本語"), ("Sent",), ("sp ace",), ("Tom & Jerry",),
               ("100%-~x",), ("Cafe\u0301",), ("Entwürfe", "Größe, 2"), ("\U0001f4ec",))
ESCAPED_NAMES = (("with.dots", "a.b"), ("back\\slash",), (".hidden",), ("quo\"te", "x"))
DAY = "{:02}-Nov-2020 10:20:{:02} +0100"


def fill(server, site, names):
    """What years of use leave: gaps, keywords, dates, nested and foreign names."""
    imap = Imap(server)
    for levels in names:
        imap.ok(f"CREATE {site.name(*levels)}")
        imap.ok(f"SUBSCRIBE {site.name(*levels)}")
    imap.ok("SUBSCRIBE INBOX")
    imap.ok(f"CREATE {site.name('Unsubscribed')}")
    imap.ok(f"CREATE {site.name('Empty')}")
    for place, message in enumerate(MESSAGES):
        flags = ("\\Seen", "\\Answered \\Flagged", "", "$Label1 work", "\\Seen $NotJunk", "\\Draft")[place % 6]
        imap.append("INBOX", message, flags, DAY.format(1 + place % 28, place % 60))
    for levels in names:
        for message in MESSAGES[:3]:
            imap.append(site.name(*levels), message, "\\Draft $Forwarded")
    imap.ok("SELECT INBOX")
    imap.ok("STORE 2,5 +FLAGS (\\Deleted)")
    imap.ok("EXPUNGE")
    imap.ok(f"COPY 1:4 {site.name('Sent')}")
    # With those that come later as many keywords as have letters. The newest message goes, UIDNEXT stays.
    for number in range(18):
        imap.ok(f"STORE {number + 1} +FLAGS (key{number})")
    last = len(MESSAGES) - 2
    imap.ok(f"STORE {last} +FLAGS (\\Deleted)")
    imap.ok("EXPUNGE")
    imap.close()
    delete_over_pop3(server, 3)


def change(server, site):
    """What a day of use changes."""
    imap = Imap(server)
    new = site.name("New", "Place")
    imap.ok(f"CREATE {new}")
    imap.ok(f"SUBSCRIBE {new}")
    imap.ok(f"UNSUBSCRIBE {site.name('Sent')}")
    imap.append("INBOX", b"Subject: new one\r\n\r\nnew\r\n", "\\Seen brandnew", DAY.format(30, 1))
    imap.append("INBOX", b"Subject: no flags\r\n\r\nnew\r\n")
    imap.ok("SELECT INBOX")
    imap.ok("STORE 1 +FLAGS (\\Flagged late)")
    imap.ok("STORE 2 FLAGS ()")
    imap.ok("STORE 6 -FLAGS (\\Seen work)")
    imap.ok("STORE 3 +FLAGS (\\Deleted)")
    imap.ok("EXPUNGE")
    imap.ok(f"MOVE 4,7 {new}")
    imap.ok(f"COPY 5 {site.name('Sent')}")
    imap.ok(f"CREATE {site.name('Gone')}")
    imap.append(site.name("Gone"), MESSAGES[0])
    imap.ok(f"DELETE {site.name('Gone')}")
    imap.ok(f"CREATE {site.name('Gone')}")
    imap.ok(f"RENAME {site.name('Work')} {site.name('Alt')}")
    imap.ok(f"RENAME {site.name('Очень', '日本語')} {site.name('Очень', 'Да')}")
    imap.ok(f"DELETE {site.name('sp ace')}")
    imap.ok(f"SELECT {site.name('Empty')}")
    imap.append(site.name("Empty"), MESSAGES[1], "$Forwarded second")
    imap.close()
    delete_over_pop3(server, 1)


def change_back(server, site):
    """What the other server does before the second takeover."""
    imap = Imap(server)
    imap.append("INBOX", b"Subject: late\r\n\r\nx\r\n", "late \\Flagged")
    imap.ok("SELECT INBOX")
    imap.ok("STORE 1:3 FLAGS (\\Answered BRANDNEW other)")
    imap.ok("STORE 8 +FLAGS (\\Deleted)")
    imap.ok("EXPUNGE")
    imap.ok(f"COPY 2:3 {site.name('New', 'Place')}")
    imap.ok(f"RENAME {site.name('Alt')} {site.name('Neu')}")
    imap.ok(f"DELETE {site.name('Gone')}")
    imap.ok(f"CREATE {site.name('Gone')}")
    imap.ok(f"SUBSCRIBE {site.name('Gone')}")
    imap.ok(f"UNSUBSCRIBE {site.name('Tom & Jerry')}")
    imap.close()
    delete_over_pop3(server, 2)


def forget_indexes(site):
    """Dovecot's indexes are caches too: what counts is in the text files."""
    for path in site.maildir.rglob("dovecot.*index*"):
        path.unlink()


def there_and_back(site, names, indexes_kept):
    # What is renamed and deleted is left out: mbsync would have to be told.
    mbsync = Mbsync(site, '* !Work* !Alt* !Neu* !Gone* "!sp ace" !&BB4*')
    with Dovecot(site) as server:
        fill(server, site, names)
        before = record(server)
        local = mbsync.run(server)
        client = Resync(server)
        rows = sum(len(value) for value in before.values() if isinstance(value, dict))
    for step, (server_type, changes) in enumerate(((Pillarbox, change), (Dovecot, change_back), (Pillarbox, change_once_more),
                                                   (Dovecot, None))):
        if not indexes_kept:
            forget_indexes(site)
        what = f"step {step}, {server_type.__name__}"
        with server_type(site) as server:
            compare(before, record(server), what)
            assert mbsync.run(server) == local, f"{what}: mbsync transferred something"
            compare(before, record(server), f"{what}, after mbsync")
            if server_type is Pillarbox:
                client.check(server, what)
            if changes:
                changes(server, site)
                before = record(server)
                local = mbsync.run(server)
                client = Resync(server)
    return f"{rows} rows and names there, back, there and back again"


def change_once_more(server, site):
    imap = Imap(server)
    imap.ok(f"RENAME {site.name('Neu')} {site.name('Work')}")
    imap.ok("SELECT INBOX")
    imap.ok("STORE 1:5 +FLAGS (other brandnew)")
    imap.ok("STORE 4 +FLAGS (\\Deleted)")
    imap.ok("EXPUNGE")
    imap.ok(f"MOVE 2 {site.name('Gone')}")
    imap.close()
    session = pop3(server)
    session.retr(1)
    session.quit()


def test_dots(root):
    return there_and_back(Site(root, delimiter="."), PLAIN_NAMES, indexes_kept=True)


def test_slashes_and_escaped_names(root):
    if not shutil.os.path.exists(LISTESCAPE):
        return "skipped, Dovecot has no listescape here"
    own_ids = "pop3_uidl_format = UID%u-%v\nprotocol pop3 {\n  pop3_save_uidl = yes\n}\n"
    site = Site(root, delimiter="/", plugins="listescape", dovecot=own_ids)
    return there_and_back(site, PLAIN_NAMES + ESCAPED_NAMES, indexes_kept=True)


def test_inbox_prefix_crlf_and_no_indexes(root):
    site = Site(root, delimiter=".", prefix="INBOX.", dovecot="mail_save_crlf = yes\n")
    return there_and_back(site, PLAIN_NAMES, indexes_kept=False)
