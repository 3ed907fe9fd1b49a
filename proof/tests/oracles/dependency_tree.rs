//! The crates that a verifier has to trust, held in a snapshot so that a new one shows in review.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

#[test]
fn the_dependency_tree_is_the_one_reviewed() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "-p",
            "weituo-proof",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--target",
            "all",
            "--offline",
        ])
        .current_dir(manifest)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let names: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let found = names.into_iter().collect::<Vec<_>>().join("\n");
    for banned in ["sqlx", "tokio", "cqrs-es", "rand", "getrandom", "chrono"] {
        assert!(!found.lines().any(|name| name == banned), "{banned} has no place in the verifier");
    }
    let reviewed = include_str!("dependency_tree.txt");
    assert_eq!(
        found,
        reviewed.trim_end(),
        "review the change, then put it into tests/oracles/dependency_tree.txt"
    );
}
