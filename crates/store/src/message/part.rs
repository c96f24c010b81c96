//! [`Part`]: what it says of its kind and its text.

use super::Part;
use super::decode::{Transfer, Unicode};

impl Part {
    /// Whether it is of this type and subtype, in whatever case.
    pub(super) fn is(&self, media_type: &[u8], subtype: &[u8]) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type)
            && self.media_subtype.eq_ignore_ascii_case(subtype)
    }

    /// What makes text of its octets, both from the first octet on: transfer encoding and
    /// charset.
    pub(super) fn decoders(&self) -> (Transfer, Unicode) {
        let charset = self
            .parameters
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(b"charset"));
        (
            Transfer::new(&self.encoding),
            Unicode::new(charset.map(|(_, label)| label.as_slice())),
        )
    }
}
