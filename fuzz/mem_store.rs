//! A store in memory whose every column can be given another value, as a hand in the database could.
//!
//! Invariants: a value of the wrong type, length or range makes its row garbled, as both real stores do it.
//! Absent: committing, the cqrs-es reader; only verification and the follower read from it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use weituo::store::{
    ApplyOutcome, Batch, Catalogue, CommitOutcome, DisclosureRow, EntryRow, EventReader, GarbledRow,
    Generation, Head, KeyRange, ProjectionChange, ProjectionRow, Result, Scanned, Store, StoreError, Which,
};
use weituo_proof::Hash;

/// Every table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) head: Head,
    pub(crate) entries: Vec<Scanned>,
    pub(crate) disclosures: Vec<DisclosureRow>,
    pub(crate) generations: BTreeMap<String, Vec<Generation>>,
    pub(crate) rows: BTreeMap<(String, i64), BTreeMap<String, String>>,
}

#[derive(Debug)]
pub(crate) struct MemStore(Mutex<Tables>);

impl MemStore {
    pub(crate) fn new(mut tables: Tables) -> Self {
        tables.entries.sort_by_key(leaf_index);
        tables.disclosures.sort_by(|a, b| (a.leaf_index, &a.digest).cmp(&(b.leaf_index, &b.digest)));
        Self(Mutex::new(tables))
    }

    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().expect("no holder of the tables panics")
    }

    fn entries(&self, keep: impl Fn(&EntryRow) -> bool) -> Result<Vec<EntryRow>> {
        let tables = self.tables();
        let rows = tables.entries.iter().filter(|one| match one {
            Scanned::Row(row) => keep(row),
            Scanned::Garbled(_) => false,
        });
        rows.cloned().map(Scanned::into_row).collect()
    }
}

/// Returns the column that scans are ordered by; `None` sorts first, as NULL does.
fn leaf_index(scanned: &Scanned) -> Option<i64> {
    match scanned {
        Scanned::Row(row) => i64::try_from(row.leaf_index).ok(),
        Scanned::Garbled(garbled) => garbled.leaf_index,
    }
}

/// Gives one column of an entry's row another value. What cannot be in such a column garbles the row.
pub(crate) fn edit(row: &EntryRow, column: &'static str, value: &[u8]) -> Scanned {
    let mut edited = row.clone();
    let leaf_index = i64::try_from(row.leaf_index).ok();
    let garbled = |leaf_index, found: String| Scanned::Garbled(GarbledRow { leaf_index, column, found });
    let number = number(value);
    match column {
        "leaf_index" | "sequence" => match (u64::try_from(number), column) {
            (Ok(number), "leaf_index") => edited.leaf_index = number,
            (Ok(number), _) => edited.sequence = number,
            (Err(_), "leaf_index") => return garbled(Some(number), number.to_string()),
            (Err(_), _) => return garbled(leaf_index, number.to_string()),
        },
        "stream" | "body" => {
            let Ok(text) = std::str::from_utf8(value) else {
                return garbled(leaf_index, "text that is not UTF-8".to_owned());
            };
            if column == "stream" {
                text.clone_into(&mut edited.stream);
            } else {
                edited.body = Arc::from(text);
            }
        }
        _ => {
            let found = || garbled(leaf_index, format!("blob of {} bytes", value.len()));
            match column {
                "command" => match value.try_into() {
                    Ok(bytes) => edited.command = bytes,
                    Err(_) => return found(),
                },
                _ => match value.try_into() {
                    Ok(bytes) => edited.leaf_hash = Hash(bytes),
                    Err(_) => return found(),
                },
            }
        }
    }
    Scanned::Row(edited)
}

/// Reads a number as a column holds it: up to eight bytes, the first the least.
pub(crate) fn number(value: &[u8]) -> i64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(value) {
        *to = *from;
    }
    i64::from_le_bytes(bytes)
}

fn absent<T>() -> Result<T> {
    Err(StoreError::Schema { what: weituo_proof::Both::plain("this store is only read") })
}

fn of_limit(limit: u32) -> usize {
    usize::try_from(limit).expect("a page fits in memory")
}

#[async_trait]
impl Store for MemStore {
    async fn migrate(&self) -> Result<()> {
        absent()
    }

    async fn require_current(&self) -> Result<()> {
        Ok(())
    }

    async fn catalogue(&self) -> Result<Catalogue> {
        Ok(Catalogue::default())
    }

    async fn head(&self) -> Result<Option<Head>> {
        Ok(Some(self.tables().head.clone()))
    }

    async fn commit(&self, _: &Arc<Batch>) -> Result<CommitOutcome> {
        absent()
    }

    async fn lock_head(&self) -> Result<Option<Head>> {
        absent()
    }

    async fn unlock_head(&self) {}

    async fn barrier(&self) -> Result<()> {
        Ok(())
    }

    async fn scan(&self, from: i64, limit: u32) -> Result<Vec<Scanned>> {
        let tables = self.tables();
        let page = tables.entries.iter().filter(|one| leaf_index(one).is_some_and(|at| at >= from));
        Ok(page.take(of_limit(limit)).cloned().collect())
    }

    async fn scan_by_stream(&self, after: (&str, i64), limit: u32) -> Result<Vec<Scanned>> {
        let after = (after.0, u64::try_from(after.1).unwrap_or(0));
        let mut rows = self.entries(|row| (row.stream.as_str(), row.sequence) > after)?;
        rows.sort_by(|a, b| (&a.stream, a.sequence).cmp(&(&b.stream, b.sequence)));
        rows.truncate(of_limit(limit));
        Ok(rows.into_iter().map(Scanned::Row).collect())
    }

    async fn stream_rows(&self, stream: &str, from: u64, limit: u32) -> Result<Vec<EntryRow>> {
        let mut rows = self.entries(|row| row.stream == stream && row.sequence >= from)?;
        rows.sort_by_key(|row| row.sequence);
        rows.truncate(of_limit(limit));
        Ok(rows)
    }

    async fn entry(&self, leaf_index: u64) -> Result<Option<EntryRow>> {
        Ok(self.entries(|row| row.leaf_index == leaf_index)?.pop())
    }

    async fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<Hash>> {
        Ok(self
            .entries(|row| range.contains(&row.leaf_index))?
            .into_iter()
            .map(|row| row.leaf_hash)
            .collect())
    }

    async fn by_command(&self, commands: &[[u8; 16]]) -> Result<Vec<EntryRow>> {
        self.entries(|row| commands.contains(&row.command))
    }

    async fn repeated_commands(&self, limit: u32) -> Result<Vec<Vec<u8>>> {
        let mut times: BTreeMap<[u8; 16], u32> = BTreeMap::new();
        for row in self.entries(|_| true)? {
            *times.entry(row.command).or_default() += 1;
        }
        let repeated = times.into_iter().filter(|(_, times)| *times > 1);
        Ok(repeated.take(of_limit(limit)).map(|(command, _)| command.to_vec()).collect())
    }

    async fn disclosures(&self, range: Range<u64>) -> Result<Vec<DisclosureRow>> {
        let tables = self.tables();
        Ok(tables.disclosures.iter().filter(|row| range.contains(&row.leaf_index)).cloned().collect())
    }

    async fn scan_disclosures(&self, after: &str, limit: u32) -> Result<Vec<DisclosureRow>> {
        let mut rows: Vec<_> =
            self.tables().disclosures.iter().filter(|row| row.digest.as_str() > after).cloned().collect();
        rows.sort_by(|a, b| a.digest.cmp(&b.digest));
        rows.truncate(of_limit(limit));
        Ok(rows)
    }

    async fn disclosures_by_digest(&self, digests: &[String]) -> Result<Vec<DisclosureRow>> {
        Ok(self.tables().disclosures.iter().filter(|row| digests.contains(&row.digest)).cloned().collect())
    }

    async fn generations(&self, name: &str) -> Result<Vec<Generation>> {
        Ok(self.tables().generations.get(name).cloned().unwrap_or_default())
    }

    async fn all_generations(&self) -> Result<Vec<(String, Generation)>> {
        let tables = self.tables();
        let all = tables
            .generations
            .iter()
            .flat_map(|(name, all)| all.iter().map(|one| (name.clone(), one.clone())));
        Ok(all.collect())
    }

    async fn stray_rows(&self) -> Result<Vec<(String, i64, u64)>> {
        Ok(Vec::new())
    }

    async fn start_generation(&self, name: &str, fold_version: i64) -> Result<i64> {
        let mut tables = self.tables();
        let all = tables.generations.entry(name.to_owned()).or_default();
        let generation = all.iter().map(|one| one.generation).max().unwrap_or(0) + 1;
        all.retain(|one| one.active);
        all.push(Generation { generation, fold_version, next_leaf: 0, active: false });
        Ok(generation)
    }

    async fn activate_generations(&self, generations: &[(String, i64)]) -> Result<ApplyOutcome> {
        let mut tables = self.tables();
        for (name, generation) in generations {
            let all = tables.generations.entry(name.clone()).or_default();
            all.retain(|one| one.generation == *generation);
            for one in all {
                one.active = true;
            }
            tables.rows.retain(|(of, number), _| of != name || number == generation);
        }
        Ok(ApplyOutcome::Applied)
    }

    async fn apply_projections(&self, changes: &[ProjectionChange]) -> Result<ApplyOutcome> {
        let mut tables = self.tables();
        for change in changes {
            let all = tables.generations.entry(change.name.clone()).or_default();
            let Some(one) = all.iter_mut().find(|one| {
                one.generation == change.generation && one.next_leaf == change.expected_next_leaf
            }) else {
                return Ok(ApplyOutcome::CursorMoved);
            };
            one.next_leaf = change.next_leaf;
            let rows = tables.rows.entry((change.name.clone(), change.generation)).or_default();
            change.deletes.iter().for_each(|key| drop(rows.remove(key)));
            rows.extend(change.puts.iter().map(|row| (row.key.clone(), row.body.clone())));
        }
        Ok(ApplyOutcome::Applied)
    }

    async fn projection_last_key(&self, name: &str, generation: i64) -> Result<Option<String>> {
        let tables = self.tables();
        let rows = tables.rows.get(&(name.to_owned(), generation));
        Ok(rows.and_then(|rows| rows.last_key_value()).map(|(key, _)| key.clone()))
    }

    async fn projection_get(&self, name: &str, which: Which, keys: &[String]) -> Result<Vec<ProjectionRow>> {
        let range = KeyRange { prefix: "", after: "", limit: u32::MAX };
        let rows = self.projection_rows(name, which, range).await?;
        Ok(rows.into_iter().filter(|row| keys.contains(&row.key)).collect())
    }

    async fn projection_rows(
        &self,
        name: &str,
        which: Which,
        range: KeyRange<'_>,
    ) -> Result<Vec<ProjectionRow>> {
        let tables = self.tables();
        let generation = match which {
            Which::Generation(generation) => Some(generation),
            Which::Active => tables
                .generations
                .get(name)
                .and_then(|all| all.iter().find(|one| one.active))
                .map(|one| one.generation),
        };
        let rows = generation.and_then(|generation| tables.rows.get(&(name.to_owned(), generation)));
        let page = rows.into_iter().flatten().filter(|(key, _)| {
            key.starts_with(range.prefix) && (range.after.is_empty() || key.as_str() > range.after)
        });
        let page = page.take(of_limit(range.limit));
        Ok(page.map(|(key, body)| ProjectionRow { key: key.clone(), body: body.clone() }).collect())
    }

    fn events(&self) -> &EventReader {
        panic!("nothing that only reads asks for events")
    }

    async fn close(&self) {}
}
