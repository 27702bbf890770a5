//! The names of the exchanges and queues of a job. Pure.

/// The longest name of a job on a broker, in bytes: with what stands before and after it, it is an
/// AMQP short text.
const LONGEST: usize = 231;

/// What a queue is for, which is also the last part of its name, and its routing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// What workers are to do.
    Action,
    /// The reports of workers.
    Status,
    /// Their signs of life.
    Heartbeat,
}

impl Subject {
    /// The word in names and routing keys.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Status => "status",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// Checks the name of a job.
pub(super) fn check(name: &str) -> Result<(), String> {
    match name.len() {
        1..=LONGEST => Ok(()),
        0 => Err("the job has no name on the broker: give it a workerName or an externalId".into()),
        bytes => Err(format!(
            "the job's name on the broker has {bytes} bytes: a workerName or externalId may have \
             {LONGEST}"
        )),
    }
}

/// The exchange of a job.
pub(super) fn exchange(name: &str) -> String {
    format!("scheduler.job.{name}")
}

/// The queue of a job for a subject, and the exchange of workers that publish to one of its own.
pub(super) fn of(name: &str, subject: Subject) -> String {
    format!("scheduler.job.{name}.{}", subject.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_makes_the_longest_short_text() {
        let name = "ü".repeat(115) + "n";
        assert_eq!(check(&name), Ok(()));
        assert_eq!(of(&name, Subject::Heartbeat).len(), 255);
        let error = check(&(name + "n")).unwrap_err();
        assert!(error.contains("232 bytes") && error.contains("workerName"), "{error}");
        assert!(check("").unwrap_err().contains("externalId"));
    }
}
