//! Job templates on real nodes: a system template has one live instance over restarts and changes
//! of leader, receivers hear that a run was ended, and users' chains go on.

mod chains;
mod fixture;
mod terminated;
