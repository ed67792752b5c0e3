//! Room for a disk that is full: a file of zeros beside the store, given up before the store is
//! opened where nothing else has room. So whoever owns the appliance gets in and makes some.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file's name in the data directory. It holds nothing: a backup leaves it out.
const FILE: &str = "reserve";
/// How much it keeps, in bytes: some thousand logins, deletions and entries of the audit log.
const KEPT: usize = 8 * 1024 * 1024;
/// What has to be free beside it, or the disk counts as full.
const FREE: usize = 1024 * 1024;
static BLOCK: [u8; 64 * 1024] = [0; 64 * 1024];

/// How the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is room, and the reserve is kept.
    Enough,
    /// The disk is full: the reserve is, or was earlier, given up.
    Full,
}

/// Keeps a reserve in `data_dir`, or gives it up. To be called before the store is opened. What is
/// wrong with the directory besides, the store says.
pub fn settle(data_dir: &Path) -> Room {
    let at = |name: &str| data_dir.join(name);
    let (reserve, draft, free) = (at(FILE), at("reserve.new"), at("reserve.free"));
    let kept = fs::metadata(&reserve).is_ok_and(|file| file.len() == KEPT as u64);
    // Some file systems find out late that there is no room; a start does not wait for that each time.
    let make = || zeros(&draft, KEPT).and_then(|file| file.sync_data());
    let written = if kept { Ok(()) } else { make() };
    let written = written.and_then(|()| zeros(&free, FREE).map(drop));
    fs::remove_file(&free).ok();
    match written {
        Err(error) if is_full(&error) => {
            fs::remove_file(&draft).ok();
            fs::remove_file(&reserve).ok();
            return Room::Full;
        }
        Ok(()) if !kept => fs::rename(&draft, &reserve).unwrap_or_else(|error| tell(&error)),
        Ok(()) => {}
        Err(error) => tell(&error),
    }
    Room::Enough
}

fn tell(error: &io::Error) {
    tracing::warn!(%error, "no reserve for a full disk can be kept");
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn zeros(path: &Path, bytes: usize) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    for _ in 0..bytes / BLOCK.len() {
        file.write_all(&BLOCK)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept_where_there_is_room_and_made_again_when_it_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = folder.path().join(FILE);
        for _ in 0..2 {
            assert_eq!(settle(folder.path()), Room::Enough);
            assert_eq!(fs::metadata(&reserve).unwrap().len(), KEPT as u64);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        fs::write(&reserve, "cut off").unwrap();
        assert_eq!(settle(folder.path()), Room::Enough);
        assert_eq!(fs::metadata(&reserve).unwrap().len(), KEPT as u64);
        // What has no folder is the store's to say.
        assert_eq!(settle(&folder.path().join("none")), Room::Enough);
    }
}
