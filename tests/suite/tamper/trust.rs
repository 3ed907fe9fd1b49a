//! docs/trust.md names a test for each of its rows: each exists.

use std::path::{Path, PathBuf};

#[test]
fn every_test_that_the_trust_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/trust.md")).unwrap();
    let mut source = String::new();
    let mut folders: Vec<PathBuf> =
        ["tests", "src", "proof"].iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(&folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                source.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    // A test's name is a sentence: at least four words.
    let name = regex_lite::Regex::new("`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    let named: Vec<&str> = name.captures_iter(&page).map(|found| found.get(1).unwrap().as_str()).collect();
    assert!(named.len() > 40, "only {} tests are named", named.len());
    let gone: Vec<&&str> = named.iter().filter(|name| !source.contains(&format!("fn {name}("))).collect();
    assert!(gone.is_empty(), "docs/trust.md names tests that there are not: {gone:#?}");
}
