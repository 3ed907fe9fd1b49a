//! The rules of the house that a program can check.

use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const ROOMS: [&str; 6] = ["src", "proof/src", "events/src", "projections/src", "benches", "tests/suite"];

/// Files that may be longer than 400 lines, each with its reason.
const LONGER: &[(&str, &str)] = &[
    ("projections/src/cycle/facts.rs", "one fold, with an arm for every kind of act"),
    ("projections/src/rulebook.rs", "a rulebook's words: mostly the documentation of its fields"),
];

/// Returns every Rust file of the rooms, its path from the root and its text.
fn files() -> Vec<(String, String)> {
    let mut folders: Vec<PathBuf> = ROOMS.iter().map(|room| Path::new(ROOT).join(room)).collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(&folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(ROOT).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files.len() > 50, "only {} files found under {ROOT}", files.len());
    files.sort();
    files
}

fn is_tests(name: &str) -> bool {
    let kept = ["/tests.rs", "/testing.rs"].iter().any(|end| name.ends_with(end));
    kept || name.starts_with("tests/") || name.contains("/tests/")
}

#[track_caller]
fn assert_none(wrong: &[String], rule: &str) {
    assert!(wrong.is_empty(), "{rule}:\n{}", wrong.join("\n"));
}

#[test]
fn files_have_at_most_400_lines() {
    let excepted = |name: &str| is_tests(name) || LONGER.iter().any(|(file, _)| *file == name);
    let long = files().into_iter().map(|(name, text)| (text.lines().count(), name));
    let long: Vec<_> = long
        .filter(|(lines, name)| *lines > 400 && !excepted(name))
        .map(|(lines, name)| format!("{name}: {lines} lines"))
        .collect();
    assert_none(&long, "a file has at most 400 lines; split it, or name it in LONGER with the reason");
}

#[test]
fn every_module_says_what_it_is() {
    // `tests.rs` holds the tests of the module beside it, which says what they are about.
    let silent = files().into_iter().filter(|(name, text)| !text.starts_with("//! ") && !is_tests(name));
    let silent: Vec<_> = silent.map(|(name, _)| name).collect();
    assert_none(&silent, "a module begins with //! and a sentence");
}

#[test]
fn nothing_unwraps_outside_tests() {
    let mut found = Vec::new();
    for (name, text) in files() {
        if is_tests(&name) {
            continue;
        }
        let code = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
        let lines = code
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//") && line.contains(".unwrap()"));
        found.extend(lines.map(|(at, line)| format!("{name}:{}: {}", at + 1, line.trim())));
    }
    assert_none(&found, "outside tests, answer the error, or `expect` the invariant that excludes it");
}

#[test]
fn a_lint_is_excepted_only_with_its_reason() {
    let bare =
        files().into_iter().filter(|(name, _)| name != "tests/suite/style.rs").flat_map(|(name, text)| {
            let lines =
                text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("#[allow("));
            lines.map(|(at, line)| format!("{name}:{}: {}", at + 1, line.trim())).collect::<Vec<_>>()
        });
    assert_none(&bare.collect::<Vec<_>>(), "write #[expect(lint, reason = \"…\")]");
}
