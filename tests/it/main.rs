//! The one integration test binary: stories told against whole nodes, and tables of rules.

mod api;
mod architecture;
mod backup;
mod bench;
mod beside;
mod cli;
mod cluster;
mod coordinator;
mod days;
mod delivery;
mod durability;
mod firing;

mod limits;
mod linear;
mod linearizable;
mod model;
mod oracle;
mod raft_cluster;
mod raft_house;
mod raft_storage;
mod receiver;
mod schedule;
mod snapshots;
mod storage;
mod webhooks;
mod worker;
