//! Dovecot's passwd-file: `user:{SCHEME}hash:uid:gid:gecos:home:shell:extra fields`.
//!
//! Extra fields that say who may log in or where the mail is are obeyed, or refused: to
//! pass over one would let somebody in who was kept out, or show an empty mailbox.

use super::access::Access;
use super::users::{Mistake, User};
use crate::proxy::Network;
use std::path::PathBuf;

/// Reads the lines of a passwd-file, each with its number, and tells what is wrong.
pub fn read(text: &str) -> (Vec<(usize, User)>, Vec<Mistake>) {
    let (mut users, mut mistakes) = (Vec::new(), Vec::new());
    for (line, content) in (1..).zip(text.lines()) {
        if content.trim().is_empty() || content.starts_with('#') {
            continue;
        }
        let mut found = Vec::new();
        match read_line(content, &mut found) {
            Some(user) => users.push((line, user)),
            None => found.push("no user:password:... line; mend it, or begin it with #".to_owned()),
        }
        mistakes.extend(found.into_iter().map(|text| Mistake { line, text }));
    }
    (users, mistakes)
}

fn read_line(line: &str, mistakes: &mut Vec<String>) -> Option<User> {
    // A hash holds no colon, whatever its scheme; extra fields may.
    let mut fields = line.splitn(8, ':');
    let (name, password) = (fields.next()?, fields.next()?);
    let home = fields.nth(3).unwrap_or_default();
    let extra = fields.nth(1).unwrap_or_default();
    let mut user = User {
        name: name.to_owned(),
        password: password.to_owned(),
        scram: None,
        scram_sha_1: None,
        mail: None,
        devices: Vec::new(),
        access: Access::default(),
    };
    // Before Dovecot 1.1 there was no extra field and the mail's place followed.
    let old_form = extra.strip_prefix(':').filter(|mail| !mail.is_empty());
    let words = extra.split_ascii_whitespace();
    let fields: Vec<(&str, &str)> = match old_form {
        Some(mail) => vec![("userdb_mail", mail)],
        None => words
            .map(|word| word.split_once('=').unwrap_or((word, "")))
            .collect(),
    };
    let moved = fields.iter().find(|(key, _)| *key == "userdb_home");
    let home = moved.map_or(home, |(_, home)| home);
    for (key, value) in fields {
        if let Err(mistake) = obey(&mut user, key, value, home) {
            mistakes.push(mistake);
        }
    }
    Some(user)
}

fn obey(user: &mut User, key: &str, value: &str, home: &str) -> Result<(), String> {
    let name = user.name.clone();
    match key {
        "nologin" => user.access.shut = true,
        "allow_nets" => user.access.networks = Some(networks(&name, value)?),
        "userdb_mail" => user.mail = Some(place(&name, value, home)?),
        // What is told to the client, or how soon, or what is for programs that are not here.
        "nodelay" | "reason" | "k5principals" => {}
        "nopassword" => {
            return Err(format!(
                "{name} has nopassword, which would let anybody in; take it away and set a password"
            ));
        }
        "proxy" | "proxy_maybe" | "host" | "port" | "ssl" | "starttls" | "destuser" | "master" => {
            return Err(format!(
                "{name} has {key}, which is about another server or other users' mail; take the field away, or begin the line with #"
            ));
        }
        _ if key.starts_with("userdb_mail_")
            || key.starts_with("userdb_namespace")
            || key == "userdb_user" =>
        {
            return Err(format!(
                "{name} has {key}; write where the mail is as userdb_mail=maildir:/PATH, or take the field away"
            ));
        }
        // Quotas, identities of the system and what plugins read.
        _ if key.starts_with("userdb_") => {}
        _ => {
            return Err(format!(
                "{name} has the field {key}, which is not known here and may keep somebody out; take it away, or put nologin or allow_nets in its place"
            ));
        }
    }
    Ok(())
}

/// Reads `allow_nets`. What comes over no network (`local`) is none of our clients.
fn networks(name: &str, value: &str) -> Result<Vec<Network>, String> {
    let words = value.split(',').filter(|word| *word != "local");
    words
        .map(|word| {
            Network::parse(word).ok_or_else(|| {
                format!("allow_nets of {name}: {word:?} is no network; write it like 10.0.0.0/8, 192.0.2.7 or fd00::/8")
            })
        })
        .collect()
}

/// Reads a location such as `maildir:~/Maildir:INDEX=/var/index`.
fn place(name: &str, location: &str, home: &str) -> Result<PathBuf, String> {
    let Some(rest) = location.strip_prefix("maildir:") else {
        return Err(format!(
            "userdb_mail of {name} is no maildir:; convert the mail with `dsync` and write maildir:/PATH"
        ));
    };
    let (path, parameters) = rest.split_once(':').unwrap_or((rest, ""));
    for parameter in parameters.split(':').filter(|it| !it.is_empty()) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let is_as_here = match key {
            // What is there can be made anew.
            "INDEX" | "INDEXPVT" | "INDEXCACHE" | "VOLATILEDIR" => true,
            "LAYOUT" => value.eq_ignore_ascii_case("maildir++"),
            _ => false,
        };
        if !is_as_here {
            return Err(format!(
                "userdb_mail of {name} has {key}=, which is not supported; `dsync` the mail into a plain Maildir, then take {key}= away"
            ));
        }
    }
    let signs = ["~", "%h", "%{home}"].into_iter();
    let mut signed = signs.filter_map(|sign| Some((sign, path.strip_prefix(sign)?)));
    let (rest, mut found) = match signed.next() {
        // Else one Maildir would be that of all who have no home.
        Some((sign, _)) if home.is_empty() => {
            return Err(format!(
                "userdb_mail of {name} has {sign}, and {name} has no home; write the path itself, or a home in the sixth field"
            ));
        }
        // Else it would be a directory beside the home, which may be another's.
        Some((sign, rest)) if !rest.is_empty() && !rest.starts_with('/') => {
            return Err(format!(
                "userdb_mail of {name}: what follows {sign} must begin with /"
            ));
        }
        Some((_, rest)) => (rest, home.to_owned()),
        None => (path, String::new()),
    };
    let (local, domain) = name.split_once('@').unwrap_or((name, ""));
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            found.push(character);
            continue;
        }
        match characters.next() {
            Some('u') => found.push_str(name),
            Some('n') => found.push_str(local),
            Some('d') => found.push_str(domain),
            Some('%') => found.push('%'),
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(format!(
                    "userdb_mail of {name}: %{other} is not known; write %u, %n, %d or the path itself"
                ));
            }
        }
    }
    Ok(PathBuf::from(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::path::Path;

    fn one(extra: &str) -> (User, Vec<String>) {
        let (mut users, mistakes) = read(&format!("a@x.org:{{PLAIN}}x:1:1::/h/a::{extra}\n"));
        let told = mistakes.into_iter().map(|mistake| mistake.text).collect();
        (users.remove(0).1, told)
    }

    #[test]
    fn who_is_kept_out_stays_out() {
        let bar = |extra: &str, peer: &str| {
            let (user, mistakes) = one(extra);
            assert!(mistakes.is_empty(), "{mistakes:?}");
            let peer: IpAddr = peer.parse().expect("an address");
            user.access.bar(peer)
        };
        let nologin = Some("nologin in the users file");
        let elsewhere = Some("allow_nets in the users file");
        for (extra, peer, expected) in [
            ("", "192.0.2.1", None),
            ("nologin", "192.0.2.1", nologin),
            ("userdb_quota_rule=*:storage=1G nologin=y", "::1", nologin),
            (
                "nologin reason=Gone allow_nets=192.0.2.1",
                "192.0.2.1",
                nologin,
            ),
            ("allow_nets=10.0.0.0/8,192.0.2.7", "10.1.2.3", None),
            ("allow_nets=10.0.0.0/8,192.0.2.7", "::ffff:192.0.2.7", None),
            ("allow_nets=10.0.0.0/8,192.0.2.7", "192.0.2.8", elsewhere),
            ("allow_nets=fd00::/8,local", "fd00::1", None),
            ("allow_nets=fd00::/8,local", "127.0.0.1", elsewhere),
            ("allow_nets=local", "::1", elsewhere),
        ] {
            assert_eq!(bar(extra, peer), expected, "{extra} from {peer}");
        }
    }

    #[test]
    fn what_changes_the_meaning_is_obeyed_or_told() {
        for (extra, word) in [
            ("userdb_mail=mbox:~/mail", "dsync"),
            ("userdb_mail=maildir:~/Mail:CONTROL=/c", "CONTROL="),
            ("userdb_mail=maildir:~/Mail:LAYOUT=fs", "LAYOUT="),
            ("userdb_mail=maildir:/m/%Lu", "%L"),
            ("userdb_mail=maildir:~nn/Maildir", "must begin with /"),
            ("userdb_mail=maildir:%hnn/Maildir", "must begin with /"),
            ("userdb_mail=maildir:%{home}%n", "must begin with /"),
            ("userdb_home= userdb_mail=maildir:~/Mail", "no home"),
            ("userdb_mail_path=/m", "userdb_mail=maildir:"),
            ("nopassword=y", "anybody"),
            ("proxy=y host=192.0.2.1", "another server"),
            ("deny=yes", "nologin"),
            ("allow_nets=10.0.0.0/33", "no network"),
            ("allow_nets=", "no network"),
        ] {
            let (_, mistakes) = one(extra);
            assert!(
                mistakes
                    .first()
                    .is_some_and(|mistake| mistake.contains(word)),
                "{extra}: {mistakes:?}"
            );
        }
        for (extra, mail) in [
            ("userdb_mail=maildir:~/Mail:INDEX=/i", "/h/a/Mail"),
            ("userdb_mail=maildir:/m/%d/%n/%u", "/m/x.org/a/a@x.org"),
            ("userdb_home=/g userdb_mail=maildir:%h/Mail", "/g/Mail"),
            ("userdb_mail=maildir:~", "/h/a"),
            (":maildir:/old/a", "/old/a"),
        ] {
            let (user, mistakes) = one(extra);
            assert_eq!(mistakes, Vec::<String>::new(), "{extra}");
            assert_eq!(user.mail.as_deref(), Some(Path::new(mail)), "{extra}");
        }
        assert_eq!(
            one("nodelay=y userdb_quota_rule=*:storage=1G").1,
            Vec::<String>::new()
        );
    }

    /// All who have no home would have one Maildir.
    #[test]
    fn what_is_in_no_home_is_nowhere() {
        for sign in ["~", "%h", "%{home}"] {
            for rest in ["", "/Maildir"] {
                let line = format!("a:{{PLAIN}}x::::::userdb_mail=maildir:{sign}{rest}\n");
                let (users, mistakes) = read(&line);
                assert_eq!(mistakes.len(), 1, "{line}");
                assert!(mistakes[0].text.contains("no home"), "{mistakes:?}");
                assert_eq!(users[0].1.mail, None, "{line}");
            }
        }
        let (users, mistakes) = read("a:{PLAIN}x::::::userdb_mail=maildir:/m/%u\n");
        assert_eq!(mistakes, []);
        assert_eq!(users[0].1.mail.as_deref(), Some(Path::new("/m/a")));
    }

    #[test]
    fn every_mistake_has_its_line() {
        let (users, mistakes) = read("# users\nanna\n\nben:{PLAIN}b:::::: proxy=y deny\n");
        let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
        assert_eq!((users.len(), lines), (1, vec![2, 4, 4]));
    }
}
