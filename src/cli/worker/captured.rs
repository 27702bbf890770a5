//! What is kept of a command's output, in bounded memory: the first bytes of its standard output,
//! the last ones of its standard error, and the lines of the latter. Pure.

/// The longest line that is passed on in one piece, in bytes.
const MAX_LINE: usize = 4_096;

/// The first bytes of a stream.
#[derive(Debug)]
pub(super) struct FirstBytes {
    kept: Vec<u8>,
    bound: usize,
}

impl FirstBytes {
    /// Keeps at most so many bytes.
    pub(super) fn new(bound: usize) -> Self {
        Self { kept: Vec::new(), bound }
    }

    /// Takes in what comes next.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let place = self.bound - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(place)]);
    }

    /// The text, without line ends at its end, no longer than the bound; `None` where there is
    /// none. A character that the bound cuts is left out.
    pub(super) fn text(&self) -> Option<String> {
        let whole = match std::str::from_utf8(&self.kept) {
            Err(error) if error.error_len().is_none() => &self.kept[..error.valid_up_to()],
            _ => &self.kept[..],
        };
        let text = String::from_utf8_lossy(whole);
        let text = text.trim_end_matches(['\n', '\r']);
        // What is no UTF-8 grew when it was replaced.
        let text = &text[..text.floor_char_boundary(self.bound)];
        (!text.is_empty()).then(|| text.to_owned())
    }
}

/// The last bytes of a text that comes line by line.
#[derive(Debug)]
pub(super) struct LastLines {
    kept: String,
    bound: usize,
}

impl LastLines {
    /// Keeps at most so many bytes.
    pub(super) fn new(bound: usize) -> Self {
        Self { kept: String::new(), bound }
    }

    /// Takes in a line.
    pub(super) fn push(&mut self, line: &str) {
        if !self.kept.is_empty() {
            self.kept.push('\n');
        }
        self.kept.push_str(line);
        let over = self.kept.len().saturating_sub(self.bound);
        self.kept.drain(..self.kept.ceil_char_boundary(over));
    }

    /// At most so many of the last bytes.
    pub(super) fn last(&self, bytes: usize) -> &str {
        let from = self.kept.len().saturating_sub(bytes);
        &self.kept[self.kept.ceil_char_boundary(from)..]
    }
}

/// Makes lines of pieces. A line without an end in sight is passed on in pieces.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    begun: Vec<u8>,
}

impl LineSplitter {
    /// Takes in bytes, and gives the lines that they end.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line(&mut each);
                continue;
            }
            self.begun.push(byte);
            if self.begun.len() == MAX_LINE {
                self.end_line(&mut each);
            }
        }
    }

    /// Gives what is left at the end of the stream.
    pub(super) fn finish(&mut self, mut each: impl FnMut(&str)) {
        if !self.begun.is_empty() {
            self.end_line(&mut each);
        }
    }

    fn end_line(&mut self, each: &mut impl FnMut(&str)) {
        each(String::from_utf8_lossy(&self.begun).trim_end_matches('\r'));
        self.begun.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_stay_and_no_character_is_cut() {
        let mut first = FirstBytes::new(4);
        assert_eq!(first.text(), None);
        for _ in 0..1_000 {
            first.push("äb".as_bytes());
        }
        assert_eq!(first.text().as_deref(), Some("äb"));
        assert!(first.kept.capacity() < 100);
        let mut first = FirstBytes::new(100);
        first.push(b"done\r\n\n");
        assert_eq!(first.text().as_deref(), Some("done"));
        let mut first = FirstBytes::new(4);
        first.push(b"\xff\xff\xff\xff");
        assert_eq!(first.text().as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn the_last_lines_stay() {
        let mut last = LastLines::new(8);
        last.push("one");
        assert_eq!(last.last(8), "one");
        last.push("zwölf");
        assert_eq!(last.last(8), "e\nzwölf");
        assert_eq!(last.last(3), "lf");
        last.push(&"x".repeat(10_000));
        assert_eq!(last.last(100), "xxxxxxxx");
    }

    #[test]
    fn lines_come_whole_and_endless_ones_in_pieces() {
        let (mut splitter, mut lines) = (LineSplitter::default(), Vec::new());
        for piece in ["a", "b\r\nc\n\nd", "", "e"] {
            splitter.push(piece.as_bytes(), |line| lines.push(line.to_owned()));
        }
        splitter.finish(|line| lines.push(line.to_owned()));
        splitter.finish(|line| lines.push(line.to_owned()));
        assert_eq!(lines, ["ab", "c", "", "de"]);
        lines.clear();
        splitter.push(&vec![b'x'; 10_000], |line| lines.push(line.to_owned()));
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, MAX_LINE]);
    }
}
