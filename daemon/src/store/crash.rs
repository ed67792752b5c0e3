//! A disk for tests that can lose its power.
//!
//! It remembers everything that was done to it, in order, and can tell what would be on it if the
//! power had gone at any point: all that was synced before, and of the rest as much or as little as
//! the disk happened to have written, torn at sectors.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

#[derive(Clone, Debug)]
enum Deed {
    Write { offset: usize, data: Vec<u8> },
    Resize(usize),
    Sync,
}

impl Deed {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => {
                let end = offset + data.len();
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*offset..end].copy_from_slice(data);
            }
            Self::Resize(length) => image.resize(*length, 0),
            Self::Sync => {}
        }
    }

    /// The deed in pieces that a disk does one by one, in any order.
    fn pieces(&self) -> Vec<Self> {
        match self {
            Self::Write { offset, data } => {
                let first = SECTOR - offset % SECTOR;
                let (head, tail) = data.split_at(first.min(data.len()));
                let mut offset = *offset;
                let mut pieces = Vec::new();
                for data in [head].into_iter().chain(tail.chunks(SECTOR)) {
                    pieces.push(Self::Write { offset, data: data.to_vec() });
                    offset += data.len();
                }
                pieces
            }
            other => vec![other.clone()],
        }
    }
}

#[derive(Debug, Default)]
struct Record {
    image: Vec<u8>,
    deeds: Vec<Deed>,
    full: bool,
}

/// The disk. A clone is the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<Record>>);

/// What happened to the deeds that were not synced.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unsynced {
    /// None reached the disk.
    Lost,
    /// All did.
    Kept,
    /// Each sector did or did not, by chance of this seed.
    Torn(u64),
}

impl Disk {
    /// A disk with something on it.
    pub(super) fn with(image: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Record { image, ..Record::default() })))
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much has been done to it.
    pub(super) fn deeds(&self) -> usize {
        self.lock().deeds.len()
    }

    /// How often it was synced.
    pub(super) fn syncs(&self) -> usize {
        self.lock().deeds.iter().filter(|deed| matches!(deed, Deed::Sync)).count()
    }

    /// From now on it takes nothing more.
    pub(super) fn fill_up(&self) {
        self.lock().full = true;
    }

    /// What is on it when the power goes after the first `deeds` deeds. The disk began empty.
    pub(super) fn after_power_cut(&self, deeds: usize, unsynced: Unsynced) -> Vec<u8> {
        let record = self.lock();
        let done = &record.deeds[..deeds];
        let synced =
            done.iter().rposition(|deed| matches!(deed, Deed::Sync)).map_or(0, |at| at + 1);
        let mut image = Vec::new();
        done[..synced].iter().for_each(|deed| deed.apply(&mut image));
        let rest = &done[synced..];
        match unsynced {
            Unsynced::Lost => {}
            Unsynced::Kept => rest.iter().for_each(|deed| deed.apply(&mut image)),
            Unsynced::Torn(seed) => {
                let mut chance = Chance(seed | 1);
                for piece in rest.iter().flat_map(Deed::pieces) {
                    if chance.toss() {
                        piece.apply(&mut image);
                    }
                }
            }
        }
        image
    }

    fn does(&self, deed: Deed) -> io::Result<()> {
        let mut record = self.lock();
        if record.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        deed.apply(&mut record.image);
        record.deeds.push(deed);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().image.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let record = self.lock();
        let found = record.image.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.does(Deed::Resize(usize::try_from(length).map_err(io::Error::other)?))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.does(Deed::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.does(Deed::Write { offset, data: data.to_vec() })
    }
}

/// Xorshift: the same tosses for the same seed.
#[derive(Debug)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn toss(&mut self) -> bool {
        self.next() & 0x10 == 0
    }
}
