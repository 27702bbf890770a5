//! The command line of a run: its own options, and the arguments that `cargo test` passes to each
//! test binary. This one has a `main` of its own and must understand them. `main` reads it.

use std::path::PathBuf;

use clap::Parser;

/// Faults against a cluster of real processes, from a seed.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
pub(crate) struct Options {
    /// How long faults go on, in minutes; without it the short set is played
    #[arg(long)]
    pub(crate) minutes: Option<f64>,
    /// The seed that the faults follow from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many nodes [default: 3 for odd seeds, 5 for even ones; 3 in the short set]
    #[arg(long, value_parser = clap::value_parser!(u64).range(3..=9))]
    pub(crate) nodes: Option<u64>,
    /// Only print the plan
    #[arg(long)]
    pub(crate) plan: bool,
    /// Loopback processes instead of hosts of their own
    #[arg(long)]
    pub(crate) loopback: bool,
    /// The program whose nodes are started [default: the one that was built with this test]
    #[arg(long, default_value = env!("CARGO_BIN_EXE_scheduler0"), hide_default_value = true)]
    pub(crate) binary: PathBuf,
    /// Keep the data folders of a run that passed, too
    #[arg(long)]
    pub(crate) keep: bool,
    /// Names of tests, as other test binaries take them: nothing is played unless one is `chaos`'s
    filters: Vec<String>,
    /// Names of tests that are not to be played
    #[arg(long)]
    skip: Vec<String>,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true)]
    ignored: bool,
    /// Only tell the names of the tests: there is one
    #[arg(long, hide = true)]
    pub(crate) list: bool,
    #[command(flatten)]
    _idle: Idle,
}

/// Arguments of other test binaries that mean nothing here.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags")]
struct Idle {
    #[arg(long = "nocapture", visible_alias = "no-capture", hide = true)]
    _nocapture: bool,
    #[arg(long = "show-output", hide = true)]
    _show_output: bool,
    #[arg(long = "include-ignored", hide = true)]
    _include_ignored: bool,
    #[arg(long = "quiet", short = 'q', hide = true)]
    _quiet: bool,
    #[arg(long = "test", hide = true)]
    _test: bool,
    #[arg(long = "test-threads", hide = true)]
    _test_threads: Option<u64>,
    #[arg(long = "format", hide = true)]
    _format: Option<String>,
    #[arg(long = "color", hide = true)]
    _color: Option<String>,
}

impl Options {
    /// True when the only test of this binary, `chaos`, is to be played. It is never ignored.
    pub(crate) fn wanted(&self) -> bool {
        let ours = |name: &String| {
            if self.exact { name == "chaos" } else { "chaos".contains(name.as_str()) }
        };
        let named = self.filters.is_empty() || self.filters.iter().any(ours);
        named && !self.ignored && !self.skip.iter().any(ours)
    }
}
