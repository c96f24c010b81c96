use super::tests::{open, put_text as put};
use super::*;
use crate::message::WithHeaders;
use crate::summaries::{TextFault, TextFileFault, TextFindings, inspect_texts};
use crate::{Account, KeepTexts, Layout, MailboxName, SearchTexts};
use std::path::Path;
use std::sync::Arc;

const NAME: &str = "pillarbox.texts";

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn finds(mailbox: &Mailbox, number: u32, needle: &str, with_headers: WithHeaders) -> bool {
    mailbox
        .text_contains(uid(number), needle, with_headers)
        .unwrap()
}

fn fill(mailbox: &Mailbox, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        put(
            mailbox,
            format!("Subject: s{number}\r\n\r\nword{number}.\r\n").as_bytes(),
        );
    }
}

/// An account whose texts are completed when the test says so.
fn account(root: &Path, keep: KeepTexts) -> (Arc<SearchTexts>, Arc<Account>) {
    let texts = Arc::new(SearchTexts::new(keep));
    let layout = Layout {
        delimiter: '/',
        prefix: String::new(),
    };
    let shared = crate::Shared {
        search_texts: Some(Arc::clone(&texts)),
        ..crate::Shared::default()
    };
    let account = Account::open_with(root, layout, shared).unwrap();
    (texts, account)
}

/// Completes all that waits, in so many steps.
fn complete(texts: &SearchTexts) -> usize {
    let mut steps = 0;
    while texts.is_asked() {
        let mut completion = texts.next().unwrap();
        loop {
            steps += 1;
            match completion.step() {
                TextStep::Made | TextStep::Waits => {}
                TextStep::Ended => break,
            }
        }
    }
    steps
}

fn findings(root: &Path) -> Option<TextFindings> {
    inspect_texts(root, &mut |_| {}).unwrap()
}

fn right(root: &Path) -> usize {
    let findings = findings(root).unwrap();
    assert_eq!(findings.count(), 0);
    findings.right
}

#[test]
fn texts_are_kept_from_the_first_search_on() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(NAME);
    let mailbox = open(directory.path());
    put(&mailbox, b"Subject: Hidden\r\n\r\nWords\r\n");
    put(&mailbox, b"Subject: x\r\n\r\nMore words\r\n");
    mailbox.rest();
    assert!(!file.exists(), "nobody searched");
    assert!(finds(&mailbox, 1, "words", WithHeaders::No));
    assert!(finds(&mailbox, 2, "words", WithHeaders::No));
    mailbox.rest();
    let kept = std::fs::read(&file).unwrap();
    // What cannot be looked for in kept texts leaves them as they are.
    assert!(!finds(&mailbox, 1, "words\0", WithHeaders::Yes));
    assert!(finds(&mailbox, 1, "words", WithHeaders::No));
    mailbox.rest();
    assert_eq!(std::fs::read(&file).unwrap(), kept);
    assert!(kept.windows(10).any(|window| window == b"more words"));
    drop(mailbox);
    // Whatever becomes of the file, the answers stay the same.
    for place in (0..kept.len()).chain([usize::MAX]) {
        let mut damaged = kept.clone();
        if let Some(octet) = damaged.get_mut(place) {
            *octet ^= 0x20;
        }
        std::fs::write(&file, damaged).unwrap();
        let mailbox = open(directory.path());
        assert!(finds(&mailbox, 1, "words", WithHeaders::No), "{place}");
        assert!(finds(&mailbox, 1, "hidden", WithHeaders::Yes), "{place}");
        assert!(!finds(&mailbox, 1, "hidden", WithHeaders::No), "{place}");
        assert!(!finds(&mailbox, 1, "words\0", WithHeaders::Yes), "{place}");
        assert!(finds(&mailbox, 2, "more words", WithHeaders::No), "{place}");
    }
}

#[test]
fn long_texts_are_read_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let mailbox = open(directory.path());
    let text = format!("Subject: long\r\n\r\n{}end\r\n", "line\r\n".repeat(200_000));
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write(text.as_bytes()).unwrap();
    mailbox.append(vec![incoming]).unwrap();
    for _ in 0..2 {
        assert!(finds(&mailbox, 1, "end", WithHeaders::No));
        assert!(finds(&mailbox, 1, "long", WithHeaders::Yes));
        assert!(!finds(&mailbox, 1, "long", WithHeaders::No));
    }
    mailbox.rest();
    // That it is long is kept, so that nobody tries again.
    assert_eq!(right(directory.path()), 1);
    assert!(
        std::fs::metadata(directory.path().join(NAME))
            .unwrap()
            .len()
            < 100
    );
}

#[test]
fn a_search_has_the_texts_of_all_messages_made() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (texts, account) = account(root, KeepTexts::Searched);
    let mailbox = account.mailbox(&MailboxName::inbox()).unwrap();
    fill(&mailbox, 1..=100);
    assert!(!texts.is_asked(), "nobody searched");
    mailbox.begin_texts();
    // Whoever searched may go.
    drop(mailbox);
    let mut completion = texts.next().unwrap();
    assert_eq!(completion.step(), TextStep::Made);
    // A search that makes texts is not disturbed.
    let mailbox = account.mailbox(&MailboxName::inbox()).unwrap();
    assert!(finds(&mailbox, 100, "word100", WithHeaders::No));
    assert_eq!(completion.step(), TextStep::Waits);
    // As if the process ended here.
    drop(completion);
    drop(mailbox);
    let begun = right(root);
    assert!((2..100).contains(&begun), "{begun}");
    // The next to open the mailbox has the rest made, and only that.
    drop(account.mailbox(&MailboxName::inbox()).unwrap());
    complete(&texts);
    assert_eq!(right(root), 100);
    let long = std::fs::metadata(root.join(NAME)).unwrap().len();
    std::fs::remove_file(root.join(NAME)).unwrap();
    let mailbox = account.mailbox(&MailboxName::inbox()).unwrap();
    mailbox.begin_texts();
    drop(mailbox);
    complete(&texts);
    assert_eq!(std::fs::metadata(root.join(NAME)).unwrap().len(), long);
    // All is there: nothing is asked for.
    let mailbox = account.mailbox(&MailboxName::inbox()).unwrap();
    assert!(!texts.is_asked());
    // What comes later, from wherever, is made later.
    fill(&mailbox, 101..=101);
    assert_eq!(complete(&texts), 1);
    std::fs::write(root.join("new/9.M1P1.h"), "A: b\n\nforeign\n").unwrap();
    mailbox.sync().unwrap();
    assert_eq!(complete(&texts), 1);
    drop(mailbox);
    assert_eq!(right(root), 102);
}

#[test]
fn completions_end_with_their_mailbox_or_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let (texts, account) = account(directory.path(), KeepTexts::Always);
    let name = account.parse_name("Gone").unwrap();
    let mailbox = account.create(&name, None).unwrap();
    fill(&mailbox, 1..=1);
    assert!(texts.is_asked(), "of all mailboxes");
    account.delete(&name).unwrap();
    assert_eq!(texts.next().unwrap().step(), TextStep::Ended);
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
    fill(&inbox, 1..=1);
    let open = Arc::downgrade(&inbox);
    drop(inbox);
    texts.end();
    assert!(open.upgrade().is_none(), "it is closed");
    assert!(texts.next().is_none());
    assert!(!texts.pause(std::time::Duration::from_secs(3600)));
}

#[test]
fn no_texts_are_kept_where_they_are_not_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let (texts, account) = account(directory.path(), KeepTexts::Never);
    let mailbox = account.mailbox(&MailboxName::inbox()).unwrap();
    fill(&mailbox, 1..=2);
    mailbox.begin_texts();
    assert!(finds(&mailbox, 2, "word2", WithHeaders::No));
    assert!(!finds(&mailbox, 2, "word1", WithHeaders::No));
    assert!(!texts.is_asked());
    drop(mailbox);
    assert!(!directory.path().join(NAME).exists());
}

#[test]
fn texts_that_are_not_the_messages_are_found_and_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (texts, account) = account(root, KeepTexts::Searched);
    let mailbox = account.mailbox(&MailboxName::inbox()).unwrap();
    fill(&mailbox, 1..=5);
    assert_eq!(findings(root), None);
    mailbox.begin_texts();
    complete(&texts);
    // Another's text, with a checksum that is right.
    let other = b"\x06\0\0\0wrong\0subject: s2\0";
    mailbox.summaries.lock().put_text(uid(2), other);
    assert!(finds(&mailbox, 2, "wrong", WithHeaders::No));
    drop(mailbox);
    let mut octets = std::fs::read(root.join(NAME)).unwrap();
    let place = octets.windows(6).position(|six| six == b"word4.").unwrap();
    octets[place] = b'W';
    std::fs::write(root.join(NAME), &octets).unwrap();
    let found = findings(root).unwrap();
    let faults = [(uid(2), TextFault::Differs), (uid(4), TextFault::Damaged)];
    assert_eq!(found.faults, faults);
    assert_eq!(found.right, 3);
    let mailbox = account.mailbox(&MailboxName::inbox()).unwrap();
    assert_eq!(mailbox.remake_texts(&[uid(2), uid(4), uid(9)]).unwrap(), 2);
    assert!(!finds(&mailbox, 2, "wrong", WithHeaders::No));
    drop(mailbox);
    assert_eq!(right(root), 5);
    // A header that is damaged hides all behind it, also from those who knew it was there.
    let mut octets = std::fs::read(root.join(NAME)).unwrap();
    let place = octets.windows(6).position(|six| six == b"word1.").unwrap();
    octets[place - 4 - 16] ^= 1;
    std::fs::write(root.join(NAME), &octets).unwrap();
    let found = findings(root).unwrap();
    assert_eq!(
        found.file,
        Some(TextFileFault::CannotBeReadFrom(8 + 4 + 16 + 12))
    );
    assert_eq!(found.lost, (1..=5).map(uid).collect::<Vec<_>>());
    assert_eq!((found.count(), found.to_make()), (1, found.lost));
    // The next search has them made.
    let mailbox = account.mailbox(&MailboxName::inbox()).unwrap();
    mailbox.begin_texts();
    drop(mailbox);
    complete(&texts);
    assert_eq!(right(root), 5);
    // What a crash tore off at the end, where nobody counted on it.
    let mut octets = std::fs::read(root.join(NAME)).unwrap();
    octets.extend_from_slice(b"torn");
    std::fs::write(root.join(NAME), &octets).unwrap();
    assert_eq!(right(root), 5);
    // A file that begins as none of texts does.
    for garbage in [&b""[..], b"garbage", &octets[1..]] {
        std::fs::write(root.join(NAME), garbage).unwrap();
        let found = findings(root).unwrap();
        assert_eq!(found.file, Some(TextFileFault::NotOfTheMailbox));
        assert_eq!((found.count(), found.right), (1, 0));
        let mailbox = account.mailbox(&MailboxName::inbox()).unwrap();
        assert_eq!(mailbox.remake_texts(&found.to_make()).unwrap(), 5);
        drop(mailbox);
        complete(&texts);
        assert_eq!(right(root), 5);
    }
}
