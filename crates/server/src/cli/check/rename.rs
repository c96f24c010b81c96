//! Giving a message file another name, or one name less, while a server or a mail program
//! may rename it: flags are part of the name. A name is never removed because of what was
//! seen a moment ago.

use super::super::inspection::{self, FileId, SecondName, file_of};
use super::sync_parent;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Removes the second name of a message, in steps that no other program can turn into the
/// loss of it: the name becomes one that nobody knows, and that is removed when the first
/// one still leads to the same file. A crash leaves the message under both names, one of
/// them new.
///
/// # Errors
/// When a server has the mailbox open, when the names are not as they were seen, and
/// what the system says; the message is there then.
pub(super) fn remove(second: &SecondName) -> anyhow::Result<()> {
    let half = second.path.parent().context("the file has no directory")?;
    let mailbox = half.parent().context("the file has no mailbox")?;
    if store::is_open_elsewhere(mailbox)? {
        bail!("{}", super::BUSY);
    }
    let file = Some(second.file);
    if file_of(&second.path)? != file || file_of(&second.first)? != file {
        bail!("it was renamed meanwhile");
    }
    let aside = fresh_path(&second.path)?;
    std::fs::rename(&second.path, &aside)?;
    remove_aside(&aside, second)
}

/// Removes the name that the second one was given if the first leads to the same file, and
/// gives it back if not.
fn remove_aside(aside: &Path, second: &SecondName) -> anyhow::Result<()> {
    let is_same = |path: &Path| file_of(path).map(|file: Option<FileId>| file == Some(second.file));
    // On the disk first: a rename of the other that is not durable may be one of this name.
    let is_second = is_same(aside)
        .and_then(|is_same_aside| Ok(is_same_aside && is_same(&second.first)?))
        .and_then(|is_second| sync_parent(&second.first).map(|()| is_second));
    if let Ok(true) = is_second {
        std::fs::remove_file(aside)?;
        return Ok(sync_parent(aside)?);
    }
    // A link fails where the name is taken; a rename would replace.
    std::fs::hard_link(aside, &second.path)
        .and_then(|()| std::fs::remove_file(aside))
        .and_then(|()| sync_parent(aside))
        .with_context(|| format!("it is {} now", inspection::named(aside)))?;
    is_second?;
    bail!("the other name went away meanwhile")
}

/// Gives a message that has the unique name of another one of its own; gives the path. A
/// crash leaves it under its old name or the new one.
///
/// # Errors
/// What the system says; the message is there then.
pub(super) fn own_name(path: &Path) -> anyhow::Result<PathBuf> {
    let fresh = fresh_path(path)?;
    // One step: between a link and the removal of the old name somebody might rename that,
    // and the message would be there twice.
    std::fs::rename(path, &fresh)?;
    sync_parent(path)?;
    Ok(fresh)
}

/// A path beside a message's for a name that no other process gives, with its flags and
/// its sizes.
fn fresh_path(path: &Path) -> anyhow::Result<PathBuf> {
    let half = path.parent().context("the file has no directory")?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let suffix = name.find(':').and_then(|colon| name.get(colon..));
    let (octets, _) = inspection::measure(path)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut random = [0; 8];
    getrandom::fill(&mut random)?;
    Ok(half.join(format!(
        "{}.M{}P{}R{:016x}.check,S={},W={}{}",
        now.as_secs(),
        now.subsec_micros(),
        std::process::id(),
        u64::from_be_bytes(random),
        octets.stored,
        octets.sent,
        suffix.unwrap_or_default()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(root: &Path) -> Vec<String> {
        let cur = std::fs::read_dir(root.join("cur")).expect("listed");
        let names = cur.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names
            .map(|name| name.into_string().expect("text"))
            .collect();
        names.sort();
        names
    }

    /// A Maildir with a message of one name that was seen under two.
    fn renamed_meanwhile() -> (tempfile::TempDir, SecondName) {
        let directory = tempfile::tempdir().expect("directory");
        let cur = directory.path().join("cur");
        std::fs::create_dir(&cur).expect("made");
        let second = cur.join("1.a:2,S");
        std::fs::write(&second, "text\n").expect("written");
        let seen = SecondName {
            first: cur.join("1.a:2,"),
            file: file_of(&second).expect("seen").expect("there"),
            path: second,
        };
        (directory, seen)
    }

    #[test]
    fn the_only_name_of_a_message_stays() {
        let (directory, seen) = renamed_meanwhile();
        assert!(remove(&seen).is_err());
        assert_eq!(files(directory.path()), ["1.a:2,S"]);
        // A copy in another mailbox is one more name, and none that is to be counted on.
        std::fs::hard_link(&seen.path, directory.path().join("copy")).expect("linked");
        assert!(remove(&seen).is_err());
        // Another message that got the first name is not this one.
        std::fs::write(&seen.first, "another\n").expect("written");
        assert!(remove(&seen).is_err());
        assert_eq!(files(directory.path()), ["1.a:2,", "1.a:2,S"]);
    }

    #[test]
    fn a_name_that_became_the_only_one_is_given_back() {
        let (directory, seen) = renamed_meanwhile();
        let aside = fresh_path(&seen.path).expect("a path");
        let take = || std::fs::rename(&seen.path, &aside).expect("renamed");
        take();
        assert!(remove_aside(&aside, &seen).is_err());
        assert_eq!(files(directory.path()), ["1.a:2,S"]);
        // Somebody took the name: the message keeps the new one.
        take();
        std::fs::write(&seen.path, "another\n").expect("written");
        let told = remove_aside(&aside, &seen).expect_err("refused");
        assert!(
            format!("{told:#}").contains(".check,S=5,W=6:2,S"),
            "{told:#}"
        );
        assert_eq!(files(directory.path()).len(), 2);
        assert_eq!(std::fs::read(&aside).expect("read"), b"text\n");
    }

    #[test]
    fn a_second_name_is_removed() {
        let (directory, seen) = renamed_meanwhile();
        std::fs::hard_link(&seen.path, &seen.first).expect("linked");
        remove(&seen).expect("removed");
        assert_eq!(files(directory.path()), ["1.a:2,"]);
    }
}
