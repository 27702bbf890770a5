//! The randomized model of the lease protocol: leases, hand-overs, watermarks and records over an
//! abstract Raft, under every fault that a seed can choose.
//!
//! The steps under test are the real ones: `worker::lease::Holder`, `coordinator::leases::Grantor`
//! (with its placement) and `model::shard::Shard`. Around them is a small cluster:
//!
//! ```text
//!   promises, mutations        the tests: what holds, and what breaks without a rule
//!   run, faults                steps, and what goes wrong in them
//!   engine, leading, raft      what a node, a leader and Raft do in a step
//!   protocol                   nodes, clocks and network          check    what must hold
//!   node, leader, message, state, scenario, random                plain data
//! ```
//!
//! A run follows from its seed, which a failure names. `SCHEDULER0_MODEL_RUNS` sets the number of
//! seeds, `SCHEDULER0_MODEL_SEED` the first. A model that never fails proves nothing: `mutations`
//! takes the rules away one at a time and expects a violation.

mod check;
mod engine;
mod faults;
mod leader;
mod leading;
mod message;
mod mutations;
mod node;
mod promises;
mod protocol;
mod raft;
mod random;
mod run;
mod scenario;
mod state;
