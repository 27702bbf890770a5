//! The rows of the audit together: their chain, how it goes on after the oldest rows were dropped
//! and after a restore, and how rows are found.

use super::audit::{KEY, origin};
use super::*;
use crate::command::{RestorePolicy, reopen};
use crate::model::actor::ActorRef;
use crate::model::audit::AuditRow;
use crate::model::audit_chain::{Broken, ExportCheck, ExportEnd, ExportHead, export_line, hex};
use crate::store::audit::{self, Filter};

const DAY: Millis = 24 * 3_600_000;

/// A state in which the operator has run a job so many times, a day after the other.
fn days(n: u64) -> ApplyFixture {
    let mut state = ApplyFixture::new();
    let job = state.jobs(every_minute(), 1);
    for _ in 0..n {
        state.ask(&ActorRef::Operator, &Command::RunJob { id: job, forced: false });
        state.now += DAY;
    }
    state
}

impl ApplyFixture {
    /// The lines of an export of what is behind a row.
    fn export(&self, after: Option<u64>) -> Vec<String> {
        let (place, last) = self.read(|c| Ok((audit::place(c, after)?, audit::last(c)?)));
        let place = place.unwrap();
        let head = ExportHead::new(7, (place.id, &place.chain), self.now);
        let mut lines = vec![serde_json::to_string(&head).unwrap()];
        let rows = self.read(|c| audit::behind(c, (place.id, last.id), 10_000)).unwrap();
        lines.extend(rows.iter().map(|(row, hash)| export_line(row, hash)));
        let end = ExportEnd { rows: rows.len() as u64, last: last.id, head: hex(&last.chain) };
        lines.push(serde_json::to_string(&end).unwrap());
        lines
    }

    fn retain_audit(&mut self, before: Millis, most_bytes: u64, limit: u32) -> u32 {
        match self.done(Command::RetainAudit { before, most_bytes, limit }) {
            Outcome::Dropped(n) => n,
            outcome => panic!("{outcome}"),
        }
    }
}

fn check(lines: &[String]) -> Result<ExportEnd, Broken> {
    let mut check = ExportCheck::default();
    lines.iter().try_for_each(|line| check.line(line))?;
    check.end()
}

#[test]
fn an_export_is_right_and_a_row_that_was_changed_in_the_file_is_named() {
    let state = days(5);
    assert_eq!(check(&state.export(None)).unwrap().rows, 5);
    let rows = state.audit();
    let second = rows[3].id;
    state
        .writer
        .connection()
        .execute("UPDATE audit SET actor_kind = 'key' WHERE id = ?1", [second as i64])
        .unwrap();
    assert_eq!(check(&state.export(None)), Err(Broken::Row { id: second, line: 3 }));
    assert_eq!(check(&state.export(Some(second))).unwrap().rows, 3, "what came later");
}

#[test]
fn what_is_left_after_the_oldest_rows_were_dropped_is_a_chain() {
    let mut state = days(10);
    let rows = state.audit();
    let bytes =
        |rows: &[AuditRow]| rows.iter().map(|row| row.line().len() as u64 + 64).sum::<u64>();
    assert_eq!(state.read(audit::bytes), bytes(&rows));
    let head = check(&state.export(None)).unwrap().head;
    let old = START + 3 * DAY;
    assert!(state.read(|c| audit::has_old(c, old, u64::MAX)));
    assert_eq!(state.retain_audit(old, u64::MAX, 2), 2, "a bounded part at a time");
    assert_eq!(state.retain_audit(old, u64::MAX, 2), 1);
    assert!(!state.read(|c| audit::has_old(c, old, u64::MAX)));
    assert_eq!(state.retain_audit(old, u64::MAX, 2), 0);
    let end = check(&state.export(None)).unwrap();
    assert_eq!((end.rows, &end.head), (7, &head));
    // By size: the five newest ones have room.
    assert_eq!(state.read(audit::bytes), bytes(&rows[..7]));
    let most = bytes(&rows[..5]);
    assert!(state.read(|c| audit::has_old(c, 0, most)));
    assert_eq!(state.retain_audit(0, most, 100), 2);
    assert!(!state.read(|c| audit::has_old(c, 0, most)));
    assert_eq!(check(&state.export(None)).unwrap().rows, 5);
    // An export goes on behind a row that is there, and behind the last one that was dropped.
    let (dropped, kept) = (rows[5].id, rows[4].id);
    assert_eq!(check(&state.export(Some(dropped))).unwrap().rows, 5);
    assert_eq!(check(&state.export(Some(kept))).unwrap().rows, 4);
    assert!(state.read(|c| audit::place(c, Some(rows[6].id))).is_none());
    assert!(state.read(|c| audit::behind(c, (rows[6].id, kept), 9)).is_none(), "a gap");
    // The next row goes on where the chain ends, also where all were dropped.
    assert_eq!(state.retain_audit(i64::MAX, 0, 100), 5);
    assert_eq!(state.read(audit::bytes), 0);
    let end = check(&state.export(None)).unwrap();
    assert_eq!((end.rows, &end.head), (0, &head));
    state.ask(&KEY, &Command::RunJob { id: 1, forced: false });
    let end = check(&state.export(None)).unwrap();
    assert_eq!(end.rows, 1);
    assert_eq!(check(&state.export(Some(rows[0].id))).unwrap(), end);
}

#[test]
fn the_chain_goes_on_after_a_restore_whose_log_begins_anew() {
    let mut state = days(3);
    let last = state.audit()[0].id;
    let now = state.now;
    let opened = state.writer.transaction(|tx| reopen(tx, now, RestorePolicy::Skip));
    opened.unwrap();
    state.index = 1;
    for n in 1..=2 {
        state.ask(&ActorRef::Operator, &Command::RunJob { id: 1, forced: false });
        assert_eq!(state.audit()[0].id, last + n);
    }
    assert_eq!(check(&state.export(None)).unwrap().rows, 5);
}

#[test]
fn rows_are_equal_however_the_log_is_cut() {
    let commands: Vec<_> = (0..9)
        .map(|n| match n % 3 {
            0 => create(100 + n, every_minute(), 3, false),
            1 => Command::RunJob { id: n as u64, forced: false },
            _ => Command::DeleteJob { id: 999, expect: None },
        })
        .collect();
    let hashes = [1, 2, 9].map(|chunk| {
        let mut state = ApplyFixture::new();
        for some in commands.chunks(chunk) {
            let now = state.now;
            let done = state.writer.transaction(|tx| {
                for command in some {
                    state.index += 1;
                    let asked = (Some(&ActorRef::Operator), Some(&origin()));
                    apply(tx, state.index, now, asked, command, &mut state.change)?;
                }
                Ok::<_, Error>(())
            });
            done.unwrap();
        }
        assert_eq!(state.audit().len(), 6);
        state.hash()
    });
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
}

#[test]
fn a_page_looks_at_so_many_rows_and_says_where_the_next_one_goes_on() {
    let mut state = days(10);
    state.ask(&ActorRef::Operator, &create(50, every_minute(), 1, false));
    let ids: Vec<_> = state.audit().iter().map(|row| row.id).collect();
    let walk = |filter: &Filter, below, limit, scanned| {
        let walked = state.read(|c| audit::walk(c, filter, below, (limit, scanned)));
        (walked.found.iter().map(|row| row.id).collect::<Vec<_>>(), walked.on)
    };
    let all = Filter::default();
    assert_eq!(walk(&all, None, 11, 100), (ids.clone(), None));
    assert_eq!(walk(&all, None, 4, 100), (ids[..4].to_vec(), Some(ids[3])));
    assert_eq!(walk(&all, Some(ids[3]), 100, 100), (ids[4..].to_vec(), None));
    let created = Filter { action: Some("create".into()), ..Filter::default() };
    assert_eq!(walk(&created, None, 1, 100), (vec![ids[0]], Some(ids[0])));
    assert_eq!(walk(&created, Some(ids[0]), 1, 4), (vec![], Some(ids[4])), "few match");
    assert_eq!(walk(&created, Some(ids[4]), 1, 100), (vec![], None));
    let (from, until) = (Some(START + 3 * DAY), Some(START + 6 * DAY));
    let some = Filter { from, until, ..Filter::default() };
    assert_eq!(walk(&some, None, 100, 100), (ids[5..8].to_vec(), None));
    let of = |object: &str| Filter {
        object: Some(object.into()),
        noun: Some("job".into()),
        actor: Some("operator".into()),
        project: Some(1),
        ..Filter::default()
    };
    assert_eq!(walk(&of("1"), None, 100, 100).0, ids[1..]);
    assert_eq!(walk(&of("2"), None, 100, 100).0, ids[..1]);
    let other = Filter { project: Some(2), ..of("1") };
    assert_eq!(walk(&other, None, 100, 100), (vec![], None));
}
