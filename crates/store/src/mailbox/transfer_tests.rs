use super::tests::{files, open, put, uid};
use super::*;
use crate::model::InternalDate;

#[test]
fn copy_move_expunge() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    std::fs::create_dir(&a).unwrap();
    std::fs::create_dir(&b).unwrap();
    let (from, to) = (open(&a), open(&b));
    let one = put(&from, b"1", Flags::SEEN, &["K"]);
    let two = put(&from, b"2", Flags::default(), &[]);
    put(&to, b"0", Flags::default(), &[]);
    let copied = from.copy_to(&[one, two, uid(9)], &to).unwrap();
    assert_eq!(copied.pairs, [(one, uid(2)), (two, uid(3))]);
    let there = to.sync().unwrap();
    let row = there.row(1).unwrap();
    assert_eq!(row.flags, Flags::SEEN);
    assert_eq!(&*there.keywords()[usize::from(row.keywords[0])], "K");
    assert_eq!(row.internal_date, InternalDate(1_000_000_000));
    assert_eq!(from.copy_to(&[two], &from).unwrap().pairs, [(two, uid(3))]);
    let mut moved = Vec::new();
    from.move_to(&[one, two], &to, &mut moved).unwrap();
    assert_eq!(moved, [(one, uid(4)), (two, uid(5))]);
    let left = from.sync().unwrap();
    assert_eq!((left.len(), left.row(0).unwrap().uid), (1, uid(3)));
    // Renamed by another behind our back: still found.
    let name = files(&b, "cur")[0].clone();
    std::fs::rename(b.join("cur").join(&name), b.join("cur").join(name + "T")).unwrap();
    moved.clear();
    let all = [uid(2), uid(3), uid(4), uid(5)];
    to.move_to(&all, &from, &mut moved).unwrap();
    assert_eq!(moved.len(), 4);
    assert_eq!(
        from.expunge(&[uid(3), uid(5), uid(5), uid(77)]).unwrap(),
        [uid(3), uid(5)]
    );
    let uids = |mailbox: &Mailbox| -> Vec<u32> {
        mailbox
            .sync()
            .unwrap()
            .rows()
            .map(|row| row.uid.get())
            .collect()
    };
    assert_eq!(uids(&from), [4, 6, 7]);
    assert_eq!(uids(&to), [1]);
    drop((from, to));
    assert_eq!(uids(&open(&a)), [4, 6, 7]);
    assert_eq!(uids(&open(&b)), [1]);
}

#[test]
fn a_copy_that_fails_is_taken_back_and_a_move_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    std::fs::create_dir(&a).unwrap();
    std::fs::create_dir(&b).unwrap();
    let (from, to) = (open(&a), open(&b));
    let one = put(&from, b"1", Flags::SEEN, &[]);
    let two = put(&from, b"2", Flags::FLAGGED, &[]);
    let lost = from.snapshot().row(1).unwrap().file_name();
    std::fs::remove_file(a.join("cur").join(lost)).unwrap();
    // Nobody can look where it went.
    std::fs::remove_dir_all(a.join("new")).unwrap();
    std::fs::write(a.join("new"), "no directory").unwrap();
    assert!(from.copy_to(&[one, two], &to).is_err());
    assert_eq!(to.sync().unwrap().len(), 0);
    let mut pairs = Vec::new();
    assert!(from.move_to(&[one, two], &to, &mut pairs).is_err());
    assert_eq!(pairs, [(one, uid(2))]);
    assert_eq!(to.sync().unwrap().len(), 1);
}
