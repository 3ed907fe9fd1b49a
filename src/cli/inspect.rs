//! `log`, `entry`, `find`, `checkpoint`, `receipt`, `schema`: what the log itself holds.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};
use weituo_events::{EventType, command_schema};
use weituo_proof::sealed::find_digests;
use weituo_proof::{Entry, FindingKind, Hash, LeafIndex, StreamName};

use super::Desk;
use super::output::{Failure, document, line, visible};
use super::tables::{self, Values};
use super::words::words;
use crate::store::{EntryRow, NO_LEDGER_HERE, StoreError, StoreOptions};

/// Rows read at a time.
const PAGE: u32 = 1000;

async fn store(desk: &Desk<'_>) -> Result<std::sync::Arc<dyn crate::store::Store>, Failure> {
    let store = crate::store::open(&desk.url()?, StoreOptions::default(), false)
        .await
        .map_err(|error| Failure::from_error("store-open", &error))?;
    // What is altered can be looked at; where nothing was ever stored, that is to be said.
    if let Err(error) = store.scan(0, 1).await {
        return Err(read_failed(&store.require_current().await.err().unwrap_or(error)));
    }
    Ok(store)
}

fn read_failed(error: &StoreError) -> Failure {
    Failure::from_error("store-read", error)
}

/// Lists entries, newest last.
pub(super) async fn log(desk: &Desk<'_>, stream: Option<&str>) -> Result<u8, Failure> {
    let stream: Option<StreamName> =
        stream.map(|text| text.parse().map_err(|error| Failure::from_error("stream", &error))).transpose()?;
    let store = store(desk).await?;
    let mut next = 0_u64;
    let mut count = 0_u64;
    loop {
        // One table a page: a log has no end.
        let mut table = tables::log_heading(desk.voice);
        let page = page(&*store, stream.as_ref(), next).await.map_err(|error| read_failed(&error))?;
        for row in &page {
            count += 1;
            next = if stream.is_some() { row.sequence + 1 } else { row.leaf_index + 1 };
            if desk.voice.json {
                line(entry_json(row).to_string());
            } else {
                table.add_row(tables::log_row(desk.voice, row));
            }
        }
        if !desk.voice.json && !page.is_empty() {
            line(table.to_string());
        }
        if page.len() < PAGE as usize {
            break;
        }
    }
    if count == 0 && stream.is_none() {
        if store.head().await.map_err(|error| read_failed(&error))?.is_none() {
            return Err(read_failed(&StoreError::Schema { what: NO_LEDGER_HERE }));
        }
        return Err(Failure::not_found(
            "有首行而没有一条记录:请运行 `weituo verify`",
            "there is a head row and no entry: run `weituo verify`",
        ));
    }
    if let Some(stream) = stream.filter(|_| count == 0) {
        return Err(Failure::not_found(
            format!("没有流 {stream};`weituo log` 列出全部记录"),
            format!("there is no stream {stream}; `weituo log` lists every entry"),
        ));
    }
    Ok(0)
}

async fn page(
    store: &dyn crate::store::Store,
    stream: Option<&StreamName>,
    next: u64,
) -> Result<Vec<EntryRow>, StoreError> {
    if let Some(stream) = stream {
        return store.stream_rows(stream.as_str(), next, PAGE).await;
    }
    let from = i64::try_from(next).map_err(|_| StoreError::beyond())?;
    store.scan(from, PAGE).await?.into_iter().map(crate::store::Scanned::into_row).collect()
}

/// Returns an entry with its place, as one JSON object.
fn entry_json(row: &EntryRow) -> Value {
    let entry: Value =
        serde_json::from_str(&row.body).unwrap_or_else(|_| Value::String(row.body.to_string()));
    json!({ "leaf_index": row.leaf_index, "leaf_hash": row.leaf_hash, "entry": entry })
}

/// Shows one entry, whole, with the values it seals where they were not erased.
pub(super) async fn entry(desk: &Desk<'_>, leaf_index: u64) -> Result<u8, Failure> {
    let store = store(desk).await?;
    let row = store.entry(leaf_index).await.map_err(|error| read_failed(&error))?;
    let Some(row) = row else { return Err(no_leaf(leaf_index)) };
    let disclosures =
        store.disclosures(leaf_index..leaf_index + 1).await.map_err(|error| read_failed(&error))?;
    let opened: Map<String, Value> = disclosures
        .iter()
        .filter_map(|row| {
            // By the digest that it really has: a forged disclosure opens nothing.
            let disclosure = weituo_proof::Disclosure::decode(&row.disclosure).ok()?;
            Some((disclosure.digest(), disclosure.value().clone()))
        })
        .collect();
    let mut unopened =
        serde_json::from_str(&row.body).map_or_else(|_| Vec::new(), |body| find_digests(&body));
    unopened.retain(|digest| !opened.contains_key(digest));
    let mut erasures = Vec::new();
    if !unopened.is_empty() {
        erasures = crate::query::erasures(&*store).await.map_err(|error| read_failed(&error))?;
        erasures.retain(|erasure| erasure.from == leaf_index && unopened.contains(&erasure.digest));
    }
    let is_missing = unopened.iter().any(|digest| erasures.iter().all(|erasure| erasure.digest != *digest));
    let proven = super::stamp::proven(desk, leaf_index).await?;
    if desk.voice.json {
        let mut value = entry_json(&row);
        value["disclosures"] = Value::Object(opened);
        value["erased"] = erasures.iter().map(|one| (one.digest.clone(), json!(one))).collect();
        value["proven"] = proven;
        document(&value);
    } else {
        for shown in tables::entry_lines(desk.voice, &row, &Values { opened, erasures }) {
            line(visible(&shown));
        }
        super::stamp::proven_lines(desk, &proven).iter().for_each(line);
    }
    let is_altered = weituo_proof::leaf_hash(row.body.as_bytes()) != row.leaf_hash;
    let head = store.head().await.map_err(|error| read_failed(&error))?;
    let is_beyond = head.is_none_or(|head| leaf_index >= head.size);
    for (found, kind) in [
        (is_altered, FindingKind::LeafHashDiffers),
        (is_missing, FindingKind::DisclosureMissing),
        (is_beyond, FindingKind::SizeDiffers),
    ] {
        if found {
            eprintln!("✘ {kind}: {}", kind.meaning(desk.voice.language));
        }
    }
    Ok(u8::from(is_altered || is_missing || is_beyond))
}

fn no_leaf(leaf_index: u64) -> Failure {
    Failure::not_found(
        format!("没有序号为 {leaf_index} 的记录;`weituo log` 列出全部记录"),
        format!("there is no leaf {leaf_index}; `weituo log` lists every entry"),
    )
}

fn not_covered(leaf_index: u64) -> Failure {
    Failure::could_not_run(
        "no-checkpoint",
        format!("序号 {leaf_index} 的记录尚无检查点覆盖:锚点丢失或落后;请运行 `weituo verify`"),
        format!(
            "no checkpoint covers leaf {leaf_index} yet: the anchor is lost or behind; run `weituo verify`"
        ),
    )
}

/// Finds the entries that name a document's hash.
pub(super) async fn find(desk: &Desk<'_>, hash_or_file: &str) -> Result<u8, Failure> {
    let hash: Hash = match hash_or_file.to_ascii_lowercase().parse() {
        Ok(hash) => hash,
        Err(_) => hash_of_file(Path::new(hash_or_file)).map_err(|error| {
            Failure::could_not_run(
                "hash-or-file",
                format!("{hash_or_file} 不是 64 位十六进制,也无法作为文件读取:{error}"),
                format!("{hash_or_file} is not 64 hex digits and cannot be read as a file: {error}"),
            )
        })?,
    };
    let store = store(desk).await?;
    let found = crate::query::find_hash(&*store, hash).await.map_err(|error| read_failed(&error))?;
    if desk.voice.json {
        let rows: Vec<Value> = found.iter().map(entry_json).collect();
        document(&json!({ "sha256": hash, "entries": rows }));
    } else if found.is_empty() {
        line(words(desk.voice.language, "find-none", &[("hash", &hash)]));
    } else {
        let mut table = tables::log_heading(desk.voice);
        for row in &found {
            table.add_row(tables::log_row(desk.voice, row));
        }
        line(words(desk.voice.language, "find-hash", &[("hash", &hash)]));
        line(table.to_string());
    }
    Ok(u8::from(found.is_empty()))
}

fn hash_of_file(path: &Path) -> std::io::Result<Hash> {
    use sha2::Digest;
    let mut file = std::fs::File::open(path)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(Hash(hasher.finalize().into()));
        }
        hasher.update(&buffer[..read]);
    }
}

pub(super) fn no_checkpoint() -> Failure {
    Failure::could_not_run(
        "no-checkpoint",
        "没有可以给出的检查点:锚点丢失或不一致;请运行 `weituo verify`",
        "there is no checkpoint to give: the anchor is lost or does not agree; run `weituo verify`",
    )
}

/// Prints the signed checkpoint.
pub(super) async fn checkpoint(desk: &Desk<'_>) -> Result<u8, Failure> {
    let ledger = desk.reader().await?;
    let checkpoint = ledger.checkpoint().ok_or_else(no_checkpoint)?;
    if desk.voice.json {
        document(&json!({ "size": checkpoint.size, "root": checkpoint.root, "note": checkpoint.text }));
    } else {
        line(checkpoint.text.trim_end());
    }
    Ok(0)
}

/// Prints the receipt of an entry.
pub(super) async fn receipt(desk: &Desk<'_>, leaf_index: u64) -> Result<u8, Failure> {
    let ledger = desk.reader().await?;
    let receipt = match ledger.cosigned_receipt(LeafIndex::new(leaf_index)).await {
        Ok(receipt) => receipt,
        Err(crate::ledger::LedgerError::NotFound { .. }) => {
            let there = ledger.store().entry(leaf_index).await.map_err(|error| read_failed(&error))?;
            return Err(if there.is_none() { no_leaf(leaf_index) } else { not_covered(leaf_index) });
        }
        Err(error) => return Err(Failure::from_error("receipt", &error)),
    };
    if desk.voice.json {
        document(&json!({
            "leaf_index": receipt.leaf_index,
            "leaf_hash": receipt.leaf_hash,
            "entry": receipt.entry,
            "cosigned": receipt.cosigned,
            "receipt": receipt.to_proof().text_with_entry(),
        }));
    } else {
        line(receipt.to_proof().text_with_entry().trim_end());
        // Beside the receipt, which is a file's content.
        if desk.shared.policy.is_some() && receipt.cosigned.is_empty() {
            eprintln!("{}", desk.voice.word("receipt-not-cosigned"));
        } else if desk.shared.policy.is_some() {
            let names = receipt.cosigned.join(", ");
            eprintln!("{}", words(desk.voice.language, "receipt-cosigned", &[("names", &names)]));
        }
    }
    Ok(0)
}

/// Lists the commands, or prints the JSON Schema of one.
pub(super) fn schema(desk: &Desk<'_>, command: Option<&str>) -> Result<u8, Failure> {
    let Some(command) = command else {
        if desk.voice.json {
            let names: Vec<&str> = EventType::ALL.iter().map(|one| one.command()).collect();
            document(&names);
        } else {
            line(tables::commands(desk.voice).to_string());
            line(words(desk.voice.language, "schema-list", &[("count", &EventType::ALL.len())]));
        }
        return Ok(0);
    };
    let event_type = EventType::from_command(command).map_err(|error| {
        Failure::not_found(
            format!("没有命令 {command};`weituo schema` 列出全部命令"),
            format!("{error}; `weituo schema` lists every command"),
        )
    })?;
    document(&command_schema(event_type));
    Ok(0)
}

/// Returns an entry's type and acting organisation for a table, or what is wrong with it.
pub(super) fn parsed(row: &EntryRow) -> Result<Entry, weituo_proof::EntryError> {
    Entry::parse(row.body.as_bytes())
}
