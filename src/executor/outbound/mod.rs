//! What the connections of all kinds leave by: look-ups of names, the guards that say where a call
//! may go, and TLS. The connectors of `http` and `amqp` use it, and the api asks
//! [`guard::TargetGuard`] about addresses and [`tls::check`] about certificates. Nothing here opens
//! a connection or knows what travels over it.
//!
//! | files | what they do |
//! |---|---|
//! | `guard`, `address_kind`, `raft_addresses`, `member_guard` | where calls may go |
//! | `lookup`, `resolver`, `guarded_resolver` | look-ups of names |
//! | `local_error` | what this node lacks for a call |
//! | `tcp`, `tls` | connections, authorities and certificates |
//! | `error_text` | errors in words |

pub mod guard;
pub mod lookup;
pub mod member_guard;
pub mod raft_addresses;
pub mod tls;

mod address_kind;
pub(in crate::executor) mod error_text;
pub(in crate::executor) mod guarded_resolver;
pub(in crate::executor) mod local_error;
pub(in crate::executor) mod resolver;
pub(in crate::executor) mod tcp;
