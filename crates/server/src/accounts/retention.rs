//! [`Retention`]: messages that were in a mailbox for too long are expunged.

use dashmap::DashMap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use store::{Account, Error, Uid};

/// How often an account is looked at.
pub const INTERVAL: Duration = Duration::from_secs(3_600);

/// When each user's mailboxes were looked at.
#[derive(Default)]
pub struct Retention {
    looked: DashMap<String, Arc<Mutex<Option<Instant>>>>,
}

impl Retention {
    /// Expunges a user's messages that came into a mailbox before as many days as
    /// `days` gives for it, unless that was done less than [`INTERVAL`] ago. Who comes
    /// meanwhile waits for it.
    pub fn keep(&self, user: &str, account: &Account, days: &BTreeMap<String, NonZeroU32>) {
        let looked = Arc::clone(&self.looked.entry(user.to_owned()).or_default());
        let mut looked = looked.lock();
        if looked.is_some_and(|looked| looked.elapsed() < INTERVAL) {
            return;
        }
        for (name, days) in days {
            match expunge_older(account, name, *days, SystemTime::now()) {
                Ok(0) => {}
                Ok(count) => tracing::info!(user, mailbox = name, count, "expunged for their age"),
                Err(error) => {
                    tracing::error!(user, mailbox = name, %error, "cannot expunge what is old");
                }
            }
        }
        *looked = Some(Instant::now());
    }
}

/// Expunges a mailbox's messages that came into it more than so many days ago and
/// tells how many; none where there is no such mailbox.
fn expunge_older(
    account: &Account,
    name: &str,
    days: NonZeroU32,
    now: SystemTime,
) -> store::Result<usize> {
    let mailbox = match account.mailbox(&account.parse_name(name)?) {
        Err(Error::NonExistent) => return Ok(0),
        mailbox => mailbox?,
    };
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let before = now.saturating_sub(i64::from(days.get()) * 86_400);
    let aged: Vec<Uid> = mailbox
        .sync()?
        .rows()
        .filter(|row| row.arrived_seconds() < before)
        .map(|row| row.uid)
        .collect();
    if !aged.is_empty() {
        mailbox.expunge(&aged)?;
    }
    Ok(aged.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_from_the_arrival_in_the_mailbox() {
        let directory = tempfile::tempdir().expect("directory");
        let layout = store::Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let account = Account::open(directory.path(), layout).expect("account");
        account.make_default_mailboxes().expect("mailboxes");
        let name = account.parse_name("Trash").expect("name");
        let trash = account.mailbox(&name).expect("Trash");
        // An old message that was put there today.
        let mut incoming = trash.begin_append().expect("incoming");
        incoming.write(b"A: b\r\n\r\n").expect("written");
        let date = Some(store::InternalDate(1_000_000_000));
        incoming.describe(store::Flags::SEEN, Vec::new(), date);
        trash.append(vec![incoming]).expect("appended");
        let days = NonZeroU32::new(30).expect("not 0");
        let after = |days: u64| SystemTime::now() + Duration::from_secs(days * 86_400);
        let expunged = |name, now| expunge_older(&account, name, days, now).expect("looked");
        assert_eq!(expunged("Trash", after(29)), 0);
        assert_eq!(expunged("Nowhere", after(31)), 0);
        assert_eq!(expunged("INBOX", after(31)), 0);
        assert_eq!(expunged("Trash", after(31)), 1);
        assert!(trash.sync().expect("synced").is_empty());
    }
}
