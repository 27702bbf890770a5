//! Counts the lines of an input that `next` could not understand.

/// The lines of an input that could not be understood.
#[derive(Debug, Default)]
pub(super) struct WrongLines {
    /// The number of lines so far; while reading, the number of the present one.
    pub(super) lines: usize,
    count: usize,
    /// The numbers of the first wrong lines.
    first: Vec<usize>,
}

impl WrongLines {
    const MAX_NAMED: usize = 10;

    /// Counts the present line as wrong.
    pub(super) fn add(&mut self) {
        self.count += 1;
        if self.first.len() < Self::MAX_NAMED {
            self.first.push(self.lines);
        }
    }

    /// The error at the end; `None` when all lines were good.
    pub(super) fn message(&self) -> Option<String> {
        if self.count == 0 {
            return None;
        }
        let named: Vec<_> = self.first.iter().map(ToString::to_string).collect();
        let (are, others) = (if self.count == 1 { "is" } else { "are" }, self.count > named.len());
        let others = if others { " and others" } else { "" };
        let (count, lines, named) = (self.count, self.lines, named.join(", "));
        Some(format!("{count} of {lines} lines {are} wrong: {named}{others}"))
    }

    pub(super) fn into_result(self) -> anyhow::Result<()> {
        self.message().map_or(Ok(()), |message| Err(anyhow::anyhow!(message)))
    }
}
