//! Actions: what workers are to do, as it stands in messages. The bus makes them of tickets.

use bytes::Bytes;
use serde::Serialize;

use super::names::{self, Subject};
use crate::bus::hand_out::Ticket;
use crate::delivery::batch::Labels;
use crate::executor::broker::labels::label;
use crate::executor::broker::message::{Message, Properties};
use crate::executor::{Actions, RabbitmqSettings};
use crate::model::time::rfc3339;

/// What a worker is to do with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Act {
    /// Perform it.
    Run,
    /// Stop it.
    Cancel,
}

/// An action, with where it goes.
#[derive(Clone, Debug)]
pub(super) struct Action {
    /// The exchange.
    pub(super) exchange: String,
    /// The message. Its id is the run id.
    pub(super) message: Message,
}

/// The body of an action; workers read these fields and no others.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    job_name: &'a str,
    run_id: &'a str,
    action: Act,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
}

impl Action {
    /// The action for a run of the job with a name. The error is the reason why there is none.
    pub(super) fn new(
        act: Act,
        settings: &RabbitmqSettings,
        name: &str,
        ticket: Ticket,
    ) -> Result<Self, String> {
        names::check(name)?;
        let with_data = act == Act::Run && settings.include_data;
        let data = Some(&*ticket.data).filter(|_| with_data);
        let body = Body { job_name: name, run_id: &ticket.run, action: act, data };
        let body = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
        // A worker that finds a cancel late must find it still: the run may be before it.
        let expires = ticket.start_timeout.filter(|_| act == Act::Run);
        let properties = Properties {
            content_type: "application/json".to_owned(),
            persistent: true,
            // The broker drops a message that expires at once.
            expiration: expires.map(|ms| ms.max(1).cast_unsigned()),
            ..Properties::default()
        };
        let labels = Labels {
            shard: ticket.shard,
            epoch: ticket.epoch,
            scheduled: ticket.scheduled,
            attempt: ticket.attempt,
            number: 0,
            request_id: &ticket.execution,
            now: ticket.now,
            // The route was judged when it was offered.
            allowed: None,
        };
        let mut message = Message {
            job: ticket.job,
            execution: ticket.run,
            routing_key: Subject::Action.word().to_owned(),
            properties,
            body: Bytes::from(body),
        };
        let scheduled = rfc3339(ticket.scheduled);
        label(&mut message, &labels, (&scheduled, Some(&ticket.execution)));
        let exchange = match settings.actions {
            Actions::Queue => names::exchange(name),
            Actions::Exchange => names::of(name, Subject::Action),
        };
        Ok(Self { exchange, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::rabbitmq::bus::tests::{settings, ticket};

    fn body(act: Act, include_data: bool, ticket: Ticket) -> String {
        let settings = RabbitmqSettings { include_data, ..settings() };
        let action = Action::new(act, &settings, "nightly \"1\"", ticket).unwrap();
        String::from_utf8(action.message.body.to_vec()).unwrap()
    }

    #[test]
    fn a_body_has_what_published_workers_read_and_nothing_else_unless_it_is_asked_for() {
        let run =
            r#"{"jobName":"nightly \"1\"","runId":"480788a06cd1843bcc4ff647","action":"run"}"#;
        assert_eq!(body(Act::Run, false, ticket(0)), run);
        assert_eq!(body(Act::Cancel, true, ticket(0)), run.replace("\"run\"", "\"cancel\""));
        let with = run.replace('}', r#","data":"{\"a\":1}"}"#);
        assert_eq!(body(Act::Run, true, ticket(0)), with);
    }

    #[test]
    fn an_action_says_what_it_is_of_and_a_cancel_does_not_expire() {
        let made = |act, start_timeout| {
            let ticket = Ticket { start_timeout, ..ticket(0) };
            Action::new(act, &settings(), "nightly", ticket).unwrap()
        };
        let Action { exchange, message } = made(Act::Run, Some(5_000));
        assert_eq!((exchange.as_str(), &*message.routing_key), ("scheduler.job.nightly", "action"));
        assert_eq!(message.execution, "480788a06cd1843bcc4ff647");
        assert_eq!(message.properties.headers["scheduler-execution-id"], "execution");
        assert_eq!(message.properties.headers["scheduler-fence"], 3);
        assert!(message.properties.persistent);
        assert_eq!(message.properties.expiration, Some(5_000));
        assert_eq!(made(Act::Run, Some(0)).message.properties.expiration, Some(1));
        assert_eq!(made(Act::Cancel, Some(5_000)).message.properties.expiration, None);
        let settings = RabbitmqSettings { actions: Actions::Exchange, ..settings() };
        let action = Action::new(Act::Run, &settings, "nightly", ticket(0)).unwrap();
        assert_eq!(action.exchange, "scheduler.job.nightly.action");
        assert!(Action::new(Act::Run, &settings, &"n".repeat(232), ticket(0)).is_err());
    }
}
