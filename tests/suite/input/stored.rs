//! Stored rows that no writer stored, as whoever reads them for people meets them. (Verification meets them in
//! `tamper`.)

use std::sync::Arc;
use std::time::Duration;

use weituo::follower::Follower;

use crate::support::commands::{new_recorder, told};
use crate::support::ledger::{Place, on_both_stores};

on_both_stores! {
    /// Found by the fuzz target `stored_row`: the row beyond the hole was folded once for every leaf that is missing.
    async fn a_row_beyond_a_hole_in_the_log_is_not_folded_over_and_over(place: Place) {
        let recorder = new_recorder(&place).await;
        recorder.ledger().stop().await.unwrap();
        let size = recorder.ledger().checkpoint().unwrap().size.get();
        let last = size - 1;
        let follower = Follower::new(Arc::clone(&place.store().await));
        follower.catch_up(|_| ()).await.unwrap();
        place.tamper(&format!("UPDATE entry SET leaf_index = 9000000000000000 WHERE leaf_index = {last}")).await;
        let ended = tokio::time::timeout(Duration::from_secs(30), follower.catch_up(|_| ())).await;
        let error = told(&ended.expect("following ends at the hole").unwrap_err());
        assert!(error.contains(&format!("leaf 9000000000000000 where leaf {size} follows")), "{error}");
        assert!(error.contains("weituo verify"), "{error}");
        let rebuilt = tokio::time::timeout(Duration::from_secs(30), follower.rebuild(None, |_| ())).await;
        let error = told(&rebuilt.expect("rebuilding ends at the hole").unwrap_err());
        assert!(error.contains(&format!("{last} entries below leaf {size}: some are missing")), "{error}");
    }
}
