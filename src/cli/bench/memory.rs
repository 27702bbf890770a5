//! `bench --memory`: the memory of the nodes over the time of a run, which shows where it levels
//! out. `run` takes the readings as the window passes, and prints the series.

use std::time::Duration;

use serde_json::{Value, json};

/// The number of readings kept. At this number every second one is dropped.
const MOST: usize = 240;

/// A reading of all nodes.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// Time since the window began.
    pub(super) after: Duration,
    /// Occurrences that had been fired by then.
    pub(super) fired: u64,
    /// Anonymous memory of each node, in 10^6 bytes.
    pub(super) mb: Vec<f64>,
}

/// Looks at even distances.
#[derive(Debug)]
pub(super) struct Series {
    looks: Vec<Look>,
    every: Duration,
    next: Duration,
}

impl Series {
    /// An empty series, which begins with a reading each second.
    pub(super) fn new() -> Self {
        Self { looks: Vec::new(), every: Duration::from_secs(1), next: Duration::ZERO }
    }

    /// Returns whether it is time for a reading.
    pub(super) fn is_due(&self, after: Duration) -> bool {
        after >= self.next
    }

    /// Adds a reading.
    pub(super) fn push(&mut self, look: Look) {
        self.looks.push(look);
        if self.looks.len() >= MOST {
            let mut keep = [true, false].into_iter().cycle();
            self.looks.retain(|_| keep.next() == Some(true));
            self.every *= 2;
        }
        self.next += self.every;
    }

    /// The titles of [`Series::rows`], for so many nodes.
    pub(super) fn titles(nodes: usize) -> Vec<String> {
        let nodes = (1..=nodes).map(|node| format!("node {node} mb"));
        ["s", "fired"].into_iter().map(str::to_owned).chain(nodes).collect()
    }

    /// About twenty of the readings as rows of a table, the last one among them.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        const SHOWN: usize = 20;
        let step = self.looks.len().div_ceil(SHOWN).max(1);
        let row = |look: &Look| {
            let head = [look.after.as_secs().to_string(), look.fired.to_string()];
            head.into_iter().chain(look.mb.iter().map(|mb| format!("{mb:.1}"))).collect()
        };
        let mut rows: Vec<_> = self.looks.iter().rev().step_by(step).map(row).collect();
        rows.reverse();
        rows
    }

    /// All readings as JSON.
    pub(super) fn json(&self) -> Value {
        let tenth = |mb: &f64| (mb * 10.0).round() / 10.0;
        let look = |look: &Look| {
            let mb: Vec<f64> = look.mb.iter().map(tenth).collect();
            json!({"s": look.after.as_secs(), "fired": look.fired, "mb": mb})
        };
        self.looks.iter().map(look).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_looked_at_more_seldom_and_shown_to_its_end() {
        let mut series = Series::new();
        let mut looked = Vec::new();
        for s in 0..7_200 {
            let after = Duration::from_secs(s);
            if series.is_due(after) {
                looked.push(s);
                series.push(Look { after, fired: s * 400, mb: vec![1.0, 2.0] });
            }
        }
        assert!(series.looks.len() < MOST && looked.len() < 4 * MOST, "{}", looked.len());
        let gaps = series.looks.windows(2).map(|w| w[1].after.as_secs() - w[0].after.as_secs());
        let (short, long) = gaps.fold((u64::MAX, 0), |(a, b), gap| (a.min(gap), b.max(gap)));
        assert!(long <= 2 * short, "{short} to {long}");
        let rows = series.rows();
        assert!((10..=20).contains(&rows.len()), "{}", rows.len());
        let last = series.looks.last().unwrap().after.as_secs();
        assert_eq!(rows.last().unwrap()[0], last.to_string());
        assert_eq!(rows[0].len(), Series::titles(2).len());
        assert_eq!(series.json().as_array().unwrap().len(), series.looks.len());
    }
}
