//! The state directory: one file, replaced as a whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{Known, StateError, record};

/// The state itself.
pub(super) const FILE: &str = "device.json";
/// The next one, until it is complete. What an interrupted write left here is never read.
const NEXT: &str = ".new";
/// Held for the moment of a change, by `run` and `adopt` alike.
const LOCK: &str = "lock";

/// Every file that the agent makes there.
pub(super) const FILES: [&str; 3] = [FILE, "device.json.new", LOCK];

/// A state directory of mode 0700.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    /// What it is called where a person reads it.
    name: PathBuf,
}

/// Held while an agent runs on a directory; the kernel lets go when the process dies.
#[derive(Debug)]
pub struct Running {
    /// Locked.
    directory: File,
}

/// Where a write can be interrupted; each is tried by a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Created,
    HalfWritten,
    Written,
    Synced,
    Renamed,
}

impl Directory {
    /// Makes the directory if it is not there, and makes it private in any case.
    pub fn prepare(path: impl Into<PathBuf>) -> Result<Self, StateError> {
        Self::at(path.into()).prepared()
    }

    /// A directory that an agent has used before.
    pub fn existing(path: impl Into<PathBuf>) -> Result<Self, StateError> {
        Self::at(path.into()).used()
    }

    /// The current directory, whose name is `name`: a process reaches its state there even if it
    /// may not walk the whole way.
    pub fn current(name: impl Into<PathBuf>) -> Self {
        Self { path: PathBuf::from("."), name: name.into() }
    }

    pub(super) fn at(path: PathBuf) -> Self {
        Self { name: path.clone(), path }
    }

    /// Makes the directory if it is not there, and makes it private in any case.
    pub fn prepared(self) -> Result<Self, StateError> {
        let Self { path, name } = &self;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        match made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700))) {
            Ok(()) => Ok(self),
            Err(source) => Err(StateError::Directory { path: name.clone(), source }),
        }
    }

    /// Makes sure that an agent has used the directory before.
    pub fn used(self) -> Result<Self, StateError> {
        if self.file().is_file() { Ok(self) } else { Err(StateError::Nothing { path: self.name }) }
    }

    /// Claims the directory for a running agent: two with one identity would throw each other out
    /// for ever.
    pub fn claim(&self) -> Result<Running, StateError> {
        let unreadable = |source| StateError::Directory { path: self.name.clone(), source };
        Running::claim(File::open(&self.path).map_err(unreadable)?, &self.name)
    }

    /// Reads the state.
    pub fn load(&self) -> Result<Known, StateError> {
        let path = self.name.join(FILE);
        let bytes = match fs::read(self.file()) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(source) => return Err(StateError::Read { path, source }),
        };
        record::decode(&bytes)
            .map_err(|error| StateError::Damaged { path, source: Box::new(error) })
    }

    /// Reads the state; the first time, makes the device's identity.
    pub fn load_or_create(&self) -> Result<Known, StateError> {
        let _guard = self.lock()?;
        if !fs::exists(self.file()).unwrap_or(true) {
            self.write(&Known::fresh()?)?;
        }
        self.load()
    }

    /// Changes the state; returns what it is now. Writes nothing if the edit changed nothing.
    pub fn change(&self, edit: impl FnOnce(&mut Known)) -> Result<Known, StateError> {
        let _guard = self.lock()?;
        let before = self.load()?;
        let mut after = before.clone();
        edit(&mut after);
        if !before.same_as(&after) {
            self.write(&after)?;
        }
        Ok(after)
    }

    fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// Released when the file is closed, which a crash does too.
    fn lock(&self) -> Result<File, StateError> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(self.path.join(LOCK));
        let locked = file.and_then(|file| match file.lock() {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
            Ok(()) | Err(_) => Ok(file),
        });
        locked.map_err(|source| StateError::Write { path: self.name.join(LOCK), source })
    }

    fn write(&self, known: &Known) -> Result<(), StateError> {
        let path = self.name.join(FILE);
        let bytes = match record::encode(known) {
            Ok(bytes) => bytes,
            Err(error) => return Err(StateError::Write { path, source: error.into() }),
        };
        replace(&self.path, FILE, &bytes, &mut |_| Ok(()))
            .map_err(|source| StateError::Write { path, source })
    }
}

impl Running {
    /// Locks a directory; `name` is for a person.
    pub(super) fn claim(directory: File, name: &Path) -> Result<Self, StateError> {
        match directory.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::InUse { path: name.to_path_buf() });
            }
            // A file system that cannot lock is no reason to leave a device without its agent.
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "cannot lock the state directory; going on without");
            }
        }
        Ok(Self { directory })
    }

    pub(super) fn directory(&self) -> &File {
        &self.directory
    }
}

/// Replaces a file: the new content is on the disk before it gets the name, and the name is on the
/// disk before anybody relies on it. `after` runs after each step; a test stops there.
pub(crate) fn replace(
    directory: &Path,
    file: &str,
    bytes: &[u8],
    after: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<()> {
    let (name, next) = (directory.join(file), directory.join(format!("{file}{NEXT}")));
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&next)?;
    after(Step::Created)?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    file.write_all(first)?;
    after(Step::HalfWritten)?;
    file.write_all(second)?;
    after(Step::Written)?;
    file.sync_all()?;
    after(Step::Synced)?;
    fs::rename(&next, name)?;
    after(Step::Renamed)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use aerie_protocol::{
        key::{DeviceKey, KeySecret},
        noise::{PublicKey, StaticKey},
    };

    use super::*;
    use crate::state::{Enrolment, Offer, State};

    const STEPS: [Step; 5] =
        [Step::Created, Step::HalfWritten, Step::Written, Step::Synced, Step::Renamed];

    fn key(host: &str, pin: Option<PublicKey>) -> DeviceKey {
        let secret = KeySecret::from_bytes(&[7; 36]).unwrap();
        DeviceKey { host: host.to_owned(), port: 443, secret, allow_untrusted: false, pin }
    }

    fn enrolment(appliance: PublicKey) -> Enrolment {
        Enrolment { appliance, device_id: [9; 16], name: "mast \"7\" \u{e9}".to_owned() }
    }

    fn someone() -> PublicKey {
        StaticKey::generate().unwrap().public()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(folder.path().join("a/b")).unwrap();
        let fresh = directory.load_or_create().unwrap();
        assert!(fresh.key.is_none() && fresh.enrolment.is_none());
        let appliance = someone();
        directory
            .change(|known| {
                known.key = Some(key("box.example", Some(appliance)));
                known.enrolment = Some(enrolment(appliance));
            })
            .unwrap();
        let known = directory.load_or_create().unwrap();
        assert_eq!(known.identity.public(), fresh.identity.public());
        assert_eq!(known.key, Some(key("box.example", Some(appliance))));
        assert_eq!(known.enrolment, Some(enrolment(appliance)));
    }

    #[test]
    fn an_existing_directory_is_taken_and_made_private() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("other"), "stays").unwrap();
        let directory = Directory::prepare(folder.path()).unwrap();
        directory.load_or_create().unwrap();
        assert_eq!(mode(folder.path()), 0o700);
        assert_eq!(mode(&folder.path().join(FILE)), 0o600);
        assert_eq!(fs::read_to_string(folder.path().join("other")).unwrap(), "stays");
    }

    #[test]
    fn a_crash_at_any_step_leaves_the_old_state_or_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(folder.path()).unwrap();
        let old = directory.load_or_create().unwrap();
        for stop in STEPS {
            directory.change(|known| known.key = None).unwrap();
            let mut new = old.clone();
            new.key = Some(key("new.example", None));
            let bytes = record::encode(&new).unwrap();
            let crashed = replace(folder.path(), FILE, &bytes, &mut |step| {
                if step == stop { Err(io::Error::other("the plug is pulled")) } else { Ok(()) }
            });
            assert!(crashed.is_err());
            let found = directory.load_or_create().unwrap();
            assert_eq!(found.identity.public(), old.identity.public(), "{stop:?}");
            let expected = if stop == Step::Renamed { new.key } else { None };
            assert_eq!(found.key, expected, "{stop:?}");
            // And the next write goes through, whatever was left lying about.
            let again = directory.change(|known| known.key = Some(key("again.example", None)));
            assert_eq!(again.unwrap().key.unwrap().host, "again.example");
        }
    }

    #[test]
    fn a_crash_before_the_first_state_starts_over() {
        for rubbish in ["", "{\"format\":1,\"stat"] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FILES[1]), rubbish).unwrap();
            let directory = Directory::prepare(folder.path()).unwrap();
            directory.load_or_create().unwrap();
            assert!(!folder.path().join(FILES[1]).exists());
        }
    }

    #[test]
    fn a_damaged_file_is_reported_and_never_overwritten() {
        for content in [
            "",
            "{}",
            "{\"format\":2,\"news\":true}",
            "{\"format\":1,\"static_key\":\"AAAA\",\"device_key\":null,\"enrolment\":null}",
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FILE), content).unwrap();
            let error = State::open(folder.path()).unwrap_err();
            assert!(matches!(error, StateError::Damaged { .. }), "{error}");
            assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), content);
        }
    }

    #[test]
    fn a_change_that_changes_nothing_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(folder.path()).unwrap();
        directory.load_or_create().unwrap();
        fs::set_permissions(folder.path().join(FILE), Permissions::from_mode(0o400)).unwrap();
        directory.change(|known| known.enrolment = None).unwrap();
        assert_eq!(mode(&folder.path().join(FILE)), 0o400, "the file was replaced");
    }

    #[test]
    fn one_directory_has_one_agent() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::prepare(folder.path()).unwrap();
        let running = directory.claim().unwrap();
        assert!(matches!(directory.claim(), Err(StateError::InUse { .. })));
        // Somebody at the device can still adopt it.
        directory.load_or_create().unwrap();
        directory.change(|known| known.key = Some(key("other.example", None))).unwrap();
        drop(running);
        directory.claim().unwrap();
    }

    #[tokio::test]
    async fn an_enrolled_device_takes_a_new_address_of_its_own_appliance_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(folder.path()).unwrap();
        assert_eq!(state.offer(key("first.example", None)).await.unwrap(), Offer::Taken);
        assert_eq!(state.offer(key("first.example", None)).await.unwrap(), Offer::Same);
        let appliance = someone();
        assert!(state.enrol(enrolment(appliance)).await.unwrap());
        for pin in [None, Some(someone())] {
            assert_eq!(state.offer(key("bad.example", pin)).await.unwrap(), Offer::Enrolled);
        }
        assert_eq!(state.known().key.as_ref().unwrap().host, "first.example");
        let moved = key("moved.example", Some(appliance));
        assert_eq!(state.offer(moved).await.unwrap(), Offer::Taken);
        assert_eq!(state.known().enrolment, Some(enrolment(appliance)));
    }

    #[tokio::test]
    async fn only_the_own_appliance_renames_forgets_or_replaces_itself() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(folder.path()).unwrap();
        let (appliance, stranger) = (someone(), someone());
        assert!(state.enrol(enrolment(appliance)).await.unwrap());
        assert!(!state.enrol(enrolment(stranger)).await.unwrap());
        state.rename(stranger, "stolen".to_owned()).await.unwrap();
        state.forget(stranger).await.unwrap();
        assert_eq!(state.known().enrolment, Some(enrolment(appliance)));
        state.rename(appliance, "roof".to_owned()).await.unwrap();
        assert_eq!(state.known().enrolment.as_ref().unwrap().name, "roof");
        state.forget(appliance).await.unwrap();
        assert!(State::open(folder.path()).unwrap().known().enrolment.is_none());
    }

    #[tokio::test]
    async fn an_adoption_beside_a_running_agent_wins() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(folder.path()).unwrap();
        state.offer(key("first.example", None)).await.unwrap();
        assert!(!state.reload().unwrap());
        let adopted = key("second.example", None);
        Directory::existing(folder.path())
            .unwrap()
            .change(|known| known.key = Some(adopted.clone()))
            .unwrap();
        // The first appliance's `enrolled` arrives late: it must not undo the adoption.
        assert!(!state.enrol(enrolment(someone())).await.unwrap());
        assert_eq!(state.known().key, Some(adopted));
        assert!(state.known().enrolment.is_none());
    }
}
