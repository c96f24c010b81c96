//! The thread that completes the texts that are kept for searching, behind everybody
//! else: one mailbox at a time, a step and then a pause.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use store::{SearchTexts, TextCompletion, TextStep};

/// How long a mailbox waits at first: what comes together is made together.
const SETTLED: Duration = Duration::from_millis(500);
/// How long it waits for a search that makes texts itself.
const SEARCHING: Duration = Duration::from_secs(1);
/// So many times what a step took nothing is done after it: a quarter of one processor
/// and of what one reader has of the disk is all it takes.
const PAUSES: u32 = 3;
/// And at least so long.
const PAUSE: Duration = Duration::from_millis(2);

/// The thread while it runs; it ends when this is dropped.
pub struct Running {
    texts: Arc<SearchTexts>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.texts.end();
    }
}

/// Starts the thread, and the one that closes mailboxes after it: who waits for a mailbox
/// to be closed is not to wait for the last in the queue.
///
/// # Errors
/// When the system gives none.
pub fn start(texts: Arc<SearchTexts>) -> std::io::Result<Running> {
    let work = Arc::clone(&texts);
    let (done, to_close) = mpsc::channel::<TextCompletion>();
    let closing = std::thread::Builder::new()
        .name("closing".to_owned())
        .spawn(move || to_close.into_iter().for_each(close))?;
    let thread = std::thread::Builder::new()
        .name("search texts".to_owned())
        .spawn(move || {
            run(&work, &done);
            drop(done);
            if closing.join().is_err() {
                tracing::error!("the thread that closes mailboxes did not end well");
            }
        })?;
    let thread = Some(thread);
    Ok(Running { texts, thread })
}

/// Lets go of a mailbox; nobody else may have it.
fn close(completion: TextCompletion) {
    // Should it panic, which is a mistake of ours, others are closed all the same.
    if catch_unwind(AssertUnwindSafe(|| drop(completion))).is_err() {
        tracing::error!("a mailbox was not closed as it should be");
    }
}

/// Ends it, after the step that is under way, and waits for that: mailboxes it had open
/// are closed then, at no lower priority than others.
pub async fn end(mut running: Running) {
    let thread = running.thread.take();
    let ended = tokio::task::spawn_blocking(move || {
        drop(running);
        thread.map(JoinHandle::join)
    });
    if let Ok(Some(Err(_))) | Err(_) = ended.await {
        tracing::error!("the thread that completes texts did not end well");
    }
}

fn run(texts: &SearchTexts, done: &mpsc::Sender<TextCompletion>) {
    give_way();
    while let Some(mut completion) = texts.next() {
        if texts.pause(SETTLED) {
            // Should it panic, which is a mistake of ours, others have their turn.
            let worked = catch_unwind(AssertUnwindSafe(|| complete(texts, &mut completion)));
            if worked.is_err() {
                tracing::error!("a mailbox's texts are not completed");
            }
        }
        // Whoever opens it waits for its index only so long.
        if let Err(mpsc::SendError(completion)) = done.send(completion) {
            close(completion);
        }
    }
}

fn complete(texts: &SearchTexts, completion: &mut TextCompletion) {
    loop {
        let began = Instant::now();
        let pause = match completion.step() {
            TextStep::Made => PAUSE.max(began.elapsed() * PAUSES),
            TextStep::Waits => SEARCHING,
            TextStep::Ended => return,
        };
        if !texts.pause(pause) {
            return;
        }
    }
}

/// Has the system prefer all other threads, where it can tell threads apart.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!("no lower priority: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use store::{Account, KeepTexts, Layout, MailboxName};

    fn account(root: &Path, texts: &Arc<SearchTexts>) -> Arc<Account> {
        let layout = Layout {
            delimiter: '/',
            prefix: String::new(),
        };
        let shared = store::Shared {
            search_texts: Some(Arc::clone(texts)),
            ..store::Shared::default()
        };
        Account::open_with(root, layout, shared).expect("account")
    }

    /// The niceness of the threads of this process that have a name.
    #[cfg(target_os = "linux")]
    fn niceness(name: &str) -> i64 {
        let tasks = std::fs::read_dir("/proc/self/task").expect("tasks");
        let of_task = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
            let (before, after) = stat.rsplit_once(") ")?;
            let is_it = before.ends_with(&format!("({name}"));
            // Field 19 of proc_pid_stat(5), the third being the first after the name.
            let nice = after.split(' ').nth(16)?;
            nice.parse::<i64>().ok().filter(|_| is_it)
        };
        let all: Vec<i64> = tasks.filter_map(of_task).collect();
        all.into_iter().max().expect("such a thread")
    }

    #[test]
    fn texts_are_completed_and_mailboxes_closed() {
        let directory = tempfile::tempdir().expect("directory");
        let root = directory.path();
        let texts = Arc::new(SearchTexts::new(KeepTexts::Searched));
        let account = account(root, &texts);
        for number in 0..100 {
            let file = root.join(format!("new/{number}.M1P1.h"));
            std::fs::write(file, format!("A: b\n\nword{number}\n")).expect("message");
        }
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        let running = start(Arc::clone(&texts)).expect("a thread");
        let mailbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
        let open = Arc::downgrade(&mailbox);
        mailbox.begin_texts();
        drop(mailbox);
        // It is closed when its texts are made: nobody else has it.
        let deadline = Instant::now() + Duration::from_secs(60);
        while open.strong_count() > 0 {
            assert!(Instant::now() < deadline, "texts are never complete");
            std::thread::sleep(Duration::from_millis(20));
        }
        let found = store::inspect_texts(root, &mut |_| {}).expect("looked");
        let found = found.expect("texts");
        assert_eq!(
            (found.right, found.lacking.len(), found.faults.len()),
            (100, 0, 0)
        );
        #[cfg(target_os = "linux")]
        assert!(niceness("closing") < niceness("search texts"));
        // One that waits is given back when the thread ends.
        let mailbox = account.mailbox(&MailboxName::inbox()).expect("INBOX");
        let open = Arc::downgrade(&mailbox);
        mailbox.begin_texts();
        drop(mailbox);
        runtime.block_on(end(running));
        assert_eq!(open.strong_count(), 0);
    }
}
