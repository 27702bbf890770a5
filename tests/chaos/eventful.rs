//! The least that must have happened in a run of a plan: a run in which too little happened proves
//! nothing. `main` asks after the verdict.

use crate::broker::MESSAGES;
use crate::evidence::Evidence;
use crate::faults::{FaultKind, Role};

/// The numbers that are too low for a plan of this length. A run in which too little happened
/// proves nothing.
pub(crate) fn too_little(evidence: &Evidence, planned: &[crate::faults::Fault]) -> Vec<String> {
    let mut found = Vec::new();
    let mut need = |what: &str, is: usize, least: usize| {
        if is < least {
            found.push(format!("{what}: {is}, expected at least {least}"));
        }
    };
    need("faults", evidence.windows.len(), planned.len().max(1));
    need("jobs", evidence.expected.jobs.len(), 50);
    need("arrivals", evidence.arrivals.len(), 20 * planned.len());
    let messages = evidence.arrivals.iter().filter(|one| one.destination == MESSAGES).count();
    if evidence.has_broker {
        need("messages", messages, 2 * planned.len());
        need("hand-outs over the broker", evidence.record.messages(), planned.len());
    }
    need("hand-outs", evidence.record.hand_outs.len(), 4 * planned.len());
    need("claims without an answer", evidence.record.unanswered.len(), 1);
    need("runs cancelled by clients", evidence.expected.cancelled(), 1);
    let kills =
        planned.iter().filter(|f| f.what == FaultKind::Kill && f.role == Role::Leader).count();
    let led = evidence.windows.iter().filter(|w| {
        w.what == FaultKind::Kill && w.nodes.len() == 1 && w.leader == w.nodes.first().copied()
    });
    need("leaders killed", led.count(), kills.min(1));
    found
}
