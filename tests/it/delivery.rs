//! Delivery with real processes: three nodes, an endpoint that fails or takes its time, and nodes
//! that die in between. The oracle says what had to arrive, the ledger what the nodes recorded, and
//! both must agree on each node.

mod letters;
mod misfire;
mod once;
mod pauses;
mod retries;
mod runs;
mod waits;
