//! The fields of a project that requests may name, beside those of `settings` and `pause_state`.

/// The longest description, in bytes.
pub(crate) const LONGEST_DESCRIPTION: usize = 4_096;
/// Fields that a `GET` shows and nobody can set.
pub(crate) const READ_ONLY: &[&str] = &[
    "id",
    "version",
    "dateCreated",
    "dateModified",
    "accountId",
    "deletedBy",
    "webhookSecretSet",
    "previousSecretUntil",
];
