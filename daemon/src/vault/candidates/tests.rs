//! Each case by itself, and then many at random: whatever happens, somebody knows each password.

use super::*;
use crate::store::Store;

const NOW: i64 = 1_000;

fn secret(version: u64) -> SecretRecord {
    SecretRecord { version, sealed: sealed(version), made: NOW, ..SecretRecord::default() }
}

fn sealed(version: u64) -> Vec<u8> {
    version.to_be_bytes().to_vec()
}

/// A credential whose version `current` is proven.
fn credential(current: u64) -> CredentialRecord {
    let mut record = CredentialRecord::default();
    for version in 1..=current {
        assert!(add(&mut record, secret(version)));
        holds(&mut record, version, Moment::Underway, NOW);
    }
    record
}

fn versions(secrets: &[SecretRecord]) -> Vec<u64> {
    secrets.iter().map(|secret| secret.version).collect()
}

fn current(record: &CredentialRecord) -> Option<u64> {
    record.current.as_ref().map(|secret| secret.version)
}

#[test]
fn a_candidate_is_listed_until_one_is_proven() {
    let mut record = credential(3);
    assert!(add(&mut record, secret(4)));
    assert!(!add(&mut record, secret(4)), "a version is given once");
    assert!(add(&mut record, secret(5)));
    assert_eq!((current(&record), versions(&record.candidates)), (Some(3), vec![4, 5]));
    assert_eq!(holds(&mut record, 5, Moment::Underway, NOW + 1), Finding::Committed);
    assert_eq!(current(&record), Some(5));
    assert_eq!(record.current.as_ref().unwrap().proven, Some(NOW + 1));
    assert!(record.candidates.is_empty() && record.trouble.is_empty());
    assert_eq!(versions(&record.former), [4, 3, 2, 1]);
}

#[test]
fn a_newer_candidate_stays_while_it_may_be_on_its_way() {
    let mut record = credential(1);
    add(&mut record, secret(2));
    add(&mut record, secret(3));
    assert_eq!(holds(&mut record, 2, Moment::Underway, NOW), Finding::Committed);
    assert_eq!(versions(&record.candidates), [3]);
    assert_eq!(holds(&mut record, 2, Moment::Settled, NOW), Finding::Current);
    assert!(record.candidates.is_empty());
    assert_eq!(versions(&record.former), [3, 1], "it is not forgotten all the same");
    assert_eq!(holds(&mut record, 3, Moment::Underway, NOW), Finding::Committed);
}

#[test]
fn an_older_password_is_told_and_the_newer_ones_are_kept() {
    let mut record = credential(4);
    assert_eq!(holds(&mut record, 2, Moment::Settled, NOW + 5), Finding::Older);
    assert_eq!((current(&record), record.trouble.as_str()), (Some(2), OLDER_PASSWORD));
    assert_eq!(versions(&record.former), [4, 3, 1]);
    assert_eq!(holds(&mut record, 2, Moment::Settled, NOW + 6), Finding::Current);
    assert_eq!(record.trouble, OLDER_PASSWORD, "it stays told until it is mended");
    assert_eq!(holds(&mut record, 4, Moment::Settled, NOW + 7), Finding::Committed);
    assert_eq!(record.trouble, "");
    holds(&mut record, 1, Moment::Settled, NOW);
    add(&mut record, secret(5));
    assert_eq!(holds(&mut record, 5, Moment::Underway, NOW), Finding::Committed);
    assert_eq!(record.trouble, "");
}

#[test]
fn a_change_on_the_device_is_told_once_and_never_of_what_was_typed() {
    let mut typed = CredentialRecord { current: Some(secret(1)), ..CredentialRecord::default() };
    assert!(!changed_on_device(&mut typed));
    let mut record = credential(1);
    assert!(changed_on_device(&mut record));
    assert!(!changed_on_device(&mut record));
    assert_eq!(record.trouble, CHANGED_ON_DEVICE);
    assert_eq!(holds(&mut record, 1, Moment::Settled, NOW), Finding::Current);
    assert_eq!(record.trouble, "", "somebody changed it back");
}

#[test]
fn what_the_device_gives_back_is_believed_once_it_opens() {
    let mut record = credential(1);
    assert_eq!(holds(&mut record, 7, Moment::Settled, NOW), Finding::Unknown);
    assert!(adopt(&mut record, 7, sealed(7), NOW));
    assert!(!adopt(&mut record, 7, sealed(9), NOW), "it is known already");
    assert!(!adopt(&mut record, HIGHEST + 1, sealed(1), NOW), "no device was sent so many");
    assert!(!adopt(&mut record, 8, Vec::new(), NOW), "it gave nothing");
    assert_eq!(holds(&mut record, 7, Moment::Settled, NOW), Finding::Unopened);
    assert_eq!((current(&record), next_version(&record, 3)), (Some(1), Some(8)));
    opened(&mut record, 7);
    assert_eq!(holds(&mut record, 7, Moment::Settled, NOW), Finding::Committed);
    assert_eq!((current(&record), versions(&record.former)), (Some(7), vec![1]));
}

#[test]
fn what_was_refused_is_gone_and_its_version_never_comes_again() {
    let mut record = credential(1);
    add(&mut record, secret(2));
    refused(&mut record, 2);
    assert!(record.candidates.is_empty() && find(&record, 2).is_none());
    assert_eq!(next_version(&record, 0), Some(3));
}

#[test]
fn former_secrets_are_bounded_and_none_that_held_goes_for_one_that_perhaps_did() {
    let mut record = credential(8);
    for version in 9..=28 {
        add(&mut record, secret(version));
        holds(&mut record, 8, Moment::Settled, NOW);
    }
    let (proven, lost): (Vec<_>, Vec<_>) =
        record.former.iter().partition(|secret| secret.proven.is_some());
    assert_eq!((proven.len(), lost.len()), (7, FORMER));
    assert_eq!(lost[0].version, 28);
    for version in 29..29 + u64::try_from(CANDIDATES).unwrap() {
        assert!(add(&mut record, secret(version)));
    }
    assert!(!add(&mut record, secret(100)), "somebody has to look at the device");
    assert_eq!(next_version(&record, HIGHEST), None);
}

#[tokio::test]
async fn a_credential_is_made_where_there_is_none_and_written_where_it_changes() {
    let store = Store::memory().unwrap();
    let id = Uuid::new_v4();
    let fresh = || CredentialRecord { username: "admin".to_owned(), ..CredentialRecord::default() };
    let write = move |writer: &Writer<'_>| change(writer, id, fresh, |it| add(it, secret(1)));
    assert!(store.write(write).await.unwrap());
    assert!(!store.write(write).await.unwrap());
    let stored = store.read(move |reader| reader.get(CREDENTIALS, &id)).await.unwrap().unwrap();
    assert_eq!((stored.username.as_str(), versions(&stored.candidates)), ("admin", vec![1]));
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// A device: the version whose password it has, and what it remembers.
#[derive(Clone, Default)]
struct Device {
    has: u64,
    remembered: Vec<u64>,
}

impl Device {
    /// What it says of itself: the version that holds, and the newest that it knows of.
    fn says(&self) -> (u64, u64) {
        let holds = if self.remembered.contains(&self.has) { self.has } else { 0 };
        (holds, self.remembered.iter().copied().max().unwrap_or(0))
    }
}

/// Appliance and device, and what was saved of both.
#[derive(Default)]
struct World {
    record: CredentialRecord,
    device: Device,
    firmware: Device,
    backup: CredentialRecord,
}

impl World {
    /// One rotation, cut at any step of the appliance, the link or the device.
    fn rotate(&mut self, dice: &mut Dice) {
        let Some(version) = next_version(&self.record, self.device.says().1) else { return };
        if !add(&mut self.record, secret(version)) || dice.roll(6) == 0 {
            return;
        }
        if dice.roll(8) == 0 {
            return refused(&mut self.record, version);
        }
        self.device.remembered.push(version);
        if dice.roll(6) == 0 {
            return;
        }
        self.device.has = version;
        if dice.roll(3) > 0 {
            assert_ne!(holds(&mut self.record, version, Moment::Underway, NOW), Finding::Unknown);
        }
    }

    /// The device comes back, and what it says is looked at.
    fn connect(&mut self) {
        let (version, newest) = self.device.says();
        if version == 0 {
            changed_on_device(&mut self.record);
        } else if holds(&mut self.record, version, Moment::Settled, NOW) == Finding::Unknown {
            assert!(adopt(&mut self.record, version, sealed(version), NOW));
            // The vault is open in every second of these worlds.
            if version.is_multiple_of(2) {
                opened(&mut self.record, version);
                holds(&mut self.record, version, Moment::Settled, NOW);
            }
        }
        assert!(next_version(&self.record, newest).is_some_and(|next| next > newest));
    }

    /// One that remembers what it has, or has one of the latest: what is kept is bounded.
    fn can_restore_firmware(&self) -> bool {
        let bound = u64::try_from(FORMER).unwrap();
        self.firmware.says().0 != 0 || self.firmware.has + bound > self.record.newest
    }

    fn somebody_knows(&self) -> bool {
        let listed = find(&self.record, self.device.has);
        let kept_by_the_device = self.device.remembered.contains(&self.device.has);
        listed.is_some_and(|secret| secret.sealed == sealed(self.device.has)) || kept_by_the_device
    }
}

#[test]
fn v4_nobodys_password_is_ever_unknown_whatever_is_lost_on_the_way() {
    let mut older = 0;
    for seed in 1..=2_000_u64 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let device = Device { has: 1, remembered: vec![1] };
        let mut world = World { record: credential(1), device, ..World::default() };
        (world.firmware, world.backup) = (world.device.clone(), world.record.clone());
        for step in 0..200 {
            match dice.roll(12) {
                0..=5 => world.rotate(&mut dice),
                6 | 7 => {}
                8 => world.firmware = world.device.clone(),
                9 if world.can_restore_firmware() => world.device = world.firmware.clone(),
                10 => world.backup = world.record.clone(),
                // A store that is older than the device, which then still has its memory.
                11 if world.device.says().0 != 0 => world.record = world.backup.clone(),
                // The device forgets what it was sent. From then on the appliance alone knows, and
                // an appliance that is older still would not.
                _ => {
                    world.connect();
                    if find(&world.record, world.device.has).is_some() {
                        world.device.remembered.clear();
                        world.firmware = world.device.clone();
                        world.backup = world.record.clone();
                    }
                }
            }
            assert!(world.somebody_knows(), "seed {seed}, step {step}");
            world.connect();
            assert!(world.somebody_knows(), "seed {seed}, step {step}, connected");
            older += usize::from(world.record.trouble == OLDER_PASSWORD);
            assert!(world.record.candidates.len() <= CANDIDATES);
            assert!(world.record.former.len() <= 2 * FORMER);
        }
    }
    assert!(older > 1_000, "these worlds hardly ever restored a device's firmware");
}
