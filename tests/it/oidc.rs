//! Access tokens of identity providers: a node in process, and a provider on the loopback that is
//! as hostile as a test wants it. Each rule has a token or an answer that only this rule refuses.

mod access;
mod fixture;
mod issuer;
mod process;
pub(crate) mod provider;
mod real;
pub(crate) mod signer;
mod tokens;
