//! Tests of the supervisor: its rules one by one (all but `model`), and `model`, which drives it
//! with the real rules of `apply` under every fault that a seed can choose.

mod claims;
mod epochs;
mod fixture;
mod handed_out;
mod hints;
mod late_reports;
mod model;
mod published;
mod publishes;
mod rests;
mod rows;
mod silence;
mod start_limits;
mod twice;
