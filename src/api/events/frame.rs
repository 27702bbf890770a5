//! An item as text of the event-stream format: the id, the type, and one line of JSON.

use std::fmt::Write;

use crate::api::events::view::{self, EventView};
use crate::api::history::execution_view;
use crate::api::http::casing;
use crate::app::events::{EventType, Item, StreamItem};
use crate::model::job::Casing;

/// The time after which a reader comes back, drawn from so many milliseconds: the readers of a node
/// that restarts do not come back as a herd.
const RETRY_MS: std::ops::Range<u32> = 1_000..2_000;

/// Writes an item.
pub(super) fn write(item: StreamItem, casing: Casing) -> Vec<u8> {
    let mut head = String::with_capacity(64);
    if matches!(item.item, Item::Hello(_)) {
        let retry = rand::random_range(RETRY_MS);
        // Writing to a String does not fail.
        let _ = writeln!(head, "retry: {retry}");
    }
    if let Some(id) = item.id {
        let _ = writeln!(head, "id: {id}");
    }
    let _ = write!(head, "event: {}\ndata: ", name(&item.item));
    let mut out = head.into_bytes();
    match item.item {
        Item::Execution { record, more } => {
            let shown = view::AttemptView { execution: execution_view::view(*record), more };
            casing::write_json(&mut out, &shown, casing);
        }
        other => casing::write_json(&mut out, &EventView::of(other, item.id), casing),
    }
    out.extend_from_slice(b"\n\n");
    out
}

/// The type of an item, as clients listen for it.
fn name(item: &Item) -> &'static str {
    match item {
        Item::Hello(_) => "hello",
        Item::Beat { .. } => "beat",
        Item::Reset { .. } => "reset",
        Item::Bye => "bye",
        // A gap is no item.
        Item::Fact { event, .. } => EventType::of(&event.fact).map_or("reset", EventType::name),
        Item::Executions { .. } => EventType::Executions.name(),
        Item::Execution { .. } => EventType::Execution.name(),
        Item::Leader { .. } => EventType::LeaderChanged.name(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::events::{
        EventId, Fact, JobChange, JobEnd, JobNews, JobSet, ResetReason, TemplateMark,
    };
    use crate::model::event::ChangeEvent;
    use crate::model::job::JobStatus;

    fn text(item: Item, id: Option<EventId>, casing: Casing) -> String {
        String::from_utf8(write(StreamItem { id, item }, casing)).unwrap()
    }

    #[test]
    fn an_event_has_its_id_its_type_and_one_line_of_json_in_the_casing_of_the_prefix() {
        let id: EventId = "5f3a9c1e-120934.2".parse().unwrap();
        let fact = Fact::Jobs {
            project: Some(1),
            template: TemplateMark::NoTemplate,
            change: JobChange::Terminated(JobEnd::Delivered),
            jobs: JobSet::range(1_001, 1),
        };
        let event = Arc::new(ChangeEvent { index: 120_934, number: 2, at: 2, fact });
        let item = |external: Option<&str>| Item::Fact {
            event: event.clone(),
            job: Some(JobNews {
                id: 1_001,
                external_id: external.map(str::to_owned),
                project: 1,
                status: JobStatus::Completed,
                next: None,
                version: 3,
                template: None,
            }),
            execution_id: None,
            members: Vec::new(),
        };
        assert_eq!(
            text(item(None), Some(id), Casing::Camel),
            "id: 5f3a9c1e-120934.2\nevent: job_terminated\ndata: \
             {\"at\":\"1970-01-01T00:00:00.002Z\",\"projectId\":1,\"jobs\":[[1001,1]],\
             \"state\":\"delivered\",\"job\":{\"id\":1001,\"projectId\":1,\
             \"status\":\"completed\",\"version\":3}}\n\n"
        );
        let snake = text(item(Some("a\nb")), Some(id), Casing::Snake);
        assert!(snake.contains(r#""project_id":1,"jobs""#), "{snake}");
        assert!(snake.contains(r#""external_id":"a\nb""#), "{snake}");
        assert_eq!(snake.lines().count(), 4);
    }

    #[test]
    fn a_reset_says_from_where_to_where() {
        let (from, to) = ("00000001-5.0".parse().unwrap(), "00000002-9.0".parse().unwrap());
        let item = Item::Reset { reason: ResetReason::Lineage, from };
        assert_eq!(
            text(item, Some(to), Casing::Snake),
            "id: 00000002-9.0\nevent: reset\ndata: \
             {\"reason\":\"lineage\",\"from\":\"00000001-5.0\",\"to\":\"00000002-9.0\"}\n\n"
        );
        assert_eq!(text(Item::Bye, None, Casing::Snake), "event: bye\ndata: {}\n\n");
    }
}
