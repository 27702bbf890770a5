//! Authentication of the API's callers: operators by username and password, clients by key pairs.
//! The API's middleware asks once a request; what a caller may do is decided where it is done.
//!
//! ```text
//!   check ─┬─ pairs    the key pairs that are valid, and the client of each
//!          ├─ uses     when each was used last
//!          └─ limiter  the bound on wrong passwords and keys
//!   sessions ─┬─ check  sessions of browsers, which are sealed cookies
//!             ├─ site   which requests come from our own pages
//!             └─ tries  the bound on sign-ins by name
//! ```

mod caller;
mod check;
mod limiter;
mod origin;
mod pairs;
mod sessions;
mod site;
mod tries;
mod uses;

pub use caller::{Caller, TokenCaller};
pub use check::{Auth, AuthError};
pub use limiter::CredentialKind;
pub use origin::Origin;
pub use sessions::{
    LINK_SECONDS, Login, SESSION_SECONDS, Session, SessionLife, Sessions, link_token,
};
pub use site::Site;
