//! The baselines that a run is compared with, measured in the same run on the same machine. Plain
//! SQLite inserts the same rows in transactions of the same size, each synced when it commits. A
//! bare HTTP client sends the bodies that the nodes have sent to the same receiver, by turns with
//! them. `run` calls both.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use rusqlite::{Connection, params};

use super::receiver::{Body, Receiver};
use crate::store::{self, Store};

/// Measurements of plain SQLite; the median counts.
const ROUNDS: usize = 5;
/// Rows in a round, at most: the rate stays the same after that.
const ROWS: usize = 20_000;
/// Requests that the bare client has under way: as many as a node has by default (`MaxWorkers`).
const UNDER_WAY: usize = 64;
/// The longest that the bare client may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Rows per second that plain SQLite inserts in transactions of `batch` rows.
///
/// The tables, indexes and rows are those of a node's store. Nothing else is done: no request is
/// read or checked, nothing is replicated, logged or answered.
pub(super) fn plain_sqlite(folder: &Path, jobs: usize, batch: usize) -> anyhow::Result<f64> {
    let folder = folder.join("plain");
    std::fs::create_dir(&folder)?;
    drop(Store::open(&folder)?);
    let mut conn = Connection::open(folder.join(store::FILE))?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;",
    )?;
    let rows = jobs.min(ROWS);
    let rates = (0..ROUNDS).map(|round| {
        let first = 1 + round * rows;
        let begin = Instant::now();
        for from in (first..first + rows).step_by(batch) {
            insert(&mut conn, from..(from + batch).min(first + rows))?;
        }
        Ok(rows as f64 / begin.elapsed().as_secs_f64())
    });
    let rates: Vec<f64> = rates.collect::<anyhow::Result<_>>()?;
    drop(conn);
    std::fs::remove_dir_all(&folder)?;
    Ok(median(rates))
}

fn insert(conn: &mut Connection, ids: std::ops::Range<usize>) -> rusqlite::Result<()> {
    // Any instant will do.
    const STAMP: i64 = 1_763_700_000_000;
    let tx = conn.transaction()?;
    {
        let mut insert = tx.prepare_cached(
            "INSERT INTO jobs (id, project_id, shape_id, data, created, anchor, plan_from, status,
                 external_id, labelled)
             VALUES (?1, 1, 1, ?2, ?3, ?3, ?3, 0, NULL, 0)",
        )?;
        for id in ids {
            insert.execute(params![id as i64, format!("{{\"n\":{id}}}"), STAMP])?;
        }
    }
    tx.commit()
}

/// The value in the middle; 0 of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A client that does nothing but send.
#[derive(Debug)]
pub(super) struct Baseline {
    http: Client,
}

impl Baseline {
    /// Makes a client without connections.
    pub(super) fn new() -> anyhow::Result<Self> {
        let http = Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?;
        Ok(Self { http })
    }

    /// Sends these bodies to the receiver. Returns the milliseconds from the first byte to the last
    /// arrival.
    pub(super) async fn send(&self, bodies: &[Body], receiver: &Receiver) -> anyhow::Result<f64> {
        let url = receiver.bare_url();
        let begin = receiver.begin_bare();
        let send = |body: &Body| {
            let request = self.http.post(&url).header(CONTENT_TYPE, "application/json");
            let request = request.body(body.clone());
            async move { request.send().await?.error_for_status()?.bytes().await }
        };
        stream::iter(bodies)
            .map(send)
            .buffer_unordered(UNDER_WAY)
            .try_for_each(|_| async { Ok(()) })
            .await
            .context("the bare client")?;
        Ok(receiver.last_bare().duration_since(begin).as_secs_f64() * 1_000.0)
    }
}

/// The times that the nodes and the baseline took for the same bodies.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundTrips {
    /// Milliseconds of each round, of the nodes and of the baseline: from the due instant, or the
    /// beginning, to the last arrival.
    pub(super) taken: Vec<(f64, f64)>,
    /// Requests of a round.
    pub(super) requests: usize,
}

impl RoundTrips {
    /// The medians of both, in milliseconds.
    pub(super) fn medians(&self) -> (f64, f64) {
        let (ours, bare) = self.taken.iter().copied().unzip();
        (median(ours), median(bare))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_sqlite_takes_the_rows_of_the_state_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(plain_sqlite(folder.path(), 2_500, 1_000).unwrap() > 0.0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        let round_trips =
            RoundTrips { taken: vec![(10.0, 2.0), (30.0, 1.0), (20.0, 9.0)], requests: 3 };
        assert_eq!(round_trips.medians(), (20.0, 2.0));
        assert_eq!(RoundTrips::default().medians(), (0.0, 0.0));
    }
}
