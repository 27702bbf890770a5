//! The one integration test binary: stories told against whole nodes, and tables of rules.

mod api;
mod cli;
mod raft_cluster;
mod raft_house;
mod raft_storage;
mod schedule;
