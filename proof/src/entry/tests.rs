use super::*;
use crate::Ed25519Error;
use crate::hash::leaf_hash;

fn draft() -> Draft {
    Draft {
        actor: Actor { key: None, organisation: "bureau-wz".into(), person: None, role: "bureau".into() },
        as_found: false,
        command: CommandId::new("0190a3b2-7c1d-7def-8123-456789abcdef").unwrap(),
        effective: Effective::new("2020-06-30").unwrap(),
        ledger: Origin::new("weituo.example/wz").unwrap(),
        parties: Vec::new(),
        payload: r#"{"on":"2020-06-30","remark":"合格"}"#.into(),
        seen: None,
        signature: None,
        stream: StreamName::new("agreement/WZ-2019-001").unwrap(),
        event_type: "AnnualAssessmentRecorded".into(),
        version: 1,
    }
}

fn full_draft() -> Draft {
    let mut draft = draft();
    draft.actor.person = Some(SealedRef::new(leaf_hash(b"person")));
    draft.parties = ["organisation/a", "organisation/b"].map(|p| StreamName::new(p).unwrap()).to_vec();
    draft.seen = Some(leaf_hash(b"seen"));
    draft.ledger = Origin::new("it.is/#1!$%&()*,-;<=>?@[]^_{|}~").unwrap();
    sign(&mut draft, &[3; 32]);
    draft
}

fn position() -> Position {
    Position {
        prev: leaf_hash(b"previous"),
        recorded_at: RecordedAt::new("2020-07-02T01:15:09.120Z").unwrap(),
        sequence: 4,
    }
}

#[test]
fn an_entry_has_the_bytes_of_format_md() {
    let prev = leaf_hash(b"previous");
    let expected = format!(
        concat!(
            r#"{{"actor":{{"organisation":"bureau-wz","role":"bureau"}},"as_found":false,"#,
            r#""command":"0190a3b2-7c1d-7def-8123-456789abcdef","effective":"2020-06-30","format":1,"#,
            r#""ledger":"weituo.example/wz","payload":{{"on":"2020-06-30","remark":"合格"}},"prev":"{}","#,
            r#""recorded_at":"2020-07-02T01:15:09.120Z","sequence":4,"stream":"agreement/WZ-2019-001","#,
            r#""type":"AnnualAssessmentRecorded","version":1}}"#
        ),
        prev
    );
    assert_eq!(draft().entry(&position()).unwrap(), expected);
}

#[test]
fn a_parsed_entry_writes_back_to_the_same_bytes() {
    for draft in [draft(), full_draft()] {
        let bytes = draft.entry(&position()).unwrap();
        let entry = Entry::parse(bytes.as_bytes()).unwrap();
        assert_eq!(entry.draft(), draft);
        assert_eq!(entry.draft().entry(&entry.position()).unwrap(), bytes);
        assert_eq!(entry.signing_bytes(), draft.signing_bytes());
    }
}

#[test]
fn whatever_is_read_writes_back_to_the_same_bytes() {
    let bytes = full_draft().entry(&position()).unwrap().into_bytes();
    let (mut read, mut refused) = (0, 0);
    let mut try_one = |altered: &[u8]| match Entry::parse(altered) {
        Ok(entry) => {
            assert_eq!(entry.draft().entry(&entry.position()).unwrap().as_bytes(), altered);
            read += 1;
        }
        Err(_) => refused += 1,
    };
    for at in 0..bytes.len() {
        for put in b" \"\\,:{}[]019afzAZ+-._/=\n\x7f" {
            let (mut replaced, mut inserted) = (bytes.clone(), bytes.clone());
            replaced[at] = *put;
            inserted.insert(at, *put);
            try_one(&replaced);
            try_one(&inserted);
        }
        let mut shorter = bytes.clone();
        shorter.remove(at);
        try_one(&shorter);
    }
    assert!(read > 1_000 && refused > 10_000, "{read} read, {refused} refused");
}

#[test]
fn a_member_more_or_less_makes_the_entry_invalid() {
    let bytes = draft().entry(&position()).unwrap();
    for (from, to) in [
        ("\"as_found\":false", "\"as_found\":false,\"aside\":1"),
        ("\"as_found\":false,", ""),
        ("\"role\":\"bureau\"", "\"role\":\"bureau\",\"site\":1"),
        ("\"sequence\":4", "\"sequence\":\"4\""),
        ("\"version\":1", "\"version\":4294967296"),
        ("2020-06-30\",\"format", "2021-02-29\",\"format"),
    ] {
        let altered = bytes.replacen(from, to, 1);
        assert_ne!(altered, bytes);
        assert!(matches!(Entry::parse(altered.as_bytes()), Err(EntryError::Members { .. })), "{altered}");
    }
}

#[test]
fn a_second_spelling_of_the_same_members_is_refused_by_name() {
    let bytes = full_draft().entry(&position()).unwrap();
    let entry = Entry::parse(bytes.as_bytes()).unwrap();
    let (seen, signature) = (entry.seen.unwrap(), entry.signature.unwrap());
    for (member, from, to) in [
        ("actor.key", "{\"key\":\"", "{\"key\":null,\"l\":\""),
        ("actor", "\"actor\":{", "\"actor\":[{"),
        ("actor.person", "{\"_sd\":[\"", "[\"_sd\",[\""),
        ("actor.role", "\"bureau\"", "\"bur\\teau\""),
        ("as_found", ":false", ":0"),
        ("parties", "[\"organisation/a\",\"organisation/b\"]", "[]"),
        ("parties", "[\"organisation/a\",\"organisation/b\"]", "\"organisation/a\""),
        ("parties", "[\"organisation/a\",\"organisation/b\"]", "[[\"organisation/a\"]]"),
        ("seen", &format!("\"{seen}\""), "null"),
        ("signature", &format!("\"{signature}\""), "null"),
        ("version", ":1}", ":-1}"),
    ] {
        let mut altered = bytes.replacen(from, to, 1);
        assert_ne!(altered, bytes);
        if to.starts_with("\"actor\":[") {
            altered = altered.replacen(",\"as_found\"", "],\"as_found\"", 1);
        } else if to.starts_with("[\"_sd\"") {
            altered = altered.replacen("\"]}", "\"]]", 1);
        }
        crate::canonical::check(altered.as_bytes()).unwrap();
        let Err(EntryError::Members { member: told, .. }) = Entry::parse(altered.as_bytes()) else {
            panic!("{altered}")
        };
        assert_eq!(told, member, "{altered}");
    }
}

#[test]
fn broken_rules_are_refused_when_written_and_when_read() {
    type Change = fn(&mut Draft);
    let changes: [(&str, Change); 10] = [
        ("actor.organisation", |d| d.actor.organisation = "has space".into()),
        ("actor.role", |d| d.actor.role = "Bureau".into()),
        ("type", |d| d.event_type = "signed".into()),
        ("version", |d| d.version = 0),
        ("payload", |d| d.payload = "[]".into()),
        ("parties", |d| d.parties = vec![StreamName::new("agreement/a").unwrap()]),
        ("parties", |d| d.parties = vec![StreamName::new("organisation/a").unwrap(); 2]),
        ("signature", |d| d.signature = Some("AAAA".into())),
        ("actor.key", |d| d.actor.key = Some(Hash::ZERO)),
        ("signature", |d| (d.actor.key, d.signature) = (Some(Hash::ZERO), Some("AAAA".into()))),
    ];
    for (expected, change) in changes {
        let mut draft = draft();
        change(&mut draft);
        let Err(EntryError::Rule { member, .. }) = draft.entry(&position()) else { panic!("{expected}") };
        assert_eq!(member, expected);
        let mut text = String::new();
        Text::of_draft(&draft).write(&mut text, Some(&position()));
        let Err(EntryError::Rule { member, .. }) = Entry::parse(text.as_bytes()) else { panic!("{text}") };
        assert_eq!(member, expected);
    }
    let at = Position { sequence: 0, ..position() };
    assert!(matches!(draft().entry(&at), Err(EntryError::Rule { member: "sequence", .. })));
    let format_2 = draft().entry(&position()).unwrap().replace("\"format\":1", "\"format\":2");
    assert!(matches!(Entry::parse(format_2.as_bytes()), Err(EntryError::Rule { member: "format", .. })));
}

#[test]
fn a_payload_cannot_smuggle_members_into_the_entry() {
    let mut draft = draft();
    draft.payload = r#"{},"prev":"x","z":{}"#.into();
    assert!(draft.entry(&position()).is_err());
    draft.payload = r#"{"b":1,"a":2}"#.into();
    assert!(matches!(draft.entry(&position()), Err(EntryError::NotCanonical(_))));
    draft.payload = "{\"a\":\"\u{0}\"}".into();
    assert!(matches!(draft.entry(&position()), Err(EntryError::NotCanonical(_))));
}

#[test]
fn an_entry_of_65_535_bytes_is_the_largest() {
    let mut draft = draft();
    draft.payload = "{\"a\":\"\"}".into();
    let room = MAX_ENTRY_BYTES - draft.entry(&position()).unwrap().len();
    draft.payload = format!("{{\"a\":\"{}\"}}", "x".repeat(room));
    let bytes = draft.entry(&position()).unwrap();
    assert_eq!(bytes.len(), MAX_ENTRY_BYTES);
    assert!(Entry::parse(bytes.as_bytes()).is_ok());
    draft.payload = format!("{{\"a\":\"{}\"}}", "x".repeat(room + 1));
    assert!(matches!(draft.entry(&position()), Err(EntryError::TooLarge { bytes: 65_536 })));
    assert!(matches!(Entry::parse(&vec![b' '; 65_536]), Err(EntryError::TooLarge { bytes: 65_536 })));
}

#[test]
fn a_signature_holds_at_any_position_and_for_nothing_else() {
    let draft = full_draft();
    let public_key = crate::ed25519::PrivateKey::from_seed(&[3; 32]).public_key();
    let verify = |draft: &Draft, at: &Position| {
        let bytes = draft.entry(at).unwrap();
        verify_actor_signature(&Entry::parse(bytes.as_bytes()).unwrap(), &public_key)
    };
    assert_eq!(verify(&draft, &position()), Ok(()));
    assert_eq!(verify(&draft, &Position { sequence: 9, prev: Hash::ZERO, ..position() }), Ok(()));
    let invalid = Err(SignatureError::Invalid(crate::ed25519::Ed25519Error::Mismatch));
    for change in [
        (|d| d.as_found = true) as fn(&mut Draft),
        |d| d.payload = "{}".into(),
        |d| d.seen = None,
        |d| d.parties.clear(),
        |d| d.version = 2,
        |d| d.actor.role = "board".into(),
    ] {
        let mut altered = draft.clone();
        change(&mut altered);
        assert_eq!(verify(&altered, &position()), invalid);
    }
    let mut unsigned = draft.clone();
    (unsigned.signature, unsigned.actor.key) = (None, None);
    assert_eq!(verify(&unsigned, &position()), Err(SignatureError::Unsigned));
    let mut other = draft;
    other.actor.key = Some(Hash::ZERO);
    let expected = key_id(&public_key);
    let found = Hash::ZERO;
    assert_eq!(verify(&other, &position()), Err(SignatureError::OtherKey { expected, found }));
}

#[test]
fn signed_bytes_begin_with_the_prefix_and_lack_the_logs_members() {
    let text = String::from_utf8(full_draft().signing_bytes()).unwrap();
    let entry = text.strip_prefix("weituo/entry-signature/v1\n").unwrap();
    assert!(crate::canonical::check(entry.as_bytes()).is_ok());
    for member in ["\"prev\"", "\"recorded_at\"", "\"sequence\"", "\"signature\""] {
        assert!(!entry.contains(member));
    }
}

#[test]
fn sealed_digests_of_actor_and_payload_are_listed() {
    let mut draft = draft();
    let sealed = SealedRef::new(leaf_hash(b"note"));
    draft.actor.person = Some(SealedRef::new(leaf_hash(b"person")));
    draft.payload = format!(r#"{{"note":{}}}"#, serde_json::to_string(&sealed).unwrap());
    let bytes = draft.entry(&position()).unwrap();
    let digests = Entry::parse(bytes.as_bytes()).unwrap().sealed_digests();
    assert_eq!(digests, [SealedRef::new(leaf_hash(b"person")).digest(), sealed.digest()]);
}

#[test]
fn possession_is_proven_for_one_ledger_one_organisation_and_one_key() {
    let (ledger, elsewhere) = (Origin::new("log.example/a").unwrap(), Origin::new("log.example/b").unwrap());
    let (school, other) = (
        StreamName::new("organisation/school-jia").unwrap(),
        StreamName::new("organisation/school-yi").unwrap(),
    );
    let (seed, key) = ([9; 32], public_key_of_seed(&[9; 32]));
    let proof = prove_possession(&ledger, &school, &seed);
    assert_eq!(verify_possession(&ledger, &school, &key, &proof), Ok(()));
    for (ledger, stream, key) in
        [(&elsewhere, &school, key), (&ledger, &other, key), (&ledger, &school, public_key_of_seed(&[8; 32]))]
    {
        assert!(matches!(
            verify_possession(ledger, stream, &key, &proof),
            Err(SignatureError::Invalid(Ed25519Error::Mismatch))
        ));
    }
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(
        verify_possession(&ledger, &school, &identity, &proof),
        Err(SignatureError::Invalid(Ed25519Error::WeakKey))
    );
    assert!(matches!(verify_possession(&ledger, &school, &key, "no"), Err(SignatureError::Base64(_))));
}
