//! [`Transaction`]: the TRANSACTION state (RFC 1939 section 5).

use crate::access::ExclusiveAccess;
use crate::command::{Command, MessageNumber};
use crate::language::Language;
use crate::maildrop::{Column, Form, Listing, Maildrop};
use crate::policy::{Access, Device, Login, NulPolicy, Policy, SeenPolicy};
use crate::reply::{Code, Reply};
use crate::session::HeaderForm;
use crate::stuffing::{Extent, Stuffed, WithoutNul, replace_nul, stuff};
use crate::update::Update;
use std::io::Read;
use std::sync::Arc;
use store::message::{AsciiForm, StoredText};
use store::{Account, Error, FlagAction, Flags, Mailbox, MailboxName, Uid};

/// What a command answers.
pub enum Answer {
    /// One line.
    Line(Reply),
    /// One line, then a listing to be had with [`Transaction::next_piece`].
    Listing(Reply, Listing),
    /// One line, then a message.
    Message(Reply, Box<dyn Read + Send>),
    /// One line and a short message, as they are sent.
    Octets(Vec<u8>),
}

/// A message is short that is held in memory while it is sent.
const SHORT_OCTETS: u64 = 256 << 10;

/// So many messages are looked at at a time for headers in UTF-8.
const LOOKED_AT: usize = 200;

/// What opening a maildrop came to.
pub enum Opening {
    /// There are more messages to be looked at for headers in UTF-8, in the mailbox that is
    /// to be kept open until then.
    LooksAt(Arc<Mailbox>, Login),
    /// It is open, or the reply says why it is not.
    Ended(Result<Transaction, Reply>),
}

/// A maildrop opened for a user.
pub struct Transaction {
    account: Arc<Account>,
    mailbox: Arc<Mailbox>,
    maildrop: Maildrop,
    policy: Policy,
    device: Option<Device>,
    /// The message sent last, to be noted as fetched and marked `\Seen`.
    retrieved: Option<Uid>,
    /// What the device has fetched, in its order.
    fetched: Vec<Uid>,
    /// The message under way.
    pub(crate) stored: StoredText,
    access: Option<ExclusiveAccess>,
    language: Language,
}

impl Transaction {
    /// Opens the user's maildrop and freezes it, unless messages that came since the last
    /// time are to be looked at before and are more than a step's.
    pub fn open(login: Login, form: HeaderForm, language: Language) -> Opening {
        let mailbox = match login.account.mailbox(&MailboxName::inbox()) {
            Ok(mailbox) => mailbox,
            Err(error) => return Opening::Ended(Err(cannot_open(error))),
        };
        if form == HeaderForm::Ascii {
            match mailbox.look_for_surrogates(&mailbox.snapshot(), LOOKED_AT) {
                Ok(true) => {}
                Ok(false) => return Opening::LooksAt(mailbox, login),
                Err(error) => return Opening::Ended(Err(cannot_open(error))),
            }
        }
        Opening::Ended(Self::freeze(mailbox, login, form, language))
    }

    /// Freezes the maildrop as it is now; the reply says why it failed.
    fn freeze(
        mailbox: Arc<Mailbox>,
        login: Login,
        form: HeaderForm,
        language: Language,
    ) -> Result<Self, Reply> {
        let Login {
            account,
            policy,
            device,
            ..
        } = login;
        let access = match policy.access {
            Access::Shared => None,
            Access::Exclusive => match ExclusiveAccess::take(mailbox.id()) {
                Some(access) => Some(access),
                None => {
                    let text = "another session has the maildrop open";
                    return Err(Reply::err_with(Code::InUse, text));
                }
            },
        };
        // Up to date with the disk since it was opened, and with who had it until now.
        let snapshot = mailbox.snapshot();
        let unique_ids = mailbox
            .unique_id_listing_as(&snapshot, &policy.unique_ids)
            .map_err(cannot_open)?;
        let ledger = device
            .as_ref()
            .map(|device| account.device_ledger(&device.name))
            .transpose()
            .map_err(cannot_open)?;
        let mut maildrop = Maildrop::new(&snapshot, unique_ids, ledger.as_ref());
        if form == HeaderForm::Ascii {
            mailbox
                .look_for_surrogates(&snapshot, usize::MAX)
                .map_err(cannot_open)?;
            maildrop = maildrop.in_ascii(&mailbox.surrogates());
        }
        Ok(Self {
            account,
            mailbox,
            maildrop,
            policy,
            device,
            retrieved: None,
            fetched: Vec::new(),
            stored: StoredText::default(),
            access,
            language,
        })
    }

    /// Has replies be in another language.
    pub fn set_language(&mut self, language: Language) {
        self.language = language;
    }

    /// What the account's owner wants.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The reply that tells how much there is.
    pub fn summary(&self) -> Reply {
        let (count, size) = (self.maildrop.count(), self.maildrop.size_octets());
        Reply::ok(format!("maildrop has {count} messages ({size} octets)"))
    }

    /// Goes on with a listing.
    pub fn next_piece(&self, listing: Listing) -> (Vec<u8>, Option<Listing>) {
        listing.next_piece(&self.maildrop)
    }

    /// Runs a command. `QUIT`, `CAPA`, `UTF8` and `LANG` are the session's.
    pub fn run(&mut self, command: Command) -> Answer {
        match command {
            Command::Stat => {
                let (count, size) = (self.maildrop.count(), self.maildrop.size_octets());
                Answer::Line(Reply::ok(format!("{count} {size}")))
            }
            Command::List(None) => Answer::Listing(self.summary(), Listing::new(Column::Size)),
            Command::Uidl(None) => Answer::Listing(
                Reply::ok("unique-id listing follows"),
                Listing::new(Column::UniqueId),
            ),
            Command::List(Some(number)) => Answer::Line(match self.maildrop.message(number) {
                Some(message) => Reply::ok(format!("{number} {}", message.size_octets)),
                None => no_such_message(),
            }),
            Command::Uidl(Some(number)) => Answer::Line(match self.maildrop.message(number) {
                Some(message) => Reply::ok(format!("{number} {}", message.unique_id)),
                None => no_such_message(),
            }),
            Command::Retr(number) => self.retrieve(number, Extent::Whole),
            Command::Top { number, lines } => self.retrieve(number, Extent::BodyLines(lines)),
            Command::Dele(number) => Answer::Line(match self.maildrop.mark_deleted(number) {
                Some(()) => Reply::ok(format!("message {number} deleted")),
                None => no_such_message(),
            }),
            Command::Noop => Answer::Line(Reply::ok("nothing done")),
            Command::Rset => {
                self.maildrop.reset();
                Answer::Line(self.summary())
            }
            Command::Capa
            | Command::Stls
            | Command::Utf8
            | Command::Lang(_)
            | Command::AuthList
            | Command::Auth { .. }
            | Command::User(_)
            | Command::Pass(_)
            | Command::Quit => Answer::Line(Reply::err("not allowed after login")),
        }
    }

    fn retrieve(&mut self, number: MessageNumber, extent: Extent) -> Answer {
        let Some(message) = self.maildrop.message(number) else {
            return Answer::Line(no_such_message());
        };
        let (uid, size_octets) = (message.uid, message.size_octets);
        let answer = match (message.form, extent) {
            (Form::Withheld, _) => {
                let text = "this message needs UTF8";
                return Answer::Line(Reply::err_with(Code::Utf8, text));
            }
            (Form::AsStored, Extent::Whole) => self.send_whole(uid, size_octets),
            (form, extent) => {
                let reader = match form {
                    Form::Surrogate => self.read_surrogate(uid),
                    Form::AsStored | Form::Withheld => self.read_later(uid),
                };
                reader.map(|reader| {
                    let reply = match extent {
                        Extent::Whole => Reply::ok(format!("{size_octets} octets")),
                        Extent::BodyLines(_) => Reply::ok("top of message follows"),
                    };
                    self.message(reply, Stuffed::new(reader, extent))
                })
            }
        };
        match answer {
            Ok(answer) => {
                if extent == Extent::Whole {
                    self.retrieved = Some(uid);
                }
                answer
            }
            Err(Error::Expunged) => Answer::Line(Reply::err(format!(
                "message {number} was removed by another session"
            ))),
            Err(_) => Answer::Line(Reply::err_with(
                Code::SysTemp,
                format!("message {number} cannot be read now"),
            )),
        }
    }

    /// RETR: short messages at once, long ones when they are sent.
    fn send_whole(&mut self, uid: Uid, size_octets: u64) -> store::Result<Answer> {
        let reply = Reply::ok(format!("{size_octets} octets"));
        let opened = self.mailbox.open_message(uid)?;
        if !self.stored.read(&opened, SHORT_OCTETS)? {
            let whole = opened.whole()?;
            let reader = opened.reader(whole, 0, whole.octets)?;
            return Ok(self.message(reply, Stuffed::new(reader, Extent::Whole)));
        }
        let mut octets = reply.in_language(self.language).into_octets();
        stuff(self.stored.stored(), &mut octets);
        if self.policy.nul == NulPolicy::Replace {
            replace_nul(&mut octets);
        }
        Ok(Answer::Octets(octets))
    }

    fn message(&self, reply: Reply, text: impl Read + Send + 'static) -> Answer {
        Answer::Message(
            reply,
            match self.policy.nul {
                NulPolicy::Keep => Box::new(text),
                NulPolicy::Replace => Box::new(WithoutNul(text)),
            },
        )
    }

    fn read_later(&self, uid: Uid) -> store::Result<Box<dyn Read + Send>> {
        let opened = self.mailbox.open_message(uid)?;
        let whole = opened.whole()?;
        opened.reader(whole, 0, whole.octets)
    }

    fn read_surrogate(&self, uid: Uid) -> store::Result<Box<dyn Read + Send>> {
        let opened = self.mailbox.open_message(uid)?;
        let summary = self.mailbox.summary(uid)?;
        match opened.ascii_form(&summary)? {
            AsciiForm::Surrogate(surrogate) => surrogate.reader(&opened),
            // Not reached: a message never changes.
            AsciiForm::AsStored | AsciiForm::Impossible => self.read_later(uid),
        }
    }

    /// Gives back the memory that is of use while commands come one after another.
    pub fn rest(&mut self) {
        self.stored.rest();
    }

    /// Whether [`Transaction::output_was_sent`] may write something.
    pub fn notes_what_was_sent(&self) -> bool {
        self.retrieved.is_some() && self.policy.mark_seen == SeenPolicy::Mark
    }

    /// Whether nobody works on the mailbox.
    pub fn is_free(&self) -> bool {
        !self.mailbox.is_busy()
    }

    /// Whether QUIT has anything to do.
    pub fn has_update(&self) -> bool {
        self.device.is_some() || self.maildrop.has_deleted()
    }

    /// Takes note that all output was sent: a retrieved message is now fetched by the
    /// device, which QUIT notes, and seen, if the policy says so. Failing to store that
    /// is no failure of RETR.
    pub fn output_was_sent(&mut self) {
        let Some(uid) = self.retrieved.take() else {
            return;
        };
        if self.device.is_some() {
            self.fetched.push(uid);
        }
        match self.policy.mark_seen {
            SeenPolicy::Keep => {}
            SeenPolicy::Mark => {
                let _ = self
                    .mailbox
                    .store_flags(&[uid], FlagAction::Add, Flags::SEEN, &[], None);
            }
        }
    }

    /// Ends the state by QUIT, the only way into UPDATE.
    pub fn quit(mut self) -> Update {
        self.fetched.sort_unstable();
        self.fetched.dedup();
        Update {
            device: self.device,
            fetched: self.fetched,
            deleted: self.maildrop.deleted(),
            account: self.account,
            mailbox: self.mailbox,
            delete: self.policy.delete,
            _access: self.access,
        }
    }
}

fn cannot_open(error: Error) -> Reply {
    tracing::error!(%error, "the maildrop cannot be opened{}", error.remedy());
    match error.is_forbidden() {
        true => forbidden(),
        false => Reply::err_with(Code::SysTemp, "the maildrop cannot be opened now"),
    }
}

/// That the maildrop is there, and the system does not let the server have it: no client
/// that tries again changes that (RFC 3206 section 4).
pub fn forbidden() -> Reply {
    Reply::err_with(
        Code::SysPerm,
        "the server may not use the maildrop, its log says what to do",
    )
}

fn no_such_message() -> Reply {
    Reply::err("no such message")
}
