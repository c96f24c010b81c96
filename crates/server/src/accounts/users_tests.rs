//! Tests of the users file.

use super::*;

#[test]
fn a_passwd_file_of_the_wrong_name_does_not_show_its_passwords() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("users.yaml");
    std::fs::write(&file, "anna:{PLAIN}hidden\nben:{PLAIN}hidden\n").expect("written");
    let error = Users::load(&file).expect_err("no list of users");
    let told = format!("{error:#}");
    assert!(
        told.contains("passwd-file") && !told.contains("hidden"),
        "{told}"
    );
}

#[test]
fn a_users_file_comes_back_as_it_was_written() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("users.yaml");
    let mut user = User::new("anna", b"secret").expect("user");
    user.add_device("phone", b"other").expect("device");
    let first = user.devices.remove(0);
    user.add_device("phone", b"other").expect("device");
    assert_ne!(first.ledger_name(), user.devices[0].ledger_name());
    let users = Users { users: vec![user] };
    users.save(&path).expect("saved");
    assert_eq!(Users::load(&path).expect("loaded"), users);
    for digest in ScramDigest::ALL {
        let keys = users.find("anna").and_then(|anna| anna.scram_keys(digest));
        let devices: Vec<_> = keys
            .expect("keys")
            .pairs
            .into_iter()
            .map(|pair| pair.device)
            .collect();
        assert_eq!(devices, [None, Some("phone".to_owned())]);
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        std::fs::metadata(&path).expect("file").permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn the_secret_behind_invented_keys_survives_restarts() {
    let users = Users {
        users: vec![User::new("anna", b"secret").expect("user")],
    };
    assert_eq!(users.secret(), users.clone().secret());
    assert!(users.secret().is_some() && Users::default().secret().is_none());
}

#[test]
fn scram_is_offered_where_every_password_has_keys() {
    let mut anna = User::new("anna", b"secret").expect("user");
    anna.add_device("phone", b"other").expect("device");
    anna.set_password(b"changed").expect("changed");
    for digest in ScramDigest::ALL {
        let keys = anna.scram_keys(digest).expect("keys");
        let stored = |plain: &[u8]| {
            let derived = ScramKeyPair::derive(digest, plain, &keys.salt, keys.iterations);
            keys.pairs
                .iter()
                .any(|pair| pair.stored_key == derived.stored_key)
        };
        assert!(stored(b"changed") && stored(b"other") && !stored(b"secret"));
    }
    let foreign = |password: &str| User {
        name: "ben".into(),
        password: password.into(),
        scram: None,
        scram_sha_1: None,
        mail: None,
        devices: Vec::new(),
        access: Access::default(),
    };
    let offered = |users: Vec<User>| {
        let users = Users { users };
        ScramDigest::ALL.map(|digest| users.have_keys(digest))
    };
    assert_eq!(offered(Vec::new()), [true, true]);
    assert_eq!(offered(vec![anna.clone()]), [true, true]);
    assert_eq!(offered(vec![anna.clone(), foreign("!")]), [true, true]);
    assert_eq!(
        offered(vec![anna.clone(), foreign("{PLAIN}x")]),
        [false, false]
    );
    // Dovecot's schemes hold the keys themselves.
    let pair = ScramKeyPair::derive(ScramDigest::Sha1, b"x", b"salt", 4096);
    let keys = scram::show(4096, b"salt", &pair);
    let ben = foreign(&format!("{{SCRAM-SHA-1}}{keys}"));
    assert_eq!(offered(vec![anna.clone(), ben.clone()]), [false, true]);
    assert!(password::is_known(&ben.password) && password::verify(b"x", &ben.password));
    // From before there were keys of SHA-1, or for devices.
    anna.scram_sha_1 = None;
    assert_eq!(offered(vec![anna.clone()]), [true, false]);
    anna.devices[0].scram = None;
    assert_eq!(offered(vec![anna]), [false, false]);
    let mut ben = foreign("{PLAIN}x");
    ben.add_device("phone", b"other").expect("device");
    assert!(ben.add_device("tablet", b"other").is_err());
    assert!(ben.add_device("tablet", b"x").is_err() && ben.set_password(b"other").is_err());
    ben.set_password(b"x").expect("set");
    assert!(ben.own_keys(ScramDigest::Sha256).is_some() && ben.devices[0].scram.is_none());
}

#[test]
fn a_dovecot_passwd_file_is_read_as_it_is() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("passwd");
    std::fs::write(&path, "# users\nanna:{PLAIN}secret:1000:1000::/home/anna::userdb_mail=maildir:/srv/anna\nben@x.org:{PLAIN}b::::::\n").expect("write");
    let users = Users::load(&path).expect("loaded");
    assert_eq!(users.users.len(), 2);
    assert_eq!(
        users.find("anna").expect("anna").mail.as_deref(),
        Some(Path::new("/srv/anna"))
    );
    assert!(users.save(&path).is_err());
    let mail = |line: &str| {
        std::fs::write(&path, line).expect("write");
        Users::load(&path).map(|users| users.users.first().and_then(|user| user.mail.clone()))
    };
    for sign in ["~", "%h", "%{home}"] {
        let line = format!("a:{{PLAIN}}x:1:1::/h/a::userdb_mail=maildir:{sign}/Mail userdb_x=1\n");
        assert_eq!(mail(&line).expect("loaded"), Some("/h/a/Mail".into()));
    }
    assert!(mail("a:{PLAIN}x:1:1::::userdb_mail=maildir:Mail\n").is_err());
    assert_eq!(mail("a:!::::::\n").expect("a locked user"), None);
    // One user whose hash is not known keeps nobody else out.
    std::fs::write(&path, "anna:{MD5-CRYPT}$1$x\nben:{PLAIN}b\n").expect("write");
    let users = Users::load(&path).expect("loaded");
    let told = users.unknown_passwords(&path);
    assert!(
        told.len() == 1 && told[0].contains("anna has the scheme {MD5-CRYPT}"),
        "{told:?}"
    );
    let may_log_in = users.users.iter().map(User::may_log_in);
    assert_eq!(may_log_in.collect::<Vec<_>>(), [false, true]);
    assert!(users.users[0].has_scram());
}

#[test]
fn recipients_are_found_by_address_tag_and_local_part() {
    let user = |name: &str| User {
        name: name.into(),
        password: "!".into(),
        scram: None,
        scram_sha_1: None,
        mail: None,
        devices: Vec::new(),
        access: Access::default(),
    };
    let users = Users {
        users: vec![
            user("anna"),
            user("ben@example.org"),
            user("Carl"),
            user("a+b"),
        ],
    };
    let found = |address: &str| users.find_recipient(address).map(|user| user.name.as_str());
    for (address, name) in [
        ("anna", "anna"),
        ("anna@example.org", "anna"),
        ("ANNA+lists@example.org", "anna"),
        ("ben@example.org", "ben@example.org"),
        ("ben+x@EXAMPLE.org", "ben@example.org"),
        ("carl", "Carl"),
        ("a+b@example.org", "a+b"),
    ] {
        assert_eq!(found(address), Some(name), "{address}");
    }
    assert_eq!(
        (found("ben"), found("dora@example.org"), found("")),
        (None, None, None)
    );
}

#[test]
fn names_that_could_be_paths_are_refused() {
    for name in [
        "", "..", "a/b", ".a", "a..b", "a\0", "x@../y", "a\u{308}", "\u{2044}", "x@.y",
    ] {
        assert!(!is_valid_name(name), "{name:?}");
    }
    assert!(is_valid_name("anna.b+x@example.org"));
    assert!(is_valid_name("\u{e4}nna") && is_valid_name("\u{5f20}\u{4f1f}"));
}
