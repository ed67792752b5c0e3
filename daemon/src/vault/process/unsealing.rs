//! What opens the vault: master password, key file, shares.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::keeper::{Inner, Keeper};
use super::state::{MasterRecord, Split, State};
use super::time::Moment;
use super::tries::Guessed;
use crate::vault::SecretText;
use crate::vault::crypto::shares::{self, Share};
use crate::vault::crypto::{KEY_TEXT_BYTES, KeyFault, Master, PrivateKey, keyfile, unwrap};
use crate::vault::protocol::{Key, Refusal, Unsealing};

/// How long a share waits for the others, in milliseconds.
const SHARE_LIFE: i64 = 15 * 60 * 1_000;
/// How long a key that was right needs no second look, in milliseconds.
const VERIFIED_LIFE: i64 = 5 * 60 * 1_000;

/// The private keys, by the number of their pair.
pub(super) struct Keys {
    pub(super) vault: Uuid,
    pub(super) pairs: Vec<(u32, Arc<PrivateKey>)>,
}

impl Keys {
    /// The key of a pair.
    pub(super) fn of(&self, epoch: u32) -> Option<&PrivateKey> {
        self.pairs.iter().find(|(number, _)| *number == epoch).map(|(_, key)| key.as_ref())
    }
}

/// What a right key opened.
pub(super) struct Unlocked {
    pub(super) master: Master,
    /// The key pair that this master password came with.
    pub(super) epoch: u32,
    pub(super) keys: Keys,
}

/// A key that was right a moment ago.
pub(super) struct Verified {
    hash: [u8; 32],
    until: i64,
}

/// Shares that wait for others, each until a time.
#[derive(Default)]
pub(super) struct GivenShares(Vec<(Share, i64)>);

impl GivenShares {
    /// How many there are now.
    pub(super) fn given(&mut self, lived: i64) -> u8 {
        self.0.retain(|(_, until)| *until > lived);
        u8::try_from(self.0.len()).unwrap_or(u8::MAX)
    }

    fn add(&mut self, share: Share, lived: i64) {
        self.0.retain(|(other, _)| other.number != share.number);
        self.0.push((share, lived.saturating_add(SHARE_LIFE)));
    }
}

impl Inner {
    /// A try at something that can be guessed, counted as wrong until somebody says otherwise.
    pub(super) fn begin_try(&mut self, now: Moment, at: Guessed) -> Result<(), Refusal> {
        self.count(now, |counter| {
            let begun = counter.tries(at).begin(at, now.lived);
            begun.map_err(|seconds| Refusal::Wait { seconds })
        })
    }

    /// The try was right.
    pub(super) fn right(&mut self, now: Moment, at: Guessed) -> Result<(), Refusal> {
        self.count(now, |counter| {
            counter.tries(at).right();
            Ok(())
        })
    }

    fn unsealed(&mut self, now: Moment, keys: Keys, how: String) -> Result<Unsealing, Refusal> {
        self.note(now, &[("unsealed", how)])?;
        self.shares = GivenShares::default();
        self.open = Some(keys.into());
        Ok(Unsealing::Open)
    }
}

impl Keeper {
    /// Looks at a master password or key file, and unwraps what it opens. A slip of the pen or a torn
    /// file is told and costs no try.
    pub(super) fn unlock(&self, key: &Key) -> Result<Unlocked, Refusal> {
        let state = self.lock().made()?.clone();
        let read = read(key, &state);
        if let Err(fault) = &read
            && !is_a_guess(fault)
        {
            return Err(told(fault));
        }
        self.lock().begin_try(self.now(), Guessed::Key)?;
        match read.and_then(|(master, records)| unwrapped(&state, master, records)) {
            Ok(unlocked) => {
                self.lock().right(self.now(), Guessed::Key)?;
                Ok(unlocked)
            }
            Err(fault) => {
                self.lock().note(self.now(), &[("wrong-key", fault.to_string())])?;
                Err(told(&fault))
            }
        }
    }

    /// The same where nothing is opened with it, and where it may be asked again and again.
    pub(super) fn verify(&self, key: &Key) -> Result<(), Refusal> {
        let (Key::Words(text) | Key::File(text) | Key::Share(text)) = key;
        let hash: [u8; 32] = Sha256::digest(text.expose()).into();
        let now = self.now().lived;
        let known = |one: &Verified| one.until > now && one.hash == hash;
        if !self.lock().verified.as_ref().is_some_and(known) {
            self.unlock(key)?;
            let until = now.saturating_add(VERIFIED_LIFE);
            self.lock().verified = Some(Verified { hash, until });
        }
        Ok(())
    }

    pub(super) fn unseal(&self, key: &Key) -> Result<Unsealing, Refusal> {
        if let Key::Share(text) = key {
            return self.take_share(text);
        }
        let Unlocked { epoch, keys, .. } = self.unlock(key)?;
        let now = self.now();
        let mut inner = self.lock();
        let how = if let Key::File(_) = key { "key file" } else { "master password" };
        let open = inner.unsealed(now, keys, format!("by the {how} of key pair {epoch}"))?;
        // Who unseals with the file has it.
        if matches!(key, Key::File(_)) {
            inner.key_file_is_there(now, epoch)?;
        }
        Ok(open)
    }

    fn take_share(&self, text: &SecretText) -> Result<Unsealing, Refusal> {
        let state = self.lock().made()?.clone();
        let split = state.split.as_ref().ok_or_else(|| {
            let told = "this vault's master password is not split: give its key file or its words";
            Refusal::Key(told.to_owned())
        })?;
        let share = Share::parse(text.expose()).map_err(|fault| told(&fault))?;
        share.belongs(state.id, split.set).map_err(|fault| told(&fault))?;
        let (number, now) = (share.number, self.now());
        let mut inner = self.lock();
        inner.begin_try(now, Guessed::Key)?;
        if !split.hashes.contains(&share.fingerprint()) {
            let wrong =
                format!("share {number} is none of this vault's; compare it with the paper");
            inner.note(now, &[("wrong-key", wrong.clone())])?;
            return Err(Refusal::Key(wrong));
        }
        inner.count(now, |counter| {
            counter.tries(Guessed::Key).take_back();
            Ok(())
        })?;
        inner.shares.add(share, now.lived);
        let given = inner.shares.given(now.lived);
        if given < split.needed {
            inner.note(now, &[("share-given", format!("share {number} of set {}", split.set))])?;
            return Ok(Unsealing::Missing { given, needed: split.needed });
        }
        let all: Vec<Share> = inner.shares.0.iter().map(|(share, _)| share.clone()).collect();
        drop(inner);
        let master = shares::combine(&all).map_err(|fault| told(&fault))?;
        let unlocked = unwrapped(&state, master, state.masters.iter().rev().collect());
        let Unlocked { keys, .. } = unlocked.map_err(|fault| told(&fault))?;
        let now = self.now();
        let mut inner = self.lock();
        inner.right(now, Guessed::Key)?;
        let numbers: Vec<String> = all.iter().map(|share| share.number.to_string()).collect();
        let how = format!("by shares {} of set {}", numbers.join(", "), split.set);
        inner.unsealed(now, keys, how)
    }

    pub(super) fn prove_key_file(&self, file: SecretText) -> Result<(), Refusal> {
        let Unlocked { epoch, .. } = self.unlock(&Key::File(file))?;
        let now = self.now();
        let mut inner = self.lock();
        if inner.key_file_is_there(now, epoch)? {
            return Ok(());
        }
        let told = "this is the key file of the former key pair; give the new one";
        Err(Refusal::Key(told.to_owned()))
    }

    pub(super) fn split(
        &self,
        key: &Key,
        needed: u8,
        total: u8,
    ) -> Result<Vec<SecretText>, Refusal> {
        if (needed, total) != (1, 1) && !(2..=shares::MOST.min(total)).contains(&needed) {
            let told = "2 to 16 shares, of which 2 to all open the vault; 1 of 1 ends a splitting";
            return Err(Refusal::Form(told.to_owned()));
        }
        let Unlocked { master, .. } = self.unlock(key)?;
        let now = self.now();
        let mut inner = self.lock();
        let state = inner.made()?;
        if state.is_rekeying() {
            let told = "a new key pair is being brought in; split its master password after that";
            return Err(Refusal::Form(told.to_owned()));
        }
        let set = state.sets.saturating_add(1);
        let made = if total == 1 {
            Vec::new()
        } else {
            let made = shares::split(&master, state.id, set, needed, total);
            made.map_err(|error| Refusal::Failed(error.to_string()))?
        };
        let hashes: Vec<[u8; 32]> = made.iter().map(Share::fingerprint).collect();
        let split = (total > 1).then_some(Split { set, needed, total, hashes });
        inner.change(now, ("split", format!("set {set}, {needed} of {total}")), |state| {
            (state.split, state.sets) = (split, set);
        })?;
        inner.shares = GivenShares::default();
        Ok(made.iter().map(Share::text).collect())
    }
}

impl Inner {
    /// The key file of a key pair is in somebody's hands. Whether it is the newest's.
    fn key_file_is_there(&mut self, now: Moment, epoch: u32) -> Result<bool, Refusal> {
        let mut state = self.made()?.clone();
        if state.masters.last().is_none_or(|newest| newest.epoch != epoch) {
            return Ok(false);
        }
        if !state.key_file_proven {
            state.key_file_proven = true;
            let ended = state.end_rekey();
            let about = format!("of key pair {epoch}");
            self.note(now, &[("key-file-proven", about)])?;
            self.save(state)?;
            if ended {
                self.former_is_gone(now)?;
            }
        }
        Ok(true)
    }
}

/// The master password that somebody gave, and which records it may open.
fn read<'a>(key: &Key, state: &'a State) -> Result<(Master, Vec<&'a MasterRecord>), KeyFault> {
    let newest_first = state.masters.iter().rev();
    match key {
        Key::Share(_) => Err(KeyFault::NotAKeyFile),
        Key::Words(text) if text.expose().len() > KEY_TEXT_BYTES => Err(KeyFault::TooLong),
        Key::Words(text) => Ok((Master::from_words(text.expose())?, newest_first.collect())),
        Key::File(text) => {
            let mut fault = KeyFault::NotAKeyFile;
            for record in newest_first {
                match keyfile::master(text.expose(), state.id, record.epoch) {
                    Ok(master) => return Ok((master, vec![record])),
                    // The newest's says which key pair is in use.
                    Err(KeyFault::OtherEpoch { theirs, .. }) => {
                        fault = KeyFault::OtherEpoch { theirs, ours: state.epoch };
                    }
                    Err(other) => return Err(other),
                }
            }
            Err(fault)
        }
    }
}

/// Whether it was a key, though not ours.
fn is_a_guess(fault: &KeyFault) -> bool {
    matches!(fault, KeyFault::OtherVault { .. } | KeyFault::OtherEpoch { .. } | KeyFault::Wrong)
}

/// Derives the key, for each that it may be, and unwraps.
fn unwrapped(
    state: &State,
    master: Master,
    records: Vec<&MasterRecord>,
) -> Result<Unlocked, KeyFault> {
    let mut fault = KeyFault::Wrong;
    for record in records {
        let keys = record.keys.iter();
        let keys = keys.map(|(number, wrapped)| Ok((*number, unwrap(wrapped, &master)?.into())));
        match keys.collect::<Result<Vec<_>, KeyFault>>() {
            Ok(pairs) => {
                let keys = Keys { vault: state.id, pairs };
                return Ok(Unlocked { master, epoch: record.epoch, keys });
            }
            Err(KeyFault::Wrong) => {}
            Err(other) => fault = other,
        }
    }
    Err(fault)
}

pub(super) fn told(fault: &KeyFault) -> Refusal {
    match fault {
        KeyFault::Failed(error) => Refusal::Failed(error.to_string()),
        fault => Refusal::Key(fault.to_string()),
    }
}
