//! Execution ids: the ids of occurrences as people and receivers see them. The worker sends them;
//! the API shows and parses them.

use super::run::Occurrence;
use super::{JobId, Millis};

/// The id of a planned occurrence: the same over retries, failover, restart and restore, because it
/// is a function of nothing but the cluster, the job and the scheduled instant.
pub fn execution_id(cluster: u128, job: JobId, scheduled: Millis) -> String {
    occurrence_id(cluster, Occurrence { job, scheduled, run: 0 })
}

/// The id of any occurrence: that of a manual run names its number too.
pub fn occurrence_id(cluster: u128, occurrence: Occurrence) -> String {
    let Occurrence { job, scheduled, run } = occurrence;
    let cluster = (cluster >> 96) as u32;
    match run {
        0 => format!("{cluster:08x}-{job:x}-{scheduled:x}"),
        run => format!("{cluster:08x}-{job:x}-{scheduled:x}-{run:x}"),
    }
}

/// The occurrence that an execution id names; `None` when it is not one.
pub fn parse_execution_id(text: &str) -> Option<Occurrence> {
    let mut parts = text.split('-');
    let _cluster = u32::from_str_radix(parts.next()?, 16).ok()?;
    let job = u64::from_str_radix(parts.next()?, 16).ok()?;
    let scheduled = i64::from_str_radix(parts.next()?, 16).ok()?;
    let run = parts.next().map_or(Some(0), |run| u64::from_str_radix(run, 16).ok())?;
    parts.next().is_none().then_some(Occurrence { job, scheduled, run })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_id_names_its_job_and_instant() {
        let id = execution_id(0xdead_beef << 96, 77, 1_763_700_000_000);
        assert_eq!(id, format!("deadbeef-4d-{:x}", 1_763_700_000_000_i64));
        let planned = Occurrence { job: 77, scheduled: 1_763_700_000_000, run: 0 };
        assert_eq!(parse_execution_id(&id), Some(planned));
        let manual = Occurrence { run: 26, ..planned };
        assert_eq!(occurrence_id(0xdead_beef << 96, manual), format!("{id}-1a"));
        assert_eq!(parse_execution_id(&format!("{id}-1a")), Some(manual));
        assert_eq!(parse_execution_id(&format!("{id}-1a-2")), None);
        assert_eq!(parse_execution_id("deadbeef-4d"), None);
    }
}
