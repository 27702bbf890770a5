//! Plans of messages: the settings with a job's `message` over them, read once and rendered for
//! each job. `render` makes one for each definition of a batch; `AmqpExecutor::data_check` renders
//! one with the longest values that there can be. Pure.

use serde_json::Value;

use super::broker::Exchange;
use super::content::{BODY, CORRELATION_ID, Content, HEADERS, ROUTING_KEY};
use super::fields::{LONGEST_SHORT, Owner, placeholders};
use super::headers::Headers;
use super::payload::{self, Payload, check_base64};
use super::settings::Settings;
use super::validate::check_routing_key;
use crate::delivery::executor::Invalid;
use crate::executor::broker::message::{Message, Properties};
use crate::executor::template::{Bounded, EXECUTION_ID, Fill, Full, INSTANT, Place, Template};
use crate::model::JobId;
use crate::model::template::LONGEST_TYPE;

/// A plan.
#[derive(Debug)]
pub(super) struct Plan {
    /// The exchange of its messages.
    pub(super) exchange: Exchange,
    routing_key: Template,
    headers: Headers,
    payload: Payload,
    /// `None` for the type that fits the body.
    content_type: Option<Template>,
    content_encoding: Template,
    kind: Template,
    reply_to: Template,
    correlation_id: Template,
    priority: Option<u8>,
    expiration: Option<u64>,
    persistent: bool,
}

/// The reason why there is no message for a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unrendered {
    /// A short text would be too long.
    #[error("{0} would have more than {LONGEST_SHORT} bytes with what is filled in")]
    TooLong(&'static str),
    /// Headers would be too large.
    #[error(transparent)]
    Headers(#[from] super::headers::TooLarge),
    /// There is no body.
    #[error(transparent)]
    Body(#[from] payload::Error),
}

impl Plan {
    /// The plan of messages by settings and by the `message` of a job, if it has one. `max_body` is
    /// the most bytes of a body.
    ///
    /// # Errors
    ///
    /// `Invalid` where message and settings do not fit each other, or a text is not valid, which
    /// cannot be if it was validated.
    pub(super) fn new(
        settings: &Settings,
        message: Option<&Value>,
        max_body: usize,
    ) -> Result<Self, Invalid> {
        let own = message.map(Content::message).transpose()?.unwrap_or_default();
        let whole = own.over(&settings.content);
        let of = |given: bool| if given { Owner::Message } else { Owner::Settings };
        let exchange = settings.exchange(whole.exchange.as_deref().unwrap_or_default());
        let routing_key = whole.routing_key.as_deref().unwrap_or_default();
        let kind = exchange.declare.as_ref().map(|declare| &*declare.kind);
        // Settings alone were validated: it is the message that does not fit.
        check_routing_key(ROUTING_KEY.1, &exchange.name, kind, routing_key)?;
        let body_field = of(own.body.is_some()).name(BODY);
        if settings.base64
            && let Some(body) = &own.body
        {
            check_base64(body_field, &placeholders(body_field, body, Place::Plain)?)?;
        }
        let short =
            |field, text: Option<&str>| placeholders(field, text.unwrap_or_default(), Place::Plain);
        let content_type = whole.content_type.as_deref().filter(|text| !text.is_empty());
        Ok(Self {
            routing_key: short(ROUTING_KEY.0, Some(routing_key))?,
            headers: match &whole.headers {
                Some(headers) => Headers::new(of(own.headers.is_some()).name(HEADERS), headers)?,
                None => Headers::default(),
            },
            payload: Payload::new(body_field, whole.body.as_deref(), settings.base64, max_body)?,
            content_type: content_type
                .map(|text| short("amqp.contentType", Some(text)))
                .transpose()?,
            content_encoding: short("amqp.contentEncoding", Some(&settings.content_encoding))?,
            kind: short("amqp.type", Some(&settings.kind))?,
            reply_to: short("amqp.replyTo", Some(&settings.reply_to))?,
            correlation_id: short(CORRELATION_ID.0, whole.correlation_id.as_deref())?,
            priority: whole.priority,
            expiration: whole.expiration,
            persistent: settings.persistent,
            exchange,
        })
    }

    /// The message for a job; `chunk` completes it when it goes.
    pub(super) fn render(&self, fill: &Fill<'_>) -> Result<Message, Unrendered> {
        let body = self.payload.render(fill)?;
        let content_type = match &self.content_type {
            Some(template) => filled("contentType", template, fill)?,
            None => body.content_type.to_owned(),
        };
        Ok(Message {
            job: fill.job,
            execution: fill.execution_id.to_owned(),
            routing_key: filled("routingKey", &self.routing_key, fill)?,
            properties: Properties {
                content_type,
                content_encoding: filled("contentEncoding", &self.content_encoding, fill)?,
                headers: self.headers.render(fill)?,
                persistent: self.persistent,
                priority: self.priority,
                correlation_id: filled("correlationId", &self.correlation_id, fill)?,
                reply_to: filled("replyTo", &self.reply_to, fill)?,
                expiration: self.expiration,
                timestamp: 0,
                kind: filled("type", &self.kind, fill)?,
            },
            body: body.bytes,
        })
    }

    /// Checks that there is a message for every occurrence of a job with this data: that of the
    /// longest ids, instants and numbers.
    pub(super) fn check(&self, data: &str) -> Result<(), Unrendered> {
        let longest = Fill {
            execution_id: EXECUTION_ID,
            job: JobId::MAX,
            scheduled: INSTANT,
            attempt: u32::MAX,
            data,
            template: &"x".repeat(LONGEST_TYPE),
        };
        self.render(&longest).map(drop)
    }
}

/// A short text with the values in their places.
fn filled(field: &'static str, template: &Template, fill: &Fill<'_>) -> Result<String, Unrendered> {
    match template.fixed() {
        Some(text) if text.len() <= LONGEST_SHORT => Ok(text.to_owned()),
        Some(_) => Err(Unrendered::TooLong(field)),
        None => {
            let mut out = Bounded::new(LONGEST_SHORT);
            let written = template.fill(fill, Place::Plain, &mut out);
            written.map_err(|Full| Unrendered::TooLong(field))?;
            Ok(out.into_text())
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
