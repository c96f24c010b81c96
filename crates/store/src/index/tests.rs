use super::*;
use crate::snapshot::{Listed, OwnedRow};
use crate::{Flags, InternalDate};

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn row(number: u32, modseq: ModSeq, keywords: &[u16]) -> OwnedRow {
    OwnedRow {
        uid: uid(number),
        flags: Flags::SEEN,
        recent: number.is_multiple_of(2),
        keywords: keywords.into(),
        modseq,
        size_octets: u64::from(number) << 33,
        unended_octets: u8::try_from(number % 3).unwrap(),
        internal_date: InternalDate(-5),
        unique_name: format!("{number}.M1P1.h,S=3").into(),
        in_new: false,
        suffix: ":2,S".into(),
        listed: if number.is_multiple_of(7) {
            Listed::OTHER
        } else {
            Listed::SIZE
        },
    }
}

/// What the UID list has of row 70 and other sevens.
fn fields() -> HashMap<u32, Box<str>> {
    (1..300)
        .map(|number| (number * 7, "Zq O1".into()))
        .collect()
}

fn create(directory: &Path, rows: &[OwnedRow], history: &History) -> Index {
    let picture = Picture {
        uid_validity: UidValidity::MIN,
        guid: [7; 16],
        uid_next: uid(50),
        highest_modseq: 100,
        keywords: &["a".into(), "b".into()],
        history,
        rows: rows.iter().map(OwnedRow::row),
        fields: &fields(),
    };
    Index::create(directory, picture).unwrap()
}

fn settled(number: i64) -> Settled {
    let stamp = disk::Stamp {
        seconds: number,
        ..disk::Stamp::default()
    };
    Settled {
        halves: [stamp; 2],
        doubtful: [false, true],
        own_changes: true,
        scanned_seconds: -1,
        uidlist: Some(stamp),
        keywords: [None, Some(stamp)],
        uid_next: 60,
        dead: 3,
    }
}

fn open(directory: &Path) -> Found {
    Index::open(directory).unwrap()
}

fn exact(directory: &Path) -> (Index, Contents) {
    match open(directory) {
        Found::Exact(index, contents) => (*index, contents),
        other => panic!("{other:?}"),
    }
}

/// What matters of contents, in words.
fn words(contents: &Contents) -> String {
    let mut words = format!(
        "highest {} next {} history {:?}",
        contents.highest_modseq,
        contents.uid_next,
        contents
            .history
            .since(contents.history.floor())
            .unwrap_or_default(),
    );
    for row in contents.rows.iter() {
        let names: Vec<&str> = row
            .keywords
            .iter()
            .map(|keyword| &*contents.keywords[usize::from(*keyword)])
            .collect();
        words.push_str(&format!(
            "; {} at {} {:?} {names:?} {}{}",
            row.uid, row.modseq, row.flags, row.unique_name, row.suffix,
        ));
    }
    words
}

#[test]
fn what_was_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert!(matches!(open(path), Found::Nothing));
    let mut history = History::new(9);
    history.push(10, uid(3));
    history.push(10, uid(1));
    history.push(11, uid(2));
    let mut index = create(path, &[row(4, 90, &[]), row(5, 100, &[0, 1])], &history);
    assert!(matches!(open(path), Found::Busy));
    let names: [Keyword; 3] = ["a".into(), "b".into(), "c".into()];
    let mut fresh = row(70, 101, &[2]);
    (fresh.in_new, fresh.suffix) = (true, "".into());
    index.came([fresh.row()].into_iter(), &names, &fields());
    let mut changed = row(5, 102, &[1, 2]);
    (changed.flags, changed.suffix) = (Flags::DELETED, ":2,Tb".into());
    index.changed(&changed.row(), &names);
    index.expunged(103, &[uid(4)]);
    index.commit().unwrap();
    drop(index);
    // Not closed, but under the same boot.
    let (mut index, contents) = exact(path);
    let expected = "highest 103 next 71 history [1, 2, 3, 4]; 5 at 102 Flags(16) [\"b\", \"c\"] \
                    5.M1P1.h,S=3:2,Tb; 70 at 101 Flags(8) [\"c\"] 70.M1P1.h,S=3";
    assert_eq!(words(&contents), expected);
    assert_eq!(contents.rows.row(1).unwrap().size_octets, 70 << 33);
    let last = contents.rows.row(1).unwrap();
    assert!(last.in_new && last.recent);
    let fields: Vec<_> = contents.fields.iter().collect();
    assert_eq!(fields, [(&70, &Box::from("Zq O1"))]);
    assert_eq!(last.listed, Listed::OTHER);
    assert_eq!(contents.settled, None);
    assert_eq!(contents.history.since(10), Some(vec![uid(2), uid(4)]));
    index.settle(settled(8)).unwrap();
    drop(index);
    let before = std::fs::read(path.join(NAME)).unwrap();
    let (mut index, contents) = exact(path);
    assert_eq!(contents.settled, Some(settled(8)));
    // Nothing is written when nothing is new.
    index.settle(settled(8)).unwrap();
    assert_eq!(std::fs::read(path.join(NAME)).unwrap(), before);
    assert_eq!(words(&contents), expected);
}

#[test]
fn a_torn_end_is_left_out_and_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let rows = [row(1, 90, &[]), row(2, 91, &[1])];
    let mut index = create(path, &rows, &History::new(90));
    let names: [Keyword; 2] = ["a".into(), "b".into()];
    // After each commit: how long the file is and what it says.
    let mut stages = Vec::new();
    let whole = |index: &Index, stages: &mut Vec<(usize, String)>| {
        let octets = std::fs::read(path.join(NAME)).unwrap();
        let replay = replay::replay(octets.as_slice()).unwrap();
        assert_eq!(replay.end as u64, index.end);
        stages.push((replay.end, words(&replay.contents)));
    };
    whole(&index, &mut stages);
    for modseq in 101..104 {
        index.changed(&row(2, modseq, &[0]).row(), &names);
        index.commit().unwrap();
        whole(&index, &mut stages);
        let fresh = row(modseq as u32, modseq, &[]);
        index.came([fresh.row()].into_iter(), &names, &fields());
        index.commit().unwrap();
        whole(&index, &mut stages);
    }
    index.expunged(104, &[uid(1), uid(101)]);
    index.commit().unwrap();
    whole(&index, &mut stages);
    let snapshot_octets = usize::try_from(index.snapshot_octets).unwrap();
    drop(index);
    let octets = std::fs::read(path.join(NAME)).unwrap();
    let (end, _) = stages.last().unwrap().clone();
    for length in 0..=end {
        for garbage in [&b""[..], b"\x10\0\0\0garbage that is no record"] {
            let mut cut = octets[..length].to_vec();
            cut.extend_from_slice(garbage);
            std::fs::write(path.join(NAME), &cut).unwrap();
            if length < snapshot_octets {
                assert!(matches!(open(path), Found::Unreadable(_)), "{length}");
                continue;
            }
            if length < stages[0].0 {
                // Whole, but whoever was going to change it is not known.
                assert!(matches!(open(path), Found::Doubtful(_)), "{length}");
                continue;
            }
            let (mut index, contents) = exact(path);
            let known = stages.iter().rev().find(|(end, _)| *end <= length);
            assert_eq!(Some(&words(&contents)), known.map(|(_, words)| words));
            // What is written next is read next.
            index.changed(&row(2, 200, &[]).row(), &names);
            index.commit().unwrap();
            drop(index);
            let (_, contents) = exact(path);
            assert_eq!(contents.highest_modseq, 200, "{length}");
        }
    }
}

#[test]
fn damage_anywhere_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut index = create(path, &[row(1, 90, &[0])], &History::new(90));
    index.changed(&row(1, 101, &[]).row(), &["a".into()]);
    index.commit().unwrap();
    let end = usize::try_from(index.end).unwrap();
    let snapshot_octets = usize::try_from(index.snapshot_octets).unwrap();
    drop(index);
    let octets = std::fs::read(path.join(NAME)).unwrap();
    for at in 0..end {
        let mut damaged = octets.clone();
        damaged[at] ^= 0x20;
        std::fs::write(path.join(NAME), &damaged).unwrap();
        match open(path) {
            Found::Unreadable(_) => assert!(at < snapshot_octets, "{at}"),
            Found::Exact(_, contents) => {
                assert!(at >= snapshot_octets, "{at}");
                assert_eq!(contents.highest_modseq, 100);
            }
            Found::Doubtful(_) => assert!(at >= snapshot_octets, "{at}"),
            other => panic!("{at}: {other:?}"),
        }
    }
}

#[test]
fn copies_and_other_boots_are_in_doubt() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut index = create(path, &[row(1, 90, &[])], &History::new(90));
    index.settle(settled(1)).unwrap();
    drop(index);
    drop(exact(path));
    let octets = std::fs::read(path.join(NAME)).unwrap();
    std::fs::rename(path.join(NAME), path.join("old")).unwrap();
    std::fs::write(path.join(NAME), &octets).unwrap();
    assert!(matches!(open(path), Found::Doubtful(_)));
    std::fs::rename(path.join("old"), path.join(NAME)).unwrap();
    // Written to under another boot and never settled.
    let (mut index, _) = exact(path);
    index.pending.opened([1; 16]);
    index.write_pending().unwrap();
    drop(index);
    assert!(matches!(open(path), Found::Doubtful(contents) if contents.rows.len() == 1));
}

#[test]
fn rewriting_keeps_what_it_says_and_shortens_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut history = History::new(90);
    history.push(95, uid(9));
    let rows: Vec<OwnedRow> = (10..2000).map(|number| row(number, 96, &[])).collect();
    let mut index = create(path, &rows, &history);
    let mut number = 0;
    while !index.wants_rewrite() {
        number += 1;
        index.changed(&row(10, 100 + number, &[]).row(), &[]);
        index.commit().unwrap();
    }
    assert!(number > 1000);
    let long = index.end;
    let picture = Picture {
        uid_validity: UidValidity::MIN,
        guid: [7; 16],
        uid_next: uid(2000),
        highest_modseq: 100 + number,
        keywords: &[],
        history: &history,
        rows: rows.iter().map(OwnedRow::row),
        fields: &fields(),
    };
    index.rewrite(path, picture).unwrap();
    assert!(index.end < long && !index.wants_rewrite());
    drop(index);
    let (index, contents) = exact(path);
    assert_eq!(contents.highest_modseq, 100 + number);
    assert_eq!(contents.rows.len(), rows.len());
    assert_eq!(contents.history, history);
    drop(index);
    super::abandon(path, None).unwrap();
    assert!(matches!(open(path), Found::Nothing));
}
