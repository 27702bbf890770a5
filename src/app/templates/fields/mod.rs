//! Payloads of templates: the rules that a schema gives, and the check of a payload against them.
//! All of it is pure; the clock's reading comes with the call.
//!
//! ```text
//!   payloadSchema ─> rule ──> schema ─┐
//!   jsonSchema ───> json_schema ──────┴─> payload (value, ordered) ─> data of a job, or all errors
//! ```
//!
//! Everything works on the text of JSON and not on parsed numbers, so that the order of fields
//! stays and no number is ever rounded.

#[cfg(test)]
mod bounds_tests;
pub(crate) mod cache;
pub(crate) mod defaults;
pub(crate) mod errors;
pub(crate) mod json_schema;
mod json_work;
pub(crate) mod numbers;
pub(crate) mod ordered;
mod patterns;
pub(crate) mod payload;
pub(crate) mod rule;
mod rule_names;
pub(crate) mod schema;
#[cfg(test)]
mod tests;
pub(crate) mod value;
