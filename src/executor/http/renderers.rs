//! The renderers of HTTP targets: batches for a URL, and one request for each occurrence. The
//! worker pushes jobs; `payload` and `template` write.

use std::sync::Arc;

use reqwest::Method;
use url::Url;

use super::destination::path_hash;
use super::parts::Parts;
use super::payload::{Builder, DefinitionText, PayloadJob};
use super::prepared::HttpRequest;
use super::template::{Opened, RequestTemplate};
use crate::delivery::batch::{Batch, BatchJob, template_type};
use crate::delivery::executor::Renderer;
use crate::delivery::request::{Rendered, Request};
use crate::executor::outbound::guard;
use crate::executor::template::Fill;
use crate::model::JobId;
use crate::model::call_target::Callback;
use crate::model::job::JobDefinition;
use crate::model::target::HttpTarget;

/// Writes batches.
pub(super) struct BatchRenderer<'r> {
    parts: &'r Arc<Parts>,
    callback: &'r Callback,
    definitions: &'r [Arc<JobDefinition>],
    /// The text of each definition, once it was needed.
    texts: Vec<Option<DefinitionText>>,
    builder: Builder,
}

impl<'r> BatchRenderer<'r> {
    pub(super) fn new(parts: &'r Arc<Parts>, callback: &'r Callback, batch: Batch<'r>) -> Self {
        let mut texts = Vec::new();
        texts.resize_with(batch.definitions.len(), || None);
        let builder = Builder::new(batch.instant, parts.options.payload_max_bytes);
        Self { parts, callback, definitions: batch.definitions, texts, builder }
    }
}

impl Renderer for BatchRenderer<'_> {
    fn push(&mut self, job: &BatchJob<'_>) {
        let (Some(definition), Some(text)) =
            (self.definitions.get(job.definition), self.texts.get_mut(job.definition))
        else {
            return; // the worker pushes jobs of the definitions that it named
        };
        let definition = &*text.get_or_insert_with(|| DefinitionText::new(definition));
        let BatchJob { id, data, created, last, .. } = *job;
        self.builder.push(&PayloadJob { id, definition, data, created, last });
    }

    fn finish(self: Box<Self>) -> Rendered {
        let built = self.builder.finish();
        let (series, max) =
            (Arc::<str>::from(&*self.callback.url), self.parts.options.payload_max_bytes);
        let url = Url::parse(&series).map_err(|error| guard::Error::Invalid(error.to_string()));
        let path = url.as_ref().map_or(0, path_hash);
        let method = if self.callback.method == "PUT" { Method::PUT } else { Method::POST };
        let request = |chunk: super::payload::Chunk| Request {
            members: chunk.members,
            id: chunk.webhook_id,
            series: Some(Arc::clone(&series)),
            path,
            prepared: Box::new(HttpRequest {
                parts: Arc::clone(self.parts),
                method: method.clone(),
                url: url.clone(),
                headers: Vec::new(),
                body: chunk.body,
                batch: true,
                success_codes: Arc::default(),
                tls: None,
                allowed: None,
            }),
        };
        let mut rendered = Rendered {
            requests: built.chunks.into_iter().map(request).collect(),
            ..Rendered::default()
        };
        if !built.oversized.is_empty() {
            let why = format!("larger than the payload limit of {max} bytes");
            rendered.failed.push((built.oversized, why));
        }
        rendered
    }
}

/// Writes a request for each occurrence.
pub(super) struct SingleRenderer<'r> {
    parts: &'r Arc<Parts>,
    batch: Batch<'r>,
    /// The template and the opened secrets, or why there are none.
    terms: Result<(RequestTemplate<'r>, Opened), String>,
    success_codes: Arc<[u16]>,
    rendered: Rendered,
}

impl<'r> SingleRenderer<'r> {
    pub(super) fn new(parts: &'r Arc<Parts>, target: &'r HttpTarget, batch: Batch<'r>) -> Self {
        let opened = parts.credentials.open_target(target).map_err(|error| {
            let secret = !target.secret_headers.is_empty();
            let of = if secret { "http.auth, http.secretHeaders" } else { "http.auth" };
            format!("{of}: {error}")
        });
        let template = RequestTemplate::new(target, parts.options.payload_max_bytes);
        let template = template.map_err(|error| error.to_string());
        let terms = opened.and_then(|opened| Ok((template?, opened)));
        let success_codes = target.success_codes.as_slice().into();
        Self { parts, batch, terms, success_codes, rendered: Rendered::default() }
    }

    fn render(&self, job: &BatchJob<'_>) -> Result<Request, String> {
        let (template, opened) = self.terms.as_ref().map_err(Clone::clone)?;
        let execution_id = self.batch.instant.id(job.id);
        let fill = Fill {
            execution_id: &execution_id,
            job: job.id,
            scheduled: self.batch.instant.scheduled,
            attempt: self.batch.attempt,
            data: job.data,
            template: template_type(self.batch.definitions, job),
        };
        let rendered = template.render(&fill, opened).map_err(|error| error.to_string())?;
        let path = path_hash(&rendered.parsed);
        Ok(Request {
            members: vec![job.id],
            id: execution_id,
            series: None,
            path,
            prepared: Box::new(HttpRequest {
                parts: Arc::clone(self.parts),
                method: rendered.method,
                url: Ok(rendered.parsed),
                headers: rendered.headers,
                body: rendered.body,
                batch: false,
                success_codes: Arc::clone(&self.success_codes),
                tls: None,
                allowed: None,
            }),
        })
    }
}

impl Renderer for SingleRenderer<'_> {
    fn push(&mut self, job: &BatchJob<'_>) {
        match self.render(job) {
            Ok(request) => self.rendered.requests.push(request),
            Err(error) => self.rendered.failed.push((vec![job.id], error)),
        }
    }

    fn finish(self: Box<Self>) -> Rendered {
        self.rendered
    }
}

/// The renderer of a target that is none of this kind.
#[derive(Default)]
pub(super) struct NoRenderer(Vec<JobId>);

impl Renderer for NoRenderer {
    fn push(&mut self, job: &BatchJob<'_>) {
        self.0.push(job.id);
    }

    fn finish(self: Box<Self>) -> Rendered {
        let why = "it is no target of this type".to_owned();
        Rendered { requests: Vec::new(), failed: vec![(self.0, why)] }
    }
}
