//! `weituo-verify`: verifies a dossier on anybody's machine, without database and network.
//!
//! Exit codes: 0 intact and complete (and as old as asked); 1 findings; 2 could not check, or could not run.

mod print;
mod words;

use std::fs;
use std::process::ExitCode;

use lexopt::ValueExt as _;
use lexopt::prelude::{Long, Short, Value};
use weituo_proof::policy::Policy;
use weituo_proof::{Language, VerifierKey};
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

fn main() -> ExitCode {
    let mut language = words::language(None);
    let (code, text) = match asked(&mut language) {
        Err(what) => (2, Err(what)),
        Ok(Asked { help: true, .. }) => (0, Ok(words::HELP.get(language).to_owned())),
        Ok(Asked { version: true, .. }) => {
            (0, Ok(concat!("weituo-verify ", env!("CARGO_PKG_VERSION")).to_owned()))
        }
        Ok(asked) => run(&asked, language),
    };
    let written = match &text {
        Ok(text) => print::to(&mut std::io::stdout().lock(), text),
        Err(what) => print::to(&mut std::io::stderr().lock(), &format!("weituo-verify: {what}")),
    };
    ExitCode::from(if written.is_err() { 2 } else { code })
}

/// Verifies and returns the exit code with what to print.
fn run(asked: &Asked, language: Language) -> (u8, Result<String, String>) {
    let Some(file) = &asked.file else { return (2, Err(words::NO_FILE.get(language).to_owned())) };
    let text = match read(file, language) {
        Ok(text) => text,
        Err(what) => return (2, Err(what)),
    };
    let Some(text) = contained(&text) else {
        return (2, Err(format!("{file}: {}", words::NO_DOSSIER.get(language))));
    };
    let report = verify(&text, &asked.given);
    let shown = if asked.json { print::json(&report) } else { print::report(&report, language) };
    (report.exit_code(), Ok(shown))
}

/// Reads the command line. The language takes effect at once, so that what is wrong is told in it.
fn asked(language: &mut Language) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Short('h') => asked.help = true,
            Short('V') => asked.version = true,
            Long(name) => {
                let name = name.to_owned();
                option(&mut asked, &name, &mut parser, language)?;
            }
            Value(file) if asked.file.is_none() => {
                asked.file = Some(file.string().map_err(|error| error.to_string())?);
            }
            other => return Err(other.unexpected().to_string()),
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
) -> Result<(), String> {
    let mut value = || parser.value().and_then(lexopt::ValueExt::string).map_err(|error| error.to_string());
    match name {
        "key" => asked.given.keys.extend(keys(&value()?, *language)?),
        "auditor" => asked.given.auditors.extend(keys(&value()?, *language)?),
        "receipt" => {
            let Kept { label, text } = kept(value()?, *language)?;
            asked.given.receipts.extend(Kept::all_in(&label, text));
        }
        "checkpoint" => asked.given.checkpoints.push(kept(value()?, *language)?),
        "policy" => {
            let file = value()?;
            let policy = Policy::parse(read(&file, *language)?.as_bytes());
            asked.given.policy = Some(policy.map_err(|error| format!("{file}: {}", chain(&error)))?);
        }
        "lang" => *language = words::language(Some(&value()?)),
        "json" => asked.json = true,
        "help" => asked.help = true,
        "version" => asked.version = true,
        _ => return Err(Long(name).unexpected().to_string()),
    }
    Ok(())
}

/// Reads what somebody kept.
fn kept(label: String, language: Language) -> Result<Kept, String> {
    let text = read(&label, language)?;
    Ok(Kept { label, text })
}

/// Reads verifier keys: the key itself, or a file that holds some, one a line.
fn keys(given: &str, language: Language) -> Result<Vec<VerifierKey>, String> {
    if let Ok(key) = given.trim().parse() {
        return Ok(vec![key]);
    }
    let refused =
        |error: &dyn std::fmt::Display| format!("{}: {given}: {error}", words::BAD_KEY.get(language));
    let text = fs::read_to_string(given).map_err(|error| refused(&error))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::parse).collect::<Result<_, _>>().map_err(|error| refused(&error))
}

fn read(file: &str, language: Language) -> Result<String, String> {
    let unreadable =
        |what: &dyn std::fmt::Display| format!("{}: {file}: {what}", words::UNREADABLE.get(language));
    let bytes = fs::metadata(file).map_err(|error| unreadable(&error))?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(unreadable(&format!("{bytes} bytes")));
    }
    fs::read_to_string(file).map_err(|error| unreadable(&error))
}
