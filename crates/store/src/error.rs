//! What can go wrong, in the kinds that protocols tell apart.

/// A store operation's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong. Protocols map each kind in one place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name cannot be a mailbox's.
    #[error("invalid mailbox name: {0}")]
    InvalidName(&'static str),
    /// There is no such mailbox (or only a \Noselect parent).
    #[error("mailbox does not exist")]
    NonExistent,
    /// A mailbox of that name exists already.
    #[error("mailbox exists already")]
    AlreadyExists,
    /// The operation is not allowed on this mailbox.
    #[error("{0}")]
    CannotDo(&'static str),
    /// The message was expunged.
    #[error("message was expunged")]
    Expunged,
    /// How content is encoded is not known, or it has octets that no encoding keeps.
    #[error("the transfer encoding is not known")]
    UnknownEncoding,
    /// Another program has what must be had alone, for longer than one waits for it.
    #[error("{0}: another program has it")]
    Locked(String),
    /// No space or quota left (ENOSPC, EDQUOT).
    #[error("no space left for mail")]
    OverQuota,
    /// Any other failure of the disk.
    #[error("{context}: {source}")]
    Io {
        /// What was tried, with the path.
        context: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// The same for another who is concerned.
    pub(crate) fn share(&self) -> Self {
        match self {
            Self::InvalidName(text) => Self::InvalidName(text),
            Self::NonExistent => Self::NonExistent,
            Self::AlreadyExists => Self::AlreadyExists,
            Self::CannotDo(text) => Self::CannotDo(text),
            Self::Expunged => Self::Expunged,
            Self::UnknownEncoding => Self::UnknownEncoding,
            Self::Locked(path) => Self::Locked(path.clone()),
            Self::OverQuota => Self::OverQuota,
            Self::Io { context, source } => Self::Io {
                context: context.clone(),
                source: match source.raw_os_error() {
                    Some(code) => std::io::Error::from_raw_os_error(code),
                    None => std::io::Error::new(source.kind(), source.to_string()),
                },
            },
        }
    }
    /// Whether the system does not let this process have what it asked for.
    pub fn is_forbidden(&self) -> bool {
        use std::io::ErrorKind::PermissionDenied;
        matches!(self, Self::Io { source, .. } if source.kind() == PermissionDenied)
    }
    /// What an administrator can do about it, to stand behind it in a log; nothing where
    /// that is not known.
    pub fn remedy(&self) -> String {
        use std::io::ErrorKind::ReadOnlyFilesystem;
        match self {
            _ if self.is_forbidden() => {
                let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
                format!(
                    "; the server has uid {} and gid {}: give that path to it (chown -R, chmod -R u+rwX); `pillarbox config check` finds all such",
                    uid.as_raw(),
                    gid.as_raw()
                )
            }
            Self::Io { source, .. } if source.kind() == ReadOnlyFilesystem => {
                "; name the directory in ReadWritePaths of the systemd unit".to_owned()
            }
            _ => String::new(),
        }
    }
    /// Wraps an I/O error with what was tried; full disks become
    /// [`Error::OverQuota`].
    pub fn io(context: impl Into<String>, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match source.kind() {
            StorageFull | QuotaExceeded => Self::OverQuota,
            _ => Self::Io {
                context: context.into(),
                source,
            },
        }
    }
}
