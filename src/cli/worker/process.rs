//! A command as a process: started in a process group of its own, fed with the data of its run,
//! read without end, and stopped when its directive says so. It knows nothing of nodes and reports.

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::captured::{FirstBytes, LineSplitter};
use super::directive::Directive;
use super::environment::is_inherited;
use super::keeper::Keeper;
use crate::model::attempt::MAX_RESPONSE;

/// The longest wait for the end of the output after the end of the command. What the command wrote
/// is there at once; a process that it left behind may hold the pipe for ever.
const DRAIN: Duration = Duration::from_secs(1);
/// Time between two looks whether a group that was told to end still has members.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The bytes of one read.
const PIECE: usize = 8_192;

/// A command to be run.
pub(super) struct ProcessPlan<'a> {
    /// The program and its arguments.
    pub(super) command: &'a [OsString],
    /// Variables beside those that are inherited.
    pub(super) environment: Vec<(&'static str, String)>,
    /// The standard input.
    pub(super) input: &'a str,
    /// The time between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
    /// Who kills the command if the worker is killed.
    pub(super) keeper: Option<&'a Keeper>,
}

/// The end of a process.
pub(super) struct FinishedProcess {
    /// How it ended.
    pub(super) status: ExitStatus,
    /// The first of what it wrote to its standard output.
    pub(super) stdout: FirstBytes,
}

/// Runs a command to its end. `each_line` gets the lines of its standard error.
///
/// # Errors
///
/// The command could not be started.
pub(super) async fn run(
    plan: ProcessPlan<'_>,
    mut directive: watch::Receiver<Directive>,
    mut each_line: impl FnMut(&str),
) -> io::Result<FinishedProcess> {
    let mut child = start(&plan)?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let _kept = plan.keeper.zip(group).map(|(keeper, group)| keeper.keep(group));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut first = FirstBytes::new(MAX_RESPONSE);
    let mut kill_at = None;
    let status = {
        // A command that does not read its input ends the write when it ends.
        let writing = async {
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(plan.input.as_bytes()).await;
            }
        };
        let reading = async {
            let mut lines = LineSplitter::default();
            let out = read_all(stdout, |bytes| first.push(bytes));
            let err = read_all(stderr, |bytes| lines.push(bytes, &mut each_line));
            tokio::join!(out, err);
            lines.finish(&mut each_line);
        };
        let mut writing = std::pin::pin!(writing.fuse());
        let mut reading = std::pin::pin!(reading.fuse());
        let mut obeyed = Directive::Go;
        let status = loop {
            let told = *directive.borrow_and_update();
            if told > obeyed {
                kill_at = obey(told, group, plan.grace, kill_at);
                obeyed = told;
            }
            tokio::select! {
                status = child.wait() => break status?,
                () = &mut writing => {}
                () = &mut reading => {}
                () = reached(kill_at) => {
                    signal(group, Signal::KILL);
                    kill_at = None;
                }
                Ok(()) = directive.changed() => {}
            }
        };
        // What the command started beside itself ends with it if it was to stop.
        if obeyed > Directive::Go {
            end_group(group, kill_at, &directive).await;
        }
        // A pending read of a pipe that somebody else holds is given up.
        if !reading.is_terminated() {
            let _ = timeout(DRAIN, reading).await;
        }
        status
    };
    Ok(FinishedProcess { status, stdout: first })
}

fn start(plan: &ProcessPlan<'_>) -> io::Result<Child> {
    let (program, arguments) = plan
        .command
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no command is given"))?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| !is_inherited(name)) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Carries out a directive. Returns when the group is to be killed: the first that asked for the
/// end says so.
fn obey(
    directive: Directive,
    group: Option<Pid>,
    grace: Duration,
    kill_at: Option<Instant>,
) -> Option<Instant> {
    match directive {
        Directive::Hold | Directive::Go | Directive::GiveBack => kill_at,
        Directive::Cancel | Directive::Gone => kill_at.or_else(|| {
            signal(group, Signal::TERM);
            Some(Instant::now() + grace)
        }),
        Directive::Abandon | Directive::Unanswered => {
            signal(group, Signal::KILL);
            None
        }
    }
}

/// Waits until a group has no members, as long as its grace lasts, and kills it then. The group of
/// a command that has ended keeps its number as long as it has members.
async fn end_group(
    group: Option<Pid>,
    kill_at: Option<Instant>,
    directive: &watch::Receiver<Directive>,
) {
    let is_there = || group.is_some_and(|group| test_kill_process_group(group).is_ok());
    let is_urgent = || *directive.borrow() >= Directive::Abandon;
    let until = kill_at.unwrap_or_else(Instant::now);
    let empty = async {
        while is_there() && !is_urgent() {
            sleep(POLL_INTERVAL).await;
        }
    };
    let _ = timeout_at(until, empty).await;
    if is_there() {
        signal(group, Signal::KILL);
    }
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // A group that has ended needs no signal.
        let _ = kill_process_group(group, signal);
    }
}

async fn reached(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Reads a stream to its end, however much comes.
async fn read_all(stream: Option<impl AsyncRead + Unpin>, mut each: impl FnMut(&[u8])) {
    let Some(mut stream) = stream else { return };
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        each(&piece[..length]);
    }
}
