"""What a real Dovecot and Pillarbox say of the same messages: envelopes, structures,
sections, searches. They are stored with LF, with CRLF and with both mixed."""

import os
import re

from client import Imap
from messages import MESSAGES, crlf
from servers import Dovecot, Pillarbox, Site

PROGRAMS = ("dovecot",)

PATHS = ("1", "2", "3", "1.1", "1.2", "2.1", "2.2", "2.2.1", "2.1.1", "3.1")
ITEMS = ["ENVELOPE", "BODY", "BODYSTRUCTURE", "RFC822.SIZE", "RFC822.HEADER", "BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]",
         "BODY.PEEK[]<3.50>", "BODY.PEEK[]<400.100>", "BODY.PEEK[]<100000.100>", "BODY.PEEK[TEXT]<0.5>", "BODY.PEEK[TEXT]<70000.40>",
         "BODY.PEEK[HEADER.FIELDS (SUBJECT TO)]", "BODY.PEEK[HEADER.FIELDS (X-NONE)]", "BODY.PEEK[HEADER.FIELDS (DATE FROM)]<5.20>",
         "BODY.PEEK[HEADER.FIELDS.NOT (RECEIVED SUBJECT)]", "BODY.PEEK[2.HEADER.FIELDS (SUBJECT)]"]
ITEMS += [f"BODY.PEEK[{path}{kind}]" for path in PATHS for kind in ("", ".MIME", ".HEADER", ".TEXT")]

KEYS = ["ALL", "SEEN", "UNSEEN", "FLAGGED", "UNFLAGGED", "ANSWERED", "UNANSWERED", "DELETED", "UNDELETED", "DRAFT", "UNDRAFT", "OLD", "RECENT",
        "NEW", "KEYWORD work", "UNKEYWORD work", "KEYWORD absent", "SUBJECT test", "SUBJECT \"folded subject\"", "SUBJECT \"\"", 'SUBJECT "grü"',
        "SUBJECT \"GRÜSSE\"", 'SUBJECT "こん"', "FROM ben", 'FROM "jörg"', "FROM example.org", "TO example", "TO anna@example.org", "CC carla",
        "CC empty", "BCC x", "BCC one", "BODY hello", "BODY \"inner text\"", 'BODY "grüße"', 'BODY "こんにち"', "BODY \"<b>x\"", "BODY JVBERg", "BODY epilogue",
        "TEXT boundary", "TEXT inner", "TEXT \"Subject: inner\"", "TEXT hello", "TEXT 2.0.0", "LARGER 500", "SMALLER 500", "LARGER 100000", "SMALLER 1", "LARGER 0",
        "BEFORE 10-Nov-2020", "ON 10-Nov-2020", "SINCE 10-Nov-2020", "SENTBEFORE 3-Nov-2026", "SENTON 2-Nov-2026", "SENTSINCE 3-Nov-2026", "SENTON 3-Nov-1999",
        "HEADER Message-ID 1", "HEADER X-None \"\"", "HEADER References a@x", "HEADER Content-Type multipart", "HEADER Subject \"8bit\"",
        "HEADER In-Reply-To c@d", "HEADER Date yesterday", "NOT SEEN", "OR SEEN FLAGGED", "NOT (OR SEEN FLAGGED)", "SEEN FLAGGED", "1:5", "UID 3:9", "*", "5:*",
        "UID 90:*", "OR (SUBJECT test) (NOT SMALLER 500)", "RETURN (COUNT) ALL", "RETURN (MIN MAX) SEEN"]


def deliver(folder, line_ends):
    """Puts the messages into cur/, as a copy from elsewhere would be. UIDs go by time."""
    for part in ("cur", "new", "tmp"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for place, message in enumerate(MESSAGES.values()):
        lines = crlf(message) if line_ends == "CRLF" else message
        if line_ends == "mixed":
            pieces = message.split(b"\n")
            lines = b"".join(piece + (b"\r\n" if number % 3 else b"\n") for number, piece in enumerate(pieces[:-1])) + pieces[-1]
        path = folder / "cur" / f"{1604000000 + place}.M{place}P1.example:2,{('', 'S', 'RF', 'FS', 'T', 'D')[place % 6]}"
        path.write_bytes(lines)
        seconds = 1604000000 + place * 86400
        os.utime(path, (seconds, seconds))


def answers(server, mailbox):
    """All answers over one mailbox, by item or key and by message."""
    imap = Imap(server)
    imap.ok(f"SELECT {mailbox}")
    imap.ok("UNSELECT")
    imap.ok(f"EXAMINE {mailbox}")
    said = {}
    for item in ITEMS:
        by_uid = imap.fetch(f"UID FETCH 1:* {item}")
        for uid, name in enumerate(MESSAGES, 1):
            said[item, name] = by_uid.get(uid)
    for key in KEYS:
        charset = "CHARSET UTF-8 " if not key.isascii() else ""
        imap.send(f"UID SEARCH {charset}{key}")
        lines, end = imap.answer()
        said["SEARCH", key] = lines[0] if end.startswith("a OK") else end
    imap.close()
    return said


def named(line):
    """A SEARCH answer with names for UIDs."""
    names = list(MESSAGES)
    return {names[int(uid) - 1] for uid in line.removeprefix("* SEARCH").split()} if line.startswith("* SEARCH") else line


UNREADABLE = ("no boundary parameter", "empty boundary", "boundary never seen", "closed at once")
NO_TEXT = "a multipart without parts is one empty part for Dovecot; here its text is shown and found, rather than hidden"
NO_BLANK = "a message without body and blank line is fetched without one (RFC 3501 section 6.4.5); Dovecot adds it here, not in HEADER.FIELDS.NOT"
LINE_END = "where a header ends in the line end before a boundary, that line end is the boundary's for Dovecot"

# Where both may differ: items or keys, messages, why.
EXPECTED = [
    ("ENVELOPE", ("no addresses", "empty addresses", "half addresses", "odd addresses", "unclosed addresses"),
     "Dovecot says MISSING_DOMAIN and the like where an address is broken, we what is there"),
    ("ENVELOPE", ("separated by semicolons",), "Dovecot stops at what it cannot read, we show all addresses"),
    ("ENVELOPE", ("folded subject", "folded ids"), "unfolding takes the line end away and nothing else (RFC 5322 section 2.2.3)"),
    ("ENVELOPE", ("repeated fields",), "of fields that may come once the first counts here, for Dovecot the last"),
    ("ENVELOPE", ("nul",), "NUL is a blank here, U+FFFD for Dovecot"),
    ("BODY|BODYSTRUCTURE|BODY.PEEK.*", UNREADABLE, NO_TEXT),
    ("BODY|BODYSTRUCTURE|BODY.PEEK.*", ("rfc822 in base64",), "an encoded message is not one (RFC 2046 section 5.2.1); Dovecot reads the base64 as its header"),
    ("BODY|BODYSTRUCTURE", ("2231",), "Dovecot joins continued parameters (RFC 2231), we send them as written"),
    ("BODY|BODYSTRUCTURE", ("broken type", "type without subtype", "empty type"), "an unreadable type is text/plain (RFC 2045 section 5.2)"),
    ("BODY|BODYSTRUCTURE", ("unquoted parameter", "broken parameters"), "Dovecot stops at what it cannot read"),
    ("BODYSTRUCTURE", ("disposition alone",), "one language is a string or a list of one (RFC 3501 section 9, body-fld-lang)"),
    ("BODYSTRUCTURE", ("disposition broken", "disposition empty"), "a disposition that is none"),
    (r"BODY.PEEK\[HEADER.FIELDS \(.*", ("no body", "nothing"), NO_BLANK),
    (r"BODY.PEEK\[HEADER.FIELDS.NOT.*", ("no colon", "continuation first"), "a line that is no field is not sent as one"),
    (r"BODY.PEEK\[(1|2|2.1).(MIME|HEADER)\]", ("rfc822 empty", "empty parts"), LINE_END),
    ('SUBJECT "GRÜSSE"', ("SEARCH",), "Unicode case folding knows that SS is the upper case of \u00df"),
    ("BCC x", ("SEARCH",), "headers are searched as written, by Dovecot as addresses"),
    ("(BODY|TEXT) (hello|epilogue)", ("SEARCH",), NO_TEXT),
    ('BODY "<b>x"', ("SEARCH",), "HTML is searched as it is read, without its tags, which Dovecot finds"),
    ("SENTBEFORE 3-Nov-2026", ("SEARCH",), "a message without Date was not sent before any day"),
]


def reason(key, theirs, ours, all_theirs):
    """Why an answer may differ; None if it must not."""
    if key[0] == "SEARCH":
        key = key[::-1]
    elif theirs.endswith(' ""') and ours == theirs[:-2] + "NIL":
        return "a section that is not there: an empty string, or NIL"
    elif match := re.match(r"(BODY.PEEK\[(?:\d\.)*\d)\.1(\]|\.MIME\])$", key[0]):
        parent = all_theirs[match[1] + match[2], key[1]]
        if ours.endswith(" NIL") and theirs.partition("] ")[2] == parent.partition("] ")[2]:
            return "part 1 of a part that has none: the part itself for Dovecot, nothing here"
    elif key[0] == "BODY.PEEK[1]" and theirs[:-1] == ours[:-1] + "\r\n":
        return "the line end before a boundary is the boundary's, also after a multipart (RFC 2046 section 5.1.1)"
    return next((why for items, messages, why in EXPECTED if re.fullmatch(items, key[0]) and key[1] in messages), None)


def test_same_answers(root):
    site = Site(root, delimiter=".")
    stored = {"INBOX": "LF", "crlf": "CRLF", "mixed": "mixed"}
    for mailbox, line_ends in stored.items():
        deliver(site.maildir if mailbox == "INBOX" else site.maildir / f".{mailbox}", line_ends)
    site.give_away(site.maildir)
    with Dovecot(site) as server:
        theirs = {mailbox: answers(server, mailbox) for mailbox in stored}
    with Pillarbox(site) as server:
        ours = {mailbox: answers(server, mailbox) for mailbox in stored}
    wrong, reasons = 0, set()
    for mailbox in stored:
        for key, said in theirs[mailbox].items():
            own = ours[mailbox][key]
            if own != ours["INBOX"][key]:
                print(f"{mailbox}: {key} is not as with LF:\n  LF:   {ours['INBOX'][key]!r:.600}\n  here: {own!r:.600}")
                wrong += 1
            if said == own:
                continue
            why = reason(key, said, own, theirs[mailbox])
            if why:
                reasons.add(why)
                continue
            wrong += 1
            if key[0] == "SEARCH" and isinstance(named(own), set) and isinstance(named(said), set):
                said, own = named(said) - named(own), named(own) - named(said)
            print(f"{mailbox}: {key} differs:\n  Dovecot:   {said!r:.600}\n  Pillarbox: {own!r:.600}")
    assert not wrong, f"{wrong} answers differ"
    return f"{sum(map(len, theirs.values()))} answers compared, {len(reasons)} known kinds of difference"
