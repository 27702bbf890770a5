//! Schedules against other engines and against brute force: the vectors of robfig/cron, the `cron`
//! crate, a second engine that tries every second, and properties over zones and years.

mod brute_force;
mod descriptions;
mod dst;
mod fuzz;
mod grammar;
mod properties;
mod text;
mod vectors;
