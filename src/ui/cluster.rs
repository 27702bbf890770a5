//! `GET /ui/cluster`: nodes, shards and what is not as it should be. For operators.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::Action;
use crate::app::cluster_admin::status::{NodeStatus, ShardStatus, Status};
use crate::model::NodeId;
use crate::model::time::parse_rfc3339;
use crate::ui::context::Page;
use crate::ui::error::{PageError, sentence};
use crate::ui::history::problems::breakers_of;
use crate::ui::parts::{banner, card, chip, fact, live, table};
use crate::ui::shell::Place;
use crate::ui::state::Ui;
use crate::ui::words::{count, counted, length};

const HEAD: &[&str] = &[
    "Node",
    "Role",
    "Shards",
    "Lease",
    "Clock",
    "Applied",
    "Journal",
    "Due",
    "In flight",
    "Late by p50, p99",
    "Memory",
    "Version",
];
/// The clock offset from which on it is worth a look, in milliseconds.
const CLOCK_OFF: i64 = 500;

/// `GET /ui/cluster`.
pub(crate) async fn show_cluster(
    State(ui): Ui,
    page: Page,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    page.require(Action::ClusterRead)?;
    let status = ui.status(&page.actor).await?;
    let body = live(
        "cluster",
        "members_changed shards_moved leader_changed node_changed beat",
        whole(&page, &status),
    );
    if let Some(part) = page.asked_part(&headers, &[("cluster", &body)]) {
        return Ok(part);
    }
    Ok(page.document(Place::Cluster, "Cluster", body))
}

fn whole(page: &Page, status: &Status) -> Markup {
    let voters = status.nodes.len();
    html! {
        div.page-head {
            h1 { "Cluster" }
            @if status.quorum { (chip("delivered", "has a leader")) } @else { (chip("dead", "no leader")) }
            @if status.quorum && status.warnings.is_empty() { span.muted { "No warnings." } }
        }
        @for warning in &status.warnings { (banner("bad", sentence(warning))) }
        @if !status.quorum {
            (banner("bad", "No leader has a majority: nothing is written, and nothing new fires. Start the nodes that are down."))
        }
        section.card {
            dl.facts.row {
                (fact("Leader", status.leader.map_or_else(|| "none".to_owned(), |id| format!("node {id}"))))
                (fact("Members", html! {
                    @if voters == 1 { "a single node" } @else { (voters) ", any " (voters / 2 + 1) " decide" }
                }))
                (fact("Term", count(status.term)))
                (fact("Lease", length(status.ttl_ms.cast_signed())))
                (fact("Id", html! { code { (status.cluster_id.get(..8).unwrap_or_default()) } }))
            }
        }
        section.card.flush {
            (table("Nodes", HEAD, html! { @for node in &status.nodes { (row(node, status)) } }))
        }
        (breakers_of(page, &status.nodes))
        (card("Shards", html! { (legend(status)) }, shards(page, &status.shards)))
    }
}

/// The part of a node in the cluster, or that it does not answer.
pub(crate) fn role(node: &NodeStatus) -> Markup {
    match node.state.as_str() {
        "leader" => chip("active", "leader"),
        "unreachable" => chip("dead", "unreachable"),
        other => chip("completed-role", other),
    }
}

fn row(node: &NodeStatus, status: &Status) -> Markup {
    let is_away = node.state == "unreachable";
    let is_off = node.clock_offset_ms.is_some_and(|off| off.abs() >= CLOCK_OFF);
    let number = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), count);
    let highest = status.nodes.iter().filter_map(|node| node.applied_index).max();
    let behind = highest.zip(node.applied_index).map(|(top, own)| top - own);
    html! {
        tr.away[is_away] data-href={ "/ui/nodes/" (node.id) } {
            td.lead data-label="Node" {
                i class={ "owner o" (node.id % 6) } {} a href={ "/ui/nodes/" (node.id) } { "Node " (node.id) } " "
                span.muted { (node.address) }
            }
            td data-label="Role" {
                (role(node))
                @if node.draining { " " (chip("paused", "draining")) }
            }
            td.num data-label="Shards" { (node.shards) }
            td.num data-label="Lease" { @match node.lease_ms { Some(ms) => (length(ms)), None => "–" } }
            td.num data-label="Clock" {
                @match node.clock_offset_ms {
                    Some(off) => span.warned[is_off] { @if off > 0 { "+" } (off) " ms" },
                    None => "–",
                }
            }
            td.num data-label="Applied" {
                (number(node.applied_index))
                @if let Some(behind) = behind.filter(|behind| *behind > 100) { span.warned { " −" (count(behind)) } }
            }
            td.num data-label="Journal" { (number(node.journal_depth)) }
            td.num data-label="Due" { (number(node.queue.map(|queue| queue.due))) }
            td.num data-label="In flight" { (number(node.queue.map(|queue| queue.in_flight))) }
            td.num data-label="Late by" {
                @match node.lag_ms { Some(lag) => { (lag.p50) ", " (lag.p99) " ms" }, None => "–" }
            }
            td.num data-label="Memory" {
                @match node.memory_mb { Some(mb) => { (format!("{mb:.0}")) " MB" }, None => "–" }
            }
            td.num data-label="Version" { (node.version) }
        }
    }
}

fn owners(shards: &[ShardStatus]) -> BTreeMap<NodeId, u64> {
    let mut owners = BTreeMap::new();
    for shard in shards {
        *owners.entry(shard.owner).or_default() += 1;
    }
    owners
}

fn legend(status: &Status) -> Markup {
    html! {
        span.grow {}
        span.legend {
            @for (owner, number) in owners(&status.shards) {
                span {
                    i class={ "owner o" (if owner == 0 { "-none".to_owned() } else { (owner % 6).to_string() }) } {}
                    @if owner == 0 { "nobody" } @else { "node " (owner) } ": " (number)
                }
            }
        }
    }
}

fn shards(page: &Page, shards: &[ShardStatus]) -> Markup {
    let late = shards
        .iter()
        .filter_map(|shard| parse_rfc3339(&shard.watermark))
        .min()
        .map(|oldest| page.context.now - oldest);
    html! {
        (shard_map(shards.iter()))
        @if let Some(late) = late.filter(|late| *late >= 0) {
            p.muted.pad { "Everything that was due up to " (length(late)) " ago is recorded. ● hands over." }
        }
    }
}

/// Shards as fields: the number and the colour say whose they are.
pub(crate) fn shard_map<'s>(shards: impl Iterator<Item = &'s ShardStatus> + Clone) -> Markup {
    html! {
        div.shards role="img" aria-label=(counted(shards.clone().count() as u64, "shard")) {
            @for shard in shards {
                @let owner = if shard.owner == 0 { "-none".to_owned() } else { (shard.owner % 6).to_string() };
                span class={ "shard o" (owner) } title={ "shard " (shard.id) ", node " (shard.owner) ", epoch " (shard.epoch) } {
                    @if shard.closing.is_some() { "●" } @else if shard.owner == 0 { "–" } @else { (shard.owner) }
                }
            }
        }
    }
}
