//! What a worker shows: a line for each run that begins or ends, what commands write to their
//! standard error, and what is amiss. Nothing here waits for a reader: a worker whose output nobody
//! reads must still send its heartbeats and keep its deadlines.

use std::borrow::Cow;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use serde_json::{Value, json};

use super::assignment::Assignment;
use super::ending::Ending;
use crate::cli::visible;
use crate::telemetry::{BOUND, Stream};

/// The output of a worker.
#[derive(Debug)]
pub(super) struct EventLines {
    /// Standard error, for people.
    talk: Stream,
    /// Standard output, for programs that asked for JSON.
    json: Option<Stream>,
    quiet: bool,
}

impl EventLines {
    /// Begins. With `json`, runs are lines of JSON on standard output; with `quiet` they are not
    /// shown to people.
    pub(super) fn start(json: bool, quiet: bool) -> io::Result<Self> {
        let stdout = io::stdout();
        Self::over(&io::stderr(), json.then_some(&stdout), quiet)
    }

    /// Begins with other files in the place of standard error and standard output.
    pub(super) fn over(
        talk: &impl AsFd,
        json: Option<&impl AsFd>,
        quiet: bool,
    ) -> io::Result<Self> {
        let missing = |stream: &Stream, lines: u64| {
            stream.push(format!("({lines} lines are not shown)\n").as_bytes());
        };
        let talk = Stream::start(talk, "talk", BOUND, missing)?;
        let start = |json| Stream::start(json, "events", BOUND, |_, _| {});
        let json = json.map(start).transpose()?;
        let quiet = quiet || json.is_some();
        Ok(Self { talk, json, quiet })
    }

    /// Writes a message to people.
    pub(super) fn say(&self, line: &str) {
        self.talk.push(format!("{}\n", visible::one_line(line)).as_bytes());
    }

    /// Passes on a line of a command.
    pub(super) fn pass_on(&self, run: &Assignment, line: &str) {
        self.say(&format!("{}: {line}", run.run_id));
    }

    /// Shows that a command begins.
    pub(super) fn begun(&self, run: &Assignment) {
        self.show(&of(run, "begun"), || {
            let external = run.external_id.as_ref();
            let named = external.map_or(Cow::Borrowed(""), |id| format!(" ({id})").into());
            let Assignment { run_id, job_id, queue, attempt, .. } = run;
            format!("{run_id} begins: job {job_id}{named} of queue {queue}, attempt {attempt}")
        });
    }

    /// Shows that a run has ended here.
    pub(super) fn ended(&self, run: &Assignment, ending: &Ending, took: Duration) {
        let mut event = of(run, "ended");
        event["state"] = ending.name().into();
        event["tookMs"] = (took.as_millis() as u64).into();
        match ending {
            Ending::Completed { result: Some(text) } => event["result"] = text.as_str().into(),
            Ending::Failed { error: text } | Ending::GivenBack { why: text } => {
                event["error"] = text.as_str().into();
            }
            _ => {}
        }
        self.show(&event, || {
            format!("{} {} after {:.1} s", run.run_id, ending.in_words(), took.as_secs_f64())
        });
    }

    /// Gives the last lines the time to get out, as long as somebody reads.
    pub(super) fn flush(&self) {
        self.talk.flush(Duration::MAX);
        if let Some(json) = &self.json {
            json.flush(Duration::MAX);
        }
    }

    fn show(&self, event: &Value, in_words: impl FnOnce() -> String) {
        if let Some(json) = &self.json {
            json.push(format!("{}\n", visible::json(event, false)).as_bytes());
        }
        if !self.quiet {
            self.say(&in_words());
        }
    }
}

fn of(run: &Assignment, event: &str) -> Value {
    let mut shown = json!({
        "event": event,
        "runId": run.run_id,
        "id": run.id,
        "attempt": run.attempt,
        "jobId": run.job_id,
        "projectId": run.project_id,
        "queue": run.queue,
        "scheduledAt": run.scheduled_at,
        "dueAt": run.due_at,
    });
    if let Some(id) = &run.external_id {
        shown["externalId"] = id.as_str().into();
    }
    shown
}
