//! What somebody can do who knows the format: recompute everything after an edit, and with the key sign it again.

use std::collections::HashMap;
use std::fmt::Write as _;

use weituo::ledger::Beside;
use weituo_proof::map::{Map, PartyChain, party_name, stream_value};
use weituo_proof::{Checkpoint, Entry, Frontier, Hash, SigningKey, StreamHead, TreeSize, leaf_hash, sha256};

use super::bench::{Bench, quoted};

/// Edits one entry, and recomputes every chain, index root, leaf hash and the head's root; returns the new root.
pub async fn rewrite_everything(bench: &Bench, leaf: u64, from: &str, to: &str) -> Hash {
    let (mut renamed, mut sql) = (HashMap::new(), String::new());
    let (mut tree, mut map) = (Frontier::new(), Map::new());
    let mut parties: HashMap<_, PartyChain> = HashMap::new();
    let hex = regex_lite::Regex::new("[0-9a-f]{64}").unwrap();
    for row in bench.rows().await {
        let mut body = row.body.to_string();
        if row.leaf_index == leaf {
            assert!(body.contains(from), "{body}");
            body = body.replacen(from, to, 1);
        }
        if body.contains(r#""type":"IndexCommitted""#) {
            let at = body.find(r#""root":""#).unwrap() + 8;
            body.replace_range(at..at + 64, &map.root().to_string());
        }
        let named =
            |found: &regex_lite::Captures<'_>| renamed.get(&found[0]).cloned().unwrap_or(found[0].to_owned());
        let body = hex.replace_all(&body, named).into_owned();
        let entry = Entry::parse(body.as_bytes()).unwrap();
        let hash = leaf_hash(body.as_bytes());
        if hash != row.leaf_hash {
            let (body, blob) = (quoted(&body), bench.blob(hash.as_bytes()));
            writeln!(
                sql,
                "UPDATE entry SET body = {body}, leaf_hash = {blob} WHERE leaf_index = {};",
                row.leaf_index
            )
            .unwrap();
            renamed.insert(row.leaf_hash.to_string(), hash.to_string());
        }
        map.insert(&row.stream, &stream_value(&StreamHead { sequence: row.sequence, leaf_hash: hash }));
        for party in entry.parties {
            let chain = parties.entry(party.clone()).or_default();
            chain.push(&hash);
            map.insert(&party_name(&party), &chain.value());
        }
        tree.append(hash);
    }
    bench.tamper(&sql).await;
    bench.fit_head().await;
    rebuild(bench).await;
    tree.root()
}

/// Folds the projections anew from the entries as they stand.
pub async fn rebuild(bench: &Bench) {
    let store = bench.place.store().await;
    weituo::follower::Follower::new(std::sync::Arc::clone(&store)).rebuild(None, |_| ()).await.unwrap();
    store.close().await;
}

/// Seals the head row with the log's key, as only its holder can.
pub async fn seal(bench: &Bench) {
    let beside = Beside::read_files(&bench.place.key_file(), &bench.place.anchor_file()).unwrap();
    let seal = beside.seal_of(&bench.head().await);
    bench.tamper(&format!("UPDATE head SET seal = {}", bench.blob(&seal))).await;
}

/// Signs the head as it stands with a key.
pub async fn sign(bench: &Bench, key: &SigningKey) -> String {
    let head = bench.head().await;
    let origin = head.origin.parse().unwrap();
    Checkpoint { origin, size: TreeSize::new(head.size), root: head.root }.sign(key).unwrap().to_string()
}

/// Writes an anchor file with this checkpoint in both slots.
pub fn write_anchor(bench: &Bench, text: &str) {
    let mut file = Vec::new();
    for counter in [1_u64, 2] {
        let mut slot = b"weituo anchor 1\n".to_vec();
        slot.extend(counter.to_be_bytes());
        slot.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        slot.extend(text.as_bytes());
        let checksum = sha256(&[&slot]);
        slot.extend(checksum.as_bytes());
        slot.resize(4096, 0);
        file.extend(slot);
    }
    std::fs::write(bench.place.anchor_file(), file).unwrap();
}
