//! Key pairs: the first one, and those that take its place.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::keeper::{Inner, Keeper, failed};
use super::secrets::crypto;
use super::state::{MasterRecord, State};
use super::time::Moment;
use super::unsealing::{GivenShares, Keys, Unlocked};
use crate::vault::crypto::keyfile::{self, KeyFile};
use crate::vault::crypto::{Cost, CryptoError, Master, PrivateKey, generate, wrap};
use crate::vault::protocol::{Key, MasterKey, Refusal};

/// What deriving a key costs. Tests derive hundreds.
const COST: Cost =
    if cfg!(test) { Cost { memory_kib: 64, passes: 1, lanes: 1 } } else { Cost::USUAL };
/// Characters of an appliance's name.
const NAME: usize = 128;

impl Inner {
    /// Whether a vault may be made here. One that was made, whose key file nobody gave back, and
    /// that nothing was ever sealed with, is as good as none once it is closed: its making was cut
    /// off, or its key file lost before it mattered.
    fn may_be_made(&self) -> Result<(), Refusal> {
        match &self.state {
            None => Ok(()),
            Some(state) if self.open.is_none() && !state.used && !state.key_file_proven => Ok(()),
            Some(_) => Err(Refusal::AlreadyMade),
        }
    }

    /// The former key pair opens nothing any more.
    pub(super) fn former_is_gone(&mut self, now: Moment) -> Result<(), Refusal> {
        let state = self.made()?;
        let (vault, epoch) = (state.id, state.epoch);
        self.verified = None;
        self.shares = GivenShares::default();
        if let Some(open) = self.open.take() {
            let newest = open.pairs.iter().filter(|(number, _)| *number == epoch).cloned();
            self.open = Some(Arc::new(Keys { vault, pairs: newest.collect() }));
        }
        self.note(now, &[("rekeyed", format!("key pair {epoch} alone opens"))])
    }
}

impl Keeper {
    /// Makes the vault, open.
    pub(super) fn create(&self, appliance: &str) -> Result<MasterKey, Refusal> {
        if appliance.chars().count() > NAME || appliance.chars().any(char::is_control) {
            let told = "an appliance's name has 128 characters at most, in one line";
            return Err(Refusal::Form(told.to_owned()));
        }
        self.lock().may_be_made()?;
        let now = self.now();
        let id = Uuid::new_v4();
        let mut state = State::new(id, now.wall, appliance.to_owned());
        let (private, public) = generate().map_err(crypto)?;
        let master = Master::generate().map_err(crypto)?;
        let pairs = vec![(1, Arc::new(private))];
        (state.epoch, state.public) = (1, public.to_bytes().to_vec());
        state.masters = vec![wrapped(&pairs, &master, id, 1).map_err(crypto)?];
        let key = told(master, &state, now);
        let mut inner = self.lock();
        inner.may_be_made()?;
        inner.grants.end_all().map_err(|error| failed(&error))?;
        inner.note(now, &[("created", format!("vault {id}, key pair 1, {appliance}"))])?;
        inner.save(state)?;
        inner.open = Some(Arc::new(Keys { vault: id, pairs }));
        Ok(key)
    }

    /// A new key pair and master password. Until the end of it both master passwords open both key
    /// pairs. Asked again before the new key file has been given back, it makes another master
    /// password for the same new pair: the first may never have reached anybody.
    pub(super) fn begin_rekey(&self, key: &Key) -> Result<MasterKey, Refusal> {
        let Unlocked { master: given, epoch: of_given, keys } = self.unlock(key)?;
        let mut state = self.lock().made()?.clone();
        let vault = state.id;
        let mut pairs = keys.pairs;
        let master = Master::generate().map_err(crypto)?;
        if !state.is_rekeying() {
            let (private, public) = generate().map_err(crypto)?;
            (state.epoch, state.public) = (state.epoch + 1, public.to_bytes().to_vec());
            pairs.push((state.epoch, Arc::new(private)));
        }
        // Given the newest already, the former one stays as it is.
        if of_given != state.epoch {
            state.masters = vec![wrapped(&pairs, &given, vault, of_given).map_err(crypto)?];
        }
        state.masters.truncate(1);
        state.masters.push(wrapped(&pairs, &master, vault, state.epoch).map_err(crypto)?);
        (state.key_file_proven, state.resealed) = (false, false);
        let now = self.now();
        let made = told(master, &state, now);
        let mut inner = self.lock();
        inner.note(now, &[("rekey-begun", format!("key pair {}", state.epoch))])?;
        inner.save(state)?;
        inner.verified = None;
        inner.open = Some(Arc::new(Keys { vault, pairs }));
        Ok(made)
    }

    /// The former key pair is needed no more. It goes as soon as the new key file has been given
    /// back, and not before: nobody may have that yet.
    pub(super) fn end_rekey(&self) -> Result<(), Refusal> {
        let now = self.now();
        let mut inner = self.lock();
        let mut state = inner.made()?.clone();
        if !state.is_rekeying() {
            return Ok(());
        }
        state.resealed = true;
        let ended = state.end_rekey();
        inner.save(state)?;
        if ended {
            inner.former_is_gone(now)?;
        }
        Ok(())
    }
}

fn wrapped(
    pairs: &[(u32, Arc<PrivateKey>)],
    master: &Master,
    vault: Uuid,
    epoch: u32,
) -> Result<MasterRecord, CryptoError> {
    let keys =
        pairs.iter().map(|(number, key)| Ok((*number, wrap(key, master, vault, *number, COST)?)));
    Ok(MasterRecord { epoch, keys: keys.collect::<Result<_, CryptoError>>()? })
}

/// What is shown of a new master password, this once.
fn told(master: Master, state: &State, now: Moment) -> MasterKey {
    let words = master.words();
    let file = keyfile::write(&KeyFile {
        vault: state.id,
        epoch: state.epoch,
        appliance: state.appliance.clone(),
        created: Timestamp::from_millisecond(now.wall).unwrap_or_default(),
        master,
    });
    MasterKey { words, file }
}
