//! The paths of backups: they lead into `BackupDir` and nowhere else. `backups` checks every path
//! of a client here.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::api::http::error::Error;

/// The file that a client's path names in the folder: no step up, no link out of it, no hidden
/// file.
pub(crate) fn confined(folder: &Path, path: &str, field: &'static str) -> Result<PathBuf, Error> {
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
        Ok(_) if field == "destPath" => Err(taken(&real)),
        _ => Ok(real),
    }
}

pub(crate) fn taken(path: &Path) -> Error {
    Error::conflict(format!("{} exists already: choose another name", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let to = |path: &str| confined(&folder, path, "destPath");
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
            assert_eq!(to(bad).unwrap_err().status(), 400, "{bad:?}");
        }
        assert_eq!(to("taken.db").unwrap_err().status(), 409);
        assert!(confined(&folder, "taken.db", "backupPath").is_ok());
        assert!(confined(&folder, "link.db", "backupPath").is_err());
    }
}
