//! The files of the log: segments of checksummed records, and the small file beside them that holds
//! vote and purge mark.
//!
//! ```text
//!  segment: magic [8] | record | record | ...      record: len u32 | crc32 u32 | kind u8, postcard
//! ```
//! Frozen, `Marks` and openraft's own types in the entries too: files that were written are kept
//! under `tests/fixtures/formats` and opened by `tests/it/formats.rs`. A change takes another
//! number in `MAGIC`, beside which the old one is still read, and a new folder of fixtures.
//!
//! Used by `log` alone. It knows bytes and files, and nothing of Raft.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::{self, spare};
use crate::raft::types::{Entry, LogId, Vote};

/// The file that holds vote and purge mark.
pub(super) const MARKS: &str = "marks";
/// The first bytes of a segment.
pub(super) const MAGIC: &[u8; 8] = b"S0RAFT\x01\n";
/// The first bytes of the segments of every format; the number of the format follows.
const KIN: &[u8] = b"S0RAFT";
/// Length and checksum before each record.
const HEAD: usize = 8;
/// No record is longer; a length above this is damage.
const MAX_RECORD: u32 = 64 << 20;
const KIND_ENTRY: u8 = 1;
const KIND_COMMITTED: u8 = 2;

/// One record of a segment.
#[derive(Debug, PartialEq)]
pub(super) enum Record {
    /// A log entry.
    Entry(Entry),
    /// The entry up to which the log is known to be committed; a hint, written without a sync of
    /// its own.
    Committed(Option<LogId>),
}

/// The marks that must be durable beside the entries; rewritten as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    /// The vote of this node in its term; `None` before the first.
    pub(super) vote: Option<Vote>,
    /// Entries up to this one are gone.
    pub(super) purged: Option<LogId>,
}

pub(super) fn encode_entry(entry: &Entry, out: &mut Vec<u8>) -> io::Result<usize> {
    encode(KIND_ENTRY, entry, out)
}

pub(super) fn encode_committed(committed: Option<&LogId>, out: &mut Vec<u8>) -> io::Result<usize> {
    encode(KIND_COMMITTED, &committed, out)
}

fn encode<T: Serialize>(kind: u8, value: &T, out: &mut Vec<u8>) -> io::Result<usize> {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.push(kind);
    let mut bytes = postcard::to_extend(value, std::mem::take(out)).map_err(io::Error::other)?;
    let body = &bytes[start + HEAD..];
    let len = u32::try_from(body.len()).ok().filter(|n| *n <= MAX_RECORD);
    let len = len.ok_or_else(|| io::Error::other("a log record is longer than 64 MB"))?;
    let crc = crc32fast::hash(body);
    bytes[start..start + 4].copy_from_slice(&len.to_le_bytes());
    bytes[start + 4..start + HEAD].copy_from_slice(&crc.to_le_bytes());
    *out = bytes;
    Ok(out.len() - start)
}

fn decode(body: &[u8]) -> Result<Record, String> {
    let (kind, rest) = body.split_first().ok_or("an empty record")?;
    match *kind {
        KIND_ENTRY => postcard::from_bytes(rest).map(Record::Entry).map_err(|e| e.to_string()),
        KIND_COMMITTED => {
            postcard::from_bytes(rest).map(Record::Committed).map_err(|e| e.to_string())
        }
        other => Err(format!("a record of kind {other}, which this version does not know")),
    }
}

/// The result of a scan of a segment.
pub(super) struct Scan {
    /// The records with their offsets and lengths (head included).
    pub(super) records: Vec<(u64, u32, Record)>,
    /// The offset after the last good record.
    pub(super) end: u64,
    /// The reason why the scan ended before the file did.
    pub(super) damage: Option<String>,
}

/// Reads a whole segment. A record whose checksum is right and that yet cannot be understood is an
/// error, never damage: it was written by a newer version, and cutting it would lose it.
pub(super) fn scan(path: &Path) -> io::Result<Scan> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let mut found = Scan { records: Vec::new(), end: 0, damage: None };
    if !bytes.starts_with(MAGIC) {
        let number = bytes.strip_prefix(KIN).and_then(|rest| rest.first());
        if let Some(other) = number.filter(|n| **n != 0 && **n != MAGIC[KIN.len()]) {
            return Err(io::Error::other(format!(
                "{} has format {other} of the log, this binary knows format {}: upgrade it",
                path.display(),
                MAGIC[KIN.len()]
            )));
        }
        // The head is synced before the first record is written: only a file that holds nothing
        // else can have been cut off in it.
        if bytes.len() > MAGIC.len() {
            return Err(io::Error::other(format!(
                "{} does not begin as a log segment",
                path.display()
            )));
        }
        found.damage = Some("its head is cut off".to_owned());
        return Ok(found);
    }
    let mut at = MAGIC.len();
    while at < bytes.len() {
        match frame(&bytes[at..]) {
            Ok(body) => {
                let record = decode(body).map_err(|why| {
                    io::Error::other(format!("{} at offset {at}: {why}", path.display()))
                })?;
                let length = HEAD + body.len();
                found.records.push((at as u64, length as u32, record));
                at += length;
            }
            Err(why) => {
                found.damage = Some(why);
                break;
            }
        }
    }
    found.end = at as u64;
    Ok(found)
}

/// The body of the record that `bytes` begin with.
fn frame(bytes: &[u8]) -> Result<&[u8], String> {
    let number = |at: usize| -> Option<u32> {
        bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
    };
    let (Some(len), Some(crc)) = (number(0), number(4)) else {
        return Err("the record's head is cut off".to_owned());
    };
    // A length of 0 is what a file that was extended but never written reads as.
    if len == 0 || len > MAX_RECORD {
        return Err(format!("the record's length {len} is impossible"));
    }
    let body = bytes.get(HEAD..HEAD + len as usize).ok_or("the record is cut off")?;
    if crc32fast::hash(body) != crc {
        return Err("the record's checksum is wrong".to_owned());
    }
    Ok(body)
}

/// Reads one entry back.
pub(super) fn read_entry(file: &File, path: &Path, at: u64, length: u32) -> io::Result<Entry> {
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, at)?;
    let broken =
        |why: String| io::Error::other(format!("{} at offset {at}: {why}", path.display()));
    match decode(frame(&bytes).map_err(broken)?).map_err(broken)? {
        Record::Entry(entry) => Ok(entry),
        Record::Committed(_) => Err(broken("not an entry".to_owned())),
    }
}

/// The path of a segment.
pub(super) fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.log"))
}

/// The numbers of the segments in a folder, ascending.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for file in spare::open(|| fs::read_dir(dir), spare::is_exhausted)? {
        let name = file?.file_name();
        if let Some(number) = name.to_str().and_then(|n| n.strip_suffix(".log")) {
            numbers.extend(number.parse::<u64>());
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes an empty segment; it survives a crash once this returns.
pub(super) fn create(dir: &Path, number: u64) -> io::Result<File> {
    let file = disk::create_new(&path_of(dir, number))?;
    disk::write_at(&file, MAGIC, 0)?;
    disk::sync_data(&file)?;
    disk::sync_dir(dir)?;
    Ok(file)
}
