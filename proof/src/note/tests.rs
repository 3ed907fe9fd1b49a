use super::*;

/// The example of C2SP signed-note, with its key from the specification's section on verifier keys left out: only
/// its form is used here.
const SPEC_NOTE: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\n\u{e8}d \u{e8} subito sera.\n\n\u{2014} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, [seed; 32]).unwrap()
}

#[test]
fn a_note_verifies_under_its_key_and_reads_back() {
    let log = key("weituo.example/wz", 1);
    let note = SignedNote::sign("first\n\nlast\n", &log).unwrap();
    let text = note.to_string();
    let read = SignedNote::parse(&text).unwrap();
    assert_eq!((read.text(), read.to_string()), ("first\n\nlast\n", text));
    let verified = read.verify(&[log.verifier().clone()]).unwrap();
    assert_eq!((verified.len(), verified[0].name.as_str()), (1, "weituo.example/wz"));
}

#[test]
fn the_specifications_note_reads_back() {
    let note = SignedNote::parse(SPEC_NOTE).unwrap();
    assert_eq!(note.to_string(), SPEC_NOTE);
    assert_eq!(note.signatures()[0].key_id(), [0x36, 0x7b, 0xa0, 0x4b]);
    assert_eq!(note.signatures()[0].signature().len(), 64);
}

#[test]
fn altered_text_or_signature_by_a_known_key_is_refused() {
    let log = key("log", 1);
    let keys = [log.verifier().clone()];
    let text = SignedNote::sign("a\n", &log).unwrap().to_string();
    let altered = SignedNote::parse(&text.replacen('a', "b", 1)).unwrap();
    assert!(matches!(altered.verify(&keys), Err(NoteError::Invalid { name, .. }) if name == "log"));
    let mut two = SignedNote::parse(&text).unwrap();
    two.push(key("log", 1).sign("other\n"));
    assert!(two.verify(&keys).is_err());
}

#[test]
fn unknown_keys_are_ignored_but_cannot_vouch_alone() {
    let (log, stranger) = (key("log", 1), key("stranger", 2));
    let mut note = SignedNote::sign("a\n", &stranger).unwrap();
    let keys = [log.verifier().clone()];
    assert_eq!(note.verify(&keys), Err(NoteError::Unverified { signatures: 1, keys: 1 }));
    // Same name, other key: another id, so unknown.
    note.add_signature(&key("log", 3));
    assert!(note.verify(&keys).is_err());
    note.add_signature(&log);
    note.add_signature(&log);
    assert_eq!(note.verify(&keys).unwrap().len(), 1);
}

#[test]
fn malformed_notes_are_refused() {
    let line = "\u{2014} k AAAAAAA=\n";
    assert!(SignedNote::parse(&format!("a\n\n{line}")).is_ok());
    assert_eq!(SignedNote::parse("a\n\n"), Err(NoteError::Shape));
    assert_eq!(SignedNote::parse(""), Err(NoteError::Shape));
    assert_eq!(SignedNote::parse(&format!("a\n{line}")), Err(NoteError::Shape));
    assert_eq!(SignedNote::parse(&format!("a\n\n{}", line.trim_end())), Err(NoteError::Shape));
    assert_eq!(SignedNote::parse(&format!("a\r\n\n{line}")), Err(NoteError::Control { offset: 1 }));
    assert_eq!(
        SignedNote::parse(&"a".repeat(MAX_NOTE_BYTES + 1)).unwrap_err(),
        NoteError::TooLarge { bytes: MAX_NOTE_BYTES + 1 }
    );
    for bad in [
        "\u{2014} k AAAAAA==",
        "\u{2014} k AAAAAAA",
        "\u{2014} k AAAAAAB=",
        "- k AAAAAAA=",
        "\u{2014}  AAAAAAA=",
        "\u{2014} k+ AAAAAAA=",
        "\u{2014} k\u{a0} AAAAAAA=",
        "\u{2014} k AAAAAAA= ",
        "\u{2014} k  AAAAAAA=",
        "x",
    ] {
        let error = SignedNote::parse(&format!("a\n\n{line}{bad}\n")).unwrap_err();
        assert_eq!(error, NoteError::SignatureLine { line: 2 }, "{bad}");
    }
    assert!(SignedNote::parse(&format!("a\n\n{}", line.repeat(100))).is_ok());
    assert_eq!(
        SignedNote::parse(&format!("a\n\n{}", line.repeat(101))),
        Err(NoteError::TooManySignatures { count: 101 })
    );
    assert_eq!(SignedNote::sign("no newline", &key("k", 1)), Err(NoteError::Shape));
}

#[test]
fn keys_read_back_and_wrong_ids_are_refused() {
    let signer = key("log.example/a", 7);
    let verifier = signer.verifier().clone();
    assert_eq!(verifier.to_string().parse(), Ok(verifier.clone()));
    let again: SigningKey = signer.to_string().parse().unwrap();
    assert_eq!(again.verifier(), &verifier);
    let renamed = verifier.to_string().replacen("log.example/a", "log.example/b", 1);
    assert!(matches!(renamed.parse::<VerifierKey>(), Err(KeyError::Id { .. })));
    let renamed = signer.to_string().replacen("log.example/a", "log.example/b", 1);
    assert!(matches!(renamed.parse::<SigningKey>(), Err(KeyError::Id { .. })));
    for bad in
        ["", "a", "a+b", "a+00000000+", "a+0+AQ==", " +00000000+AQ==", "a+00000000+AQ==", "a+XYZ00000+AQ=="]
    {
        assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
    }
}

#[test]
fn keys_of_other_types_parse_and_never_verify() {
    let other: VerifierKey = format!("ecdsa+00000001+{}", STANDARD.encode([2, 9, 9])).parse().unwrap();
    assert_eq!((other.algorithm(), other.public_key()), (Algorithm::Other(2), &[9, 9][..]));
    assert_eq!(other.to_string().parse(), Ok(other.clone()));
    let mut note = SignedNote::sign("a\n", &key("log", 1)).unwrap();
    note.push(NoteSignature { name: "ecdsa".into(), key_id: [0, 0, 0, 1], signature: vec![1] });
    assert!(matches!(note.verify(&[other]), Err(NoteError::Unverified { .. })));
}

#[test]
fn a_seed_does_not_show_in_debug_output() {
    let signer = key("log", 7);
    let secret = STANDARD.encode([&[1], &signer.seed()[..]].concat());
    assert!(signer.to_string().contains(&secret));
    assert!(!format!("{signer:?}").contains(&secret[2..]));
}

#[test]
fn a_cosignature_carries_its_time_and_verifies_over_it() {
    let (log, witness) = (key("log", 1), CosigningKey::from_seed("witness", [2; 32]).unwrap());
    let mut note = SignedNote::sign("log\n1\nroot\n", &log).unwrap();
    note.push(witness.cosign(&note, 1_679_315_147));
    let note = SignedNote::parse(&note.to_string()).unwrap();
    let verified = note.verify(&[witness.verifier().clone(), log.verifier().clone()]).unwrap();
    let times: Vec<_> = verified.iter().map(|v| (v.name.as_str(), v.timestamp)).collect();
    assert_eq!(times, [("log", None), ("witness", Some(1_679_315_147))]);
    let mut moved = note.clone();
    moved.signatures[1].signature[7] ^= 1;
    assert!(moved.verify(&[witness.verifier().clone()]).is_err());
    moved.signatures[1].signature.truncate(64);
    assert!(moved.verify(&[witness.verifier().clone()]).is_err());
    let parsed: VerifierKey = witness.verifier().to_string().parse().unwrap();
    assert_eq!(parsed.algorithm(), Algorithm::CosignatureV1);
}
