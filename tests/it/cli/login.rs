//! `login`, `logout` and `whoami` against a provider and a node that stand in for real ones: the
//! sessions that they make, and every command that shows one.

mod code;
mod device;
mod key;
mod live;
mod logout;
mod provider;
mod setup;
