//! Tests of who may log in.

use super::*;

/// What is typed names a user in any case of letters, and gives the user's own name.
#[test]
fn names_are_known_in_any_case() {
    let directory = tempfile::tempdir().expect("directory");
    let config = Config {
        users_file: directory.path().join("users.yaml"),
        mail_root: format!("{}/%u", directory.path().display()),
        ..Config::default()
    };
    let mut users = ["anna", "Ben", "ben"].map(|name| {
        let mut user = User::new(name, b"secret").expect("a user");
        user.add_device("phone", name.as_bytes()).expect("a device");
        user
    });
    users[0].set_password(b"own").expect("set");
    let users = Users {
        users: users.into(),
    };
    users.save(&config.users_file).expect("saved");
    let accounts = Arc::new(Accounts::open(&config).expect("opened"));
    let here = IpAddr::from([127, 0, 0, 1]);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let verify = |name: &str, password: &[u8]| {
        let password = Secret::new(password.to_vec());
        runtime.block_on(accounts.verify(name, password, here))
    };
    let entrant = verify("ANNA", b"own").expect("let in");
    assert_eq!((entrant.user.as_str(), entrant.device), ("anna", None));
    // From the cache as well.
    let entrant = verify("Anna", b"own").expect("let in");
    assert_eq!(entrant.user, "anna");
    let entrant = verify("aNNa", b"anna").expect("let in");
    assert_eq!(entrant.device.as_deref(), Some("phone"));
    assert!(accounts.device(&entrant).is_some() && accounts.admits(&entrant, here));
    assert_eq!(verify("Ben", b"Ben").expect("let in").user, "Ben");
    assert_eq!(verify("ben", b"ben").expect("let in").user, "ben");
    assert_eq!(verify("BEN", b"ben"), Err(Denial::BadCredentials));
    assert_eq!(accounts.why_refused("BEN", here), "no such user");
    assert_eq!(accounts.why_refused("Anna", here), "wrong password");
    for digest in Digest::ALL {
        let claim = |name: &str| accounts.claim(name, digest);
        let let_in = claim("Anna").entrants;
        let let_in = let_in
            .iter()
            .map(|it| (it.user.as_str(), it.device.as_deref()));
        assert_eq!(
            let_in.collect::<Vec<_>>(),
            [("anna", None), ("anna", Some("phone"))]
        );
        assert_eq!(claim("Anna").keys.salt, claim("anna").keys.salt);
        // Nor do the salts of who is not there tell it.
        assert_eq!(claim("Carl").entrants, []);
        assert_eq!(claim("Carl").keys.salt, claim("CARL").keys.salt);
    }
    // Who is gone is not taken for who is called alike.
    let users = Users {
        users: vec![User::new("ANNA", b"own").expect("a user")],
    };
    users.save(&config.users_file).expect("saved");
    accounts.reload(&config).expect("reloaded");
    let external = Entrant {
        user: "anna".to_owned(),
        device: None,
        mark: None,
    };
    assert!(!accounts.admits(&external, here));
}

#[test]
fn invented_keys_have_as_many_iterations_as_others() {
    assert_eq!(invented_iterations(&[], [7; 32]), scram::ITERATIONS);
    assert_eq!(invented_iterations(&[10_000], [7; 32]), 10_000);
    let two = [4096, 10_000];
    let chosen = (0..=1).map(|octet| invented_iterations(&two, [octet; 32]));
    assert_eq!(chosen.collect::<Vec<_>>(), two);
}

fn accounts_of(users: &str) -> (tempfile::TempDir, Config, Arc<Accounts>) {
    let directory = tempfile::tempdir().expect("directory");
    let config = Config {
        users_file: directory.path().join("passwd"),
        ..Config::default()
    };
    std::fs::write(&config.users_file, users).expect("written");
    let accounts = Accounts::open(&config).expect("opened");
    (directory, config, Arc::new(accounts))
}

/// New users are in force a moment before what is known of the old ones is forgotten.
#[tokio::test]
async fn a_password_that_was_right_before_the_users_changed_is_verified_again() {
    let (_directory, config, accounts) = accounts_of("anna:{PLAIN}old::::::\n");
    let peer = IpAddr::from([127, 0, 0, 1]);
    let verify = |text: &str| {
        let password = Secret::new(text.as_bytes().to_vec());
        accounts.verify("anna", password, peer)
    };
    assert!(verify("old").await.is_ok());
    std::fs::write(&config.users_file, "anna:{PLAIN}new::::::\n").expect("written");
    let users = Users::load(&config.users_file).expect("read");
    *accounts.users.write() = Arc::new(users);
    assert_eq!(verify("old").await, Err(Denial::BadCredentials));
    let entrant = verify("new").await.expect("let in");
    assert!(accounts.admits(&entrant, peer));
}

/// As a file is while somebody writes it in place.
#[test]
fn users_that_are_being_written_are_not_read() {
    const BEN: &str = "ben:{PLAIN}b::::::";
    let (_directory, config, accounts) = accounts_of(&format!("# users\n{BEN}nologin\n"));
    let peer = IpAddr::from([127, 0, 0, 1]);
    for cut in ["", "\n", "# users", &format!("# users\n{BEN}")] {
        std::fs::write(&config.users_file, cut).expect("written");
        assert!(accounts.reload(&config).is_err(), "{cut:?}");
        assert_ne!(
            accounts.why_refused("ben", peer),
            "wrong password",
            "{cut:?}"
        );
    }
    std::fs::write(&config.users_file, format!("{BEN}\n")).expect("written");
    accounts.reload(&config).expect("read again");
    assert_eq!(accounts.why_refused("ben", peer), "wrong password");
    std::fs::write(&config.users_file, "# nobody\n").expect("written");
    accounts.reload(&config).expect("read again");
    assert!(accounts.find("ben").is_none());
}

fn identity(mechanism: Mechanism, user: &str) -> Identity {
    Identity {
        mechanism,
        user: user.to_owned(),
        acts_as: None,
        device: None,
    }
}

/// A client can hold an exchange open after it proved that it knows the password.
#[test]
fn keys_that_are_others_meanwhile_let_nobody_in() {
    let directory = tempfile::tempdir().expect("directory");
    let config = Config {
        users_file: directory.path().join("users.yaml"),
        ..Config::default()
    };
    let here = IpAddr::from([127, 0, 0, 1]);
    let mut anna = User::new("anna", b"secret").expect("a user");
    anna.add_device("phone", b"old").expect("a device");
    let save = |user: &User| {
        let users = vec![user.clone()];
        Users { users }.save(&config.users_file).expect("saved");
    };
    save(&anna);
    let accounts = Accounts::open(&config).expect("opened");
    let scram = Mechanism::Scram(Digest::Sha256);
    let enter = |held: &Claim, device: Option<&str>| {
        let proven = Identity {
            device: device.map(str::to_owned),
            ..identity(scram, "Anna")
        };
        let entered = accounts.enter(&proven, &held.entrants, here);
        entered.map_err(|refusal| (refusal.denial, refusal.why.unwrap_or_default()))
    };
    let changed = (
        Denial::BadCredentials,
        "the password was changed meanwhile".to_owned(),
    );
    let held = accounts.claim("anna", Digest::Sha256);
    for device in [None, Some("phone")] {
        let entrant = enter(&held, device).expect("let in");
        assert_eq!(
            (entrant.user.as_str(), entrant.device.as_deref()),
            ("anna", device)
        );
        assert!(accounts.admits(&entrant, here));
    }
    assert!(enter(&held, Some("tablet")).is_err());

    anna.set_password(b"another").expect("set");
    save(&anna);
    accounts.reload(&config).expect("read again");
    assert_eq!(enter(&held, None), Err(changed.clone()));
    // The device's is as it was.
    assert!(enter(&held, Some("phone")).is_ok());
    let again = accounts.claim("anna", Digest::Sha256);
    assert!(enter(&again, None).is_ok());

    // The same device, the same hash even, but added anew: with a ledger of its own.
    anna.devices[0].ledger = Some("00000000".to_owned());
    save(&anna);
    accounts.reload(&config).expect("read again");
    assert_eq!(enter(&held, Some("phone")), Err(changed));
    anna.devices.clear();
    save(&anna);
    accounts.reload(&config).expect("read again");
    assert!(enter(&held, Some("phone")).is_err());
}

#[test]
fn a_certificate_names_its_user_exactly_and_is_let_in_as_nobody_else() {
    let (_directory, config, accounts) =
        accounts_of("anna:{PLAIN}a::::::\nben:{PLAIN}b::::::allow_nets=192.0.2.0/24\n");
    let here = IpAddr::from([127, 0, 0, 1]);
    let enter = |user: &str, acts_as: Option<&str>| {
        let certified = Identity {
            acts_as: acts_as.map(str::to_owned),
            ..identity(Mechanism::External, user)
        };
        // Of another exchange, which was given up.
        let claimed = accounts.claim("ben", Digest::Sha256).entrants;
        let entered = accounts.enter(&certified, &claimed, here);
        entered.map_err(|refusal| refusal.denial)
    };
    let anna = enter("anna", None).expect("let in");
    for named in ["anna", "Anna"] {
        assert_eq!(enter("anna", Some(named)), Ok(anna.clone()), "{named}");
    }
    for named in ["ben", "nobody"] {
        assert_eq!(
            enter("anna", Some(named)),
            Err(Denial::OtherIdentity),
            "{named}"
        );
    }
    for user in ["ANNA", "ben", "nobody"] {
        assert_eq!(enter(user, None), Err(Denial::BadCredentials), "{user}");
    }
    // No password of hers was used: another does not end the session.
    std::fs::write(&config.users_file, "anna:{PLAIN}c::::::\n").expect("written");
    accounts.reload(&config).expect("read again");
    assert!(accounts.admits(&anna, here));
}

#[test]
fn a_user_acts_as_that_user_in_whatever_case() {
    let (_directory, _config, accounts) = accounts_of("anna:{PLAIN}a::::::\nben:{PLAIN}b::::::\n");
    let anna = || Entrant {
        user: "anna".to_owned(),
        device: None,
        mark: None,
    };
    let acting = |named| accounts.acting(anna(), named);
    for named in [None, Some("anna"), Some("Anna")] {
        assert_eq!(acting(named), Ok(anna()), "{named:?}");
    }
    for named in ["ben", "nobody"] {
        let refusal = acting(Some(named)).expect_err("somebody else");
        assert_eq!(refusal.denial, Denial::OtherIdentity);
    }
}
