//! `bench`: our own workload against a cluster of real processes, with a receiver and an oracle.
//!
//! ```text
//!   load ──jobs──> cluster (start processes, or --target) ──callbacks──> receiver ──> oracle
//!                                                                           ^             │
//!   limit: plain SQLite, a bare client ──the same bodies────────────────────┘             │
//!                                      report <── what was missed, early, doubled; lag ───┘
//! ```
//!
//! Called by `super` with the flags. It measures and cleans up behind itself, also on ctrl-c; it
//! never touches a node or a folder that it has not made, except through `--target`'s API.

mod beside;
mod cluster;
mod limit;
mod line;
mod load;
mod memory;
mod oracle;
mod progress;
mod receiver;
mod report;
mod taking;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use tokio::time::{Instant, sleep, sleep_until};
use zeroize::Zeroizing;

use self::beside::{Attack, Attacker, Beside, Part};
use self::cluster::{Cluster, Folder};
use self::limit::plain_sqlite;
use self::load::{Api, Creates, Order, Pass};
use self::memory::{Look, Series};
use self::oracle::Oracle;
use self::progress::Progress;
use self::receiver::Receiver;
use self::report::Report;
use self::taking::Taking;
use super::output::{Output, say};
use super::{Failure, Global, signals};
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::model::Millis;
use crate::schedule::{DstRule, Schedule};

/// A spread load takes no longer than this.
const SPREAD: Millis = 60_000;
/// What is still on its way when the window ends may come within this time: late, not missed.
const STRAGGLERS: Duration = Duration::from_secs(10);
/// Between two lines of progress.
const BEAT: Duration = Duration::from_millis(250);

/// Flags of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// How many nodes to start
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=9))]
    nodes: u64,
    /// How many jobs
    #[arg(long, default_value_t = 100_000, value_parser = at_least_one)]
    jobs: usize,
    /// Period of the jobs, as in @every [default: 1m]
    #[arg(long, value_name = "PERIOD", conflicts_with = "spec")]
    every: Option<String>,
    /// Schedule of the jobs, read in UTC; H spreads them
    #[arg(long, value_name = "CRON")]
    spec: Option<String>,
    /// How long to measure, after all jobs are loaded
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(3..))]
    seconds: u64,
    /// How many different callback URLs
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    urls: usize,
    /// Whether the jobs of --every fall due over the whole period (loaded in bursts, one a second)
    /// or all at once (loaded in a rush, as the cron line that means the same)
    #[arg(long, value_enum, default_value = "spread")]
    phase: Phase,
    /// One call for each occurrence, instead of one for all that are due together
    #[arg(long)]
    single: bool,
    /// How the jobs are created
    #[arg(long, value_enum, default_value = "batched")]
    creates: Creates,
    /// Kills a node with SIGKILL at half time, and starts it again
    #[arg(long, value_enum, conflicts_with = "target")]
    kill: Option<Victim>,
    /// Shows the nodes' memory over the time of the run
    #[arg(long, conflicts_with = "target")]
    memory: bool,
    /// Attacks the nodes from half time on, and shows the lags before it and beside it
    #[arg(long, value_enum, value_name = "ATTACK", conflicts_with_all = ["target", "kill"])]
    beside: Option<Attack>,
    /// Uses this running cluster, through this node; needs a key pair
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// The key for --target [default: `SCHEDULER0_API_KEY`, or the file `SCHEDULER0_API_KEY_FILE`]
    #[arg(long)]
    api_key: Option<String>,
    /// Its secret; better in `SCHEDULER0_API_SECRET`, or in the file `SCHEDULER0_API_SECRET_FILE`,
    /// where no list of processes shows it
    #[arg(long)]
    api_secret: Option<String>,
    /// Where the receiver listens; the cluster must reach it there
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// How jobs fall due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Phase {
    Spread,
    Same,
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Victim {
    /// The leader
    Leader,
    /// A node that fires
    Executor,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| *n >= 1);
    number.ok_or_else(|| "expected a number, 1 or more".to_owned())
}

/// Runs it; an error if anything was missed or early.
pub(super) fn run(flags: &Bench, global: &Global, output: Output) -> anyhow::Result<()> {
    let plan = flags.plan()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        // Whichever ends first drops the other, and with it the nodes and their folder.
        tokio::select! {
            report = measure(flags, &plan, global) => report,
            signal = signals::stop(signals::Hangup::Stops) => anyhow::bail!("{}: stopped", signal?),
        }
    })?;
    report.show(output)?;
    let found = report.findings;
    anyhow::ensure!(
        found.missed == 0 && found.early == 0 && found.unplanned == 0,
        "of {} occurrences {} were missed; {} arrivals were early, {} had no plan",
        found.planned,
        found.missed,
        found.early,
        found.unplanned
    );
    Ok(())
}

/// The schedule, and over how long the jobs are loaded.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    spec: String,
    over: Duration,
}

impl Bench {
    fn plan(&self) -> anyhow::Result<Plan> {
        let usage = |message: String| Failure::Usage(message);
        let every = self.every.as_deref().unwrap_or("1m");
        let spec = self.spec.clone().unwrap_or_else(|| format!("@every {every}"));
        let schedule = Schedule::parse(&spec, chrono_tz::UTC, DstRule::default(), 0)
            .map_err(|e| usage(e.to_string()))?;
        let Some(period) = schedule.period() else {
            return Ok(Plan { spec, over: Duration::ZERO });
        };
        if self.phase == Phase::Spread {
            let over = Duration::from_millis(period.min(SPREAD) as u64);
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

/// A part of the key pair for `--target`: from its flag, else from the environment or a file.
fn part_of_pair(
    given: Option<&String>,
    flag: &str,
    variable: &str,
) -> anyhow::Result<Zeroizing<String>> {
    if let Some(given) = given {
        return Ok(Zeroizing::new(given.clone()));
    }
    let found = config::from_environment(variable, |name| std::env::var(name).ok());
    let found = found.map_err(Failure::Usage)?;
    let missing =
        || Failure::Usage(format!("--target needs {flag}, {variable} or {variable}_FILE"));
    Ok(found.ok_or_else(missing)?)
}

async fn measure(flags: &Bench, plan: &Plan, global: &Global) -> anyhow::Result<Report> {
    let target = match &flags.target {
        Some(target) => {
            let key = part_of_pair(flags.api_key.as_ref(), "--api-key", "SCHEDULER0_API_KEY")?;
            let secret =
                part_of_pair(flags.api_secret.as_ref(), "--api-secret", "SCHEDULER0_API_SECRET")?;
            Some((target, Pass::Pair(key.to_string(), secret)))
        }
        None => None,
    };
    let progress = Progress::new();
    let folder = Folder::new()?;
    progress.tell("measuring plain SQLite");
    let (path, jobs, batch) = (folder.path().to_owned(), flags.jobs, flags.creates.batch());
    let measure = move || plain_sqlite(&path, jobs, batch);
    let sqlite_per_s = tokio::task::spawn_blocking(measure).await??;
    let receiver = Receiver::start(flags.listen).await.context("--listen")?;
    let (mut cluster, api) = if let Some((target, pass)) = &target {
        (None, Api::new(target, pass)?)
    } else {
        progress.tell("starting nodes");
        let cluster = Cluster::start(flags.nodes, global.set.clone(), folder).await?;
        let api = cluster.api(0)?;
        (Some(cluster), api)
    };
    let project = api.project().await?;
    let mut attacker = match (flags.beside, &cluster) {
        (Some(attack), Some(cluster)) => {
            progress.tell("preparing the attack");
            Some(Attacker::prepare(attack, cluster).await?)
        }
        _ => None,
    };
    let urls = (0..flags.urls).map(|number| receiver.url(number)).collect();
    let order = Order {
        jobs: flags.jobs,
        spec: plan.spec.clone(),
        urls,
        single: flags.single,
        creates: flags.creates,
        over: plan.over,
    };
    let tell = |n: usize| {
        progress.bar(n as u64, flags.jobs as u64, &format!("loaded {n} of {}", flags.jobs));
    };
    let outcome = async {
        let loaded = api.load(project, &order, tell).await?;
        let (from, margin) = (SystemClock.wall(), (flags.seconds / 10).clamp(1, 5));
        let to = from + (flags.seconds - margin) as Millis * 1_000;
        let oracle = Oracle::new(&plan.spec, &loaded.jobs, (from, to))?;
        anyhow::ensure!(
            oracle.findings(0).planned > 0,
            "nothing is due in the {} s that are judged: raise --seconds",
            flags.seconds - margin
        );
        let half = from + flags.seconds as Millis * 500;
        let oracle = if attacker.is_some() { oracle.split_at(half) } else { oracle };
        let oracle = receiver.judge_by(oracle);
        if let Some(cluster) = &mut cluster {
            cluster.mark();
        }
        let mut turns = Taking::new(oracle, &receiver)?;
        let mut series = flags.memory.then(Series::new);
        let event = Events { attacker: attacker.as_mut(), series: series.as_mut() };
        let watched = watch(flags, oracle, cluster.as_mut(), event, &mut turns, &progress);
        let restarted = watched.await?;
        // Beside others that fire, an arrival says nothing of the one that was killed.
        let restarted = restarted.filter(|_| flags.nodes == 1).zip(receiver.came_again());
        let findings = oracle.findings(receiver.early());
        let lag = oracle.lag();
        let [p50, p90, p99, p999] = [500, 900, 990, 999].map(|share| lag.quantile(share));
        let mut nodes = cluster.as_ref().map_or_else(Vec::new, Cluster::usage);
        // A report without this is better than none.
        let status = api.get("/api/v1/cluster/status").await.unwrap_or_default();
        let members = status["data"]["nodes"].as_array().map_or(&[][..], Vec::as_slice);
        for node in &mut nodes {
            let own = members.iter().find(|member| member["id"] == node.id);
            node.unrecorded = own.and_then(|member| member["journalDepth"].as_u64());
        }
        Ok(Report {
            jobs: flags.jobs,
            seconds: (to - from) as f64 / 1_000.0,
            loaded_per_s: loaded.per_s,
            sqlite_per_s,
            turns: turns.done,
            restart_ms: restarted.map(|(from, to)| (to - from).as_millis() as u64),
            findings,
            lag_ms: [p50, p90, p99, p999, lag.max()],
            beside: attacker.as_ref().zip(oracle.halves()).map(|(attacker, halves)| Beside {
                attack: attacker.attack(),
                made: attacker.tally(),
                parts: halves.map(|(planned, fired, lag_ms)| Part { planned, fired, lag_ms }),
            }),
            count: members.len().max(nodes.len()),
            nodes,
            memory: series,
        })
    }
    .await;
    if flags.target.is_some()
        && let Err(e) = api.delete(project).await
    {
        say(&format!("project {project} and its jobs could not be deleted: {e:#}"));
    }
    outcome
}

/// What happens while a run is watched, beside the kill.
struct Events<'a> {
    attacker: Option<&'a mut Attacker>,
    series: Option<&'a mut Series>,
}

/// Waits for the end of the window, and at half time kills who is to be killed, or lets the attack
/// begin; when the one that was killed was started again.
async fn watch(
    flags: &Bench,
    oracle: &Oracle,
    mut cluster: Option<&mut Cluster>,
    mut events: Events<'_>,
    turns: &mut Taking<'_>,
    progress: &Progress,
) -> anyhow::Result<Option<std::time::Instant>> {
    let begin = Instant::now();
    let mut restarted = None;
    let whole = Duration::from_secs(flags.seconds);
    let mut victim = flags.kill;
    while begin.elapsed() < whole {
        if begin.elapsed() >= whole / 2
            && let Some(victim) = victim.take()
            && let Some(cluster) = cluster.as_deref_mut()
        {
            let place = cluster.find(victim == Victim::Leader).await?;
            let receiver = turns.receiver;
            let id = cluster.kill_and_restart(place, || {
                restarted = Some(std::time::Instant::now());
                receiver.await_next();
            })?;
            progress.end();
            say(&format!("killed node {id} and started it again"));
        }
        if begin.elapsed() >= whole / 2
            && let Some(attacker) = events.attacker.take()
        {
            progress.end();
            say(&format!("the attack begins: {}", attacker.attack().name()));
            attacker.begin().await?;
        }
        if let Some(cluster) = cluster.as_deref_mut() {
            cluster.look();
            if let Some(series) = &mut events.series
                && series.is_due(begin.elapsed())
            {
                let (after, fired) = (begin.elapsed(), oracle.findings(0).fired);
                series.push(Look { after, fired, mb: cluster.memory() });
            }
        }
        turns.take().await?;
        let (fired, passed) = (oracle.findings(0).fired, begin.elapsed().as_secs());
        let text = format!("{passed} of {} s: {fired} fired", flags.seconds);
        progress.bar(passed, flags.seconds, &text);
        sleep_until((Instant::now() + BEAT).min(begin + whole)).await;
    }
    while oracle.findings(0).missed > 0 && begin.elapsed() < whole + STRAGGLERS {
        progress.tell(&format!("{} still to come", oracle.findings(0).missed));
        sleep(BEAT).await;
    }
    progress.end();
    Ok(restarted)
}

#[cfg(test)]
mod tests;
