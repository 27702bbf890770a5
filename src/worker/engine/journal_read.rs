//! Reading the own journal before a range is loaded: the results that the cluster does not have
//! yet. Loading calls this; it writes nothing.

use tokio::sync::oneshot;

use crate::journal::Journal;
use crate::model::attempt::JournalEntry;

/// The number of bytes read at a time.
const READ_BYTES: usize = 4 << 20;

/// The entries that the journal holds and the cluster has not recorded yet, with their sequence
/// numbers. Blocks. Fails when an entry cannot be read, since what it settles would be done again.
pub(super) fn unforgotten(journal: &Journal) -> Result<Vec<(u64, JournalEntry)>, String> {
    let mut entries = Vec::new();
    let mut after = journal.state().forgotten;
    loop {
        // Asked before the read: what is synced meanwhile need not be in it.
        let synced = journal.state().synced;
        let page = journal.read(after, READ_BYTES);
        let Some(last) = (page.entries.len() as u64).checked_sub(1) else {
            return if page.first > synced {
                Ok(entries)
            } else {
                Err(format!("entry {} of the journal cannot be read", page.first))
            };
        };
        after = page.first + last;
        entries.extend((page.first..).zip(page.entries));
    }
}

/// As [`unforgotten`], on a thread of its own that nothing else keeps busy.
pub(in crate::worker) async fn read_unforgotten(
    journal: Journal,
) -> Result<Vec<(u64, JournalEntry)>, String> {
    let (answer, read) = oneshot::channel();
    let thread = std::thread::Builder::new().name("journal-read".to_owned());
    let spawned = thread.spawn(move || {
        // The engine may be gone with the process.
        let _ = answer.send(unforgotten(&journal));
    });
    spawned.map_err(|error| format!("no thread reads the journal: {error}"))?;
    read.await.map_err(|_| "the journal was not read to its end".to_owned())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Options;
    use crate::model::attempt::Watermark;

    #[tokio::test]
    async fn a_journal_that_cannot_be_read_is_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        // Nothing is kept in memory.
        let options = Options { min_free: 0, rotate: 4_096, window: 0, ..Options::default() };
        let (journal, _) = Journal::open(dir.path(), options).unwrap();
        let entry = |at| JournalEntry::Watermarks(vec![Watermark { shard: 7, epoch: 3, at }; 4]);
        for at in 0..300 {
            journal.append(vec![entry(at)]).await.unwrap();
        }
        let all: Vec<_> = (1..).zip((0..300).map(entry)).collect();
        assert_eq!(read_unforgotten(journal.clone()).await.unwrap(), all);
        journal.forget(journal.state().incarnation, 100);
        assert_eq!(read_unforgotten(journal.clone()).await.unwrap(), all[100..]);
        // The last file is out of reach, as all are for a process without a free descriptor.
        let mut files: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let last = files.pop().unwrap();
        let away = dir.path().join("away");
        std::fs::rename(&last, &away).unwrap();
        let why = read_unforgotten(journal.clone()).await.unwrap_err();
        assert!(why.contains("cannot be read"), "{why}");
        // An entry that is forgotten meanwhile need not be read.
        std::fs::rename(&away, &last).unwrap();
        journal.forget(journal.state().incarnation, 300);
        assert_eq!(read_unforgotten(journal).await, Ok(Vec::new()));
    }
}
