//! A reader at a terminal: one shell in a fresh home, which runs a document's blocks one after the
//! other, and further terminals for what goes on beside. All of it ends with the session. Called by
//! `docs` alone; it judges nothing but whether commands failed.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How long a block may take, or something beside may take to be ready or to end. Generous: a page
/// says what happens, not how fast this machine is.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at what something beside has printed.
const GLANCE: Duration = Duration::from_millis(20);

/// The documents' ports without their last digit: nodes, Raft, receivers.
const TENS: &[&str] = &["909", "707", "300", "310"];
/// Their stand-ins come from here (without the last digit): above what other stories take, below
/// what systems hand out by themselves.
const STAND_INS: std::ops::Range<u32> = 3_200..3_276;

/// The documents' ports, and free ones in their place.
pub(super) struct Ports(Vec<(&'static str, String)>);

impl Ports {
    pub(super) fn free() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let begin = std::process::id().wrapping_mul(7);
        let count = STAND_INS.end - STAND_INS.start;
        let mut free = (0..count).filter_map(|_| {
            let n = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let ten = STAND_INS.start + n % count;
            let is_free = |port: u32| TcpListener::bind(("127.0.0.1", port as u16)).is_ok();
            (ten * 10..ten * 10 + 10).all(is_free).then(|| ten.to_string())
        });
        Self(TENS.iter().map(|ten| (*ten, free.next().expect("ten free ports"))).collect())
    }

    /// The documents' text with free ports.
    fn put_in(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (ten, free)| exchange(&text, ten, free))
    }

    /// What was printed, with the documents' ports.
    fn take_out(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (ten, free)| exchange(&text, free, ten))
    }

    fn of(&self, port: &str) -> String {
        self.put_in(port)
    }
}

/// Replaces a port's first digits where they begin a word, and one digit or a variable ends it.
fn exchange(text: &str, from: &str, to: &str) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        let begins = !before.ends_with(|c: char| c.is_alphanumeric() || c == '.');
        let mut next = after.chars();
        let ends = match next.next() {
            Some('$') => true,
            Some(c) if c.is_ascii_digit() => next.next().is_none_or(|c| !c.is_alphanumeric()),
            _ => false,
        };
        done.push_str(before);
        done.push_str(if begins && ends { to } else { from });
        rest = after;
    }
    done + rest
}

/// What came of a block.
pub(super) struct Done {
    /// What it printed, on stdout and stderr, as a terminal shows it.
    pub(super) printed: String,
    /// The commands that failed.
    pub(super) failed: Vec<String>,
}

/// The reader.
pub(super) struct Session {
    ports: Ports,
    shell: Shell,
    blocks: usize,
    beside: Vec<Beside>,
    over: bool,
    /// The virtual host of the test's broker, once a block needs one.
    pub(super) vhost: Option<String>,
    /// Last, so that everything has ended before it is removed.
    folder: tempfile::TempDir,
}

/// Something in a terminal of its own.
struct Beside {
    child: Child,
    output: PathBuf,
    what: String,
    until: usize,
}

struct Shell {
    child: Child,
    input: ChildStdin,
    said: Receiver<String>,
}

impl Session {
    pub(super) fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "here", "bin", "here/target/debug", "here/target/release"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let binary = env!("CARGO_BIN_EXE_scheduler0");
        for name in ["here/target/debug", "here/target/release", "bin"] {
            symlink(binary, folder.path().join(name).join("scheduler0")).unwrap();
        }
        // Building was done by whoever runs this.
        let cargo = format!(
            "#!/bin/sh\ncase \"$1 $2\" in\n'run --') shift 2; exec {binary} \"$@\";;\n\
             'build --release') exit 0;;\nesac\necho \"cargo $*: not here\" >&2; exit 1\n"
        );
        let path = folder.path().join("bin/cargo");
        fs::write(&path, cargo).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let ports = Ports::free();
        let shell = Shell::begin(folder.path(), &ports);
        Self { ports, shell, blocks: 0, beside: Vec::new(), over: false, vhost: None, folder }
    }

    /// Whether a block never ended, or ended the shell: nothing can be run after it.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Lets `python3` be another one from now on.
    pub(super) fn use_python(&mut self, python: &str) {
        let path = self.folder.path().join("bin/python3");
        if python.starts_with('/') && !path.exists() {
            symlink(python, path).unwrap();
            // The shell remembers where the other one is.
            self.run("hash -r");
        }
    }

    /// Writes a file that the document gives, where the shell is.
    pub(super) fn write(&mut self, name: &str, code: &str) {
        let path = self.folder.path().join("file");
        fs::write(&path, self.ports.put_in(code)).unwrap();
        let done = self.run(&format!("cp {} '{name}'", path.display()));
        assert!(done.failed.is_empty(), "{name}: {:?}", done.failed);
    }

    /// Runs a block in the shell, to its end.
    pub(super) fn run(&mut self, code: &str) -> Done {
        self.blocks += 1;
        let path = |what: &str| self.folder.path().join(format!("{what}-{}", self.blocks));
        let (block, output, failed) = (path("block"), path("output"), path("failed"));
        fs::write(&block, self.ports.put_in(code)).unwrap();
        fs::write(&failed, "").unwrap();
        let line = format!(
            "FAILED={}; . {} > {} 2>&1 < /dev/null; echo done\n",
            failed.display(),
            block.display(),
            output.display()
        );
        self.shell.input.write_all(line.as_bytes()).unwrap();
        let ended = self.shell.said.recv_timeout(PATIENCE);
        let read = |path| fs::read_to_string(path).map(|text| self.ports.take_out(&text));
        let failed = read(failed).unwrap_or_default();
        // The line that runs the block fails with its last command.
        let own = |line: &&str| !line.contains(": . /");
        let mut failed: Vec<_> = failed.lines().filter(own).map(str::to_owned).collect();
        self.over |= ended.is_err();
        match ended {
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => failed.push("it did not end".to_owned()),
            Err(RecvTimeoutError::Disconnected) => failed.push("it ended the shell".to_owned()),
        }
        Done { printed: read(output).unwrap_or_default(), failed }
    }

    /// Runs a block in a terminal of its own, until the line `until` of the document. Waits until
    /// it has printed `ready`, and returns what it has printed by then.
    pub(super) fn run_beside(
        &mut self,
        code: &str,
        ready: &str,
        until: usize,
    ) -> Result<String, String> {
        let here = self.run("pwd").printed;
        self.blocks += 1;
        let output = self.folder.path().join(format!("beside-{}", self.blocks));
        let file = fs::File::create(&output).unwrap();
        let child = shell(self.folder.path(), &self.ports)
            .args(["-c", &self.ports.put_in(code)])
            .current_dir(here.trim_end())
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let what = code.trim().to_owned();
        self.beside.push(Beside { child, output: output.clone(), what, until });
        let begun = Instant::now();
        loop {
            let printed = fs::read_to_string(&output).unwrap_or_default();
            if printed.contains(ready) {
                return Ok(self.ports.take_out(&printed));
            }
            let last = self.beside.last_mut().map(|last| last.child.try_wait());
            if begun.elapsed() > PATIENCE || !matches!(last, Some(Ok(None))) {
                return Err(format!("{ready:?} never came: {printed}"));
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Presses ctrl-c wherever something runs whose part of the document ends before this line. The
    /// error has what did not end well.
    pub(super) fn end_before(&mut self, line: usize) -> Result<(), String> {
        let (over, rest) = self.beside.drain(..).partition(|beside| beside.until <= line);
        self.beside = rest;
        let over: Vec<Beside> = over;
        for mut beside in over {
            let group = Pid::from_child(&beside.child);
            let _ = kill_process_group(group, Signal::INT);
            let begun = Instant::now();
            let status = loop {
                match beside.child.try_wait().unwrap() {
                    Some(status) => break Some(status),
                    None if begun.elapsed() > PATIENCE => break None,
                    None => std::thread::sleep(GLANCE),
                }
            };
            let good = status.is_some_and(|status| matches!(status.code(), Some(0 | 130)));
            if !good {
                let _ = kill_process_group(group, Signal::KILL);
                let printed = fs::read_to_string(&beside.output).unwrap_or_default();
                let (what, printed) = (&beside.what, self.ports.take_out(&printed));
                return Err(format!("ctrl-c on {what:?}: {status:?}\n{printed}"));
            }
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for beside in &mut self.beside {
            let _ = kill_process_group(Pid::from_child(&beside.child), Signal::KILL);
            let _ = beside.child.wait();
        }
        // The nodes and receivers that the document left running are of the shell's group.
        let _ = kill_process_group(Pid::from_child(&self.shell.child), Signal::KILL);
        let _ = self.shell.child.wait();
    }
}

impl Shell {
    fn begin(folder: &Path, ports: &Ports) -> Self {
        let mut child = shell(folder, ports)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        // Each command that fails is noted, also in functions, substitutions and pipes.
        let notes = "set -E -o pipefail\n\
                     trap 'echo \"line $LINENO: $BASH_COMMAND\" >> \"$FAILED\"' ERR\n";
        input.write_all(notes.as_bytes()).unwrap();
        let (told, said) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, input, said }
    }
}

/// A shell in a group of its own, with nothing of our environment but the path to other programs. A
/// single node takes the stand-ins for the ports that are the defaults. `env` gives SIGINT its
/// default back: tests under `nohup` or in the background of a script may ignore it, programs
/// inherit that, and a shell cannot trap what was ignored when it began.
fn shell(folder: &Path, ports: &Ports) -> Command {
    let mut command = Command::new("env");
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .args(["--default-signal=INT", "bash", "--noprofile", "--norc"])
        .current_dir(folder.join("here"))
        .env_clear()
        .env("PATH", format!("{}:{path}", folder.join("bin").display()))
        .env("HOME", folder.join("home"))
        .env("LANG", "C.UTF-8")
        .env("SCHEDULER0_PORT", ports.of("9091"))
        .env("SCHEDULER0_RAFT_ADDRESS", format!("127.0.0.1:{}", ports.of("7071")))
        .process_group(0);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_exchanged_and_nothing_else() {
        let ports = Ports(vec![("909", "3201".to_owned()), ("300", "3202".to_owned())]);
        let text = "http://127.0.0.1:9091/x 909$i 19091 90915 9091x 0.9091 listen(3000)";
        let put = "http://127.0.0.1:32011/x 3201$i 19091 90915 9091x 0.9091 listen(32020)";
        assert_eq!(ports.put_in(text), put);
        assert_eq!(ports.take_out(put), text);
    }
}
