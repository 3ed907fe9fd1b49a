//! The operator as an attacker: he owns the machine, the database, the anchor and the signing key, and whatever he
//! shows is signed and fits itself. Each test begins with what the real code recorded, in SQLite and in PostgreSQL, and
//! says whom the deed fools, and who has something that catches it.
//! docs/trust.md, "A hostile operator", names the test of each deed.

mod desk;
mod dossiers;
mod history;
mod time;
