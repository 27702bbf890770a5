//! Tests of the supervisor: its rules one by one (`claims`, `silence`, `twice`), and `model`,
//! which drives it with the real rules of `apply` under every fault that a seed can choose.

mod claims;
mod fixture;
mod model;
mod silence;
mod twice;
