//! The checker accepts histories that an order explains, and no others.

use super::check::check;
use super::history::{Answer, Call, Op};

/// Calls on one object with numbered instants; `None` marks an unknown outcome.
fn history(ops: &[(u64, Option<u64>, Call, Answer)]) -> Vec<Op> {
    let op = |(i, (invoked, end, call, answer)): (usize, &(u64, Option<u64>, Call, Answer))| Op {
        client: format!("client {i}"),
        key: "job".to_owned(),
        call: call.clone(),
        invoked: *invoked,
        answered: end.map(|end| (end, answer.clone())),
    };
    ops.iter().enumerate().map(op).collect()
}

fn create(data: &str) -> Call {
    Call::Create { data: data.to_owned(), token: None }
}

fn once(data: &str, token: &str) -> Call {
    Call::Create { data: data.to_owned(), token: Some(token.to_owned()) }
}

fn update(data: &str) -> Call {
    Call::Update { data: data.to_owned(), expect: None }
}

fn update_of(data: &str, version: u64) -> Call {
    Call::Update { data: data.to_owned(), expect: Some(version) }
}

const DELETE: Call = Call::Delete { expect: None };

fn done(version: u64) -> Answer {
    Answer::Done { version: Some(version) }
}

fn found(version: u64, data: &str) -> Answer {
    Answer::Found { version, data: data.to_owned() }
}

fn accepts(ops: &[(u64, Option<u64>, Call, Answer)]) {
    if let Err(violation) = check(&history(ops)) {
        panic!("{violation}");
    }
}

fn rejects(ops: &[(u64, Option<u64>, Call, Answer)]) {
    let violation = check(&history(ops)).expect_err("it cannot be explained");
    assert!(violation.explanation.contains("none fits"), "{violation}");
}

#[test]
fn a_life_in_order_is_accepted() {
    accepts(&[
        (0, Some(1), Call::Get, Answer::Absent),
        (2, Some(3), create("a"), done(1)),
        (4, Some(5), Call::Get, found(1, "a")),
        (6, Some(7), update("b"), done(2)),
        (8, Some(9), update_of("c", 1), Answer::Stale),
        (10, Some(11), update_of("c", 2), done(3)),
        (12, Some(13), Call::Get, found(3, "c")),
        (14, Some(15), DELETE, Answer::Deleted),
        (16, Some(17), DELETE, Answer::Absent),
        (18, Some(19), create("d"), done(1)),
        (20, Some(21), create("e"), Answer::Taken),
    ]);
}

#[test]
fn calls_at_the_same_time_may_come_in_any_order() {
    // Both reads overlap both updates; only the order of their answers tells which came first.
    accepts(&[
        (0, Some(1), create("a"), done(1)),
        (2, Some(20), update("b"), done(3)),
        (3, Some(19), update("c"), done(2)),
        (4, Some(10), Call::Get, found(2, "c")),
        (11, Some(18), Call::Get, found(3, "b")),
        (5, Some(30), DELETE, Answer::Deleted),
        (21, Some(22), Call::Get, Answer::Absent),
    ]);
}

#[test]
fn a_stale_read_is_rejected() {
    rejects(&[
        (0, Some(1), create("a"), done(1)),
        (2, Some(3), update("b"), done(2)),
        (4, Some(5), Call::Get, found(1, "a")),
    ]);
    rejects(&[(0, Some(1), create("a"), done(1)), (2, Some(3), Call::Get, Answer::Absent)]);
}

#[test]
fn reads_that_go_back_are_rejected_even_while_the_write_is_open() {
    rejects(&[
        (0, Some(1), create("a"), done(1)),
        (2, Some(20), update("b"), done(2)),
        (3, Some(4), Call::Get, found(2, "b")),
        (5, Some(6), Call::Get, found(1, "a")),
    ]);
}

#[test]
fn a_lost_update_is_rejected() {
    rejects(&[
        (0, Some(1), create("a"), done(1)),
        (2, Some(10), update("b"), done(2)),
        (3, Some(11), update("c"), done(2)),
    ]);
    rejects(&[
        (0, Some(1), create("a"), done(1)),
        (2, Some(10), update_of("b", 1), done(2)),
        (3, Some(11), update_of("c", 1), done(3)),
    ]);
    rejects(&[
        (0, Some(1), create("a"), done(1)),
        (2, Some(3), update("b"), Answer::Done { version: None }),
        (4, Some(5), update("c"), Answer::Done { version: None }),
        (6, Some(7), Call::Get, found(3, "b")),
    ]);
}

#[test]
fn a_resurrected_object_is_rejected() {
    rejects(&[
        (0, Some(1), create("a"), done(1)),
        (2, Some(3), DELETE, Answer::Deleted),
        (4, Some(5), Call::Get, found(1, "a")),
    ]);
    rejects(&[
        (0, Some(1), create("a"), done(1)),
        (2, Some(6), DELETE, Answer::Deleted),
        (3, Some(7), DELETE, Answer::Deleted),
    ]);
}

#[test]
fn a_token_makes_one_object_however_often_it_is_sent() {
    accepts(&[
        (0, Some(9), once("a", "t"), done(1)),
        (1, Some(8), once("a", "t"), done(1)),
        (10, Some(11), Call::Get, found(1, "a")),
        (12, Some(13), DELETE, Answer::Deleted),
        (14, Some(15), once("a", "t"), done(1)),
        (16, Some(17), Call::Get, Answer::Absent),
    ]);
    // The first call has no answer, and the second one takes effect again after the deletion.
    rejects(&[
        (0, None, once("a", "t"), done(1)),
        (1, Some(2), once("a", "t"), done(1)),
        (3, Some(4), DELETE, Answer::Deleted),
        (5, Some(6), Call::Get, found(1, "a")),
    ]);
    rejects(&[(0, Some(1), once("a", "t"), done(1)), (2, Some(3), once("a", "t"), Answer::Taken)]);
}

#[test]
fn an_unknown_outcome_may_come_late_or_never_but_only_once() {
    let open = (2, None, update("b"), done(0));
    accepts(&[(0, Some(1), create("a"), done(1)), open.clone()]);
    accepts(&[
        (0, Some(1), create("a"), done(1)),
        open.clone(),
        (3, Some(4), Call::Get, found(1, "a")),
        (5, Some(6), update("c"), done(2)),
        (7, Some(8), Call::Get, found(3, "b")),
    ]);
    rejects(&[
        (0, Some(1), create("a"), done(1)),
        open.clone(),
        (3, Some(4), Call::Get, found(2, "b")),
        (5, Some(6), update("c"), done(3)),
        (7, Some(8), Call::Get, found(4, "b")),
    ]);
    // Nor before its invocation.
    rejects(&[
        (0, Some(1), create("a"), done(1)),
        (1, Some(2), Call::Get, found(2, "b")),
        (3, None, update("b"), done(0)),
    ]);
}

#[test]
fn objects_without_versions_are_judged_by_their_data() {
    accepts(&[
        (0, Some(1), create("a"), done(0)),
        (2, Some(3), update("b"), done(0)),
        (4, Some(5), Call::Get, found(0, "b")),
    ]);
    rejects(&[
        (0, Some(1), create("a"), done(0)),
        (2, Some(3), update("b"), done(0)),
        (4, Some(5), Call::Get, found(0, "a")),
    ]);
}

#[test]
fn keys_do_not_touch_each_other() {
    let mut ops = history(&[
        (0, Some(1), create("a"), done(1)),
        (2, Some(3), Call::Get, found(1, "a")),
        (4, Some(5), Call::Get, Answer::Absent),
    ]);
    ops[2].key = "another".to_owned();
    assert_eq!(check(&ops).unwrap(), 2);
}

#[test]
fn long_histories_with_much_at_once_are_judged() {
    // Eight clients write and read all the time; each call takes effect at its middle.
    let mut ops = history(&[(0, Some(1), create("0"), done(1))]);
    let (mut version, mut data) = (1, "0".to_owned());
    for at in 1..2_000_u64 {
        let middle = 10 * at;
        let (call, answer) = if at % 3 == 0 {
            (version, data) = (version + 1, at.to_string());
            (update(&data), done(version))
        } else {
            (Call::Get, found(version, &data))
        };
        ops.extend(history(&[(middle - at % 35, Some(middle + at % 41), call, answer)]));
    }
    assert_eq!(check(&ops).unwrap(), 1);
    // One read of an old state is found.
    let old = ops.iter().position(|op| op.call == Call::Get).unwrap();
    let answer = ops[old].answered.clone().unwrap().1;
    let late = ops.iter().rposition(|op| op.call == Call::Get).unwrap();
    let end = ops[late].answered.as_ref().unwrap().0;
    ops[late].answered = Some((end, answer));
    check(&ops).expect_err("a stale read");
}
