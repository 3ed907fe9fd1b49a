//! What a decision needs beyond its own stream, loaded beforehand.

use std::collections::BTreeMap;
use std::sync::Arc;

use weituo_events::{Act, Category, Event, OrganisationId};
use weituo_projections::{Organisation as OrganisationState, StreamState};
use weituo_proof::{Entry, LeafIndex, StreamName};

use super::ReadError;
use super::aggregate::{Agreement, Organisation};
use super::streams::Streams;
use crate::deciding::{Context, ErasureTarget, mentions, mentions_of};
use crate::ledger::{LedgerError, RestsOn};
use crate::query::erasures;

/// Organisations as loaded, each with its stream and the head of that.
type Organisations = BTreeMap<OrganisationId, (Arc<OrganisationState>, RestsOn)>;

impl Streams {
    /// Loads what the decision on an act needs, and says which other streams may not move before the act is recorded.
    pub(super) async fn context(
        &self,
        act: &Act,
        state: &StreamState,
        fresh: bool,
    ) -> Result<(Context, Vec<RestsOn>), ReadError> {
        let (named, known) = (mentions(act, self.roots()), mentions_of(state));
        let mut loaded = BTreeMap::new();
        for id in named.organisations.into_iter().chain(known.organisations) {
            self.load_upwards(id, fresh, &mut loaded).await?;
        }
        let (mut organisations, mut rests_on) = (BTreeMap::new(), Vec::with_capacity(loaded.len() + 1));
        for (id, (organisation, read)) in loaded {
            organisations.insert(id, organisation);
            rests_on.push(read);
        }
        let (renewed, read) = self.renewed(named.agreements.first(), fresh).await?.unzip();
        rests_on.extend(read);
        // Its own stream is compared anyway, and may have moved by what this process is committing.
        rests_on.retain(|other| other.stream != act.stream);
        let context = Context {
            erasure: self.erasure_target(act).await?,
            ledger: Some(self.ledger.origin().clone()),
            organisations,
            recorded_on: crate::today_in(self.rulebooks().zone_minutes()),
            renewed,
            roots: self.roots().to_vec(),
            rulebooks: self.rulebooks(),
        };
        Ok((context, rests_on))
    }

    /// Loads an organisation and every authority above it.
    async fn load_upwards(
        &self,
        id: OrganisationId,
        fresh: bool,
        found: &mut Organisations,
    ) -> Result<(), ReadError> {
        let mut next = Some(id);
        while let Some(id) = next.take().filter(|id| !found.contains_key(id)) {
            let stream = id.stream();
            let loaded = self.load::<Organisation>(&stream, fresh).await?;
            let StreamState::Organisation(organisation) = loaded.state.as_ref() else { break };
            next = organisation.superior().cloned();
            found.insert(id, (Arc::clone(organisation), RestsOn { stream, head: loaded.head }));
        }
        Ok(())
    }

    async fn renewed(
        &self,
        stream: Option<&StreamName>,
        fresh: bool,
    ) -> Result<Option<(Arc<weituo_projections::Cycle>, RestsOn)>, ReadError> {
        let Some(stream) = stream.filter(|stream| Category::of(stream) == Some(Category::Agreement)) else {
            return Ok(None);
        };
        let loaded = self.load::<Agreement>(stream, fresh).await?;
        let read = RestsOn { stream: stream.clone(), head: loaded.head };
        Ok(match loaded.state.as_ref() {
            StreamState::Agreement(cycle) if !cycle.is_new() => {
                Some((Arc::new(cycle.as_ref().clone()), read))
            }
            _ => None,
        })
    }

    /// Looks up the entry whose value is to be erased, and whether its disclosure is still there.
    async fn erasure_target(&self, act: &Act) -> Result<Option<ErasureTarget>, ReadError> {
        let Event::DisclosureErased(erasure) = &act.event else { return Ok(None) };
        let store = self.ledger.store();
        // What the log has there, and not what a row says.
        let entry = match self.ledger.receipt(LeafIndex::new(erasure.leaf_index)).await {
            Ok(receipt) => Entry::parse(receipt.entry.as_bytes())?,
            Err(LedgerError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(ReadError::Unproven(Box::new(error))),
        };
        let digests = entry.sealed_digests();
        let kept = !store.disclosures_by_digest(std::slice::from_ref(&erasure.digest)).await?.is_empty();
        let erased = !kept
            && erasures(&**store)
                .await?
                .iter()
                .any(|known| known.from == erasure.leaf_index && known.digest == erasure.digest);
        Ok(Some(ErasureTarget { digests, erased, kept }))
    }
}

/// Returns the digests of the disclosures that an act erases.
pub(super) fn erased_digests(act: &Act) -> Vec<String> {
    match &act.event {
        Event::DisclosureErased(erasure) => vec![erasure.digest.clone()],
        _ => Vec::new(),
    }
}
