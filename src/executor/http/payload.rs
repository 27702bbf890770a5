//! The body of a callback: a JSON array of jobs, as `docs/compatibility.md` shows it.
//!
//! A renderer pushes the jobs of one batch (one shard, one instant, one target), in order of their
//! ids, into a [`Builder`] and gets chunks, none above the limit. The text that jobs share is
//! escaped once a definition ([`DefinitionText`]), since a million jobs a second have to be
//! written.

use std::io::Write as _;

use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use crate::delivery::batch::Instant;
use crate::model::job::{Casing, JobDefinition};
use crate::model::time::rfc3339;
use crate::model::{JobId, Millis};

/// The lengths of the longest instant, id and execution id that can occur.
const LONGEST_INSTANT: usize = "+262142-12-31T23:59:59.999Z".len();
const LONGEST_ID: usize = 20;
const LONGEST_EXECUTION_ID: usize = 8 + 1 + 16 + 1 + 16 + 1 + 16;

/// The parts of a job's text that all jobs of its definition have in common, escaped.
#[derive(Clone, Debug)]
pub struct DefinitionText {
    /// From the project up to the data.
    head: Vec<u8>,
    /// From the execution type up to the last execution's instant.
    middle: Vec<u8>,
    /// From the zone up to the execution id.
    zone: Vec<u8>,
    /// Up to the date of creation.
    created: &'static [u8],
    /// The rest.
    tail: Vec<u8>,
}

impl DefinitionText {
    /// The text of a definition.
    pub fn new(definition: &JobDefinition) -> Self {
        let camel = definition.casing == Casing::Camel;
        let pick = |snake: &'static str, other: &'static str| if camel { other } else { snake };
        let mut head =
            format!(",\"{}\":{},\"spec\":", pick("project_id", "projectId"), definition.project)
                .into_bytes();
        escape(&mut head, &definition.spec);
        head.extend_from_slice(pick(",\"callback_url\":", ",\"callbackUrl\":").as_bytes());
        escape(&mut head, &definition.callback_url);
        head.extend_from_slice(b",\"data\":");
        let mut middle = pick(",\"execution_type\":", ",\"executionType\":").as_bytes().to_vec();
        escape(&mut middle, &definition.execution_type);
        let last = pick(",\"last_execution_date\":\"", ",\"lastExecutionDate\":\"");
        middle.extend_from_slice(last.as_bytes());
        let mut zone = b"\",\"timezone\":".to_vec();
        escape(&mut zone, &definition.timezone);
        zone.extend_from_slice(pick(",\"execution_id\":\"", ",\"executionId\":\"").as_bytes());
        let mut tail = b"\"".to_vec();
        let bounds = [
            ("start_date", "startDate", definition.start),
            ("end_date", "endDate", definition.end),
        ];
        for (snake, other, instant) in bounds {
            if let Some(instant) = instant {
                let name = pick(snake, other);
                tail.extend_from_slice(format!(",\"{name}\":\"{}\"", rfc3339(instant)).as_bytes());
            }
        }
        tail.push(b'}');
        let created = pick("\",\"date_created\":\"", "\",\"dateCreated\":\"").as_bytes();
        Self { head, middle, zone, created, tail }
    }

    /// The most bytes that a body with a single job of this definition can have, for any id and
    /// instants. The api refuses a job above the payload limit.
    pub fn single_len(&self, data: &str) -> usize {
        let mut escaped = Vec::with_capacity(data.len() + 2);
        escape(&mut escaped, data);
        let fixed = self.head.len() + self.middle.len() + self.zone.len() + self.created.len();
        "[{\"id\":]".len()
            + fixed
            + self.tail.len()
            + escaped.len()
            + LONGEST_ID
            + 2 * LONGEST_INSTANT
            + LONGEST_EXECUTION_ID
    }
}

/// One job of a batch.
#[derive(Clone, Copy, Debug)]
pub struct PayloadJob<'a> {
    /// The number of the job.
    pub id: JobId,
    /// The text of its definition.
    pub definition: &'a DefinitionText,
    /// Its data, as the client gave it.
    pub data: &'a str,
    /// The instant of its creation.
    pub created: Millis,
    /// The planned instant before this one; the instant of creation for the first.
    pub last: Millis,
}

/// The body of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// A JSON array.
    pub body: Bytes,
    /// The jobs in it, in the order in which they were pushed.
    pub members: Vec<JobId>,
    /// The value of `webhook-id` and `idempotency-key`: see [`webhook_id`].
    pub webhook_id: String,
}

/// The result of a [`Builder`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// The bodies, none above the limit.
    pub chunks: Vec<Chunk>,
    /// Jobs that are above the limit even alone, as it was lowered after they were created.
    pub oversized: Vec<JobId>,
}

/// Writes the jobs of one batch into chunks.
#[derive(Debug)]
pub struct Builder {
    instant: Instant,
    max_bytes: usize,
    /// The text of an execution id before the job, which is in hex.
    prefix: String,
    /// The text after the job.
    suffix: String,
    body: Vec<u8>,
    members: Vec<JobId>,
    last: Written,
    created: Written,
    built: Built,
}

/// An instant and its text, as neighbours mostly have the same.
#[derive(Debug)]
struct Written(Millis, String);

impl Written {
    fn text(&mut self, instant: Millis) -> &[u8] {
        if self.0 != instant || self.1.is_empty() {
            *self = Written(instant, rfc3339(instant));
        }
        self.1.as_bytes()
    }
}

impl Builder {
    /// Begins a batch; no body is longer than `max_bytes`.
    pub fn new(instant: Instant, max_bytes: usize) -> Self {
        // The model defines the form of an execution id. Only the job in the middle differs within
        // a batch.
        let sample = instant.id(0);
        let (prefix, suffix) = sample.split_once("-0-").unwrap_or_default();
        Self {
            prefix: format!("{prefix}-"),
            suffix: format!("-{suffix}"),
            instant,
            max_bytes,
            body: Vec::new(),
            members: Vec::new(),
            last: Written(0, String::new()),
            created: Written(0, String::new()),
            built: Built::default(),
        }
    }

    /// Adds a job. Ids must ascend, or else `webhook_id` is not stable.
    pub fn push(&mut self, job: &PayloadJob<'_>) {
        let before = self.body.len();
        self.write(job);
        if self.body.len() < self.max_bytes {
            // There is room for the closing bracket.
            self.members.push(job.id);
            return;
        }
        let cut = self.body.split_off(before);
        self.close();
        if cut.len() + 1 > self.max_bytes {
            self.built.oversized.push(job.id);
            return;
        }
        self.body = cut;
        self.body[0] = b'[';
        self.members.push(job.id);
    }

    /// The chunks.
    pub fn finish(mut self) -> Built {
        self.close();
        self.built
    }

    fn write(&mut self, job: &PayloadJob<'_>) {
        let definition = job.definition;
        let body = &mut self.body;
        let mark = if body.is_empty() { b'[' } else { b',' };
        body.push(mark);
        body.extend_from_slice(b"{\"id\":");
        number(body, job.id);
        body.extend_from_slice(&definition.head);
        escape(body, job.data);
        body.extend_from_slice(&definition.middle);
        body.extend_from_slice(self.last.text(job.last));
        body.extend_from_slice(&definition.zone);
        body.extend_from_slice(self.prefix.as_bytes());
        hex(body, job.id);
        body.extend_from_slice(self.suffix.as_bytes());
        body.extend_from_slice(definition.created);
        body.extend_from_slice(self.created.text(job.created));
        body.extend_from_slice(&definition.tail);
    }

    fn close(&mut self) {
        let mut body = std::mem::take(&mut self.body);
        let members = std::mem::take(&mut self.members);
        if members.is_empty() {
            return;
        }
        body.push(b']');
        let webhook_id = webhook_id(self.instant, &members);
        self.built.chunks.push(Chunk { body: Bytes::from(body), members, webhook_id });
    }
}

/// Writes a whole batch with a [`Builder`].
pub fn build<'a>(
    instant: Instant,
    jobs: impl IntoIterator<Item = PayloadJob<'a>>,
    max_bytes: usize,
) -> Built {
    let mut builder = Builder::new(instant, max_bytes);
    for job in jobs {
        builder.push(&job);
    }
    builder.finish()
}

/// The id by which receivers recognize a request, the same whenever the same jobs go out again for
/// the same instant: the execution id of a single job, or else 128 bits of a SHA-256 over what all
/// execution ids share and the jobs in order, in hex.
pub fn webhook_id(instant: Instant, members: &[JobId]) -> String {
    if let [single] = members {
        return instant.id(*single);
    }
    // Cluster and instant are the same for all jobs, so they are hashed once.
    let mut hash = Sha256::new();
    hash.update(instant.id(0));
    for job in members {
        hash.update(job.to_be_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}

/// Appends a JSON string.
fn escape(body: &mut Vec<u8>, text: &str) {
    // Writing to memory cannot fail, and a string always has a JSON form.
    let _ = serde_json::to_writer(body, text);
}

fn number(body: &mut Vec<u8>, number: u64) {
    // Writing to memory cannot fail.
    let _ = write!(body, "{number}");
}

fn hex(body: &mut Vec<u8>, number: u64) {
    let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        body.push(b"0123456789abcdef"[(number >> (4 * place)) as usize & 15]);
    }
}

#[cfg(test)]
mod tests;
