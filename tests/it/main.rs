//! The one integration test binary: stories told against whole nodes, and tables of rules.

mod schedule;

mod cli;
