//! How much is read of one line: the configured limit and no more.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use super::{answers, assert_ended, assert_intact};
use crate::support::shell::{Shell, registration};

/// Memory that one run may have taken at most, in kB: the program, its threads and one line, not 256 MB.
const MOST_MEMORY_KB: u64 = 150_000;

#[test]
fn a_line_is_as_long_as_was_asked_for_and_no_longer() {
    let shell = Shell::sqlite().filled(0);
    let padded = |number, bytes: usize| {
        let line = registration(number, "甲");
        let spaces = " ".repeat(bytes - line.len());
        line + &spaces
    };
    let lines = [padded(1, 2_000), padded(2, 2_001), padded(3, 1_000)].join("\n");
    let path = shell.path("lines.jsonl");
    std::fs::write(&path, &lines).unwrap();
    let path = path.to_str().unwrap();
    let ran = shell.run(&["record", path, "--max-line", "2000"]);
    assert_ended(&ran, 3);
    assert_eq!(answers(&ran), ["ok", "line-too-long", "ok"]);
    assert!(ran.out.contains("2000"), "the refusal names the limit: {}", ran.out);
    let ran =
        super::Ran::of(&shell.command(&["record", path]).env("WEITUO_MAX_LINE", "2001").output().unwrap());
    assert_ended(&ran, 0);
    // The standing limit is 1 MiB, its line end not counted.
    let lines = [padded(4, 1 << 20), padded(5, (1 << 20) + 1)].join("\n");
    let ran = shell.record(&lines);
    assert_ended(&ran, 3);
    assert_eq!(answers(&ran), ["ok", "line-too-long"]);
    for limit in ["0", "1023", "67108865", "-1", "x", "18446744073709551616"] {
        assert_ended(&shell.run(&["record", path, &format!("--max-line={limit}")]), 2);
    }
    assert_intact(&shell);
}

/// The limit bounds what is held of a line, not only what is accepted of it.
#[test]
fn a_line_of_256_mb_is_refused_in_bounded_memory_and_the_next_is_recorded_at_once() {
    let shell = Shell::sqlite().filled(0);
    let mut child = shell
        .command(&["record"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..256 {
        input.write_all(&block).unwrap();
    }
    input.write_all(format!("\n{}\n", registration(1, "甲")).as_bytes()).unwrap();
    assert!(answers.next().unwrap().unwrap().contains("line-too-long"));
    assert!(answers.next().unwrap().unwrap().contains("\"ok\""), "it is answered while input goes on");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < MOST_MEMORY_KB, "{peak} kB");
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_intact(&shell);
}
