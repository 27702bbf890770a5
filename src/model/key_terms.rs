//! The terms of a key: its name, what it may be used for, until when, from where, and how often.
//! `api` reads them, `command::apply` judges who may give them, `auth` holds requests to them.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::network::Network;
use super::reach::Listed;
use super::scope::{Scope, Scopes};
use super::time::rfc3339;
use super::{Millis, ProjectId};

/// The terms of a key. A key without any has those of every key before there were terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyTerms {
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its scopes; `None` for [`Scopes::OF_KEYS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Scopes>,
    /// It opens nothing from this instant on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Millis>,
    /// The networks that it may be used from; none for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<Network>,
    /// The projects that it reaches, ascending and each once; `None` for all of its account. Since
    /// level 7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projects: Option<Vec<ProjectId>>,
    /// The most requests in a second, on each node by itself; `None` for that of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// What terms allow that those of the key do not that would give them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excess {
    /// These scopes.
    Scopes(Scopes),
    /// Scopes on the cluster, which only one who administers it gives.
    ClusterScopes(Scopes),
    /// Use after the giver's own end.
    Expiry(Millis),
    /// Use from other networks than the giver's own.
    Networks(Vec<Network>),
    /// Projects beyond the giver's own, which are these.
    Projects(Vec<ProjectId>),
    /// Scopes on the cluster, which only a key that reaches all projects has.
    ClusterOfProjects(Scopes),
    /// More requests in a second than the giver's own.
    Rate(u32),
}

/// The change of the terms of a key: from what they were when the change was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermsEdit {
    /// The terms that it must still have.
    pub from: KeyTerms,
    /// Its new terms.
    pub to: KeyTerms,
    /// Whether it is archived from now on; `None` leaves that as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
}

impl KeyTerms {
    /// True where they say nothing.
    pub fn are_default(&self) -> bool {
        *self == Self::default()
    }

    /// The scopes that the key has.
    pub fn scopes(&self) -> Scopes {
        self.scopes.unwrap_or(Scopes::OF_KEYS)
    }

    /// True where the key opens something at this instant.
    pub fn hold_at(&self, now: Millis) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// True where the key may be used from an address. A request that came by no connection has
    /// none, and comes from this process.
    pub fn allow_from(&self, address: Option<IpAddr>) -> bool {
        let allowed = |address| self.allowed.iter().any(|network| network.has(address));
        self.allowed.is_empty() || address.is_none_or(allowed)
    }

    /// What they allow beyond the terms of the key that is to give or to change them (*no
    /// escalation*); `None` where they lie within.
    pub fn beyond(&self, giver: &Self) -> Option<Excess> {
        let (own, of_giver) = (self.scopes(), giver.scopes());
        let missing = own.without(of_giver);
        if !missing.is_empty() {
            return Some(Excess::Scopes(missing));
        }
        let of_cluster = own & Scopes::OF_CLUSTER;
        if !of_cluster.is_empty() && !of_giver.has(Scope::ClusterAdmin) {
            return Some(Excess::ClusterScopes(of_cluster));
        }
        if let Some(end) = giver.expires
            && self.expires.is_none_or(|own| own > end)
        {
            return Some(Excess::Expiry(end));
        }
        if let Some(rate) = giver.rate
            && self.rate.is_none_or(|own| own > rate)
        {
            return Some(Excess::Rate(rate));
        }
        let within = |own| giver.allowed.iter().any(|network| network.includes(own));
        let wider = self.allowed.is_empty() || !self.allowed.iter().all(within);
        if !giver.allowed.is_empty() && wider {
            return Some(Excess::Networks(giver.allowed.clone()));
        }
        let of_giver = giver.projects.as_ref()?;
        let within = |ids: &Vec<ProjectId>| ids.iter().all(|id| of_giver.contains(id));
        let wider = !self.projects.as_ref().is_some_and(within);
        wider.then(|| Excess::Projects(of_giver.clone()))
    }

    /// What they allow that no key may have, whoever gives it: the cluster is beyond a key that is
    /// bound to projects.
    pub fn at_odds(&self) -> Option<Excess> {
        let of_cluster = self.scopes() & Scopes::OF_CLUSTER;
        let bound = self.projects.is_some() && !of_cluster.is_empty();
        bound.then_some(Excess::ClusterOfProjects(of_cluster))
    }
}

/// A clause that says what is too much.
impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scopes(scopes) => write!(f, "it lacks the scopes {scopes}"),
            Self::ClusterScopes(scopes) => {
                let needed = Scope::ClusterAdmin.name();
                write!(f, "the scopes {scopes} are given by operators, and by keys with {needed}")
            }
            Self::Expiry(end) => {
                write!(f, "its own end is {}, and expiresAt must not be later", rfc3339(*end))
            }
            Self::Rate(rate) => {
                write!(f, "its own rate is {rate}, and ratePerSecond must not be more")
            }
            Self::Networks(own) => {
                let own: Vec<_> = own.iter().map(ToString::to_string).collect();
                write!(f, "allowedIps must lie within its own: {}", own.join(", "))
            }
            Self::Projects(own) => {
                write!(f, "projects must be among its own: {}", Listed(own))
            }
            Self::ClusterOfProjects(scopes) => write!(
                f,
                "a key that is bound to projects cannot have the scopes {scopes}: leave out \
                 projects, or these scopes"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(words: &[&str], expires: Option<Millis>, allowed: &[&str]) -> KeyTerms {
        let scopes = words.iter().map(|word| Scopes::of_word(word).unwrap());
        let scopes = scopes.fold(Scopes::NONE, |all, one| all | one);
        KeyTerms {
            name: None,
            scopes: (!words.is_empty()).then_some(scopes),
            expires,
            allowed: allowed.iter().map(|text| text.parse().unwrap()).collect(),
            projects: None,
            rate: None,
        }
    }

    #[test]
    fn a_key_gives_no_more_requests_in_a_second_than_it_has() {
        let of = |rate| KeyTerms { rate, ..KeyTerms::default() };
        for (giver, given, excess) in [
            (None, None, false),
            (None, Some(1_000), false),
            (Some(10), Some(10), false),
            (Some(10), Some(1), false),
            (Some(10), Some(11), true),
            (Some(10), None, true),
        ] {
            let found = of(given).beyond(&of(giver));
            assert_eq!(found, excess.then_some(Excess::Rate(10)), "{giver:?} {given:?}");
        }
    }

    #[test]
    fn a_key_gives_what_it_has_and_nothing_beyond() {
        let any = KeyTerms::default();
        // The giver's terms, those to give, and what is too much.
        let table: [(KeyTerms, KeyTerms, Option<&str>); 20] = [
            (any.clone(), any.clone(), None),
            (any.clone(), terms(&["*"], None, &[]), None),
            (terms(&["*"], None, &[]), any.clone(), None),
            (any.clone(), terms(&["jobs:read"], Some(5), &["10.0.0.0/8"]), None),
            (any.clone(), terms(&["admin"], None, &[]), Some("audit:read, accounts:read")),
            (any.clone(), terms(&["audit:read"], None, &[]), Some("lacks the scopes audit:read")),
            (any.clone(), terms(&["cluster:read"], None, &[]), Some("lacks the scopes cluster:")),
            (terms(&["read"], None, &[]), any.clone(), Some("jobs:write, runs:write")),
            (terms(&["read"], None, &[]), terms(&["jobs:read"], None, &[]), None),
            (terms(&["read"], None, &[]), terms(&["execute"], None, &[]), Some("runs:write")),
            (
                terms(&["cluster:read"], None, &[]),
                terms(&["cluster:read"], None, &[]),
                Some("given by operators"),
            ),
            (
                terms(&["cluster:read", "cluster:admin"], None, &[]),
                terms(&["cluster:read"], None, &[]),
                None,
            ),
            (
                terms(&["cluster:admin"], None, &[]),
                terms(&["cluster:read"], None, &[]),
                Some("lacks the scopes cluster:read"),
            ),
            (terms(&["*"], Some(5), &[]), any.clone(), Some("1970-01-01T00:00:00.005Z")),
            (terms(&["*"], Some(5), &[]), terms(&["*"], Some(6), &[]), Some("its own end")),
            (terms(&["*"], Some(5), &[]), terms(&["*"], Some(5), &[]), None),
            (terms(&["*"], None, &["10.0.0.0/8"]), any.clone(), Some("10.0.0.0/8")),
            (
                terms(&["*"], None, &["10.0.0.0/8", "::1"]),
                terms(&["*"], None, &["10.2.0.0/16", "::1"]),
                None,
            ),
            (
                terms(&["*"], None, &["10.0.0.0/8"]),
                terms(&["*"], None, &["10.2.0.0/16", "11.0.0.1"]),
                Some("allowedIps must lie within"),
            ),
            (
                terms(&["*"], None, &["10.0.0.0/8"]),
                terms(&["*"], None, &["0.0.0.0/0"]),
                Some("allowedIps"),
            ),
        ];
        for (giver, given, excess) in table {
            let found = given.beyond(&giver).map(|excess| excess.to_string());
            match excess {
                None => assert_eq!(found, None, "{giver:?} {given:?}"),
                Some(part) => {
                    let found = found.unwrap_or_default();
                    assert!(found.contains(part), "{giver:?} {given:?}: {found}");
                }
            }
        }
    }

    #[test]
    fn a_key_gives_projects_that_it_has_itself() {
        let bound =
            |ids: &[ProjectId]| KeyTerms { projects: Some(ids.to_vec()), ..KeyTerms::default() };
        let any = KeyTerms::default();
        for (giver, given, within) in [
            (any.clone(), bound(&[1]), true),
            (bound(&[1, 2]), bound(&[2]), true),
            (bound(&[1, 2]), bound(&[1, 2]), true),
            (bound(&[1, 2]), bound(&[3]), false),
            (bound(&[1, 2]), bound(&[1, 3]), false),
            (bound(&[1, 2]), any, false),
        ] {
            let excess = given.beyond(&giver).map(|excess| excess.to_string());
            let wanted = (!within).then(|| "projects must be among its own: projects 1, 2".into());
            assert_eq!(excess, wanted, "{giver:?} {given:?}");
        }
        let scopes = Scopes::of_word("cluster:read");
        let odd = KeyTerms { scopes, ..bound(&[1]) }.at_odds().unwrap().to_string();
        assert!(odd.contains("cannot have the scopes cluster:read"), "{odd}");
        assert_eq!((bound(&[1]).at_odds(), KeyTerms::default().at_odds()), (None, None));
    }

    #[test]
    fn terms_hold_until_their_end_and_from_their_networks() {
        let terms = terms(&["read"], Some(1_000), &["10.0.0.0/8", "2001:db8::/32"]);
        assert!(terms.hold_at(999) && !terms.hold_at(1_000));
        for (address, allowed) in
            [("10.1.1.1", true), ("::ffff:10.1.1.1", true), ("11.1.1.1", false), ("::1", false)]
        {
            assert_eq!(terms.allow_from(Some(address.parse().unwrap())), allowed, "{address}");
        }
        let any = KeyTerms::default();
        assert!(any.hold_at(Millis::MAX) && any.allow_from(Some("::1".parse().unwrap())));
        assert_eq!(any.scopes(), Scopes::OF_KEYS);
    }

    #[test]
    fn what_says_nothing_is_stored_as_nothing() {
        assert_eq!(serde_json::to_string(&KeyTerms::default()).unwrap(), "{}");
        let terms = terms(&["execute"], Some(7), &["10.0.0.1"]);
        let text = serde_json::to_string(&terms).unwrap();
        assert_eq!(text, r#"{"scopes":8,"expires":7,"allowed":["10.0.0.1"]}"#);
        assert_eq!(serde_json::from_str::<KeyTerms>(&text).unwrap(), terms);
    }
}
