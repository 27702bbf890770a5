//! Credentials: key pairs of clients. A secret is in the result that made it and nowhere else.
//!
//! An operator reaches all credentials. A client's key reaches its own credential and those that
//! were made with it, or with keys that were made with it; any other is as if it did not exist.
//! Reads are limited here. Changes are limited in `command::apply`, which also records the parent
//! and lets no key give or change more than it has. A request's own words about who made something
//! are kept beside that and decide nothing.

mod create;
mod read;
mod rotate;
mod terms;
mod update;

pub use create::{CreatedCredential, CredentialInput};
pub use rotate::LONGEST_OVERLAP;
pub use terms::{Expiry, LONGEST_BY, LONGEST_NAME, TermsInput};
pub use update::{CredentialEdit, TermsPatch};

pub use crate::store::credentials::Order;
