//! Character references of HTML (`&eacute;`, `&#233;`, `&#xE9;`).

use encoding_rs::WINDOWS_1252;
use std::sync::LazyLock;

/// The names of HTML 4 (its section 24), and `apos`; two that HTML 5 gives to other
/// characters are as there.
const NAMES: &str = " \
    apos=' AElig=Æ Aacute=Á Acirc=Â Agrave=À Alpha=Α Aring=Å Atilde=Ã Auml=Ä Beta=Β Ccedil=Ç Chi=Χ \
    Dagger=‡ Delta=Δ ETH=Ð Eacute=É Ecirc=Ê Egrave=È Epsilon=Ε Eta=Η Euml=Ë Gamma=Γ Iacute=Í \
    Icirc=Î Igrave=Ì Iota=Ι Iuml=Ï Kappa=Κ Lambda=Λ Mu=Μ Ntilde=Ñ Nu=Ν OElig=Œ Oacute=Ó \
    Ocirc=Ô Ograve=Ò Omega=Ω Omicron=Ο Oslash=Ø Otilde=Õ Ouml=Ö Phi=Φ Pi=Π Prime=″ Psi=Ψ \
    Rho=Ρ Scaron=Š Sigma=Σ THORN=Þ Tau=Τ Theta=Θ Uacute=Ú Ucirc=Û Ugrave=Ù Upsilon=Υ Uuml=Ü \
    Xi=Ξ Yacute=Ý Yuml=Ÿ Zeta=Ζ aacute=á acirc=â acute=´ aelig=æ agrave=à alefsym=ℵ alpha=α \
    amp=& and=∧ ang=∠ aring=å asymp=≈ atilde=ã auml=ä bdquo=„ beta=β brvbar=¦ bull=• cap=∩ \
    ccedil=ç cedil=¸ cent=¢ chi=χ circ=ˆ clubs=♣ cong=≅ copy=© crarr=↵ cup=∪ curren=¤ dArr=⇓ \
    dagger=† darr=↓ deg=° delta=δ diams=♦ divide=÷ eacute=é ecirc=ê egrave=è empty=∅ \
    emsp=\u{2003} ensp=\u{2002} epsilon=ε equiv=≡ eta=η eth=ð euml=ë euro=€ exist=∃ fnof=ƒ \
    forall=∀ frac12=½ frac14=¼ frac34=¾ frasl=⁄ gamma=γ ge=≥ gt=> hArr=⇔ harr=↔ hearts=♥ \
    hellip=… iacute=í icirc=î iexcl=¡ igrave=ì image=ℑ infin=∞ int=∫ iota=ι iquest=¿ isin=∈ \
    iuml=ï kappa=κ lArr=⇐ lambda=λ lang=⟨ laquo=« larr=← lceil=⌈ ldquo=“ le=≤ lfloor=⌊ \
    lowast=∗ loz=◊ lrm=\u{200e} lsaquo=‹ lsquo=‘ lt=< macr=¯ mdash=— micro=µ middot=· \
    minus=− mu=μ nabla=∇ nbsp=\u{a0} ndash=– ne=≠ ni=∋ not=¬ notin=∉ nsub=⊄ ntilde=ñ nu=ν \
    oacute=ó ocirc=ô oelig=œ ograve=ò oline=‾ omega=ω omicron=ο oplus=⊕ or=∨ ordf=ª ordm=º \
    oslash=ø otilde=õ otimes=⊗ ouml=ö para=¶ part=∂ permil=‰ perp=⊥ phi=φ pi=π piv=ϖ \
    plusmn=± pound=£ prime=′ prod=∏ prop=∝ psi=ψ quot=\" rArr=⇒ radic=√ rang=⟩ raquo=» \
    rarr=→ rceil=⌉ rdquo=” real=ℜ reg=® rfloor=⌋ rho=ρ rlm=\u{200f} rsaquo=› rsquo=’ sbquo=‚ \
    scaron=š sdot=⋅ sect=§ shy=\u{ad} sigma=σ sigmaf=ς sim=∼ spades=♠ sub=⊂ sube=⊆ sum=∑ \
    sup=⊃ sup1=¹ sup2=² sup3=³ supe=⊇ szlig=ß tau=τ there4=∴ theta=θ thetasym=ϑ \
    thinsp=\u{2009} thorn=þ tilde=˜ times=× trade=™ uArr=⇑ uacute=ú uarr=↑ ucirc=û ugrave=ù \
    uml=¨ upsih=ϒ upsilon=υ uuml=ü weierp=℘ xi=ξ yacute=ý yen=¥ yuml=ÿ zeta=ζ zwj=\u{200d} \
    zwnj=\u{200c} ";

/// The character that a reference stands for: what is between `&` and `;`.
pub(super) fn character(reference: &str) -> Option<char> {
    let Some(number) = reference.strip_prefix('#') else {
        return named(reference);
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    match code.ok()? {
        0 => None,
        // Of windows-1252, whatever the page is in.
        code @ 0x80..=0x9f => {
            let octets = [u8::try_from(code).ok()?];
            let text = WINDOWS_1252.decode_without_bom_handling(&octets).0;
            text.chars().next()
        }
        code => char::from_u32(code),
    }
}

/// [`NAMES`] in the order of their octets.
static SORTED: LazyLock<Vec<(&str, char)>> = LazyLock::new(|| {
    let pairs = NAMES.split(' ').filter_map(|pair| {
        let (name, stands_for) = pair.split_once('=')?;
        Some((name, stands_for.chars().next()?))
    });
    let mut sorted: Vec<(&str, char)> = pairs.collect();
    sorted.sort_unstable();
    sorted
});

fn named(name: &str) -> Option<char> {
    let place = SORTED.binary_search_by_key(&name, |(name, _)| name).ok()?;
    SORTED.get(place).map(|(_, character)| *character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_by_name_and_number() {
        for (reference, expected) in [
            ("amp", Some('&')),
            ("apos", Some('\'')),
            ("nbsp", Some('\u{a0}')),
            ("thinsp", Some('\u{2009}')),
            ("Eacute", Some('\u{c9}')),
            ("eacute", Some('\u{e9}')),
            ("yuml", Some('\u{ff}')),
            ("zwnj", Some('\u{200c}')),
            ("#65", Some('A')),
            ("#x4E16", Some('\u{4e16}')),
            ("#150", Some('\u{2013}')),
            ("#xD800", None),
            ("#0", None),
            ("#99999999999", None),
            ("eacut", None),
            ("there4", Some('\u{2234}')),
            ("quot", Some('"')),
            ("", None),
        ] {
            assert_eq!(character(reference), expected, "{reference}");
        }
        assert_eq!(NAMES.split_ascii_whitespace().count(), 253);
        assert_eq!(SORTED.len(), 253);
        assert!(
            SORTED
                .iter()
                .all(|(name, stands_for)| character(name) == Some(*stands_for))
        );
    }
}
