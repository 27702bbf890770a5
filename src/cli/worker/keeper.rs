//! The keeper: a second process of this program, which kills the commands of a worker that has died
//! without a word (SIGKILL, no memory left). Without it they would go on, while the cluster gives
//! their runs to other workers.
//!
//! The worker writes a line to the keeper's standard input for each process group that begins
//! (`+123`) and ends (`-123`). When the worker dies the system closes that pipe, and the keeper
//! kills the groups that have not ended.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

use super::event_lines::EventLines;

/// The name of the hidden command that runs a keeper.
pub(in crate::cli) const COMMAND: &str = "worker-keeper";
/// This program, also when its file was replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// A worker's hold on its keeper.
pub(super) struct Keeper {
    state: Mutex<KeeperState>,
    lines: Arc<EventLines>,
}

#[derive(Default)]
struct KeeperState {
    groups: BTreeSet<i32>,
    pipe: Option<ChildStdin>,
}

/// A process group that the keeper knows of, until this is dropped.
pub(super) struct KeptGroup<'a> {
    keeper: &'a Keeper,
    group: i32,
}

impl Keeper {
    /// Starts a keeper.
    pub(super) fn start(lines: Arc<EventLines>) -> Self {
        let keeper = Self { state: Mutex::default(), lines };
        keeper.change(|_| None);
        keeper
    }

    /// Tells the keeper of a process group.
    pub(super) fn keep(&self, group: Pid) -> KeptGroup<'_> {
        let group = group.as_raw_nonzero().get();
        self.change(|groups| groups.insert(group).then(|| format!("+{group}\n")));
        KeptGroup { keeper: self, group }
    }

    /// Makes a change, and tells the keeper. One that has ended is replaced, once a change.
    fn change(&self, change: impl FnOnce(&mut BTreeSet<i32>) -> Option<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let told = change(&mut state.groups).unwrap_or_default();
        let told = state.pipe.as_mut().is_some_and(|pipe| pipe.write_all(told.as_bytes()).is_ok());
        if told {
            return;
        }
        let lines: Vec<_> = state.groups.iter().map(|group| format!("+{group}\n")).collect();
        let all = lines.concat();
        state.pipe = match begin(&all) {
            Ok(pipe) => Some(pipe),
            Err(error) => {
                let message =
                    "no keeper can be started, so commands outlive a worker that is killed";
                self.lines.say(&format!("{message}: {error}"));
                None
            }
        };
    }
}

impl Drop for KeptGroup<'_> {
    fn drop(&mut self) {
        let group = self.group;
        self.keeper.change(|groups| groups.remove(&group).then(|| format!("-{group}\n")));
    }
}

/// Starts the process, in a group of its own: what a terminal sends to the worker is not for it.
fn begin(groups: &str) -> io::Result<ChildStdin> {
    let mut child = Command::new(THIS_PROGRAM)
        .arg0("scheduler0")
        .arg(COMMAND)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let mut pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    pipe.write_all(groups.as_bytes())?;
    Ok(pipe)
}

/// The keeper's process: reads to the end, and kills what is left.
pub(in crate::cli) fn run() -> anyhow::Result<()> {
    for group in left(io::stdin().lock())? {
        if let Some(group) = Pid::from_raw(group) {
            // It may have ended with its worker.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
    Ok(())
}

/// The groups that have begun and not ended.
fn left(lines: impl BufRead) -> io::Result<BTreeSet<i32>> {
    let mut groups = BTreeSet::new();
    for line in lines.lines() {
        let line = line?;
        let number = line.get(1..).and_then(|number| number.parse::<i32>().ok());
        // 0 and 1 would be this group, and all processes.
        match (line.get(..1), number.filter(|number| *number > 1)) {
            (Some("+"), Some(group)) => {
                groups.insert(group);
            }
            (Some("-"), Some(group)) => {
                groups.remove(&group);
            }
            _ => {}
        }
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_that_have_not_ended_are_left() {
        let left = |text: &str| left(text.as_bytes()).unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(left("+12\n+13\n-12\n+14\n"), [13, 14]);
        assert_eq!(left("+12\n-12\n+12\n"), [12]);
        assert_eq!(left("+1\n+0\n+-7\n+x\n\n12\n"), [0; 0]);
    }
}
