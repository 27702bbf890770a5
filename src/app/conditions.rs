//! The conditions of a request on the version of a record, checked in the order of RFC 9110,
//! section 13.2.2: first the versions that it must be at, then those that it must not be at. The
//! API reads them from `If-Match` and `If-None-Match`; `write` commits under them.

use crate::app::error::Error;

/// The conditions under which a request is carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The record must be at one of these versions.
    pub if_match: Option<Versions>,
    /// The record must be at none of these versions.
    pub if_none_match: Option<Versions>,
}

/// Versions that a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// Any version, but there must be a record.
    Any,
    /// These.
    Listed(Vec<NamedVersion>),
}

/// A version as a request names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedVersion {
    /// The number.
    pub version: u64,
    /// A weak tag says nothing certain of what is overwritten.
    pub weak: bool,
}

impl Conditions {
    /// Says whether the request has conditions.
    pub(crate) fn are_given(&self) -> bool {
        self.if_match.is_some() || self.if_none_match.is_some()
    }

    /// The version that the command of a checked write expects; `None` is any.
    pub(crate) fn expect(&self, version: u64) -> Option<u64> {
        self.are_given().then_some(version)
    }

    /// Refuses a write unless the conditions hold. `None` is a record that does not exist.
    ///
    /// # Errors
    ///
    /// `Stale` when a condition does not hold.
    pub fn check(&self, version: Option<u64>) -> Result<(), Error> {
        self.check_match(version)?;
        match (&self.if_none_match, version) {
            (Some(versions), Some(version)) if versions.include(version, false) => {
                Err(Error::stale(format!(
                    "it is at version {version}, and If-None-Match wants it not to be"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Checks only the versions that the record must be at.
    ///
    /// # Errors
    ///
    /// `Stale` when it is at none of them.
    pub fn check_match(&self, version: Option<u64>) -> Result<(), Error> {
        match (&self.if_match, version) {
            (Some(_), None) => {
                Err(Error::stale("it does not exist, and If-Match wants a version of it"))
            }
            // The RFC wants strong comparison: a weak tag says nothing certain of what is
            // overwritten.
            (Some(versions), Some(version)) if !versions.include(version, true) => {
                Err(Error::stale(format!(
                    "it is at version {version} now, which If-Match does not name: read it again \
                     and repeat the change"
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Versions {
    /// Says whether a version is among them, by the strong or the weak comparison of RFC 9110.
    pub fn include(&self, version: u64, strongly: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(listed) => {
                listed.iter().any(|named| named.version == version && !(strongly && named.weak))
            }
        }
    }
}
