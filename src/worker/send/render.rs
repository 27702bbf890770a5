//! Writes the requests of one route: batches, or one request for each occurrence. What is being
//! written is marked first (the mark rule). Only `builder` calls it, with jobs that go out.

use std::sync::Arc;

use reqwest::Method;

use super::builder::{ReadyJob, RequestBuilder, RouteGroup};
use super::poison::{PoisonRegister, Suspicion, reason};
use super::prepared::{Prepared, Request, UnsentReason};
use super::route::SingleTerms;
use super::work::Head;
use crate::executor::payload::{self, Builder, PayloadJob};
use crate::executor::template::{Fill, Opened, RequestTemplate};
use crate::model::JobId;
use crate::model::attempt::Verdict;

impl<'r> From<&'r ReadyJob> for PayloadJob<'r> {
    fn from((row, definition, last): &'r ReadyJob) -> Self {
        Self { id: row.id, definition, data: &row.data, created: row.created, last: *last }
    }
}

fn ids(jobs: &[ReadyJob]) -> impl Iterator<Item = JobId> {
    jobs.iter().map(|(row, ..)| row.id)
}

impl RequestBuilder<'_> {
    /// Writes the batches of a group.
    pub(super) fn batch(
        &self,
        head: &Head,
        group: &mut RouteGroup,
        (url, method): (&str, &str),
        done: &mut Prepared,
    ) {
        let alone = self.suspects(head, group, done);
        let mut mark = self.register.mark(head);
        let mut builder = Builder::new(self.instant(head), self.max_bytes);
        let mut built = self.register.together(&mut mark, |mark| {
            for window in group.jobs.chunks(PoisonRegister::WINDOW) {
                mark.set(ids(window));
                for job in window {
                    builder.push(&job.into());
                }
            }
            builder.finish()
        });
        for job in &alone {
            let one = self.register.alone(&mut mark, job.0.id, || {
                payload::build(self.instant(head), [job.into()], self.max_bytes)
            });
            built.chunks.extend(one.chunks);
            built.oversized.extend(one.oversized);
        }
        drop(mark);
        let url: Arc<str> = url.into();
        let method = if method == "PUT" { Method::PUT } else { Method::POST };
        for chunk in built.chunks {
            done.requests.push(Request {
                route: Arc::clone(&group.route),
                method: method.clone(),
                url: Arc::clone(&url),
                parsed: None,
                headers: Vec::new(),
                body: chunk.body,
                members: chunk.members,
                webhook_id: chunk.webhook_id,
            });
        }
        if !built.oversized.is_empty() {
            built.oversized.sort_unstable();
            let why = format!("larger than the payload limit of {} bytes", self.max_bytes);
            let why = UnsentReason::Over(Verdict::Dead, Some(why));
            done.unsent(group.route.project, group.route.once, built.oversized, why);
        }
    }

    /// Writes a request for each occurrence of a group that has a place.
    pub(super) fn singles(
        &self,
        head: &Head,
        group: &mut RouteGroup,
        single: &SingleTerms,
        done: &mut Prepared,
    ) {
        // Without a place it would be written in vain.
        let room = (self.room)(&group.route, group.jobs.len());
        let later = group.jobs.split_off(room);
        if !later.is_empty() {
            done.no_place.push((Arc::clone(&group.route), ids(&later).collect()));
        }
        let alone = self.suspects(head, group, done);
        let opened = self.secrets.open_target(&single.http);
        let opened = opened.map_err(|error| {
            let secret = !single.http.secret_headers.is_empty();
            let of = if secret { "http.auth, http.secretHeaders" } else { "http.auth" };
            format!("{of}: {error}")
        });
        let template = RequestTemplate::new(&single.http, self.max_bytes);
        let template = template.map_err(|error| error.to_string());
        let terms = opened.and_then(|opened| Ok((template?, opened)));
        let terms = terms.as_ref().map_err(String::as_str);
        let mut mark = self.register.mark(head);
        self.register.together(&mut mark, |mark| {
            for window in group.jobs.chunks(PoisonRegister::WINDOW) {
                mark.set(ids(window));
                for job in window {
                    self.one(head, group, job, terms, done);
                }
            }
        });
        for job in &alone {
            let write = || self.one(head, group, job, terms, done);
            self.register.alone(&mut mark, job.0.id, write);
        }
    }

    /// Writes one request for one occurrence.
    fn one(
        &self,
        head: &Head,
        group: &RouteGroup,
        (row, ..): &ReadyJob,
        terms: Result<&(RequestTemplate<'_>, Opened), &str>,
        done: &mut Prepared,
    ) {
        let execution_id = self.instant(head).id(row.id);
        let fill = Fill {
            execution_id: &execution_id,
            job: row.id,
            scheduled: head.scheduled,
            attempt: head.attempt,
            data: &row.data,
        };
        let rendered = terms.map_err(str::to_owned).and_then(|(template, opened)| {
            template.render(&fill, opened).map_err(|error| error.to_string())
        });
        match rendered {
            Ok(rendered) => done.requests.push(Request {
                route: Arc::clone(&group.route),
                method: rendered.method,
                url: rendered.url,
                parsed: Some(rendered.parsed),
                headers: rendered.headers,
                body: rendered.body,
                members: vec![row.id],
                webhook_id: execution_id,
            }),
            Err(error) => {
                let why = UnsentReason::Over(Verdict::Dead, Some(error));
                done.unsent(group.route.project, group.route.once, vec![row.id], why);
            }
        }
    }

    /// Takes out of a group what processes died with. Poison is recorded as dead, suspects are
    /// returned to be written alone.
    fn suspects(&self, head: &Head, group: &mut RouteGroup, done: &mut Prepared) -> Vec<ReadyJob> {
        let suspicions = self.register.suspicions(head);
        if suspicions.is_empty() {
            return Vec::new();
        }
        let (mut alone, mut poison) = (Vec::new(), Vec::new());
        for job in std::mem::take(&mut group.jobs) {
            match suspicions.of(job.0.id) {
                Suspicion::None => group.jobs.push(job),
                Suspicion::Alone => alone.push(job),
                Suspicion::Poison => poison.push(job.0.id),
            }
        }
        if !poison.is_empty() {
            tracing::error!(jobs = ?poison, scheduled = head.scheduled, "{}", reason());
            let why = UnsentReason::Over(Verdict::Dead, Some(reason()));
            done.unsent(group.route.project, group.route.once, poison, why);
        }
        alone
    }
}
