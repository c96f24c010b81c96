//! Fuzzy matching (RFC 6203): words in any order, some letters off.
//!
//! What is looked for is taken for words: letters and digits between anything else, folded
//! as SEARCH folds without COMPARATOR. Each of them is to be somewhere in the text, as it
//! is, as the beginning of a longer word (from three letters on), or with one letter
//! missing, added, other, or two neighbours changed (from five letters on). Words with
//! characters of scripts that do not divide words are looked for within what stands
//! between other characters.

use store::message::fold;

/// So many words of a search count.
const WORDS: usize = 20;
/// A word of a text is cut after so many octets.
const WORD_OCTETS: usize = 1000;

/// How much a word that is there counts, in hundredths.
const SAME: u8 = 100;
/// The same for one that begins a longer one.
const BEGINS: u8 = 80;
/// The same for one that is nearly there.
const NEAR: u8 = 60;

/// The words that a search looks for.
#[derive(Debug, Clone)]
pub struct Words {
    words: Vec<Word>,
}

#[derive(Debug, Clone)]
struct Word {
    text: String,
    characters: Vec<char>,
    /// Whether words are not divided in its script.
    within: bool,
}

impl Words {
    /// The words of a text; `None` if it has none.
    pub fn of(text: &str) -> Option<Self> {
        let folded = fold(text);
        let words: Vec<Word> = folded
            .split(|character| !is_of_word(character))
            .filter(|word| !word.is_empty())
            .take(WORDS)
            .map(|word| Word {
                text: word.to_owned(),
                characters: word.chars().collect(),
                within: word.chars().any(is_undivided),
            })
            .collect();
        (!words.is_empty()).then_some(Self { words })
    }

    /// Begins to look into a text.
    pub fn looking(&self) -> Looking<'_> {
        Looking {
            words: &self.words,
            best: vec![0; self.words.len()],
            begun: String::new(),
        }
    }
}

/// A text being looked into, piece by piece.
#[derive(Debug)]
pub struct Looking<'a> {
    words: &'a [Word],
    /// How well each word was found yet.
    best: Vec<u8>,
    /// The word that the last piece ended in.
    begun: String,
}

impl Looking<'_> {
    /// Looks into a further piece of folded text.
    pub fn push(&mut self, folded: &str) {
        let mut rest = folded;
        while !rest.is_empty() {
            let end = rest.find(|character| !is_of_word(character));
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            if !self.begun.is_empty() || end.is_none() {
                // What is too long for a word is none.
                if self.begun.len() + word.len() <= WORD_OCTETS {
                    self.begun.push_str(word);
                } else {
                    self.compare(word);
                }
                if end.is_some() {
                    self.end();
                }
            } else {
                self.compare(word);
            }
            rest = after.trim_start_matches(|character| !is_of_word(character));
        }
    }

    /// The text, or a part of it, ends here: so does a word.
    pub fn end(&mut self) {
        let word = std::mem::take(&mut self.begun);
        self.compare(&word);
    }

    /// How well the words were found, from 1 to 100; `None` if one was not.
    pub fn relevancy(mut self) -> Option<u8> {
        self.end();
        if self.best.contains(&0) {
            return None;
        }
        let sum: usize = self.best.iter().map(|best| usize::from(*best)).sum();
        u8::try_from(sum.checked_div(self.best.len())?).ok()
    }

    fn compare(&mut self, found: &str) {
        if found.is_empty() {
            return;
        }
        for (word, best) in self.words.iter().zip(&mut self.best) {
            if *best < SAME {
                *best = (*best).max(word.likeness(found));
            }
        }
    }
}

impl Word {
    /// How much a word of a text is this one, 0 for not at all.
    fn likeness(&self, found: &str) -> u8 {
        if found == self.text {
            return SAME;
        }
        if self.within {
            return if found.contains(&self.text) { SAME } else { 0 };
        }
        let letters = self.characters.len();
        if letters >= 3 && found.starts_with(&self.text) {
            return BEGINS;
        }
        if letters >= 5 && found.len() <= WORD_OCTETS && is_near(&self.characters, found) {
            return NEAR;
        }
        0
    }
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || is_mark(character)
}

/// Accents stand behind their letters in folded text.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}')
}

/// Han, Kana, Thai, Lao, Myanmar and Khmer are written without spaces.
fn is_undivided(character: char) -> bool {
    matches!(character,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{20000}'..='\u{3ffff}')
}

/// Whether one letter is missing, added or other, or two neighbours are changed.
fn is_near(word: &[char], found: &str) -> bool {
    // No more octets than a word of one letter more can have.
    if found.len() > (word.len() + 1) * 4 {
        return false;
    }
    let found: Vec<char> = found.chars().collect();
    if word.len().abs_diff(found.len()) > 1 {
        return false;
    }
    let same = word.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let rest =
        |text: &[char], from: usize| -> Vec<char> { text.get(from..).unwrap_or_default().to_vec() };
    let other = rest(word, same + 1) == rest(&found, same + 1);
    let missing = rest(word, same + 1) == rest(&found, same);
    let added = rest(word, same) == rest(&found, same + 1);
    let changed = word.len() == found.len()
        && word.get(same) == found.get(same + 1)
        && word.get(same + 1) == found.get(same)
        && rest(word, same + 2) == rest(&found, same + 2);
    match word.len().cmp(&found.len()) {
        std::cmp::Ordering::Equal => other || changed,
        std::cmp::Ordering::Greater => missing,
        std::cmp::Ordering::Less => added,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relevancy(words: &str, text: &str) -> Option<u8> {
        let words = Words::of(words).expect("words");
        let folded = fold(text);
        let mut looking = words.looking();
        looking.push(&folded);
        let whole = looking.relevancy();
        // The same however the text comes.
        let mut looking = words.looking();
        let mut octets = [0; 4];
        for character in folded.chars() {
            looking.push(character.encode_utf8(&mut octets));
        }
        assert_eq!(looking.relevancy(), whole);
        whole
    }

    #[test]
    fn words_are_found_in_any_order_and_nearly() {
        for (words, text, expected) in [
            ("IMAP break", "broken: a break in (IMAP)", Some(100)),
            ("imap break", "breaking IMAP", Some(90)),
            ("imap break", "IMAP only", None),
            ("hello", "helo", Some(60)),
            ("hello", "hallo", Some(60)),
            ("hello", "helllo", Some(60)),
            ("hello", "ehllo", Some(60)),
            ("hello", "help", None),
            ("hello", "xhelloy", None),
            ("helo", "hello", None),
            ("in", "inner", None),
            ("inn", "inner", Some(80)),
            ("caf\u{e9}", "CAFE\u{301}", Some(100)),
            (
                "\u{8d26}\u{5355}",
                "\u{60a8}\u{7684}\u{8d26}\u{5355}\u{5df2}\u{51fa}",
                Some(100),
            ),
            ("\u{8d26}\u{5355}", "\u{5355}\u{8d26}", None),
            ("a-b", "b a", Some(100)),
            ("x", "", None),
        ] {
            assert_eq!(relevancy(words, text), expected, "{words} in {text}");
        }
        assert!(Words::of(" -- ").is_none());
    }

    #[test]
    fn hostile_texts_take_linear_time() {
        let many = "hello ".repeat(1000);
        assert_eq!(Words::of(&many).expect("words").words.len(), WORDS);
        assert_eq!(relevancy("hello world", &"a".repeat(300_000)), None);
        let long = "a".repeat(100_000);
        assert_eq!(relevancy(&long, &"a".repeat(99_999)), None);
        relevancy("aaaaab", &"aaaaa ".repeat(50_000));
    }
}
