//! The file `dovecot-attributes`, where Dovecot keeps metadata if it is told to
//! (`mail_attribute_dict = file:%h/Maildir/dovecot-attributes`): a line with a key and a
//! line with its value, in which SOH and a letter stand for what a line cannot hold. The
//! keys are `priv/<GUID>/<entry>` and `shared/<GUID>/<entry>`, in hexadecimal; those of
//! the server are INBOX's, below `vendor/vendor.dovecot/pvt/server/`. It is read where
//! there is nothing of our own, and never written.

use crate::control_file;
use crate::metadata::{Annotated, Annotation, EntryName};
use crate::{Result, disk};
use std::path::Path;

const FILE: &str = "dovecot-attributes";
/// What is Dovecot's own.
const DOVECOTS: &str = "vendor/vendor.dovecot/pvt/";
/// What is the server's.
const SERVERS: &str = "vendor/vendor.dovecot/pvt/server/";

/// Whether there is such a file.
pub(crate) fn are_in(root: &Path) -> Result<bool> {
    let path = root.join(FILE);
    disk::is_regular(&path).map_err(|error| control_file::failed("look at", &path, error))
}

/// What it has of the mailbox with this GUID, which is INBOX's for the server. Lines we
/// cannot read are passed over.
pub(crate) fn read(root: &Path, guid: [u8; 16], of: Annotated<'_>) -> Result<Vec<Annotation>> {
    let octets = control_file::read(&root.join(FILE))?.unwrap_or_default();
    let guid: String = guid.iter().map(|octet| format!("{octet:02x}")).collect();
    let mut lines = octets.split(|octet| *octet == b'\n');
    let mut found = Vec::new();
    while let (Some(key), Some(value)) = (lines.next(), lines.next()) {
        let name = std::str::from_utf8(key).ok().and_then(|key| {
            let (scope, rest) = key.split_once('/')?;
            let rest = rest.strip_prefix(&guid)?.strip_prefix('/')?;
            let entry = match of {
                Annotated::Server => rest.strip_prefix(SERVERS)?,
                Annotated::Mailbox(_) => Some(rest).filter(|rest| !rest.starts_with(DOVECOTS))?,
            };
            let scope = match scope {
                "priv" => "private",
                "shared" => "shared",
                _ => return None,
            };
            EntryName::new(&format!("/{scope}/{entry}")).ok()
        });
        if let (Some(name), Some(value)) = (name, unescape(value)) {
            found.push((name, value));
        }
    }
    Ok(found)
}

fn unescape(octets: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(octets.len());
    let mut octets = octets.iter();
    while let Some(octet) = octets.next() {
        plain.push(match octet {
            1 => match octets.next()? {
                b'0' => 0,
                b'1' => 1,
                b't' => b'\t',
                b'r' => b'\r',
                b'n' => b'\n',
                _ => return None,
            },
            octet => *octet,
        });
    }
    Some(plain)
}
