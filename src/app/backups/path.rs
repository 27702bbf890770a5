//! The paths of backups: they lead into `BackupDir` and nowhere else. Every path of an
//! actor is checked here.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::app::error::Error;

/// The use of a file in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathUse {
    /// A backup is made there, where nothing is yet.
    Write,
    /// A backup is read there.
    Read,
}

impl PathUse {
    /// The name of the field that gives the path.
    fn field(self) -> &'static str {
        match self {
            Self::Write => "destPath",
            Self::Read => "backupPath",
        }
    }
}

/// The file that an actor's path names in the folder: no step up, no link out of it, no hidden
/// file.
///
/// # Errors
///
/// `Invalid` where it is none of these; `Conflict` where a backup cannot be made there.
pub(super) fn confined(folder: &Path, path: &str, to: PathUse) -> Result<PathBuf, Error> {
    let field = to.field();
    let wrong = |what: &str| {
        Error::invalid(field, format!("{field} must name a file in BackupDir: {what}"))
    };
    let given = folder.join(path);
    let plain = |c: Component<'_>| !matches!(c, Component::ParentDir | Component::CurDir);
    if !given.components().all(plain) || path.contains('\0') {
        return Err(wrong("no . or .. in it"));
    }
    let (Some(parent), Some(name)) = (given.parent(), given.file_name()) else {
        return Err(wrong("it names none"));
    };
    if path.ends_with('/') || name.as_encoded_bytes().starts_with(b".") {
        return Err(wrong("it names a folder or a hidden file"));
    }
    let Ok(real) = parent.canonicalize() else {
        return Err(wrong("its folder is not there"));
    };
    if !real.starts_with(folder) {
        return Err(wrong("it leads out of that folder"));
    }
    let real = real.join(name);
    match fs::symlink_metadata(&real) {
        Ok(found) if found.is_symlink() => Err(wrong("it is a link")),
        Ok(_) if to == PathUse::Write => Err(taken(&real)),
        _ => Ok(real),
    }
}

/// The error where something has this name.
pub(super) fn taken(path: &Path) -> Error {
    Error::conflict(format!("{} exists already: choose another name", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::error::ErrorKind;

    #[test]
    fn paths_lead_into_the_folder_and_nowhere_else() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        let folder = top.join("backups");
        fs::create_dir_all(folder.join("old")).unwrap();
        fs::write(folder.join("taken.db"), "x").unwrap();
        fs::write(top.join("outside.db"), "x").unwrap();
        std::os::unix::fs::symlink(&top, folder.join("up")).unwrap();
        std::os::unix::fs::symlink(top.join("outside.db"), folder.join("link.db")).unwrap();
        let to = |path: &str| confined(&folder, path, PathUse::Write);
        assert_eq!(to("a.db").unwrap(), folder.join("a.db"));
        assert_eq!(to("old/a.db").unwrap(), folder.join("old/a.db"));
        assert_eq!(to(folder.join("b.db").to_str().unwrap()).unwrap(), folder.join("b.db"));
        for bad in [
            "",
            "../a.db",
            "old/../../a.db",
            "old/",
            "/etc/a.db",
            "up/a.db",
            "link.db",
            ".hidden",
            "missing/a.db",
            "..",
            "a\0b",
            "/",
            "old/..",
        ] {
            assert_eq!(to(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        }
        assert_eq!(to("taken.db").unwrap_err().kind(), ErrorKind::Conflict);
        assert!(confined(&folder, "taken.db", PathUse::Read).is_ok());
        assert!(confined(&folder, "link.db", PathUse::Read).is_err());
    }
}
