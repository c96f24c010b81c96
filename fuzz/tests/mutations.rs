//! Every entrance with seeds and random mutations of them: what a plain
//! `cargo test` can do without coverage. `FUZZ_SECONDS` says how long each
//! entrance is driven (3 if not given), `FUZZ_SEED` from which seed.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % limit.max(1)
    }
}

fn client_lines(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/transcripts")
        .join(folder);
    let mut seeds = Vec::new();
    for entry in fs::read_dir(folder).expect("transcripts") {
        let text = fs::read_to_string(entry.expect("entry").path()).expect("transcript");
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("C:"))
            .map(str::trim_start);
        seeds.push(
            lines
                .map(|line| format!("{line}\r\n"))
                .collect::<String>()
                .into_bytes(),
        );
    }
    seeds.sort();
    seeds
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    match name {
        "imap_command" | "imap_session" => client_lines("imap"),
        "pop3_session" => client_lines("pop3"),
        "sasl" => [
            "\0anna\0secret",
            "anna\nsecret",
            "n,,n=anna,r=abc\nc=biws,r=abcdef,p=AAAA",
            "y,a=a=2Cb,n=a=2Cb,r=x\nc=eSwsYT1hPTJDYiw=,r=x,p=AAAA",
            "p=tls-exporter,,n=anna,r=abc\nc=cD10bHMtZXhwb3J0ZXIsLA==,r=abc,p=AAAA",
            "n,a=user@example.com,\u{1}host=h\u{1}port=143\u{1}auth=Bearer vF9d==\u{1}\u{1}",
            "user=anna\u{1}auth=Bearer ya29.x\u{1}\u{1}",
            "",
        ]
        .iter()
        .map(|seed| seed.as_bytes().to_vec())
        .collect(),
        "control_files" => [
            "\u{0}3 V7 N9 G000102030405060708090a0b0c0d0e0f Xa\n1 W12 Pabc Zq :1.a.b\n5 O2 :2.b\n",
            "\u{0}1 7 9\n1 1.a.b\n",
            "\u{1}0 Work\n1 $Label1\n25 x\n",
            "\u{2}V\t2\n\nINBOX\na\tb\n",
            "\u{3}1 7 9\n1 1.a.b\n",
            "\u{4}/3 9 7\n1.a.b:2,S 20 3:7:0\n",
            "\u{5}INBOX.x\n",
            "\u{6}00000007\n",
            "\u{7}priv/000102030405060708090a0b0c0d0e0f/comment\nx\u{1}n\n",
            "\u{8}pillarbox-metadata 1\n3ad46b9c anna\t/private/a\tx\\n\n",
            "\u{9}pillarbox-metadata 1\n3ad46b9c anna\t/private/a\tx\\n\n",
            "\u{a}Trash\t-\nx\tSent\n",
        ]
        .iter()
        .map(|seed| seed.as_bytes().to_vec())
        .collect(),
        "urls" => [
            "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.2.MIME/;PARTIAL=5.10",
            ";UID=1/;SECTION=HEADER.FIELDS%20(To)",
        ]
        .iter()
        .map(|seed| seed.as_bytes().to_vec())
        .collect(),
        // Transcripts as a client compresses them, and octets that swell.
        "compression" => client_lines("imap")
            .iter()
            .chain(&[vec![0; 20_000]])
            .map(|lines| {
                let mut client = fuzz::deflate::Compressor::default();
                let (first, rest) = lines.split_at(lines.len() / 2);
                let mut octets = client.compress(first).expect("compressed");
                octets.extend(client.flush().expect("flushed"));
                octets.extend(client.compress(rest).expect("compressed"));
                octets.extend(client.finish().expect("finished"));
                octets
            })
            .collect(),
        "names" => ["&ZeVnLIqe-/a", "~peter/mail/&U,BTFw-", "&-", "&Jjo-!"]
            .iter()
            .map(|seed| seed.as_bytes().to_vec())
            .collect(),
        _ => {
            let folder =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/server/src/cli/sample");
            fs::read_dir(folder)
                .expect("samples")
                .map(|entry| fs::read(entry.expect("entry").path()).expect("sample"))
                .collect()
        }
    }
}

const WORDS: [&[u8]; 48] = [
    b"To: \xc3\xbc: \xc3\xa4 <f\xc3\xb6@x> (\xc3\xa4), a@\xc3\xbc;\n",
    b"Content-Type: message/delivery-status\n\nFinal-Recipient: utf-8; \xc3\xbc\n",
    b"RETURN (UPDATE PARTIAL -1:-2) ",
    b"FUZZY ",
    b"FILTER a ",
    b"m SETMETADATA \"\" (/private/filters/values/a \"OR FILTER a SEEN\")\r\n",
    b"NOTIFY SET STATUS (personal (MessageNew MessageExpunge FlagChange MailboxName))\r\n",
    b"(selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (To)]) MessageExpunge)) ",
    b"RETURN (UPDATE (UID FLAGS)) ",
    b"IN (subtree INBOX selected) ",
    b"(REVERSE SUBJECT) UTF-8 ",
    b"[Fwd: ",
    b"(fwd)",
    b"<a@b>",
    b"\r\n",
    b"\0",
    b"{3}\r\n",
    b"{3+}\r\n",
    b"u UNAUTHENTICATE\r\nl LOGIN anna secret\r\n",
    b"c COMPRESS DEFLATE\r\n",
    b"{4097+}\r\n",
    b"{99999999999}\r\n",
    b"(",
    b")",
    b"\"",
    b"\\",
    b"*",
    b":",
    b"4294967295",
    b"0",
    b"=?utf-8?q?",
    b"--b\n",
    b"--outer\n",
    b"Content-Type: multipart/mixed; boundary=b\n\n",
    b"Content-Type: message/rfc822\n\n",
    b"\xff\xfe",
    b"$",
    b"&",
    b" ",
    b"~{3+}\r\n",
    b" CATENATE (",
    b"URL /INBOX/;UID=1",
    b"TEXT {3+}\r\n",
    b"/;PARTIAL=1.2",
    b"BINARY.PEEK[1]<1.2>",
    b"PREVIEW (LAZY)",
    b"Content-Transfer-Encoding: quoted-printable\n\n=3D=\n",
    b"Content-Transfer-Encoding: base64\n\nAAAA",
];

fn mutate(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=random.below(6) {
        let place = random.below(input.len() + 1);
        match random.below(6) {
            0 if place < input.len() => {
                input[place] = u8::try_from(random.below(256)).expect("an octet")
            }
            1 => drop(input.splice(
                place..place,
                WORDS[random.below(WORDS.len())].iter().copied(),
            )),
            2 => input.truncate(place),
            3 => drop(input.drain(place..(place + random.below(20)).min(input.len()))),
            4 => {
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                drop(input.splice(place..place, other[from..to].iter().copied()));
            }
            _ => {
                let to = (place + random.below(50)).min(input.len());
                let copied = input[place..to].to_vec();
                drop(input.splice(place..place, copied));
            }
        }
    }
    input.truncate(20_000);
    input
}

fn drive(name: &str, entrance: fn(&[u8])) {
    let number = |name: &str, default| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let mut random = Random(number("FUZZ_SEED", 1) | 1);
    let seeds = seeds(name);
    let until = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS", 3));
    let mut tried = 0;
    for seed in &seeds {
        entrance(seed);
    }
    while Instant::now() < until || tried < 50 {
        let input = mutate(
            &seeds[random.below(seeds.len())],
            &seeds[random.below(seeds.len())],
            &mut random,
        );
        if std::panic::catch_unwind(|| entrance(&input)).is_err() {
            let file = std::env::temp_dir().join(format!("crash-{name}-{tried}"));
            fs::write(&file, &input).expect("write");
            panic!(
                "{name} fails with the input kept in {}: {:?}",
                file.display(),
                String::from_utf8_lossy(&input)
            );
        }
        tried += 1;
    }
    println!("{name}: {tried} inputs");
}

#[test]
fn all_entrances() {
    // As many at once as there are processors, so that time is what each has.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for share in fuzz::ENTRANCES.chunks(fuzz::ENTRANCES.len().div_ceil(processors)) {
            scope.spawn(move || {
                for (name, entrance) in share {
                    drive(name, *entrance);
                }
            });
        }
    });
}
