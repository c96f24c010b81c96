//! OAUTHBEARER (RFC 7628) and XOAUTH2: a client shows an access token.

use super::Step;
use super::scram::decode_name;
use crate::Secret;

/// How a token is shown, and how its refusal is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// RFC 7628.
    OAuthBearer,
    /// As Google defined it: `user=` name, `auth=Bearer` token.
    XOAuth2,
}

/// What a client showed.
#[derive(Debug)]
pub struct Bearer {
    /// In which form.
    pub form: Form,
    /// As whom it wants to act; none where the token is to tell.
    pub user: Option<String>,
    /// The access token (RFC 6750); empty where the client only asks what is needed
    /// (RFC 7628 section 3.2.3).
    pub token: Secret,
}

/// The longest access token, in octets.
const TOKEN_OCTETS: usize = 8 * 1024;

/// Takes a client's only message.
pub(super) fn step(form: Form, input: &[u8]) -> Step {
    let read = match form {
        Form::OAuthBearer => read_oauthbearer(input),
        Form::XOAuth2 => read_xoauth2(input),
    };
    match read {
        Ok(bearer) => Step::CheckToken(bearer),
        Err(problem) => Step::Malformed(problem),
    }
}

/// `gs2-header kvsep *kvpair kvsep` (RFC 7628 section 3.1).
fn read_oauthbearer(input: &[u8]) -> Result<Bearer, &'static str> {
    let text = std::str::from_utf8(input).map_err(|_| "the message is not UTF-8")?;
    let (header, pairs) = text
        .split_once('\u{1}')
        .ok_or("the key-value pairs are missing")?;
    let mut fields = header.split(',');
    let (Some(flag), Some(authzid), Some(""), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err("the GS2 header is broken");
    };
    // RFC 7628 section 3.1: OAUTHBEARER does not bind to the channel.
    if !matches!(flag, "n" | "y") {
        return Err("channel binding is not supported");
    }
    let user = match authzid {
        "" => None,
        authzid => {
            let name = authzid.strip_prefix("a=");
            let name = decode_name(name.ok_or("the GS2 header is broken")?)?;
            (!name.is_empty()).then_some(name)
        }
    };
    let pairs = match pairs {
        "\u{1}" => "",
        pairs => pairs
            .strip_suffix("\u{1}\u{1}")
            .ok_or("the key-value pairs have no end")?,
    };
    Ok(Bearer {
        form: Form::OAuthBearer,
        user,
        token: token_of(pairs)?,
    })
}

fn read_xoauth2(input: &[u8]) -> Result<Bearer, &'static str> {
    let text = std::str::from_utf8(input).map_err(|_| "the message is not UTF-8")?;
    let text = text.strip_prefix("user=").ok_or("the user is missing")?;
    let (user, pairs) = text
        .split_once('\u{1}')
        .ok_or("the access token is missing")?;
    // Some clients send one separator at the end, not two.
    let pairs = pairs.trim_end_matches('\u{1}');
    if user.is_empty() {
        return Err("the user is missing");
    }
    Ok(Bearer {
        form: Form::XOAuth2,
        user: Some(user.to_owned()),
        token: token_of(pairs)?,
    })
}

/// The token of the pair `auth=Bearer token`; pairs of other keys (`host`, `port`) say
/// nothing that matters here.
fn token_of(pairs: &str) -> Result<Secret, &'static str> {
    let mut found = None;
    for pair in pairs.split('\u{1}') {
        let (key, value) = match pair.split_once('=') {
            Some(pair) => pair,
            None if pairs.is_empty() => break,
            None => return Err("a key-value pair is broken"),
        };
        if key == "auth" && found.replace(value).is_some() {
            return Err("the access token is there twice");
        }
    }
    let value = match found {
        None | Some("") => return Ok(Secret::new(Vec::new())),
        Some(value) => value,
    };
    let (scheme, token) = value.split_once(' ').ok_or("the access token is missing")?;
    // The name of the scheme has any case (RFC 7628 section 3.1, RFC 7235 section 2.1).
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err("the access token is of another scheme");
    }
    let token = token.trim_matches(' ');
    // b64token (RFC 6750 section 2.1).
    let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(&octet);
    if token.is_empty() || token.len() > TOKEN_OCTETS || !token.bytes().all(is_token) {
        return Err("the access token is broken");
    }
    Ok(Secret::new(token.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;

    fn read(form: Form, input: &[u8]) -> Option<(Option<String>, String)> {
        match step(form, input) {
            Step::CheckToken(bearer) => {
                assert_eq!(bearer.form, form);
                let token = String::from_utf8(bearer.token.expose().to_vec()).unwrap();
                Some((bearer.user, token))
            }
            Step::Malformed(_) => None,
            other => panic!("{other:?}"),
        }
    }

    fn of(user: &str, token: &str) -> Option<(Option<String>, String)> {
        Some((Some(user.to_owned()), token.to_owned()))
    }

    /// RFC 7628 section 4.1, as it stands on the wire.
    #[test]
    fn the_example_of_rfc_7628_is_read() {
        let message = "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzA\
            WF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB";
        let message = BASE64.decode(message).unwrap();
        assert_eq!(
            read(Form::OAuthBearer, &message),
            of(
                "user@example.com",
                "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
            )
        );
    }

    #[test]
    fn oauthbearer_is_read_as_its_grammar_says() {
        let read = |text: &str| read(Form::OAuthBearer, text.as_bytes());
        assert_eq!(
            read("n,,\u{1}auth=bearer t\u{1}\u{1}"),
            Some((None, "t".to_owned()))
        );
        assert_eq!(
            read("y,a=a=2Cb,\u{1}auth=Bearer t\u{1}\u{1}"),
            of("a,b", "t")
        );
        // The client asks what is needed.
        assert_eq!(read("n,a=u,\u{1}auth=\u{1}\u{1}"), of("u", ""));
        assert_eq!(read("n,a=u,\u{1}\u{1}"), of("u", ""));
        for broken in [
            "",
            "n,,",
            "n,a=u\u{1}auth=Bearer t\u{1}\u{1}",
            "p=tls-exporter,,\u{1}auth=Bearer t\u{1}\u{1}",
            "n,u,\u{1}auth=Bearer t\u{1}\u{1}",
            "n,a=u,\u{1}auth=Bearer t\u{1}",
            "n,a=u,\u{1}auth=Bearer t",
            "n,a=u,\u{1}auth=Basic t\u{1}\u{1}",
            "n,a=u,\u{1}auth=Bearer\u{1}\u{1}",
            "n,a=u,\u{1}auth=Bearer \u{1}\u{1}",
            "n,a=u,\u{1}auth=Bearer a b\u{1}\u{1}",
            "n,a=u,\u{1}auth=Bearer a\u{1}auth=Bearer b\u{1}\u{1}",
            "n,a=u,\u{1}nonsense\u{1}\u{1}",
        ] {
            assert_eq!(read(broken), None, "{broken:?}");
        }
        let long = "t".repeat(TOKEN_OCTETS + 1);
        assert_eq!(read(&format!("n,,\u{1}auth=Bearer {long}\u{1}\u{1}")), None);
    }

    #[test]
    fn xoauth2_is_read() {
        let read = |text: &str| read(Form::XOAuth2, text.as_bytes());
        let token = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg";
        for end in ["\u{1}\u{1}", "\u{1}"] {
            assert_eq!(
                read(&format!(
                    "user=someuser@example.com\u{1}auth=Bearer {token}{end}"
                )),
                of("someuser@example.com", token)
            );
        }
        for broken in [
            "",
            "user=",
            "user=\u{1}auth=Bearer t\u{1}\u{1}",
            "user=u",
            "auth=Bearer t",
        ] {
            assert_eq!(read(broken), None, "{broken:?}");
        }
    }
}
