//! The cause of a request that got no answer, in a few words. Used by all files that send requests.

/// The innermost cause, which says it best ("connection refused"). The URL is left out: it may hold
/// a secret.
pub(super) fn cause_of(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
