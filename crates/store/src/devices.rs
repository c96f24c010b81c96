//! `pillarbox-devices`: what each POP3 device did with INBOX. A device is whoever logs in
//! with a password of its own; its ledger holds which messages it has fetched, which it
//! has deleted for itself, and when it was here last.
//!
//! The first line names the version and INBOX's UIDVALIDITY, under which UIDs mean
//! something; each further one is a device: its name, seconds since 1970, and two sets of
//! UIDs as ranges (`1:4,9`), with TABs between. UIDs of messages that are gone go with the
//! next visit, so the file is bounded by the messages there are. Lines that cannot be read
//! are passed over: such a device is as new.

use crate::control_file;
use crate::{Account, Mailbox, MailboxName, Result, Snapshot, Uid, UidValidity};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const NAME: &str = "pillarbox-devices";
const VERSION: &str = "pillarbox-devices 1";
/// So many devices are kept at most; more than any user has.
const MAX_DEVICES: usize = 1_000;

/// What a POP3 device did so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceLedger {
    /// When it was here last, in seconds since 1970; 0 is never.
    pub visited_seconds: u64,
    fetched: Ranges,
    deleted: Ranges,
}

/// What a POP3 device did in one session.
#[derive(Debug, Clone, Default)]
pub struct DeviceVisit {
    /// What it fetched, ascending.
    pub fetched: Vec<Uid>,
    /// What it deleted for itself and nobody else, ascending.
    pub deleted: Vec<Uid>,
}

impl DeviceLedger {
    /// Whether the device has fetched a message.
    pub fn has_fetched(&self, uid: Uid) -> bool {
        self.fetched.contains(uid)
    }

    /// Whether the device has deleted a message for itself.
    pub fn has_deleted(&self, uid: Uid) -> bool {
        self.deleted.contains(uid)
    }

    /// The same after a visit, of the messages there are.
    fn after(&self, visit: &DeviceVisit, snapshot: &Snapshot) -> Self {
        let joined = |before: &Ranges, more: &[Uid]| {
            let is_in = |uid: Uid| before.contains(uid) || more.binary_search(&uid).is_ok();
            Ranges::of(snapshot, is_in)
        };
        Self {
            visited_seconds: self.visited_seconds,
            fetched: joined(&self.fetched, &visit.fetched),
            deleted: joined(&self.deleted, &visit.deleted),
        }
    }
}

impl Account {
    /// What a device did so far; of one that was never here, nothing.
    ///
    /// # Errors
    /// When the file cannot be read, or INBOX not be opened.
    pub fn device_ledger(&self, device: &str) -> Result<DeviceLedger> {
        let inbox = self.mailbox(&MailboxName::inbox())?;
        ledger(self.root(), device, inbox.snapshot().uid_validity())
    }

    /// Notes a device's visit durably; `known` are the user's devices: ledgers of others
    /// go. After a crash the file has its old or its new content.
    ///
    /// # Errors
    /// When the file cannot be read or written; it may then have either content.
    pub fn note_visit(&self, device: &str, visit: &DeviceVisit, known: &[String]) -> Result<()> {
        let inbox = self.mailbox(&MailboxName::inbox())?;
        let _noting = self.noting_visits.lock();
        let snapshot = inbox.snapshot();
        let mut ledgers = read(self.root(), snapshot.uid_validity())?;
        let before = ledgers.remove(device).unwrap_or_default();
        ledgers.retain(|name, _| known.contains(name));
        let unchanged = DeviceVisit::default();
        for ledger in ledgers.values_mut() {
            *ledger = ledger.after(&unchanged, &snapshot);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let after = DeviceLedger {
            visited_seconds: now.map_or(before.visited_seconds, |since| since.as_secs()),
            ..before.after(visit, &snapshot)
        };
        ledgers.insert(device.to_owned(), after);
        control_file::replace(self.root(), NAME, &show(&ledgers, &inbox))
    }
}

/// What a device did so far in an INBOX of this UIDVALIDITY.
pub(crate) fn ledger(root: &Path, device: &str, uid_validity: UidValidity) -> Result<DeviceLedger> {
    let mut ledgers = read(root, uid_validity)?;
    Ok(ledgers.remove(device).unwrap_or_default())
}

fn read(root: &Path, uid_validity: UidValidity) -> Result<BTreeMap<String, DeviceLedger>> {
    let octets = control_file::read(&root.join(NAME))?.unwrap_or_default();
    Ok(parse(&octets, uid_validity))
}

fn parse(octets: &[u8], uid_validity: UidValidity) -> BTreeMap<String, DeviceLedger> {
    let mut lines = octets.split(|octet| *octet == b'\n');
    let head = format!("{VERSION} {uid_validity}");
    if lines.next() != Some(head.as_bytes()) {
        // Of another mailbox, or there is none: nothing was done in this one.
        return BTreeMap::new();
    }
    let devices = lines.filter(|line| !line.is_empty()).take(MAX_DEVICES);
    devices
        .filter_map(|line| {
            let read = std::str::from_utf8(line).ok().and_then(read_line);
            if read.is_none() {
                tracing::warn!("a line of {NAME} cannot be read: that device begins anew");
            }
            read
        })
        .collect()
}

fn read_line(line: &str) -> Option<(String, DeviceLedger)> {
    let mut fields = line.split('\t');
    let name = unescape(fields.next()?)?;
    let visited_seconds = fields.next()?.parse().ok()?;
    let fetched = Ranges::parse(fields.next()?)?;
    let deleted = Ranges::parse(fields.next()?)?;
    let ledger = DeviceLedger {
        visited_seconds,
        fetched,
        deleted,
    };
    fields.next().is_none().then_some((name, ledger))
}

fn show(ledgers: &BTreeMap<String, DeviceLedger>, inbox: &Mailbox) -> Vec<u8> {
    let mut text = format!("{VERSION} {}\n", inbox.snapshot().uid_validity());
    for (name, ledger) in ledgers.iter().take(MAX_DEVICES) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{}",
            escape(name),
            ledger.visited_seconds,
            ledger.fetched.show(),
            ledger.deleted.show()
        );
    }
    text.into_bytes()
}

/// A name without control characters: those, and `%`, are `%` and two hex digits.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_ascii_control() || character == '%' {
            let _ = write!(escaped, "%{:02x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut name = pieces.next()?.to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        name.push(u8::from_str_radix(digits, 16).ok()?.into());
        name.push_str(rest);
    }
    Some(name)
}

/// UIDs as ranges, ascending and apart from each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// Those messages of a snapshot. Ranges do not reach over what is gone: a loss of
    /// power may bring back what was not to be expunged.
    fn of(snapshot: &Snapshot, is_in: impl Fn(Uid) -> bool) -> Self {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for row in snapshot.rows().filter(|row| is_in(row.uid)) {
            let uid = row.uid.get();
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
                _ => ranges.push((uid, uid)),
            }
        }
        Self(ranges)
    }

    fn contains(&self, uid: Uid) -> bool {
        let uid = uid.get();
        let after = self.0.partition_point(|(first, _)| *first <= uid);
        let range = after.checked_sub(1).and_then(|place| self.0.get(place));
        range.is_some_and(|(_, last)| uid <= *last)
    }

    fn show(&self) -> String {
        let mut text = String::new();
        for (first, last) in &self.0 {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = match first == last {
                true => write!(text, "{comma}{first}"),
                false => write!(text, "{comma}{first}:{last}"),
            };
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for range in text.split(',').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            let before = ranges.last().map_or(0, |(_, last)| *last);
            if first <= before || last < first {
                return None;
            }
            ranges.push((first, last));
        }
        Some(Self(ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;
    use std::sync::Arc;

    fn account(directory: &Path) -> Arc<Account> {
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        Account::open(directory, layout).expect("an account")
    }

    fn uids(numbers: &[u32]) -> Vec<Uid> {
        let numbers = numbers.iter();
        numbers.filter_map(|number| Uid::new(*number)).collect()
    }

    fn append(account: &Account, count: usize) {
        let inbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
        for _ in 0..count {
            let mut incoming = inbox.begin_append().expect("incoming");
            incoming.write(b"A: b\r\n\r\n").expect("written");
            inbox.append(vec![incoming]).expect("appended");
        }
    }

    fn visit(fetched: &[u32], deleted: &[u32]) -> DeviceVisit {
        DeviceVisit {
            fetched: uids(fetched),
            deleted: uids(deleted),
        }
    }

    #[test]
    fn devices_keep_what_they_did_and_forget_what_is_gone() {
        let directory = tempfile::tempdir().expect("directory");
        let known = ["phone".to_owned(), "tab\tlet %".to_owned()];
        let opened = account(directory.path());
        append(&opened, 6);
        let note = |account: &Account, device: &str, done: &DeviceVisit| {
            account.note_visit(device, done, &known).expect("noted");
        };
        note(&opened, "phone", &visit(&[1, 2, 3, 5], &[2]));
        note(&opened, "tab\tlet %", &visit(&[6], &[]));
        note(&opened, "phone", &visit(&[4], &[3]));
        drop(opened);
        let opened = account(directory.path());
        let phone = opened.device_ledger("phone").expect("a ledger");
        assert!(phone.visited_seconds > 1_700_000_000);
        assert_eq!(phone.fetched.show(), "1:5");
        assert_eq!(phone.deleted.show(), "2:3");
        let tablet = opened.device_ledger("tab\tlet %").expect("a ledger");
        assert_eq!(tablet.fetched.show(), "6");
        assert!(tablet.has_fetched(uids(&[6])[0]) && !tablet.has_deleted(uids(&[2])[0]));

        // What is expunged goes from all ledgers with the next visit of any.
        let inbox = opened.mailbox(&MailboxName::inbox()).expect("INBOX");
        inbox.expunge(&uids(&[1, 3, 6])).expect("expunged");
        note(&opened, "phone", &visit(&[], &[]));
        let phone = opened.device_ledger("phone").expect("a ledger");
        assert_eq!(
            (phone.fetched.show(), phone.deleted.show()),
            ("2,4:5".into(), "2".into())
        );
        let tablet = opened.device_ledger("tab\tlet %").expect("a ledger");
        assert_eq!(tablet.fetched.show(), "");
        // A device that was taken back goes too.
        opened
            .note_visit("phone", &visit(&[], &[]), &known[..1])
            .expect("noted");
        let tablet = opened.device_ledger("tab\tlet %").expect("a ledger");
        assert_eq!(tablet, DeviceLedger::default());
    }

    #[test]
    fn another_uidvalidity_and_broken_lines_begin_anew() {
        let uid_validity = UidValidity::new(7).expect("not 0");
        let parsed = |text: &str| parse(text.as_bytes(), uid_validity);
        let good = "a\t5\t1:3,7\t2\n";
        let ledgers = parsed(&format!("{VERSION} 7\n{good}"));
        assert_eq!(ledgers.len(), 1);
        assert_eq!(ledgers["a"].fetched, Ranges(vec![(1, 3), (7, 7)]));
        assert!(parsed(&format!("{VERSION} 8\n{good}")).is_empty());
        assert!(parsed("").is_empty() && parsed("pillarbox-devices 2 7\n").is_empty());
        for broken in [
            "b",
            "b\t5",
            "b\tx\t\t",
            "b\t5\t3:1\t",
            "b\t5\t1,1\t",
            "b\t5\t0\t",
            "b\t5\t1\t1\t1",
            "b\t5\t99999999999\t",
            "%\t5\t\t",
            "%zz\t5\t\t",
        ] {
            let ledgers = parsed(&format!("{VERSION} 7\n{broken}\n{good}"));
            assert_eq!(ledgers.len(), 1, "{broken:?}");
        }
        let mut other = format!("{VERSION} 7\n").into_bytes();
        other.extend(b"\xff\t5\t\t\n");
        assert!(parse(&other, uid_validity).is_empty());
    }
}
