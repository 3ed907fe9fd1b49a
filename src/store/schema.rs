//! The tables, as numbered migrations that the owner applies.
//!
//! Invariants: a migration that has been released is never edited: its checksum is stored with it and compared at every
//! opening. Both stores have the same tables and columns.
//! Absent: service tables (sessions, accounts, drafts), which verification does not cover.
//! Source: format.md "What the operator's database adds".

use std::fmt::Write as _;
use weituo_proof::{Both, both};

use super::StoreError;

/// One step from a version of the schema to the next.
#[derive(Debug)]
pub(crate) struct Migration {
    /// 1-based number.
    pub(crate) version: i64,
    /// Statements, as one script.
    pub(crate) sql: &'static str,
}

/// The migrations of SQLite, oldest first.
pub(crate) const SQLITE: &[Migration] = &[Migration { version: 1, sql: include_str!("schema/sqlite_1.sql") }];
/// The migrations of PostgreSQL, oldest first.
pub(crate) const POSTGRES: &[Migration] =
    &[Migration { version: 1, sql: include_str!("schema/postgres_1.sql") }];

/// The table that remembers which migrations were applied. The text suits both stores.
pub(crate) const MIGRATION_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS migration (version bigint PRIMARY KEY, checksum text NOT NULL)";

impl Migration {
    /// Returns the hex SHA-256 of the script, 64 digits.
    pub(crate) fn checksum(&self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in weituo_proof::sha256(&[self.sql.as_bytes()]).as_bytes() {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }
}

/// Returns the migrations still to apply, given `applied` (version, checksum) in order of version.
///
/// # Errors
///
/// `Schema` when an applied migration is unknown or differs from the one in this program.
pub(crate) fn pending<'a>(
    known: &'a [Migration],
    applied: &[(i64, String)],
) -> Result<&'a [Migration], StoreError> {
    for (at, (version, checksum)) in applied.iter().enumerate() {
        let Some(migration) = known.get(at) else {
            let known = known.len();
            return Err(schema(both!(
                "数据库的结构是第 {version} 版,本程序只认识到第 {known} 版:请使用更新的 weituo",
                "the database has schema version {version}, this program knows {known}: use a newer weituo"
            )));
        };
        if migration.version != *version || migration.checksum() != *checksum {
            let (number, right) = (migration.version, migration.checksum());
            return Err(schema(both!(
                "数据库中第 {version} 版结构的校验和是 {checksum},本程序第 {number} 版的是 {right}",
                "migration {version} in the database has checksum {checksum}, this program's migration {number} has {right}"
            )));
        }
    }
    Ok(&known[applied.len()..])
}

/// Refuses a database to which migrations are still to be applied.
pub(crate) fn require_current(known: &[Migration], applied: &[(i64, String)]) -> Result<(), StoreError> {
    if applied.is_empty() {
        return Err(schema(NO_MIGRATION_HERE));
    }
    match pending(known, applied)? {
        [] => Ok(()),
        [next, ..] => {
            let (version, needed) = (next.version - 1, known.len());
            Err(schema(both!(
                "数据库的结构是第 {version} 版,本程序需要第 {needed} 版:须由其所有者升级",
                "the database has schema version {version}, this program needs {needed}: its owner must migrate it"
            )))
        }
    }
}

/// What there is where there is no ledger.
pub(crate) const NO_LEDGER_HERE: Both = Both::new(
    "这里没有台账:曾有台账的,请运行 `weituo restore 备份`;新建请运行 `weituo init --origin 名称 --bureau 编号`",
    "there is no ledger here: run `weituo restore BACKUP` where there was one, `weituo init --origin NAME --bureau ID` for a new one",
);

/// What there is where no migration was applied, or its row was removed.
const NO_MIGRATION_HERE: Both = Both::new(
    "这里没有台账,或它的 migration 表被清空:曾有台账的,请运行 `weituo restore 备份`,恢复到空的地方;新建请运行 `weituo init --origin 名称 --bureau 编号`",
    "there is no ledger here, or its table `migration` was emptied: run `weituo restore BACKUP`, into an empty place, where there was one, \
     `weituo init --origin NAME --bureau ID` for a new one",
);

fn schema(what: Both) -> StoreError {
    StoreError::Schema { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_migration_is_refused() {
        assert_eq!(pending(SQLITE, &[]).unwrap().len(), SQLITE.len());
        assert!(pending(SQLITE, &[(1, SQLITE[0].checksum())]).unwrap().is_empty());
        assert!(pending(SQLITE, &[(1, "0".repeat(64))]).is_err());
        assert!(pending(SQLITE, &[(1, SQLITE[0].checksum()), (2, String::new())]).is_err());
        assert!(require_current(SQLITE, &[]).is_err());
    }
}
