//! The API of accounts, their features and their executions, in the shapes of published clients.
//! `app::accounts` has what they do, and which accounts a caller sees.

pub(crate) mod features;
pub(crate) mod input;
pub(crate) mod routes;
mod unsupported;
pub(crate) mod view;
