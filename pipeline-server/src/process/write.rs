//! Files that `process` writes: whole, or not there.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// How the names of unfinished files begin, so that none is ever taken for a picture.
pub(super) const TEMPORARY: &str = ".pipeline-server-";

/// Writes `bytes` to `path`, in the place of what may be there.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let mut file = new_file().tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Writes `bytes` to `path`. Returns `false` and leaves the file alone if it is there and holds something else.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    match fs::read(path) {
        Ok(found) => Ok(found == bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write_whole(path, bytes).map(|()| true)
        }
        Err(error) => Err(error),
    }
}

/// With the rights that the user's files have.
fn new_file() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_unless_it_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cat.jpg.txt");
        assert!(write_new(&path, b"a cat").unwrap());
        assert!(write_new(&path, b"a cat").unwrap());
        assert!(!write_new(&path, b"a dog").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"a cat");
        write_whole(&path, b"a dog").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"a dog");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
