//! The Weituo audit ledger: the application behind the binary `weituo`.
//!
//! Data goes one way: command → `deciding` → `recorder` → `ledger` → `store` → `follower` → `query` → `cli`.

mod address;
pub mod agreement;
pub mod cli;
pub mod deciding;
pub mod dossier;
mod errors;
mod files;
pub mod follower;
pub mod http;
pub mod ledger;
pub mod mirror;
pub mod organisation;
pub mod query;
pub mod recorder;
pub mod rulebook;
pub mod stamp;
pub mod store;
pub mod verify;
pub mod watch;
pub mod witness;

use chrono::NaiveDate;

/// The ledger's zone where nothing says otherwise: China Standard Time, in minutes from UTC.
const DEFAULT_ZONE_MINUTES: i32 = 8 * 60;

/// Returns today's date in China.
pub fn today() -> NaiveDate {
    today_in(DEFAULT_ZONE_MINUTES)
}

/// Returns today's date in a zone, given in minutes from UTC.
pub fn today_in(zone_minutes: i32) -> NaiveDate {
    let seconds = i64::try_from(since_epoch().as_secs()).unwrap_or(0) + i64::from(zone_minutes) * 60;
    let days = i32::try_from(seconds.div_euclid(86_400)).unwrap_or(0);
    NaiveDate::from_epoch_days(days).unwrap_or_default()
}

/// Returns the time since 1970 by this machine's clock.
pub(crate) fn since_epoch() -> std::time::Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// Returns the instant by this machine's clock.
pub(crate) fn now() -> weituo_proof::RecordedAt {
    let millis = i64::try_from(since_epoch().as_millis()).ok();
    let now = millis.and_then(weituo_proof::RecordedAt::from_unix_millis);
    now.expect("invariant: a clock shows a year before 10000")
}

/// Returns a random command id.
pub fn fresh_command_id() -> weituo_proof::CommandId {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes, or nothing here is safe");
    let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
    id.hyphenated().to_string().parse().expect("a UUID in lower case is a command id")
}

/// Returns 128 random bits from the operating system, to seal a value with.
fn fresh_salt() -> [u8; 16] {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).expect("the operating system gives random bytes, or nothing here is safe");
    salt
}
