//! Reading the log back when a node starts: every segment is checked, a torn tail is cut, and what
//! is damaged anywhere else refuses the start. Called by `log::LogStore::open` alone.

use std::fs::File;
use std::io;
use std::path::Path;

use openraft::entry::RaftEntry;

use super::index::{Index, Place};
use super::segment::{self, MAGIC, Record, path_of};
use crate::disk;

/// Reads all segments into the index, cuts a torn tail, and gives the segment to write on in.
pub(super) fn load(dir: &Path, index: &mut Index) -> io::Result<Option<(u64, File)>> {
    let numbers = segment::list(dir)?;
    let mut current = None;
    (index.segment, index.offset) = (1, MAGIC.len() as u64);
    for (i, number) in numbers.iter().copied().enumerate() {
        let path = path_of(dir, number);
        let scan = segment::scan(&path)?;
        if let Some(why) = &scan.damage {
            if i + 1 < numbers.len() {
                return Err(io::Error::other(format!(
                    "{} is damaged at offset {}: {why}. It is not the last segment, so this is \
                     not a torn write: restore this node's DataDir or let it join anew with an \
                     empty one under a new NodeId",
                    path.display(),
                    scan.end
                )));
            }
            tracing::warn!(file = %path.display(), offset = scan.end, %why, "cutting the log's torn tail");
            if scan.end == 0 {
                // Not even the head was finished, so no record ever was.
                disk::remove(&path)?;
                disk::sync_dir(dir)?;
                (index.segment, index.offset) = (number, MAGIC.len() as u64);
                continue;
            }
            let file = disk::open(&path)?;
            disk::set_len(&file, scan.end)?;
            disk::sync_all(&file)?;
        }
        for (offset, length, record) in scan.records {
            match record {
                Record::Committed(id) => index.committed = index.committed.max(id),
                Record::Entry(entry) if entry.index() < index.first && index.is_empty() => {}
                Record::Entry(entry) => {
                    // A log from which nothing was purged begins with entry 0.
                    if entry.index() != index.next() {
                        return Err(io::Error::other(format!(
                            "{} at offset {offset}: here is entry {}, entry {} is missing; restore \
                             this node's DataDir",
                            path.display(),
                            entry.index(),
                            index.next()
                        )));
                    }
                    index.push(entry, Place { segment: number, offset, length });
                }
            }
        }
        index.written(index.next());
        (index.segment, index.offset) = (number, scan.end);
        current = Some(number);
    }
    index.highest = index.segment;
    // Segments that an interrupted purge left.
    for number in
        numbers.into_iter().filter(|n| *n < index.first_segment().unwrap_or(index.segment))
    {
        disk::remove(&path_of(dir, number))?;
    }
    // The committed hint may be newer than a tail that was cut off.
    index.committed = index.committed.min(index.last);
    let Some(number) = current.filter(|n| *n == index.segment) else { return Ok(None) };
    let file = disk::open(&path_of(dir, number))?;
    // The scan may have read bytes that a killed process left in the cache and not on the disk.
    disk::sync_all(&file)?;
    Ok(Some((number, file)))
}
