//! The threats of docs/security.md that have no test elsewhere, and the check that each of its rows
//! names a test that is there. Attacks that must not cost a victim anything are in `hostile`.

mod backups;
mod bombs;
mod documented;
mod guesses;
mod injection;
mod rates;
mod targets;
mod work;
