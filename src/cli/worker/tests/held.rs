//! The runs that a worker holds: directives, deadlines, and answers that come late.

use super::assignment;
use crate::cli::worker::directive::Directive;
use crate::cli::worker::held::{HeartbeatAnswer, HeartbeatNews, HeldRuns};
use crate::cli::worker::progress_line::RunProgress;

fn ids(ids: &[&str]) -> std::collections::HashSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn gone(id: &str) -> HeartbeatAnswer {
    HeartbeatAnswer { gone: ids(&[id]), ..Default::default() }
}

#[test]
fn a_directive_is_only_followed_by_one_that_wins_over_it() {
    let held = HeldRuns::default();
    let told = held.take(&assignment("a", 1, Some(60_000)), 0, Some(0)).unwrap();
    assert_eq!(*told.borrow(), Directive::Go);
    let asked = held.for_heartbeat();
    let cancel = HeartbeatAnswer { cancel: ids(&["a"]), ..Default::default() };
    held.take_answer(&asked, 0, &cancel);
    assert_eq!(*told.borrow(), Directive::Cancel);
    held.take_answer(&asked, 0, &HeartbeatAnswer::default());
    held.give_back_unbegun();
    assert_eq!(*told.borrow(), Directive::Cancel);
    held.abandon_all();
    held.take_answer(&asked, 0, &gone("a"));
    assert_eq!(*told.borrow(), Directive::Abandon);
    held.stop_unanswered(1_000_000);
    assert_eq!(*told.borrow(), Directive::Unanswered);
}

/// The run came back while a heartbeat about its earlier attempt was under way.
#[test]
fn an_answer_counts_for_the_attempt_that_was_asked_about() {
    let held = HeldRuns::default();
    held.take(&assignment("a", 1, Some(60_000)), 0, Some(0)).unwrap();
    let asked = held.for_heartbeat();
    held.let_go("a", 2);
    assert_eq!(held.count(), 1, "another attempt's report lets nothing go");
    held.let_go("a", 1);
    let told = held.take(&assignment("a", 2, Some(60_000)), 0, Some(0)).unwrap();
    assert!(held.take(&assignment("a", 3, None), 0, Some(0)).is_none());
    held.take_answer(&asked, 0, &gone("a"));
    assert_eq!(*told.borrow(), Directive::Go);
    held.take_answer(&held.for_heartbeat(), 0, &gone("a"));
    assert_eq!(*told.borrow(), Directive::Gone);
    assert!(held.for_heartbeat().is_empty(), "it is this worker's no more");
}

#[test]
fn an_unknown_run_is_not_heard_and_one_that_waits_is_not_stopped() {
    let held = HeldRuns::default();
    let told = held.take(&assignment("a", 1, Some(60_000)), 0, Some(14_000)).unwrap();
    assert_eq!((*told.borrow(), held.has_news()), (Directive::Hold, Some(HeartbeatNews::Awaited)));
    assert_eq!(held.stop_unanswered(20_000), None);
    let unknown = HeartbeatAnswer { unknown: ids(&["a"]), ..Default::default() };
    held.take_answer(&held.for_heartbeat(), 20_000, &unknown);
    assert_eq!((*told.borrow(), held.has_news()), (Directive::Hold, Some(HeartbeatNews::Awaited)));
    held.take_answer(&held.for_heartbeat(), 20_000, &HeartbeatAnswer::default());
    assert_eq!((*told.borrow(), held.has_news()), (Directive::Go, None));
    assert_eq!(held.stop_unanswered(20_001), Some(79_000));
    // From now on `unknown` moves the deadline no more.
    held.take_answer(&held.for_heartbeat(), 70_000, &unknown);
    assert_eq!(held.stop_unanswered(78_999), Some(79_000));
    held.stop_unanswered(79_000);
    assert_eq!(*told.borrow(), Directive::Unanswered);
}

#[test]
fn a_run_whose_command_has_ended_is_told_nothing_and_named_on() {
    let held = HeldRuns::default();
    let told = held.take(&assignment("a", 1, Some(60_000)), 0, Some(0)).unwrap();
    held.command_ended("a");
    held.stop_unanswered(1_000_000);
    held.abandon_all();
    held.take_answer(&held.for_heartbeat(), 0, &gone("a"));
    assert_eq!(*told.borrow(), Directive::Go);
    assert_eq!(held.for_heartbeat().len(), 1);
}

#[test]
fn progress_is_news_once() {
    let held = HeldRuns::default();
    held.take(&assignment("a", 1, Some(9_000)), 0, Some(0)).unwrap();
    held.take(&assignment("b", 1, Some(3_000)), 0, Some(0)).unwrap();
    assert_eq!(
        (held.has_news(), held.shortest_timeout()),
        (Some(HeartbeatNews::Unheard), Some(3_000))
    );
    held.take_answer(&held.for_heartbeat(), 0, &HeartbeatAnswer::default());
    assert_eq!(held.has_news(), None);
    let progress = RunProgress { percent: 40, message: None };
    held.note_progress("a", progress.clone());
    assert_eq!(held.has_news(), Some(HeartbeatNews::Progress));
    let entry = held.for_heartbeat().into_iter().find(|entry| entry.id == "a").unwrap();
    assert_eq!((entry.progress.as_ref(), held.has_news()), (Some(&progress), None));
    held.note_progress("a", progress);
    assert_eq!(held.has_news(), None);
}
