//! The crashes that the register remembers: which occurrences earlier processes of the node died
//! with, and how many did. Read and written once, at a start; the file is JSON with a checksum.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::marks::{AttemptKey, LeftMark};
use crate::disk;
use crate::model::{JobId, Millis};

/// Age at which a crash is forgotten, in milliseconds: a day.
const REMEMBERED: Millis = 86_400_000;
/// The most occurrences that are remembered; those of the last crashes stay.
const MAX_REMEMBERED: usize = 16_384;

/// An occurrence that processes died with. The file `deaths` holds a list of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Crash {
    pub(super) job: JobId,
    #[serde(rename = "of")]
    pub(super) key: AttemptKey,
    /// The number of processes that died.
    pub(super) count: u32,
    /// The start of the node that was the last of them.
    start: u64,
    /// The scheduler time at which that was found.
    found: Millis,
}

/// Reads a file of the register. A damaged file counts as an empty one.
pub(super) fn stored<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let read = match disk::read_checked(path) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::Other => {
            tracing::warn!(%error, "what earlier processes died with is not known any more");
            None
        }
        Err(error) => return Err(error),
    };
    Ok(read.and_then(|body| serde_json::from_slice(&body).ok()))
}

/// Adds the marks that were found to the crashes that are known. Also returns whether that changed
/// anything. A process counts once, also where later starts read its marks again.
pub(super) fn counted(known: Vec<Crash>, found: Vec<LeftMark>, now: Millis) -> (Vec<Crash>, bool) {
    let before = known.len();
    let mut all: BTreeMap<(AttemptKey, JobId), Crash> = known
        .into_iter()
        .filter(|crash| crash.found > now.saturating_sub(REMEMBERED))
        .map(|crash| ((crash.key, crash.job), crash))
        .collect();
    let mut is_new = all.len() < before;
    for (start, key, jobs) in found {
        for job in jobs {
            let new = Crash { job, key, count: 0, start: 0, found: now };
            let crash = all.entry((key, job)).or_insert(new);
            if crash.start < start {
                (crash.count, crash.start, crash.found) = (crash.count + 1, start, now);
                is_new = true;
            }
        }
    }
    let mut all: Vec<_> = all.into_values().collect();
    if all.len() > MAX_REMEMBERED {
        all.sort_by_key(|crash| std::cmp::Reverse(crash.start));
        all.truncate(MAX_REMEMBERED);
        is_new = true;
    }
    (all, is_new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_counts_once_however_often_its_marks_are_read() {
        let left = |start| vec![(start, (7_000, 0, 1), vec![5])];
        let (once, is_new) = counted(Vec::new(), left(9), 1_000);
        assert!(is_new && once[0].count == 1);
        let (again, is_new) = counted(once.clone(), left(9), 2_000);
        assert_eq!((&again, is_new), (&once, false));
        let (twice, is_new) = counted(once.clone(), left(10), 2_000);
        assert!(is_new && twice[0].count == 2);
        let (later, is_new) = counted(once, Vec::new(), 1_000 + REMEMBERED);
        assert!(is_new && later.is_empty());
        let many = vec![(3, (1, 0, 1), (0..20_000).collect()), (4, (2, 0, 1), vec![1])];
        let (many, _) = counted(Vec::new(), many, 0);
        assert_eq!(many.len(), MAX_REMEMBERED);
        assert_eq!(many[0].start, 4, "the last crashes are kept");
    }

    #[test]
    fn the_file_keeps_its_names() {
        let text = r#"[{"job":5,"of":[7000,0,1],"count":1,"start":9,"found":1000}]"#;
        let crashes: Vec<Crash> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&crashes).unwrap(), text);
    }
}
