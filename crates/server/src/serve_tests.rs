//! Two servers on one mail root.

use super::*;
use std::path::Path;
use std::sync::mpsc::channel;

/// Long after whatever does not wait is done.
const NEVER: Duration = Duration::from_secs(60);

fn config(directory: &Path, mail: &str) -> Config {
    let users_file = directory.join("users.yaml");
    std::fs::write(&users_file, "users: []\n").expect("a users file");
    Config {
        mail_root: format!("{}/{mail}/%u/Maildir", directory.display()),
        users_file,
        listeners: Vec::new(),
        ..Config::default()
    }
}

/// A server that listens nowhere.
fn server(config: &Config) -> Server {
    let mut mail_roots = MailRoots::default();
    assert_eq!(mail_roots.own(config), Owner::This);
    Server {
        mail_roots: Mutex::new(mail_roots),
        accounts: Arc::new(Accounts::open(config).expect("accounts")),
        throttle: Throttle::default(),
        config: RwLock::new(Arc::new(config.clone())),
        certificates: None,
        tls: RwLock::new(None),
        connections: Connections::default(),
        at_work: Arc::default(),
        steps: Arc::default(),
    }
}

#[tokio::test]
async fn a_second_server_is_refused_or_waits() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path(), "mail");
    let mut first = MailRoots::default();
    assert_eq!(first.own(&config), Owner::This);
    let refused = serve_after(Duration::ZERO, config.clone(), None, |_| ()).await;
    let told = refused.expect_err("another has the mail").to_string();
    assert!(told.contains("another server has the mail in"), "{told}");
    let (sender, ready) = channel();
    let serving = serve_after(NEVER, config.clone(), None, move |_| {
        let _ = sender.send(());
    });
    let serving = tokio::spawn(serving);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(ready.try_recv().is_err() && !serving.is_finished());
    drop(first);
    while ready.try_recv().is_err() {
        assert!(!serving.is_finished());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let another = MailRoots::default().own(&config);
    assert!(matches!(another, Owner::Another(_)));
    serving.abort();
}

#[tokio::test]
async fn a_mail_root_of_another_server_is_not_taken_later() {
    let directory = tempfile::tempdir().expect("a directory");
    let [ours, theirs, free] =
        ["ours", "theirs", "free"].map(|mail| config(directory.path(), mail));
    let server = server(&ours);
    let mut another = MailRoots::default();
    assert_eq!(another.own(&theirs), Owner::This);
    assert!(server.take_effect(theirs.clone()).is_err());
    assert_eq!(server.config().mail_root, ours.mail_root);
    server.take_effect(free.clone()).expect("it is nobody's");
    assert_eq!(server.config().mail_root, free.mail_root);
    // Sessions go on in the old one.
    assert!(matches!(another.own(&ours), Owner::Another(_)));
    assert!(matches!(another.own(&free), Owner::Another(_)));
    server.take_effect(ours).expect("it is this server's");
}

/// A Maildir has one user, before and after and in no order of what is read.
#[tokio::test]
async fn a_refused_configuration_moves_nobodys_mail() {
    const BOTH: &str = "anna@a.org:{PLAIN}a::::::\nanna@b.org:{PLAIN}b::::::\n";
    const ONE: &str = "anna@a.org:{PLAIN}a::::::\n";
    let directory = tempfile::tempdir().expect("a directory");
    let users_file = directory.path().join("passwd");
    let file = directory.path().join("pillarbox.yaml");
    let write = |mail_root: &str, users: &str| {
        std::fs::write(&users_file, users).expect("a users file");
        let text = format!(
            "listeners: [ {{ protocol: imap, tls: none, address: \"127.0.0.1:0\" }} ]\nmail_root: {}/{mail_root}\nusers_file: {}\n",
            directory.path().display(),
            users_file.display()
        );
        std::fs::write(&file, text).expect("a configuration");
        Config::load(&file).expect("a good configuration")
    };
    let server = server(&write("mail/%u", BOTH));
    let place = |name: &str| {
        let account = server.accounts.account(name, &server.config());
        let place = server.accounts.place(name);
        assert_eq!(account.is_ok(), place.is_some());
        let below = place?
            .strip_prefix(directory.path())
            .expect("below")
            .to_owned();
        Some(below.display().to_string())
    };
    // Who logs in is looked up as in a login.
    let log_in = async |name: &str, password: &str| {
        let password = wire::Secret::new(password.as_bytes().to_vec());
        let here = [127, 0, 0, 1].into();
        let entrant = server.accounts.verify(name, password, here).await;
        place(&entrant.ok()?.user)
    };
    let stays = server.config();
    for refused in ["mail2/%n", "mail/of-%n"] {
        write(refused, BOTH);
        server.reload(Some(&file));
        assert!(Arc::ptr_eq(&server.config(), &stays), "{refused}");
        for (name, password) in [("anna@a.org", "a"), ("anna@b.org", "b")] {
            let found = log_in(name, password).await;
            assert_eq!(found, Some(format!("mail/{name}")), "{refused}");
        }
    }
    let free = Config {
        mail_root: format!("{}/mail2/%n", directory.path().display()),
        ..Config::clone(&stays)
    };
    assert_eq!(MailRoots::default().own(&free), Owner::This);
    // Where the other is gone with the same change there is no mistake.
    write("mail2/%n", ONE);
    server.reload(Some(&file));
    let found = log_in("anna@a.org", "a").await;
    assert_eq!(found.as_deref(), Some("mail2/anna"));
    // Who was let in a moment before has no place in it.
    assert_eq!(place("anna@b.org"), None);
    write("mail/%u", BOTH);
    server.reload(Some(&file));
    let found = log_in("anna@b.org", "b").await;
    assert_eq!(found.as_deref(), Some("mail/anna@b.org"));
}

/// As `cp -p` and `rsync -t` write files: nothing but the time of the change tells.
#[tokio::test]
async fn a_file_that_was_written_with_its_old_time_is_read_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path(), "mail");
    let server = server(&config);
    let before = server.stamps(None);
    let file = std::fs::File::options()
        .write(true)
        .open(&config.users_file);
    let file = file.expect("a users file");
    let written = file
        .metadata()
        .and_then(|it| it.modified())
        .expect("a time");
    // The clock of a file system ticks a few hundred times a second.
    std::thread::sleep(Duration::from_millis(20));
    std::fs::write(&config.users_file, "users: []\n").expect("written");
    file.set_modified(written).expect("set");
    let after = server.stamps(None);
    let told = |stamps: &Stamps| stamps[0].1.expect("there is one");
    assert_eq!(told(&before).0, told(&after).0);
    assert_ne!(before, after);
}
