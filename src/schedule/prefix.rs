//! The parts of a spec before its fields: the zone prefix and the word `@every`. Called by `parse`,
//! `before` and `describe`.

/// The name of the zone in front of a spec, if there is one, and the rest.
pub(super) fn split_zone(spec: &str) -> (Option<&str>, &str) {
    let spec = spec.trim();
    match spec.strip_prefix("CRON_TZ=").or(spec.strip_prefix("TZ=")) {
        None => (None, spec),
        Some(prefixed) => {
            // The name ends at the first blank, and only at a blank, as in robfig/cron.
            let (name, rest) = prefixed.split_once(' ').unwrap_or((prefixed, ""));
            (Some(name), rest.trim())
        }
    }
}

/// The text behind `@every`, if the spec begins with it.
pub(super) fn period_text(rest: &str) -> Option<&str> {
    rest.strip_prefix("@every ")
}
