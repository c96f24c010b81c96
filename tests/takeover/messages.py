"""Messages of many shapes, for comparing two servers' answers."""


def crlf(text):
    return text.replace("\n", "\r\n").encode("utf-8")


def top(subject, rest="\n"):
    return (f"From: Ben <ben@example.org>\nTo: anna@example.org\nSubject: {subject}\n"
            f"Date: Mon, 2 Nov 2026 10:00:00 +0000\nMessage-ID: <1@example.org>\n{rest}")


MESSAGES = [
    crlf(top("test plain", "\nhello\n")),
    crlf(top("to be expunged", "\nx\n")),
    crlf(top("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Content-Type: text/plain; charset=utf-8; format=flowed\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe\n")),
    crlf(top("removed over POP3", "\ny\n")),
    crlf(top("another to expunge", "\nz\n")),
    crlf(top("mixed", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b 1\"\n\npreamble\n--b 1\n\none\n--b 1\nContent-Type: text/html; charset=us-ascii\nContent-Disposition: inline\n\n<p>two</p>\n\n--b 1--\nepilogue\n")),
    crlf(top("nested", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B1\n\n--B1\nContent-Type: multipart/alternative; boundary=B10\n\n--B10\n\nplain\n--B10\nContent-Type: text/html\n\n<b>x</b>\n--B10--\n--B1\nContent-Type: application/pdf; name=\"a b.pdf\"\nContent-Disposition: attachment; filename=\"a b.pdf\"\nContent-Transfer-Encoding: base64\nContent-ID: <id@x>\nContent-Description: a file\nContent-Language: en, de\nContent-Location: http://x/y\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\n\nJVBERg==\n--B1--\n")),
    crlf(top("forwarded", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n--o\n\nsee\n--o\nContent-Type: message/rfc822\n\nFrom: carla@example.org\nTo: ben@example.org\nSubject: inner\nDate: Sun, 1 Nov 2026 10:00:00 +0000\nMessage-ID: <2@example.org>\n\ninner text\n--o--\n")),
    crlf(top("bare rfc822", "Content-Type: message/rfc822\n\nFrom: carla@example.org\nSubject: inner\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\na\n--i\n\nb\n--i--\n")),
    crlf("From: Undisclosed: ;\nTo: Friends: a@example.org, \"B, C\" <b@example.org>;, d@example.org (Dee)\nCc: carla@example.org\nSender: s@example.org\nReply-To: r@example.org\nSubject: groups\nDate: Mon, 2 Nov 2026 10:00:00 +0000\nIn-Reply-To: <1@example.org>\n\nx\n"),
    crlf(top("2231", "Content-Type: application/x-test; name*0*=utf-8''%e4%bd%a0; name*1=b.txt; x=\"y z\"\nContent-Disposition: attachment; filename*=utf-8''%e4%bd%a0.txt; size=3\n\nabc\n")),
    crlf(top("comments", "Content-Type: text/plain (comment; x=y); charset=\"us-ascii\" (c)\nContent-Transfer-Encoding: 7bit (really)\n\nhello\n")),
    crlf(top("no boundary parameter", "Content-Type: multipart/mixed\n\nhello\n")),
    crlf(top("never closed", "Content-Type: multipart/mixed; boundary=n\n\n--n\n\nopen\n")),
    crlf(top("no body", "")),
    crlf(top("empty body", "\n")),
    crlf(top("digest", "Content-Type: multipart/digest; boundary=d\n\n--d\n\nFrom: a@example.org\nSubject: first\n\n1\n--d\n\nFrom: b@example.org\nSubject: second\n\n2\n--d--\n")),
    crlf(top("empty parts", "Content-Type: multipart/mixed; boundary=e\n\n--e\n\n--e\nContent-Type: text/html\n--e--\n")),
    crlf(top("folded\n subject\n\t line", "References: <a@x>\n <b@x>\n\nx\n")),
    crlf(top("8bit header \u00fc", "\nbody \u00fc\n")),
    crlf("Subject: no others\n\nx\n"),
    crlf(top("dots", "\n.\n..\n.x\n")),
    crlf(top("long line", "\n" + "x" * 5000 + "\n")),
    crlf(top("no final line end", "\nend")),
    crlf(top("quoted \\\" backslash \\\\", "\nx\n")),
    crlf("From: \"quoted \\\" name\" <q@example.org>\nTo: <@route.example,@two.example:u@example.org>\nSubject: routes\n\nx\n"),
    crlf(top("unknown type", "Content-Type: x-made/up; a=b\n\nx\n")),
    crlf(top("broken type", "Content-Type: nonsense\n\nx\n")),
    crlf(top("uppercase", "CONTENT-TYPE: TEXT/HTML; CHARSET=UTF-8\nCONTENT-TRANSFER-ENCODING: 8BIT\n\n<p>x</p>\n")),
    crlf(top("report", "Content-Type: multipart/report; report-type=delivery-status; boundary=r\n\n--r\n\ntext\n--r\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n--r\nContent-Type: text/rfc822-headers\n\nSubject: y\n\n--r--\n")),
]
