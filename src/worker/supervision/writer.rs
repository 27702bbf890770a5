//! The writer of the supervisor's entries: appends them to the own journal in the order in which
//! they were asked for, again until it succeeds, and then has the leader told. While one write is
//! under way, entries gather for the next.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::done::Done;
use crate::clock::SchedulerTime;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::model::attempt::JournalEntry;
use crate::telemetry::LogLimit;
use crate::worker::send::SendEvent;
use crate::worker::supervisor::{AppendId, Event};

/// Pause after a write that failed, in milliseconds.
const RETRY_MS: u64 = 250;
/// The most appends of one write.
const MAX_APPENDS: usize = 1_024;
/// The least time between two notices to the leader, in milliseconds.
const NOTICE_MS: u64 = 20;

/// Entries that are to be appended, with the number by which the supervisor knows them.
pub(super) type Appending = (AppendId, Vec<JournalEntry>);

/// The writer of the own journal; see the head of this file.
pub(super) struct Writer {
    pub(super) journal: Journal,
    pub(super) time: Arc<SchedulerTime>,
    /// The entries that are to be written.
    pub(super) appends: mpsc::UnboundedReceiver<Appending>,
    /// The task hears that entries are synced.
    pub(super) done: mpsc::UnboundedSender<Done>,
    /// The engine hears of entries about its rows.
    pub(super) engine: mpsc::UnboundedSender<SendEvent>,
    pub(super) metrics: Arc<Metrics>,
    /// Notified after each write.
    pub(super) grew: Arc<Notify>,
}

impl Writer {
    /// Writes until nobody asks any more.
    pub(super) async fn run(mut self) {
        let mut waiting = Vec::new();
        while self.appends.recv_many(&mut waiting, MAX_APPENDS).await > 0 {
            self.write(std::mem::take(&mut waiting)).await;
        }
    }

    async fn write(&self, appends: Vec<Appending>) {
        static LINES: LogLimit<()> = LogLimit::new();
        let mut entries = Vec::new();
        let mut ends = Vec::with_capacity(appends.len());
        for (id, own) in appends {
            entries.extend(own);
            ends.push((id, entries.len() as u64));
        }
        let last = loop {
            match self.journal.append(entries.clone()).await {
                Ok(last) => break last,
                Err(error) => {
                    if let Some(unsaid) = LINES.admit(()) {
                        tracing::error!(
                            %error,
                            unsaid,
                            "the journal cannot be written; no run is handed out until it can"
                        );
                    }
                    pause(&self.time, RETRY_MS).await;
                }
            }
        };
        for entry in &entries {
            if let JournalEntry::Attempt(record) = entry {
                self.metrics.ended(record.verdict, record.members.len());
            }
        }
        let count = entries.len() as u64;
        entries.retain(is_about_row);
        if !entries.is_empty() {
            // The engine outlives the task, except at the very end of the process.
            let _ = self.engine.send(SendEvent::Journaled(entries));
        }
        for (id, end) in ends {
            // Appended together, they have consecutive numbers.
            let event = Event::Appended { id, seq: last - (count - end) };
            let _ = self.done.send(Done::Event(event));
        }
        self.grew.notify_one();
    }
}

/// Says whether an entry is about a pending row, which the engine may know.
fn is_about_row(entry: &JournalEntry) -> bool {
    match entry {
        JournalEntry::Attempt(record) => record.pending.is_some(),
        JournalEntry::Offered(offer) => offer.pending.is_some(),
        JournalEntry::Taken(taken) => taken.offer.pending.is_some(),
        JournalEntry::Watermarks(_) | JournalEntry::Progress(_) => false,
    }
}

/// Has the leader told that the journal has grown, at once but not more often than every
/// [`NOTICE_MS`], until dropped.
pub(super) async fn tell_growth(
    grew: Arc<Notify>,
    tell: Arc<dyn Fn() + Send + Sync>,
    time: Arc<SchedulerTime>,
) {
    loop {
        grew.notified().await;
        tell();
        pause(&time, NOTICE_MS).await;
    }
}

/// Waits for so many milliseconds.
pub(super) async fn pause(time: &SchedulerTime, ms: u64) {
    pause_until(time, time.clock().boot() + ms).await;
}

/// Waits until an instant of the boot clock, in milliseconds.
pub(super) async fn pause_until(time: &SchedulerTime, wake: u64) {
    while time.clock().boot() < wake {
        time.clock().sleep_until(wake).await;
    }
}
