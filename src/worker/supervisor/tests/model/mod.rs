//! The randomized model of worker runs: supervisors on three nodes, the real rules of `apply` over
//! a store, and small models of the engine, the leader, the network and the workers, under every
//! fault that a seed can choose. `promises` tries many seeds; `mutations` takes the rules away one
//! at a time and expects a violation, because a model that never fails proves nothing.
//!
//! ```text
//!   promises, mutations      the tests: what holds, and what breaks without a rule
//!   orders                   one run at a broker, in each order of what may happen to it
//!   run                      steps and faults        check   what must hold
//!   node, engine, leader     what a node, its engine and the leader do in a step
//!   workers, broker          slow, silent, zombie, lying; messages and confirms
//!   world, rules, departures, record, random      plain data, and the store with its log
//! ```
//!
//! One shard, four jobs. All nodes read the one store; what a node knows of it arrives late, and
//! not at all while it is cut off. The lease is a value that the leader renews, as `worker::lease`
//! and `coordinator::leases` promise it.

mod broker;
mod check;
mod departures;
mod engine;
mod leader;
mod mutations;
mod node;
mod orders;
mod promises;
mod random;
mod record;
mod rules;
mod run;
mod workers;
mod world;
