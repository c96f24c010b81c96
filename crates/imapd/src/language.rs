//! LANGUAGE (RFC 5255 section 3): what people read in responses, in their language.
//!
//! All that the server says to people is English where it is said; here is what it is in
//! other languages. What is not here is said in English.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

/// A language that the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// `i-default` (RFC 2277): English, until a client asks for another.
    #[default]
    Default,
    /// English.
    English,
    /// Simplified Chinese.
    SimplifiedChinese,
}

/// All of them, as they are listed.
pub const ALL: [Language; 3] = [
    Language::English,
    Language::SimplifiedChinese,
    Language::Default,
];

impl Language {
    /// Its tag (RFC 5646).
    pub fn tag(self) -> &'static str {
        match self {
            Self::Default => "i-default",
            Self::English => "en",
            Self::SimplifiedChinese => "zh-Hans",
        }
    }

    /// The language that a range asks for, by lookup (RFC 4647 section 3.4): the range is
    /// made shorter until it is one. `default` is what the administrator prefers.
    pub fn matching(range: &str) -> Option<Self> {
        let mut range = range;
        loop {
            let is = |tag: &str| range.eq_ignore_ascii_case(tag);
            if is("default") || is("*") || is("i-default") {
                return Some(Self::Default);
            }
            if is("en") {
                return Some(Self::English);
            }
            if is("zh-Hans") || is("zh") {
                return Some(Self::SimplifiedChinese);
            }
            let (shorter, _) = range.rsplit_once('-')?;
            range = shorter;
        }
    }

    /// What a text is in this language.
    pub fn say(self, english: &str) -> Cow<'_, str> {
        match self {
            Self::Default | Self::English => Cow::Owned(english.to_owned()),
            Self::SimplifiedChinese => Cow::Owned(in_chinese(english)),
        }
    }

    /// What a text after BAD is: most of them tell what is wrong with a command, to who
    /// writes clients.
    pub fn say_bad(self, english: &str) -> Cow<'_, str> {
        let said = self.say(english);
        match self {
            Self::SimplifiedChinese if said == english => {
                Cow::Owned(format!("命令有误：{english}"))
            }
            _ => said,
        }
    }
}

fn in_chinese(english: &str) -> String {
    static TABLE: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    let table = TABLE.get_or_init(|| CHINESE.iter().copied().collect());
    if let Some(chinese) = table.get(english) {
        return (*chinese).to_owned();
    }
    if let Some(command) = english.strip_suffix(" completed") {
        return format!("{command} 已完成");
    }
    for (english_log, chinese_log) in SERVER_LOG {
        let server_log = english.strip_prefix(english_log);
        if let Some(session) = server_log.and_then(|rest| rest.strip_suffix(')')) {
            return format!("{chinese_log}{session}）");
        }
    }
    if let Some(entry) = english.strip_suffix(ADMINISTRATORS.0) {
        return format!("{entry}{}", ADMINISTRATORS.1);
    }
    english.to_owned()
}

/// What is said with a session's name and a parenthesis after it.
const SERVER_LOG: [(&str, &str); 2] = [
    (
        "Internal error, see the server's log (",
        "内部错误，请查看服务器日志（",
    ),
    (
        "The server may not use these files, its log says what to do (",
        "服务器无权使用这些文件，处理办法见服务器日志（",
    ),
];

/// What is said after the name of an entry.
const ADMINISTRATORS: (&str, &str) = (" is the administrator's to set", " 只能由管理员设置");

/// Texts in Simplified Chinese.
const CHINESE: &[(&str, &str)] = &[
    // What a user sees.
    ("Logged in", "已登录"),
    ("Logging out", "正在退出"),
    ("Authentication failed", "身份验证失败"),
    (
        "Channel binding is offered here; somebody hid that",
        "本服务器提供通道绑定，但有人将其隐藏",
    ),
    (
        "The channel binding is of another connection",
        "通道绑定属于另一个连接",
    ),
    ("Authentication cancelled", "身份验证已取消"),
    ("Authentication is not possible now", "目前无法进行身份验证"),
    (
        "The server may not use one of the mailboxes",
        "服务器无权使用其中一个邮箱",
    ),
    (
        "The server may not use your mail, see its log",
        "服务器无权使用您的邮件，请查看服务器日志",
    ),
    ("Too many connections", "连接过多"),
    ("Too soon after the last login", "距离上次登录时间太短"),
    ("You may act for yourself only", "只能以自己的身份操作"),
    ("Mailbox does not exist", "邮箱不存在"),
    ("Mailbox exists already", "邮箱已存在"),
    ("Mailbox closed", "邮箱已关闭"),
    ("Message was expunged", "邮件已被清除"),
    ("The messages were expunged", "这些邮件已被清除"),
    ("Some of the messages were expunged", "部分邮件已被清除"),
    ("No space left for mail", "邮件空间不足"),
    ("Message too big", "邮件太大"),
    ("Literal too big", "字面量太大"),
    ("Command line too long", "命令行太长"),
    ("INBOX cannot be deleted", "不能删除收件箱"),
    ("The mailbox is selected read-only", "该邮箱以只读方式打开"),
    ("The selected mailbox was deleted", "当前邮箱已被删除"),
    ("Previous mailbox is closed", "前一个邮箱已关闭"),
    ("The special use cannot be given", "不能赋予该特殊用途"),
    (
        "A mailbox can have one special use only",
        "一个邮箱只能有一种特殊用途",
    ),
    ("No messages to copy", "没有可复制的邮件"),
    ("No messages to move", "没有可移动的邮件"),
    ("Moved", "已移动"),
    ("An empty message aborts APPEND", "空邮件使 APPEND 中止"),
    ("Server shutting down", "服务器正在关闭"),
    ("a server has the mailbox open", "有服务器正打开着该邮箱"),
    ("The server is shutting down", "服务器正在关闭"),
    ("The login is no longer valid", "登录已失效"),
    ("Autologout; idle for too long", "空闲时间过长，已自动退出"),
    ("Still here", "连接正常"),
    ("Too many bad commands", "错误命令过多"),
    ("What you send cannot be followed", "无法理解所发送的内容"),
    ("The line is too long", "该行太长"),
    ("Begin TLS negotiation now", "现在开始 TLS 协商"),
    ("Use STARTTLS first", "请先使用 STARTTLS"),
    ("STARTTLS is not offered", "不提供 STARTTLS"),
    ("Unknown mechanism", "未知的验证机制"),
    (
        "Unknown charset, or text not in it",
        "未知字符集，或文本不属于该字符集",
    ),
    (
        "Too many searches are kept up to date",
        "持续更新的搜索过多",
    ),
    ("No comparator matches", "没有匹配的比较规则"),
    ("No such filter", "没有这个筛选器"),
    ("Unsupported language", "不支持的语言"),
    ("Now speaking this language", "语言已切换"),
    ("Supported languages are listed", "已列出支持的语言"),
    ("Logged in no more", "已取消登录"),
    ("Others are at work, come later", "服务器正忙，请稍后再来"),
    ("Still at work", "仍在处理"),
    ("DEFLATE active", "DEFLATE 压缩已启用"),
    ("DEFLATE is active already", "DEFLATE 压缩早已启用"),
    ("No message has such a UID", "没有这个 UID 的邮件"),
    ("Too many messages", "邮件过多"),
    (
        "Too many messages, try a smaller subset",
        "邮件过多，请减少数量后再试",
    ),
    ("Too many messages in one APPEND", "一次 APPEND 的邮件过多"),
    ("PARTIAL names too many messages", "PARTIAL 指定的邮件过多"),
    (
        "Not all messages, the limit was reached",
        "已达到上限，尚有邮件未处理",
    ),
    ("Minimum batch size is 500", "每批至少 500 封邮件"),
    (
        "The batches are as they were told, or nearly so",
        "分批与先前所告知的相同或几乎相同",
    ),
    (
        "The header is not ASCII; ENABLE UTF8=ACCEPT or IMAP4rev2 first",
        "邮件头含有非 ASCII 字符，请先启用 UTF8=ACCEPT 或 IMAP4rev2",
    ),
    ("Replacement message ready", "替换的邮件已就绪"),
    ("Conditional STORE failed", "有条件的 STORE 未能全部执行"),
    (
        "The content's transfer encoding is not known",
        "内容的传输编码未知",
    ),
    ("The URL is empty", "URL 为空"),
    (
        "The URL names no message of yours",
        "该 URL 没有指向您的邮件",
    ),
    ("The value is too large", "该值太大"),
    ("There are too many entries", "条目过多"),
    ("The entry cannot be set here", "不能在此设置该条目"),
    (
        "Some changes of metadata are not told",
        "部分元数据的更改未予通知",
    ),
    (
        "Too much happens to tell all of it",
        "变动过多，无法全部通知",
    ),
    (
        "That is more than can be watched",
        "超出了可以监视的邮箱数量",
    ),
    ("An event is not supported", "其中有不支持的事件"),
    ("A filter cannot have such a name", "筛选器不能使用这个名称"),
    ("A description must be in UTF-8", "说明必须是 UTF-8"),
    (
        "Too many messages to thread, try a smaller subset",
        "要归组的邮件过多，请减少数量后再试",
    ),
    // What is wrong with a name, or with a mailbox.
    (
        "Another program has the mailbox locked; try again",
        "邮箱正被其他程序锁定，请重试",
    ),
    ("name is empty", "邮箱名为空"),
    ("name is too long", "邮箱名太长"),
    ("name has too many levels", "邮箱名的层级过多"),
    ("name has an empty level", "邮箱名含有空的层级"),
    ("name has a level . or ..", "邮箱名含有“.”或“..”层级"),
    ("name has a control character", "邮箱名含有控制字符"),
    (
        "name lacks the namespace's prefix",
        "邮箱名缺少命名空间的前缀",
    ),
    ("INBOX has no prefix", "收件箱没有前缀"),
    (
        "a mailbox cannot become its own inferior",
        "邮箱不能成为自己的下级",
    ),
    ("there are too many mailboxes", "邮箱过多"),
    ("the mailbox has no UIDs left", "该邮箱的 UID 已用完"),
    (
        "the mailbox cannot take this keyword",
        "该邮箱不能再有此关键字",
    ),
    (
        "the message's file keeps changing its name",
        "邮件的文件名不断变化",
    ),
    ("the append was given up", "已放弃追加该邮件"),
    ("the message is not durable yet", "邮件尚未存妥"),
    ("texts cannot be kept now", "目前无法保存文本"),
    // What comes with codes.
    ("First unseen message", "第一封未读邮件"),
    ("UIDs valid", "UID 有效"),
    ("Predicted next UID", "预计的下一个 UID"),
    ("Highest mod-sequence", "最高修改序号"),
    ("Flags that can be stored", "可以存储的标志"),
    ("Mailbox identifier", "邮箱标识符"),
    // What a client's author sees.
    ("Log in first", "请先登录"),
    ("You are logged in already", "您已登录"),
    ("Select a mailbox first", "请先选择邮箱"),
    ("Not possible now", "目前不能执行"),
    (
        "No message has such a sequence number",
        "没有这个序号的邮件",
    ),
    ("Unknown command", "未知命令"),
    ("Missing command", "缺少命令"),
    ("Missing argument", "缺少参数"),
    ("Invalid base64", "无效的 base64"),
    ("Unknown compression", "未知的压缩方式"),
    ("APPEND needs a message", "APPEND 需要一封邮件"),
    (
        "Nothing may follow COMPRESS before its answer",
        "在 COMPRESS 得到答复之前不得发送其他内容",
    ),
    (
        "Literals are not taken here before login",
        "登录前不在此接受字面量",
    ),
    (
        "Literal too big to come without waiting for +",
        "字面量太大，须等到 + 之后再发送",
    ),
    (
        "Unexpected text after the command's arguments",
        "命令参数之后有多余的内容",
    ),
    ("Invalid tag", "无效的标签"),
    ("Invalid sequence set", "无效的序号集合"),
    ("Invalid date", "无效的日期"),
    ("A message was not expected", "此处不应有邮件"),
    ("A list is too long", "列表太长"),
    ("Unknown SEARCH key", "未知的搜索条件"),
    ("Unknown sort criterion", "未知的排序条件"),
    ("Unknown threading algorithm", "未知的会话归组算法"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_looked_up() {
        for (range, language) in [
            ("EN", Some(Language::English)),
            ("en-CA", Some(Language::English)),
            ("zh", Some(Language::SimplifiedChinese)),
            ("zh-CN", Some(Language::SimplifiedChinese)),
            ("ZH-hans-CN", Some(Language::SimplifiedChinese)),
            ("i-default", Some(Language::Default)),
            ("default", Some(Language::Default)),
            ("MUL", None),
            ("fr-CA", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(Language::matching(range), language, "{range}");
        }
        for language in ALL {
            assert_eq!(Language::matching(language.tag()), Some(language));
        }
    }

    /// All that can be said: this crate's sources, and those of the store, whose errors
    /// have texts.
    fn sources() -> String {
        let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources = String::new();
        let mut folders = vec![crates.join("src"), crates.join("../store/src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("sources") {
                let path = entry.expect("source").path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("language.rs") {
                    sources += &std::fs::read_to_string(path).expect("text");
                }
            }
        }
        sources
    }

    /// What people read is in the table: the texts of NO, of BYE and of untagged OK.
    #[test]
    fn what_people_read_is_translated() {
        const BEFORE: [&str; 6] = [
            "no(",
            "human(",
            "CannotDo(",
            "InvalidName(",
            "refusal(",
            "bye(",
        ];
        let sources = sources();
        let mut texts = 0;
        for (place, word) in BEFORE.iter().flat_map(|word| sources.match_indices(word)) {
            let rest = sources[place + word.len()..].trim_start();
            let Some((text, _)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"'))
            else {
                continue;
            };
            let without_code = text
                .strip_prefix('[')
                .and_then(|text| text.split_once("] "));
            let text = without_code.map_or(text, |(_, text)| text);
            assert_ne!(
                Language::SimplifiedChinese.say(text),
                text,
                "not translated"
            );
            texts += 1;
        }
        assert!(texts > 50, "{texts} were found");
    }

    /// Each text once, in Chinese, and one line; and all of them are said somewhere.
    #[test]
    fn the_table_is_whole() {
        let sources = sources();
        let mut seen = std::collections::HashSet::new();
        for (english, chinese) in CHINESE.iter().copied() {
            assert!(seen.insert(english), "{english} stands twice");
            let is_han = |character| ('\u{4e00}'..='\u{9fff}').contains(&character);
            assert!(chinese.chars().any(is_han), "{chinese} is not Chinese");
            assert!(!chinese.contains(['[', ']', '\r', '\n']), "{chinese}");
            assert!(sources.contains(english), "nobody says {english:?}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_said_in_english() {
        let chinese = Language::SimplifiedChinese;
        assert_eq!(chinese.say("SORT completed"), "SORT 已完成");
        assert_eq!(chinese.say("nonsense"), "nonsense");
        assert_eq!(chinese.say_bad("nonsense"), "命令有误：nonsense");
        assert_eq!(
            chinese.say("The server may not use these files, its log says what to do (x1)"),
            "服务器无权使用这些文件，处理办法见服务器日志（x1）"
        );
        assert_eq!(
            chinese.say("Internal error, see the server's log (x1)"),
            "内部错误，请查看服务器日志（x1）"
        );
        assert_eq!(
            chinese.say("/shared/admin is the administrator's to set"),
            "/shared/admin 只能由管理员设置"
        );
        assert_eq!(Language::English.say("Moved"), "Moved");
    }
}
