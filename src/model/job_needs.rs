//! The demands of a definition on its target: fields that only some targets can follow. `app`
//! refuses other targets when a job is created or edited, and `command::apply` once more. Pure.

use super::delivery::Overlap;
use super::job::JobDefinition;

impl JobDefinition {
    /// The field, if there is one, that needs a target whose occurrences may be runs.
    pub fn single_only(&self) -> Option<&'static str> {
        first(&[
            ("overlap", self.overlap != Overlap::Allow),
            ("runTimeout", self.run_timeout.is_some()),
            ("heartbeatTimeout", self.heartbeat_timeout.is_some()),
        ])
    }

    /// The field, if there is one, that needs a queue of workers.
    pub fn queue_only(&self) -> Option<&'static str> {
        first(&[
            ("startTimeout", self.start_timeout.is_some()),
            ("cancelTimeout", self.cancel_timeout.is_some()),
            ("retryOn", self.retry_on.is_some()),
            ("workerName", self.worker_name.is_some()),
            // Runs wait behind each other wherever there are runs.
            (
                "maxQueue",
                self.max_queue.is_some() && !matches!(self.overlap, Overlap::Queue { .. }),
            ),
        ])
    }
}

/// The first field that is given.
fn first(fields: &[(&'static str, bool)]) -> Option<&'static str> {
    fields.iter().find(|(_, given)| *given).map(|(field, _)| *field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run_terms::RetryOn;

    #[test]
    fn each_field_names_itself() {
        let bare = JobDefinition::default;
        assert_eq!((bare().single_only(), bare().queue_only()), (None, None));
        let queue = Overlap::Queue { most: 5 };
        let waits = JobDefinition { overlap: queue, max_queue: Some(5), ..bare() };
        assert_eq!((waits.single_only(), waits.queue_only()), (Some("overlap"), None));
        for (field, definition) in [
            ("startTimeout", JobDefinition { start_timeout: Some(1), ..bare() }),
            ("cancelTimeout", JobDefinition { cancel_timeout: Some(1), ..bare() }),
            ("retryOn", JobDefinition { retry_on: Some(RetryOn::default()), ..bare() }),
            ("workerName", JobDefinition { worker_name: Some("w".into()), ..bare() }),
            ("maxQueue", JobDefinition { max_queue: Some(0), ..bare() }),
        ] {
            assert_eq!((definition.single_only(), definition.queue_only()), (None, Some(field)));
        }
    }
}
