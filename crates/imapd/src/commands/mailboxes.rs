//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS, NAMESPACE.

use super::{Outcome, Ran, list};
use crate::capability::{Capabilities, Capability};
use crate::dialect::Text;
use crate::grammar::command::StatusItem;
use crate::response::{Writer, show_identifier};
use store::{Account, SpecialUse};

/// CREATE (RFC 3501 section 6.3.3, RFC 6154 section 3); tells the mailbox's identifier
/// where that is on (RFC 8474 section 4.1). Where the name was normalised, `supplied` is the
/// client's.
pub fn create(
    (account, supplied): (&Account, Option<&str>),
    name: &str,
    special_use: Option<SpecialUse>,
    (on, out): (Capabilities, &mut Writer),
) -> Ran {
    let name = account.parse_name(name)?;
    let mailbox = account.create(&name, special_use)?;
    list::write_normalised(account, &name, supplied, out)?;
    if !on.has(Capability::ObjectId) {
        return Ok(Outcome::ok("CREATE completed"));
    }
    let id = show_identifier(&mailbox.guid());
    Ok(Outcome::Ok(format!("[MAILBOXID ({id})] CREATE completed")))
}

/// DELETE (RFC 3501 section 6.3.4). Where the name was normalised, `supplied` is the
/// client's.
pub fn delete((account, supplied): (&Account, Option<&str>), name: &str, out: &mut Writer) -> Ran {
    let name = account.parse_name(name)?;
    if name.is_inbox() {
        return Err(Outcome::no("[CANNOT] INBOX cannot be deleted"));
    }
    account.delete(&name)?;
    list::write_normalised(account, &name, supplied, out)?;
    Ok(Outcome::ok("DELETE completed"))
}

/// RENAME (RFC 3501 section 6.3.5). Where a name was normalised, `supplied` is what the
/// client called the mailbox: it is told what became of it (RFC 9051 section 6.3.6).
pub fn rename(
    (account, supplied): (&Account, Option<&str>),
    from: &str,
    to: &str,
    out: &mut Writer,
) -> Ran {
    let to = account.parse_name(to)?;
    account.rename(&account.parse_name(from)?, &to)?;
    list::write_normalised(account, &to, supplied, out)?;
    Ok(Outcome::ok("RENAME completed"))
}

/// SUBSCRIBE (RFC 3501 section 6.3.6).
pub fn subscribe(account: &Account, name: &str) -> Ran {
    account.set_subscribed(&account.parse_name(name)?, true)?;
    Ok(Outcome::ok("SUBSCRIBE completed"))
}

/// UNSUBSCRIBE (RFC 3501 section 6.3.7).
pub fn unsubscribe(account: &Account, name: &str) -> Ran {
    account.set_subscribed(&account.parse_name(name)?, false)?;
    Ok(Outcome::ok("UNSUBSCRIBE completed"))
}

/// STATUS (RFC 3501 section 6.3.10, RFC 7162, RFC 7889, RFC 8438).
pub fn status(
    (account, append_limit_octets): (&Account, u64),
    name: &str,
    items: &[StatusItem],
    out: &mut Writer,
) -> Ran {
    let name = account.parse_name(name)?;
    let status = account.status(&name)?;
    out.status(
        &account.show_name(&name),
        (&status, append_limit_octets),
        items,
    );
    Ok(Outcome::ok("STATUS completed"))
}

/// NAMESPACE (RFC 2342).
pub fn namespace(account: &Account, out: &mut Writer) -> Ran {
    let layout = account.layout();
    let prefix = match out.dialect().text {
        Text::Ascii => store::modified_utf7::encode(&layout.prefix),
        Text::Utf8 => layout.prefix.clone(),
    };
    out.text("* NAMESPACE ((")
        .string(prefix.as_bytes())
        .text(" ")
        .string(layout.delimiter.to_string().as_bytes())
        .text(")) NIL NIL")
        .crlf();
    Ok(Outcome::ok("NAMESPACE completed"))
}
