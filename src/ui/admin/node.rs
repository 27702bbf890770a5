//! `/ui/nodes/{id}`: one node, and the steps that take it out of service or give it the leadership.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use crate::app::Action;
use crate::app::cluster_admin::members::{MemberStatus, Step};
use crate::app::cluster_admin::status::{NodeStatus, Status};
use crate::model::NodeId;
use crate::ui::cluster::{role, shard_map};
use crate::ui::context::Page;
use crate::ui::error::PageError;
use crate::ui::form::{Form, done};
use crate::ui::history::problems::breakers_of;
use crate::ui::icons::icon;
use crate::ui::parts::{banner, card, chip, empty, fact, live, menu};
use crate::ui::shell::Place;
use crate::ui::state::Ui;
use crate::ui::words::{count, counted, length};

fn number(id: &str) -> Result<NodeId, PageError> {
    id.parse().map_err(|_| PageError::no_record("node"))
}

/// `GET /ui/nodes/{id}`.
pub(crate) async fn show_node(
    State(ui): Ui,
    page: Page,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    page.require(Action::ClusterRead)?;
    let id = number(&id)?;
    let status = ui.status(&page.actor).await?;
    let node = status.nodes.iter().find(|node| node.id == id);
    let node = node.ok_or_else(|| PageError::no_record("node"))?;
    // The list of members comes from the same nodes; a page about one does without it.
    let members = ui.members(&page.actor).await.ok();
    let member = members.and_then(|all| all.members.iter().find(|one| one.id == id).cloned());
    let whole = live(
        "node",
        "members_changed shards_moved leader_changed beat",
        whole(&page, &status, node, member.as_ref()),
    );
    if let Some(part) = page.asked_part(&headers, &[("node", &whole)]) {
        return Ok(part);
    }
    let body = html! {
        nav.crumbs aria-label="Path" { a href="/ui/cluster" { "Cluster" } (icon("right")) span { "Node " (id) } }
        (whole)
    };
    Ok(page.document(Place::Cluster, &format!("Node {id}"), body))
}

fn whole(page: &Page, status: &Status, node: &NodeStatus, member: Option<&MemberStatus>) -> Markup {
    let is_away = node.state == "unreachable";
    html! {
        div.page-head {
            h1 { "Node " (node.id) }
            (role(node))
            @if node.draining { (chip("paused", "draining")) }
            span.grow {}
            @if page.may(Action::ClusterWrite) { (buttons(status, node)) }
        }
        @if is_away {
            (banner("bad", "It does not answer. Its shards go to other nodes when its leases have run out; what it recorded last comes when it is back."))
        }
        div.halves { (facts(node, member)) (work(node, member)) }
        (breakers_of(page, std::slice::from_ref(node)))
        (card("Shards", html! { span.muted.num { (counted(node.shards.into(), "shard")) } }, html! {
            @if node.shards == 0 {
                (empty("It has no shards", if node.draining { "It is being drained: nothing fires here." } else { "Nothing fires here. Shards come when the leader spreads them anew." }, html! {}))
            } @else {
                (shard_map(status.shards.iter().filter(|shard| shard.owner == node.id)))
            }
        }))
    }
}

fn facts(node: &NodeStatus, member: Option<&MemberStatus>) -> Markup {
    let body = html! {
        dl.facts {
            (fact("Address", html! { code.break { (node.address) } }))
            (fact("For nodes", html! { code.break { (node.raft_address) } }))
            @if let Some(member) = member { (fact("Member", member.role.as_str())) }
            (fact("Lease", html! { @match node.lease_ms { Some(ms) => { "for " (length(ms)) }, None => span.muted { "none" } } }))
            (fact("Clock", html! {
                @match node.clock_offset_ms { Some(off) => { @if off > 0 { "+" } (off) " ms from the median" }, None => span.muted { "not known" } }
            }))
            (fact("Memory", html! { @match node.memory_mb { Some(mb) => { (format!("{mb:.0}")) " MB" }, None => span.muted { "not known" } } }))
            (fact("Version", html! { @if node.version.is_empty() { span.muted { "not known" } } @else { (node.version) } }))
        }
    };
    card("The node", html! {}, body)
}

fn work(node: &NodeStatus, member: Option<&MemberStatus>) -> Markup {
    let number = |value: Option<u64>| html! { @match value { Some(n) => (count(n)), None => span.muted { "not known" } } };
    let body = html! {
        dl.facts {
            (fact("Applied", number(node.applied_index)))
            (fact("Behind", number(member.and_then(|member| member.behind))))
            (fact("In the journal", number(node.journal_depth)))
            (fact("Not collected", number(member.and_then(|member| member.uncollected))))
            (fact("Due", number(node.queue.map(|queue| queue.due))))
            (fact("Built", number(node.queue.map(|queue| queue.built))))
            (fact("In flight", number(node.queue.map(|queue| queue.in_flight))))
            (fact("Late by", html! {
                @match node.lag_ms { Some(lag) => { (lag.p50) " ms, 99 of 100 within " (lag.p99) " ms" }, None => span.muted { "not known" } }
            }))
        }
    };
    card("Its work", html! {}, body)
}

fn buttons(status: &Status, node: &NodeStatus) -> Markup {
    let action = |name: &str| format!("/ui/nodes/{}/{name}", node.id);
    let others = status
        .nodes
        .iter()
        .filter(|one| one.id != node.id && !one.draining && one.state != "unreachable")
        .count();
    let is_leader = status.leader == Some(node.id);
    html! {
        div.actions {
            @if node.state == "follower" && !node.draining {
                (menu("right", html! { "Make it the leader" }, html! {
                    form.stack method="post" action=(action("lead")) {
                        p.menu-title { "Make node " (node.id) " the leader?" }
                        p.hint { "The leadership is handed over within a moment. Jobs fire on meanwhile; writes wait." }
                        button.button.primary { "Hand over the leadership" }
                    }
                }))
            }
            @if node.draining {
                form method="post" action=(action("undrain")) { button.button.primary { (icon("play")) "Back into service" } }
            } @else {
                (menu("right", html! { (icon("out")) "Drain" }, html! {
                    form.stack method="post" action=(action("drain")) {
                        p.menu-title { "Drain node " (node.id) "?" }
                        @if others == 0 {
                            p.hint { "There is no other node that could take its shards: nothing would fire until it is back in service." }
                        } @else {
                            p.hint { (counted(node.shards.into(), "shard")) " move to " (counted(others as u64, "other node")) ". Each is handed over when its calls have ended, so nothing fires twice or late."
                                @if is_leader { " It stays the leader." } }
                        }
                        button.button.danger { "Drain the node" }
                    }
                }))
            }
        }
    }
}

/// `POST /ui/nodes/{id}/drain`.
pub(crate) async fn drain_node(
    page: Page,
    Path(id): Path<String>,
    _: Form,
) -> Result<Response, PageError> {
    let node = number(&id)?;
    let step = Step::Drain { node, draining: true };
    change(&page, node, step, "The node is being drained. Its shards move to others.").await
}

/// `POST /ui/nodes/{id}/undrain`.
pub(crate) async fn undrain_node(
    page: Page,
    Path(id): Path<String>,
    _: Form,
) -> Result<Response, PageError> {
    let node = number(&id)?;
    let step = Step::Drain { node, draining: false };
    change(&page, node, step, "The node gets shards again.").await
}

/// `POST /ui/nodes/{id}/lead`.
pub(crate) async fn lead_by_node(
    page: Page,
    Path(id): Path<String>,
    _: Form,
) -> Result<Response, PageError> {
    let node = number(&id)?;
    change(&page, node, Step::Transfer(Some(node)), "The leadership is handed over.").await
}

async fn change(page: &Page, node: NodeId, step: Step, told: &str) -> Result<Response, PageError> {
    page.require(Action::ClusterWrite)?;
    page.ui.app.change_members(&page.actor, step).await?;
    Ok(done(&format!("/ui/nodes/{node}"), told))
}
