//! The search for an order of the calls on one object: depth first over the calls that may come
//! next. Each pair of calls behind and state is visited once. `check` calls it with calls sorted by
//! invocation.

use std::collections::{BTreeSet, HashSet};

use super::history::{Answer, Call, Op};

/// The state of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    /// Version and data; `None` while it does not exist.
    object: Option<(u64, String)>,
    /// Tokens under which it was created.
    tokens: BTreeSet<String>,
}

/// The state after a call, if the call can have this answer in this state. Without an answer it is
/// the state after the call took effect, if the call can have an effect. Objects begin with the
/// version `first`, which is 0 where they have none.
fn after(state: &State, call: &Call, answer: Option<&Answer>, first: u64) -> Option<State> {
    let (outcome, next) = carry_out(state, call, first);
    match answer {
        Some(Answer::Done { version: None }) => {
            matches!(outcome, Answer::Done { .. }).then_some(next)
        }
        Some(answer) => (outcome == *answer).then_some(next),
        None => (next != *state).then_some(next),
    }
}

/// The answer of an object in this state, and its state afterwards.
fn carry_out(state: &State, call: &Call, first: u64) -> (Answer, State) {
    let mut next = state.clone();
    let version = state.object.as_ref().map(|(version, _)| *version);
    let outdated = |expect: &Option<u64>| expect.is_some() && *expect != version;
    let answer = match (call, &state.object) {
        // It was carried out before: the first answer comes again, whatever has happened since.
        (Call::Create { token: Some(token), .. }, _) if state.tokens.contains(token) => {
            Answer::Done { version: Some(first) }
        }
        (Call::Create { .. }, Some(_)) => Answer::Taken,
        (Call::Create { data, token }, None) => {
            next.object = Some((first, data.clone()));
            next.tokens.extend(token.clone());
            Answer::Done { version: Some(first) }
        }
        (Call::Get | Call::Update { .. } | Call::Delete { .. }, None) => Answer::Absent,
        (Call::Get, Some((version, data))) => {
            Answer::Found { version: *version, data: data.clone() }
        }
        (Call::Update { expect, .. } | Call::Delete { expect }, Some(_)) if outdated(expect) => {
            Answer::Stale
        }
        (Call::Update { data, .. }, Some((version, _))) => {
            let version = version + first;
            next.object = Some((version, data.clone()));
            Answer::Done { version: Some(version) }
        }
        (Call::Delete { .. }, Some(_)) => {
            next.object = None;
            Answer::Deleted
        }
    };
    (answer, next)
}

/// The version that objects of this history begin with.
fn first_version(ops: &[&Op]) -> u64 {
    let versioned = |op: &&Op| match &op.answered {
        Some((_, Answer::Done { version })) => version.is_some_and(|version| version > 0),
        Some((_, Answer::Found { version, .. })) => *version > 0,
        _ => false,
    };
    u64::from(ops.iter().any(versioned))
}

/// A choice: the call that comes next, and the state before it.
struct Choice {
    op: usize,
    before: State,
}

/// Finds an order; the error explains how far one went.
pub(super) fn explain(ops: &[&Op]) -> Result<(), String> {
    let first = first_version(ops);
    let mut behind = vec![0_u64; ops.len().div_ceil(64)];
    let mut left = ops.iter().filter(|op| op.answered.is_some()).count();
    let mut state = State::default();
    let mut seen: HashSet<(Vec<u64>, State)> = HashSet::new();
    let mut choices: Vec<Choice> = Vec::new();
    let (mut from, mut furthest) = (0, Furthest::new(left));
    while left > 0 {
        furthest.note(left, &behind, &state);
        if let Some((op, next)) = choose(ops, &behind, &state, from, first) {
            set(&mut behind, op);
            if seen.insert((behind.clone(), next.clone())) {
                left -= usize::from(ops[op].answered.is_some());
                choices.push(Choice { op, before: std::mem::replace(&mut state, next) });
                from = 0;
            } else {
                unset(&mut behind, op);
                from = op + 1;
            }
        } else {
            let Some(last) = choices.pop() else { return Err(furthest.explanation(ops)) };
            unset(&mut behind, last.op);
            left += usize::from(ops[last.op].answered.is_some());
            state = last.before;
            from = last.op + 1;
        }
    }
    Ok(())
}

/// The first call from an index on that may come next and fits. A call may come next if no other
/// open call was answered before its invocation.
fn choose(
    ops: &[&Op],
    behind: &[u64],
    state: &State,
    from: usize,
    first: u64,
) -> Option<(usize, State)> {
    let open = |at: &usize| !is_set(behind, *at);
    let start = 64 * behind.iter().take_while(|bits| **bits == u64::MAX).count();
    let mut deadline = u64::MAX;
    for at in (start..ops.len()).filter(open) {
        if ops[at].invoked > deadline {
            break;
        }
        deadline = deadline.min(ops[at].answered.as_ref().map_or(u64::MAX, |(end, _)| *end));
    }
    (start.max(from)..ops.len())
        .filter(open)
        .take_while(|at| ops[*at].invoked <= deadline)
        .find_map(|at| {
            let answer = ops[at].answered.as_ref().map(|(_, answer)| answer);
            Some((at, after(state, &ops[at].call, answer, first)?))
        })
}

fn is_set(bits: &[u64], at: usize) -> bool {
    bits[at / 64] >> (at % 64) & 1 == 1
}

fn set(bits: &mut [u64], at: usize) {
    bits[at / 64] |= 1 << (at % 64);
}

fn unset(bits: &mut [u64], at: usize) {
    bits[at / 64] &= !(1 << (at % 64));
}

/// The longest order that was found before the search failed.
struct Furthest {
    left: usize,
    behind: Vec<u64>,
    state: State,
}

impl Furthest {
    fn new(left: usize) -> Self {
        Self { left: left + 1, behind: Vec::new(), state: State::default() }
    }

    fn note(&mut self, left: usize, behind: &[u64], state: &State) {
        if left < self.left {
            *self = Self { left, behind: behind.to_vec(), state: state.clone() };
        }
    }

    fn explanation(&self, ops: &[&Op]) -> String {
        let (before, after): (Vec<usize>, Vec<usize>) =
            (0..ops.len()).partition(|at| is_set(&self.behind, *at));
        let shown = |some: &mut dyn Iterator<Item = &usize>| -> String {
            some.map(|at| format!("\n  {}", ops[*at])).collect::<Vec<_>>().concat()
        };
        format!(
            "at best {} answers are left over, and it is then {:?}.\n these came before:{}\n these \
             come next, and none fits:{}",
            self.left,
            self.state.object,
            shown(&mut before.iter().skip(before.len().saturating_sub(8))),
            shown(&mut after.iter().take(8)),
        )
    }
}
