use super::*;

fn refused(text: &str) -> (usize, Reason) {
    let error = check(text.as_bytes()).expect_err(text);
    (error.offset, error.reason)
}

#[test]
fn canonical_values_are_accepted() {
    for text in [
        "{}",
        "[]",
        "\"\"",
        "0",
        "-1",
        "null",
        "true",
        "false",
        "9007199254740991",
        "-9007199254740991",
        r#"{"_sd":["x"],"a":1,"a0":2,"a_":3,"aa":4,"b":{}}"#,
        r#"["\b\t\n\f\r\"\\\u0001\u000b\u001f/","中文","\u007f"]"#.replace("\\u007f", "\u{7f}").as_str(),
    ] {
        assert_eq!(check(text.as_bytes()), Ok(text));
    }
}

#[test]
fn keys_must_ascend_and_have_the_form() {
    assert_eq!(refused(r#"{"b":1,"a":2}"#), (7, Reason::KeyOrder));
    assert_eq!(refused(r#"{"a":1,"a":2}"#), (7, Reason::KeyOrder));
    assert_eq!(refused(r#"{"a":1,"_sd":2}"#), (7, Reason::KeyOrder));
    for key in ["", "A", "_", "_sd2", "1a", "a-b", "é", "a\\u0062", "a b"] {
        assert_eq!(refused(&format!("{{\"{key}\":1}}")), (2, Reason::Key), "{key}");
    }
}

#[test]
fn white_space_and_trailing_bytes_are_refused() {
    assert_eq!(refused(" 1"), (0, Reason::UnexpectedByte));
    assert_eq!(refused("1\n"), (1, Reason::TrailingBytes));
    assert_eq!(refused(r#"{"a": 1}"#), (5, Reason::UnexpectedByte));
    assert_eq!(refused("[1, 2]"), (3, Reason::UnexpectedByte));
    assert_eq!(refused("[1,]"), (3, Reason::UnexpectedByte));
    assert_eq!(refused("\u{feff}{}"), (0, Reason::UnexpectedByte));
    assert_eq!(refused("{}{}"), (2, Reason::TrailingBytes));
}

#[test]
fn numbers_are_plain_integers_within_53_bits() {
    for (text, at) in [("[-0]", 1), ("01", 0), ("1.0", 0), ("1e3", 0), ("1E3", 0), ("-01", 0)] {
        assert_eq!(refused(text), (at, Reason::NotInteger), "{text}");
    }
    for text in ["9007199254740992", "-9007199254740992", "18446744073709551616", "99999999999999999999999"] {
        assert_eq!(refused(text), (0, Reason::IntegerRange), "{text}");
    }
    assert_eq!(refused("+1").1, Reason::UnexpectedByte);
    assert_eq!(refused("-").1, Reason::UnexpectedEnd);
    assert_eq!(refused("[-]").1, Reason::UnexpectedByte);
}

#[test]
fn only_the_shortest_escapes_are_accepted() {
    for text in [
        r#""\/""#,
        r#""\u0041""#,
        r#""\u000a""#,
        r#""\u001F""#,
        r#""\u0008""#,
        r#""\ud83d\ude00""#,
        r#""\x41""#,
        r#""\u0022""#,
        r#""\u005c""#,
        r#""\u007f""#,
        r#""\u000c""#,
        r#""\u000d""#,
        r#""\u0009""#,
    ] {
        assert_eq!(refused(text), (1, Reason::Escape), "{text}");
    }
    assert_eq!(refused(r#""\u0000""#), (1, Reason::Null));
    assert_eq!(refused("\"\u{1}\""), (1, Reason::RawControl));
    assert_eq!(refused("\"\n\""), (1, Reason::RawControl));
    assert_eq!(refused(r#""\u00"#).1, Reason::UnexpectedEnd);
    assert_eq!(refused("\"\\").1, Reason::UnexpectedEnd);
}

#[test]
fn sixteen_levels_are_accepted_and_seventeen_are_not() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(check(nested(16).as_bytes()).is_ok());
    assert_eq!(refused(&nested(17)), (16, Reason::Depth));
    assert_eq!(refused(&"[".repeat(100_000)), (16, Reason::Depth));
    assert!(check(format!("[{}]", vec![nested(15); 3].join(",")).as_bytes()).is_ok());
}

#[test]
fn broken_texts_end_with_an_offset() {
    assert_eq!(refused(""), (0, Reason::UnexpectedEnd));
    assert_eq!(refused("{\"a\":1"), (6, Reason::UnexpectedEnd));
    assert_eq!(refused("{\"a\""), (4, Reason::UnexpectedEnd));
    assert_eq!(refused("{\""), (2, Reason::UnexpectedEnd));
    assert_eq!(refused("{\"_sd"), (5, Reason::UnexpectedEnd));
    assert_eq!(refused("{\"aB"), (2, Reason::Key));
    assert_eq!(refused("tru"), (3, Reason::UnexpectedEnd));
    assert_eq!(refused("trUe"), (2, Reason::UnexpectedByte));
    assert_eq!(check(b"\"\xff\""), Err(NotCanonical { offset: 1, reason: Reason::NotUtf8 }));
}

#[test]
fn written_strings_pass_the_check_unless_they_hold_u0000() {
    let mut all: String = (1..0x250).filter_map(char::from_u32).collect();
    all.push_str("中文😀\u{2028}\u{ffff}");
    let mut out = String::new();
    write_string(&mut out, &all);
    assert_eq!(check(out.as_bytes()), Ok(out.as_str()));
    assert_eq!(serde_json::to_string(&all).unwrap(), out);
    assert_eq!(serde_json::from_str::<String>(&out).unwrap(), all);
    let mut null = String::new();
    write_string(&mut null, "a\0b");
    assert_eq!(refused(&null), (2, Reason::Null));
}

#[test]
fn written_values_are_sorted_and_outsiders_are_refused_whole() {
    let mut out = "x".to_owned();
    let value = serde_json::json!({"b": [1, null, true], "a": {"d": "é", "c": -5}});
    write_value(&mut out, &value).unwrap();
    assert_eq!(out, r#"x{"a":{"c":-5,"d":"é"},"b":[1,null,true]}"#);
    let float = write_value(&mut out, &serde_json::json!([1.5])).unwrap_err();
    assert_eq!((float.offset, float.reason), (1, Reason::NotInteger));
    assert!(out.ends_with("true]}"));
}

#[test]
fn a_mark_is_found_wherever_it_stands_in_a_string() {
    const MARKS: [u8; 4] = [b'"', b'\\', 0, 0x1f];
    const OTHERS: [u8; 9] = [0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xff, b'a'];
    for length in 0..20 {
        for other in OTHERS {
            assert_eq!(plain(&vec![other; length]), length);
        }
        for (at, mark) in (0..length).flat_map(|at| MARKS.map(|mark| (at, mark))) {
            for (before, after) in
                OTHERS.iter().flat_map(|a| OTHERS.iter().chain(&MARKS).map(move |b| (a, b)))
            {
                let mut bytes = vec![*after; length];
                bytes[..at].fill(*before);
                bytes[at] = mark;
                assert_eq!(plain(&bytes), at, "{bytes:?}");
            }
        }
    }
}
