//! The one read path: projections and entries, as people and programs ask for them.
//!
//! Invariants: what is shown as of a log size or a day comes from the same fold as what is shown now.
//! Absent: writing, layout.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::Value;
use weituo_events::{Category, Event, OrganisationId};
use weituo_projections::summary::CycleSummary;
use weituo_projections::view::HistoryView;
use weituo_projections::{Cycle, CycleView, DocketView, Organisation, Rulebooks, StreamState};
use weituo_proof::{Disclosure, Hash, StreamName, leaf_hash};

use crate::follower::{FollowError, home, read_rulebooks, recorded};
use crate::store::{EntryRow, KeyRange, ProjectionRow, Store, StoreError, Which};

/// Rows read at a time.
const PAGE: u32 = 500;

/// What a state is asked for as of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// Acts that took place by this day, as the log knows them now.
    Day(NaiveDate),
    /// Entries below this log size, on the day given: what was known then.
    Size(u64, NaiveDate),
}

impl AsOf {
    fn day(self) -> NaiveDate {
        match self {
            Self::Day(day) | Self::Size(_, day) => day,
        }
    }
}

/// Reads one ledger's states.
#[derive(Debug)]
pub struct Query {
    store: Arc<dyn Store>,
    rulebooks: Rulebooks,
}

impl Query {
    /// Returns a query over a store whose projections have caught up.
    ///
    /// # Errors
    /// When the rulebooks adopted so far cannot be read.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, FollowError> {
        let rulebooks = read_rulebooks(&*store, u64::MAX).await?;
        Ok(Self { store, rulebooks })
    }

    /// Returns the store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Returns one cycle; `None` where there is no such agreement.
    ///
    /// # Errors
    /// [`FollowError`].
    pub async fn cycle(&self, id: &str, as_of: AsOf) -> Result<Option<CycleView>, FollowError> {
        let Some(cycle) = self.cycle_state(id, as_of).await? else { return Ok(None) };
        let rulebook = cycle.rulebook(&self.rulebooks);
        let calendar = rulebook.map(weituo_projections::Rulebook::working_calendar).unwrap_or_default();
        Ok(Some(CycleView::of(&cycle, rulebook, &calendar, self.rulebooks.zone_minutes(), as_of.day())))
    }

    /// Returns how many entries the log has.
    ///
    /// # Errors
    /// [`FollowError`].
    pub async fn size(&self) -> Result<u64, FollowError> {
        Ok(self.store.head().await?.map_or(0, |head| head.size))
    }

    async fn cycle_state(&self, id: &str, as_of: AsOf) -> Result<Option<Cycle>, FollowError> {
        let state = match as_of {
            AsOf::Day(_) => self.home(Category::Agreement, id).await?,
            AsOf::Size(size, _) => self.folded(Category::Agreement, id, size).await?,
        };
        Ok(match state {
            Some(StreamState::Agreement(cycle)) if !cycle.is_new() => Some(*cycle),
            _ => None,
        })
    }

    /// Returns one organisation; `None` where it is not registered.
    ///
    /// # Errors
    /// [`FollowError`].
    pub async fn organisation(&self, id: &str, as_of: AsOf) -> Result<Option<Organisation>, FollowError> {
        let state = match as_of {
            AsOf::Day(_) => self.home(Category::Organisation, id).await?,
            AsOf::Size(size, _) => self.folded(Category::Organisation, id, size).await?,
        };
        let Some(StreamState::Organisation(organisation)) = state else { return Ok(None) };
        let mut organisation = Arc::unwrap_or_clone(organisation);
        keep_until(&mut organisation, as_of.day());
        Ok((!organisation.names.is_empty()).then_some(organisation))
    }

    /// Reads a stream's state from its projection.
    async fn home(&self, category: Category, id: &str) -> Result<Option<StreamState>, FollowError> {
        let Some(projection) = home(category) else { return Ok(None) };
        let rows = self.store.projection_get(projection, Which::Active, &[id.to_owned()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        StreamState::from_row(projection, &row.body)
            .map(Some)
            .ok_or_else(|| FollowError::Row { projection, key: row.key.clone() })
    }

    /// Folds a stream's entries below a log size.
    async fn folded(
        &self,
        category: Category,
        id: &str,
        size: u64,
    ) -> Result<Option<StreamState>, FollowError> {
        let Ok(stream) = StreamName::of(category.code(), id) else { return Ok(None) };
        let mut state = StreamState::new(category);
        let mut next = 1;
        loop {
            let page = self.store.stream_rows(stream.as_str(), next, PAGE).await?;
            for row in page.iter().filter(|row| row.leaf_index < size) {
                state.apply(&recorded(row)?, &self.rulebooks);
            }
            match page.last() {
                Some(last) if page.len() == PAGE as usize => next = last.sequence + 1,
                _ => return Ok(Some(state)),
            }
        }
    }

    /// Returns the history of a trustee (`trustee`) or a school (`school`).
    ///
    /// # Errors
    /// [`FollowError`].
    pub async fn history(
        &self,
        projection: &'static str,
        id: &OrganisationId,
        as_of: AsOf,
    ) -> Result<HistoryView, FollowError> {
        let mut summaries = Vec::new();
        for row in self.rows(projection, &format!("{id}/")).await? {
            let summary: CycleSummary = read(projection, &row)?;
            if let Some(cycle) = self.cycle_state(&summary.agreement, as_of).await? {
                summaries.push(CycleSummary::of(&cycle.as_of(as_of.day())));
            }
        }
        summaries.retain(|summary| summary.entries > 0);
        Ok(HistoryView::of(id.as_str(), summaries, as_of.day()))
    }

    /// Returns the docket of one bureau or of all, on a day.
    ///
    /// # Errors
    /// [`FollowError`].
    pub async fn docket(
        &self,
        bureau: Option<&OrganisationId>,
        on: NaiveDate,
    ) -> Result<DocketView, FollowError> {
        let prefix = bureau.map_or_else(String::new, |bureau| format!("{bureau}/"));
        let rows = self.rows("docket", &prefix).await?;
        let cycles = rows.iter().map(|row| read("docket", row)).collect::<Result<_, _>>()?;
        Ok(DocketView::of(cycles, on))
    }

    /// Returns the ids of every agreement.
    ///
    /// # Errors
    /// [`FollowError`].
    pub async fn agreements(&self) -> Result<Vec<String>, FollowError> {
        Ok(self.rows("cycle", "").await?.into_iter().map(|row| row.key).collect())
    }

    /// Returns the rows of a projection whose keys begin with `prefix`.
    async fn rows(&self, projection: &str, prefix: &str) -> Result<Vec<ProjectionRow>, StoreError> {
        let mut rows: Vec<ProjectionRow> = Vec::new();
        loop {
            let after = rows.last().map_or("", |row| &row.key);
            let range = KeyRange { prefix, after, limit: PAGE };
            let page = self.store.projection_rows(projection, Which::Active, range).await?;
            let full = page.len() == PAGE as usize;
            rows.extend(page);
            if !full {
                return Ok(rows);
            }
        }
    }

    /// Returns what the given digests disclose, where it is not erased.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn opened(&self, digests: &[String]) -> Result<HashMap<String, String>, StoreError> {
        let rows = self.store.disclosures_by_digest(digests).await?;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Ok(rows
            .into_iter()
            // By the digest that it really has: a forged disclosure opens nothing.
            .filter_map(|row| Disclosure::decode(&row.disclosure).ok())
            .map(|disclosure| (disclosure.digest(), text(disclosure.value())))
            .collect())
    }
}

/// The recorded erasure of a sealed value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// Digest of the value.
    #[serde(skip)]
    pub digest: String,
    /// Leaf index of the entry that held it.
    #[serde(skip)]
    pub from: u64,
    /// Leaf index of the entry that records the erasure.
    pub leaf_index: u64,
    /// Why, as recorded.
    pub grounds: String,
}

/// Returns every recorded erasure. An entry that is not what was stored, or cannot be read, erases nothing; nor does what
/// follows one that no writer stored.
///
/// # Errors
/// When the store does not answer.
pub async fn erasures(store: &dyn Store) -> Result<Vec<Erasure>, StoreError> {
    let mut erasures = Vec::new();
    let mut from = 1;
    let size = store.head().await?.map_or(0, |head| head.size);
    loop {
        let page = match store.stream_rows("log/main", from, PAGE).await {
            Err(StoreError::Corrupt { .. }) => return Ok(erasures),
            page => page?,
        };
        for row in &page {
            from = row.sequence + 1;
            // A row behind the log's end is none of its entries.
            if row.leaf_index < size
                && leaf_hash(row.body.as_bytes()) == row.leaf_hash
                && let Ok(recorded) = recorded(row)
                && let Event::DisclosureErased(erased) = &recorded.act.event
            {
                erasures.push(Erasure {
                    digest: erased.digest.clone(),
                    from: erased.leaf_index,
                    leaf_index: row.leaf_index,
                    grounds: erased.grounds.clone(),
                });
            }
        }
        if page.len() < PAGE as usize {
            return Ok(erasures);
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(
    projection: &'static str,
    row: &ProjectionRow,
) -> Result<T, FollowError> {
    serde_json::from_str(&row.body).map_err(|_| FollowError::Row { projection, key: row.key.clone() })
}

/// Drops what an organisation was given after a day.
fn keep_until(organisation: &mut Organisation, day: NaiveDate) {
    let by_then = |from: &weituo_proof::Effective| weituo_projections::dates::earliest(from) <= day;
    organisation.names.retain(|one| by_then(&one.from));
    organisation.kinds.retain(|one| by_then(&one.from));
    organisation.superiors.retain(|one| by_then(&one.from));
    organisation.credit_codes.retain(|one| by_then(&one.from));
    organisation.school_codes.retain(|one| by_then(&one.from));
    organisation.regions.retain(|one| by_then(&one.from));
    organisation.closed = organisation.closed.take().filter(|closed| by_then(&closed.on));
}

/// Returns whether a JSON value holds a string, at any depth.
fn holds(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Array(elements) => elements.iter().any(|element| holds(element, wanted)),
        Value::Object(members) => members.values().any(|member| holds(member, wanted)),
        _ => false,
    }
}

/// Returns the entries that name a document by its SHA-256: in clear, or in a disclosure that is still there.
///
/// # Errors
/// When the store does not answer.
pub async fn find_hash(store: &dyn Store, hash: Hash) -> Result<Vec<EntryRow>, StoreError> {
    let wanted = hash.to_string();
    let mut found = Vec::new();
    let mut next = 0_u64;
    loop {
        let from = i64::try_from(next).map_err(|_| StoreError::beyond())?;
        let page = store.scan(from, PAGE).await?;
        let full = page.len() == PAGE as usize;
        let first = next;
        let mut rows = Vec::new();
        for scanned in page {
            let row = scanned.into_row()?;
            next = row.leaf_index + 1;
            rows.push(row);
        }
        let disclosing: Vec<u64> = store
            .disclosures(first..next)
            .await?
            .into_iter()
            .filter(|row| Disclosure::decode(&row.disclosure).is_ok_and(|one| holds(one.value(), &wanted)))
            .map(|row| row.leaf_index)
            .collect();
        let quoted = format!("\"sha256\":\"{wanted}\"");
        found.extend(
            rows.into_iter().filter(|row| row.body.contains(&quoted) || disclosing.contains(&row.leaf_index)),
        );
        if !full {
            // A row behind the log's end is none of its entries.
            let size = store.head().await?.map_or(0, |head| head.size);
            found.retain(|row| row.leaf_index < size);
            return Ok(found);
        }
    }
}
