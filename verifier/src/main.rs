//! `weituo-verify`: verifies a dossier on anybody's machine, without database and network.
//!
//! Exit codes: 0 intact and complete (and as old as asked); 1 findings; 2 could not check, or could not run.

mod print;
mod words;

use std::fmt::Display;
use std::fs;
use std::process::ExitCode;

use lexopt::ValueExt as _;
use lexopt::prelude::{Long, Short, Value};
use weituo_proof::policy::Policy;
use weituo_proof::{Both, Language, VerifierKey};
use weituo_verifier::{Given, Kept, chain, contained, verify};

/// A file of more bytes is not read: memory holds a dossier several times over.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// What the command line asks for.
#[derive(Default)]
struct Asked {
    file: Option<String>,
    given: Given,
    json: bool,
    help: bool,
    version: bool,
}

/// Why nothing was verified.
struct Failure {
    /// Stable code for `--json`.
    code: &'static str,
    /// What happened and what to do next.
    reason: Both,
}

impl Failure {
    /// The command line cannot be read.
    fn usage(reason: Both) -> Self {
        Self { code: "usage", reason }
    }

    /// What was named cannot be read, or holds something else.
    fn input(words: &Both, about: impl Display) -> Self {
        let (zh, en) = (words.get(Language::Zh), words.get(Language::En));
        Self { code: "input", reason: Both::of(format!("{zh}:{about}"), format!("{en}: {about}")) }
    }
}

/// What is wrong with the command line, in the words of its parser.
impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        let zh = match &error {
            lexopt::Error::MissingValue { option: Some(option) } => format!("{option} 缺少值"),
            lexopt::Error::UnexpectedOption(option) => format!("不认识的选项 {option}"),
            lexopt::Error::UnexpectedArgument(argument) => format!("多余的参数 {}", argument.display()),
            lexopt::Error::UnexpectedValue { option, .. } => format!("{option} 不带值"),
            other => format!("命令行有误:{other}"),
        };
        Self::usage(Both::of(format!("{zh};见 --help"), format!("{error}; see --help")))
    }
}

fn main() -> ExitCode {
    let mut language = words::language(None);
    // What is wrong may come before the option is reached.
    let as_json = std::env::args_os().any(|argument| argument == "--json");
    let ran = asked(&mut language).and_then(|asked| match asked {
        Asked { help: true, .. } => Ok((0, words::HELP.get(language).to_owned())),
        Asked { version: true, .. } => {
            Ok((0, concat!("weituo-verify ", env!("CARGO_PKG_VERSION")).to_owned()))
        }
        asked => run(&asked, language),
    });
    let (code, written) = match &ran {
        Ok((code, text)) => (*code, print::to(&mut std::io::stdout().lock(), text)),
        Err(failure) if as_json => {
            let [zh, en] = [Language::Zh, Language::En].map(|language| failure.reason.get(language));
            let error = serde_json::json!({ "code": failure.code, "reason": { "zh": zh, "en": en } });
            let text = serde_json::json!({ "error": error }).to_string();
            (2, print::to(&mut std::io::stderr().lock(), &text))
        }
        Err(failure) => {
            let text = format!("weituo-verify: {}", failure.reason.get(language));
            (2, print::to(&mut std::io::stderr().lock(), &text))
        }
    };
    ExitCode::from(if written.is_err() { 2 } else { code })
}

/// Verifies and returns the exit code with what to print.
fn run(asked: &Asked, language: Language) -> Result<(u8, String), Failure> {
    let file = asked.file.as_ref().ok_or_else(|| Failure::usage(words::NO_FILE))?;
    let text = read(file)?;
    let text = contained(&text).ok_or_else(|| Failure::input(&words::NO_DOSSIER, file))?;
    let report = verify(&text, &asked.given);
    let shown = if asked.json { print::json(&report) } else { print::report(&report, language) };
    Ok((report.exit_code(), shown))
}

/// Reads the command line. The language takes effect at once, so that what is wrong is told in it.
fn asked(language: &mut Language) -> Result<Asked, Failure> {
    let mut asked = Asked::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') => asked.help = true,
            Short('V') => asked.version = true,
            Long(name) => {
                let name = name.to_owned();
                option(&mut asked, &name, &mut parser, language)?;
            }
            Value(file) if asked.file.is_none() => asked.file = Some(file.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(asked)
}

/// Takes in an option with its value.
fn option(
    asked: &mut Asked,
    name: &str,
    parser: &mut lexopt::Parser,
    language: &mut Language,
) -> Result<(), Failure> {
    let mut value = || parser.value().and_then(lexopt::ValueExt::string);
    match name {
        "key" => asked.given.keys.extend(keys(&value()?)?),
        "auditor" => asked.given.auditors.extend(keys(&value()?)?),
        "receipt" => {
            let Kept { label, text } = kept(value()?)?;
            asked.given.receipts.extend(Kept::all_in(&label, text));
        }
        "checkpoint" => asked.given.checkpoints.push(kept(value()?)?),
        "policy" => {
            let file = value()?;
            let policy = Policy::parse(read(&file)?.as_bytes());
            let bad = |error| Failure::input(&words::BAD_POLICY, format!("{file}: {}", chain(&error)));
            asked.given.policy = Some(policy.map_err(bad)?);
        }
        "lang" => match value()?.as_str() {
            asked @ ("zh" | "en") => *language = words::language(Some(asked)),
            other => return Err(Failure::input(&words::BAD_LANGUAGE, other.to_owned())),
        },
        "json" => asked.json = true,
        "help" => asked.help = true,
        "version" => asked.version = true,
        _ => return Err(Long(name).unexpected().into()),
    }
    Ok(())
}

/// Reads what somebody kept.
fn kept(label: String) -> Result<Kept, Failure> {
    let text = read(&label)?;
    Ok(Kept { label, text })
}

/// Reads verifier keys: the key itself, or a file that holds some, one a line.
fn keys(given: &str) -> Result<Vec<VerifierKey>, Failure> {
    if let Ok(key) = given.trim().parse() {
        return Ok(vec![key]);
    }
    let refused = |why: &dyn Display| Failure::input(&words::BAD_KEY, format!("{given}: {why}"));
    let text = fs::read_to_string(given).map_err(|error| refused(&error))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::parse).collect::<Result<_, _>>().map_err(|error| refused(&error))
}

fn read(file: &str) -> Result<String, Failure> {
    let unreadable = |why: &dyn Display| Failure::input(&words::UNREADABLE, format!("{file}: {why}"));
    let bytes = fs::metadata(file).map_err(|error| unreadable(&error))?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(unreadable(&format!("{bytes} bytes")));
    }
    fs::read_to_string(file).map_err(|error| unreadable(&error))
}
