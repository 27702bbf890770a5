//! Watches this node's memory and disk and says so in [`Pressure`], which the api refuses writes by
//! and the renewals report. It frees nothing itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::app::Pressure;
use crate::clock::Clock;
use crate::disk::spare;
use crate::journal::Journal;
use crate::metrics::Metrics;

/// Time between two looks, in milliseconds.
const LOOK_MS: u64 = 500;
/// Percent of `MaxMemory` above which client writes are refused.
const MEMORY_PERCENT: u8 = 70;

/// The watch and what it writes to.
pub(super) struct Watch {
    /// `DataDir`.
    pub(super) dir: PathBuf,
    /// `MaxMemory` in bytes; `None` for no limit.
    pub(super) max_memory: Option<u64>,
    /// Free bytes below which client writes are refused.
    pub(super) disk_reserve: u64,
    /// The state that the API asks.
    pub(super) pressure: Arc<Pressure>,
    /// Memory in percent of `MaxMemory`, for the renewals; 0 without a limit.
    pub(super) memory: Arc<AtomicU8>,
    /// The journal whose room is watched.
    pub(super) journal: Journal,
    /// Shows the memory.
    pub(super) metrics: Arc<Metrics>,
    /// Paces the looks.
    pub(super) clock: Arc<dyn Clock>,
}

impl Watch {
    /// Looks until dropped.
    pub(super) async fn run(self) {
        loop {
            self.look();
            self.clock.sleep_until(self.clock.boot() + LOOK_MS).await;
        }
    }

    fn look(&self) {
        spare::refill();
        self.pressure.set_journal(self.journal.state().trouble);
        if let Some(bytes) = anonymous_memory() {
            self.metrics.memory_bytes.set(bytes as i64);
            if let Some(max) = self.max_memory.filter(|max| *max > 0) {
                let percent = (bytes * 100 / max).min(255) as u8;
                self.memory.store(percent, Ordering::Relaxed);
                let short = percent > MEMORY_PERCENT;
                if self.pressure.set_memory(short) != short {
                    if short {
                        tracing::warn!(
                            percent,
                            "memory is above 70 % of MaxMemory: client writes are refused"
                        );
                    } else {
                        tracing::info!(percent, "memory is below 70 % of MaxMemory again");
                    }
                }
            }
        }
        if self.disk_reserve == 0 {
            return;
        }
        match rustix::fs::statvfs(&self.dir) {
            Ok(disk) => {
                let free = disk.f_bavail * disk.f_frsize;
                let short = free < self.disk_reserve;
                if self.pressure.set_disk(short) != short {
                    if short {
                        tracing::error!(
                            free,
                            "DataDir's disk is almost full: client writes are refused"
                        );
                    } else {
                        tracing::info!(free, "DataDir's disk has room again");
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "the free space of DataDir cannot be read"),
        }
    }
}

/// The process's anonymous resident memory, in bytes; `None` where the system does not say.
pub(super) fn anonymous_memory() -> Option<u64> {
    parse_anonymous(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_anonymous(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::journal::Options;

    #[test]
    fn a_journal_without_room_is_told_to_the_api() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { min_free: u64::MAX, ..Options::default() };
        let (journal, _) = Journal::open(dir.path(), options).unwrap();
        let pressure = Arc::new(Pressure::default());
        let watch = Watch {
            dir: dir.path().to_owned(),
            max_memory: None,
            disk_reserve: 0,
            pressure: pressure.clone(),
            memory: Arc::default(),
            journal,
            metrics: Arc::new(Metrics::new()),
            clock: Arc::new(SystemClock),
        };
        watch.look();
        let trouble = pressure.journal().expect("there is no room");
        assert!(trouble.contains("bytes free on the disk"), "{trouble}");
    }

    #[test]
    fn memory_is_read_from_the_systems_words() {
        let text = "Name:\tx\nVmRSS:\t  900 kB\nRssAnon:\t     512 kB\n";
        assert_eq!(parse_anonymous(text), Some(512 * 1_024));
        assert_eq!(parse_anonymous("Name:\tx\n"), None);
    }
}
