//! [`HtmlText`]: of HTML the text that is read, not how it is marked up.

use super::entity::character;
use std::sync::LazyLock;

/// The text of an attribute or of the page; what a reference stands for, `&` to `;`.
const REFERENCE_OCTETS: usize = 32;
/// Longer names of elements and attributes are none that matter.
const NAME_OCTETS: usize = 16;
/// So much of one attribute is looked at.
const VALUE_OCTETS: usize = 4 << 10;
/// So much of attributes waits for the end of a line.
const ASIDE_OCTETS: usize = 16 << 10;

/// Names in the order of their octets.
type Names = LazyLock<Vec<&'static str>>;

/// Elements that begin and end a line, a cell or a choice; all others are within words.
static BREAKING: Names = Names::new(|| {
    sorted(
        "address article aside blockquote body br button caption center dd details dialog dir div dl dt fieldset figcaption figure footer form frame h1 h2 h3 h4 h5 h6 head header hr html iframe legend li main menu nav noscript ol optgroup option p pre section select summary table tbody td textarea tfoot th thead title tr ul",
    )
});
/// Attributes that somebody reads, or looks for: where links lead.
static READ: Names = Names::new(|| sorted("alt aria-label href placeholder title"));

/// Turns HTML into text, piece by piece, with what browsers do to broken HTML in mind
/// (WHATWG HTML section 13.2.5), as far as it decides what is text:
///
/// - tags, comments, declarations, scripts and style sheets are left out;
/// - a tag such as `<b>` is nothing, one such as `<p>` or `<td>` ends a line;
/// - blanks and line ends are one blank, but in `<pre>`;
/// - references (`&eacute;`, `&#233;`) are their characters, soft hyphens nothing;
/// - the attributes named in [`READ`] are lines of their own.
#[derive(Default)]
pub(super) struct HtmlText {
    shown: Shown,
    /// How many elements are open whose text is not shown.
    hidden: u32,
    state: State,
    /// `&` and what follows it, until that is known to be a reference or not.
    reference: String,
    /// The name of the tag or attribute that is being read, in lower case.
    name: String,
    /// The element of the tag that is being read.
    element: String,
    /// Whether the tag ends an element.
    closes: bool,
    /// The attribute that is being read, if it is one to be read.
    value: Option<String>,
    /// What attributes said in this line.
    aside: String,
    /// The last characters of what is left out, to see its end.
    tail: String,
    /// How many `<pre>` are open.
    preformatted: u32,
    /// What the text ends with.
    end: End,
}

/// What is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Shown {
    /// All that somebody may look for.
    #[default]
    All,
    /// What is seen first: no title, no attributes, no quotes.
    Words,
    /// The same with quotes.
    WordsAndQuotes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Text,
    /// Behind `<`.
    Open,
    /// In the name of a tag.
    Name,
    /// Between attributes.
    Tag,
    /// In the name of an attribute.
    Attribute,
    /// Behind the `=` of an attribute.
    Equals,
    /// In the value of an attribute, until this character; a blank where it has no quotes.
    Value(char),
    /// In a comment, until `-->`.
    Comment,
    /// In a declaration or what is like one, until `>`.
    Declaration,
    /// In a script or style sheet, until its end tag.
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum End {
    #[default]
    Line,
    Blank,
    Word,
}

impl HtmlText {
    /// Reads HTML for this.
    pub(super) fn showing(shown: Shown) -> Self {
        Self {
            shown,
            ..Self::default()
        }
    }

    /// Appends the text of the next piece.
    pub(super) fn push(&mut self, html: &str, text: &mut String) {
        for character in html.chars() {
            self.step(character, text);
        }
    }

    /// Appends what was waiting; nothing comes any more.
    pub(super) fn finish(&mut self, text: &mut String) {
        if self.state == State::Open {
            self.state = State::Text;
            self.say_open(text);
        }
        self.end_reference(text);
        self.end_line(text);
    }

    fn step(&mut self, character: char, text: &mut String) {
        match self.state {
            State::Text => match character {
                '<' => {
                    self.end_reference(text);
                    self.state = State::Open;
                }
                _ => self.refer(character, text),
            },
            State::Open => self.open(character, text),
            State::Name => match character {
                '>' | '/' => self.end_name(character, text),
                _ if character.is_ascii_whitespace() => self.end_name(character, text),
                _ => self.push_name(character),
            },
            State::Tag => match character {
                '>' => self.end_tag(text),
                '/' => {}
                _ if character.is_ascii_whitespace() => {}
                _ => {
                    self.name.clear();
                    self.push_name(character);
                    self.state = State::Attribute;
                }
            },
            State::Attribute => match character {
                '=' => {
                    let is_read = self.shown == Shown::All
                        && !self.closes
                        && is_in(&READ, self.name.trim_end());
                    self.value = is_read.then(String::new);
                    self.state = State::Equals;
                }
                '>' => self.end_tag(text),
                '/' => self.state = State::Tag,
                // A blank may come before the `=`, or before the next one.
                _ if character.is_ascii_whitespace() => {
                    if !self.name.ends_with(' ') {
                        self.name.push(' ');
                    }
                }
                _ => {
                    if self.name.ends_with(' ') {
                        self.name.clear();
                    }
                    self.push_name(character);
                }
            },
            State::Equals => match character {
                '"' | '\'' => self.state = State::Value(character),
                '>' => self.end_tag(text),
                _ if character.is_ascii_whitespace() => {}
                _ => {
                    self.state = State::Value(' ');
                    self.refer(character, text);
                }
            },
            State::Value(quote) => self.value(quote, character, text),
            State::Comment => self.leave_out(character, |tail| tail.ends_with("-->")),
            State::Declaration => match character {
                '>' => self.state = State::Text,
                '-' if self.tail == "-" => {
                    // `<!-->` is a whole one.
                    self.tail = "--".to_owned();
                    self.state = State::Comment;
                }
                '-' if self.tail == "!" => self.tail = "-".to_owned(),
                _ => self.tail.clear(),
            },
            State::Raw => {
                if character == '>' || character == '/' || character.is_ascii_whitespace() {
                    let end = self.tail.strip_suffix(self.element.as_str());
                    if end.is_some_and(|before| before.ends_with("</")) {
                        self.closes = true;
                        self.tail.clear();
                        self.state = State::Tag;
                        return self.step(character, text);
                    }
                }
                self.leave_out(character.to_ascii_lowercase(), |_| false);
            }
        }
    }

    /// Behind `<`: only some characters make a tag of it.
    fn open(&mut self, character: char, text: &mut String) {
        match character {
            '!' | '?' => {
                self.tail = character.to_string();
                self.state = State::Declaration;
            }
            '/' if !self.closes => self.closes = true,
            _ if character.is_ascii_alphabetic() => {
                self.name.clear();
                self.push_name(character);
                self.state = State::Name;
            }
            _ => {
                self.state = State::Text;
                self.say_open(text);
                self.step(character, text);
            }
        }
    }

    /// What began as a tag is text.
    fn say_open(&mut self, text: &mut String) {
        self.say('<', text);
        if std::mem::take(&mut self.closes) {
            self.say('/', text);
        }
    }

    fn push_name(&mut self, character: char) {
        if self.name.len() < NAME_OCTETS {
            self.name.push(character.to_ascii_lowercase());
        }
    }

    fn end_name(&mut self, character: char, text: &mut String) {
        std::mem::swap(&mut self.element, &mut self.name);
        self.state = State::Tag;
        self.step(character, text);
    }

    /// A tag is over.
    fn end_tag(&mut self, text: &mut String) {
        self.end_value(text);
        let closes = std::mem::take(&mut self.closes);
        self.state = State::Text;
        match (self.element.as_str(), closes) {
            ("script" | "style", false) => {
                self.tail.clear();
                self.state = State::Raw;
            }
            ("pre", false) => self.preformatted = self.preformatted.saturating_add(1),
            ("pre", true) => self.preformatted = self.preformatted.saturating_sub(1),
            ("title", _) if self.shown != Shown::All => self.hide(closes),
            ("blockquote", _) if self.shown == Shown::Words => self.hide(closes),
            _ => {}
        }
        if is_in(&BREAKING, &self.element) {
            self.end_line(text);
        }
    }

    /// Begins or ends what is not shown.
    fn hide(&mut self, closes: bool) {
        self.hidden = match closes {
            true => self.hidden.saturating_sub(1),
            false => self.hidden.saturating_add(1),
        };
    }

    fn value(&mut self, quote: char, character: char, text: &mut String) {
        let is_over = match quote {
            ' ' => character == '>' || character.is_ascii_whitespace(),
            _ => character == quote,
        };
        if !is_over {
            return self.refer(character, text);
        }
        self.end_reference(text);
        self.end_value(text);
        self.state = State::Tag;
        if character == '>' && quote == ' ' {
            self.end_tag(text);
        }
    }

    fn end_value(&mut self, text: &mut String) {
        if let Some(value) = self.value.take() {
            self.aside.push_str(&value);
            self.aside.push('\n');
        }
        // A line, or a tag, need not end.
        if self.aside.len() > ASIDE_OCTETS {
            self.end_line(text);
        }
    }

    /// Passes over what is left out until it is over.
    fn leave_out(&mut self, character: char, is_over: impl FnOnce(&str) -> bool) {
        if self.tail.len() > 4 * NAME_OCTETS {
            let keep = self.tail.char_indices().rev().nth(NAME_OCTETS);
            self.tail.drain(..keep.map_or(0, |(place, _)| place));
        }
        self.tail.push(character);
        if is_over(&self.tail) {
            self.tail.clear();
            self.state = State::Text;
        }
    }

    /// A character of text or of a value, which may belong to a reference.
    fn refer(&mut self, character: char, text: &mut String) {
        if self.reference.is_empty() {
            match character {
                '&' => self.reference.push('&'),
                _ => self.say(character, text),
            }
            return;
        }
        let continues =
            character.is_ascii_alphanumeric() || self.reference == "&" && character == '#';
        if continues && self.reference.len() < REFERENCE_OCTETS {
            return self.reference.push(character);
        }
        if character == ';' {
            self.reference.push(';');
            return self.end_reference(text);
        }
        self.end_reference(text);
        self.refer(character, text);
    }

    /// Says what the reference that was read stands for, or itself.
    fn end_reference(&mut self, text: &mut String) {
        let mut reference = std::mem::take(&mut self.reference);
        let Some(name) = reference.strip_prefix('&') else {
            return;
        };
        let ended = name.strip_suffix(';');
        // In a link `&copy=1` is no reference.
        let is_one = ended.is_some() || !matches!(self.state, State::Value(_));
        match character(ended.unwrap_or(name)).filter(|_| is_one) {
            Some(character) => self.say(character, text),
            None => reference
                .chars()
                .for_each(|character| self.say(character, text)),
        }
        // Its memory is used again.
        reference.clear();
        self.reference = reference;
    }

    fn say(&mut self, character: char, text: &mut String) {
        if matches!(self.state, State::Value(_)) {
            if let Some(value) = &mut self.value
                && value.len() < VALUE_OCTETS
            {
                value.push(character);
            }
            return;
        }
        if self.hidden > 0 {
            return;
        }
        match character {
            '\u{ad}' => {}
            _ if character.is_ascii_whitespace() && self.preformatted == 0 => {
                if self.end == End::Word {
                    text.push(' ');
                    self.end = End::Blank;
                }
            }
            _ => {
                text.push(character);
                self.end = End::Word;
            }
        }
    }

    fn end_line(&mut self, text: &mut String) {
        if self.end != End::Line || !self.aside.is_empty() {
            text.push('\n');
            text.push_str(&self.aside);
            self.aside.clear();
            self.end = End::Line;
        }
    }
}

fn sorted(names: &'static str) -> Vec<&'static str> {
    let mut sorted: Vec<&str> = names.split(' ').collect();
    sorted.sort_unstable();
    sorted
}

/// Whether a list of names in their order has one.
fn is_in(names: &[&str], name: &str) -> bool {
    names.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text, which is the same in whatever pieces the HTML comes.
    fn text(html: &str) -> String {
        let in_pieces = |size: usize| {
            let mut reader = HtmlText::default();
            let mut text = String::new();
            let characters: Vec<char> = html.chars().collect();
            for piece in characters.chunks(size) {
                reader.push(&piece.iter().collect::<String>(), &mut text);
            }
            reader.finish(&mut text);
            text
        };
        let whole = in_pieces(usize::MAX);
        for size in 1..4 {
            assert_eq!(in_pieces(size), whole);
        }
        whole
    }

    #[test]
    fn markup_is_no_text() {
        assert_eq!(text("Hel<b>lo</b> <i class=\"x>y\">you</i>"), "Hello you\n");
        assert_eq!(text("<p>one</p><P>two<br>three"), "one\ntwo\nthree\n");
        assert_eq!(text("<td>a<td>b"), "a\nb\n");
        assert_eq!(text("a\r\n   b\t c"), "a b c\n");
        assert_eq!(text("<pre>a\n  b</pre> c  d"), "a\n  b\nc d\n");
        assert_eq!(
            text("a<!-- <p>x --- y -->b<!DOCTYPE html>c<?xml ?>d<!-->e"),
            "abcde\n"
        );
        assert_eq!(text("<!--[if mso]><b>x</b><![endif]-->y"), "y\n");
    }

    #[test]
    fn scripts_and_style_sheets_are_left_out() {
        assert_eq!(
            text("a<style>p > b { }</styles></p>x</STYLE >b<script src='x'>\"</p>\"</script>c"),
            "abc\n"
        );
        assert_eq!(text("a<script>never over"), "a\n");
    }

    #[test]
    fn references_are_characters() {
        assert_eq!(
            text("&lt;b&gt; caf&eacute; &#233;&#xE9; &#8212;&#151; A&nbsp;B"),
            "<b> caf\u{e9} \u{e9}\u{e9} \u{2014}\u{2014} A\u{a0}B\n"
        );
        assert_eq!(
            text("a & b &foo; &amp &#; &#x110000; AT&T"),
            "a & b &foo; & &#; &#x110000; AT&T\n"
        );
        assert_eq!(text("soft&shy;ly &amp;amp;"), "softly &amp;\n");
    }

    #[test]
    fn attributes_that_are_read_are_lines() {
        assert_eq!(
            text(
                "Hel<a href=\"http://x/?a=1&amp;b&copy=2\" class=no>lo</a> <IMG ismap alt = 'a cat' src=y>there<p>end"
            ),
            "Hello there\nhttp://x/?a=1&b&copy=2\na cat\nend\n"
        );
        assert_eq!(text("<a title=one href=two>x"), "x\none\ntwo\n");
    }

    #[test]
    fn names_are_looked_up_in_their_order() {
        for names in [&BREAKING, &READ] {
            assert!(names.iter().all(|name| is_in(names, name)));
            assert!(names.iter().all(|name| name.len() <= NAME_OCTETS));
        }
        assert!(!is_in(&BREAKING, "b") && !is_in(&BREAKING, "") && is_in(&BREAKING, "br"));
    }

    #[test]
    fn attributes_wait_in_bounded_memory() {
        let mut reader = HtmlText::default();
        let (mut text, mut said) = (String::new(), 0);
        reader.push("word<a", &mut text);
        for number in 0..20_000 {
            reader.push(&format!(" title=long{number:040}"), &mut text);
            said += text.matches("long").count();
            text.clear();
            assert!(reader.aside.len() <= ASIDE_OCTETS + VALUE_OCTETS + 1);
        }
        reader.push(">", &mut text);
        reader.finish(&mut text);
        assert_eq!(said + text.matches("long").count(), 20_000);
    }

    #[test]
    fn what_is_no_tag_is_text() {
        assert_eq!(text("a < b <3 </ x <"), "a < b <3 </ x <\n");
        assert_eq!(text("a <b"), "a \n");
        assert_eq!(text("plain"), "plain\n");
        assert_eq!(text(""), "");
    }
}
