//! A clock that is wrong: back an hour, and forward a year.

use std::sync::atomic::Ordering;

use weituo::ledger::{ClockError, SubmitError};
use weituo_proof::Entry;

use crate::support::ledger::{Place, assert_one_history, on_both_stores, proposal, record, rows};

const HOUR_MILLIS: i64 = 3_600_000;
const YEAR_MILLIS: i64 = 366 * 24 * HOUR_MILLIS;

on_both_stores! {
    async fn a_clock_set_back_an_hour_stops_the_writing_until_it_is_right(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 1, None).await;
        ledger.stop().await.unwrap();
        // Also after a restart, when nothing but the log remembers the time.
        place.clock.shift_millis.store(-HOUR_MILLIS, Ordering::SeqCst);
        let ledger = place.open().await;
        assert_eq!(ledger.read_only(), None);
        let refused = ledger.submit(proposal("agreement/b", "n", None)).await.unwrap_err();
        let SubmitError::Clock(ClockError::Behind { now, last }) = refused else { panic!("{refused:?}") };
        assert!(now < last);
        assert!(refused.to_string().contains("set the clock right, writing then goes on"), "{refused}");
        place.clock.shift_millis.store(0, Ordering::SeqCst);
        // The clock comes apart from the monotonic one by being mended, so that needs a restart too.
        let apart = ledger.submit(proposal("agreement/b", "n", None)).await;
        assert!(matches!(apart, Err(SubmitError::Clock(ClockError::Apart { .. }))), "{apart:?}");
        drop(ledger);
        let ledger = place.open().await;
        record(&ledger, "agreement/b", 1, None).await;
        ledger.stop().await.unwrap();
        assert_one_history(&*place.store().await).await;
    }

    async fn a_clock_set_forward_a_year_is_noticed_and_never_makes_time_run_back(place: Place) {
        let ledger = place.init().await;
        record(&ledger, "agreement/a", 1, None).await;
        place.clock.shift_millis.store(YEAR_MILLIS, Ordering::SeqCst);
        let apart = ledger.submit(proposal("agreement/b", "n", None)).await;
        assert!(matches!(apart, Err(SubmitError::Clock(ClockError::Apart { .. }))), "{apart:?}");
        drop(ledger);
        // A start with the wrong clock cannot notice: the entries say the time that the clock said.
        let ledger = place.open().await;
        record(&ledger, "agreement/b", 1, None).await;
        ledger.stop().await.unwrap();
        place.clock.shift_millis.store(0, Ordering::SeqCst);
        let ledger = place.open().await;
        let refused = ledger.submit(proposal("agreement/c", "n", None)).await;
        assert!(matches!(refused, Err(SubmitError::Clock(ClockError::Behind { .. }))), "{refused:?}");
        drop(ledger);
        let instants = rows(&*place.store().await).await.into_iter();
        let instants = instants.map(|row| Entry::parse(row.body.as_bytes()).unwrap().recorded_at);
        assert!(instants.is_sorted());
        assert_one_history(&*place.store().await).await;
    }
}
