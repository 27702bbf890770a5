//! The three prefixes under which the one router is served. The prefix of a request decides the
//! casing of its answer and nothing else.

use crate::model::job::Casing;

/// A prefix of all routes. It decides the casing of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutePrefix {
    /// `/`, `snake_case`: the program of the README.
    Root,
    /// `/v1`, camelCase.
    V1,
    /// `/api/v1`, camelCase: the published clients, the command line and the UI.
    ApiV1,
}

impl RoutePrefix {
    /// The prefix of a request's path.
    pub fn of(path: &str) -> Self {
        let under = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match () {
            () if under(Self::ApiV1.as_str()) => Self::ApiV1,
            () if under(Self::V1.as_str()) => Self::V1,
            () => Self::Root,
        }
    }

    /// The text before a route's path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::V1 => "/v1",
            Self::ApiV1 => "/api/v1",
        }
    }

    /// The casing of answers under this prefix.
    pub fn casing(self) -> Casing {
        match self {
            Self::Root => Casing::Snake,
            Self::V1 | Self::ApiV1 => Casing::Camel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_told_by_their_prefix() {
        for (path, prefix) in [
            ("/jobs", RoutePrefix::Root),
            ("/v1/jobs", RoutePrefix::V1),
            ("/v1", RoutePrefix::V1),
            ("/v1x/jobs", RoutePrefix::Root),
            ("/api/v1/jobs/1", RoutePrefix::ApiV1),
            ("/api", RoutePrefix::Root),
        ] {
            assert_eq!(RoutePrefix::of(path), prefix, "{path}");
        }
    }
}
