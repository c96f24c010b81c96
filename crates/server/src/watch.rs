//! Tells when a file that the server was configured with changes.

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// A watch over some files, until it is dropped.
#[derive(Debug)]
pub struct FileWatch {
    _watcher: RecommendedWatcher,
    files: BTreeSet<PathBuf>,
}

impl FileWatch {
    /// Watches these files, which may be absent as yet; `changed` is notified when
    /// one is written, replaced or removed. What is watched are the directories that
    /// hold them, as editors and certificate clients put new files in place of old.
    ///
    /// # Errors
    /// When the system cannot watch; a directory that cannot be watched is left out.
    pub fn new(files: BTreeSet<PathBuf>, changed: Arc<Notify>) -> notify::Result<Self> {
        let watched = files.clone();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let is_news = match event {
                    Ok(event) => {
                        !matches!(event.kind, EventKind::Access(_))
                            && event.paths.iter().any(|path| watched.contains(path))
                    }
                    // Events may be lost.
                    Err(_) => true,
                };
                if is_news {
                    changed.notify_one();
                }
            })?;
        let directories: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
        for directory in directories {
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                tracing::warn!(path = %directory.display(), "changes are only seen every few seconds: {error}");
            }
        }
        Ok(Self {
            _watcher: watcher,
            files,
        })
    }

    /// Whether it watches just these files.
    pub fn covers(&self, files: &BTreeSet<PathBuf>) -> bool {
        self.files == *files
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn replaced_and_written_files_are_noticed_others_not() {
        let directory = tempfile::tempdir().expect("directory");
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("users.yaml"), "users: []\n").expect("written");
        let changed = Arc::new(Notify::new());
        let files = BTreeSet::from([path("users.yaml"), path("later.pem")]);
        let watch = FileWatch::new(files.clone(), Arc::clone(&changed)).expect("watched");
        assert!(watch.covers(&files));
        let noticed = || async {
            let waited = tokio::time::timeout(Duration::from_secs(5), changed.notified()).await;
            waited.expect("a change was not noticed");
        };
        std::fs::write(path("users.yaml.tmp"), "users: []\n\n").expect("written");
        std::fs::rename(path("users.yaml.tmp"), path("users.yaml")).expect("renamed");
        noticed().await;
        std::fs::write(path("later.pem"), "x").expect("written");
        noticed().await;
        // Whatever else the writing caused.
        while tokio::time::timeout(Duration::from_millis(200), changed.notified())
            .await
            .is_ok()
        {}
        std::fs::write(path("other"), "x").expect("written");
        std::fs::read(path("users.yaml")).expect("read");
        let waited = tokio::time::timeout(Duration::from_millis(300), changed.notified()).await;
        assert!(waited.is_err());
    }
}
