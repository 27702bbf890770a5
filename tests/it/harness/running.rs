//! A command of the binary that runs while the test does something else, as the browser of a login
//! does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use super::cluster::PATIENCE;

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    said: String,
}

/// A command that has ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Running {
    /// Starts a command in the folder that is its home, with these variables beside `HOME`, and
    /// this input.
    pub(crate) fn start(
        home: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
        input: &str,
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_scheduler0"))
            .args(arguments)
            .current_dir(home)
            .env_clear()
            .env("HOME", home)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads no input may have ended before the write.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let (sender, lines) = mpsc::channel();
        let err = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in err.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self { child, lines, said: String::new() }
    }

    /// Waits for a line on the standard error that has this text.
    pub(crate) fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no line with {text:?} in:\n{}", self.said));
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let code = self.child.wait().unwrap().code().expect("it was not killed");
        for line in &self.lines {
            self.said.push_str(&line);
            self.said.push('\n');
        }
        Ended { code, out, err: self.said }
    }
}
