//! What the header of a message or part says of it.

use super::header::{fields, unfold};
use super::{Address, Envelope, address, parameter};

/// How many addresses one field may have.
const FIELD_ADDRESSES: usize = 10_000;
/// How many parameters one field may have.
const FIELD_PARAMETERS: usize = 128;
/// How many language tags one part may have.
const LANGUAGES: usize = 100;

/// How much may still be kept of what takes far more memory than its text does,
/// all parts together.
pub(super) struct Allowance {
    pub(super) addresses: usize,
    /// Parameters and language tags.
    pub(super) parameters: usize,
}

impl Allowance {
    pub(super) fn new() -> Self {
        Self {
            addresses: 20_000,
            parameters: 40_000,
        }
    }

    fn addresses(&mut self, list: &mut Vec<Address>, value: &[u8]) {
        let limit = FIELD_ADDRESSES
            .saturating_sub(list.len())
            .min(self.addresses);
        let more = address::parse(value, limit);
        self.addresses = self.addresses.saturating_sub(more.len());
        list.extend(more);
    }

    fn parameters(&mut self, value: &[u8]) -> super::Disposition {
        let parsed = parameter::parse(value, FIELD_PARAMETERS.min(self.parameters));
        self.parameters = self.parameters.saturating_sub(parsed.1.len());
        parsed
    }

    fn languages(&mut self, value: &[u8]) -> Vec<Vec<u8>> {
        let tags: Vec<Vec<u8>> = unfold(value)
            .split(|octet| *octet == b',')
            .map(|tag| tag.trim_ascii().to_vec())
            .filter(|tag| !tag.is_empty())
            .take(LANGUAGES.min(self.parameters))
            .collect();
        self.parameters = self.parameters.saturating_sub(tags.len());
        tags
    }
}

/// What the header of an entity says.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) media_type: Vec<u8>,
    pub(super) media_subtype: Vec<u8>,
    pub(super) parameters: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) description: Option<Vec<u8>>,
    pub(super) encoding: Option<Vec<u8>>,
    pub(super) md5: Option<Vec<u8>>,
    pub(super) disposition: Option<super::Disposition>,
    pub(super) language: Vec<Vec<u8>>,
    pub(super) location: Option<Vec<u8>>,
    pub(super) envelope: Option<Envelope>,
}

/// Whether an entity stands at the top (of the message or of a message in it),
/// and so has an envelope.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Top,
    Part { in_digest: bool },
}

/// Reads a header block; what `allowance` no longer allows is left out.
pub(super) fn read_facts(header: &[u8], place: Place, allowance: &mut Allowance) -> Facts {
    let mut facts = Facts::default();
    let mut envelope = Envelope::default();
    let mut content_type = None;
    for field in fields(header) {
        let name = field.name.to_ascii_lowercase();
        let text = |slot: &mut Option<Vec<u8>>| {
            slot.get_or_insert_with(|| unfold(field.value));
        };
        let mut addresses = |list: &mut Vec<Address>| allowance.addresses(list, field.value);
        match name.as_slice() {
            b"content-type" => {
                content_type.get_or_insert(field.value);
            }
            b"content-transfer-encoding" => {
                facts
                    .encoding
                    .get_or_insert_with(|| parameter::parse(field.value, 0).0);
            }
            b"content-id" => text(&mut facts.id),
            b"content-description" => text(&mut facts.description),
            b"content-md5" => text(&mut facts.md5),
            b"content-location" => text(&mut facts.location),
            b"content-disposition" if facts.disposition.is_none() => {
                let disposition = allowance.parameters(field.value);
                facts.disposition = Some(disposition).filter(|(kind, _)| !kind.is_empty());
            }
            b"content-language" if facts.language.is_empty() => {
                facts.language = allowance.languages(field.value);
            }
            _ if place != Place::Top => {}
            b"date" => text(&mut envelope.date),
            b"subject" => text(&mut envelope.subject),
            b"in-reply-to" => text(&mut envelope.in_reply_to),
            b"message-id" => text(&mut envelope.message_id),
            b"from" => addresses(&mut envelope.from),
            b"sender" => addresses(&mut envelope.sender),
            b"reply-to" => addresses(&mut envelope.reply_to),
            b"to" => addresses(&mut envelope.to),
            b"cc" => addresses(&mut envelope.cc),
            b"bcc" => addresses(&mut envelope.bcc),
            _ => {}
        }
    }
    if place == Place::Top {
        // RFC 3501 section 7.4.2: absent or empty ones are taken from From.
        if envelope.sender.is_empty() {
            envelope.sender.clone_from(&envelope.from);
        }
        if envelope.reply_to.is_empty() {
            envelope.reply_to.clone_from(&envelope.from);
        }
        facts.envelope = Some(envelope);
    }
    facts.encoding = facts.encoding.filter(|encoding| !encoding.is_empty());
    let (kind, parameters) = content_type
        .map(|value| allowance.parameters(value))
        .unwrap_or_default();
    let split = kind.iter().position(|octet| *octet == b'/');
    match split.map(|slash| (kind[..slash].trim_ascii(), kind[slash + 1..].trim_ascii())) {
        Some((media_type, subtype)) if !media_type.is_empty() && !subtype.is_empty() => {
            (facts.media_type, facts.media_subtype) = (media_type.to_vec(), subtype.to_vec());
            facts.parameters = parameters;
            // RFC 2046 section 4.1.2: text without charset is us-ascii.
            let named = |(name, _): &(Vec<u8>, Vec<u8>)| name.eq_ignore_ascii_case(b"charset");
            if facts.media_type.eq_ignore_ascii_case(b"text") && !facts.parameters.iter().any(named)
            {
                facts
                    .parameters
                    .push((b"charset".to_vec(), b"us-ascii".to_vec()));
            }
        }
        _ if place == (Place::Part { in_digest: true }) => {
            (facts.media_type, facts.media_subtype) = (b"message".to_vec(), b"rfc822".to_vec());
        }
        _ => {
            (facts.media_type, facts.media_subtype) = (b"text".to_vec(), b"plain".to_vec());
            facts.parameters = vec![(b"charset".to_vec(), b"us-ascii".to_vec())];
        }
    }
    facts
}
