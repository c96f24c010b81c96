//! Each header field in ASCII.

use super::*;
use crate::message::ascii_field::LINE_OCTETS;
use proptest::prelude::*;

fn downgraded(fields: &str) -> String {
    let ascii = header(fields.as_bytes()).expect("not ASCII");
    String::from_utf8(ascii).expect("ASCII")
}

#[test]
fn each_field_has_its_way() {
    let fields = [
        // 3.2.1, display names.
        (
            "From: J\u{fc}rgen <jo@example.org>\n",
            "From: =?utf-8?b?SsO8cmdlbg==?= <jo@example.org>\r\n",
        ),
        (
            "To: \"\u{c4}, B\" <x@y> (z), \"a \\\"q\\\"\" <b@c>\n",
            "To: =?utf-8?b?w4QsIEI=?= <x@y>,\r\n \"a \\\"q\\\"\" <b@c>\r\n",
        ),
        (
            "To: jo@example.org (J\u{fc}rgen)\n",
            "To: jo@example.org (\r\n =?utf-8?b?SsO8cmdlbg==?=)\r\n",
        ),
        (
            "Cc: x@y (\u{e4} (b) \\)\u{f6}) , z@y\n",
            "Cc: x@y (\r\n =?utf-8?b?w6Q=?=(b)\r\n =?utf-8?b?KcO2?=)\r\n , z@y\r\n",
        ),
        // 3.1.6 and 3.1.8, domains.
        (
            "Sender: fred@b\u{fc}cher.example\n",
            "Sender: fred@xn--bcher-kva.example\r\n",
        ),
        (
            "To: fred@b\u{fc}!.example\n",
            "To: =?utf-8?b?ZnJlZEBiw7whLmV4YW1wbGU=?=\r\n <invalid@internationalized-address.invalid>\r\n",
        ),
        // RFC 6858 section 2.1, local parts.
        (
            "To: Fred <fr\u{e9}d@example.com>, b@c.d\n",
            "To: =?utf-8?b?RnJlZCBmcsOpZEBleGFtcGxlLmNvbQ==?=\r\n <invalid@internationalized-address.invalid>,\r\n b@c.d\r\n",
        ),
        (
            "Return-Path: <\u{fc}@x.example>\n",
            "Return-Path: =?utf-8?b?w7xAeC5leGFtcGxl?=\r\n <invalid@internationalized-address.invalid>\r\n",
        ),
        // 3.1.7, groups.
        (
            "Bcc: \u{e4}: a@b, c@d;\n",
            "Bcc: =?utf-8?b?w6Q=?=:\r\n a@b,\r\n c@d;\r\n",
        ),
        (
            "Resent-To: A: \u{fc}@b;, c@d\n",
            "Resent-To: A:\r\n =?utf-8?b?w7xAYg==?=\r\n <invalid@internationalized-address.invalid>;,\r\n c@d\r\n",
        ),
        ("Resent-Cc: \u{e4}:;\n", "Resent-Cc: =?utf-8?b?w6Q=?=:;\r\n"),
        // 3.2.2, comments.
        (
            "Date: Mon, 2 Nov 2026 10:00:00 +0000 (Mitteleurop\u{e4}isch)\n",
            "Date: Mon, 2 Nov 2026 10:00:00 +0000 (\r\n =?utf-8?b?TWl0dGVsZXVyb3DDpGlzY2g=?=)\r\n",
        ),
        (
            "MIME-Version: (\u{e4})  1.0\n",
            "MIME-Version: (\r\n =?utf-8?b?w6Q=?=)\r\n  1.0\r\n",
        ),
        ("Date: sp\u{e4}ter\n", "Date: =?utf-8?b?c3DDpHRlcg==?=\r\n"),
        // 3.2.3, message identifiers.
        (
            "Message-ID: <\u{fc}@x>\n",
            "Downgraded-Message-ID: =?utf-8?b?PMO8QHg+?=\r\n",
        ),
        (
            "References: <a@b>\n <\u{fc}@x>\n",
            "Downgraded-References: =?utf-8?b?PGFAYj4gPMO8QHg+?=\r\n",
        ),
        (
            "In-Reply-To: <a@b> (\u{e4})\n",
            "In-Reply-To: <a@b> (\r\n =?utf-8?b?w6Q=?=)\r\n",
        ),
        // 3.2.4, trace.
        (
            "Received: from b\u{fc}cher.example (\u{e4} [192.0.2.1])\n	by x.example with SMTP id 7 for <fred@b\u{fc}cher.example>; Mon, 2 Nov\n 2026 10:00:00 +0000\n",
            "Received: from xn--bcher-kva.example (\r\n =?utf-8?b?w6QgWzE5Mi4wLjIuMV0=?=) by x.example with SMTP id 7 for\r\n <fred@xn--bcher-kva.example>; Mon, 2 Nov 2026 10:00:00 +0000\r\n",
        ),
        (
            "Received: from a by b id \u{fc} for <\u{fc}@x>; Mon, 2 Nov 2026 10:00:00 +0000\n",
            "Received: from a by b; Mon, 2 Nov 2026 10:00:00 +0000\r\n",
        ),
        (
            "Received: from a with \u{fc}/x; Mon, 2 Nov 2026 10:00:00 +0000\n",
            "",
        ),
        // 3.2.5, MIME.
        (
            "Content-Disposition: attachment; filename=\"\u{e4} 1.txt\"; size=7\n",
            "Content-Disposition: attachment;\r\n filename*=utf-8''%C3%A4%201.txt;\r\n size=\"7\"\r\n",
        ),
        (
            "Content-Type: text/plain (\u{e4}); charset=utf-8\n",
            "Content-Type: text/plain (\r\n =?utf-8?b?w6Q=?=);\r\n charset=utf-8\r\n",
        ),
        (
            "Content-Type: \u{e4}/x; a=b\n",
            "Content-Type: =?utf-8?b?w6QveDsgYT1i?=\r\n",
        ),
        // 3.2.6 to 3.2.8.
        (
            "Subject: =?utf-8?q?=C3=A4?= \u{f6}\n",
            "Subject: =?utf-8?b?w6Qgw7Y=?=\r\n",
        ),
        ("X-Odd:\n \u{e4}\n", "X-Odd: =?utf-8?b?w6Q=?=\r\n"),
        (
            "List-Id: Gr\u{fc}\u{df}e <a.b>\n",
            "List-Id: =?utf-8?b?R3LDvMOfZSA8YS5iPg==?=\r\n",
        ),
        (
            "Keywords: one, zw\u{f6}lf, \"a, \u{fc}\"\n",
            "Keywords: one, =?utf-8?b?enfDtmxm?=, =?utf-8?b?YSwgw7w=?=\r\n",
        ),
        ("X-\u{d6}dd: a\nA: b\nno field \u{e4}\n", "A: b\r\n"),
    ];
    for (field, ascii) in fields {
        assert_eq!(downgraded(field), ascii, "{field}");
    }
}

#[test]
fn the_example_of_rfc_6857() {
    let sent = downgraded(
        "Return-Path: <n\u{f6}n@example.com>\n\
         Received: from a.example by b.example for <r\u{e9}@example.net>\n\
         From: D\u{ef}splay <n\u{f6}n@example.com>\n\
         Subject: S\u{fc}bject\n\
         Date: Mon, 30 Jul 2012 01:23:45 -0000\n\
         Message-Id: <m\u{e4}@example.com>\n\
         Mime-Version: 1.0\n\
         Content-Type: text/plain; charset=\"UTF-8\"\n\
         Content-Transfer-Encoding: 8bit\n\
         X-Unknown-Header: \u{fc}\n\n",
    );
    let names: Vec<&str> = sent
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split(':').next().unwrap_or_default())
        .collect();
    assert_eq!(
        names,
        [
            "Return-Path",
            "Received",
            "From",
            "Subject",
            "Date",
            "Downgraded-Message-Id",
            "Mime-Version",
            "Content-Type",
            "Content-Transfer-Encoding",
            "X-Unknown-Header",
            ""
        ]
    );
    assert!(sent.contains("Received: from a.example by b.example\r\n"));
}

#[test]
fn long_parameters_go_in_pieces() {
    let name = "\u{4f60}".repeat(250);
    let sent = downgraded(&format!(
        "Content-Disposition: attachment; filename={name}\n\n"
    ));
    assert!(sent.lines().all(|line| line.len() < 998), "{sent}");
    assert!(
        sent.contains(";\r\n filename*0*=utf-8''%E4%BD%A0%E4"),
        "{sent}"
    );
    assert!(sent.contains(";\r\n filename*2*="), "{sent}");
    let octets: String = sent
        .split("\r\n filename*")
        .skip(1)
        .filter_map(|piece| piece.split_once('=').map(|(_, value)| value))
        .flat_map(|value| value.chars().filter(|letter| !";\r\n".contains(*letter)))
        .collect();
    assert_eq!(octets, format!("utf-8''{}", "%E4%BD%A0".repeat(250)));
}

#[test]
fn what_is_not_utf_8_stays() {
    assert_eq!(header(b"Subject: \xe4\r\n\r\n"), None);
    assert_eq!(header(b"Subject: a\r\n\r\n"), None);
    assert_eq!(delivery_status(b"Final-Recipient: utf-8; \xe4\n"), None);
    assert_eq!(
        delivery_status("X: \u{e4}\n\nFinal-Recipient: rfc822; a\n".as_bytes()),
        None
    );
    let ascii = delivery_status("a: \u{e4}\n\nFinal-Recipient: utf-8; \u{e4}".as_bytes());
    let text = "a: \u{e4}\r\n\r\nFinal-Recipient: utf-8; \\x{E4}";
    assert_eq!(ascii.as_deref(), Some(text.as_bytes()));
}

proptest! {
    /// Whatever a field holds: ASCII comes out, in whole lines, which are short where
    /// they have encoded words; nothing of it is downgraded again, and text is kept.
    #[test]
    fn any_field_becomes_ascii(
        name in prop::sample::select(vec![
            "From", "To", "Return-Path", "Date", "Message-ID", "References", "Received",
            "Content-Type", "Content-Disposition", "Subject", "Keywords", "X-Odd", "List-Id",
            "Original-Recipient", "Final-Recipient",
        ]),
        value in "([a\u{e4}\u{1f600}\u{301} \"\\\\()<>@,:;.=*\\[\\]-]|\n |utf-8;|for |id ){0,40}",
    ) {
        let value = format!(" {value}\u{fc}");
        let text = format!("{name}:{value}\nSubject: a\n\n");
        let sent = downgraded(&text);
        prop_assert!(sent.is_ascii());
        prop_assert!(sent.ends_with("Subject: a\r\n\r\n"), "{}", sent);
        prop_assert_eq!(sent.matches('\n').count(), sent.matches("\r\n").count());
        let names: Vec<&[u8]> = fields(sent.as_bytes()).map(|field| field.name).collect();
        prop_assert!(matches!(names.len(), 1 | 2), "{}", sent);
        if names.len() == 2 {
            let whole = [name.to_owned(), format!("Downgraded-{name}")];
            prop_assert!(whole.iter().any(|name| name.as_bytes() == names[0]), "{}", sent);
        } else {
            prop_assert_eq!(name, "Received");
        }
        for line in sent.split("\r\n").filter(|line| line.contains("=?utf-8?b?")) {
            prop_assert!(line.len() <= LINE_OCTETS, "{}", line);
        }
        prop_assert_eq!(header(sent.as_bytes()), None);
        if matches!(name, "Subject" | "X-Odd" | "List-Id") {
            let values = super::super::header_values(sent.as_bytes(), name.as_bytes());
            let (was, is) = (decode_header(value.as_bytes()), decode_header(&values[0]));
            prop_assert_eq!(was.trim_ascii(), is.trim_ascii());
        }
    }
}
