//! The waits between two tries to connect: 100 ms at first, twice as long each time, 30 s at most,
//! with 10 % of jitter, so that nodes do not come back in step. `kept` asks. Pure but for the
//! jitter.

/// The first wait, in milliseconds.
const FIRST_MS: u64 = 100;
/// The longest wait, in milliseconds.
const LONGEST_MS: u64 = 30_000;

/// The wait after so many failures in a row, in milliseconds.
pub(crate) fn wait(failures: u32) -> u64 {
    let plain = FIRST_MS.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST_MS);
    rand::random_range(plain * 9 / 10..=plain * 11 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute() {
        for (failures, plain) in [(0, 100), (1, 100), (2, 200), (5, 1_600), (9, 25_600)] {
            let wait = wait(failures);
            assert!((plain * 9 / 10..=plain * 11 / 10).contains(&wait), "{failures}: {wait}");
        }
        for failures in [10, 40, u32::MAX] {
            assert!((27_000..=33_000).contains(&wait(failures)), "{failures}");
        }
    }
}
