//! Mail that is made up: the same from the same seed, as real mail is mixed.

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fastrand::Rng;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// In the body of every thousandth message and of no other.
pub const RARE: &str = "zebrafinch";
/// Two Chinese characters in the body of every four-hundredth message.
pub const CHINESE: &str = "账单";
/// In no message.
pub const ABSENT: &str = "qqvxqq";
/// In every seventieth subject.
pub const SUBJECT: &str = "quarterly";
/// In every ninetieth sender.
pub const SENDER: &str = "heloise";

const RARE_EVERY: usize = 1_000;
const CHINESE_EVERY: usize = 400;
const SUBJECT_EVERY: usize = 70;
const SENDER_EVERY: usize = 90;
/// How many words there are; few are common and most are rare, as in a language.
const WORDS: usize = 12_000;
const HAN: &str = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指";

/// How lines end in the files of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnds {
    /// With LF, as in Maildirs.
    Unix,
    /// There are files of both kinds, with LF and with CRLF.
    Both,
}

/// Messages in files, ready to be linked into mailboxes.
pub struct Corpus {
    files: Vec<PathBuf>,
    /// The same with CRLF, where there are such files.
    with_crlf: Vec<PathBuf>,
    /// Octets of all messages as a client gets them, with CRLF.
    pub octets: u64,
    _keep: tempfile::TempDir,
}

impl Corpus {
    /// Writes `count` messages below a directory, and gives them to `owner`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn make(
        below: &Path,
        count: usize,
        lines: LineEnds,
        owner: Option<(u32, u32)>,
    ) -> anyhow::Result<Self> {
        let keep = tempfile::tempdir_in(below)?;
        let language = Language::new();
        let write = |path: &Path, message: &str| {
            fs::write(path, message).with_context(|| format!("cannot write {}", path.display()))?;
            if let Some((user, group)) = owner {
                std::os::unix::fs::chown(path, Some(user), Some(group))?;
            }
            anyhow::Ok(())
        };
        let mut files = Vec::with_capacity(count);
        let mut with_crlf = Vec::new();
        let mut octets = 0;
        for number in 1..=count {
            let message = language.message(number);
            octets +=
                (message.len() + message.bytes().filter(|octet| *octet == b'\n').count()) as u64;
            // Few entries a directory, so that making them costs the same each.
            let folder = keep.path().join((number / 1_000).to_string());
            fs::create_dir_all(&folder)?;
            let path = folder.join(number.to_string());
            write(&path, &message)?;
            files.push(path);
            if lines == LineEnds::Both {
                let path = folder.join(format!("{number}.crlf"));
                write(&path, &message.replace('\n', "\r\n"))?;
                with_crlf.push(path);
            }
        }
        nix::unistd::sync();
        Ok(Self {
            files,
            with_crlf,
            octets,
            _keep: keep,
        })
    }

    /// How many messages there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// The n-th message with CRLF, from 1 and round again after the last.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn message(&self, number: usize) -> anyhow::Result<Vec<u8>> {
        let path = &self.files[(number - 1) % self.files.len()];
        Ok(fs::read_to_string(path)?.replace('\n', "\r\n").into_bytes())
    }

    /// Links the first `count` messages into a folder of a Maildir, as if delivered
    /// one a second.
    ///
    /// # Errors
    /// When a link cannot be made.
    pub fn link_into(&self, folder: &Path, count: usize) -> anyhow::Result<()> {
        let flags = if folder.ends_with("cur") { ":2," } else { "" };
        for (number, file) in self.files.iter().cycle().take(count).enumerate() {
            let name = format!("{}.M{number}P1.bench{flags}", 1_700_000_000 + number);
            fs::hard_link(file, folder.join(name)).context("cannot link a message")?;
        }
        Ok(())
    }

    /// Links the first `count` messages into a directory of Cyrus, which names them by UID.
    ///
    /// # Errors
    /// When a link cannot be made, or there are no files with CRLF.
    pub fn link_numbered(&self, directory: &Path, count: usize) -> anyhow::Result<()> {
        anyhow::ensure!(!self.with_crlf.is_empty(), "no messages with CRLF");
        for (file, uid) in self.with_crlf.iter().cycle().zip(1..=count) {
            let link = directory.join(format!("{uid}."));
            fs::hard_link(file, link).context("cannot link a message")?;
        }
        Ok(())
    }

    /// How many of the first `count` messages have [`RARE`] in their body.
    pub fn rare(count: usize) -> usize {
        count / RARE_EVERY
    }

    /// How many of the first `count` messages have [`CHINESE`] in their body.
    pub fn chinese(count: usize) -> usize {
        count / CHINESE_EVERY
    }

    /// How many of the first `count` messages have [`SUBJECT`] in their subject.
    pub fn subjects(count: usize) -> usize {
        count / SUBJECT_EVERY
    }

    /// How many of the first `count` messages are from [`SENDER`].
    pub fn senders(count: usize) -> usize {
        count / SENDER_EVERY
    }
}

/// What messages are written in.
struct Language {
    words: Vec<String>,
    han: Vec<char>,
}

impl Language {
    fn new() -> Self {
        let mut random = Rng::with_seed(1);
        let word = |random: &mut Rng| -> String {
            let syllables = random.usize(1..5);
            let letter = |random: &mut Rng, of: &[u8]| char::from(of[random.usize(..of.len())]);
            (0..syllables)
                .flat_map(|_| {
                    [
                        letter(random, b"bcdfghklmnprstvw"),
                        letter(random, b"aeiouy"),
                    ]
                })
                .collect()
        };
        Self {
            words: (0..WORDS).map(|_| word(&mut random)).collect(),
            han: HAN.chars().collect(),
        }
    }

    fn word(&self, random: &mut Rng) -> &str {
        // The k-th word is about as common as one in k.
        let place = (WORDS as f64).powf(random.f64()) as usize;
        &self.words[place.min(WORDS) - 1]
    }

    fn line(&self, random: &mut Rng) -> String {
        let words: Vec<&str> = (0..random.usize(6..13))
            .map(|_| self.word(random))
            .collect();
        words.join(" ")
    }

    fn text(&self, random: &mut Rng, octets: usize) -> String {
        let mut text = String::with_capacity(octets + 80);
        while text.len() < octets {
            text.push_str(&self.line(random));
            text.push_str(if random.u8(..8) == 0 { ".\n\n" } else { "\n" });
        }
        text
    }

    fn chinese(&self, random: &mut Rng, octets: usize) -> String {
        let mut text = String::with_capacity(octets + 80);
        while text.len() < octets {
            let count = random.usize(10..30);
            text.extend((0..count).map(|_| self.han[random.usize(..self.han.len())]));
            text.push_str("。\n");
        }
        text
    }

    /// Median about 8 kB, mean about 16 kB: most are short and some are long.
    fn size(random: &mut Rng) -> usize {
        let spread: f64 = (0..6).map(|_| random.f64() - 0.5).sum();
        (6_500.0 * (spread * 1.75).exp()) as usize
    }

    fn message(&self, number: usize) -> String {
        let mut random = Rng::with_seed(number as u64);
        let random = &mut random;
        let is_chinese = number.is_multiple_of(CHINESE_EVERY) || random.u8(..20) == 0;
        let mut message = String::new();
        self.header(random, number, is_chinese, &mut message);
        let octets = Self::size(random);
        let mut text = match is_chinese {
            true => self.chinese(random, octets / 2),
            false => self.text(random, octets / 2),
        };
        if number.is_multiple_of(RARE_EVERY) {
            let _ = writeln!(text, "a {RARE} sings");
        }
        if number.is_multiple_of(CHINESE_EVERY) {
            let _ = writeln!(text, "您的{CHINESE}已出");
        }
        let kind = random.u8(..10);
        match (is_chinese, kind) {
            (true, _) => part(
                &mut message,
                "text/plain; charset=utf-8",
                "base64",
                &wrapped(text.as_bytes()),
            ),
            (false, 0..4) => part(&mut message, "text/plain; charset=us-ascii", "7bit", &text),
            (false, _) => {
                let boundary = format!("=_{:016x}", random.u64(..));
                let subtype = if kind < 8 { "alternative" } else { "mixed" };
                let _ = write!(
                    message,
                    "Content-Type: multipart/{subtype}; boundary=\"{boundary}\"\n\nThis is a message in parts.\n--{boundary}\n"
                );
                part(
                    &mut message,
                    "text/plain; charset=utf-8",
                    "quoted-printable",
                    &text.replace('=', "=3D"),
                );
                let _ = write!(message, "\n--{boundary}\n");
                if kind < 8 {
                    let html = format!(
                        "<html><body><p>{}</p></body></html>\n",
                        text.replace("\n\n", "</p>\n<p>")
                    );
                    part(
                        &mut message,
                        "text/html; charset=utf-8",
                        "quoted-printable",
                        &html.replace('=', "=3D"),
                    );
                } else {
                    let attachment: Vec<u8> = (0..octets * 3).map(|_| random.u8(..)).collect();
                    let name = format!(
                        "application/pdf; name=\"{}.pdf\"\nContent-Disposition: attachment",
                        self.word(random)
                    );
                    part(&mut message, &name, "base64", &wrapped(&attachment));
                }
                let _ = write!(message, "\n--{boundary}--\n");
            }
        }
        message
    }

    fn header(&self, random: &mut Rng, number: usize, is_chinese: bool, into: &mut String) {
        let stamp = format!(
            "{:02}:{:02}:{:02} +0000",
            number / 3_600 % 24,
            number / 60 % 60,
            number % 60
        );
        let day = 1 + number / 400 % 28;
        for hop in 0..random.usize(2..5) {
            let _ = write!(
                into,
                "Received: from {0}{hop}.example.net ({0}{hop}.example.net [192.0.2.{hop}])\n\tby mx.example.org with ESMTPS id {number:x}{hop}\n\tfor <anna@example.org>; Mon, {day} Nov 2025 {stamp}\n",
                self.word(random)
            );
        }
        let sender = if number.is_multiple_of(SENDER_EVERY) {
            SENDER
        } else {
            self.word(random)
        };
        let topic = if number.is_multiple_of(SUBJECT_EVERY) {
            SUBJECT
        } else {
            self.word(random)
        };
        let _ = writeln!(
            into,
            "From: {sender} {} <{sender}@example.net>",
            self.word(random)
        );
        let _ = writeln!(into, "To: Anna <anna@example.org>");
        if random.u8(..4) == 0 {
            let _ = writeln!(
                into,
                "Cc: {0} <{0}@example.com>, {1}@example.com",
                self.word(random),
                self.word(random)
            );
        }
        match is_chinese {
            true => {
                let text = self.chinese(random, 24);
                let encoded = BASE64.encode(text.trim_end());
                let _ = writeln!(into, "Subject: =?utf-8?B?{encoded}?= {topic}");
            }
            false => {
                let _ = writeln!(into, "Subject: Re: {topic} {}", self.word(random));
            }
        }
        let _ = writeln!(into, "Date: Mon, {day} Nov 2025 {stamp}");
        let _ = writeln!(
            into,
            "Message-ID: <{number}.{:x}@example.net>",
            random.u64(..)
        );
        if random.u8(..3) == 0 {
            let list = self.word(random);
            let _ = write!(
                into,
                "List-Id: <{list}.lists.example.net>\nList-Unsubscribe: <https://lists.example.net/{list}>\nReferences: <{0}@example.net>\n\t<{1}@example.net>\nIn-Reply-To: <{1}@example.net>\n",
                number / 2,
                number - 1
            );
        }
        let _ = writeln!(into, "MIME-Version: 1.0");
    }
}

fn part(into: &mut String, kind: &str, encoding: &str, body: &str) {
    let _ = write!(
        into,
        "Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n{body}"
    );
}

/// In base64, 76 characters a line.
fn wrapped(octets: &[u8]) -> String {
    let encoded = BASE64.encode(octets);
    let lines = encoded.as_bytes().chunks(76).map(String::from_utf8_lossy);
    lines.fold(
        String::with_capacity(encoded.len() * 78 / 76),
        |mut text, line| {
            text.push_str(&line);
            text.push('\n');
            text
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_needles_are_where_they_are_said_to_be() {
        let language = Language::new();
        let messages: Vec<String> = (1..=1_000).map(|number| language.message(number)).collect();
        let count = |needle: &str| {
            messages
                .iter()
                .filter(|message| message.contains(needle))
                .count()
        };
        assert_eq!(count(RARE), Corpus::rare(1_000));
        assert_eq!(count(ABSENT), 0);
        assert_eq!(count(SUBJECT), Corpus::subjects(1_000));
        assert_eq!(count(SENDER), Corpus::senders(1_000));
        assert!(language.words.iter().all(|word| !word.contains("zebra")));
        assert_eq!(
            messages,
            (1..=1_000)
                .map(|number| language.message(number))
                .collect::<Vec<_>>()
        );
        let mean = messages.iter().map(String::len).sum::<usize>() / 1_000;
        assert!((10_000..25_000).contains(&mean), "{mean}");
    }
}
