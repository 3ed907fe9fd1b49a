//! What is wrong with a command line that clap refuses, in both languages.
//!
//! Absent: help and version, which are no failures; what our own types say of a value, which stays as it is.

use std::error::Error as _;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use weituo_proof::Language;

use super::output::Failure;
use super::values::NoValue;

/// Returns the refusal of a command line: exit code 2.
pub(super) fn refusal(error: &Error) -> Failure {
    let rendered = error.render().to_string();
    let en = rendered.strip_prefix("error: ").unwrap_or(&rendered).trim_end();
    let usage = context(error, ContextKind::Usage);
    let usage = usage.as_deref().and_then(|usage| usage.trim().strip_prefix("Usage: "));
    let usage = usage.map(|usage| format!("\n\n用法:{usage}")).unwrap_or_default();
    // What clap has further words for, it says in English only.
    let zh = zh(error).map_or_else(|| en.to_owned(), |zh| format!("{zh}{usage}\n\n各命令与选项见 --help"));
    Failure::could_not_run("usage", zh, en)
}

fn zh(error: &Error) -> Option<String> {
    let get = |kind| context(error, kind);
    let argument = || get(ContextKind::InvalidArg).unwrap_or_default();
    let value = || get(ContextKind::InvalidValue).unwrap_or_default();
    let hint = |kind| get(kind).map(|similar| format!(";相近的有 {similar}")).unwrap_or_default();
    let text = match error.kind() {
        ErrorKind::UnknownArgument => {
            format!("不认识的参数 {}{}", argument(), hint(ContextKind::SuggestedArg))
        }
        ErrorKind::InvalidSubcommand => {
            let given = get(ContextKind::InvalidSubcommand)?;
            format!("没有命令 {given}{}", hint(ContextKind::SuggestedSubcommand))
        }
        ErrorKind::MissingSubcommand => {
            format!("缺少命令;可用的有 {}", get(ContextKind::ValidSubcommand)?)
        }
        ErrorKind::MissingRequiredArgument => format!("缺少 {}", argument()),
        ErrorKind::InvalidValue if value().is_empty() => format!("{} 缺少值", argument()),
        ErrorKind::InvalidValue => {
            let valid = get(ContextKind::ValidValue).map(|valid| format!(";可以是 {valid}"));
            format!("{} 的值不能是 {}{}", argument(), value(), valid.unwrap_or_default())
        }
        ErrorKind::ValueValidation => {
            let why = error.source().map(why_zh).map(|why| format!(":{why}")).unwrap_or_default();
            format!("{} 的值不能是 {}{why}", argument(), value())
        }
        ErrorKind::TooManyValues => format!("{} 的值过多:{}", argument(), value()),
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => format!("{} 的值的个数不对", argument()),
        ErrorKind::NoEquals => format!("{} 的值应以 = 相连", argument()),
        ErrorKind::ArgumentConflict => match get(ContextKind::PriorArg)? {
            prior if prior == argument() => format!("{prior} 只能给出一次"),
            prior => format!("{} 不能与 {prior} 同时给出", argument()),
        },
        _ => return None,
    };
    Some(text)
}

/// Returns why a value is none of its type.
fn why_zh(why: &(dyn std::error::Error + 'static)) -> String {
    if why.is::<std::num::ParseIntError>() {
        "应为可用范围内的整数".to_owned()
    } else if why.is::<chrono::ParseError>() {
        "应为实有的日期,如 2020-06-30".to_owned()
    } else if why.is::<std::net::AddrParseError>() {
        "应为 IP 地址与端口,如 127.0.0.1:8080".to_owned()
    } else if let Some(NoValue(why)) = why.downcast_ref() {
        why.get(Language::Zh).to_owned()
    } else if let Some(why) = weituo_events::told::zh(why) {
        why
    } else {
        let why = why.to_string();
        bounds_zh(&why).unwrap_or(why)
    }
}

/// Returns clap's own words for a number out of its bounds, which have no type of their own.
fn bounds_zh(why: &str) -> Option<String> {
    let (number, bounds) = why.split_once(" is not in ")?;
    number.parse::<i128>().ok()?;
    let (least, most) = bounds.split_once("..=")?;
    Some(format!("应在 {least} 至 {most} 之间"))
}

fn context(error: &Error, kind: ContextKind) -> Option<String> {
    Some(match error.get(kind)? {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join("、"),
        ContextValue::StyledStr(text) => text.to_string(),
        ContextValue::StyledStrs(texts) => {
            texts.iter().map(ToString::to_string).collect::<Vec<_>>().join("、")
        }
        ContextValue::Number(number) => number.to_string(),
        _ => return None,
    })
}
