//! The flags of `bench`, and the schedule that follows from them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::Failure;
use super::beside::Attack;
use super::broker::{Broker, PASSWORD};
use super::order::Creates;
use super::workers::Asked;
use crate::config;
use crate::model::Millis;
use crate::schedule::{DstRule, Schedule};
use crate::secret::SecretText;

/// The longest time over which a load is spread.
const MAX_SPREAD: Millis = 60_000;

/// Flags of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// The number of nodes to start
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=9))]
    pub(super) nodes: u64,
    /// The number of jobs
    #[arg(long, default_value_t = 100_000, value_parser = at_least_one)]
    pub(super) jobs: usize,
    /// Period of the jobs, as in @every [default: 1m]
    #[arg(long, value_name = "PERIOD", conflicts_with = "spec")]
    every: Option<String>,
    /// Schedule of the jobs, read in UTC; H spreads them
    #[arg(long, value_name = "CRON")]
    spec: Option<String>,
    /// Seconds to measure, after all jobs are loaded
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(3..))]
    pub(super) seconds: u64,
    /// The number of different callback URLs
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub(super) urls: usize,
    /// The due instants of the jobs of --every: over the whole period (loaded in bursts, one a
    /// second), or all at once (loaded in a rush, as the cron line that means the same)
    #[arg(long, value_enum, default_value = "spread")]
    pub(super) phase: Phase,
    /// One call for each occurrence, instead of one for all that are due together
    #[arg(long)]
    pub(super) single: bool,
    /// The way in which the jobs are created
    #[arg(long, value_enum, default_value = "batched")]
    pub(super) creates: Creates,
    /// Publishes messages to a queue of its own on this broker, amqp://user@host:port/vhost,
    /// instead of calling; the password is better in `SCHEDULER0_BENCH_AMQP_PASSWORD`, or in the
    /// file `SCHEDULER0_BENCH_AMQP_PASSWORD_FILE`, where no list of processes shows it
    #[arg(
        long, value_name = "URL", value_parser = secret,
        conflicts_with_all = ["urls", "single", "listen"]
    )]
    amqp: Option<SecretText>,
    /// Measures this many workers instead, which claim runs of a queue and report that they are
    /// done, one by one and up to 50 at once, beside a bare server that answers the same from
    /// memory; and the time from due to claimed on idle nodes. --jobs are the runs of a round, at
    /// most 20,000
    #[arg(
        long, value_name = "N", value_parser = at_least_one,
        conflicts_with_all = [
            "amqp", "urls", "single", "listen", "every", "spec", "seconds", "phase", "creates",
            "kill", "memory", "beside", "target"
        ]
    )]
    workers: Option<usize>,
    /// Kills a node with SIGKILL at half time, and starts it again
    #[arg(long, value_enum, conflicts_with = "target")]
    pub(super) kill: Option<Victim>,
    /// Shows the nodes' memory over the time of the run
    #[arg(long, conflicts_with = "target")]
    pub(super) memory: bool,
    /// Attacks the nodes from half time on, and shows the lags before it and beside it
    #[arg(long, value_enum, value_name = "ATTACK", conflicts_with_all = ["target", "kill"])]
    pub(super) beside: Option<Attack>,
    /// Uses this running cluster, through this node; needs a key pair
    #[arg(long, value_name = "URL")]
    pub(super) target: Option<String>,
    /// The key for --target [default: `SCHEDULER0_API_KEY`, or the file `SCHEDULER0_API_KEY_FILE`]
    #[arg(long)]
    pub(super) api_key: Option<String>,
    /// Its secret; better in `SCHEDULER0_API_SECRET`, or in the file `SCHEDULER0_API_SECRET_FILE`,
    /// where no list of processes shows it
    #[arg(long)]
    pub(super) api_secret: Option<String>,
    /// The address of the receiver; the cluster must reach it there
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
}

/// The distribution of the due instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Phase {
    Spread,
    Same,
}

/// The node that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Victim {
    /// The leader
    Leader,
    /// A node that fires
    Executor,
}

/// Takes any text: the error of a parser would show the password.
#[expect(clippy::unnecessary_wraps, reason = "a value parser gives a result")]
fn secret(text: &str) -> Result<SecretText, Infallible> {
    Ok(text.to_owned().into())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| *n >= 1);
    number.ok_or_else(|| "expected a number, 1 or more".to_owned())
}

/// The schedule of the jobs, and the time over which they are loaded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) spec: String,
    pub(super) over: Duration,
}

impl Bench {
    /// The workers to measure, if it is to be workers.
    pub(super) fn workers(&self) -> Option<Asked> {
        let (nodes, runs) = (self.nodes, self.jobs);
        self.workers.map(|workers| Asked { workers, nodes, runs })
    }

    /// The broker to publish to, if it is to be one.
    pub(super) fn broker(&self) -> anyhow::Result<Option<Broker>> {
        let Some(url) = &self.amqp else { return Ok(None) };
        let password = config::from_environment(PASSWORD, |name| std::env::var(name).ok());
        Ok(Some(Broker::read(url, password.map_err(Failure::Usage)?)?))
    }

    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let usage = |message: String| Failure::Usage(message);
        let every = self.every.as_deref().unwrap_or("1m");
        let spec = self.spec.clone().unwrap_or_else(|| format!("@every {every}"));
        let schedule = Schedule::parse(&spec, chrono_tz::UTC, DstRule::default(), 0)
            .map_err(|e| usage(e.to_string()))?;
        let Some(period) = schedule.period() else {
            return Ok(Plan { spec, over: Duration::ZERO });
        };
        if self.phase == Phase::Spread {
            let over = Duration::from_millis(period.min(MAX_SPREAD) as u64);
            return Ok(Plan { spec, over });
        }
        let seconds = period / 1_000;
        let cron = match seconds {
            s if s < 60 && 60 % s == 0 => format!("*/{s} * * * * *"),
            s if s < 3_600 && s % 60 == 0 && 60 % (s / 60) == 0 => {
                format!("0 */{} * * * *", s / 60)
            }
            s if s % 3_600 == 0 && 24 % (s / 3_600) == 0 => format!("0 0 */{} * * *", s / 3_600),
            _ => {
                let message = format!("--phase same: no cron line fires every {every}; use --spec");
                return Err(usage(message).into());
            }
        };
        Ok(Plan { spec: cron, over: Duration::ZERO })
    }
}
