//! Run ids: the names of runs of fixed length, for workers and brokers. Published workers of the
//! original scheduler expect 24 hexadecimal digits.
//!
//! ```text
//!   0 | job (47 bits) | scheduled instant (48 bits)     a planned occurrence
//!   1 | job (47 bits) | number of the run (48 bits)     a manual run
//!   XOR the first 12 bytes of SHA-256(cluster id)
//! ```
//!
//! An id is a function of cluster and occurrence and can be read back without a table. An id of
//! another cluster names, as good as surely, no job of this one. Pure.

use sha2::{Digest, Sha256};

use super::run::Occurrence;
use super::{JobId, Millis};

/// The number of bits of a job's number.
const JOB_BITS: u32 = 47;
/// The number of bits of an instant, or of the number of a manual run.
const INSTANT_BITS: u32 = 48;
/// The bit that says that a run is manual.
const MANUAL: u128 = 1 << (JOB_BITS + INSTANT_BITS);
/// The number of hexadecimal digits of a run id.
pub const DIGITS: usize = 24;

/// The occurrence that a run id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunName {
    /// A planned occurrence.
    Planned {
        /// The job.
        job: JobId,
        /// The scheduled instant.
        scheduled: Millis,
    },
    /// A manual run. Its scheduled instant is in the store.
    Manual {
        /// The job.
        job: JobId,
        /// The number of the run, from 1.
        run: u64,
    },
}

impl RunName {
    /// The name of an occurrence.
    pub fn of(occurrence: Occurrence) -> Self {
        let Occurrence { job, scheduled, run } = occurrence;
        if run == 0 { Self::Planned { job, scheduled } } else { Self::Manual { job, run } }
    }

    /// The job.
    pub fn job(self) -> JobId {
        match self {
            Self::Planned { job, .. } | Self::Manual { job, .. } => job,
        }
    }

    /// Says whether this is the name of an occurrence.
    pub fn names(self, occurrence: Occurrence) -> bool {
        self == Self::of(occurrence)
    }
}

/// The run id of an occurrence.
pub fn run_id(cluster: u128, occurrence: Occurrence) -> String {
    let (manual, job, low) = match RunName::of(occurrence) {
        RunName::Planned { job, scheduled } => (0, job, scheduled.max(0).cast_unsigned()),
        RunName::Manual { job, run } => (MANUAL, job, run),
    };
    let job = u128::from(job) & ((1 << JOB_BITS) - 1);
    let low = u128::from(low) & ((1 << INSTANT_BITS) - 1);
    format!("{:0DIGITS$x}", (manual | job << INSTANT_BITS | low) ^ mask(cluster))
}

/// The occurrence that a run id names; `None` where a text is no run id.
pub fn parse_run_id(cluster: u128, text: &str) -> Option<RunName> {
    let is_hex = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)? ^ mask(cluster);
    let job = (number >> INSTANT_BITS & ((1 << JOB_BITS) - 1)) as u64;
    let low = (number & ((1 << INSTANT_BITS) - 1)) as u64;
    Some(if number & MANUAL == 0 {
        RunName::Planned { job, scheduled: low.cast_signed() }
    } else {
        RunName::Manual { job, run: low }
    })
}

/// The first 12 bytes of the digest of a cluster's id.
fn mask(cluster: u128) -> u128 {
    let digest = Sha256::digest(cluster.to_be_bytes());
    digest.iter().take(DIGITS / 2).fold(0, |mask, byte| mask << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: u128 = 0xdead_beef << 96 | 7;

    #[test]
    fn a_run_id_has_24_digits_and_reads_back() {
        let planned = Occurrence { job: 77, scheduled: 1_763_700_000_123, run: 0 };
        let largest = Occurrence { job: (1 << 47) - 1, scheduled: (1 << 48) - 1, run: 0 };
        for of in [planned, largest, Occurrence { job: 1, scheduled: 0, run: 0 }] {
            let id = run_id(CLUSTER, of);
            assert_eq!(id.len(), 24, "{id}");
            let name = RunName::Planned { job: of.job, scheduled: of.scheduled };
            assert_eq!(parse_run_id(CLUSTER, &id), Some(name));
            assert!(name.names(of) && !name.names(Occurrence { run: 1, ..of }));
        }
        let manual = Occurrence { run: 26, ..planned };
        let id = run_id(CLUSTER, manual);
        assert_eq!(id.len(), 24);
        assert_eq!(parse_run_id(CLUSTER, &id), Some(RunName::Manual { job: 77, run: 26 }));
        assert_ne!(id, run_id(CLUSTER, planned));
    }

    /// The id is on the wire and in brokers: it must never change.
    #[test]
    fn a_run_id_stays_what_it_is() {
        let of = Occurrence { job: 77, scheduled: 1_763_700_000_123, run: 0 };
        assert_eq!(run_id(CLUSTER, of), "480788a06cd1843bcc4ff647");
    }

    #[test]
    fn an_id_of_another_cluster_names_another_job() {
        let of = Occurrence { job: 77, scheduled: 1_763_700_000_123, run: 0 };
        let id = run_id(CLUSTER, of);
        let there = parse_run_id(CLUSTER + 1, &id).unwrap();
        assert!(there.job() > 1 << 30, "{there:?}");
    }

    #[test]
    fn what_has_another_length_or_other_digits_is_no_run_id() {
        let long = "0".repeat(25);
        let texts = ["", "00", "+00000000000000000000000", "00000000000000000000000g", &long];
        for text in texts {
            assert_eq!(parse_run_id(CLUSTER, text), None, "{text}");
        }
    }
}
