//! Runs a command: checks its rule, gives it what it needs, ends it.

use crate::capability::Capability;
use crate::client_id;
use crate::commands::search::Searcher;
use crate::commands::store_flags;
use crate::commands::{
    Outcome, Ran, batches, copy, fetch, international, list, mailboxes, metadata, multisearch,
    search, select,
};
use crate::dialect::{Messages, Text};
use crate::grammar::command::{Command, Esearch, Notify, Select, Tagged};
use crate::limit::MessageLimit;
use crate::notify::Deed;
use crate::progress::Progress;
use crate::rules::{self, States, Told};
use crate::session::{ImapSession, Work};
use crate::view::{Access, Look};
use std::sync::Arc;

impl ImapSession {
    /// Refuses a command that uses message numbers where there are none (RFC 9586 section 3).
    pub(crate) fn need_uids(&self, command: &Command) -> Result<(), Outcome> {
        let is_by_uid = self.enabled.dialect().messages == Messages::ByUid;
        match is_by_uid && command.uses_sequence_numbers() {
            true => Err(Outcome::bad(
                "[UIDREQUIRED] Message numbers are not allowed once UIDONLY is enabled",
            )),
            false => Ok(()),
        }
    }

    /// Runs a whole command.
    pub(crate) fn run(&mut self, Tagged { tag, mut command }: Tagged) {
        if let Some(text) = rules::refusal(&command, self.on()) {
            return self.finish(&tag, Told::Nothing, &Outcome::Bad(text));
        }
        self.progress = Progress::new(self.now, self.options.progress_every);
        let rule = rules::of(&command);
        let _acting = self.act();
        self.expunging = matches!(
            command,
            Command::Expunge | Command::UidExpunge(_) | Command::Move { .. }
        );
        self.note_wanted();
        let refusal = match rule.states {
            States::Any => None,
            States::NotAuthenticated => self.login.as_ref().map(|_| "You are logged in already"),
            States::Authenticated | States::Selected if self.login.is_none() => {
                Some("Log in first")
            }
            States::Selected if self.view.is_none() => Some("Select a mailbox first"),
            States::Authenticated | States::Selected => None,
        };
        if let Some(text) = refusal {
            return self.finish(&tag, Told::Nothing, &Outcome::bad(text));
        }
        if let Err(outcome) = self.insert_filters(&mut command) {
            return self.finish(&tag, rule.told, &outcome);
        }
        if let Err(outcome) = self.need_uids(&command) {
            return self.finish(&tag, Told::Nothing, &outcome);
        }
        let supplied = self.normalise_names(&mut command);
        let deed = self.deed(&command);
        let ran = match command {
            Command::Logout => {
                self.out.text("* BYE ").human("Logging out").crlf();
                self.finish(&tag, Told::Nothing, &Outcome::ok("LOGOUT completed"));
                return self.end();
            }
            Command::Starttls => return self.start_tls(&tag),
            Command::Id(fields) if client_id::is_background(&fields) => {
                return self.ask_load(tag);
            }
            Command::Compress(algorithm) => return self.compress(&tag, &algorithm),
            Command::Unauthenticate => return self.unauthenticate(&tag),
            Command::Login { user, password } => return self.log_in(tag, user, password),
            Command::Authenticate { mechanism, initial } => {
                return self.authenticate(tag, &mechanism, initial.as_deref());
            }
            Command::Idle => {
                self.out.text("+ idling").crlf();
                self.work = Work::Idling { tag };
                self.tell(Told::All, Look::Now);
                if let Some(view) = &self.view {
                    view.mailbox().rest();
                }
                return;
            }
            Command::Esearch(arguments) => self.esearch(&tag, arguments),
            Command::Notify(Notify::None) => {
                self.notify_none();
                Ok(Outcome::ok("NOTIFY completed"))
            }
            Command::Notify(Notify::Set { status, groups }) => {
                match self.notify_set(status, &groups) {
                    Ok(notifying) => {
                        self.work = match self.work {
                            Work::Over => return,
                            _ => Work::Notifying { tag, notifying },
                        };
                        return;
                    }
                    Err(outcome) => Err(outcome),
                }
            }
            Command::Noop | Command::Check => {
                self.tell(rule.told, Look::Now);
                Ok(Outcome::Ok(format!("{} completed", rule.name)))
            }
            Command::UidBatches(asked) => match &mut self.view {
                Some(view) => batches::uid_batches(view, asked, &tag, &mut self.out),
                None => Err(Outcome::bad("Select a mailbox first")),
            },
            command => self.run_plain(command, supplied.as_deref()),
        };
        if matches!(self.work, Work::Over) {
            return;
        }
        if let Some(deed) = deed {
            let deed = match &ran {
                Ok(_) => deed,
                Err(_) => Deed::Other,
            };
            self.note_names(&deed);
        }
        match ran {
            Ok(Outcome::Fetching(fetching)) => {
                self.work = Work::Fetching {
                    tag,
                    told: rule.told,
                    fetching,
                };
            }
            Ok(Outcome::Changing(changing)) => {
                self.work = Work::Changing {
                    tag,
                    told: rule.told,
                    changing,
                };
            }
            Ok(Outcome::MultiSearching(searching)) => {
                self.work = Work::MultiSearching {
                    tag,
                    told: rule.told,
                    searching,
                };
            }
            Ok(Outcome::Searching(searching)) => {
                self.work = Work::Searching {
                    tag,
                    told: rule.told,
                    searching,
                };
            }
            Ok(outcome) | Err(outcome) => self.finish(&tag, rule.told, &outcome),
        }
    }

    /// Runs a command that ends by itself.
    fn run_plain(&mut self, command: Command, supplied: Option<&str>) -> Ran {
        let (command, examine) = match command {
            Command::Select(arguments) => (arguments, Access::ReadWrite),
            Command::Examine(arguments) => (arguments, Access::ReadOnly),
            command => {
                let was_aware = self.enabled.condstore();
                let ran = self.run_in_state(command, supplied);
                if let Some(view) = &self.view
                    && self.enabled.condstore()
                    && !was_aware
                {
                    // RFC 7162 section 3.1: the first command that enables CONDSTORE.
                    view.write_highest_modseq(&mut self.out);
                }
                return ran;
            }
        };
        let supplied = supplied.unwrap_or(&command.mailbox);
        self.select(&command, supplied, examine)
    }

    /// Brings names in UTF-8 into Normalization Form C, but for mailboxes that are there
    /// under the very name (RFC 9051 section 5.1). Gives the first name of a command of
    /// which one was changed as the client wrote it.
    pub(crate) fn normalise_names(&self, command: &mut Command) -> Option<String> {
        let login = self.login.as_ref()?;
        if self.enabled.dialect().text == Text::Ascii {
            return None;
        }
        let mut names = command.mailboxes_mut();
        let supplied = names.first().map(|name| name.to_string());
        let mut is_changed = false;
        for name in &mut names {
            if let Some(normal) = login.account.normalised(name) {
                **name = normal;
                is_changed = true;
            }
        }
        supplied.filter(|_| is_changed)
    }

    fn select(&mut self, arguments: &Select, supplied: &str, access: Access) -> Ran {
        if arguments.qresync.is_some() && !self.enabled.qresync() {
            return Err(Outcome::bad("QRESYNC is not enabled"));
        }
        let account = self.account()?;
        self.note_left();
        if self.view.take().is_some() {
            self.out
                .text("* OK [CLOSED] ")
                .human("Previous mailbox is closed")
                .crlf();
        }
        let on = self.on();
        let wake = (self.options.waker.clone(), self.now);
        let (view, outcome) = select::select(
            (&account, supplied),
            arguments,
            access,
            (on, &mut self.enabled),
            wake,
            &mut self.out,
        )?;
        self.view = Some(view);
        Ok(outcome)
    }

    pub(crate) fn account(&self) -> Result<Arc<store::Account>, Outcome> {
        match &self.login {
            Some(login) => Ok(Arc::clone(&login.account)),
            None => Err(not_logged_in()),
        }
    }

    fn run_in_state(&mut self, command: Command, supplied: Option<&str>) -> Ran {
        match command {
            Command::Capability => {
                let capabilities = self.capabilities();
                self.out.text("* CAPABILITY ").text(&capabilities).crlf();
                Ok(Outcome::ok("CAPABILITY completed"))
            }
            Command::Id(_) => Ok(self.identify()),
            Command::Language(ranges) => self.set_language(&ranges),
            Command::Comparator(orders) => {
                international::comparator(&orders, &mut self.comparator, &mut self.out)
            }
            Command::Enable(names) => Ok(self.enable(&names)),
            Command::Namespace => mailboxes::namespace(&*self.account()?, &mut self.out),
            Command::Create {
                mailbox,
                special_use,
            } => {
                let (account, on) = (self.account()?, self.on());
                let told = (on, &mut self.out);
                mailboxes::create((&account, supplied), &mailbox, special_use, told)
            }
            Command::Delete(mailbox) => {
                let account = self.account()?;
                let outcome = mailboxes::delete((&account, supplied), &mailbox, &mut self.out)?;
                if self.view.as_ref().is_some_and(crate::view::View::is_gone) {
                    self.view = None;
                    self.out
                        .text("* OK [CLOSED] ")
                        .human("The selected mailbox was deleted")
                        .crlf();
                }
                Ok(outcome)
            }
            Command::Rename { from, to } => {
                let account = self.account()?;
                mailboxes::rename((&account, supplied), &from, &to, &mut self.out)
            }
            Command::Subscribe(mailbox) => mailboxes::subscribe(&*self.account()?, &mailbox),
            Command::Unsubscribe(mailbox) => mailboxes::unsubscribe(&*self.account()?, &mailbox),
            Command::List(arguments) => {
                let limit = self.options.append_limit_octets;
                let on = self.on();
                match &self.login {
                    Some(login) => list::list((login, limit), &arguments, on, &mut self.out),
                    None => Err(not_logged_in()),
                }
            }
            Command::Lsub { reference, pattern } => {
                list::lsub(&*self.account()?, &reference, &pattern, &mut self.out)
            }
            Command::Status { mailbox, items } => {
                if items.contains(&crate::grammar::command::StatusItem::HighestModSeq) {
                    self.enabled.enable_condstore();
                }
                let limit = self.options.append_limit_octets;
                mailboxes::status((&*self.account()?, limit), &mailbox, &items, &mut self.out)
            }
            Command::GetMetadata(arguments) => match &self.login {
                Some(login) => {
                    let server = &self.options.server_metadata;
                    metadata::get(login, server, &arguments, &mut self.out)
                }
                None => Err(not_logged_in()),
            },
            Command::SetMetadata(arguments) => match &self.login {
                Some(login) => {
                    let filters = self.reading_of_filters();
                    metadata::set(login, &arguments, filters, &mut self.out)
                }
                None => Err(not_logged_in()),
            },
            Command::Append { .. } | Command::Replace(_) => self.append_at_once(&command, supplied),
            Command::Close | Command::Unselect => self.close(&command),
            Command::Expunge
            | Command::UidExpunge(_)
            | Command::Search(_)
            | Command::CancelUpdate(_)
            | Command::Sort(_)
            | Command::Thread(_)
            | Command::Fetch(_)
            | Command::Store(_)
            | Command::Copy { .. }
            | Command::Move { .. } => self.run_selected(command),
            // Run by the callers.
            Command::Noop
            | Command::Check
            | Command::Logout
            | Command::Starttls
            | Command::Compress(_)
            | Command::Unauthenticate
            | Command::Authenticate { .. }
            | Command::Login { .. }
            | Command::Select(_)
            | Command::Examine(_)
            | Command::Esearch(_)
            | Command::UidBatches(_)
            | Command::Notify(_)
            | Command::Idle => Err(Outcome::bad("Not possible now")),
        }
    }

    /// What a command does to names and subscriptions, once it is done.
    fn deed(&self, command: &Command) -> Option<Deed> {
        let parse = |name: &str| self.login.as_ref()?.account.parse_name(name).ok();
        let named = match command {
            Command::Create { mailbox, .. } => parse(mailbox).map(Deed::Created),
            Command::Rename { from, .. } => parse(from).map(Deed::Renamed),
            Command::Delete(_) | Command::Subscribe(_) | Command::Unsubscribe(_) => None,
            _ => return None,
        };
        Some(named.unwrap_or(Deed::Other))
    }

    /// CLOSE expunges without telling (RFC 3501 section 6.4.2), UNSELECT does not
    /// (RFC 3691).
    fn close(&mut self, command: &Command) -> Ran {
        self.note_left();
        match &self.view {
            Some(view)
                if matches!(command, Command::Close) && view.access() == Access::ReadWrite =>
            {
                let closing = store_flags::close(view);
                self.note_closing();
                closing
            }
            _ => {
                self.view = None;
                Ok(Outcome::ok("Mailbox closed"))
            }
        }
    }

    fn run_selected(&mut self, command: Command) -> Ran {
        let (account, limit) = (self.account()?, self.message_limit());
        let Some(view) = &mut self.view else {
            return Err(Outcome::bad("Select a mailbox first"));
        };
        let (enabled, out) = (&mut self.enabled, &mut self.out);
        let comparator = self.comparator;
        match command {
            Command::Search(arguments) => search::search(
                view,
                &arguments,
                Searcher {
                    enabled,
                    comparator,
                    limit,
                },
            ),
            Command::Sort(arguments) => search::sort(
                view,
                &arguments,
                Searcher {
                    enabled,
                    comparator,
                    limit,
                },
            ),
            Command::Thread(arguments) => search::thread(
                view,
                &arguments,
                Searcher {
                    enabled,
                    comparator,
                    limit,
                },
            ),
            Command::CancelUpdate(tags) => search::cancel_update(view, &tags),
            Command::Expunge => store_flags::expunge(view, None, limit),
            Command::UidExpunge(set) => store_flags::expunge(view, Some(&set), limit),
            Command::Fetch(arguments) => fetch::fetch(view, &arguments, (enabled, limit), out),
            Command::Store(arguments) => store_flags::store(view, arguments, (enabled, limit)),
            Command::Copy {
                set,
                numbers,
                mailbox,
            } => copy::copy(&account, view, (&set, numbers), &mailbox, limit),
            Command::Move {
                set,
                numbers,
                mailbox,
            } => copy::move_messages(&account, view, (&set, numbers), &mailbox, limit),
            _ => Err(Outcome::bad("Not possible now")),
        }
    }

    fn esearch(&mut self, tag: &str, arguments: Esearch) -> Ran {
        let was_aware = self.enabled.condstore();
        let account = self.account()?;
        let searcher = Searcher {
            comparator: self.comparator,
            enabled: &mut self.enabled,
            limit: MessageLimit::None,
        };
        let view = self.view.as_ref();
        let ran = multisearch::esearch(account, (view, tag), arguments, searcher);
        if let (Some(view), true) = (view, self.enabled.condstore() && !was_aware) {
            // RFC 7162 section 3.1.
            view.write_highest_modseq(&mut self.out);
        }
        ran
    }

    /// LANGUAGE; who is logged in is told the namespaces, which may have names in the new
    /// language (RFC 5255 section 3.4).
    fn set_language(&mut self, ranges: &[String]) -> Ran {
        let outcome = international::language(ranges, &mut self.out)?;
        if let (Some(login), false) = (&self.login, ranges.is_empty()) {
            mailboxes::namespace(&login.account, &mut self.out)?;
        }
        Ok(outcome)
    }

    /// ENABLE (RFC 5161): what is unknown or off is passed over.
    fn enable(&mut self, names: &[String]) -> Outcome {
        let mut told = String::new();
        for name in names {
            match name.as_str() {
                "CONDSTORE" if self.has(Capability::Condstore) => self.enabled.enable_condstore(),
                "QRESYNC" if self.has(Capability::Qresync) => self.enabled.enable_qresync(),
                "IMAP4REV2" if self.has(Capability::Imap4rev2) => self.enabled.enable_rev2(),
                "UTF8=ACCEPT" if self.has(Capability::Utf8Accept) => {
                    self.enabled.enable_utf8_accept();
                }
                "UIDONLY" if self.has(Capability::UidOnly) => self.enabled.enable_uid_only(),
                "METADATA" | "METADATA-SERVER" if self.has(Capability::Metadata) => {
                    self.enabled.enable_metadata();
                    self.listen();
                }
                _ => continue,
            }
            told.push(' ');
            told.push_str(match name.as_str() {
                "IMAP4REV2" => "IMAP4rev2",
                name => name,
            });
        }
        self.out.speak(self.enabled.dialect());
        self.out.text("* ENABLED").text(&told).crlf();
        Outcome::ok("ENABLE completed")
    }
}

fn not_logged_in() -> Outcome {
    Outcome::bad("Log in first")
}
