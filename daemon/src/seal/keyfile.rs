//! Key files: made once, durable before they are used, readable by nobody else.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{SealError, cipher, open, random};

/// 256 bits.
pub(super) const KEY_BYTES: usize = 32;

/// What to do where there is no machine key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Make one: nothing was ever sealed.
    Make,
    /// Refuse: a new one would open nothing.
    Refuse,
}

/// The machine key: systemd's credential where there is one, else a file in the data directory.
pub(super) fn machine_key(
    data_dir: &Path,
    missing: Missing,
) -> Result<Zeroizing<[u8; KEY_BYTES]>, SealError> {
    if let Some(credentials) = std::env::var_os("CREDENTIALS_DIRECTORY") {
        let path = PathBuf::from(credentials).join("machine-key");
        if path.exists() {
            return read(&path);
        }
    }
    let path = data_dir.join("machine-key");
    match read(&path) {
        Err(SealError::KeyFile { source, .. }) if source.kind() == ErrorKind::NotFound => {
            if missing == Missing::Refuse {
                return Err(SealError::KeyMissing(path));
            }
            write_private(&path, &random::<KEY_BYTES>()?)?;
            read(&path)
        }
        other => other,
    }
}

pub(super) fn read<const N: usize>(path: &Path) -> Result<Zeroizing<[u8; N]>, SealError> {
    let failed = |source| SealError::KeyFile { path: path.to_owned(), source };
    let bytes = Zeroizing::new(fs::read(path).map_err(failed)?);
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 && path.parent().is_some_and(|parent| !parent.starts_with("/run")) {
        tracing::warn!(file = %path.display(), "a key file was readable by others; it is not now");
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    }
    let key = bytes.as_slice().try_into().map_err(|_| SealError::KeyForm(path.to_owned()))?;
    Ok(Zeroizing::new(key))
}

/// Writes a file that is whole or not there, whenever the power goes.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), SealError> {
    let failed = |source| SealError::KeyFile { path: path.to_owned(), source };
    let draft = path.with_extension("new");
    let written = (|| {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    })();
    written.map_err(failed)
}

/// A machine key outside the daemon: looked at, moved or made before the daemon starts.
pub struct KeyFile(Zeroizing<[u8; KEY_BYTES]>);

impl KeyFile {
    /// A new key.
    pub fn make() -> Result<Self, SealError> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    /// Reads a key file; none where there is none. Who owns its folder may be less than who reads:
    /// nothing is followed, waited for or changed.
    pub fn read(path: &Path) -> Result<Option<Self>, SealError> {
        let failed = |source| SealError::KeyFile { path: path.to_owned(), source };
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
        if file.metadata().map_err(failed)?.is_file() {
            let most = u64::try_from(KEY_BYTES + 1).unwrap_or(u64::MAX);
            file.take(most).read_to_end(&mut bytes).map_err(failed)?;
        }
        let key = bytes.as_slice().try_into().map_err(|_| SealError::KeyForm(path.to_owned()))?;
        Ok(Some(Self(Zeroizing::new(key))))
    }

    /// Writes it where nobody but its writer may read it; durable when it returns.
    pub fn write(&self, path: &Path) -> Result<(), SealError> {
        write_private(path, self.0.as_slice())
    }

    /// Whether a secret was sealed with it, under this name.
    pub fn opens(&self, name: &str, sealed: &[u8]) -> bool {
        cipher(&self.0).is_some_and(|cipher| open(&cipher, name, sealed).is_ok())
    }

    /// Whether both are one key.
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}
