//! Reading `pillarbox.yaml`: all mistakes at once, each with its line and what to do.

use super::{Config, Listener, Plaintext, TlsMode};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

/// After so many mistakes of shape the rest of the file is not looked at.
const MAX_SHAPE_ERRORS: usize = 50;

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 where it is no line's fault.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl ConfigError {
    /// Whether it is a mistake in what stands under a top-level key.
    pub fn concerns(&self, section: &str) -> bool {
        let key = self.text.split(':').next().unwrap_or_default();
        key.split('.').next() == Some(section)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.file.display(), self.text),
            line => write!(formatter, "{}:{line}: {}", self.file.display(), self.text),
        }
    }
}

/// A configuration as far as it could be read.
struct Shape {
    /// `None` where the file is no YAML at all.
    config: Option<Config>,
    /// Lines from 1 and what is wrong there.
    errors: Vec<(usize, String)>,
    /// The top-level keys that hold an error: what follows from them is not told.
    doubtful: Vec<String>,
}

/// A configuration, and what is wrong with it.
pub struct Examined {
    /// What could be read; the rest has its defaults.
    pub config: Config,
    /// All mistakes, in the order of the lines.
    pub errors: Vec<ConfigError>,
    /// The top-level keys that hold a mistake of shape.
    pub doubtful: Vec<String>,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// All mistakes that were found, in the order of the lines. Of a file that is no
    /// YAML, the first.
    pub fn load(file: &Path) -> Result<Self, Vec<ConfigError>> {
        let examined = Self::examine(file)?;
        match examined.errors.is_empty() {
            true => Ok(examined.config),
            false => Err(examined.errors),
        }
    }

    /// Reads a configuration as far as it can be read.
    ///
    /// # Errors
    /// Why nothing could be read.
    pub fn examine(file: &Path) -> Result<Examined, Vec<ConfigError>> {
        let error = |(line, text)| ConfigError {
            file: file.to_owned(),
            line,
            text,
        };
        let text = std::fs::read_to_string(file).map_err(|failure| {
            vec![error((
                0,
                format!(
                    "cannot be read ({failure}); name another with --config, or try `pillarbox demo`"
                ),
            ))]
        })?;
        let shape = read_shape(&text);
        let mut errors = shape.errors;
        if let Some(config) = &shape.config {
            let is_doubtful = |key: &str| shape.doubtful.iter().any(|doubtful| doubtful == key);
            let mistakes = config.mistakes().into_iter().filter(|(key, _)| {
                let section = key.split('.').next().unwrap_or(key);
                !is_doubtful(section)
            });
            errors.extend(mistakes.map(|(key, mistake)| {
                let last = key.rsplit('.').next().unwrap_or(key);
                (line_of(last, &text), format!("{key}: {mistake}"))
            }));
        }
        errors.sort_by_key(|(line, _)| *line);
        let errors: Vec<ConfigError> = errors.into_iter().map(error).collect();
        match shape.config {
            Some(config) => Ok(Examined {
                config,
                errors,
                doubtful: shape.doubtful,
            }),
            None => Err(errors),
        }
    }

    /// What is wrong, each with the key it is said under.
    fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut mistakes = Vec::new();
        self.listener_mistakes(&mut mistakes);
        for files in &self.tls.certificates {
            for path in [&files.certificate, &files.key] {
                if let Err(error) = File::open(path) {
                    mistakes.push((
                        "tls.certificates",
                        format!(
                            "{} cannot be read ({error}); check the path and its permissions",
                            path.display()
                        ),
                    ));
                }
            }
        }
        if let Some(oauth) = &self.oauth {
            mistakes.extend(oauth.mistakes());
        }
        self.mail_root_mistakes(&mut mistakes);
        let delimiter = self.layout.delimiter;
        if !matches!(delimiter, '/' | '.') {
            mistakes.push((
                "layout.delimiter",
                format!("{delimiter:?} cannot be the hierarchy delimiter; use / or ."),
            ));
        }
        if !self.layout.prefix.is_empty() && self.layout.prefix != format!("INBOX{delimiter}") {
            mistakes.push((
                "layout.prefix",
                "must be empty or INBOX and the delimiter".to_owned(),
            ));
        }
        if let Err(mistake) = store::UniqueIdFormat::parse(&self.pop3.unique_id_format) {
            mistakes.push(("pop3.unique_id_format", mistake));
        }
        self.capability_mistakes(&mut mistakes);
        let is_uri = |text: &str| {
            let scheme = text.split_once(':').map(|(scheme, _)| scheme);
            scheme.is_some_and(|scheme| {
                scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                    && scheme
                        .bytes()
                        .all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet))
            })
        };
        if self
            .server_metadata
            .admin
            .as_deref()
            .is_some_and(|text| !is_uri(text))
        {
            mistakes.push((
                "server_metadata.admin",
                "is no URI, as RFC 5464 asks for; write mailto:postmaster@example.org, say"
                    .to_owned(),
            ));
        }
        let limits = &self.limits;
        if limits.imap_idle_seconds < 1_800 {
            mistakes.push((
                "limits.imap_idle_seconds",
                "is below the 1800 that RFC 3501 section 5.4 asks for; raise it".to_owned(),
            ));
        }
        if limits.pop3_idle_seconds < 600 {
            mistakes.push((
                "limits.pop3_idle_seconds",
                "is below the 600 that RFC 1939 section 3 asks for; raise it".to_owned(),
            ));
        }
        if limits.messages_per_command.is_some() && limits.messages_per_save.is_some() {
            mistakes.push((
                "limits.messages_per_save",
                "messages_per_command goes for COPY and APPEND too (RFC 9738 section 3); set one"
                    .to_owned(),
            ));
        }
        for (key, value) in [
            ("limits.connections", limits.connections as u64),
            (
                "limits.connections_per_address",
                limits.connections_per_address as u64,
            ),
            (
                "limits.connections_per_user",
                limits.connections_per_user as u64,
            ),
            ("limits.login_seconds", limits.login_seconds),
        ] {
            if value == 0 {
                mistakes.push((key, "is 0, so nobody could log in; raise it".to_owned()));
            }
        }
        if limits.append_octets == 0 {
            mistakes.push((
                "limits.append_octets",
                "is 0, which is not \"no limit\": no client could save a sent message or a draft; raise it"
                    .to_owned(),
            ));
        }
        mistakes
    }

    fn mail_root_mistakes(&self, mistakes: &mut Vec<(&'static str, String)>) {
        let mail_root = &self.mail_root;
        let mut mistaken = |text: String| mistakes.push(("mail_root", text));
        if !mail_root.contains("%u") && !mail_root.contains("%n") {
            mistaken(
                "has no %u or %n, so all users would share one Maildir; put the user's name in"
                    .to_owned(),
            );
        }
        let mut characters = mail_root.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                continue;
            }
            match characters.next() {
                Some('u' | 'n' | 'd') => {}
                Some('h') => mistaken("%h is not known; write the path itself, with %u".to_owned()),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    mistaken(format!("%{other} is not known; there are %u, %n and %d"));
                }
            }
        }
        if let Some((driver, path)) = mail_root
            .split_once(':')
            .filter(|_| !mail_root.starts_with('/'))
        {
            mistaken(match driver {
                "maildir" => format!("take maildir: away, so that it begins {path}"),
                _ => format!("{driver}: is not supported; mail is kept in Maildirs"),
            });
        } else if !Path::new(mail_root).is_absolute() {
            mistaken("is no absolute path; begin it with /".to_owned());
        }
    }

    fn listener_mistakes(&self, mistakes: &mut Vec<(&'static str, String)>) {
        if self.listeners.is_empty() {
            mistakes.push((
                "listeners",
                "no listener; name at least one protocol, tls and address".to_owned(),
            ));
        }
        let is_plain = |listener: &Listener| listener.tls == TlsMode::None;
        if self.plaintext_login == Plaintext::Never
            && !self.listeners.is_empty()
            && self.listeners.iter().all(is_plain)
        {
            mistakes.push((
                "plaintext_login",
                "is never, and no listener has TLS, so nobody could log in; give one tls: implicit or starttls"
                    .to_owned(),
            ));
        }
        let is_off = |name: &str| {
            let mut names = self.without_capabilities.iter();
            names.any(|other| other.eq_ignore_ascii_case(name))
        };
        if is_off("POP3:USER") && is_off("POP3:SASL") {
            mistakes.push((
                "without_capabilities",
                "without POP3:USER and POP3:SASL nobody could log in over POP3; leave one on, or take its listeners away"
                    .to_owned(),
            ));
        }
        for (place, listener) in self.listeners.iter().enumerate() {
            let address = listener.address;
            let is_twice = self
                .listeners
                .iter()
                .take(place)
                .any(|other| other.address == address && address.port() != 0);
            if is_twice {
                mistakes.push((
                    "listeners",
                    format!("{address} is listed twice; remove one"),
                ));
            }
            for network in &listener.proxy_from {
                if crate::proxy::Network::parse(network).is_none() {
                    mistakes.push((
                        "listeners.proxy_from",
                        format!("{network:?} is no network; write it like 10.0.0.0/8 or ::1/128"),
                    ));
                }
            }
        }
    }
}

/// Reads what has the right shape. Deserialising ends at the first error, so the
/// line it names is blanked and the rest read again: lines keep their numbers.
fn read_shape(text: &str) -> Shape {
    let mut shape = Shape {
        config: None,
        errors: Vec::new(),
        doubtful: Vec::new(),
    };
    if let Err(error) = serde_yaml::from_str::<serde_yaml::Value>(text) {
        let line = error.location().map_or(0, |location| location.line());
        shape.errors.push(match duplicate(text) {
            Some((key, first, again)) if error.to_string().contains("duplicate entry") => (
                again,
                format!("{key}: stands in line {first} already; make one of the two"),
            ),
            _ => (
                line,
                format!("{error}; mind the indentation and quote what holds a colon"),
            ),
        });
        return shape;
    }
    if sets_nothing(text) {
        shape.errors.push((
            0,
            "sets nothing; is it cut short? Where all defaults are meant, set one of them, such as mail_root".to_owned(),
        ));
        return shape;
    }
    let mut lines: Vec<&str> = text.lines().collect();
    while shape.errors.len() < MAX_SHAPE_ERRORS {
        if lines.iter().all(|line| is_void(line)) {
            shape.config = Some(Config::default());
            return shape;
        }
        let error = match serde_yaml::from_str::<Config>(&lines.join("\n")) {
            Ok(config) => {
                shape.config = Some(config);
                return shape;
            }
            Err(error) => error,
        };
        let line = error.location().map_or(0, |location| location.line());
        let words = in_plain_words(&error.to_string());
        let told = format!("{words}; config/pillarbox.yaml shows every key");
        let Some(place) = line.checked_sub(1).filter(|place| *place < lines.len()) else {
            shape.errors.push((0, told));
            return shape;
        };
        let section = section_around(&lines, place);
        let key = lines.get(section.start).map_or("", |line| key_of(line));
        let is_known = shape.doubtful.iter().any(|doubtful| doubtful == key);
        let others_void = section
            .clone()
            .filter(|other| *other != section.start)
            .all(|other| is_void(lines.get(other).copied().unwrap_or_default()));
        // A key whose values were all blanked is no mistake of its own.
        if !(is_known && others_void && place == section.start) {
            shape.errors.push((line, told));
        }
        if !is_known {
            shape.doubtful.push(key.to_owned());
        }
        let item = item_around(&lines, section.start, place);
        let blanked: Vec<&str> = lines
            .iter()
            .enumerate()
            .map(|(other, line)| if item.contains(&other) { "" } else { *line })
            .collect();
        let is_enough = !is_void(lines.get(place).copied().unwrap_or_default())
            && (place != section.start || others_void)
            && serde_yaml::from_str::<serde_yaml::Value>(&blanked.join("\n")).is_ok();
        if is_enough {
            lines = blanked;
        } else if section.is_empty() {
            return shape;
        } else {
            for line in lines.get_mut(section).unwrap_or_default() {
                *line = "";
            }
        }
    }
    shape
}

/// A parser's words without the types of a program.
fn in_plain_words(words: &str) -> String {
    let mut words = words.replace(
        "invalid socket address syntax",
        "no address and port, as 127.0.0.1:993 or [::1]:993 is",
    );
    for name in ["u64", "usize", "u32", "u16"] {
        words = words.replace(&format!("expected {name}"), "expected a number, 0 or more");
    }
    words.replace("expected a nonzero u32", "expected a number, 1 or more")
}

/// Whether a file has no key that has a value: it may be half written, and to take the
/// defaults then would show users other mailboxes.
fn sets_nothing(text: &str) -> bool {
    match serde_yaml::from_str(text) {
        Ok(serde_yaml::Value::Null) => true,
        Ok(serde_yaml::Value::Mapping(keys)) => keys.values().all(serde_yaml::Value::is_null),
        _ => false,
    }
}

fn is_void(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "---"
}

/// The first key that stands twice in one block, and the two lines: the parser names the
/// line where the block begins.
fn duplicate(text: &str) -> Option<(String, usize, usize)> {
    // Where the keys of the blocks around a line begin, outermost first, and those met.
    let mut blocks: Vec<(usize, HashMap<String, usize>)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if is_void(line) || !line.contains(':') {
            continue;
        }
        let key_and_rest = line.trim_start_matches([' ', '-']);
        let column = line.len() - key_and_rest.len();
        let begins_item = line.trim_start().starts_with("- ");
        // An item of a list is a block of its own.
        blocks.retain(|(at, _)| *at < column || (*at == column && !begins_item));
        if blocks.last().is_none_or(|(at, _)| *at < column) {
            blocks.push((column, HashMap::new()));
        }
        let (_, met) = blocks.last_mut()?;
        let key = key_of(key_and_rest);
        if let Some(first) = met.insert(key.to_owned(), number) {
            return Some((key.to_owned(), first, number));
        }
    }
    None
}

/// The lines of the top-level key that a line belongs to.
fn section_around(lines: &[&str], place: usize) -> std::ops::Range<usize> {
    let begins = |line: &&str| {
        !is_void(line) && !line.starts_with(|first: char| first.is_whitespace() || first == '-')
    };
    let start = lines
        .iter()
        .take(place + 1)
        .rposition(begins)
        .unwrap_or_default();
    let end = lines
        .iter()
        .skip(place + 1)
        .position(begins)
        .map_or(lines.len(), |after| place + 1 + after);
    start..end
}

/// The lines of the list item that a line belongs to; the line itself where it is in
/// none.
fn item_around(lines: &[&str], section: usize, place: usize) -> std::ops::Range<usize> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = lines.get(place).copied().unwrap_or_default();
    let is_dash = |line: &str| line.trim_start().starts_with("- ");
    let start = (section + 1..=place).rev().find(|other| {
        let line = lines.get(*other).copied().unwrap_or_default();
        is_dash(line) && (*other == place || indent(line) < indent(own))
    });
    let Some(start) = start else {
        return place..place + 1;
    };
    let dash = lines.get(start).map_or(0, |line| indent(line));
    let end = (start + 1..lines.len())
        .find(|other| {
            let line = lines.get(*other).copied().unwrap_or_default();
            !is_void(line) && indent(line) <= dash
        })
        .unwrap_or(lines.len());
    start..end
}

/// The key of a line.
fn key_of(line: &str) -> &str {
    line.split(':')
        .next()
        .unwrap_or(line)
        .trim()
        .trim_matches(['"', '\''])
}

/// The line a key stands on; 0 where the file leaves it to the default.
fn line_of(key: &str, text: &str) -> usize {
    let in_flow = [
        format!("{{ {key}:"),
        format!("{{{key}:"),
        format!(", {key}:"),
    ];
    let stands = |line: &str| {
        let line = line.trim_start();
        let first = line.trim_start_matches("- ");
        !line.starts_with('#')
            && (first
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with(':'))
                || in_flow.iter().any(|sign| first.contains(sign.as_str())))
    };
    text.lines().position(stands).map_or(0, |line| line + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, Vec<ConfigError>> {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("pillarbox.yaml");
        std::fs::write(&file, text).expect("write");
        Config::load(&file)
    }

    fn lines(text: &str) -> Vec<usize> {
        let errors = load(text).expect_err("mistakes");
        errors.iter().map(|error| error.line).collect()
    }

    #[test]
    fn all_mistakes_are_reported_at_once_with_their_lines() {
        let text = "mail_root: relative\nlisteners: []\nlimits:\n  pop3_idle_seconds: 5\n";
        assert_eq!(lines(text), [1, 1, 2, 4]);
        let errors = load("nonsense: 1\nlisteners: []\n").expect_err("unknown key");
        assert!(errors[0].text.contains("nonsense"), "{errors:?}");
        assert!(errors[1].text.contains("no listener"), "{errors:?}");
        let errors = load("limits:\n  append_octets: 0\n").expect_err("no message");
        assert!(errors[0].text.contains("not \"no limit\""), "{errors:?}");
        assert_eq!(errors[0].line, 2);
        let errors = load(
            "plaintext_login: never\nlisteners:\n  - { protocol: imap, tls: none, address: \"127.0.0.1:143\" }\n",
        );
        let errors = errors.expect_err("no way in");
        assert!(errors[0].text.contains("nobody could log in"), "{errors:?}");
        let errors = load("mail_root: \"maildir:/m/%u/%x\"\n").expect_err("two mistakes");
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].text.contains("%x is not known"), "{errors:?}");
        assert!(errors[1].text.contains("take maildir: away"), "{errors:?}");
        let errors = load("pop3:\n  unique_id_format: \"%v\"\n").expect_err("all the same");
        assert!(errors[0].text.contains("neither %u"), "{errors:?}");
        assert_eq!((errors.len(), errors[0].line), (1, 2));
    }

    #[test]
    fn a_key_that_stands_twice_is_told_where_it_does() {
        let twice = "\
# limits:
limits:
  connections: 5
pop3: { delete: hide }
listeners:
  - { protocol: imap, tls: none, address: \"127.0.0.1:143\" }
limits: { connections: 6 }
";
        let within = "limits:\n  connections: 5\n\n  login_seconds: 60\n  connections: 6\n";
        let items = "\
listeners:
  - protocol: imap
    tls: none
  - protocol: imap
    tls: none
    protocol: pop3
";
        for (text, first, again) in [(twice, 2, 7), (within, 2, 5), (items, 4, 6)] {
            let errors = load(text).expect_err("a mistake");
            assert_eq!(errors.len(), 1, "{errors:?}");
            let told = errors[0].to_string();
            assert!(
                told.contains(&format!("pillarbox.yaml:{again}: ")),
                "{told}"
            );
            assert!(told.contains(&format!("line {first} already")), "{told}");
        }
        // In one line the parser's own words have to do.
        let errors = load("limits: { connections: 5, connections: 6 }\n").expect_err("a mistake");
        assert!(errors[0].text.contains("duplicate"), "{errors:?}");
    }

    #[test]
    fn mistakes_of_shape_hide_no_others() {
        let text = "\
listeners:
  - { protocol: imap, tls: none, address: \"127.0.0.1:143\" }
limits:
  connections: many
  nonsense: 1
  login_seconds: 0
pop3:
  delete: never
layout:
  delimiter: x
plaintext_login: sometimes
";
        let errors = load(text).expect_err("mistakes");
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(lines(text), [4, 5, 8, 10, 11], "{told:#?}");
        assert!(
            told[0].contains("expected a number, 0 or more"),
            "{told:#?}"
        );
    }

    #[test]
    fn a_mistaken_listener_is_told_once() {
        let text = "\
listeners:
  - protocol: smtp
    tls: none
    address: \"127.0.0.1:25\"
  - protocol: imap
    tls: sometimes
    address: \"127.0.0.1:143\"
mail_root: relative
";
        let errors = load(text).expect_err("mistakes");
        assert!(errors[0].text.contains("smtp"), "{errors:?}");
        let told: Vec<_> = errors.iter().map(|error| error.line).collect();
        assert_eq!(told, [2, 6, 8, 8], "{errors:?}");
    }

    #[test]
    fn the_shipped_file_is_taken_as_it_is() {
        let shipped = include_str!("../../../../config/pillarbox.yaml");
        assert_eq!(load(shipped), Ok(Config::default()));
    }

    #[test]
    fn files_that_are_no_configuration_end() {
        for text in [
            "{",
            "[]",
            "1",
            "- a\n- b\n",
            "a\n",
            "\u{0}",
            "x: [\n",
            "? a\n: b\n",
            "",
            "limits:\n",
            "# nothing\n",
            "---\n",
            "listeners:\n- 1\n- 2\n",
            "&a [*a]",
        ] {
            assert!(load(text).is_err(), "{text:?}");
        }
        let least = load("plaintext_login: loopback\n");
        assert_eq!(least, Ok(Config::default()));
    }
}
