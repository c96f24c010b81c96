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
    let mut mail_roots = MailRoots::default();
    assert_eq!(mail_roots.own(&ours), Owner::This);
    let server = Server {
        mail_roots: Mutex::new(mail_roots),
        accounts: Arc::new(Accounts::open(&ours).expect("accounts")),
        throttle: Throttle::default(),
        config: RwLock::new(Arc::new(ours.clone())),
        certificates: None,
        tls: RwLock::new(None),
        connections: Connections::default(),
        at_work: Arc::default(),
        steps: Arc::default(),
    };
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
