//! Paths of the host that a scenario names.
//!
//! A path that begins with `$LDOMLAB_GUESTS/` is from the folder that this variable of the
//! environment names, so that a scenario can start an operating system that lies
//! elsewhere for everybody. No other variable is looked at.

use std::io;
use std::path::PathBuf;

/// The variable: a folder with guests.
pub const GUESTS: &str = "LDOMLAB_GUESTS";

/// The path that `text` names.
///
/// # Errors
/// The variable is needed and not set.
pub fn host_path(text: &str) -> io::Result<PathBuf> {
    let rest = text.strip_prefix('$').and_then(|rest| rest.strip_prefix(GUESTS));
    match rest.and_then(|rest| rest.strip_prefix('/')) {
        None => Ok(PathBuf::from(text)),
        Some(rest) => match std::env::var_os(GUESTS) {
            Some(folder) => Ok(PathBuf::from(folder).join(rest)),
            None => {
                let why = format!("{GUESTS} is not set: it names the folder with guests");
                Err(io::Error::new(io::ErrorKind::NotFound, why))
            }
        },
    }
}

#[cfg(test)]
mod test {
    use super::host_path;
    use std::path::Path;

    #[test]
    fn only_one_variable_is_known() {
        for text in ["vmlinux", "/a/$LDOMLAB_GUESTS/b", "$HOME/x", "$LDOMLAB_GUESTSX/y"] {
            assert_eq!(host_path(text).unwrap(), Path::new(text));
        }
        match std::env::var_os("LDOMLAB_GUESTS") {
            Some(folder) => {
                let path = host_path("$LDOMLAB_GUESTS/linux/vmlinux").unwrap();
                assert_eq!(path, Path::new(&folder).join("linux/vmlinux"));
            }
            None => assert!(host_path("$LDOMLAB_GUESTS/x").is_err()),
        }
    }
}
