//! Our own users file: a list of users, each item a user.

use super::users::{Mistake, User, Users};

/// Reads what is no passwd-file: users with the lines they begin in, and what is wrong,
/// told without the text itself, which may hold passwords.
pub fn read(text: &str) -> (Vec<(usize, User)>, Vec<Mistake>) {
    let mistake = |line, text: &str| Mistake {
        line,
        text: text.to_owned(),
    };
    let whole = match serde_yaml::from_str::<Users>(text) {
        Ok(users) => {
            let lines = lines_of_users(text, users.users.len());
            return (lines.into_iter().zip(users.users).collect(), Vec::new());
        }
        Err(error) => error,
    };
    let line = whole.location().map_or(0, |location| location.line());
    let words = whole.to_string();
    if words.starts_with("invalid type: string") && !text.trim_start().starts_with("users:") {
        let remedy = "no list of users; if it is a passwd-file of Dovecot, give it a name that does not end in .yaml";
        return (Vec::new(), vec![mistake(line, remedy)]);
    }
    // One after the other, so that each mistake is told.
    let users = match serde_yaml::from_str::<serde_yaml::Value>(text) {
        Ok(serde_yaml::Value::Mapping(mut keys)) if keys.len() == 1 => keys.remove("users"),
        Ok(_) | Err(_) => None,
    };
    let Some(serde_yaml::Value::Sequence(users)) = users else {
        return (Vec::new(), vec![mistake(line, &without_values(&words))]);
    };
    let (mut read, mut mistakes) = (Vec::new(), Vec::new());
    for (line, user) in lines_of_users(text, users.len()).into_iter().zip(users) {
        match serde_yaml::from_value::<User>(user) {
            Ok(user) => read.push((line, user)),
            Err(error) => mistakes.push(mistake(line, &without_values(&error.to_string()))),
        }
    }
    (read, mistakes)
}

/// The words of an error without the value it is about, which may be a password.
fn without_values(words: &str) -> String {
    let is_about_value = words.contains("invalid type: ") || words.contains("invalid value: ");
    let expected = words
        .split_once(", expected ")
        .map(|(_, expected)| expected);
    match expected.filter(|_| is_about_value) {
        Some(expected) => format!("a value of the wrong kind, expected {expected}"),
        None => words.to_owned(),
    }
}

/// The lines in which so many users begin: the items of the outermost list. Zeros where
/// the list is not written an item a line.
fn lines_of_users(text: &str, count: usize) -> Vec<usize> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let items = || {
        let numbered = (1..).zip(text.lines());
        numbered.filter(|(_, line)| line.trim_start().starts_with("- "))
    };
    let outermost = items().map(|(_, line)| indent(line)).min();
    let lines: Vec<usize> = items()
        .filter(|(_, line)| Some(indent(line)) == outermost)
        .map(|(number, _)| number)
        .collect();
    match lines.len() == count {
        true => lines,
        false => vec![0; count],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_has_its_line_and_shows_no_password() {
        let text = "\
users:
- name: anna
  password: '!'
  devices:
  - name: phone
    pasword: hidden
- name: ben
  password: '!'
- name: carl
  password: '!'
  devices: hidden
";
        let (users, mistakes) = read(text);
        let names: Vec<&str> = users.iter().map(|(_, user)| user.name.as_str()).collect();
        assert_eq!((names, users[0].0), (vec!["ben"], 7));
        let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [2, 9], "{mistakes:?}");
        let told = format!("{mistakes:?}");
        assert!(
            told.contains("pasword") && !told.contains("hidden"),
            "{told}"
        );
    }
}
