//! What jobs may have: of which credentials, and how many secrets of each.
//!
//! A grant is a file of its own: first what was granted, then, added and made durable batch by
//! batch, what was used of it. So a hundred thousand credentials cost no rewriting.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Error, Result};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::files::Folder;
use crate::vault::protocol::{GRANTED, GRANTS};

/// A file's name begins with this, and goes on with the job's id.
const NAME: &str = "grant-";
/// Secrets of one credential that a job may have at most.
pub(super) const EACH: u32 = 100;
/// How long a grant lives at most, in milliseconds of the vault's own time.
const LIFE: i64 = 30 * 24 * 3_600_000;
/// Bytes of a file: its head, and each credential used as often as may be.
const BYTES: usize = GRANTED * (20 + 4 * EACH as usize) + 4_096;
/// Bytes of a check.
const CHECK: usize = 8;

/// All grants.
pub(super) struct Grants {
    folder: Folder,
    alive: HashMap<Uuid, Grant>,
}

struct Grant {
    head: Head,
    /// Used of each credential, in the head's order.
    used: Vec<u32>,
    file: File,
    length: u64,
}

/// What was granted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    /// In the vault's own time.
    made: i64,
    each: u32,
    /// Sorted.
    credentials: Vec<Uuid>,
}

impl Grants {
    /// Those that an earlier life left. One that cannot be read grants nothing and goes.
    pub(super) fn open(folder: &Folder) -> Result<Self> {
        let mut grants = Self { folder: folder.clone(), alive: HashMap::new() };
        for name in folder.names()? {
            let Some(job) = name.strip_prefix(NAME).and_then(|id| id.parse().ok()) else {
                continue;
            };
            if let Some(grant) = Grant::read(folder, &name)? {
                grants.alive.insert(job, grant);
            } else {
                tracing::warn!(%job, "a grant is damaged and has ended");
                folder.remove(&name)?;
            }
        }
        Ok(grants)
    }

    /// Whether there is room for one more.
    pub(super) fn has_room_for(&self, job: Uuid) -> bool {
        self.alive.contains_key(&job) || self.alive.len() < GRANTS
    }

    /// Jobs that have one, sorted.
    pub(super) fn jobs(&self) -> Vec<Uuid> {
        let mut jobs: Vec<Uuid> = self.alive.keys().copied().collect();
        jobs.sort_unstable();
        jobs
    }

    /// Grants, in the place of what this job had.
    pub(super) fn add(
        &mut self,
        job: Uuid,
        mut credentials: Vec<Uuid>,
        each: u32,
        lived: i64,
    ) -> Result<()> {
        credentials.sort_unstable();
        credentials.dedup();
        let head = Head { made: lived, each, credentials };
        let text = rmp_serde::to_vec_named(&head).map_err(Error::other)?;
        let name = name(job);
        let text = framed(&text);
        self.folder.write(&name, &text)?;
        let grant = Grant {
            used: vec![0; head.credentials.len()],
            head,
            file: self.folder.append(&name)?,
            length: text.len() as u64,
        };
        self.alive.insert(job, grant);
        Ok(())
    }

    /// Ends a job's grant. Whether there was one.
    pub(super) fn end(&mut self, job: Uuid) -> Result<bool> {
        self.folder.remove(&name(job))?;
        Ok(self.alive.remove(&job).is_some())
    }

    /// Ends those that are too old.
    pub(super) fn end_old(&mut self, lived: i64) -> Result<Vec<Uuid>> {
        let old = |grant: &Grant| grant.head.made.saturating_add(LIFE) <= lived;
        let old: Vec<Uuid> =
            self.alive.iter().filter(|(_, grant)| old(grant)).map(|(job, _)| *job).collect();
        for job in &old {
            self.end(*job)?;
        }
        Ok(old)
    }

    /// Ends all.
    pub(super) fn end_all(&mut self) -> Result<()> {
        let all: Vec<Uuid> = self.alive.keys().copied().collect();
        all.into_iter().try_for_each(|job| self.end(job).map(|_| ()))
    }

    /// Whether a job may have a secret of each of these, one named twice two.
    pub(super) fn allow(&self, job: Uuid, credentials: &[Uuid]) -> bool {
        self.alive.get(&job).is_some_and(|grant| grant.after(credentials).is_some())
    }

    /// Counts a secret of each, durably. Whether the job may have them; if not, none is counted.
    pub(super) fn take(&mut self, job: Uuid, credentials: &[Uuid]) -> Result<bool> {
        match self.alive.get_mut(&job) {
            Some(grant) => grant.take(&self.folder, credentials),
            None => Ok(false),
        }
    }
}

impl Grant {
    /// Where each stands, if none of them is used up.
    fn after(&self, credentials: &[Uuid]) -> Option<Vec<usize>> {
        let places: Option<Vec<usize>> = credentials
            .iter()
            .map(|credential| self.head.credentials.binary_search(credential).ok())
            .collect();
        let places = places?;
        let mut more: HashMap<usize, u32> = HashMap::new();
        for place in &places {
            *more.entry(*place).or_default() += 1;
        }
        let fits = more.into_iter().all(|(place, more)| {
            let used = self.used.get(place).copied().unwrap_or(u32::MAX);
            used.saturating_add(more) <= self.head.each
        });
        fits.then_some(places)
    }

    fn take(&mut self, folder: &Folder, credentials: &[Uuid]) -> Result<bool> {
        let Some(places) = self.after(credentials) else { return Ok(false) };
        let text: Vec<u8> = places
            .iter()
            .flat_map(|place| u32::try_from(*place).unwrap_or(u32::MAX).to_be_bytes())
            .collect();
        let frame = framed(&text);
        folder.add(&mut self.file, self.length, &frame)?;
        self.length += frame.len() as u64;
        self.count(&text);
        Ok(true)
    }

    fn count(&mut self, text: &[u8]) {
        for place in text.as_chunks().0 {
            let place = usize::try_from(u32::from_be_bytes(*place)).unwrap_or(usize::MAX);
            if let Some(used) = self.used.get_mut(place) {
                *used = used.saturating_add(1);
            }
        }
    }

    /// None where its head is not whole. What was torn off its end was not answered either.
    fn read(folder: &Folder, name: &str) -> Result<Option<Self>> {
        let Some(bytes) = folder.read(name, BYTES)? else { return Ok(None) };
        let Some((head, mut rest)) = unframed(&bytes) else { return Ok(None) };
        let Ok(head) = rmp_serde::from_slice::<Head>(head) else { return Ok(None) };
        let (used, file) = (vec![0; head.credentials.len()], folder.append(name)?);
        let mut grant = Self { head, used, file, length: 0 };
        while let Some((text, after)) = unframed(rest) {
            grant.count(text);
            rest = after;
        }
        grant.length = (bytes.len() - rest.len()) as u64;
        grant.file.set_len(grant.length)?;
        Ok(Some(grant))
    }
}

fn name(job: Uuid) -> String {
    format!("{NAME}{job}")
}

/// With its length before and a check behind.
fn framed(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[..], text, &check(text)].concat()
}

fn unframed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let (checked, rest) = rest.split_first_chunk::<CHECK>()?;
    (*checked == check(text)).then_some((text, rest))
}

fn check(text: &[u8]) -> [u8; CHECK] {
    let hash: [u8; 32] = Sha256::digest(text).into();
    hash.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn folder() -> (tempfile::TempDir, Folder) {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::open(data.path()).unwrap();
        (data, folder)
    }

    #[test]
    fn v1_a_grant_is_for_its_credentials_and_so_many_of_each() {
        let (_data, folder) = folder();
        let mut grants = Grants::open(&folder).unwrap();
        grants.add(id(1), vec![id(30), id(10), id(20), id(10)], 2, 0).unwrap();
        assert!(!grants.take(id(2), &[id(10)]).unwrap(), "another job");
        assert!(!grants.take(id(1), &[id(10), id(40)]).unwrap(), "another credential");
        assert!(!grants.take(id(1), &[id(10), id(10), id(10)]).unwrap(), "three of one");
        assert!(grants.take(id(1), &[id(10), id(20)]).unwrap());
        assert!(grants.take(id(1), &[id(10)]).unwrap());
        assert!(!grants.take(id(1), &[id(20), id(10)]).unwrap(), "used up");
        assert!(grants.take(id(1), &[id(20)]).unwrap(), "the refusal took nothing");
    }

    #[test]
    fn v1_a_grant_and_what_was_used_of_it_outlast_a_restart_wherever_it_was_torn() {
        let (_data, folder) = folder();
        let mut grants = Grants::open(&folder).unwrap();
        grants.add(id(1), vec![id(10), id(20)], 1, 5).unwrap();
        let head = std::fs::read(folder.path(&name(id(1)))).unwrap().len();
        assert!(grants.take(id(1), &[id(10)]).unwrap());
        let whole = std::fs::read(folder.path(&name(id(1)))).unwrap();
        for length in 0..=whole.len() {
            std::fs::write(folder.path(&name(id(1))), &whole[..length]).unwrap();
            let mut grants = Grants::open(&folder).unwrap();
            assert_eq!(grants.allow(id(1), &[id(20)]), length >= head, "{length}");
            let taken = grants.take(id(1), &[id(10)]).unwrap();
            assert_eq!(taken, (head..whole.len()).contains(&length), "{length}");
            let mut grants = Grants::open(&folder).unwrap();
            assert!(!grants.take(id(1), &[id(10)]).unwrap(), "{length}");
        }
    }

    #[test]
    fn v1_a_grant_ends_on_its_word_or_after_thirty_days_and_there_are_eight() {
        let (_data, folder) = folder();
        let mut grants = Grants::open(&folder).unwrap();
        for job in 0..8 {
            assert!(grants.has_room_for(id(job)));
            grants.add(id(job), vec![id(10)], 1, i64::try_from(job).unwrap()).unwrap();
        }
        assert!(!grants.has_room_for(id(8)) && grants.has_room_for(id(7)));
        assert!(grants.end(id(7)).unwrap() && !grants.end(id(7)).unwrap());
        assert_eq!(grants.end_old(LIFE).unwrap(), [id(0)]);
        let grants = Grants::open(&folder).unwrap();
        assert!(!grants.allow(id(0), &[id(10)]) && !grants.allow(id(7), &[id(10)]));
        assert!(grants.allow(id(1), &[id(10)]));
        assert_eq!(grants.jobs(), (1..7).map(id).collect::<Vec<_>>());
    }
}
