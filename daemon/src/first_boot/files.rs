//! Files that are read without trust in who wrote them, and files that leave nothing behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use nix::fcntl::OFlag;

/// Follows no link and waits for no pipe: the folder may belong to somebody who may do less.
fn flags() -> i32 {
    (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()
}

/// Reads a file up to a bound, and one byte more where it is longer. None where there is none.
pub(super) fn read(path: &Path, bound: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match OpenOptions::new().read(true).custom_flags(flags()).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file"));
    }
    let mut bytes = Vec::new();
    file.take(u64::try_from(bound).unwrap_or(u64::MAX).saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes a file into a folder that may belong to another user, and gives it to that one: whole or
/// not at all, and durable when it returns.
pub(super) fn hand_over(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let owner = fs::metadata(folder)?;
    let draft = path.with_extension("new");
    if let Err(error) = fs::remove_file(&draft)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    if file.metadata()?.uid() != owner.uid() {
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync(folder)
}

/// Overwrites a file, and deletes it: durable when it returns. Fine where there is none.
pub(super) fn wipe(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).custom_flags(flags()).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut left = file.metadata()?.len();
    let zeros = [0; 4096];
    while left > 0 {
        let next = usize::try_from(left).unwrap_or(zeros.len()).min(zeros.len());
        file.write_all(zeros.get(..next).unwrap_or_default())?;
        left = left.saturating_sub(u64::try_from(next).unwrap_or(u64::MAX));
    }
    file.sync_all()?;
    drop(file);
    fs::remove_file(path)?;
    sync(folder_of(path))
}

/// Makes what happened to the names in a folder durable.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(read(&path, 4).unwrap(), None);
        fs::write(&path, "123456789").unwrap();
        assert_eq!(read(&path, 4).unwrap().unwrap(), b"12345");
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        read(&link, 4).unwrap_err();
        read(folder.path(), 4).unwrap_err();
    }

    #[test]
    fn a_file_is_handed_over_private_and_over_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("word.json"), folder.path().join("other"));
        fs::write(&other, "mine").unwrap();
        symlink(&other, path.with_extension("new")).unwrap();
        hand_over(&path, b"yours").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"yours");
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_wiped_is_overwritten_before_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, twin) = (folder.path().join("file"), folder.path().join("twin"));
        fs::write(&path, "secret ".repeat(1000)).unwrap();
        fs::hard_link(&path, &twin).unwrap();
        wipe(&path).unwrap();
        assert!(!path.exists());
        assert!(fs::read(&twin).unwrap().iter().all(|byte| *byte == 0));
        wipe(&path).unwrap();
    }
}
