//! The pauses between tries of a request: the next node at once, and after each round of all nodes
//! a pause that doubles.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// The pause before the next try.
#[derive(Debug)]
pub(super) struct RetryPause {
    nodes: u32,
    failures: u32,
}

impl RetryPause {
    /// Begins for requests to so many nodes.
    pub(super) fn new(nodes: usize) -> Self {
        Self { nodes: u32::try_from(nodes).unwrap_or(u32::MAX).max(1), failures: 0 }
    }

    /// Takes in an answer.
    pub(super) fn answered(&mut self) {
        self.failures = 0;
    }

    /// Takes in a failure. Returns the pause: nothing while there is a node that has not failed,
    /// and at least what a node asks for otherwise, up to the longest.
    pub(super) fn failed(&mut self, retry_after: Option<Duration>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if !self.failures.is_multiple_of(self.nodes) {
            return Duration::ZERO;
        }
        let rounds = (self.failures / self.nodes - 1).min(10);
        let pause = FIRST.saturating_mul(1 << rounds).min(LONGEST);
        // Workers that lost the same node do not come back in step.
        let pause = pause.mul_f64(rand::random_range(0.7..1.0));
        pause.max(retry_after.unwrap_or_default().min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_node_is_asked_at_once_and_rounds_are_further_and_further_apart() {
        let mut pause = RetryPause::new(3);
        let mut rounds = Vec::new();
        for _ in 0..20 {
            assert_eq!(pause.failed(None), Duration::ZERO);
            assert_eq!(pause.failed(None), Duration::ZERO);
            rounds.push(pause.failed(None));
        }
        assert!(rounds[0] <= FIRST && rounds[0] >= FIRST / 2, "{rounds:?}");
        assert!(rounds[19] <= LONGEST && rounds[19] >= LONGEST / 2, "{rounds:?}");
        pause.answered();
        let mut one = RetryPause::new(1);
        assert!(one.failed(None) <= FIRST);
        assert_eq!(one.failed(Some(Duration::from_secs(2))), Duration::from_secs(2));
        assert_eq!(one.failed(Some(Duration::from_hours(2))), LONGEST);
    }
}
