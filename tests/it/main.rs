//! The one integration test binary: whole nodes against the promises of the documents, and tables
//! of rules. `tests/README.md` says which layer tests what; `harness` is what the tests are written
//! with.

mod api;
mod architecture;
mod backup;
mod bench;
mod cli;
mod coordinator;
mod dead_endpoint;
mod delivery;
mod descriptors;
mod disk_faults;
mod docker;
mod docs;
mod durability;
mod firing;
mod formats;
mod harness;
mod history_checker;
mod hostile;
mod identity;
mod linearizable;
mod members;
mod model;
mod raft_cluster;
mod raft_storage;
mod rolling;
mod schedule;
mod signals;
mod snapshots;
mod tiny_node;
mod tls;
mod unread;
mod virtual_time;
mod webhooks;
mod worker;
