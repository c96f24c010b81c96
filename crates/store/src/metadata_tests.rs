use super::*;

fn name(text: &str) -> EntryName {
    EntryName::new(text).expect("a name")
}

fn set(text: &str, value: &[u8]) -> (EntryName, Option<Vec<u8>>) {
    (name(text), Some(value.to_vec()))
}

#[test]
fn names_are_those_of_the_rfc() {
    for good in [
        "/private/comment",
        "/Shared/Comment",
        "/shared/vendor/vendor.x/a",
        "/private/a b",
    ] {
        assert!(EntryName::new(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "private/comment",
        "/comment",
        "/private",
        "/private/",
        "/private//a",
        "/private/a*",
        "/private/a%",
        "/private/\u{e4}",
        "/private/a\r",
        "/shared/vendor",
        "/shared/vendor/x",
    ] {
        assert!(EntryName::new(bad).is_err(), "{bad}");
    }
    assert!(EntryName::new(&format!("/shared/{}", "a".repeat(1017))).is_err());
    assert!(EntryName::asked("/private").is_ok() && EntryName::asked("/shared/vendor/x").is_ok());
    assert_eq!(name("/private/A"), name("/PRIVATE/a"));
    let above = EntryName::asked("/private/a").expect("a name");
    assert_eq!(name("/private/A").levels_below(&above), Some(0));
    assert_eq!(name("/private/a/b/c").levels_below(&above), Some(2));
    assert_eq!(name("/private/ab").levels_below(&above), None);
}

#[test]
fn what_is_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let mut metadata = Metadata::default();
    let all: Vec<u8> = (0..=255).collect();
    let changes = [set("/private/A", &all), set("/shared/b", b"")];
    let changed = metadata.change("anna\t\\", &changes).unwrap();
    assert_eq!(changed, [name("/private/a"), name("/shared/b")]);
    metadata.write(directory.path(), OF_MAILBOX).unwrap();
    let read = Metadata::read(directory.path(), OF_MAILBOX).unwrap();
    let read = read.expect("a file");
    assert_eq!(read, metadata);
    let seen = read.clone().seen_by("anna\t\\");
    assert_eq!(seen[0].0.as_str(), "/private/A");
    assert_eq!(seen[0].1, all);
    assert_eq!(read.seen_by("bert"), [(name("/shared/b"), Vec::new())]);
}

#[test]
fn damage_costs_what_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let mut metadata = Metadata::default();
    let changes = [
        set("/private/a", b"one"),
        set("/private/b", b"two"),
        set("/shared/c", b"three"),
    ];
    metadata.change("anna", &changes).unwrap();
    metadata.write(directory.path(), OF_MAILBOX).unwrap();
    let path = directory.path().join(OF_MAILBOX);
    let whole = std::fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let read = Metadata::read(directory.path(), OF_MAILBOX).unwrap();
        let read = read.expect("a file");
        // A line end that is lost or new costs two lines at most.
        assert!(!read.0.is_empty(), "at {place}");
        for (key, value) in &read.0 {
            assert_eq!(metadata.0.get(key), Some(value), "at {place}");
        }
        std::fs::write(&path, &whole[..place]).unwrap();
        Metadata::read(directory.path(), OF_MAILBOX).unwrap();
    }
}

#[test]
fn there_are_limits_and_they_refuse_all() {
    let mut metadata = Metadata::default();
    let long = vec![b'x'; METADATA_VALUE_OCTETS + 1];
    let fits = &long[1..];
    let refused = metadata.clone().change("anna", &[set("/shared/a", &long)]);
    assert!(matches!(refused, Err(Unset::TooLarge)));
    metadata.change("anna", &[set("/shared/a", fits)]).unwrap();
    let many: Vec<_> = (0..METADATA_ENTRIES)
        .map(|number| set(&format!("/private/{number}"), b"x"))
        .collect();
    metadata.change("anna", &many).unwrap();
    let one = [set("/private/more", b"x")];
    assert!(matches!(
        metadata.clone().change("anna", &one),
        Err(Unset::TooMany)
    ));
    metadata.change("bert", &one).unwrap();
    metadata
        .change("anna", &[(name("/private/7"), None)])
        .unwrap();
    metadata.change("anna", &one).unwrap();
    let big: Vec<_> = (0..16)
        .map(|number| set(&format!("/shared/{number}"), fits))
        .collect();
    assert!(matches!(metadata.change("anna", &big), Err(Unset::TooMany)));
}

#[test]
fn only_changes_are_told() {
    let mut metadata = Metadata::default();
    let change = [set("/shared/a", b"x")];
    assert_eq!(metadata.change("anna", &change).unwrap().len(), 1);
    assert!(metadata.change("anna", &change).unwrap().is_empty());
    let gone = [(name("/shared/b"), None)];
    assert!(metadata.change("anna", &gone).unwrap().is_empty());
}
