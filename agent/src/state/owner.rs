//! Whose the state directory is: its account's, even when root works on it.
//!
//! The account may be in a stranger's hands, so what lies in its directory can be a trap: a link
//! to a file that root would give away or overwrite. Root therefore takes the directory away from
//! it before it touches a file there, or becomes that account itself.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::Mode,
    unistd::{Gid, Uid, UnlinkatFlags, fchdir, geteuid, setgid, setgroups, setuid, unlinkat},
};

use super::{
    Directory, Running, StateError,
    directory::{FILE, FILES},
};

/// An account, by its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
}

const ROOT: Owner = Owner { uid: 0, gid: 0 };

impl Running {
    /// Claims a state directory and gives it, with the state in it, to an account. Root's work.
    pub fn hand_over(path: &Path, to: Owner) -> Result<Self, StateError> {
        let failed = |source| StateError::Directory { path: path.to_path_buf(), source };
        let directory = open(path).map_err(failed)?;
        let running = Self::claim(directory, path)?;
        give(running.directory(), to).map_err(failed)?;
        Ok(running)
    }

    /// Makes the directory the process's current one.
    pub(crate) fn enter(&self) -> io::Result<()> {
        Ok(fchdir(self.directory())?)
    }
}

/// Opens the directory; makes it if it is not there.
fn open(path: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if fs::symlink_metadata(path)?.is_symlink() {
        return Err(io::Error::other("it is a symbolic link: name the directory itself"));
    }
    let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Gives directory and state away; root's alone if that fails half way.
fn give(directory: &File, to: Owner) -> io::Result<()> {
    // From here on nobody else puts anything into it, or takes anything out.
    chown(directory, ROOT)?;
    directory.set_permissions(Permissions::from_mode(0o700))?;
    for name in FILES {
        match own_file(directory, name) {
            Ok(Some(file)) => chown(&file, to)?,
            Ok(None) => {}
            Err(error) if name == FILE => return Err(error),
            // Nothing is lost with the others.
            Err(error) => {
                tracing::warn!(%error, "removing it");
                unlinkat(directory, name, UnlinkatFlags::NoRemoveDir)?;
            }
        }
    }
    chown(directory, to)
}

/// Opens a file of the directory, if it is there. It must have no second name: that would be
/// somewhere else, and the file not the agent's.
fn own_file(directory: &File, name: &str) -> io::Result<Option<File>> {
    let foreign = || io::Error::other(format!("{name} in it is not a file of its own"));
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match openat(directory, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT) => return Ok(None),
        Err(Errno::ELOOP) => return Err(foreign()),
        Err(errno) => return Err(errno.into()),
    };
    let found = file.metadata()?;
    if found.is_file() && found.nlink() == 1 { Ok(Some(file)) } else { Err(foreign()) }
}

fn chown(file: &File, to: Owner) -> io::Result<()> {
    fchown(file, Some(to.uid), Some(to.gid))
}

impl Directory {
    /// The directory for a command at the device. Where root gives the command, the process
    /// becomes the directory's owner, for good.
    pub fn as_its_owner(path: impl Into<PathBuf>) -> Result<Self, StateError> {
        let path = path.into();
        match become_owner(&path) {
            Ok(true) => Ok(Self::current(path)),
            Ok(false) => Ok(Self::at(path)),
            Err(source) => Err(StateError::Directory { path, source }),
        }
    }
}

/// Answers whether it did; the directory is then the current one.
fn become_owner(path: &Path) -> io::Result<bool> {
    if !geteuid().is_root() {
        return Ok(false);
    }
    let directory = match File::open(path) {
        Ok(directory) => directory,
        // `adopt` makes it, as root's; the next `run` hands it over.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let found = directory.metadata()?;
    if found.uid() == ROOT.uid {
        return Ok(false);
    }
    fchdir(&directory)?;
    setgroups(&[])?;
    setgid(Gid::from_raw(found.gid()))?;
    setuid(Uid::from_raw(found.uid()))?;
    Ok(true)
}
