"""Messages of many shapes by name, for comparing two servers' answers. Line ends
are LF here; the tests store them in other ways too."""


def text(subject, rest="\n"):
    return (f"From: Ben <ben@example.org>\nTo: anna@example.org\nSubject: {subject}\n"
            f"Date: Mon, 2 Nov 2026 10:00:00 +0000\nMessage-ID: <1@example.org>\n{rest}")


def addresses(subject, fields):
    return f"Subject: {subject}\nDate: Mon, 2 Nov 2026 10:00:00 +0000\n{fields}\n\nx\n"


def parts(subject, kind, boundary, *contents, end=True):
    """A multipart; each content begins with its header lines or an empty line."""
    body = "".join(f"--{boundary}\n{content}\n" for content in contents)
    return text(subject, f'MIME-Version: 1.0\nContent-Type: {kind}; boundary="{boundary}"\n\n{body}' + (f"--{boundary}--\n" if end else ""))


PDF = ("Content-Type: application/pdf; name=\"a b.pdf\"\nContent-Disposition: attachment; filename=\"a b.pdf\"; size=4\n"
       "Content-Transfer-Encoding: base64\nContent-ID: <id@x>\nContent-Description: a file\nContent-Language: en, de\n"
       "Content-Location: http://x/y\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\n\nJVBERg==")
INNER = "From: carla@example.org\nTo: ben@example.org\nSubject: inner\nDate: Sun, 1 Nov 2026 10:00:00 +0000\nMessage-ID: <2@example.org>\n"
NESTED = (f'Content-Type: message/rfc822\n\n{INNER}Content-Type: multipart/mixed; boundary=in\n\n--in\n\ninner text\n'
          f'--in\nContent-Type: message/rfc822\n\nSubject: innermost\nFrom: d@example.org\n\ndeep\n--in--\n')

TEXTS = {
    "plain": text("test plain", "\nhello\n"),
    "to be expunged": text("to be expunged", "\nx\n"),
    "quoted-printable": text("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Content-Type: text/plain; charset=utf-8; format=flowed\n"
                             "Content-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe\n"),
    "for POP3": text("removed over POP3", "\ny\n"),
    "to be expunged too": text("another to expunge", "\nz\n"),
    "mixed": text("mixed", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b 1\"\n\npreamble\n--b 1\n\none\n--b 1\n"
                  "Content-Type: text/html; charset=us-ascii\nContent-Disposition: inline\n\n<p>two</p>\n\n--b 1--\nepilogue\n"),
    "nested": parts("nested", "multipart/mixed", "B1", "Content-Type: multipart/alternative; boundary=B10\n\n--B10\n\nplain\n--B10\n"
                    "Content-Type: text/html\n\n<b>x</b>\n--B10--", PDF),
    "forwarded": parts("forwarded", "multipart/mixed", "o", "\nsee", f"Content-Type: message/rfc822\n\n{INNER}\ninner text"),
    "forwarded in forwarded": parts("deep", "multipart/mixed", "out", "\nsee", NESTED, PDF),
    "bare rfc822": text("bare rfc822", f"Content-Type: message/rfc822\n\n{INNER}Content-Type: multipart/mixed; boundary=i\n\n--i\n\na\n--i\n\nb\n--i--\n"),
    "rfc822 in base64": text("wrapped", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA0KDQp4DQo=\n"),
    "rfc822 empty": parts("empty inner", "multipart/mixed", "e", "Content-Type: message/rfc822\n", "Content-Type: message/rfc822\n\nSubject: only header\n"),
    "partial": text("partial", "Content-Type: message/partial; number=1; total=2; id=\"x@y\"\n\nSubject: half\n\nx\n"),
    "external body": text("external", "Content-Type: message/external-body; access-type=URL; URL=\"http://x/\"\n\nContent-Type: image/png\n\n"),
    "groups": addresses("groups", "From: Undisclosed: ;\nTo: Friends: a@example.org, \"B, C\" <b@example.org>;, d@example.org (Dee)\n"
                        "Cc: carla@example.org\nSender: s@example.org\nReply-To: r@example.org\nIn-Reply-To: <1@example.org>"),
    "groups again": addresses("more groups", "From: a@example.org\nTo: \"Team, the\": b@example.org;\nTo: c@example.org\nCc: Empty:;, x@y\nBcc: one: a@b, c@d; ,two:;"),
    "no addresses": addresses("names only", "From: nobody\nTo: MAILER-DAEMON (Mail Delivery)\nCc: undisclosed recipients"),
    "empty addresses": addresses("empty", "From: <>\nTo:\nCc: ,\nReply-To: <>"),
    "half addresses": addresses("half", "From: user@\nTo: @example.org\nCc: <user>\nBcc: a b c@x.org"),
    "odd addresses": addresses("odd", "From: \"quoted \\\" name\" <q@example.org>\nTo: <@route.example,@two.example:u@example.org>\n"
                               "Cc: \"a b\"@example.org, x@[192.0.2.1], y @ z . org, (c) e (d) @f (g)\nBcc: A. B. Dot <a.b@c.d>, a..b@c, x@y.z."),
    "encoded addresses": addresses("encoded", "From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\nTo: =?iso-8859-1?Q?a?= =?iso-8859-1?Q?b?= <ab@example.org>\n"
                                   "Cc: \"=?utf-8?q?x?=\" <x@y>\nReply-To: Jörg Ü <j@example.org>"),
    "unclosed addresses": addresses("unclosed", "From: \"open <a@b>\nTo: Open <a@b\nCc: (open a@b\nBcc: a@b> x, c@d"),
    "separated by semicolons": addresses("semicolons", "From: a@example.org\nTo: b@example.org; c@example.org\nCc: <a@b> <c@d>"),
    "folded addresses": addresses("folded", "From: Anna\n <a@example.org>\nTo: b@example.org,\n\tc@example.org\nCc:\n d@example.org"),
    "2231": text("2231", "Content-Type: application/x-test; name*0*=utf-8''%e4%bd%a0; name*1=b.txt; x=\"y z\"\n"
                 "Content-Disposition: attachment; filename*=utf-8''%e4%bd%a0.txt; size=3\n\nabc\n"),
    "2231 one part": text("2231", "Content-Type: application/x-test; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A\n\nabc\n"),
    "comments": text("comments", "Content-Type: text/plain (comment; x=y); charset=\"us-ascii\" (c)\nContent-Transfer-Encoding: 7bit (really)\n\nhello\n"),
    "no boundary parameter": text("no boundary parameter", "Content-Type: multipart/mixed\n\nhello\n"),
    "empty boundary": text("empty boundary", "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\nhello\n----\n"),
    "never closed": parts("never closed", "multipart/mixed", "n", "\nopen", end=False),
    "boundary never seen": text("never seen", "Content-Type: multipart/mixed; boundary=absent\n\nhello\n"),
    "closed at once": text("closed", "Content-Type: multipart/mixed; boundary=c\n\n--c--\nepilogue\n"),
    "inner never closed": parts("inner open", "multipart/mixed", "a", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo", "\nthree"),
    "prefix boundary": parts("prefix", "multipart/mixed", "b", "Content-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb--", "\ntwo"),
    "same boundary": parts("same", "multipart/mixed", "s", "Content-Type: multipart/mixed; boundary=s\n\n--s\n\none\n--s--", "\ntwo"),
    "blank after boundary": text("blanks", "Content-Type: multipart/mixed; boundary=w\n\n--w  \n\none\n--w\t\n\ntwo\n--w-- \nend\n"),
    "boundary in case": text("case", "Content-Type: Multipart/MIXED; BOUNDARY=Case\n\n--case\n\nno\n--Case\n\nyes\n--Case--\n"),
    "boundary with specials": text("specials", "Content-Type: multipart/mixed; boundary=\"=_a'()+_,-./:=?b\"\n\n--=_a'()+_,-./:=?b\n\nx\n--=_a'()+_,-./:=?b--\n"),
    "no body": text("no body", ""),
    "empty body": text("empty body", "\n"),
    "digest": parts("digest", "multipart/digest", "d", "\nFrom: a@example.org\nSubject: first\n\n1", "\nFrom: b@example.org\nSubject: second\n\n2",
                    "Content-Type: text/plain\n\n3"),
    "empty parts": text("empty parts", "Content-Type: multipart/mixed; boundary=e\n\n--e\n\n--e\nContent-Type: text/html\n--e--\n"),
    "blank lines around parts": parts("blank lines", "multipart/mixed", "l", "\n\none\n", "\n\n\n", "Content-Type: text/html\n\n\n<p>\n\n"),
    "signed": parts("signed", "multipart/signed; protocol=\"application/pgp-signature\"; micalg=pgp-sha1", "sig", "\nsigned",
                    "Content-Type: application/pgp-signature; name=\"signature.asc\"\n\n-----BEGIN PGP SIGNATURE-----\n"),
    "related": parts("related", "multipart/related; type=\"text/html\"; start=\"<s@x>\"", "rel", "Content-Type: text/html\nContent-ID: <s@x>\n\n<img>",
                     "Content-Type: image/png\nContent-ID: <i@x>\nContent-Transfer-Encoding: BASE64\nContent-Disposition: inline\n\niVBORw0KGgo="),
    "report": parts("report", "multipart/report; report-type=delivery-status", "r", "\ntext",
                    "Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n", "Content-Type: text/rfc822-headers\n\nSubject: y\n"),
    "folded subject": text("folded\n subject\n\t line", "References: <a@x>\n <b@x>\n\nx\n"),
    "subject folded at once": text("\n begins on the next line", "\nx\n"),
    "empty subject": text("", "\nx\n"),
    "blank subject": text("   ", "\nx\n"),
    "long subject": text("word " * 300, "\nx\n"),
    "8bit header": text("8bit header ü", "\nbody ü\n"),
    "quotes": text("quoted \\\" backslash \\\\", "\nx\n"),
    "repeated fields": text("first", "Subject: second\nMessage-ID: <second@example.org>\nDate: Tue, 3 Nov 2026 10:00:00 +0000\n"
                            "Content-Type: text/html\nContent-Type: image/png\n\nx\n"),
    "message ids": addresses("ids", "From: a@b\nMessage-ID: <a@b> (comment)\nIn-Reply-To: your mail of Monday <c@d> <e@f>\nReferences: <c@d>"),
    "folded ids": addresses("ids", "From: a@b\nMessage-ID:\n <a@b>\nIn-Reply-To: <c@d>\n\t<e@f>"),
    "only a subject": "Subject: no others\n\nx\n",
    "no header": "\nbody at once\n",
    "nothing": "",
    "a line end": "\n",
    "no colon": "Subject: x\nthis is no field\nTo: a@b\n\nbody\n",
    "blank before colon": "Subject : spaced\nFrom\t: a@b\n\nbody\n",
    "from line": "From ben@example.org Mon Nov  2 10:00:00 2026\nSubject: mbox\n\nbody\n",
    "continuation first": " continued\nSubject: x\n\nbody\n",
    "blank line in header": "Subject: x\n \nTo: a@b\n\nbody\n",
    "odd dates": "From: a@b\nSubject: dates\nDate: yesterday\n\nx\n",
    "old date": "Date: 3 Nov 99 1:02 EST\nSubject: old\n\nx\n",
    "dots": text("dots", "\n.\n..\n.x\n"),
    "long line": text("long line", "\n" + "x" * 5000 + "\n"),
    "no final line end": text("no final line end", "\nend"),
    "blank lines at the end": text("blank end", "\nend\n\n\n"),
    "many lines": text("many lines", "\n" + "".join(f"line {number} of many hello\n" for number in range(4000))),
    "unknown type": text("unknown type", "Content-Type: x-made/up; a=b\n\nx\n"),
    "broken type": text("broken type", "Content-Type: nonsense\n\nx\n"),
    "type without subtype": text("no subtype", "Content-Type: text\n\nx\n"),
    "empty type": text("empty type", "Content-Type:\n\nx\n"),
    "unquoted parameter": text("unquoted", "Content-Type: application/x; name=two words.txt; size=1\n\nx\n"),
    "broken parameters": text("broken parameters", "Content-Type: text/plain; charset; =x; ; name=\"open\n\nx\n"),
    "escaped parameter": text("escaped", "Content-Type: application/x; name=\"a\\\"b\\\\c\"; x='single'\n\nx\n"),
    "folded parameter": text("folded parameter", "Content-Type: application/x;\n\tname=\"long\n name.txt\";\n x=y\n\nx\n"),
    "8bit parameter": text("8bit parameter", "Content-Type: application/x; name=\"ü.txt\"\nContent-Disposition: attachment; filename=ü.txt\n\nx\n"),
    "encoded parameter": text("encoded parameter", "Content-Type: application/x; name=\"=?utf-8?q?=C3=BC?=.txt\"\n\nx\n"),
    "upper case": text("uppercase", "CONTENT-TYPE: TEXT/HTML; CHARSET=UTF-8\nCONTENT-TRANSFER-ENCODING: 8BIT\n\n<p>x</p>\n"),
    "unknown encoding": text("unknown encoding", "MIME-Version: 1.0\nContent-Transfer-Encoding: x-uuencode\n\nx\n"),
    "broken encoding": text("broken encoding", "Content-Transfer-Encoding: 7bit; really\n\nx\n"),
    "empty encoding": text("empty encoding", "Content-Transfer-Encoding:\n\nx\n"),
    "disposition alone": text("disposition", "MIME-Version: 1.0\nContent-Disposition: attachment\nContent-Language: de\nContent-ID: no brackets\n\nx\n"),
    "disposition broken": text("disposition", "MIME-Version: 1.0\nContent-Disposition: filename=x\nContent-Language: de,en , fr\nContent-Description: =?utf-8?q?=C3=BC?=\n\nx\n"),
    "disposition empty": text("disposition", "MIME-Version: 1.0\nContent-Disposition:\nContent-Language:\nContent-ID:\nContent-Description:\nContent-Location:\nContent-MD5:\n\nx\n"),
    "latin": text("latin", "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe\n"),
    "base64 text": text("base64", "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nR3LDvMOfZSBoZWxsbw==\n"),
    "japanese": text("=?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?=", "Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$B$3$s$K$A$O\x1b(B\n"),
}

MESSAGES = {name: content.encode() for name, content in TEXTS.items()} | {
    "latin1 octets": text("octets \xfc", "\nbody \xfc\n").encode("latin-1"),
    "nul": text("nul \0 here", "\nbody \0 nul\n").encode(),
    "bare cr": text("bare", "\none\rtwo\r\n three\n").encode(),
}


def crlf(message):
    return message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
