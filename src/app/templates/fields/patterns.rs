//! The sizes of compiled patterns. A schema holds all of its patterns at once, and each takes much
//! more memory than text: they share a bound. `rule` and `json_schema` compile by it.

use regex::{Regex, RegexBuilder};

/// The most bytes that all patterns of a schema may take.
const MOST_OF_ALL: usize = 4 << 20;
/// The most bytes that one pattern may take.
const MOST: usize = 1 << 20;

/// The most bytes of each of so many patterns of a schema.
pub(super) fn pattern_size(patterns: usize) -> usize {
    (MOST_OF_ALL / patterns.max(1)).min(MOST)
}

/// Compiles a pattern that may take so many bytes.
pub(super) fn compile(pattern: &str, size: usize) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(size).dfa_size_limit(size).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(most) => format!(
            "it takes more than {most} bytes when it is compiled: make it simpler, or have fewer \
             patterns in the schema"
        ),
        other => other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
    })
}
