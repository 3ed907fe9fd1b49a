//! Writes a log of 600 entries as static files (checkpoint, tiles, entry bundles, one receipt) and prints its
//! verifier key: input for outside checkers.
//!
//! Usage: `cargo run -p weituo-proof --example write_log_dir -- DIR`. The key's seed is fixed: never a real log's.
//! Source: C2SP tlog-tiles.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use weituo_proof::tile::{bundles_between, encode_bundle, hash_tile, tiles_of};
use weituo_proof::tree::inclusion_proof;
use weituo_proof::{
    Actor, Checkpoint, CommandId, Draft, Effective, Hash, LeafIndex, MemoryNodes, Origin, Position, Receipt,
    RecordedAt, SigningKey, StreamName, TreeSize, leaf_hash,
};

const ORIGIN: &str = "weituo.example/oracle";
const ENTRIES: u64 = 600;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("usage: write_log_dir DIR")?);
    let key = SigningKey::from_seed(ORIGIN, [42; 32])?;
    let entries = entries()?;
    let mut nodes = MemoryNodes::new();
    nodes.extend(entries.iter().map(|entry| leaf_hash(entry.as_bytes())));

    for path in tiles_of(nodes.size()) {
        write(&dir.join(path.to_string()), &hash_tile(&nodes, &path)?)?;
    }
    for path in bundles_between(TreeSize::new(0), nodes.size()) {
        let first = usize::try_from(path.index())? * 256;
        let bundle = encode_bundle(&entries[first..first + usize::from(path.width())])?;
        write(&dir.join(path.to_string()), &bundle)?;
    }
    let checkpoint = Checkpoint { origin: Origin::new(ORIGIN)?, size: nodes.size(), root: nodes.root() };
    let checkpoint = checkpoint.sign(&key)?.to_string();
    write(&dir.join("checkpoint"), checkpoint.as_bytes())?;

    let leaf_index = LeafIndex::new(420);
    let inclusion = inclusion_proof(&nodes, leaf_index, nodes.size())?;
    let receipt = Receipt { entry: entries[420].clone(), leaf_index, inclusion, checkpoint };
    write(&dir.join("receipt/receipt.tlog-proof"), receipt.text().as_bytes())?;
    write(&dir.join("receipt/entry.json"), receipt.entry.as_bytes())?;
    write(&dir.join("receipt/key.txt"), format!("{}\n", key.verifier()).as_bytes())?;
    println!("{}", key.verifier());
    Ok(())
}

/// Returns entries of three streams in turn, chained as a log chains them.
fn entries() -> Result<Vec<String>, Box<dyn Error>> {
    let mut entries: Vec<String> = Vec::new();
    let mut heads = [None::<(u64, Hash)>; 3];
    for number in 0..ENTRIES {
        let stream = usize::try_from(number % 3)?;
        let genesis = entries.first().map_or(Hash::ZERO, |entry| leaf_hash(entry.as_bytes()));
        let (sequence, prev) = heads[stream].map_or((1, genesis), |(sequence, leaf)| (sequence + 1, leaf));
        let draft = Draft {
            actor: Actor { key: None, organisation: "bureau-wz".into(), person: None, role: "bureau".into() },
            as_found: number % 7 == 0,
            command: CommandId::new(format!("00000000-0000-7000-8000-{number:012x}"))?,
            effective: Effective::new("2020-06-30")?,
            ledger: Origin::new(ORIGIN)?,
            parties: Vec::new(),
            payload: format!("{{\"number\":{number},\"remark\":\"第 {number} 条\"}}"),
            seen: None,
            signature: None,
            stream: StreamName::of("agreement", &format!("WZ-{stream}"))?,
            event_type: "ActivityRecorded".into(),
            version: 1,
        };
        let millis = 1_593_652_509_120 + i64::try_from(number)?;
        let recorded_at = RecordedAt::from_unix_millis(millis).ok_or("instant out of range")?;
        let entry = draft.entry(&Position { prev, recorded_at, sequence })?;
        heads[stream] = Some((sequence, leaf_hash(entry.as_bytes())));
        entries.push(entry);
    }
    Ok(entries)
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, bytes)
}
