//! What a client can ask for, as values (RFC 3501 section 6 and extensions).

pub use super::notify::{EventGroup, Events, MailboxFilter, MessageEvents, Notify, StatusWanted};
pub use super::partial::{PartialRange, Side};
pub use super::search_key::{Date, SearchKey};
use super::sequence::{Bound, SequenceSet};
use std::num::NonZeroU32;
use store::{EntryName, Flags, InternalDate, Keyword, SpecialUse};
use wire::Secret;

/// A command with its tag.
#[derive(Debug, Clone)]
pub struct Tagged {
    /// The tag, as the client wrote it.
    pub tag: String,
    /// What it asks for.
    pub command: Command,
}

/// What numbers a command takes and its responses speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Message sequence numbers.
    Sequence,
    /// Unique identifiers (the command had the UID prefix).
    Uid,
}

/// A client command. Mailbox names are decoded from modified UTF-7.
#[derive(Debug, Clone)]
pub enum Command {
    /// CAPABILITY.
    Capability,
    /// NOOP.
    Noop,
    /// LOGOUT.
    Logout,
    /// ID (RFC 2971); empty for NIL.
    Id(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    /// LANGUAGE (RFC 5255), the ranges asked for.
    Language(Vec<String>),
    /// COMPARATOR (RFC 5255), the orders asked for.
    Comparator(Vec<String>),
    /// STARTTLS.
    Starttls,
    /// AUTHENTICATE, with the initial response (RFC 4959) still in base64 (`=`
    /// for an empty one).
    Authenticate {
        /// The mechanism's name in upper case.
        mechanism: String,
        /// The initial response as sent.
        initial: Option<Vec<u8>>,
    },
    /// LOGIN.
    Login {
        /// The user name's octets.
        user: Vec<u8>,
        /// The password.
        password: Secret,
    },
    /// COMPRESS (RFC 4978), the algorithm in upper case.
    Compress(String),
    /// UNAUTHENTICATE (RFC 8437).
    Unauthenticate,
    /// NAMESPACE (RFC 2342).
    Namespace,
    /// ENABLE (RFC 5161), the capabilities in upper case.
    Enable(Vec<String>),
    /// SELECT.
    Select(Select),
    /// EXAMINE.
    Examine(Select),
    /// CREATE, with a special use asked for (RFC 6154).
    Create {
        /// The mailbox's name.
        mailbox: String,
        /// Its special use.
        special_use: Option<SpecialUse>,
    },
    /// DELETE.
    Delete(String),
    /// RENAME.
    Rename {
        /// The name it has.
        from: String,
        /// The name it is to have.
        to: String,
    },
    /// SUBSCRIBE.
    Subscribe(String),
    /// UNSUBSCRIBE.
    Unsubscribe(String),
    /// LIST (RFC 5258).
    List(List),
    /// LSUB.
    Lsub {
        /// The reference.
        reference: String,
        /// The pattern.
        pattern: String,
    },
    /// STATUS.
    Status {
        /// The mailbox's name.
        mailbox: String,
        /// What is asked.
        items: Vec<StatusItem>,
    },
    /// GETMETADATA (RFC 5464 section 4.2).
    GetMetadata(GetMetadata),
    /// SETMETADATA (RFC 5464 section 4.3).
    SetMetadata(SetMetadata),
    /// APPEND (RFC 3502: one message or more).
    Append {
        /// The mailbox's name.
        mailbox: String,
        /// The messages announced so far.
        messages: Vec<AppendMessage>,
    },
    /// NOTIFY (RFC 5465).
    Notify(Notify),
    /// IDLE (RFC 2177).
    Idle,
    /// CHECK.
    Check,
    /// CLOSE.
    Close,
    /// UNSELECT (RFC 3691).
    Unselect,
    /// EXPUNGE.
    Expunge,
    /// UID EXPUNGE (RFC 4315).
    UidExpunge(SequenceSet),
    /// UIDBATCHES (RFC 10022).
    UidBatches(UidBatches),
    /// SEARCH and UID SEARCH.
    Search(Search),
    /// ESEARCH (RFC 7377).
    Esearch(Esearch),
    /// CANCELUPDATE (RFC 5267), the tags.
    CancelUpdate(Vec<String>),
    /// SORT and UID SORT (RFC 5256).
    Sort(Sort),
    /// THREAD and UID THREAD (RFC 5256).
    Thread(Thread),
    /// FETCH and UID FETCH.
    Fetch(Fetch),
    /// STORE and UID STORE.
    Store(Store),
    /// COPY and UID COPY.
    Copy {
        /// Which messages.
        set: SequenceSet,
        /// What the set's numbers are.
        numbers: Numbers,
        /// The destination.
        mailbox: String,
    },
    /// REPLACE and UID REPLACE (RFC 8508).
    Replace(Replace),
    /// MOVE and UID MOVE (RFC 6851).
    Move {
        /// Which messages.
        set: SequenceSet,
        /// What the set's numbers are.
        numbers: Numbers,
        /// The destination.
        mailbox: String,
    },
}

/// SELECT's and EXAMINE's arguments.
#[derive(Debug, Clone)]
pub struct Select {
    /// The mailbox's name.
    pub mailbox: String,
    /// Whether the CONDSTORE parameter was given (RFC 7162 section 3.1.8).
    pub condstore: Condstore,
    /// The QRESYNC parameter (RFC 7162 section 3.2.5).
    pub qresync: Option<Qresync>,
}

/// The CONDSTORE parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condstore {
    /// Given.
    Asked,
    /// Not given.
    Absent,
}

/// The QRESYNC parameter.
#[derive(Debug, Clone)]
pub struct Qresync {
    /// The UIDVALIDITY the client knows.
    pub uid_validity: NonZeroU32,
    /// The mod-sequence the client knows.
    pub modseq: u64,
    /// The UIDs the client knows.
    pub known_uids: Option<SequenceSet>,
    /// Sequence numbers and the UIDs they had, both ascending.
    pub sequence_match: Vec<SequenceMatch>,
}

/// A run of sequence numbers and the run of UIDs that a client knows them to have
/// (RFC 7162 section 3.2.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceMatch {
    /// The first sequence number.
    pub sequence: u32,
    /// The first UID.
    pub uid: u32,
    /// How many there are of both, 1 at least.
    pub count: u32,
}

/// GETMETADATA's arguments.
#[derive(Debug, Clone)]
pub struct GetMetadata {
    /// The mailbox's name; empty for the server.
    pub mailbox: String,
    /// MAXSIZE, in octets.
    pub max_octets: Option<u32>,
    /// DEPTH.
    pub depth: Depth,
    /// The entries asked for, one at least.
    pub entries: Vec<EntryName>,
}

/// How far below an entry GETMETADATA looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// At the entry alone.
    Zero,
    /// At those right below as well.
    One,
    /// At all below.
    Infinity,
}

/// SETMETADATA's arguments.
#[derive(Debug, Clone)]
pub struct SetMetadata {
    /// The mailbox's name; empty for the server.
    pub mailbox: String,
    /// Entries and their values, none for NIL; one at least.
    pub changes: Vec<(EntryName, Option<Vec<u8>>)>,
}

/// LIST's arguments.
#[derive(Debug, Clone)]
pub struct List {
    /// Selection options.
    pub select: Vec<ListSelect>,
    /// The reference, decoded.
    pub reference: String,
    /// The patterns, decoded.
    pub patterns: Vec<String>,
    /// Return options; `None` when there was no RETURN.
    pub returns: Option<Vec<ListReturn>>,
}

/// A LIST selection option (RFC 5258 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListSelect {
    /// SUBSCRIBED.
    Subscribed,
    /// REMOTE.
    Remote,
    /// RECURSIVEMATCH.
    RecursiveMatch,
    /// SPECIAL-USE (RFC 6154).
    SpecialUse,
}

/// A LIST return option (RFC 5258 section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListReturn {
    /// SUBSCRIBED.
    Subscribed,
    /// CHILDREN.
    Children,
    /// SPECIAL-USE (RFC 6154).
    SpecialUse,
    /// STATUS (RFC 5819).
    Status(Vec<StatusItem>),
    /// METADATA (RFC 9590).
    Metadata(Vec<EntryName>),
}

/// A STATUS item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// MESSAGES.
    Messages,
    /// RECENT.
    Recent,
    /// UIDNEXT.
    UidNext,
    /// UIDVALIDITY.
    UidValidity,
    /// UNSEEN.
    Unseen,
    /// HIGHESTMODSEQ (RFC 7162).
    HighestModSeq,
    /// SIZE (RFC 8438).
    Size,
    /// DELETED (RFC 9051).
    Deleted,
    /// MAILBOXID (RFC 8474).
    MailboxId,
    /// `APPENDLIMIT` (RFC 7889).
    AppendLimit,
}

/// REPLACE's arguments.
#[derive(Debug, Clone)]
pub struct Replace {
    /// The message to be replaced.
    pub number: Bound,
    /// What its number is.
    pub numbers: Numbers,
    /// Where the new one goes.
    pub mailbox: String,
    /// The new one, alone.
    pub message: AppendMessage,
}

/// One message of an APPEND. Its octets are not in the command: the session
/// gets them from [`super::framing::CommandBuffer`].
#[derive(Debug, Clone)]
pub struct AppendMessage {
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// The internal date, if given.
    pub date: Option<InternalDate>,
    /// What it consists of.
    pub content: AppendContent,
}

/// What a message of an APPEND consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendContent {
    /// A literal.
    Literal {
        /// Its length in octets.
        octets: u64,
        /// What octets it may have.
        literal: Literal,
    },
    /// Parts to catenate (RFC 4469).
    Catenate {
        /// The parts so far.
        parts: Vec<CatenatePart>,
        /// Whether there may be more.
        list: PartList,
    },
}

/// A part to catenate (RFC 4469 section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatenatePart {
    /// TEXT: a literal of so many octets.
    Text(u64),
    /// URL, as it was sent.
    Url(Vec<u8>),
}

/// Whether a list of parts is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartList {
    /// It ends with the literal that was announced last.
    Open,
    /// It had its `)`.
    Closed,
}

/// What octets a literal may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal {
    /// `{n}`: any but NUL.
    Text,
    /// `~{n}`, a literal8 (RFC 3516): any.
    Binary,
}

/// SEARCH's arguments.
#[derive(Debug, Clone)]
pub struct Search {
    /// What the answer's numbers are.
    pub numbers: Numbers,
    /// Return options (RFC 4731, RFC 5182); `None` when there was no RETURN.
    /// `RETURN ()` is given as `ALL`.
    pub returns: Option<Vec<ReturnOption>>,
    /// What UPDATE is to fetch of new messages (RFC 5465 section 7).
    pub update_items: Vec<FetchItem>,
    /// What to look for.
    pub key: SearchKey,
}

impl Search {
    /// Whether RELEVANCY, which may be a sort criterion as well, is asked for where nothing
    /// has any: it is nothing without FUZZY (RFC 6203 section 4).
    pub fn lacks_fuzzy(&self, criteria: &[SortCriterion]) -> bool {
        let mut options = self.returns.iter().flatten();
        let mut keys = criteria.iter().map(|criterion| criterion.key);
        let asks = keys.any(|key| key == SortKey::Relevancy)
            || options.any(|option| *option == ReturnOption::Relevancy);
        asks && !self.key.is_fuzzy()
    }
}

/// ESEARCH's arguments.
#[derive(Debug, Clone)]
pub struct Esearch {
    /// Where to search; at least one.
    pub sources: Vec<Source>,
    /// What to return and what to look for. Numbers are UIDs.
    pub search: Search,
}

/// Where ESEARCH searches (RFC 7377 section 2.2, RFC 5465 section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The selected mailbox.
    Selected,
    /// Where mail is delivered.
    Inboxes,
    /// The user's own mailboxes.
    Personal,
    /// Those subscribed to.
    Subscribed,
    /// These and all below them.
    Subtree(Vec<String>),
    /// These and those directly below them.
    SubtreeOne(Vec<String>),
    /// These.
    Mailboxes(Vec<String>),
}

/// SORT's arguments.
#[derive(Debug, Clone)]
pub struct Sort {
    /// What to sort by, the first before all others; at least one.
    pub criteria: Vec<SortCriterion>,
    /// Which messages to sort, and what to return (RFC 5267 section 3).
    pub search: Search,
}

/// One of SORT's criteria.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortCriterion {
    /// What is compared.
    pub key: SortKey,
    /// Which way.
    pub direction: Direction,
}

/// What SORT compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// ARRIVAL.
    Arrival,
    /// CC.
    Cc,
    /// DATE.
    Date,
    /// DISPLAYFROM (RFC 5957).
    DisplayFrom,
    /// DISPLAYTO (RFC 5957).
    DisplayTo,
    /// FROM.
    From,
    /// RELEVANCY (RFC 6203): what is most relevant is first.
    Relevancy,
    /// SIZE.
    Size,
    /// SUBJECT.
    Subject,
    /// TO.
    To,
}

/// Whether a criterion was given with REVERSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It was not.
    Forward,
    /// It was.
    Reverse,
}

/// THREAD's arguments.
#[derive(Debug, Clone)]
pub struct Thread {
    /// How to thread.
    pub algorithm: ThreadAlgorithm,
    /// Which messages to thread.
    pub search: Search,
}

/// A threading algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    /// ORDEREDSUBJECT.
    OrderedSubject,
    /// REFERENCES.
    References,
    /// REFS (draft-ietf-morg-inthread): REFERENCES without subjects, the thread with the
    /// newest message last.
    Refs,
}

/// A SEARCH or SORT return option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnOption {
    /// MIN.
    Min,
    /// MAX.
    Max,
    /// ALL.
    All,
    /// COUNT.
    Count,
    /// SAVE (RFC 5182).
    Save,
    /// PARTIAL (RFC 5267, RFC 9394).
    Partial(PartialRange),
    /// CONTEXT (RFC 5267): a hint.
    Context,
    /// UPDATE (RFC 5267).
    Update,
    /// RELEVANCY (RFC 6203).
    Relevancy,
}

/// UIDBATCHES's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidBatches {
    /// How many messages a batch is to have.
    pub size: NonZeroU32,
    /// The first and last batch that are wanted, as written.
    pub range: Option<(NonZeroU32, NonZeroU32)>,
}

/// FETCH's arguments.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Which messages.
    pub set: SequenceSet,
    /// What the set's numbers are.
    pub numbers: Numbers,
    /// What of them, in the order asked, macros expanded.
    pub items: Vec<FetchItem>,
    /// CHANGEDSINCE (RFC 7162 section 3.1.4.1).
    pub changed_since: Option<u64>,
    /// The VANISHED modifier (RFC 7162 section 3.2.6).
    pub vanished: Vanished,
    /// The PARTIAL modifier (RFC 9394 section 3.3).
    pub partial: Option<PartialRange>,
}

/// FETCH's VANISHED modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vanished {
    /// Given.
    Asked,
    /// Not given.
    Absent,
}

/// A FETCH data item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// ENVELOPE.
    Envelope,
    /// FLAGS.
    Flags,
    /// INTERNALDATE.
    InternalDate,
    /// RFC822 (sets `\Seen`).
    Rfc822,
    /// RFC822.HEADER.
    Rfc822Header,
    /// RFC822.TEXT (sets `\Seen`).
    Rfc822Text,
    /// RFC822.SIZE.
    Rfc822Size,
    /// BODY: the structure without extension fields.
    Body,
    /// BODYSTRUCTURE.
    BodyStructure,
    /// UID.
    Uid,
    /// MODSEQ (RFC 7162).
    ModSeq,
    /// EMAILID (RFC 8474).
    EmailId,
    /// THREADID (RFC 8474).
    ThreadId,
    /// SAVEDATE (RFC 8514).
    SaveDate,
    /// PREVIEW (RFC 8970).
    Preview(Delay),
    /// `BODY[...]` and `BODY.PEEK[...]`.
    Section(Section),
    /// `BINARY[...]` and `BINARY.PEEK[...]` (RFC 3516).
    Binary(Binary),
    /// `BINARY.SIZE[...]` (RFC 3516): the part's number, empty for the message itself.
    BinarySize(Vec<u32>),
}

/// Whether PREVIEW may take its time (RFC 8970 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    /// It may.
    Allowed,
    /// It had LAZY: NIL is better than waiting.
    Avoided,
}

/// A part's content without its transfer encoding (RFC 3516 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// The part's number; empty for the message itself.
    pub path: Vec<u32>,
    /// Whether fetching sets `\Seen`.
    pub peek: Peek,
    /// First octet and length (not 0) of what is decoded, as asked.
    pub partial: Option<(u64, u64)>,
}

/// A body section (RFC 3501 section 6.4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The part's number; empty for the message itself.
    pub path: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
    /// Whether fetching sets `\Seen`.
    pub peek: Peek,
    /// First octet and length (not 0), as asked.
    pub partial: Option<(u64, u64)>,
}

/// What of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionText {
    /// `[]` or `[1.2]`: all of the message, or the part's body.
    Whole,
    /// HEADER.
    Header,
    /// HEADER.FIELDS, the names as written.
    HeaderFields(Vec<Vec<u8>>),
    /// HEADER.FIELDS.NOT.
    HeaderFieldsNot(Vec<Vec<u8>>),
    /// TEXT.
    Text,
    /// MIME.
    Mime,
}

/// Whether fetching a section sets `\Seen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peek {
    /// `BODY.PEEK[...]`: it does not.
    Yes,
    /// `BODY[...]`: it does.
    No,
}

/// STORE's arguments.
#[derive(Debug, Clone)]
pub struct Store {
    /// Which messages.
    pub set: SequenceSet,
    /// What the set's numbers are.
    pub numbers: Numbers,
    /// What to do with the flags.
    pub action: store::FlagAction,
    /// Whether the client wants to see the result.
    pub silent: Silent,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// UNCHANGEDSINCE (RFC 7162 section 3.1.3).
    pub unchanged_since: Option<u64>,
}

/// Whether a STORE was `.SILENT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    /// It was.
    Yes,
    /// It was not.
    No,
}
