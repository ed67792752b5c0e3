//! The machine key, which the daemon gets as systemd's credential.
//!
//! Made once. Where a daemon without that credential made one of its own, that one is moved, since
//! it alone opens what is in the store; and where something is sealed and no key opens it, no new
//! one is made.

use std::path::Path;

use super::{FirstBootError, files, machine_file};
use crate::cut::cut;
use crate::seal::{KeyFile, SealError};
use crate::store::tables::SECRETS;
use crate::store::{Store, StoreError};

/// The key's name, in the machine's directory and in the daemon's.
const FILE: &str = "machine-key";

/// Sees to it that there is a machine key, and the right one. Answers what was done, for people.
pub(super) async fn settle(
    machine_dir: &Path,
    data_dir: &Path,
) -> Result<Option<&'static str>, FirstBootError> {
    let (path, former_path) = (machine_dir.join(FILE), data_dir.join(FILE));
    let former = KeyFile::read(&former_path)?;
    let Some(own) = KeyFile::read(&path)? else {
        return take(&path, &former_path, former, &sealed(data_dir).await?);
    };
    let Some(former) = former else { return Ok(None) };
    if own.is(&former) {
        // The power went after it was copied.
        remove(&former_path)?;
        return Ok(Some("the daemon's machine key was moved"));
    }
    let sealed = sealed(data_dir).await?;
    if sealed.is_empty() || opens(&own, &sealed) {
        return Ok(Some("another machine key in the daemon's directory opens nothing; delete it"));
    }
    if opens(&former, &sealed) {
        return Err(FirstBootError::OtherKey { path, former: former_path });
    }
    Err(FirstBootError::WrongKey(path))
}

/// Where the machine has no key yet.
fn take(
    path: &Path,
    former_path: &Path,
    former: Option<KeyFile>,
    sealed: &[Sealed],
) -> Result<Option<&'static str>, FirstBootError> {
    match former {
        Some(former) if sealed.is_empty() || opens(&former, sealed) => {
            former.write(path)?;
            cut("first-boot-key-copied");
            remove(former_path)?;
            Ok(Some("the daemon's machine key was moved"))
        }
        Some(_) => Err(FirstBootError::WrongKey(former_path.to_owned())),
        None if sealed.is_empty() => {
            KeyFile::make()?.write(path)?;
            cut("first-boot-key-made");
            Ok(Some("a machine key was made"))
        }
        None => Err(SealError::KeyMissing(path.to_owned()).into()),
    }
}

fn remove(path: &Path) -> Result<(), FirstBootError> {
    files::wipe(path).map_err(|source| machine_file(path, source))
}

/// A secret with the name that it was sealed under.
type Sealed = (String, Vec<u8>);

fn opens(key: &KeyFile, sealed: &[Sealed]) -> bool {
    sealed.iter().any(|(name, bytes)| key.opens(name, bytes))
}

/// What is sealed in the daemon's store; nothing where there is no store.
async fn sealed(data_dir: &Path) -> Result<Vec<Sealed>, FirstBootError> {
    let Some(store) = open(data_dir)? else { return Ok(Vec::new()) };
    let file = store.file();
    let sealed = store.read(|reader| reader.all(SECRETS)).await;
    drop(store);
    file.closed().await;
    Ok(sealed?.into_iter().map(|(name, bytes)| (name, bytes.0)).collect())
}

/// The daemon's store, if there is one.
pub(super) fn open(data_dir: &Path) -> Result<Option<Store>, FirstBootError> {
    let path = data_dir.join("store.redb");
    let there = path.symlink_metadata();
    match there {
        Ok(found) if found.is_file() => Ok(Some(Store::open(&path)?)),
        Ok(_) => Err(StoreError::Foreign(path).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Unreachable { path, source }.into()),
    }
}
