//! Authentication of the API's callers: operators by username and password, clients by key pairs,
//! people and programs by access tokens of an issuer.
//! The API's middleware asks once a request; what a caller may do is decided where it is done.
//!
//! ```text
//!   check ─┬─ presented  which credentials a request shows
//!          ├─ pairs      the key pairs that are valid, and the client of each
//!          ├─ uses       when each was used last
//!          ├─ accounts   the accounts, and which of them a request chooses
//!          ├─ rates      how many requests each may make in a second
//!          ├─ oidc       access tokens, and the keys of their issuers
//!          ├─ account_rates  the requests of each account in a second
//!          └─ limiter    the bound on wrong passwords and keys
//!   sessions ─┬─ check   sessions of browsers, which are sealed cookies
//!             ├─ ticket  the sealed text of a session or a link
//!             ├─ site    which requests come from our own pages, and by which way
//!             └─ tries   the bound on sign-ins by name
//! ```

mod account_rates;
mod accounts;
mod caller;
mod check;
mod check_error;
mod limiter;
mod oidc;
mod origin;
mod pairs;
mod presented;
mod rates;
mod sessions;
mod site;
mod ticket;
mod tries;
mod uses;

pub use accounts::{ChoiceError, ChosenAccount, KnownAccount, KnownAccounts};
pub use caller::{Caller, TokenCaller};
pub use check::Auth;
pub use check_error::AuthError;
pub use limiter::CredentialKind;
pub use oidc::{Oidc, TokenError};
pub use origin::Origin;
pub use sessions::{Login, Session, SessionLife, Sessions};
pub use site::Site;
pub use ticket::{LINK_SECONDS, SESSION_SECONDS, link_token};
