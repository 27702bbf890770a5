//! The judge's rules about runs that clients cancelled: what was answered as cancelled stays so,
//! whatever is killed; what was answered as to be stopped is handed out no more, and ends as its
//! worker says or as cancelled. `judge` calls them.

use std::collections::BTreeMap;

use scheduler0::model::attempt::parse_execution_id;

use crate::expected::{CancelAnswer, ExpectedCancel};
use crate::judge::{CLOCKS, Judge, UNAWARE};
use crate::workers::record::HandOut;

/// The reasons of a skip that are an end by a cancel; a manual run shows none.
const REASONS: &[&str] = &["cancelled", "not_started", "ended", ""];

impl Judge<'_> {
    /// Judges all cancels.
    pub(crate) fn cancels(&mut self) {
        let evidence = self.evidence;
        let mut by_run: BTreeMap<&str, Vec<&HandOut>> = BTreeMap::new();
        for one in &evidence.record.hand_outs {
            by_run.entry(&one.id).or_default().push(one);
        }
        for (id, all) in &evidence.expected.cancels {
            let hand_outs = by_run.get(&**id).map_or(&[][..], Vec::as_slice);
            for cancel in all {
                if let Some((answer, at)) = cancel.answer {
                    self.cancel(id, (answer, at), hand_outs);
                }
            }
        }
    }

    fn cancel(&mut self, id: &str, (answer, at): (CancelAnswer, i64), hand_outs: &[&HandOut]) {
        let Some(of) = parse_execution_id(id) else {
            return self.verdict.violation("wrong id", format!("{id} was cancelled"));
        };
        let end = self.end_of(of, id);
        let stands = end.is_none_or(|(state, reason)| match (answer, state) {
            (CancelAnswer::Refused(_), _) | (_, "forgotten") => true,
            (CancelAnswer::Cancelled | CancelAnswer::Cancelling, "skipped") => {
                REASONS.contains(&reason)
            }
            // The worker may have been quicker.
            (CancelAnswer::Cancelling, state) => ["delivered", "dead"].contains(&state),
            _ => false,
        });
        if !stands {
            let text = format!("{id} was answered {answer:?} at {at}, and is {end:?}");
            self.verdict.violation("lost cancel", text);
        }
        if matches!(answer, CancelAnswer::Refused(_)) {
            return;
        }
        for one in hand_outs.iter().filter(|one| one.asked > at + CLOCKS) {
            // An owner that is cut off does not know of it until its lease is over.
            let is_unaware = one.asked <= at + UNAWARE;
            if !is_unaware || self.cause_in(one.is_message(), at, one.from).is_none() {
                let text = format!("{id} was answered {answer:?} at {at}, and then {one:?}");
                self.verdict.violation("handed out after a cancel", text);
            }
        }
    }

    /// True for a run whose end a client wished, if that may have counted.
    pub(crate) fn is_cancelled(&self, id: &str) -> bool {
        let counts = |cancel: &ExpectedCancel| {
            cancel.answer.is_none_or(|(answer, _)| answer != CancelAnswer::Refused(false))
        };
        self.evidence.expected.cancels.get(id).is_some_and(|all| all.iter().any(counts))
    }
}
