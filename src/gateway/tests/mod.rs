//! Gateways of a cluster in memory: nodes with supervisors that keep queues, a network that loses
//! what a test tells it to, and a clock that the test moves.

mod claims;
mod fakes;
mod heartbeats;
mod own_replica;
