//! The progress of a run: one line on stderr that is written over and over, for people only.

use std::io::{self, IsTerminal, Write};

/// Marks in a full bar.
const WIDTH: usize = 24;

/// The line; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: bool,
}

impl Progress {
    /// Makes a line that is shown only if stderr is a terminal.
    pub(super) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal() }
    }

    /// Writes a text.
    pub(super) fn tell(&self, text: &str) {
        if self.terminal {
            // The text is lost when stderr is closed.
            let _ = write!(io::stderr().lock(), "\r\x1b[K{text}");
        }
    }

    /// Draws a bar for `done` of `of`.
    pub(super) fn bar(&self, done: u64, of: u64, text: &str) {
        self.tell(&format!("{} {text}", bar(done, of)));
    }

    /// Leaves an empty line behind.
    pub(super) fn end(&self) {
        self.tell("");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn bar(done: u64, of: u64) -> String {
    let of = of.max(1);
    let done = done.min(of);
    let full = (WIDTH as u64 * done / of) as usize;
    format!("[{}{}] {:>3} %", "#".repeat(full), "-".repeat(WIDTH - full), 100 * done / of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_never_longer_than_it_is() {
        assert_eq!(bar(0, 4), "[------------------------]   0 %");
        assert_eq!(bar(1, 4), "[######------------------]  25 %");
        assert_eq!(bar(9, 4), "[########################] 100 %");
        assert_eq!(bar(0, 0), "[------------------------]   0 %");
    }
}
