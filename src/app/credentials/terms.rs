//! The terms of a key as a request gives them. `create` and `update` read the texts here, which are
//! checked by the rules of values. `command::apply` judges who may give them.

use crate::app::actor::Actor;
use crate::app::error::Error;
use crate::app::patch::Patch;
use crate::app::state::App;
use crate::model::key_terms::KeyTerms;
use crate::model::network::Network;
use crate::model::reach::{MOST_PROJECTS, sorted};
use crate::model::scope::{Scope, Scopes};
use crate::model::{Millis, ProjectId};
use crate::store::projects;

/// The longest `createdBy` and `archivedBy`, in bytes.
pub const LONGEST_BY: usize = 256;
/// The longest name of a key, in bytes.
pub const LONGEST_NAME: usize = 128;
/// The longest life of a key that is given in seconds: ten years.
const LONGEST_LIFE: Millis = 10 * 366 * 86_400_000;
/// The field of the projects that a key reaches.
const PROJECTS: &str = "projects";
/// The most words for scopes, and the most networks, of one key.
const MOST: usize = 64;
/// The most requests in a second of a key that has a rate.
const MOST_RATE: u32 = 1_000_000;

/// The end of a key, as a request gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// At an instant.
    At(Millis),
    /// After so many seconds.
    In(u64),
}

/// The terms that a request gives; a field that it clears or leaves out is that of every key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TermsInput {
    /// A name for people.
    pub name: Patch<String>,
    /// Names of scopes, or the words of published clients.
    pub scopes: Patch<Vec<String>>,
    /// Its end.
    pub expires: Patch<Expiry>,
    /// Addresses and networks that it may be used from.
    pub allowed: Patch<Vec<String>>,
    /// The projects that it reaches.
    pub projects: Patch<Vec<ProjectId>>,
    /// The most requests in a second.
    pub rate: Patch<u64>,
}

impl TermsInput {
    /// The terms after this change of others.
    ///
    /// # Errors
    ///
    /// `Invalid`, which names the field.
    pub(super) fn apply_to(self, old: KeyTerms, now: Millis) -> Result<KeyTerms, Error> {
        let terms = KeyTerms {
            name: checked(self.name, check_name)?.apply_to(old.name),
            scopes: checked(self.scopes, |words| read_scopes(&words))?.apply_to(old.scopes),
            expires: checked(self.expires, |expiry| read_expiry(expiry, now))?
                .apply_to(old.expires),
            allowed: checked(self.allowed, read_networks)?
                .apply_to(Some(old.allowed))
                .unwrap_or_default(),
            projects: checked(self.projects, read_projects)?.apply_to(old.projects),
            rate: checked(self.rate, read_rate)?.apply_to(old.rate),
        };
        match terms.at_odds() {
            Some(excess) => Err(Error::invalid(PROJECTS, excess.to_string())),
            None => Ok(terms),
        }
    }
}

impl App {
    /// Refuses projects that do not exist. Those out of the actor's reach are not looked for: to
    /// give them is refused whether or not they are there.
    pub(super) async fn projects_exist(
        &self,
        actor: &Actor,
        projects: &Patch<Vec<ProjectId>>,
    ) -> Result<(), Error> {
        let Patch::Set(ids) = projects else { return Ok(()) };
        let named = |id: &ProjectId| actor.reach().names_project(*id);
        let ids: Vec<_> = ids.iter().copied().filter(named).collect();
        let missing = self.read(actor, move |conn| {
            for id in ids {
                if !projects::exists(conn, id)? {
                    return Ok(Some(id));
                }
            }
            Ok(None)
        });
        match missing.await? {
            None => Ok(()),
            Some(id) => {
                let message = format!("{PROJECTS}: project with id {id} does not exist");
                Err(Error::invalid(PROJECTS, message))
            }
        }
    }
}

/// The error of a key without scopes of its own where `RequireKeyScopes` is set.
pub(super) fn no_scopes() -> Error {
    let message = "scopes is required here (RequireKeyScopes): name what the key is for, such as \
                   [\"jobs:read\"]";
    Error::invalid("scopes", message)
}

/// Checks the value of a field that is set.
fn checked<T, R>(
    patch: Patch<T>,
    check: impl FnOnce(T) -> Result<R, Error>,
) -> Result<Patch<R>, Error> {
    match patch {
        Patch::Keep => Ok(Patch::Keep),
        Patch::Clear => Ok(Patch::Clear),
        Patch::Set(value) => check(value).map(Patch::Set),
    }
}

fn check_name(name: String) -> Result<String, Error> {
    if name.trim().is_empty() {
        return Err(Error::invalid("name", "name must not be empty: leave it out, or give one"));
    }
    Ok(name)
}

fn read_scopes(words: &[String]) -> Result<Scopes, Error> {
    if words.is_empty() || words.len() > MOST {
        let message = format!(
            "scopes must name 1 to {MOST} scopes: a key with none could do nothing. Leave it out for \
             what every key may do"
        );
        return Err(Error::invalid("scopes", message));
    }
    let mut scopes = Scopes::NONE;
    for word in words {
        let Some(named) = Scopes::of_word(word) else {
            let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.name()).collect();
            let message = format!(
                "scopes: there is no scope {word:?}; there are {}, and the words read, write, \
                 execute, admin and *",
                known.join(", ")
            );
            return Err(Error::invalid("scopes", message));
        };
        scopes = scopes | named;
    }
    Ok(scopes)
}

fn read_expiry(expiry: Expiry, now: Millis) -> Result<Millis, Error> {
    match expiry {
        Expiry::At(at) if at > now => Ok(at),
        Expiry::At(_) => {
            let message = "expiresAt has passed: name a later instant, or archive the key";
            Err(Error::invalid("expiresAt", message))
        }
        Expiry::In(seconds) => {
            let life = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1_000));
            let life = life.filter(|life| (1..=LONGEST_LIFE).contains(life)).ok_or_else(|| {
                let longest = LONGEST_LIFE / 1_000;
                let message = format!("expiresInSeconds must be from 1 to {longest}");
                Error::invalid("expiresInSeconds", message)
            })?;
            Ok(now.saturating_add(life))
        }
    }
}

fn read_rate(rate: u64) -> Result<u32, Error> {
    let rate = u32::try_from(rate).ok().filter(|rate| (1..=MOST_RATE).contains(rate));
    rate.ok_or_else(|| {
        let message = format!("ratePerSecond must be from 1 to {MOST_RATE} requests");
        Error::invalid("ratePerSecond", message)
    })
}

fn read_networks(texts: Vec<String>) -> Result<Vec<Network>, Error> {
    const FIELD: &str = "allowedIps";
    if texts.is_empty() || texts.len() > MOST {
        let message = format!(
            "{FIELD} must name 1 to {MOST} addresses or networks: leave it out to allow all"
        );
        return Err(Error::invalid(FIELD, message));
    }
    let mut networks: Vec<Network> = Vec::with_capacity(texts.len());
    for text in texts {
        let network = text.parse::<Network>();
        let network =
            network.map_err(|error| Error::invalid(FIELD, format!("{FIELD}: {error}")))?;
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    Ok(networks)
}

fn read_projects(ids: Vec<ProjectId>) -> Result<Vec<ProjectId>, Error> {
    if ids.is_empty() || ids.len() > MOST_PROJECTS {
        let message = format!(
            "{PROJECTS} must name 1 to {MOST_PROJECTS} projects: a key with none would reach \
             nothing. Leave it out to reach all"
        );
        return Err(Error::invalid(PROJECTS, message));
    }
    Ok(sorted(ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_900_000_000_000;

    fn scopes(words: &[&str]) -> TermsInput {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        TermsInput { scopes: Patch::Set(words), ..TermsInput::default() }
    }

    fn applied(input: TermsInput) -> Result<KeyTerms, Error> {
        input.apply_to(KeyTerms::default(), NOW)
    }

    #[test]
    fn words_of_published_clients_and_names_of_scopes_are_read() {
        let read = |words: &[&str]| applied(scopes(words)).unwrap().scopes().to_string();
        assert_eq!(read(&["jobs:read", "runs:write", "jobs:read"]), "jobs:read, runs:write");
        assert_eq!(read(&["execute", "jobs:read"]), "jobs:read, runs:write");
        assert_eq!(applied(scopes(&["*"])).unwrap().scopes, Some(Scopes::OF_KEYS));
        assert_eq!(applied(TermsInput::default()).unwrap(), KeyTerms::default());
    }

    #[test]
    fn a_value_that_is_not_valid_names_its_field_and_the_fix() {
        let at = |at| TermsInput { expires: Patch::Set(at), ..TermsInput::default() };
        let from = |texts: &[&str]| {
            let texts = texts.iter().map(|text| (*text).to_owned()).collect();
            TermsInput { allowed: Patch::Set(texts), ..TermsInput::default() }
        };
        let named =
            |name: &str| TermsInput { name: Patch::Set(name.to_owned()), ..TermsInput::default() };
        let bound = |ids: &[u64]| TermsInput {
            projects: Patch::Set(ids.to_vec()),
            ..TermsInput::default()
        };
        let cluster = TermsInput { projects: Patch::Set(vec![1]), ..scopes(&["cluster:read"]) };
        let rate = |rate| TermsInput { rate: Patch::Set(rate), ..TermsInput::default() };
        let many = vec!["10.0.0.1"; MOST + 1];
        for (input, field, part) in [
            (scopes(&[]), "scopes", "could do nothing"),
            (scopes(&["jobs"]), "scopes", "no scope \"jobs\"; there are jobs:read"),
            (scopes(&["Read"]), "scopes", "no scope"),
            (at(Expiry::At(NOW)), "expiresAt", "has passed"),
            (at(Expiry::In(0)), "expiresInSeconds", "from 1 to"),
            (at(Expiry::In(u64::MAX)), "expiresInSeconds", "from 1 to"),
            (from(&[]), "allowedIps", "leave it out to allow all"),
            (from(&many), "allowedIps", "1 to 64"),
            (from(&["10.0.0.1", "10.0.0.1/8"]), "allowedIps", "within the network 10.0.0.0/8"),
            (from(&["localhost"]), "allowedIps", "neither an address nor a network"),
            (named(" "), "name", "must not be empty"),
            (bound(&[]), "projects", "would reach nothing"),
            (bound(&(1..=65).collect::<Vec<_>>()), "projects", "1 to 64"),
            (cluster, "projects", "cannot have the scopes cluster:read"),
            (rate(0), "ratePerSecond", "from 1 to"),
            (rate(u64::MAX), "ratePerSecond", "from 1 to"),
        ] {
            let error = applied(input).unwrap_err();
            assert_eq!(error.field_name(), Some(field));
            assert!(error.message().contains(part), "{}", error.message());
        }
        assert_eq!(applied(at(Expiry::In(60))).unwrap().expires, Some(NOW + 60_000));
        assert_eq!(applied(from(&["::1", "::1"])).unwrap().allowed.len(), 1);
        assert_eq!(applied(bound(&[3, 1, 3])).unwrap().projects, Some(vec![1, 3]));
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name_and_null_takes_away() {
        let old = KeyTerms {
            name: Some("ci".into()),
            scopes: Some(Scopes::one(Scope::JobsRead)),
            expires: Some(NOW - 1),
            allowed: vec!["10.0.0.1".parse().unwrap()],
            projects: Some(vec![4]),
            rate: Some(5),
        };
        let kept = TermsInput::default().apply_to(old.clone(), NOW).unwrap();
        assert_eq!(kept, old, "an end that has passed is no reason to refuse another change");
        let clear = TermsInput {
            name: Patch::Clear,
            scopes: Patch::Clear,
            expires: Patch::Clear,
            allowed: Patch::Clear,
            projects: Patch::Clear,
            rate: Patch::Clear,
        };
        assert_eq!(clear.apply_to(old, NOW).unwrap(), KeyTerms::default());
    }
}
