//! Key files: made once, durable before they are used, readable by nobody else.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{SealError, random};

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

/// The machine key: systemd's credential where there is one, else a file in the data directory. Root
/// at the console has no credential and finds the file that it comes from: in the directory of the
/// machine's own beside the data, such as `/var/lib/aerie-machine`.
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
            let beside = beside(data_dir);
            match read(&beside) {
                Err(SealError::KeyFile { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                other => return other,
            }
            if missing == Missing::Refuse {
                return Err(SealError::KeyMissing(path));
            }
            write_private(&path, &random::<KEY_BYTES>()?)?;
            read(&path)
        }
        other => other,
    }
}

fn beside(data_dir: &Path) -> PathBuf {
    let mut name = data_dir.file_name().unwrap_or_default().to_owned();
    name.push("-machine");
    data_dir.with_file_name(name).join("machine-key")
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
