//! Dead letters: listed, replayed one by one or by filter at a rate, or purged for good. Members
//! that went out in one request are one letter.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, refused};
use crate::app::idempotency::Key;
use crate::app::page::{After, Page, PageWriter};
use crate::app::state::App;
use crate::command::{Command, Outcome};
use crate::model::Millis;
use crate::model::time::rfc3339;
use crate::store::dead_letters::{self, DeadLetter, Filter, Order, Walked};
use crate::store::meta;

/// The letters of one command.
const CHUNK: usize = 500;
/// The most letters that one read looks at.
const MAX_SCANNED: u64 = 2_000;
/// The highest rate of a replay, in occurrences a second.
const MOST_RATE: u64 = 1_000_000;

/// A dead letter.
#[derive(Clone, Debug, PartialEq)]
pub struct LetterRecord {
    /// The cluster's id, which is part of execution ids.
    pub cluster: u128,
    /// The letter.
    pub letter: DeadLetter,
}

/// The letters that a replay or a purge of many is about: those that a filter finds, up to a letter
/// where one is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterSelection {
    filter: Filter,
    last: Option<u64>,
}

impl LetterSelection {
    /// Checks a selection by a filter; `all` says that every letter is meant. `verb` is what is to
    /// be done, for the message.
    ///
    /// # Errors
    ///
    /// `Unprocessable` where the filter is empty and `all` is not set, or where both are given.
    pub fn new(verb: &'static str, filter: Filter, all: bool) -> Result<Self, Error> {
        let narrow = filter != Filter::default();
        let message = match (narrow, all) {
            (false, false) => format!(
                "name what to {verb} by projectId, jobId, target, from or until, or say \"all\": true \
                 to {verb} every dead letter"
            ),
            (true, true) => "give a filter or all, not both".to_owned(),
            _ => return Ok(Self { filter, last: None }),
        };
        Err(Error::unprocessable(message).field("all"))
    }

    /// The selection without letters that were recorded after this one.
    #[must_use]
    pub fn up_to(self, last: u64) -> Self {
        Self { last: Some(last), ..self }
    }
}

/// Checks the rate of a replay, in occurrences a second.
///
/// # Errors
///
/// `Invalid` where it is out of bounds.
pub fn replay_rate(rate: u64) -> Result<u64, Error> {
    if !(1..=MOST_RATE).contains(&rate) {
        let message = format!("ratePerSecond must be from 1 to {MOST_RATE} occurrences");
        return Err(Error::invalid("ratePerSecond", message));
    }
    Ok(rate)
}

/// The result of a replay or purge of many letters, or of a dry run. It is remembered under the
/// key of its request, so its form is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkLetterResult {
    /// Nothing was done.
    pub dry_run: bool,
    /// The number of letters.
    pub letters: u64,
    /// The number of their members.
    pub occurrences: u64,
    /// The instant at which the last of them is tried, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl App {
    /// Writes a page of the letters that match.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn list_dead_letters<W: PageWriter<LetterRecord>>(
        &self,
        actor: &Actor,
        filter: Filter,
        page: Page<Order>,
        mut writer: W,
    ) -> Result<W::Written, Error> {
        authorize(actor, Action::DeadLettersRead, Resource::of_project(filter.project))?;
        let written = self.read(actor, move |conn| {
            writer.begin(dead_letters::total(conn, &filter)?.into());
            let cluster = meta::cluster_id(conn)?.unwrap_or_default();
            dead_letters::each(conn, &filter, &page, |letter| {
                let after = After { key: None, id: letter.id };
                Ok(writer.push(LetterRecord { cluster, letter }, after))
            })?;
            Ok(writer.end())
        });
        written.await
    }

    /// Reads the id of the letter that was recorded last; 0 where there is none. No id is given
    /// twice, so that it bounds a selection to what there was.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when it cannot be read in time.
    pub async fn last_dead_letter(&self, actor: &Actor) -> Result<u64, Error> {
        authorize(actor, Action::DeadLettersRead, Resource::Any)?;
        self.read(actor, dead_letters::last_id).await
    }

    /// Reads a letter.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none.
    pub async fn get_dead_letter(&self, actor: &Actor, id: u64) -> Result<LetterRecord, Error> {
        authorize(actor, Action::DeadLettersRead, Resource::Any)?;
        let found = self.read(actor, move |conn| {
            let Some(letter) = dead_letters::get(conn, id)? else { return Ok(None) };
            let cluster = meta::cluster_id(conn)?.unwrap_or_default();
            Ok(Some(LetterRecord { cluster, letter }))
        });
        found.await?.ok_or_else(missing_dead_letter)
    }

    /// Replays a letter now.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none; `NoSpace` or `Unavailable` while this node is short of disk
    /// or memory, or without a leader.
    pub async fn replay_dead_letter(
        &self,
        actor: &Actor,
        id: u64,
    ) -> Result<BulkLetterResult, Error> {
        authorize(actor, Action::DeadLettersWrite, Resource::Any)?;
        self.admit_write()?;
        let found = self.read(actor, move |conn| dead_letters::get(conn, id)).await?;
        let occurrences = found.ok_or_else(missing_dead_letter)?.members.len();
        let now = self.now();
        let command = Command::ReplayDeadLetters { letters: vec![(id, now)] };
        match self.change_dead_letters(actor, command).await? {
            0 => Err(missing_dead_letter()),
            letters => {
                let until = Some(rfc3339(now));
                Ok(BulkLetterResult { dry_run: false, letters, occurrences, until })
            }
        }
    }

    /// Purges a letter.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none; `Unavailable` without a leader.
    pub async fn purge_dead_letter(&self, actor: &Actor, id: u64) -> Result<(), Error> {
        authorize(actor, Action::DeadLettersWrite, Resource::Any)?;
        let command = Command::PurgeDeadLetters { letters: vec![id] };
        match self.change_dead_letters(actor, command).await? {
            0 => Err(missing_dead_letter()),
            _ => Ok(()),
        }
    }

    /// Replays all letters that are selected, oldest first, at a rate in occurrences a second that
    /// was checked by [`replay_rate`]. A dry run only counts them.
    ///
    /// # Errors
    ///
    /// `KeyReused` where the key came with another input; `Unavailable` without a leader. After a
    /// failure the same request goes on with the rest.
    pub async fn replay_dead_letters(
        &self,
        actor: &Actor,
        key: Option<Key>,
        selection: LetterSelection,
        rate: Option<u64>,
        dry_run: bool,
    ) -> Result<BulkLetterResult, Error> {
        authorize(actor, Action::DeadLettersWrite, Resource::Any)?;
        let key = key.filter(|_| !dry_run);
        if let Some(result) = self.replay(actor, key).await? {
            return Ok(result);
        }
        let mut pacing = Pacing { start: self.now(), rate, before: 0 };
        let mut last = None;
        let result = self.change_each(actor, selection, dry_run, |found| {
            let letters: Vec<_> = found.iter().map(|(id, n)| (*id, pacing.at(*n))).collect();
            last = letters.last().map(|(_, at)| *at).or(last);
            Command::ReplayDeadLetters { letters }
        });
        let mut result = result.await?;
        result.until = last.map(rfc3339);
        self.conclude(actor, key, result).await
    }

    /// Purges all letters that are selected. A dry run only counts them.
    ///
    /// # Errors
    ///
    /// As [`App::replay_dead_letters`].
    pub async fn purge_dead_letters(
        &self,
        actor: &Actor,
        key: Option<Key>,
        selection: LetterSelection,
        dry_run: bool,
    ) -> Result<BulkLetterResult, Error> {
        authorize(actor, Action::DeadLettersWrite, Resource::Any)?;
        let key = key.filter(|_| !dry_run);
        if let Some(result) = self.replay(actor, key).await? {
            return Ok(result);
        }
        let purge = |found: &[(u64, u64)]| Command::PurgeDeadLetters {
            letters: found.iter().map(|(id, _)| *id).collect(),
        };
        let result = self.change_each(actor, selection, dry_run, purge).await?;
        self.conclude(actor, key, result).await
    }

    /// Makes commands of all letters that are selected, as (id, members), oldest first, and
    /// proposes them, or only counts in a dry run. Letters that are created in the meantime are
    /// left alone, since a replay that fails again must not be replayed again. No read looks at
    /// more than [`MAX_SCANNED`] letters, however few match.
    async fn change_each(
        &self,
        actor: &Actor,
        LetterSelection { filter, last: bound }: LetterSelection,
        dry_run: bool,
        mut command: impl FnMut(&[(u64, u64)]) -> Command + Send,
    ) -> Result<BulkLetterResult, Error> {
        self.linearize().await?;
        let newest = self.read(actor, dead_letters::last_id).await?;
        let last = bound.map_or(newest, |bound| bound.min(newest));
        let mut result = BulkLetterResult { dry_run, ..BulkLetterResult::default() };
        let mut after = 0;
        loop {
            let filter = filter.clone();
            let read = move |conn: &Connection| {
                dead_letters::walk(conn, &filter, (after, last), MAX_SCANNED)
            };
            let Walked { found, on } = self.read(actor, read).await?;
            for some in found.chunks(CHUNK) {
                let command = command(some);
                // The command alone knows how many letters were still there.
                result.letters += if dry_run {
                    some.len() as u64
                } else {
                    self.change_dead_letters(actor, command).await?
                };
                result.occurrences += some.iter().map(|(_, members)| members).sum::<u64>();
            }
            match on {
                Some(id) => after = id,
                None => return Ok(result),
            }
        }
    }

    async fn change_dead_letters(&self, actor: &Actor, command: Command) -> Result<u64, Error> {
        match self.propose(actor, command).await? {
            Outcome::Changed(letters) => Ok(u64::from(letters)),
            other => Err(refused(other)),
        }
    }
}

/// The error where there is no such letter.
fn missing_dead_letter() -> Error {
    Error::not_found("dead letter does not exist: it was replayed, purged, or delivered after all")
}

/// The pace of a replay: it spreads occurrences over time.
struct Pacing {
    start: Millis,
    rate: Option<u64>,
    /// The occurrences that go first.
    before: u64,
}

impl Pacing {
    /// The instant at which so many occurrences may go together: when those before them had their
    /// time.
    fn at(&mut self, occurrences: u64) -> Millis {
        let wait = self.rate.map_or(0, |rate| {
            let millis = u128::from(self.before) * 1_000 / u128::from(rate.max(1));
            Millis::try_from(millis).unwrap_or(Millis::MAX)
        });
        self.before = self.before.saturating_add(occurrences);
        self.start.saturating_add(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_occurrences_and_not_letters() {
        let mut pacing = Pacing { start: 1_000, rate: Some(100), before: 0 };
        assert_eq!([1_000, 1, 100, 1].map(|n| pacing.at(n)), [1_000, 11_000, 11_010, 12_010]);
        let mut pacing = Pacing { start: 1_000, rate: None, before: 0 };
        assert_eq!([1_000, 1].map(|n| pacing.at(n)), [1_000, 1_000]);
        let mut pacing = Pacing { start: 1_000, rate: Some(1), before: u64::MAX };
        assert_eq!(pacing.at(5), Millis::MAX);
    }
}
