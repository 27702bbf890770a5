//! Fault injection: a cluster of real processes on hosts of their own, jobs written through random
//! nodes, faults from a seed, and a judge that knows only the promises (docs/reliability.md).
//!
//! ```text
//!   writer ──writes──> node 1 ─┐            ┌─ inject <── faults (the plan, from the seed alone)
//!     │                node 2 ─┼─ proxies ──┤
//!     │                node 3 ─┘            └─ hosts, net (processes, disks, clocks, packets)
//!  expected              │ calls
//!     │               receivers ──arrivals──┐
//!     └──────────> evidence <───────────────┘──> judge ──> report
//!
//!   workers  claim runs at random nodes, or take them from the broker; broker: also what jobs
//!            publish, and its receiver
//! ```
//!
//! `cargo test --features slow --test chaos` plays the short set, about three minutes. A long run:
//! `cargo test --release --features slow --test chaos -- --minutes 10 --seed 7`. Data and logs of a
//! run are in `target/chaos/SEED`. What a run creates on the machine is named after its process id,
//! and removed at the end, on ctrl-c and after a panic.

mod broker;
mod bus_mutations;
mod cancel_mutations;
mod cancels;
mod duplicates;
mod eventful;
mod evidence;
mod expected;
mod faults;
mod folder_faults;
mod hand_outs;
mod hosts;
mod inject;
mod judge;
mod lags;
mod mutations;
mod net;
mod node_home;
mod options;
mod proxy;
mod receiver;
mod report;
mod run_mutations;
mod watch;
mod workers;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use rustix::fs::FlockOperation;
use tokio::task::JoinSet;

use crate::broker::Broker;
use crate::broker::rabbitmq::RabbitMq;
use crate::evidence::Evidence;
use crate::hosts::Hosts;
use crate::inject::FaultInjector;
use crate::net::Net;
use crate::node_home::{Abilities, NodeHome};
use crate::options::Options;
use crate::proxy::Proxies;
use crate::receiver::Receivers;
use crate::report::Report;
use crate::watch::Seen;
use crate::workers::Workers;
use crate::writer::Writer;

/// The short set: the number of runs and their length in seconds. Each has its share of the faults.
const SHORT: (usize, u64) = (2, 75);
/// The number of shards with jobs that fire: in a short run, and in a long one.
const SHARDS: (u64, u64) = (16, 64);
/// The time that the nodes may take until they are ready.
const STARTUP: Duration = Duration::from_mins(1);
/// The time that a write may take after the last fault.
const LAST_WRITES: Duration = Duration::from_secs(90);

/// A run.
struct Run {
    seed: u64,
    nodes: u64,
    time: Duration,
    part: (usize, usize),
    shards: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list && options.wanted() {
        println!("chaos: test");
    }
    if options.list || !options.wanted() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let passed = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            tokio::select! {
                passed = play(&options) => passed,
                _ = tokio::signal::ctrl_c() => bail!("stopped"),
                () = terminated() => bail!("stopped"),
            }
        })
    });
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

async fn play(options: &Options) -> anyhow::Result<bool> {
    mutations::check()?;
    run_mutations::check()?;
    bus_mutations::check()?;
    cancel_mutations::check()?;
    let rabbit = RabbitMq::start().map(Arc::new);
    let can = Abilities { broker: rabbit.is_some(), ..abilities(options)? };
    let runs: Vec<Run> = match options.minutes {
        Some(minutes) => vec![Run {
            seed: options.seed,
            nodes: options.nodes.unwrap_or(if options.seed % 2 == 1 { 3 } else { 5 }),
            time: Duration::from_secs_f64(minutes * 60.0),
            part: (0, 1),
            shards: SHARDS.1,
        }],
        None => (0..SHORT.0)
            .map(|part| Run {
                seed: options.seed + part as u64,
                nodes: options.nodes.unwrap_or(3),
                time: Duration::from_secs(SHORT.1),
                part: (part, SHORT.0),
                shards: SHARDS.0,
            })
            .collect(),
    };
    let mut passed = true;
    for run in runs {
        let plan = faults::plan(run.seed, run.time, run.part, can);
        eprintln!("seed {}: {} nodes, {} faults", run.seed, run.nodes, plan.len());
        for fault in &plan {
            eprintln!("  {fault}");
        }
        if options.plan {
            continue;
        }
        let report = one(&run, &plan, can, rabbit.clone(), options).await?;
        report.print();
        println!("{}", report.json());
        passed &= report.verdict.broken() == 0;
    }
    Ok(passed)
}

/// The kinds of fault that this machine allows. A missing one is printed, and is an error with `CI`
/// set.
fn abilities(options: &Options) -> anyhow::Result<Abilities> {
    let mut missing = Vec::new();
    let spaces = !options.loopback
        && match Net::build(1) {
            Ok(_) => true,
            Err(error) => {
                missing.push(format!(
                    "NO NETWORK NAMESPACES ({error:#}): nodes share the loopback, nothing is \
                     partitioned"
                ));
                false
            }
        };
    let folder = tempfile::tempdir()?;
    let mount = ["-t", "tmpfs", "-o", "size=1m", "s0chaos"];
    let disks = match net::run_command(Command::new("mount").args(mount).arg(folder.path())) {
        Ok(()) => net::run_command(Command::new("umount").arg(folder.path())).is_ok(),
        Err(error) => {
            missing.push(format!("NO SMALL DISKS ({error:#}): no disk runs full"));
            false
        }
    };
    let clocks = node_home::faketime().is_some();
    if !clocks {
        missing.push("NO LIBFAKETIME (Debian's package libfaketime): no clock jumps".to_owned());
    }
    for line in &missing {
        eprintln!("chaos: {line}");
    }
    if !missing.is_empty() && std::env::var_os("CI").is_some() {
        bail!("with CI set nothing may be skipped");
    }
    Ok(Abilities { spaces, disks, clocks, broker: false })
}

/// Creates an empty folder for a run; the lock keeps another run from using it meanwhile.
fn clear(folder: &Path, nodes: u64) -> anyhow::Result<File> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let lock = File::create(folder.with_extension("lock"))?;
    if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("another run of this seed is under way in {}", folder.display());
    }
    for id in 1..=nodes {
        // A killed run left it mounted. An error means that it is not mounted.
        let _ = net::run_command(Command::new("umount").arg(folder.join(format!("node{id}"))));
    }
    std::fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    std::fs::create_dir_all(folder)?;
    Ok(lock)
}

/// Plays a run from its beginning to its end.
async fn one(
    run: &Run,
    plan: &[faults::Fault],
    can: Abilities,
    rabbit: Option<Arc<RabbitMq>>,
    options: &Options,
) -> anyhow::Result<Report> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.parent().context("the target folder")?.join(format!("chaos/{}", run.seed));
    let _alone = clear(&folder, run.nodes)?;
    let net = if can.spaces { Net::build(run.nodes)? } else { Net::loopback(run.nodes)? };
    let net = Arc::new(net);
    let proxies = Proxies::start(&net, run.nodes).await?;
    let receivers = Arc::new(Receivers::start(Arc::clone(&net)).await?);
    let broker = match rabbit {
        Some(rabbit) => Some(Broker::begin(rabbit, &net, Arc::clone(&receivers)).await?),
        None => None,
    };
    let node_home = NodeHome {
        net: Arc::clone(&net),
        folder,
        binary: options.binary.canonicalize()?,
        can,
        proxies: proxies.addresses.clone(),
    };
    let hosts = Hosts::start(node_home)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&hosts).supervise());
    for id in hosts.ids() {
        if !hosts.ready(id, STARTUP).await {
            bail!("node {id} is not up within {STARTUP:?}:\n{}", hosts.log(id));
        }
    }
    let seen = Arc::new(Mutex::new(Seen::default()));
    tasks.spawn(watch::note_stalls(Arc::clone(&seen)));
    let (there, to) = (Arc::clone(&hosts), Arc::clone(&receivers));
    let writer = Writer::begin(there, to, broker.as_deref(), run.seed, run.shards).await?;
    let workers = Workers::start(&hosts, broker.as_ref());
    if let Some(broker) = &broker {
        tasks.spawn(Arc::clone(broker).receive());
    }
    let injector = Arc::new(FaultInjector {
        folders: hosts.ids().map(|id| (id, tokio::sync::Mutex::default())).collect(),
        net,
        hosts: Arc::clone(&hosts),
        links: Arc::clone(&proxies.links),
        receivers: Arc::clone(&receivers),
        broker: broker.clone(),
        workers: workers.shared(),
        windows: Mutex::default(),
        failed: Mutex::default(),
    });
    tasks.spawn(watch::watch(Arc::clone(&injector), Arc::clone(&seen)));
    let writing = tokio::spawn(Arc::clone(&writer).write());
    injector.run(plan).await;
    writer.stop();
    let finished = tokio::time::timeout(LAST_WRITES, writing).await;

    let mut evidence = Evidence {
        expected: std::mem::take(&mut *writer.expected.lock().unwrap()),
        wrong: writer.wrong.lock().unwrap().clone(),
        ..Evidence::default()
    };
    eprintln!("healed; waiting until everything due is accounted for");
    evidence = evidence::gather(&hosts, evidence).await?;
    let drained = match &broker {
        Some(broker) => broker.drained().await,
        None => Ok(()),
    };
    evidence.record = workers.stop().await;
    evidence.has_broker = broker.is_some();
    evidence.arrivals = receivers.arrivals();
    evidence.windows.clone_from(&injector.windows.lock().unwrap());
    let seen = seen.lock().unwrap().clone();
    evidence.stalls.clone_from(&seen.stalls);

    let mut verdict = judge::judge(&evidence);
    if finished.is_err() {
        verdict.violation("writes hang", format!("not all were answered {LAST_WRITES:?} later"));
    }
    if let Err(error) = drained {
        verdict.violation("messages are left", format!("{error:#}"));
    }
    for text in injector.failed.lock().unwrap().drain(..) {
        verdict.violation("fault not carried out", text);
    }
    for text in receivers.broken() {
        verdict.violation("broken request", text);
    }
    for text in eventful::too_little(&evidence, plan) {
        verdict.violation("empty run", text);
    }
    if verdict.broken() > 0 || options.keep {
        eprintln!("data and logs are kept in {}", hosts.folder().display());
        hosts.keep();
    }
    tasks.shutdown().await;
    hosts.end();
    injector.net.end();
    let mut faults = BTreeMap::new();
    for fault in plan {
        *faults.entry(format!("{:?} {:?}", fault.what, fault.role)).or_default() += 1;
    }
    let (first, last) = seen.terms.unwrap_or_default();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let tally = &writer.tally;
    Ok(Report {
        seed: run.seed,
        nodes: run.nodes,
        seconds: run.time.as_secs_f64(),
        spaces: can.spaces,
        faults,
        numbers: vec![
            ("terms", last - first),
            ("changes of leader", seen.leaders.saturating_sub(1)),
            ("shards handed over", seen.handed_over),
            ("shards taken over", seen.taken_over),
            ("connections cut", proxies.links.cuts()),
            ("nodes ended by a full disk", evidence.ends.len() as u64),
            ("stalls of the machine", evidence.stalls.len() as u64),
            ("jobs written", evidence.expected.jobs.len() as u64),
            ("writes acknowledged", count(&tally.acked)),
            ("tries without an answer", count(&tally.unknown)),
            ("tries refused", count(&tally.refused)),
            ("writes found done already", count(&tally.recovered)),
            ("linearizable reads", count(&tally.reads)),
            ("requests received", receivers.requests()),
            ("connections to the broker", broker.map_or(0, |broker| broker.connections())),
            ("hand-outs to workers", evidence.record.hand_outs.len() as u64),
            ("hand-outs over the broker", evidence.record.messages() as u64),
            ("runs cancelled by clients", evidence.expected.cancelled() as u64),
            ("claims without an answer", evidence.record.unanswered.len() as u64),
            ("deaths of workers", evidence.record.deaths),
            ("arrivals", evidence.arrivals.len() as u64),
        ],
        settled: evidence.settled.map(|time| time.as_secs_f64()),
        verdict,
    })
}
