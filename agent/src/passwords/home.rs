//! Where what is remembered lies: in a directory that what touches the network cannot write, or
//! (simulated devices, tests) in memory alone.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    PasswordError,
    memory::{self, Memory},
};
use crate::{chain::Chain, state::replace};

const FILE: &str = "passwords.json";
/// Held by whatever may be changing a password; see [`super::ShadowAccounts`].
const LOCK: &str = "lock";
/// Sixteen accounts with all that is kept of them take a quarter of it.
const LONGEST_FILE: u64 = 1 << 20;
/// What stands behind the state directory's name.
const SUFFIX: &str = ".passwords";

/// Why there is no place to remember passwords.
#[derive(Debug, Error)]
pub enum HomeError {
    /// The directory cannot be made or read.
    #[error("cannot keep what is known of passwords in {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Somebody else could put another directory in its place.
    #[error(
        "cannot keep what is known of passwords in {}: an account other than root can change {}; give the agent a state directory in a place that is root's alone",
        path.display(), parent.display()
    )]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Which one above it is open to others.
        parent: PathBuf,
    },
    /// The file is not what the agent wrote. It is never overwritten.
    #[error(
        "{} is damaged or from a newer agent: put a copy back or update the agent; if it is lost, move it away and the appliance finds out which passwords hold",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The place, and what lies there.
#[derive(Debug)]
pub struct Home {
    memory: Memory,
    directory: Option<PathBuf>,
}

impl Home {
    /// Remembers nothing across processes.
    pub fn in_memory(memory: Memory) -> Self {
        Self { memory, directory: None }
    }

    /// Beside a state directory, which belongs to the account that touches the network, in one
    /// that belongs to this process's account.
    pub fn beside(state: &Path) -> Result<Self, HomeError> {
        let mut name = state.file_name().map(OsString::from).unwrap_or_default();
        name.push(SUFFIX);
        Self::open(state.with_file_name(name))
    }

    fn open(path: PathBuf) -> Result<Self, HomeError> {
        let path = match prepare(&path) {
            Ok(path) => path,
            Err(source) => return Err(HomeError::Directory { path, source }),
        };
        for parent in path.ancestors().skip(1) {
            match is_safe(parent) {
                Ok(true) => {}
                Ok(false) => return Err(HomeError::Exposed { parent: parent.to_owned(), path }),
                Err(source) => return Err(HomeError::Directory { path, source }),
            }
        }
        let file = path.join(FILE);
        let memory = match read(&file) {
            Ok(bytes) => match memory::decode(&bytes) {
                Ok(memory) => memory,
                Err(error) => {
                    return Err(HomeError::Damaged { path: file, source: Box::new(error) });
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Memory::default(),
            Err(source) => return Err(HomeError::Directory { path, source }),
        };
        Ok(Self { memory, directory: Some(path) })
    }

    /// A file whose lock outlives this process for as long as one that it has started.
    pub(super) fn lock(&self) -> Result<File, HomeError> {
        let path = self.directory.clone().unwrap_or_default().join(LOCK);
        let mut options = OpenOptions::new();
        // Some programs leave a word in it.
        options.create(true).truncate(true).write(true).mode(0o600);
        options.open(&path).map_err(|source| HomeError::Directory { path, source })
    }

    /// What is remembered.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Changes it: durably, or not at all.
    pub(super) fn change(&mut self, edit: impl FnOnce(&mut Memory)) -> Result<(), PasswordError> {
        let mut after = self.memory.clone();
        edit(&mut after);
        if let Some(directory) = &self.directory {
            write(directory, &after).map_err(|error| {
                tracing::error!(error = %Chain(&error), "cannot remember a password");
                PasswordError::Failed(format!(
                    "cannot write {} on the device ({error}): is its disk full or read-only? Nothing was changed",
                    directory.join(FILE).display()
                ))
            })?;
        }
        self.memory = after;
        Ok(())
    }
}

fn write(directory: &Path, memory: &Memory) -> io::Result<()> {
    replace(directory, FILE, &memory::encode(memory)?, &mut |_| Ok(()))
}

/// Makes the directory if it is not there. Answers where it really is.
fn prepare(path: &Path) -> io::Result<PathBuf> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        return Err(io::Error::other("somebody else has made it: remove it"));
    }
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    fs::canonicalize(path)
}

/// Whether nobody but root and this process's account can put something else in the place of what
/// is in this directory and theirs.
fn is_safe(directory: &Path) -> io::Result<bool> {
    let found = fs::metadata(directory)?;
    let (owner, mode) = (found.uid(), found.mode());
    let own = owner == 0 || owner == geteuid().as_raw();
    Ok(own && (mode & 0o022 == 0 || mode & 0o1000 != 0))
}

fn read(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(file)?.take(LONGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}
