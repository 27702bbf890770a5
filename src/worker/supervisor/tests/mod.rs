//! Tests of the supervisor: its rules one by one.

mod claims;
mod fixture;
mod silence;
