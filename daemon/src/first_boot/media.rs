//! Where a provisioning file may lie: in the machine's directory, on a USB stick, in the boot
//! partition. A medium is mounted for as long as it is looked at, read-only unless its file is to
//! be wiped.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};
use tokio::time::Instant;

use super::provisioning::MOST_BYTES;
use super::{files, make_folder};

/// The file's name, wherever it lies.
pub(super) const FILE: &str = "aerie-provisioning.toml";
/// Its name's end from when it has been taken until it is wiped.
const TAKEN: &str = "taken";
/// Media that are looked at, and what people call them.
const MEDIA: [(&str, &str); 2] = [
    ("dev/disk/by-label/AERIE", "the USB stick AERIE"),
    ("dev/disk/by-partlabel/aerie-esp", "the boot partition"),
];
/// What both are formatted with; the kernel is asked to read nothing else from a stranger's stick.
const FORMAT: &str = "vfat";
/// How long udev may take to give every disk its names.
const NAMING: Duration = Duration::from_secs(10);
/// How long after that a machine looks for a stick that it may have been switched on with. The
/// kernel finds USB disks later than all others: hubs first, and a second more for disks that start
/// slowly.
const PATIENCE: Duration = Duration::from_secs(6);
const OFTEN: Duration = Duration::from_millis(100);
/// PCI's class of USB controllers, as /sys writes it.
const USB_CONTROLLER: &str = "0x0c03";
/// Nothing on a medium is a device or a program.
const CAREFUL: MsFlags = MsFlags::MS_NODEV.union(MsFlags::MS_NOSUID).union(MsFlags::MS_NOEXEC);

/// A provisioning file that was found.
pub(super) struct Found {
    /// Where, for people.
    pub(super) place: String,
    /// What it says; one byte more than the bound where it is longer.
    pub(super) bytes: Vec<u8>,
    /// Its path.
    path: PathBuf,
    mounted: Option<Mounted>,
}

/// A medium that is mounted; dropped, it is not.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = umount(&self.0) {
            tracing::warn!(%error, "a medium could not be unmounted");
        }
        fs::remove_dir(&self.0).ok();
    }
}

/// Waits until every medium has its name that the machine may have been switched on with, and no
/// longer than [`NAMING`] and [`PATIENCE`].
pub(super) async fn appear(run_dir: &Path, sys_dir: &Path) {
    // As `udevadm settle` does it.
    let queue = run_dir.join("udev/queue");
    until(NAMING, || !queue.exists()).await;
    let [(stick, _), _] = MEDIA;
    let stick = sys_dir.join(stick);
    if has_usb(sys_dir) {
        until(PATIENCE, || stick.exists()).await;
    }
}

async fn until(patience: Duration, done: impl Fn() -> bool) {
    let end = Instant::now() + patience;
    while !done() && Instant::now() < end {
        tokio::time::sleep(OFTEN).await;
    }
}

/// Whether there is a USB controller, also one whose driver is not there yet.
fn has_usb(sys_dir: &Path) -> bool {
    let entries = |folder: &str| fs::read_dir(sys_dir.join(folder)).into_iter().flatten().flatten();
    let is_controller = |device: DirEntry| {
        let class = fs::read_to_string(device.path().join("class"));
        class.is_ok_and(|class| class.starts_with(USB_CONTROLLER))
    };
    entries("sys/bus/usb/devices").next().is_some()
        || entries("sys/bus/pci/devices").any(is_controller)
}

/// Looks for a file whose folder is there.
pub(super) fn at(path: &Path) -> io::Result<Option<Found>> {
    look(path.to_owned(), path.display().to_string(), None)
}

/// Looks at all places. What cannot be looked at is told and passed over.
pub(super) fn find(machine_dir: &Path, run_dir: &Path, sys_dir: &Path) -> Option<Found> {
    let or_tell = |found: io::Result<Option<Found>>, place: &str| {
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, place, "a provisioning file cannot be looked for");
            None
        })
    };
    let in_folder = |folder: &Path| {
        let there = folder.is_dir().then(|| at(&folder.join(FILE)));
        there.and_then(|found| or_tell(found, &folder.display().to_string()))
    };
    let on_media = || {
        MEDIA.iter().find_map(|(device, place)| {
            let device = sys_dir.join(device);
            let there = device.exists().then(|| on_medium(&device, place, run_dir));
            there.and_then(|found| or_tell(found, place))
        })
    };
    // A boot partition that somebody has mounted may be closed to us there.
    in_folder(machine_dir).or_else(on_media).or_else(|| in_folder(&sys_dir.join("efi")))
}

fn on_medium(device: &Path, place: &str, run_dir: &Path) -> io::Result<Option<Found>> {
    let folder = run_dir.join("aerie-provisioning");
    make_folder(&folder)?;
    if let Err(error) = mount_at(device, &folder, CAREFUL | MsFlags::MS_RDONLY) {
        fs::remove_dir(&folder).ok();
        // Busy: somebody has it mounted to be written, and it is found there.
        return if error == Errno::EBUSY { Ok(None) } else { Err(error.into()) };
    }
    look(folder.join(FILE), format!("{FILE} on {place}"), Some(Mounted(folder)))
}

fn mount_at(device: &Path, folder: &Path, flags: MsFlags) -> Result<(), Errno> {
    mount(Some(device), folder, Some(FORMAT), flags, None::<&str>)
}

fn look(path: PathBuf, place: String, mounted: Option<Mounted>) -> io::Result<Option<Found>> {
    let mut found = Found { place, bytes: Vec::new(), path, mounted };
    let taken = found.path.with_extension(TAKEN);
    if taken.symlink_metadata().is_ok() {
        // The power went while it was wiped.
        found.make_writable()?;
        files::wipe(&taken)?;
    }
    Ok(files::read(&found.path, MOST_BYTES)?.map(|bytes| {
        found.bytes = bytes;
        found
    }))
}

impl Found {
    fn make_writable(&self) -> io::Result<()> {
        let Some(Mounted(folder)) = &self.mounted else { return Ok(()) };
        let flags = CAREFUL | MsFlags::MS_REMOUNT;
        Ok(mount(None::<&str>, folder, None::<&str>, flags, None::<&str>)?)
    }

    /// Overwrites and deletes it. It has another name before it is half overwritten.
    pub(super) fn wipe(self) -> io::Result<()> {
        self.make_writable()?;
        let taken = self.path.with_extension(TAKEN);
        fs::rename(&self.path, &taken)?;
        files::sync(files::folder_of(&self.path))?;
        crate::cut::cut("provision-renamed");
        files::wipe(&taken)
    }
}
