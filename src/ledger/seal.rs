//! The seal of the head row: proof to the next writer that a holder of the log's key wrote it.
//!
//! Invariants: the seal's key is derived from the signing seed and never leaves the process; a seal covers everything in
//! the head row but itself.
//! Absent: signing (a seal is made before the commit, a signature only after it).
//! Source: design.md "The append path" step 2.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use weituo_proof::{Hash, sha256};

use super::key::Keys;
use crate::store::Head;

/// HMAC keys of the seal, each SHA-256("weituo/seal-key/v1\n" ‖ 32-byte signing seed): the first seals, and whatever any of
/// them sealed is known.
#[derive(Clone)]
pub(super) struct SealKey {
    first: Hash,
    older: Vec<Hash>,
}

impl SealKey {
    pub(super) fn of(keys: &Keys) -> Self {
        let mut all = keys.all().map(|key| Self::derived(key.seed()));
        let first = all.next().unwrap_or(Hash::ZERO);
        Self { first, older: all.collect() }
    }

    #[cfg(test)]
    pub(super) fn of_seeds(seeds: &[u8]) -> Self {
        let mut all = seeds.iter().map(|seed| Self::derived(&[*seed; 32]));
        Self { first: all.next().expect("invariant: a test has a seed"), older: all.collect() }
    }

    fn derived(signing_seed: &[u8; 32]) -> Hash {
        sha256(&[b"weituo/seal-key/v1\n", signing_seed])
    }

    /// Returns HMAC-SHA-256 over origin, size, root and `recorded_at`, each on its line, 32 bytes.
    pub(super) fn seal(&self, origin: &str, size: u64, root: &Hash, recorded_at: &str) -> [u8; 32] {
        mac(&self.first, origin, size, root, recorded_at).finalize().into_bytes().into()
    }

    /// Returns whether a head row carries the right seal, compared in constant time.
    pub(super) fn holds(&self, head: &Head) -> bool {
        std::iter::once(&self.first).chain(&self.older).any(|key| {
            let mac = mac(key, &head.origin, head.size, &head.root, &head.recorded_at);
            mac.verify_slice(&head.seal).is_ok()
        })
    }
}

fn mac(key: &Hash, origin: &str, size: u64, root: &Hash, recorded_at: &str) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key.as_bytes())
        .expect("invariant: HMAC takes a key of any length");
    mac.update(format!("weituo/seal/v1\n{origin}\n{size}\n{root}\n{recorded_at}\n").as_bytes());
    mac
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_of_the_head_row_is_under_the_seal() {
        let (other, later) = (SealKey::of_seeds(&[8]), SealKey::of_seeds(&[8, 7]));
        let key = SealKey::of_seeds(&[7]);
        let recorded_at = "2026-01-02T03:04:05.678Z".to_owned();
        let seal = key.seal("log.example", 3, &Hash::ZERO, &recorded_at);
        let head = Head { origin: "log.example".to_owned(), size: 3, root: Hash::ZERO, seal, recorded_at };
        assert!(key.holds(&head));
        assert!(!other.holds(&head));
        assert!(later.holds(&head), "an older key's seal is still known");
        assert!(!key.holds(&Head { origin: "log.exampl".to_owned(), ..head.clone() }));
        assert!(!key.holds(&Head { size: 4, ..head.clone() }));
        assert!(!key.holds(&Head { root: Hash([1; 32]), ..head.clone() }));
        assert!(!key.holds(&Head { recorded_at: "2026-01-02T03:04:05.679Z".to_owned(), ..head }));
    }
}
