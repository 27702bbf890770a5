//! A run of `bench`: starts what is needed, loads the jobs, watches the window, and puts the report
//! together. It cleans up behind itself, also on ctrl-c.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep, sleep_until};
use zeroize::Zeroizing;

use super::super::output::{Output, say};
use super::super::{Failure, Global, signals};
use super::PROGRESS_INTERVAL;
use super::alternation::Alternation;
use super::attacker::Attacker;
use super::baseline::plain_sqlite;
use super::beside::{Beside, Part};
use super::broker::Broker;
use super::cluster::{Cluster, Folder};
use super::flags::{Bench, Plan, Victim};
use super::judge::Judge;
use super::load::{Api, Pass};
use super::memory::{Look, Series};
use super::messages::{Messages, last_arrivals};
use super::oracle::Oracle;
use super::order::{Order, To};
use super::progress::Progress;
use super::receiver::Receiver;
use super::report::Report;
use super::workers;
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::model::Millis;

/// Time for what is still on its way when the window ends: it is late then, not missed.
const STRAGGLERS: Duration = Duration::from_secs(10);

/// Carries out `bench`; an error if anything was missed or early.
pub(in crate::cli) fn run(flags: &Bench, global: &Global, output: Output) -> anyhow::Result<()> {
    let plan = flags.plan()?;
    let broker = flags.broker()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(asked) = flags.workers() {
        let measured = workers::measure(asked, global.set.clone());
        return runtime.block_on(unless_stopped(measured))?.show(output);
    }
    let report = runtime.block_on(unless_stopped(measure(flags, &plan, broker, global)))?;
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

/// Waits for a run, unless this command is stopped: then the run is dropped, and with it the nodes
/// and their folder.
async fn unless_stopped<T>(run: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::select! {
        done = run => done,
        signal = signals::stop(signals::Hangup::Stops) => anyhow::bail!("{}: stopped", signal?),
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

async fn measure(
    flags: &Bench,
    plan: &Plan,
    broker: Option<Broker>,
    global: &Global,
) -> anyhow::Result<Report> {
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
    let judge = Arc::new(Judge::default());
    let mut messages = match broker {
        Some(broker) => {
            progress.tell("measuring the bare client library");
            Some(Messages::begin(broker, flags.jobs, &judge).await?)
        }
        None => None,
    };
    let folder = Folder::new()?;
    progress.tell("measuring plain SQLite");
    let (path, jobs, batch) = (folder.path().to_owned(), flags.jobs, flags.creates.batch());
    let measure = move || plain_sqlite(&path, jobs, batch);
    let sqlite_per_s = tokio::task::spawn_blocking(measure).await??;
    let receiver = match &messages {
        Some(_) => None,
        None => Some(Receiver::start(flags.listen, Arc::clone(&judge)).await.context("--listen")?),
    };
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
    let to = match (&mut messages, &receiver) {
        (Some(messages), _) => messages.executor(&api).await?,
        (None, receiver) => {
            let url = |number| receiver.as_ref().map(|receiver| receiver.url(number));
            let urls = (0..flags.urls).filter_map(url).collect();
            To::Calls { urls, single: flags.single }
        }
    };
    let order = Order {
        jobs: flags.jobs,
        spec: plan.spec.clone(),
        to,
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
        let oracle = judge.judge_by(oracle);
        if let Some(cluster) = &mut cluster {
            cluster.mark();
        }
        let receiver = receiver.as_ref();
        let mut alternation =
            receiver.map(|receiver| Alternation::new(oracle, receiver)).transpose()?;
        let mut series = flags.memory.then(Series::new);
        let events = Events {
            attacker: attacker.as_mut(),
            series: series.as_mut(),
            alternation: alternation.as_mut(),
        };
        let watched = watch(flags, &judge, oracle, cluster.as_mut(), events, &progress);
        let restarted = watched.await?;
        // With several nodes an arrival does not show that the killed node fires again.
        let restarted = restarted.filter(|_| flags.nodes == 1).zip(judge.came_again());
        let findings = oracle.findings(judge.early());
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
            round_trips: alternation.map(|alternation| alternation.done).unwrap_or_default(),
            published: None,
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
    };
    let outcome = tokio::select! {
        outcome = outcome => outcome,
        error = lost(messages.as_mut()) => Err(error),
    };
    if flags.target.is_some() {
        delete_all(&api, project, messages.as_ref()).await;
    }
    let mut report = outcome?;
    if let Some(messages) = messages {
        // Neither nodes nor attack may take processor time from the bare client.
        drop((attacker, cluster));
        progress.tell("measuring the bare client library again");
        let instants = judge.oracle().map_or_else(Vec::new, last_arrivals);
        report.published = Some(messages.end(instants, flags.jobs).await?);
    }
    Ok(report)
}

/// Waits until no more messages can come; without end if there are none. The reason.
async fn lost(messages: Option<&mut Messages>) -> anyhow::Error {
    match messages {
        Some(messages) => messages.lost().await,
        None => std::future::pending().await,
    }
}

/// Deletes what was made on a cluster that goes on.
async fn delete_all(api: &Api, project: u64, messages: Option<&Messages>) {
    if let Err(e) = api.delete_project(project).await {
        say(&format!("project {project} and its jobs could not be deleted: {e:#}"));
    }
    if let Some(messages) = messages
        && let Err(e) = messages.delete_executor(api).await
    {
        say(&format!("the executor of the messages could not be deleted: {e:#}"));
    }
}

/// The events of a watched run, beside the kill.
struct Events<'a, 'b> {
    attacker: Option<&'a mut Attacker>,
    series: Option<&'a mut Series>,
    alternation: Option<&'a mut Alternation<'b>>,
}

/// Waits for the end of the window, and at half time kills who is to be killed, or lets the attack
/// begin; when the one that was killed was started again.
async fn watch(
    flags: &Bench,
    judge: &Judge,
    oracle: &Oracle,
    mut cluster: Option<&mut Cluster>,
    mut events: Events<'_, '_>,
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
            let id = cluster.kill_and_restart(place, || {
                restarted = Some(std::time::Instant::now());
                judge.await_next();
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
        if let Some(alternation) = &mut events.alternation {
            alternation.step().await?;
        }
        let (fired, passed) = (oracle.findings(0).fired, begin.elapsed().as_secs());
        let text = format!("{passed} of {} s: {fired} fired", flags.seconds);
        progress.bar(passed, flags.seconds, &text);
        sleep_until((Instant::now() + PROGRESS_INTERVAL).min(begin + whole)).await;
    }
    while oracle.findings(0).missed > 0 && begin.elapsed() < whole + STRAGGLERS {
        progress.tell(&format!("{} still to come", oracle.findings(0).missed));
        sleep(PROGRESS_INTERVAL).await;
    }
    progress.end();
    Ok(restarted)
}
