//! The ports that a node listens on: every address that a configured name resolves to, as one
//! listener, and the bounds of the connections there. `node` binds; `server` and `peer` call
//! [`serve()`]. Nothing here knows a route or a credential.
//!
//! | file | what it does |
//! |---|---|
//! | `listeners` | binds addresses, and accepts from all of them |
//! | `serve` | the accept loop, the service of each connection, the stop |
//! | `registry` | counts the connections of a port, and closes some |
//! | `connection` | one connection: its address, its principal, its state |
//! | `socket`, `answer`, `upload` | the bytes of a connection, an answer, the body of a request |
//! | `bounds` | the figures |

mod answer;
mod bounds;
mod connection;
mod listeners;
mod registry;
mod serve;
mod socket;
mod upload;

pub use bounds::{BODY_GRACE, BODY_SILENCE, Bounds, LEAST_SPEED, RAFT_IDLE};
pub use connection::{Connection, Crowded, Principal};
pub use listeners::{Error, Listeners};
pub use serve::{Application, serve};
pub use upload::{Slow, is_slow};
