//! [`Language`]: what replies say to people, in the language a client chose (RFC 6856
//! section 3). Replies are written in English; the table below has the other language.

/// A language of replies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    /// What every client gets that asks for nothing.
    #[default]
    English,
    /// Simplified Chinese.
    SimplifiedChinese,
}

/// Each text and what it is in Simplified Chinese; `{}` stands for a number or name.
const TEXTS: &[(&str, &str)] = &[
    ("Pillarbox POP3 ready", "Pillarbox POP3 已就绪"),
    ("Pillarbox signing off", "Pillarbox 再见"),
    ("Language changed", "语言已更改"),
    ("language listing follows", "语言列表如下"),
    ("no such language", "没有这种语言"),
    ("UTF8 is on", "UTF8 模式已启用"),
    ("UTF8 is for before login", "UTF8 只能在登录前使用"),
    ("STLS goes before UTF8", "STLS 必须在 UTF8 之前"),
    ("this message needs UTF8", "此邮件需要 UTF8 模式"),
    ("too many bad commands", "错误命令过多"),
    ("TLS is on already", "TLS 已启用"),
    ("TLS is not available", "TLS 不可用"),
    ("Begin TLS negotiation", "开始 TLS 协商"),
    ("server is shutting down", "服务器正在关闭"),
    ("the login is no longer valid", "登录已失效"),
    (
        "logging in needs TLS, use STLS first",
        "登录需要 TLS，请先使用 STLS",
    ),
    ("passwords are in UTF-8", "密码须为 UTF-8"),
    ("capability list follows", "功能列表如下"),
    ("mechanisms follow", "认证机制如下"),
    ("send PASS", "请发送 PASS"),
    ("send USER first", "请先发送 USER"),
    ("log in first", "请先登录"),
    ("not allowed after login", "登录后不允许此命令"),
    ("unknown authentication mechanism", "未知的认证机制"),
    ("authentication cancelled", "认证已取消"),
    ("no authentication is under way", "没有正在进行的认证"),
    ("an empty response was expected", "应为空响应"),
    ("the response is too long", "响应过长"),
    ("the response is not base64", "响应不是 base64"),
    ("Authentication failed.", "认证失败。"),
    (
        "channel binding is offered here; somebody hid that",
        "本服务器提供通道绑定，但有人将其隐藏",
    ),
    (
        "the channel binding is of another connection",
        "通道绑定属于另一个连接",
    ),
    ("too many connections of this user", "此用户的连接过多"),
    ("wait {} seconds between logins", "两次登录之间请等待 {} 秒"),
    (
        "logging in is not possible now, try later",
        "现在无法登录，请稍后再试",
    ),
    ("you may act for yourself only", "您只能以自己的身份登录"),
    ("unknown command", "未知命令"),
    ("a user name is needed", "需要用户名"),
    ("the user name is not UTF-8 text", "用户名不是 UTF-8 文本"),
    ("a password is needed", "需要密码"),
    ("too many arguments", "参数过多"),
    ("a message number is needed", "需要邮件编号"),
    ("that is no message number", "这不是邮件编号"),
    ("a number of lines is needed", "需要行数"),
    ("the line is too long", "行过长"),
    ("no such message", "没有这封邮件"),
    ("the maildrop cannot be opened now", "现在无法打开邮箱"),
    (
        "the server may not use the maildrop, its log says what to do",
        "服务器无权使用此邮箱，处理办法见服务器日志",
    ),
    (
        "another session has the maildrop open",
        "另一个会话已打开此邮箱",
    ),
    (
        "maildrop has {} messages ({} octets)",
        "邮箱有 {} 封邮件（{} 字节）",
    ),
    ("unique-id listing follows", "唯一标识列表如下"),
    ("message {} deleted", "邮件 {} 已删除"),
    ("nothing done", "未执行任何操作"),
    (
        "message {} was removed by another session",
        "邮件 {} 已被另一个会话删除",
    ),
    ("message {} cannot be read now", "现在无法读取邮件 {}"),
    ("{} octets", "{} 字节"),
    ("top of message follows", "邮件开头如下"),
    (
        "{} of {} deleted messages not removed",
        "有 {} 封（共 {} 封）已标记删除的邮件未能移除",
    ),
    ("this visit could not be noted", "无法记录本次访问"),
    // Of mechanisms.
    ("PLAIN needs two NUL octets", "PLAIN 需要两个 NUL 字节"),
    ("the user name is empty", "用户名为空"),
    ("the user name is not UTF-8", "用户名不是 UTF-8"),
    ("the user name is missing", "缺少用户名"),
    ("the user name is broken", "用户名有误"),
    ("the message is not UTF-8", "消息不是 UTF-8"),
    ("the message is out of order", "消息顺序有误"),
    ("no keys were asked for", "并未请求密钥"),
    ("the proof is missing", "缺少证明"),
    ("the proof is not base64", "证明不是 base64"),
    ("the proof has a wrong size", "证明长度有误"),
    ("the nonce is missing", "缺少随机数"),
    ("the nonce is broken", "随机数有误"),
    ("the nonce does not match", "随机数不匹配"),
    ("the GS2 header is broken", "GS2 头有误"),
    ("the channel binding is missing", "缺少通道绑定"),
    ("the channel binding does not match", "通道绑定不匹配"),
    (
        "a -PLUS mechanism needs channel binding",
        "-PLUS 机制需要通道绑定",
    ),
    (
        "channel binding needs a -PLUS mechanism",
        "通道绑定需要 -PLUS 机制",
    ),
    (
        "this type of channel binding is not supported",
        "不支持这种通道绑定",
    ),
    ("the access token is broken", "访问令牌有误"),
    ("the access token is missing", "缺少访问令牌"),
    ("the access token is there twice", "访问令牌重复"),
    (
        "the access token is of another scheme",
        "访问令牌属于另一种方案",
    ),
    ("the key-value pairs are missing", "缺少键值对"),
    ("the key-value pairs have no end", "键值对没有结尾"),
    ("a key-value pair is broken", "键值对有误"),
    ("the user is missing", "缺少用户"),
    ("channel binding is not supported", "不支持通道绑定"),
];

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::SimplifiedChinese];

    /// Its tag (RFC 5646).
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::SimplifiedChinese => "zh-Hans",
        }
    }

    /// What it calls itself.
    pub fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::SimplifiedChinese => "简体中文",
        }
    }

    /// The language for a basic language range (RFC 4647 section 2.1): one whose tag
    /// begins so, or for what is narrower than a tag (`en-GB`, `zh-CN`) the one it is
    /// part of. Chinese that is written otherwise is none.
    pub fn matching(range: &str) -> Option<Self> {
        let range = range.to_ascii_lowercase();
        let traditional = ["zh-hant", "zh-tw", "zh-hk", "zh-mo"];
        let begins = |text: &str, start: &str| {
            let rest = text.strip_prefix(start);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        if traditional.iter().any(|other| begins(&range, other)) {
            return None;
        }
        let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_owned();
        Self::ALL.into_iter().find(|language| {
            let tag = language.tag().to_ascii_lowercase();
            begins(&tag, &range) || begins(&range, &tag) || primary(&range) == primary(&tag)
        })
    }

    /// A text of a reply in this language. What has no other text (numbers, unique-ids)
    /// stays as it is.
    pub fn say(self, english: &str) -> String {
        let translated = match self {
            Self::English => None,
            Self::SimplifiedChinese => TEXTS
                .iter()
                .find_map(|(pattern, other)| Some(fill(other, &taken(pattern, english)?))),
        };
        translated.unwrap_or_else(|| english.to_owned())
    }
}

/// What stands at the `{}` of a pattern; `None` where the text is another.
fn taken<'a>(pattern: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut pieces = pattern.split("{}");
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let mut found = Vec::new();
    for piece in pieces {
        let end = match piece {
            "" => rest.len(),
            piece => rest.find(piece)?,
        };
        let (value, after) = rest.split_at_checked(end)?;
        if value.is_empty() || value.contains(' ') {
            return None;
        }
        found.push(value);
        rest = after.strip_prefix(piece)?;
    }
    rest.is_empty().then_some(found)
}

fn fill(pattern: &str, values: &[&str]) -> String {
    let mut values = values.iter();
    let mut pieces = pattern.split("{}");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text.push_str(values.next().copied().unwrap_or_default());
        text.push_str(piece);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_choose_a_language() {
        for (range, language) in [
            ("en", Some(Language::English)),
            ("EN-gb", Some(Language::English)),
            ("zh", Some(Language::SimplifiedChinese)),
            ("zh-Hans", Some(Language::SimplifiedChinese)),
            ("zh-CN", Some(Language::SimplifiedChinese)),
            ("zh-hans-sg", Some(Language::SimplifiedChinese)),
            ("zh-Hant", None),
            ("zh-TW", None),
            ("e", None),
            ("english", None),
            ("de", None),
            ("MUL", None),
            ("", None),
        ] {
            assert_eq!(Language::matching(range), language, "{range}");
        }
    }

    #[test]
    fn texts_are_translated_with_what_stands_in_them() {
        let chinese = |text| Language::SimplifiedChinese.say(text);
        assert_eq!(chinese("message 7 deleted"), "邮件 7 已删除");
        assert_eq!(
            chinese("maildrop has 2 messages (362 octets)"),
            "邮箱有 2 封邮件（362 字节）"
        );
        assert_eq!(chinese("2 362"), "2 362");
        assert_eq!(Language::English.say("nothing done"), "nothing done");
    }

    /// Every text that a reply is made of, here and in the mechanisms, has a row, and
    /// every row is of a text.
    #[test]
    fn the_table_is_complete() {
        let sources = [
            include_str!("authorization.rs"),
            include_str!("command.rs"),
            include_str!("session.rs"),
            include_str!("transaction.rs"),
            include_str!("update.rs"),
            include_str!("../../wire/src/sasl/mod.rs"),
            include_str!("../../wire/src/sasl/scram.rs"),
            include_str!("../../wire/src/sasl/bearer.rs"),
        ];
        let mut code = String::new();
        for source in sources {
            code.push_str(source.split("#[cfg(test)]").next().unwrap_or_default());
        }
        let spoken = |text: &str| text.starts_with(char::is_lowercase) && text.contains(' ');
        for (english, _) in TEXTS {
            let holes = english.split("{}").map(str::trim);
            let longest = holes.max_by_key(|piece| piece.len()).unwrap_or_default();
            assert!(code.contains(longest), "{english:?} is said nowhere");
        }
        let mut marks = code.split('"');
        marks.next();
        // Every other piece is a string: comments hold no quotation marks in pairs alone.
        let mut said = Vec::new();
        for line in code
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("//"))
        {
            for call in [
                "Reply::err(\"",
                "Reply::ok(\"",
                "Malformed(\"",
                "Err(\"",
                "ok_or(\"",
                "Arguments(\"",
                "#[error(\"",
                "Code::Auth, \"",
                "Code::InUse, \"",
                "Code::SysTemp, \"",
                "Code::SysPerm, \"",
            ] {
                for piece in line.split(call).skip(1) {
                    said.extend(piece.split('"').next());
                }
            }
        }
        assert!(said.len() > 40, "{said:?}");
        for text in said
            .into_iter()
            .filter(|text| spoken(text) && !text.contains('{'))
        {
            assert_ne!(
                Language::SimplifiedChinese.say(text),
                text,
                "{text:?} has no row"
            );
        }
    }
}
