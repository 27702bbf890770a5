//! One file of the journal: its form on disk, and the functions that make, read and check it.
//!
//! ```text
//!   header (36 B): "S0JRNL02" | incarnation u128 | first seq u64 | crc32 u32     little endian
//!   record:        length u32 | crc32 u32 | seq u64 | group u64 | entry (postcard)
//!   then zeros up to the reserved length
//! ```
//!
//! `length` counts the bytes behind the checksum, and the checksum covers them. `group` is the
//! first sequence number of the write that carried the record. One write is on disk before the next
//! begins, so a record of a later group behind a damaged one proves that the damaged one had been
//! safe on disk. So a torn tail, which is cut, differs from damage, which is refused. The writer
//! and the handle call these functions; they know nothing of windows or acknowledgements.
//!
//! The form is frozen, and so are the entries ([`JournalEntry`] with all its parts). Files that
//! were written are kept under `tests/fixtures/formats`, and `tests/it/formats.rs` opens them. A
//! change takes another number in `MAGIC`, beside which the old one is still read, and a new folder
//! of fixtures.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::error::Error;
use crate::disk;
use crate::model::attempt::JournalEntry;

const MAGIC: &[u8; 8] = b"S0JRNL02";
/// The beginning of the files of all formats; the number of the format follows.
const KIN: &[u8] = b"S0JRNL";
/// Bytes of the header.
pub(super) const HEADER: u64 = 36;
/// Bytes of a record before its entry.
pub(super) const FRAME: usize = 24;
/// The greatest length of a record. No entry comes near it, so a greater one is damage.
const MAX_RECORD: usize = 64 << 20;

/// The file of a segment by its first sequence number. Names sort as numbers do.
pub(super) fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.journal"))
}

/// Makes a segment with its header, durably, name included.
pub(super) fn create(dir: &Path, incarnation: u128, first: u64, reserve: u64) -> io::Result<File> {
    let temporary = dir.join("next.tmp");
    let file = disk::create_over(&temporary)?;
    disk::reserve(&file, 0, reserve)?;
    let mut header = Vec::with_capacity(HEADER as usize);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&incarnation.to_le_bytes());
    header.extend_from_slice(&first.to_le_bytes());
    header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
    disk::write_at(&file, &header, 0)?;
    disk::sync_all(&file)?;
    disk::rename(&temporary, &path(dir, first))?;
    disk::sync_dir(dir)?;
    Ok(file)
}

/// Appends a record to a buffer.
pub(super) fn frame(buffer: &mut Vec<u8>, seq: u64, group: u64, entry: &[u8]) {
    let length = (entry.len() + 16) as u32;
    buffer.extend_from_slice(&length.to_le_bytes());
    let checksum = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&seq.to_le_bytes());
    buffer.extend_from_slice(&group.to_le_bytes());
    buffer.extend_from_slice(entry);
    let crc = crc32fast::hash(&buffer[checksum + 4..]);
    buffer[checksum..checksum + 4].copy_from_slice(&crc.to_le_bytes());
}

/// A record, as found on disk.
struct Found<'a> {
    seq: u64,
    entry: &'a [u8],
    length: usize,
}

/// The record at the beginning of these bytes, if it is whole.
fn record(bytes: &[u8]) -> Option<Found<'_>> {
    let length = u32_at(bytes, 0)? as usize;
    if !(16..=MAX_RECORD).contains(&length) {
        return None;
    }
    let crc = u32_at(bytes, 4)?;
    let content = bytes.get(8..8 + length)?;
    if crc32fast::hash(content) != crc {
        return None;
    }
    Some(Found { seq: u64_at(content, 0)?, entry: &content[16..], length: 8 + length })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The result of the scan of a segment.
pub(super) struct Scan {
    /// The incarnation in its header.
    pub(super) incarnation: u128,
    /// The sequence number after the last whole record.
    pub(super) next: u64,
    /// Whether other bytes than zeros follow: a torn tail.
    pub(super) torn: bool,
}

/// Reads a segment from its beginning. Only the `last` one may have a torn tail. `each` gets every
/// entry with the sequence number, offset and length of its record.
pub(super) fn scan(
    dir: &Path,
    first: u64,
    last: bool,
    mut each: impl FnMut(u64, u64, u64, JournalEntry),
) -> Result<Scan, Error> {
    let path = path(dir, first);
    let mut bytes = Vec::new();
    File::open(&path)?.read_to_end(&mut bytes)?;
    let damaged = |at: usize, what: &str| Error::Damaged {
        path: path.display().to_string(),
        offset: at as u64,
        what: what.to_owned(),
    };
    if let Some(format) = bytes.strip_prefix(KIN).and_then(|rest| rest.get(..2))
        && format != &MAGIC[KIN.len()..]
        && format.iter().all(u8::is_ascii_digit)
    {
        let format = String::from_utf8_lossy(format).into_owned();
        return Err(Error::Format { path: path.display().to_string(), format });
    }
    let whole = bytes.get(..HEADER as usize).filter(|header| {
        header.starts_with(MAGIC) && u32_at(header, 32) == Some(crc32fast::hash(&header[..32]))
    });
    let Some(header) = whole else { return Err(damaged(0, "its header is damaged")) };
    // The slice is sixteen bytes long.
    let incarnation = u128::from_le_bytes(header[8..24].try_into().unwrap_or_default());
    if u64_at(header, 24) != Some(first) {
        return Err(damaged(0, "its header and its name differ"));
    }
    let (mut at, mut next) = (HEADER as usize, first);
    while let Some(found) = record(&bytes[at..]) {
        if found.seq != next {
            return Err(damaged(at, "a record is out of order"));
        }
        let entry = postcard::from_bytes(found.entry)
            .map_err(|_| damaged(at, "a record cannot be decoded (written by a newer version?)"))?;
        each(next, at as u64, found.length as u64, entry);
        at += found.length;
        next += 1;
    }
    let torn = bytes[at..].iter().any(|b| *b != 0);
    if torn && (!last || proves_sync(&bytes[at..], next)) {
        return Err(damaged(at, "a record is damaged"));
    }
    Ok(Scan { incarnation, next, torn })
}

/// Whether a record behind a damaged one comes from a later write, so that the damaged one had been
/// on disk.
fn proves_sync(bytes: &[u8], damaged: u64) -> bool {
    let plausible = damaged..damaged.saturating_add(MAX_RECORD as u64);
    (1..bytes.len().saturating_sub(FRAME)).any(|at| {
        // The numbers are checked first, as a checksum takes long.
        let (seq, group) = (u64_at(bytes, at + 8), u64_at(bytes, at + 16));
        seq.is_some_and(|seq| plausible.contains(&seq))
            && group.is_some_and(|group| group > damaged && Some(group) <= seq)
            && record(&bytes[at..]).is_some()
    })
}

/// Reads the records of a segment up to number `upto`, from the offset at which the record `seq`
/// begins, until `take` returns false.
pub(super) fn read_from(
    dir: &Path,
    first: u64,
    (mut at, mut seq): (u64, u64),
    upto: u64,
    mut take: impl FnMut(u64, usize, JournalEntry) -> bool,
) -> io::Result<()> {
    let file = disk::open_to_read(&path(dir, first))?;
    let mut bytes = Vec::new();
    while seq <= upto {
        let damaged =
            || io::Error::new(io::ErrorKind::InvalidData, format!("record {seq} is damaged"));
        bytes.resize(8, 0);
        file.read_exact_at(&mut bytes, at)?;
        let length = u32_at(&bytes, 0).unwrap_or(0) as usize;
        if !(16..=MAX_RECORD).contains(&length) {
            return Err(damaged());
        }
        bytes.resize(8 + length, 0);
        file.read_exact_at(&mut bytes[8..], at + 8)?;
        let found = record(&bytes).filter(|found| found.seq == seq).ok_or_else(damaged)?;
        let entry = postcard::from_bytes(found.entry).map_err(|_| damaged())?;
        if !take(seq, found.length, entry) {
            break;
        }
        at += found.length as u64;
        seq += 1;
    }
    Ok(())
}

/// The first sequence numbers of the segments in a folder, ascending.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for file in std::fs::read_dir(dir)? {
        let name = file?.file_name();
        let first = name.to_str().and_then(|n| n.strip_suffix(".journal")?.parse::<u64>().ok());
        firsts.extend(first);
    }
    firsts.sort_unstable();
    Ok(firsts)
}
