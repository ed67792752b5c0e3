//! The vault's directory: nobody else reads it, and a file in it is the old one or the new one,
//! whenever the power goes.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Result, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The directory.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Steps on the disk until the power goes.
    #[cfg(test)]
    pub(super) steps: std::sync::Arc<std::sync::atomic::AtomicU32>,
}

impl Folder {
    /// Makes it where it is missing, and closes it to others.
    pub(super) fn open(path: &Path) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
        Ok(Self {
            path: path.to_owned(),
            #[cfg(test)]
            steps: std::sync::Arc::new(u32::MAX.into()),
        })
    }

    /// Before each step on the disk. In a test the power may go here, and then stays away.
    #[cfg(test)]
    fn step(&self) -> Result<()> {
        let less = |steps: u32| (steps > 0).then(|| steps - 1);
        let order = std::sync::atomic::Ordering::SeqCst;
        let there = self.steps.fetch_update(order, order, less);
        there.map(|_| ()).map_err(|_| std::io::Error::other("the power is gone"))
    }

    #[cfg(not(test))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "outside tests nothing happens"
    )]
    fn step(&self) -> Result<()> {
        Ok(())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What a file says, `bound` bytes at most; none where there is no such file.
    pub(super) fn read(&self, name: &str, bound: usize) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let file = match File::open(self.path(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if length > bound {
            return Err(std::io::Error::new(ErrorKind::FileTooLarge, "it is too long"));
        }
        // Exactly as long as it is: a buffer that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        file.take(bound).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Puts a file in the place of what was there. Durable when it returns; where it fails, what was
    /// there is still there.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let draft = self.path(&format!("{name}.new"));
        let written = self.write_draft(&draft, bytes).and_then(|()| {
            self.step()?;
            fs::rename(&draft, self.path(name))?;
            self.sync()
        });
        if written.is_err() && self.step().is_ok() {
            fs::remove_file(&draft).ok();
        }
        written
    }

    fn write_draft(&self, draft: &Path, bytes: &[u8]) -> Result<()> {
        self.step()?;
        let mut file = private().create(true).truncate(true).open(draft)?;
        let (one, two) = bytes.split_at(bytes.len() / 2);
        file.write_all(one)?;
        self.step()?;
        file.write_all(two)?;
        self.step()?;
        file.sync_all()
    }

    /// Adds to a file that has this length. Durable when it returns; where it fails, what was there
    /// is still there, and no half of what was to come.
    pub(super) fn add(&self, file: &mut File, length: u64, bytes: &[u8]) -> Result<()> {
        let (one, two) = bytes.split_at(bytes.len() / 2);
        let written = self
            .step()
            .and_then(|()| file.write_all(one))
            .and_then(|()| self.step())
            .and_then(|()| file.write_all(two))
            .and_then(|()| self.step())
            .and_then(|()| file.sync_data());
        if written.is_err() && self.step().is_ok() {
            file.set_len(length).ok();
        }
        written
    }

    /// A file that is added to.
    pub(super) fn append(&self, name: &str) -> Result<File> {
        let known = self.path(name).exists();
        let file = private().append(true).read(true).create(true).open(self.path(name))?;
        if !known {
            self.sync()?;
        }
        Ok(file)
    }

    /// Gives a file another name, in the place of what has it.
    pub(super) fn rename(&self, name: &str, to: &str) -> Result<()> {
        self.step()?;
        fs::rename(self.path(name), self.path(to))?;
        self.sync()
    }

    /// Takes a file away, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        self.step()?;
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| self.sync()),
        }
    }

    /// The names of all files.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.path)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn sync(&self) -> Result<()> {
        self.step()?;
        File::open(&self.path)?.sync_all()
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_a_write_that_fails_leaves_what_was_there() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::open(&data.path().join("vault")).unwrap();
        folder.write("state", b"one").unwrap();
        assert_eq!(folder.read("state", 10).unwrap().unwrap().as_slice(), b"one");
        // Its draft cannot be made.
        fs::create_dir(folder.path("state.new")).unwrap();
        folder.write("state", b"two").unwrap_err();
        assert_eq!(folder.read("state", 10).unwrap().unwrap().as_slice(), b"one");
        folder.read("state", 2).unwrap_err();
        assert!(folder.read("nothing", 10).unwrap().is_none());
    }

    #[test]
    fn v1_the_directory_and_its_files_are_the_vaults_alone() {
        let data = tempfile::tempdir().unwrap();
        fs::set_permissions(data.path(), Permissions::from_mode(0o755)).unwrap();
        let folder = Folder::open(data.path()).unwrap();
        folder.write("state", b"one").unwrap();
        drop(folder.append("log").unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(data.path()), 0o700);
        assert_eq!((mode(&folder.path("state")), mode(&folder.path("log"))), (0o600, 0o600));
    }
}
