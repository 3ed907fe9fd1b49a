//! What errors about entries, notes, keys and payloads say in Chinese; their English is their own `Display`.
//!
//! Absent: errors of a ledger's own (they are told where they are defined), and the words of other programs, but for the
//! parser of JSON, which whoever writes a command meets first.

use std::error::Error;

use weituo_proof::canonical::{MAX_DEPTH, NotCanonical, Reason};
use weituo_proof::checkpoint::CheckpointError;
use weituo_proof::entry::MAX_ENTRY_BYTES;
use weituo_proof::ident::RULES;
use weituo_proof::note::{KeyError, NoteError};
use weituo_proof::policy::{LineFault, MAX_NAMES, PolicyError};
use weituo_proof::{Ed25519Error, EntryError, IdentError, Language};

use crate::{EventError, IdentifierError};

/// Returns one error, without its sources, in Chinese; `None` where it is not one of these.
pub fn zh(error: &(dyn Error + 'static)) -> Option<String> {
    error
        .downcast_ref()
        .map(entry)
        .or_else(|| error.downcast_ref().map(not_canonical))
        .or_else(|| error.downcast_ref().map(ident))
        .or_else(|| error.downcast_ref().map(checkpoint))
        .or_else(|| error.downcast_ref().map(note))
        .or_else(|| error.downcast_ref().map(key))
        .or_else(|| error.downcast_ref().map(ed25519))
        .or_else(|| error.downcast_ref().map(policy))
        .or_else(|| error.downcast_ref().map(line_fault))
        .or_else(|| error.downcast_ref().map(event))
        .or_else(|| error.downcast_ref().map(identifier))
        .or_else(|| error.downcast_ref().map(|error: &serde_json::Error| json(&error.to_string()).0))
}

fn entry(error: &EntryError) -> String {
    match error {
        EntryError::TooLarge { bytes } => {
            format!("一条存证记录最多 {MAX_ENTRY_BYTES} 字节,此条有 {bytes} 字节")
        }
        EntryError::NotCanonical(_) => "不是规范的 JSON".to_owned(),
        EntryError::Members { member, what } => format!("成员 {member} 不合存证记录的格式:{what}"),
        EntryError::Rule { member, rule, found } => format!("成员 {member} 为 {found:?},不合规则:{rule}"),
    }
}

fn not_canonical(error: &NotCanonical) -> String {
    let reason = match error.reason {
        Reason::Null => "含有 U+0000,请去掉".to_owned(),
        Reason::IntegerRange => "整数超出 ±(2^53 - 1)".to_owned(),
        Reason::Depth => format!("嵌套超过 {MAX_DEPTH} 层"),
        Reason::NotUtf8 => "不是 UTF-8".to_owned(),
        Reason::UnexpectedEnd => "文本在一个值中间结束".to_owned(),
        Reason::UnexpectedByte => "此处不应有这个字节".to_owned(),
        Reason::TrailingBytes => "值之后还有内容".to_owned(),
        Reason::Key => "键应为 [a-z][a-z0-9_]* 或 _sd".to_owned(),
        Reason::KeyOrder => "键应严格递增".to_owned(),
        Reason::NotInteger => "数应为普通整数".to_owned(),
        Reason::RawControl => "控制字符应转义".to_owned(),
        Reason::Escape => "转义应最短且必要".to_owned(),
    };
    format!("第 {} 字节:{reason}", error.offset)
}

fn ident(error: &IdentError) -> String {
    format!("{:?}({} 字节)不可用:{}", error.text, error.bytes, error.rule.get(Language::Zh))
}

fn checkpoint(error: &CheckpointError) -> String {
    match error {
        CheckpointError::Note(_) => "不是由所给公钥签名的检查点".to_owned(),
        CheckpointError::Origin(_) => "检查点第 1 行不是来源标识".to_owned(),
        CheckpointError::Size { found } => format!("检查点第 2 行不是条数:{found:?}"),
        CheckpointError::Root { found } => format!("检查点第 3 行不是 32 字节的 base64:{found:?}"),
        CheckpointError::Lines => "检查点至少有三行,均不为空,各以换行结束".to_owned(),
        CheckpointError::Extensions { count } => format!("检查点有 {count} 行扩展,本类台账没有扩展行"),
        CheckpointError::KeyName { origin, key_name } => {
            format!("检查点属于 {origin},公钥属于 {key_name}")
        }
    }
}

fn note(error: &NoteError) -> String {
    match error {
        NoteError::TooLarge { bytes } => format!("签名文本过长,有 {bytes} 字节"),
        NoteError::Control { offset } => format!("签名文本第 {offset} 字节是控制字符"),
        NoteError::Shape => "签名文本应为正文、一个空行和若干签名行,各以换行结束".to_owned(),
        NoteError::SignatureLine { line } => format!("第 {line} 个签名行不是「— 名称 base64」"),
        NoteError::TooManySignatures { count } => format!("签名过多,有 {count} 个"),
        NoteError::Invalid { name, .. } => format!("{name} 的签名不成立"),
        NoteError::Unverified { signatures, keys } => {
            format!("{signatures} 个签名都不是由所给的 {keys} 把公钥所作")
        }
    }
}

fn key(error: &KeyError) -> String {
    match error {
        KeyError::Shape => "核验公钥应为 名称+8 位十六进制+base64".to_owned(),
        KeyError::PrivateShape => {
            "签名密钥应为 PRIVATE+KEY+名称+8 位十六进制+base64(类型 1 与 32 字节种子)".to_owned()
        }
        KeyError::Name { name } => format!("密钥名称不可为空,也不含空白、「+」和控制字符:{name:?}"),
        KeyError::Id { name, expected, found } => {
            format!("密钥 {name} 的编号应为 {expected:08x},写作 {found:08x}")
        }
        KeyError::Ed25519(_) => "不是可用的 Ed25519 密钥".to_owned(),
    }
}

fn ed25519(error: &Ed25519Error) -> String {
    match error {
        Ed25519Error::KeyEncoding => "公钥不是一个点的规范编码".to_owned(),
        Ed25519Error::WeakKey => "公钥的阶过小".to_owned(),
        Ed25519Error::Length { bytes } => format!("Ed25519 签名应为 64 字节,此处有 {bytes} 字节"),
        Ed25519Error::Mismatch => "签名与内容不符".to_owned(),
    }
}

fn policy(error: &PolicyError) -> String {
    match error {
        PolicyError::Line { line, .. } => format!("策略第 {line} 行不能使用"),
        PolicyError::NoQuorum => "策略没有 quorum 行;不要求附署时应写 `quorum none`".to_owned(),
    }
}

fn line_fault(fault: &LineFault) -> String {
    match fault {
        LineFault::Octet { octet } => format!("含有字节 {octet:#04x}"),
        LineFault::Unterminated => "末尾没有换行:文件可能被截断".to_owned(),
        LineFault::Keyword => "每行应以 log、witness、group 或 quorum 开头".to_owned(),
        LineFault::Form { form } => format!("应写作 `{form}`"),
        LineFault::Key(_) => "其中没有核验公钥".to_owned(),
        LineFault::KeyKind { .. } => "该公钥不是这类签署方所用的".to_owned(),
        LineFault::DuplicateKey => "该公钥已见于前面的行".to_owned(),
        LineFault::Url => "地址不是 UTF-8".to_owned(),
        LineFault::NameTaken { name } => format!("名称 {name} 已被使用"),
        LineFault::NameUnknown { name } => format!("前面没有定义 {name}"),
        LineFault::MemberTwice { name } => format!("{name} 已属于一组"),
        LineFault::Threshold { members } => format!("门限应为 all、any 或 1 至 {members} 的数"),
        LineFault::SecondQuorum => "quorum 行只能有一行".to_owned(),
        LineFault::TooMany => format!("log、witness 与 group 各至多 {MAX_NAMES} 个"),
    }
}

fn event(error: &EventError) -> String {
    match error {
        EventError::Unknown { event_type, version } => {
            format!("本程序不认识 {event_type} 第 {version} 版的事项")
        }
        EventError::Payload { event_type, version, reason } => {
            format!("内容不是 {event_type} 第 {version} 版的:{}", json(reason).0)
        }
    }
}

fn identifier(error: &IdentifierError) -> String {
    match error {
        IdentifierError::Organisation(text) => {
            format!("{text:?} 不是机构编号:1 至 64 个字母、数字或 . _ -,以字母或数字开头")
        }
        IdentifierError::CreditCodeForm(text) => {
            format!("{text:?} 不是统一社会信用代码:18 个字符,取自 0-9 A-H J-N P-R T U W X Y")
        }
        IdentifierError::CreditCodeCheck { code, expected } => {
            format!("{code:?} 不是统一社会信用代码:校验码应为 {expected}")
        }
        IdentifierError::SchoolCode(text) => format!("{text:?} 不是学校(机构)标识码:10 位数字"),
        IdentifierError::RegionCode(text) => format!("{text:?} 不是行政区划代码:6 位数字"),
    }
}

/// Returns what the parser of JSON says of one line, in both languages, Chinese first and as far as its words are known; names and
/// values stay as they are.
pub(crate) fn json(message: &str) -> (String, String) {
    let (what, place) = message.rsplit_once(" at line ").unwrap_or((message, ""));
    let column = place.split_once(" column ").map(|(_, column)| column);
    let (at_zh, at) = column.map_or_else(Default::default, |column| {
        (format!("(第 {column} 字节处)"), format!(" (at byte {column})"))
    });
    (format!("{}{at_zh}", words(what).unwrap_or_else(|| what.to_owned())), format!("{what}{at}"))
}

fn words(what: &str) -> Option<String> {
    let starts = |start: &str| what.strip_prefix(start);
    let expected = |rest: &str| {
        // The last one: what was given may hold the word too.
        let (given, expected) = rest.rsplit_once(", expected ")?;
        let expected = expected.strip_prefix("one of ").unwrap_or(expected);
        Some((given.to_owned(), expected.replace("` or `", "`、`").replace("`, `", "`、`")))
    };
    if let Some(identifier) = refused(what) {
        return Some(identifier);
    }
    Some(
        if matches!(
            what,
            "premature end of input"
                | "input contains invalid characters"
                | "input is out of range"
                | "trailing input"
        ) {
            "应为实有的日期,如 2020-06-30".to_owned()
        } else if let Some(field) = starts("missing field ") {
            format!("缺少成员 {field}")
        } else if let Some(field) = starts("duplicate field ") {
            format!("成员 {field} 出现两次")
        } else if let Some(rest) = starts("unknown field ") {
            let (field, known) = expected(rest)?;
            format!("没有成员 {field},可写的有 {known}")
        } else if let Some(rest) = starts("unknown variant ") {
            let (value, known) = expected(rest)?;
            format!("没有取值 {value},可写的有 {known}")
        } else if let Some(rest) = starts("invalid type: ").or_else(|| starts("invalid value: ")) {
            let (given, wanted) = expected(rest)?;
            format!("值为 {},应为{}", given_zh(&given), wanted_zh(&wanted))
        } else if what.starts_with("EOF while parsing") {
            "文本没有写完".to_owned()
        } else if what.starts_with("trailing ") {
            "多了逗号或其后的内容".to_owned()
        } else if what == "expected value" {
            "此处不是可用的值".to_owned()
        } else if what.starts_with("expected ") || what.starts_with("key must be") {
            format!("此处写法有误:{what}")
        } else {
            return None;
        },
    )
}

/// Returns what a name or number of ours refuses, which the parser has made its own words.
fn refused(what: &str) -> Option<String> {
    if let Some((given, rule)) = what.split_once(" is refused: ") {
        let rule = RULES.iter().find(|known| known.en() == rule)?;
        let given = given.rsplit_once(" (").map_or(given, |(given, _)| given);
        return Some(format!("{given} 不可用:{}", rule.get(Language::Zh)));
    }
    let kinds = [
        (" is not an organisation id: ", "机构编号:1 至 64 个字母、数字或 . _ -,以字母或数字开头"),
        (" is not a school code (学校标识码): ", "学校(机构)标识码:10 位数字"),
        (" is not a region code (行政区划代码): ", "行政区划代码:6 位数字"),
        (" is not a credit code (统一社会信用代码): ", "统一社会信用代码:18 个字符,最后一个为校验码"),
    ];
    kinds.iter().find_map(|(en, zh)| Some(format!("{} 不是{zh}", what.split_once(en)?.0)))
}

/// Returns the kind of value that was given.
fn given_zh(given: &str) -> String {
    let kinds = [
        ("string ", "字符串 "),
        ("integer ", "整数 "),
        ("floating point ", "小数 "),
        ("boolean ", ""),
        ("map", "对象"),
        ("sequence", "数组"),
    ];
    let found = kinds.iter().find_map(|(en, zh)| Some(format!("{zh}{}", given.strip_prefix(en)?)));
    found.unwrap_or_else(|| given.to_owned())
}

/// Returns the kind of value that is wanted; the name of a type of ours says nothing to whoever writes JSON.
fn wanted_zh(wanted: &str) -> String {
    match wanted {
        "i64" => "整数".to_owned(),
        "u32" => format!(" 0 至 {} 的整数", u32::MAX),
        "u64" => "不为负的整数".to_owned(),
        "a string" | "string" => "字符串".to_owned(),
        "a boolean" => " true 或 false".to_owned(),
        "a sequence" => "数组".to_owned(),
        "a map" => "对象".to_owned(),
        other if other.starts_with("struct ") => "对象".to_owned(),
        other => format!(" {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::EventType;

    fn told(payload: &str) -> String {
        let read = EventType::from_command("RecordActivity").unwrap();
        let error = Event::parse(read.name(), read.version(), payload).unwrap_err();
        zh(&error).unwrap()
    }

    #[test]
    fn what_is_wrong_with_a_payload_is_told_in_chinese() {
        for (payload, said) in [
            ("{}", "缺少成员 `kind`"),
            (r#"{"kind":"meeting","x":1}"#, "没有成员 `x`,可写的有 `ends_on`"),
            (r#"{"kind":"feast"}"#, "没有取值 `feast`,可写的有 `guidance`"),
            (
                r#"{"kind":"meeting","participants":"a, expected b"}"#,
                "值为 字符串 \"a, expected b\",应为 0 至",
            ),
            (r#"{"kind":"meeting","participants":-1}"#, "值为 整数 `-1`,应为 0 至 4294967295 的整数"),
            (r#"{"kind":1}"#, "不是可用的值"),
            (r#"{"kind":"meeting","organisations":["a b"]}"#, "\"a b\" 不是机构编号"),
            (r#"{"kind":"meeting","ends_on":"2020-09-01T00:00"}"#, "应为实有的日期"),
            (r#"{"kind":"meeting","paper":1}"#, "应为对象"),
            (r#"{"kind":"meeting","ends_on":"2020-9"}"#, "应为实有的日期"),
            (r#"{"kind":"#, "文本没有写完"),
        ] {
            assert!(told(payload).contains(said), "{payload}: {}", told(payload));
        }
    }

    #[test]
    fn keys_notes_and_identifiers_are_told_in_chinese() {
        let error = "x".parse::<weituo_proof::VerifierKey>().unwrap_err();
        assert_eq!(zh(&error).as_deref(), Some("核验公钥应为 名称+8 位十六进制+base64"));
        let error = weituo_proof::SignedNote::parse("x").unwrap_err();
        assert!(zh(&error).unwrap().starts_with("签名文本应为"));
        let error = crate::OrganisationId::new("a b").unwrap_err();
        assert!(zh(&error).unwrap().contains("不是机构编号"));
        let error = serde_json::from_str::<weituo_proof::Effective>("\"2019-6-28\"").unwrap_err();
        assert!(zh(&error).unwrap().starts_with("\"2019-6-28\" 不可用:发生日期为 YYYY-MM-DD"));
    }
}
