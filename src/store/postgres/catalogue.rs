//! The schema of a PostgreSQL database, and whether its indexes hold what its tables hold.
//!
//! Invariants: nothing is changed: what `amcheck` needs is created in a transaction that is rolled back.
//! Absent: rights of roles, other tables of the database, the server's own catalogue.
//! Source: PostgreSQL manual, "System Catalogs" and "amcheck".

use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use weituo_proof::{Both, both};

use crate::store::catalogue::{Catalogue, Objects};

const CATALOGUE: &str = include_str!("../schema/postgres_catalogue.sql");
const EXPECTED: &str = include_str!("../schema/postgres_1.catalogue");

/// Functions and operators beside the ledger's tables that no extension brought: PostgreSQL may take one of them for its own, in the
/// other queries here as well. So this one names whose it means.
const STRANGERS: &str = "
SELECT 'function ' OPERATOR(pg_catalog.||) proname::pg_catalog.text, 'beside the tables'::pg_catalog.text
FROM pg_catalog.pg_proc AS p
WHERE pronamespace OPERATOR(pg_catalog.=) (SELECT relnamespace FROM pg_catalog.pg_class
                                           WHERE oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('entry'))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.objid OPERATOR(pg_catalog.=) p.oid AND d.deptype OPERATOR(pg_catalog.=) 'e')
UNION ALL
SELECT 'operator ' OPERATOR(pg_catalog.||) oprname::pg_catalog.text, 'beside the tables'::pg_catalog.text
FROM pg_catalog.pg_operator AS o
WHERE oprnamespace OPERATOR(pg_catalog.=) (SELECT relnamespace FROM pg_catalog.pg_class
                                           WHERE oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('entry'))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.objid OPERATOR(pg_catalog.=) o.oid AND d.deptype OPERATOR(pg_catalog.=) 'e')";

/// The B-trees of the ledger's tables, as numbers, with their names.
const INDEXES: &str = "
SELECT indexrelid::bigint, indexrelid::regclass::text
FROM unnest(ARRAY['entry', 'head', 'disclosure', 'projection', 'projection_row', 'migration']) AS name
JOIN pg_index ON indrelid = to_regclass(name) JOIN pg_class ON pg_class.oid = indexrelid
WHERE relam = (SELECT oid FROM pg_am WHERE amname = 'btree')";

const INSTALLED: &str = "
SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname = 'amcheck'";

/// The release of PostgreSQL whose words `EXPECTED` holds.
pub(super) const EXPECTED_RELEASE: i32 = 15;

/// Returns the server's release, such as 15.
pub(super) async fn release(pool: &PgPool) -> sqlx::Result<i32> {
    let number: i32 =
        sqlx::query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(pool).await?;
    Ok(number / 10_000)
}

pub(super) fn expected() -> Objects {
    EXPECTED
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect()
}

pub(super) async fn objects(pool: &PgPool) -> sqlx::Result<Objects> {
    let rows: Vec<(String, String)> = sqlx::query_as(CATALOGUE).fetch_all(pool).await?;
    let strangers: Vec<(String, String)> = sqlx::query_as(STRANGERS).fetch_all(pool).await?;
    Ok(rows.into_iter().chain(strangers).collect())
}

/// Compares every index with its table, where the server lets this role.
pub(super) async fn check_indexes(
    connection: &mut PgConnection,
    catalogue: &mut Catalogue,
) -> sqlx::Result<()> {
    let mut tx = connection.begin().await?;
    let mut installed: Option<String> = sqlx::query_scalar(INSTALLED).fetch_optional(&mut *tx).await?;
    if installed.is_none() {
        let mut inner = tx.begin().await?;
        match inner.execute("CREATE EXTENSION amcheck").await {
            Ok(_) => inner.commit().await?,
            Err(error) => {
                catalogue.unchecked.push(both!(
                    "没有比对索引与数据表:没有扩展 amcheck({error})",
                    "the indexes were not compared with their tables: extension amcheck is not there ({error})"
                ));
                return Ok(());
            }
        }
        installed = sqlx::query_scalar(INSTALLED).fetch_optional(&mut *tx).await?;
    }
    let Some(schema) = installed else { return Ok(()) };
    let indexes: Vec<(i64, String)> = sqlx::query_as(INDEXES).fetch_all(&mut *tx).await?;
    for (index, name) in indexes {
        let mut inner = tx.begin().await?;
        let check = format!("SELECT {schema}.bt_index_check({index}::oid::regclass, true)");
        match inner.execute(check.as_str()).await {
            Ok(_) => inner.commit().await?,
            Err(sqlx::Error::Database(error)) => {
                // Classes XX (internal error, index corrupted) and 55 (the index is not valid) are about the index.
                let damaged = error.code().is_some_and(|code| code.starts_with("XX") || code == "55000");
                if damaged {
                    catalogue.differs(
                        &format!("index {name}"),
                        Both::new("含有数据表的每一行", "holds every row of its table"),
                        error.message(),
                    );
                } else {
                    catalogue.unchecked.push(both!(
                        "没有比对索引 {name} 与数据表:{error}",
                        "index {name} was not compared with its table: {error}"
                    ));
                }
                inner.rollback().await?;
            }
            Err(error) => return Err(error),
        }
    }
    tx.rollback().await
}
