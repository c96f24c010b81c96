//! What CAPABILITY announces (RFC 3501 section 7.2.1): one row for each capability.
//!
//! What is switched off is neither announced nor accepted: [`crate::rules`] tells what a
//! command and its arguments need.

use crate::dialect::{Dialect, Messages, Revision, Text};
use crate::grammar::framing::LITERAL_MINUS_OCTETS;
use crate::limit::MessageLimit;
use crate::session::StartTls;
use wire::capability::{self, Capability as _, Set};
use wire::sasl::{Mechanism, Mechanisms};
use wire::{Security, capability_table};

capability_table! {
    /// An IMAP capability.
    Capability, fixed: [Imap4rev1, LoginDisabled];
    Imap4rev1: "IMAP4rev1", [3501], "0.1", Always, [], "the protocol";
    Imap4rev2: "IMAP4rev2", [9051], "0.2", Always, [SaslIr, LiteralMinus, Enable, Idle, Namespace, Unselect, UidPlus, ListExtended, ListStatus, SpecialUse, Move, Esearch, SearchRes, StatusSize, Binary], "beside IMAP4rev1, for who enables it";
    SaslIr: "SASL-IR", [4959], "0.1", Always, [], "initial response of AUTHENTICATE";
    LiteralMinus: "LITERAL-", [7888], "0.1", Always, [], "literals of up to 4096 octets need not wait";
    LiteralPlus: "LITERAL+", [7888], "0.1", AfterLogin, [], "instead of LITERAL- where `literal_plus` is set";
    Id: "ID", [2971], "0.1", Always, [], "tells the name only";
    Enable: "ENABLE", [5161], "0.1", Always, [], "";
    Idle: "IDLE", [2177], "0.1", Always, [], "";
    Language: "LANGUAGE", [5255], "0.2", Always, [Namespace], "English, Simplified Chinese";
    StartTls: "STARTTLS", [3501], "0.1", BeforeLogin, [], "where a certificate is configured and TLS is not on";
    LoginDisabled: "LOGINDISABLED", [3501], "0.1", BeforeLogin, [], "where passwords need TLS first";
    AuthExternal: "AUTH=EXTERNAL", [4422], "0.2", BeforeLogin, [], "over TLS, to a client whose certificate names a user";
    AuthScramSha256Plus: "AUTH=SCRAM-SHA-256-PLUS", [7677, 9266], "0.2", BeforeLogin, [], "over TLS 1.3, bound to it by tls-exporter or tls-server-end-point";
    AuthScramSha1Plus: "AUTH=SCRAM-SHA-1-PLUS", [5802, 9266], "0.2", BeforeLogin, [], "over TLS 1.3, bound to it by tls-exporter or tls-server-end-point";
    AuthScramSha256: "AUTH=SCRAM-SHA-256", [7677], "0.1", BeforeLogin, [], "where every password has keys for it";
    AuthScramSha1: "AUTH=SCRAM-SHA-1", [5802], "0.2", BeforeLogin, [], "where every password has keys for it";
    AuthOAuthBearer: "AUTH=OAUTHBEARER", [7628], "0.2", BeforeLogin, [], "over TLS, where `oauth` is set";
    AuthXOAuth2: "AUTH=XOAUTH2", [], "0.2", BeforeLogin, [], "over TLS, where `oauth` is set; as Google defined it";
    AuthPlain: "AUTH=PLAIN", [4616], "0.1", BeforeLogin, [], "";
    AuthLogin: "AUTH=LOGIN", [], "0.1", BeforeLogin, [], "for old clients";
    Namespace: "NAMESPACE", [2342], "0.1", AfterLogin, [], "one, personal";
    Unselect: "UNSELECT", [3691], "0.1", AfterLogin, [], "";
    UidPlus: "UIDPLUS", [4315], "0.1", AfterLogin, [], "";
    MultiAppend: "MULTIAPPEND", [3502], "0.1", AfterLogin, [], "all or none";
    Children: "CHILDREN", [3348], "0.1", AfterLogin, [], "";
    ListExtended: "LIST-EXTENDED", [5258], "0.1", AfterLogin, [], "";
    ListStatus: "LIST-STATUS", [5819], "0.1", AfterLogin, [ListExtended], "";
    SpecialUse: "SPECIAL-USE", [6154, 8457], "0.1", AfterLogin, [], "Archive, Drafts, Flagged, Important, Junk, Sent, Trash";
    CreateSpecialUse: "CREATE-SPECIAL-USE", [6154], "0.1", AfterLogin, [SpecialUse], "one use a mailbox";
    Move: "MOVE", [6851], "0.1", AfterLogin, [], "";
    Condstore: "CONDSTORE", [7162], "0.1", AfterLogin, [Enable], "";
    Qresync: "QRESYNC", [7162], "0.1", AfterLogin, [Condstore], "";
    Esearch: "ESEARCH", [4731], "0.1", AfterLogin, [], "";
    SearchRes: "SEARCHRES", [5182], "0.1", AfterLogin, [Esearch], "";
    Within: "WITHIN", [5032], "0.1", AfterLogin, [], "";
    Sort: "SORT", [5256], "0.2", AfterLogin, [], "";
    SortDisplay: "SORT=DISPLAY", [5957], "0.2", AfterLogin, [Sort], "";
    ThreadOrderedSubject: "THREAD=ORDEREDSUBJECT", [5256], "0.2", AfterLogin, [], "";
    ThreadReferences: "THREAD=REFERENCES", [5256], "0.2", AfterLogin, [], "of long References the first and the last 99";
    ThreadRefs: "THREAD=REFS", [], "0.2", AfterLogin, [], "draft-ietf-morg-inthread: without subjects, the newest thread last";
    Partial: "PARTIAL", [9394], "0.2", AfterLogin, [Esearch], "";
    Esort: "ESORT", [5267], "0.2", AfterLogin, [Esearch, Sort], "";
    ContextSearch: "CONTEXT=SEARCH", [5267], "0.2", AfterLogin, [Partial], "8 are kept up to date in a session";
    ContextSort: "CONTEXT=SORT", [5267], "0.2", AfterLogin, [Partial, Esort], "of the same 8";
    I18nLevel2: "I18NLEVEL=2", [5255], "0.2", AfterLogin, [], "i;unicode-casemap (SEARCH finds `ß` by `ss` as well), i;ascii-casemap, i;octet";
    MultiSearch: "MULTISEARCH", [7377], "0.2", AfterLogin, [Esearch], "";
    SearchFuzzy: "SEARCH=FUZZY", [6203], "0.2", AfterLogin, [], "words in any order; each as it is, as the beginning of a word (from 3 letters) or with one letter off (from 5)";
    StatusSize: "STATUS=SIZE", [8438], "0.1", AfterLogin, [], "";
    UidOnly: "UIDONLY", [9586], "0.2", AfterLogin, [Enable], "";
    UidBatches: "UIDBATCHES", [10022], "0.2", AfterLogin, [], "the same again only when half a batch came or went";
    MessageLimit: "MESSAGELIMIT", [9738], "0.2", AfterLogin, [], "`limits.messages_per_command`";
    SaveLimit: "SAVELIMIT", [9738], "0.2", AfterLogin, [], "`limits.messages_per_save`";
    Utf8Accept: "UTF8=ACCEPT", [9755], "0.2", AfterLogin, [Enable], "headers that are not ASCII are taken from others too, unless `clients: { append_8bit_headers: false }`";
    Metadata: "METADATA", [5464], "0.2", AfterLogin, [Enable], "values of 64 KiB, 100 shared and 100 private entries a mailbox";
    MetadataServer: "METADATA-SERVER", [5464], "0.2", AfterLogin, [Metadata], "`server_metadata` has comment and admin";
    ListMetadata: "LIST-METADATA", [9590], "0.2", AfterLogin, [ListExtended, Metadata], "";
    Filters: "FILTERS", [5466], "0.2", AfterLogin, [Metadata], "one may name another, 10 deep";
    Notify: "NOTIFY", [5465], "0.2", AfterLogin, [], "all events but AnnotationChange; 2000 mailboxes a session";
    AppendLimit: "APPENDLIMIT", [7889], "0.1", AfterLogin, [], "`limits.append_octets`";
    CompressDeflate: "COMPRESS=DEFLATE", [4978], "0.2", AfterLogin, [], "until it is on";
    InProgress: "INPROGRESS", [9585], "0.2", AfterLogin, [], "of commands that take longer than ten seconds, and every ten seconds (`clients.progress_seconds`); SEARCH, SORT, THREAD, COPY, MOVE, STORE and EXPUNGE tell how far they are";
    Unauthenticate: "UNAUTHENTICATE", [8437], "0.2", AfterLogin, [], "ends compression too";
    Binary: "BINARY", [3516], "0.2", AfterLogin, [], "binary parts of an APPEND are kept in base64";
    Catenate: "CATENATE", [4469], "0.2", AfterLogin, [], "messages of one's own mailboxes";
    UrlPartial: "URL-PARTIAL", [5550], "0.2", AfterLogin, [Catenate], "";
    Replace: "REPLACE", [8508], "0.2", AfterLogin, [], "";
    Preview: "PREVIEW", [8970], "0.2", AfterLogin, [], "of plain text and HTML; what is encrypted has none";
    SaveDate: "SAVEDATE", [8514], "0.2", AfterLogin, [], "the time that a file's name begins with";
    ObjectId: "OBJECTID", [8474], "0.2", AfterLogin, [], "THREADID is always NIL";
}

/// A set of IMAP capabilities.
pub type Capabilities = Set<Capability>;

/// What decides what is announced, besides what is on.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// Whether the client is logged in.
    pub after_login: bool,
    /// How the connection is protected.
    pub security: Security,
    /// Whether STARTTLS can be had.
    pub starttls: StartTls,
    /// What a client may log in with now.
    pub mechanisms: Mechanisms,
    /// The biggest message that is taken, in octets.
    pub append_limit_octets: u64,
    /// On how many messages one command may work.
    pub message_limit: MessageLimit,
    /// Whether the connection is compressed.
    pub compressed: Compressed,
}

/// Whether a connection is compressed (RFC 4978).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compressed {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// What is announced now of the capabilities that are on.
pub fn announce(on: Capabilities, circumstances: &Circumstances) -> String {
    let mut text = String::new();
    for row in Capability::TABLE {
        if on.has(row.capability)
            && row.announced.is_told(circumstances.after_login)
            && is_told(row.capability, on, circumstances)
        {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(row.name);
            let limit = match (row.capability, circumstances.message_limit) {
                (Capability::AppendLimit, _) => Some(circumstances.append_limit_octets),
                (Capability::MessageLimit, MessageLimit::EveryCommand(limit))
                | (Capability::SaveLimit, MessageLimit::Saves(limit)) => Some(limit.get().into()),
                _ => None,
            };
            if let Some(limit) = limit {
                text.push_str(&format!("={limit}"));
            }
        }
    }
    text
}

/// Whether circumstances allow one that is on, in the phase its row tells.
fn is_told(capability: Capability, on: Capabilities, circumstances: &Circumstances) -> bool {
    let passwords = circumstances.security != Security::Plain;
    match capability {
        // RFC 7888 section 5: one of both at a time.
        Capability::LiteralMinus => !(circumstances.after_login && on.has(Capability::LiteralPlus)),
        Capability::StartTls => {
            circumstances.security != Security::Tls && circumstances.starttls == StartTls::Offered
        }
        Capability::MessageLimit => {
            matches!(circumstances.message_limit, MessageLimit::EveryCommand(_))
        }
        Capability::SaveLimit => matches!(circumstances.message_limit, MessageLimit::Saves(_)),
        Capability::LoginDisabled => !passwords,
        Capability::CompressDeflate => circumstances.compressed == Compressed::No,
        _ => match mechanism_of(capability) {
            Some(mechanism) => circumstances.mechanisms.contains(mechanism),
            None => true,
        },
    }
}

/// How big a literal may be that does not wait (RFC 7888); `None` where none is taken.
pub fn unasked_octets(on: Capabilities, after_login: bool) -> Option<u64> {
    if after_login && on.has(Capability::LiteralPlus) {
        return Some(u64::MAX);
    }
    on.has(Capability::LiteralMinus)
        .then_some(LITERAL_MINUS_OCTETS)
}

/// The mechanism whose capability it is.
fn mechanism_of(capability: Capability) -> Option<Mechanism> {
    let row = Capability::TABLE.get(capability.place())?;
    Mechanism::parse(row.name.strip_prefix("AUTH=")?)
}

/// Whether a SASL mechanism is on.
pub fn has_mechanism(on: Capabilities, mechanism: Mechanism) -> bool {
    let row = capability::find::<Capability>(&format!("AUTH={}", mechanism.name()));
    row.is_some_and(|row| on.has(row.capability))
}

/// What ENABLE can switch on, and what is on (RFC 5161, RFC 7162).
#[derive(Debug, Clone, Copy, Default)]
pub struct Enabled {
    condstore: bool,
    qresync: bool,
    utf8_accept: bool,
    dialect: Dialect,
    metadata: bool,
}

impl Enabled {
    /// Whether responses carry mod-sequences.
    pub fn condstore(self) -> bool {
        self.condstore
    }
    /// Whether the client may resynchronise.
    pub fn qresync(self) -> bool {
        self.qresync
    }
    /// Whether expunges are told as VANISHED (RFC 7162 section 3.2.10, RFC 9586 section
    /// 3.4).
    pub fn vanished(self) -> bool {
        self.qresync || self.dialect.messages == Messages::ByUid
    }
    /// What responses are to be like.
    pub fn dialect(self) -> Dialect {
        self.dialect
    }
    /// Whether responses are those of IMAP4rev2.
    pub fn rev2(self) -> bool {
        self.dialect.revision == Revision::Rev2
    }
    /// Whether UTF8=ACCEPT was enabled by that name.
    pub fn utf8_accept(self) -> bool {
        self.utf8_accept
    }
    /// Switches CONDSTORE on.
    pub fn enable_condstore(&mut self) {
        self.condstore = true;
    }
    /// Whether changes of metadata by others are told (RFC 5464 section 4.1).
    pub fn metadata(self) -> bool {
        self.metadata
    }
    /// Has changes of metadata told.
    pub fn enable_metadata(&mut self) {
        self.metadata = true;
    }
    /// Switches QRESYNC on, and CONDSTORE with it.
    pub fn enable_qresync(&mut self) {
        self.condstore = true;
        self.qresync = true;
    }
    /// Switches IMAP4rev2 on (RFC 9051), and UTF-8 with it.
    pub fn enable_rev2(&mut self) {
        self.dialect.revision = Revision::Rev2;
        self.dialect.text = Text::Utf8;
    }
    /// Switches UTF8=ACCEPT on (RFC 9755).
    pub fn enable_utf8_accept(&mut self) {
        self.utf8_accept = true;
        self.dialect.text = Text::Utf8;
    }
    /// Switches UIDONLY on (RFC 9586).
    pub fn enable_uid_only(&mut self) {
        self.dialect.messages = Messages::ByUid;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::sasl::{Digest, Offer};

    fn announced(
        on: Capabilities,
        security: Security,
        mechanisms: Mechanisms,
        after_login: bool,
    ) -> String {
        let offer = Offer {
            mechanisms,
            ..Offer::default()
        };
        let circumstances = Circumstances {
            after_login,
            security,
            starttls: StartTls::Offered,
            mechanisms: offer
                .only(|mechanism| has_mechanism(on, mechanism))
                .on(security),
            append_limit_octets: 7,
            message_limit: MessageLimit::None,
            compressed: Compressed::No,
        };
        format!(" {} ", announce(on, &circumstances))
    }

    #[test]
    fn passwords_are_not_offered_without_protection() {
        let all = Capabilities::all();
        let with_keys = Mechanisms::PASSWORDS.with(Mechanism::Scram(Digest::Sha256));
        let text = announced(all, Security::Plain, with_keys, false);
        assert!(text.contains(" STARTTLS LOGINDISABLED ") && !text.contains("AUTH="));
        let text = announced(all, Security::Tls, Mechanisms::PASSWORDS, false);
        assert!(text.contains(" AUTH=PLAIN ") && !text.contains("STARTTLS"));
        assert!(!text.contains("SCRAM") && !text.contains("MOVE"));
        let text = announced(all, Security::Tls, with_keys, false);
        assert!(text.contains(" AUTH=SCRAM-SHA-256 AUTH=PLAIN "));
        let text = announced(all, Security::Tls, with_keys, true);
        assert!(text.contains(" APPENDLIMIT=7 ") && !text.contains("AUTH="));
    }

    #[test]
    fn what_is_off_is_not_announced() {
        for row in Capability::TABLE {
            let on = Capabilities::all().without(row.capability);
            for security in [Security::Plain, Security::Tls] {
                for after_login in [false, true] {
                    let text = announced(on, security, Mechanisms::PASSWORDS, after_login);
                    assert!(!text.contains(&format!(" {} ", row.name)), "{text}");
                }
            }
        }
        assert!(!has_mechanism(
            Capabilities::all().without(Capability::AuthPlain),
            Mechanism::Plain
        ));
        // Every mechanism has a row.
        for mechanism in Mechanism::ALL {
            assert!(has_mechanism(Capabilities::all(), mechanism));
        }
    }
}
