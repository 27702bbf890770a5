//! The resources that the process uses: file descriptors, disk space, and lines that the log lost.
//! `super::Metrics` registers the collector, and a task of the node measures. A scrape of
//! `/metrics` gets the last reading and touches no file; nothing here is on the path of a firing.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use rustix::process::{Resource, getrlimit};

use crate::telemetry;

/// The parts of `DataDir`, and what their names in it begin with.
const PARTS: [(&str, &str); 4] =
    [("log", "raft"), ("state", "state.db"), ("journal", "journal"), ("snapshots", "snapshots")];
/// A folder in a folder in a part is the deepest there is.
const DEPTH: usize = 3;

/// The collector; it knows nothing of the disk before it got the folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Process(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    data_dir: OnceLock<PathBuf>,
    reading: Mutex<Reading>,
}

/// The last reading.
#[derive(Clone, Debug, Default)]
struct Reading {
    open_descriptors: Option<u64>,
    disk_free: Option<u64>,
    /// Bytes, by part.
    disk: Vec<(&'static str, u64)>,
}

impl Process {
    /// Says where the data lives, and measures; the first word counts.
    pub(super) fn watch_disk(&self, data_dir: PathBuf) {
        let _ = self.0.data_dir.set(data_dir);
        self.measure();
    }

    /// Takes a new reading. Blocks on the file system.
    pub(super) fn measure(&self) {
        let dir = self.0.data_dir.get();
        let free = dir.and_then(|dir| rustix::fs::statvfs(dir).ok());
        let parts = dir.into_iter().flat_map(|dir| PARTS.map(|(part, name)| (part, dir, name)));
        let reading = Reading {
            open_descriptors: open_descriptors(),
            disk_free: free.map(|disk| disk.f_bavail * disk.f_frsize),
            disk: parts.map(|(part, dir, name)| (part, taken_by(dir, name))).collect(),
        };
        *self.0.reading.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: Option<u64>| {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            value.map_or(Ok(()), |value| metric.encode_gauge(&value.cast_signed()))
        };
        let reading = self.0.reading.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let open = reading.open_descriptors;
        gauge("process_open_fds", "File descriptors that are open", open)?;
        let most = getrlimit(Resource::Nofile).current;
        gauge("process_max_fds", "File descriptors that may be open", most)?;
        let free = reading.disk_free;
        gauge("disk_free_bytes", "Free space of the disk that DataDir is on", free)?;
        let help = "Space that DataDir takes, by part";
        let mut metric = encoder.encode_descriptor("disk_bytes", help, None, MetricType::Gauge)?;
        for (part, taken) in reading.disk {
            metric.encode_family(&[("part", part)])?.encode_gauge(&taken.cast_signed())?;
        }
        let help = "Log lines that were dropped because nobody read stderr in time";
        let mut metric =
            encoder.encode_descriptor("log_lines_dropped", help, None, MetricType::Counter)?;
        metric.encode_counter::<[(&str, &str); 0], _, u64>(&telemetry::dropped_lines(), None)
    }
}

fn open_descriptors() -> Option<u64> {
    // Reading the folder opens one of them.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

/// The disk blocks of all files in a folder whose names begin with `prefix`, in bytes. Files that
/// vanish meanwhile are left out.
fn taken_by(dir: &Path, name: &str) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(name));
    ours.map(|entry| taken(&entry.path(), DEPTH)).sum()
}

fn taken(path: &Path, depth: usize) -> u64 {
    let Ok(data) = fs::symlink_metadata(path) else { return 0 };
    if !data.is_dir() || depth == 0 {
        return data.blocks() * 512;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| taken(&entry.path(), depth - 1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_folder_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("raft")).unwrap();
        for name in ["state.db", "state.db-wal", "raft/1.log", "other"] {
            fs::write(dir.path().join(name), vec![1; 10_000]).unwrap();
        }
        let state = taken_by(dir.path(), "state.db");
        assert!(state >= 20_000, "{state}");
        assert!((10_000..state).contains(&taken_by(dir.path(), "raft")));
        assert_eq!(taken_by(dir.path(), "journal"), 0);
        assert!(open_descriptors().unwrap() > 2);
    }
}
