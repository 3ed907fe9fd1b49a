//! Reading a policy's lines.
//!
//! Invariants: names are octets and compared as such, never as Unicode; every line is used or refused.
//! Absent: what the policy means (`policy`).
//! Source: C2SP tlog-policy, "Policy file syntax and structure".

use std::collections::HashMap;

use super::{Group, LineFault, MAX_NAMES, Member, Policy, PolicyError, PolicyLog, PolicyWitness};
use crate::checkpoint::decimal;
use crate::note::{Algorithm, VerifierKey};

const LOG_FORM: &str = "log KEY [URL]";
const WITNESS_FORM: &str = "witness NAME KEY [URL]";
const GROUP_FORM: &str = "group NAME all|any|NUMBER NAME…";
const QUORUM_FORM: &str = "quorum NAME|none";
const NONE: &[u8] = b"none";

/// A name, and whether it is a member of a group already.
struct Named {
    member: Member,
    grouped: bool,
}

/// What the quorum line says.
enum Quorum {
    None,
    Of(Member),
}

#[derive(Default)]
struct Reader<'a> {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    names: HashMap<&'a [u8], Named>,
    quorum: Option<Quorum>,
}

pub(super) fn parse(file: &[u8]) -> Result<Policy, PolicyError> {
    let mut reader = Reader::default();
    for (at, line) in file.split_inclusive(|&octet| octet == b'\n').enumerate() {
        reader.line(line).map_err(|fault| PolicyError::Line { line: at + 1, fault })?;
    }
    let Reader { logs, witnesses, groups, quorum, .. } = reader;
    let quorum = match quorum.ok_or(PolicyError::NoQuorum)? {
        Quorum::None => None,
        Quorum::Of(member) => Some(member),
    };
    Ok(Policy { logs, witnesses, groups, quorum })
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a [u8]) -> Result<(), LineFault> {
        let line = line.strip_suffix(b"\n").ok_or(LineFault::Unterminated)?;
        if let Some(&octet) = line.iter().find(|&&octet| (octet < 0x20 && octet != b'\t') || octet == 0x7f) {
            return Err(LineFault::Octet { octet });
        }
        let items = line.split(|octet| matches!(octet, b' ' | b'\t')).filter(|item| !item.is_empty());
        let items: Vec<&[u8]> = items.collect();
        match items.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key, url @ ..] if url.len() < 2 => self.log(key, url.first().copied()),
            [b"log", ..] => Err(LineFault::Form { form: LOG_FORM }),
            [b"witness", name, key, url @ ..] if url.len() < 2 => {
                self.witness(name, key, url.first().copied())
            }
            [b"witness", ..] => Err(LineFault::Form { form: WITNESS_FORM }),
            [b"group", name, threshold, members @ ..] if !members.is_empty() => {
                self.group(name, threshold, members)
            }
            [b"group", ..] => Err(LineFault::Form { form: GROUP_FORM }),
            [b"quorum", name] => self.quorum(name),
            [b"quorum", ..] => Err(LineFault::Form { form: QUORUM_FORM }),
            _ => Err(LineFault::Keyword),
        }
    }

    fn log(&mut self, key: &[u8], url: Option<&[u8]>) -> Result<(), LineFault> {
        // Among the log's own signatures a cosignature counts as well (C2SP tlog-cosignature), of the kinds known today.
        let key = verifier_key(key)?;
        if self.logs.iter().any(|log| log.key.public_key() == key.public_key()) {
            return Err(LineFault::DuplicateKey);
        }
        self.logs.push(PolicyLog { key, url: url.map(text).transpose()? });
        if self.logs.len() > MAX_NAMES { Err(LineFault::TooMany) } else { Ok(()) }
    }

    fn witness(&mut self, name: &'a [u8], key: &[u8], url: Option<&[u8]>) -> Result<(), LineFault> {
        let key = verifier_key(key)?;
        // A plain signature states no time and no observation.
        if key.algorithm() == Algorithm::Ed25519 {
            return Err(LineFault::KeyKind { role: "a witness" });
        }
        if self.witnesses.iter().any(|witness| witness.key.public_key() == key.public_key()) {
            return Err(LineFault::DuplicateKey);
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness { name: shown(name), key, url: url.map(text).transpose()? });
        if self.witnesses.len() > MAX_NAMES { Err(LineFault::TooMany) } else { Ok(()) }
    }

    fn group(&mut self, name: &'a [u8], threshold: &[u8], listed: &[&'a [u8]]) -> Result<(), LineFault> {
        let count = listed.len();
        let threshold = match threshold {
            b"all" => Some(count),
            b"any" => Some(1),
            number => {
                std::str::from_utf8(number).ok().and_then(decimal).and_then(|k| usize::try_from(k).ok())
            }
        };
        let threshold = threshold.filter(|k| (1..=count).contains(k));
        let threshold = threshold.ok_or(LineFault::Threshold { members: count })?;
        let mut members = Vec::with_capacity(count);
        for item in listed {
            let known = self.names.get_mut(item);
            let named = known.ok_or_else(|| LineFault::NameUnknown { name: shown(item) })?;
            if std::mem::replace(&mut named.grouped, true) {
                return Err(LineFault::MemberTwice { name: shown(item) });
            }
            members.push(named.member);
        }
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { threshold, members });
        if self.groups.len() > MAX_NAMES { Err(LineFault::TooMany) } else { Ok(()) }
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), LineFault> {
        if self.quorum.is_some() {
            return Err(LineFault::SecondQuorum);
        }
        let member = match self.names.get(name) {
            _ if name == NONE => Quorum::None,
            Some(named) => Quorum::Of(named.member),
            None => return Err(LineFault::NameUnknown { name: shown(name) }),
        };
        self.quorum = Some(member);
        Ok(())
    }

    fn define(&mut self, name: &'a [u8], member: Member) -> Result<(), LineFault> {
        if name == NONE || self.names.contains_key(name) {
            return Err(LineFault::NameTaken { name: shown(name) });
        }
        self.names.insert(name, Named { member, grouped: false });
        Ok(())
    }
}

fn verifier_key(item: &[u8]) -> Result<VerifierKey, LineFault> {
    String::from_utf8_lossy(item).parse().map_err(LineFault::Key)
}

fn text(item: &[u8]) -> Result<String, LineFault> {
    std::str::from_utf8(item).map(str::to_owned).map_err(|_| LineFault::Url)
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
