//! Secrets in files of their own, as Docker and Kubernetes provide them: the variable
//! `SCHEDULER0_SECRET_KEY_FILE` names the file, and so on. Called by `layers`, and by `cli` for a
//! client's key pair. No message shows the contents of such a file.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

/// The end of the name of such a variable.
pub(super) const SUFFIX: &str = "_FILE";
/// The largest accepted file, in bytes.
const LONGEST: u64 = 16 * 1024;

/// Reads a file without the line end that editors and `echo` leave. The error says what to do.
pub fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("{} cannot be used: {what}", path.display());
    let mut bytes = Zeroizing::new(Vec::new());
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    read.map_err(|e| wrong(&e))?;
    if bytes.len() as u64 > LONGEST {
        return Err(wrong(&format_args!("a secret has at most {LONGEST} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(&"it is not UTF-8 text"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err(wrong(&"it is empty"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// The secret that an environment variable holds, or the file named by `<variable>_FILE`. `get`
/// looks a variable up. It is an error to set both.
pub fn from_environment(
    variable: &str,
    get: impl Fn(&str) -> Option<String>,
) -> Result<Option<Zeroizing<String>>, String> {
    let of_file = format!("{variable}{SUFFIX}");
    let set = |name: &str| get(name).filter(|value| !value.is_empty());
    match (set(variable).map(Zeroizing::new), set(&of_file)) {
        (Some(_), Some(_)) => Err(format!("{variable} and {of_file} are both set: unset one")),
        (value, None) => Ok(value),
        (None, Some(path)) => {
            read(Path::new(&path)).map(Some).map_err(|message| format!("{of_file}: {message}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_a_variable_or_a_file_and_never_from_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "hush \r\n").unwrap();
        let name = path.to_str().unwrap().to_owned();
        let get = |pairs: Vec<(&'static str, String)>| {
            from_environment("K", move |n| {
                pairs.iter().find(|(name, _)| *name == n).map(|(_, value)| value.clone())
            })
        };
        let file = || ("K_FILE", name.clone());
        assert_eq!(get(vec![]).unwrap(), None);
        assert_eq!(
            get(vec![("K", "v".into()), ("K_FILE", String::new())]).unwrap().unwrap().as_str(),
            "v"
        );
        assert_eq!(get(vec![("K", String::new()), file()]).unwrap().unwrap().as_str(), "hush ");
        let both = get(vec![("K", "v".into()), file()]).unwrap_err();
        assert!(both.contains("K and K_FILE are both set"), "{both}");
        std::fs::write(&path, "\n").unwrap();
        assert!(get(vec![file()]).unwrap_err().contains("it is empty"));
        std::fs::write(&path, [0xff, b'x']).unwrap();
        assert!(get(vec![file()]).unwrap_err().contains("UTF-8"));
        std::fs::remove_file(&path).unwrap();
        let gone = get(vec![file()]).unwrap_err();
        assert!(gone.contains("K_FILE") && gone.contains(&name), "{gone}");
    }
}
