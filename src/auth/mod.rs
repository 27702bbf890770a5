//! Authentication of the API's callers: operators by username and password, clients by key pairs.
//! The API's middleware asks once a request; what a caller may do is decided where it is done.
//!
//! ```text
//!   check ─┬─ pairs    the key pairs that are valid, and the client of each
//!          └─ limiter  the bound on wrong passwords and keys
//! ```

mod caller;
mod check;
mod limiter;
mod pairs;

pub use caller::Caller;
pub use check::{Auth, AuthError};
pub use limiter::CredentialKind;
