//! What a device remembers: its own static key, its device key, and the appliance it belongs to.
//!
//! Two things must stay true. Whatever happens, the file holds either what it held before or what
//! it was to hold, so that a device whose plug is pulled comes back and connects. And nothing is
//! written that an authenticated appliance, or somebody at the device itself, did not order.

mod directory;
mod owner;
mod places;
mod record;

use std::{io, path::PathBuf};

use aerie_protocol::{
    address::Address,
    key::DeviceKey,
    noise::{NoiseError, PublicKey, StaticKey},
};
use thiserror::Error;

pub(crate) use self::directory::replace;
pub use self::{
    directory::{Directory, Running},
    owner::Owner,
    places::Places,
};

/// What a device knows.
#[derive(Clone, Debug)]
pub struct Known {
    /// The device's own key pair: its proof of identity, made once.
    pub identity: StaticKey,
    /// The device key it was given: address, secret of the first contact, pin.
    pub key: Option<DeviceKey>,
    /// The appliance it belongs to, once that was authorised.
    pub enrolment: Option<Enrolment>,
    /// Where the appliance was found, other than where the key says.
    pub places: Places,
}

/// A device's belonging to an appliance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// The appliance's static key: from now on nobody else is believed.
    pub appliance: PublicKey,
    /// What the appliance calls the device (a UUID's bytes).
    pub device_id: [u8; 16],
    /// The name an admin gave the device.
    pub name: String,
}

/// Why the state cannot be read or kept.
#[derive(Debug, Error)]
pub enum StateError {
    /// The directory cannot be made, or not be made private.
    #[error(
        "cannot use {} as a state directory of mode 0700: give one that belongs to the agent's own account",
        path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The directory has no device in it yet.
    #[error("{} holds no device yet: start the agent with `run` first", path.display())]
    Nothing {
        /// The directory.
        path: PathBuf,
    },
    /// Another agent runs on the directory.
    #[error(
        "another agent runs on {}: stop it first, or give this one a directory of its own",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The file is not what the agent wrote. It is never overwritten.
    #[error(
        "{} is damaged or from a newer agent: put a copy back or update the agent; if it is lost, move it away and the device starts as a new one",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file cannot be written; the old one is untouched.
    #[error("cannot write {}: is the disk full or read-only?", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// No key pair could be made.
    #[error("cannot make the device's identity")]
    Identity(#[source] NoiseError),
    /// The writing thread died.
    #[error("the state was not written: the agent's writing thread ended early")]
    Interrupted,
}

/// What became of a key that was offered to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The device has it already.
    Same,
    /// The device uses it from the next connect on.
    Taken,
    /// The device belongs to another appliance; only `adopt` makes it leave.
    Enrolled,
}

/// The state of one agent, in a directory or (simulated devices, tests) in memory alone.
#[derive(Debug)]
pub struct State {
    home: Home,
    known: Known,
}

#[derive(Debug)]
enum Home {
    Directory(Directory),
    Memory,
}

impl State {
    /// Opens a state directory; makes directory and identity if they are not there yet.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StateError> {
        Self::open_in(Directory::prepare(path)?)
    }

    /// Opens a state directory that is there; makes the identity if it is not there yet.
    pub fn open_in(directory: Directory) -> Result<Self, StateError> {
        let known = directory.load_or_create()?;
        Ok(Self { home: Home::Directory(directory), known })
    }

    /// A device that remembers nothing across processes.
    pub fn in_memory(known: Known) -> Self {
        Self { home: Home::Memory, known }
    }

    /// What the device knows.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Offers the key of the command line. An enrolled device takes a new address only, and only
    /// with the pin of the very appliance it belongs to.
    pub async fn offer(&mut self, key: DeviceKey) -> Result<Offer, StateError> {
        if self.known.key.as_ref() == Some(&key) {
            return Ok(Offer::Same);
        }
        let offered = key.clone();
        self.change(move |known| match &known.enrolment {
            Some(enrolment) if key.pin != Some(enrolment.appliance) => {}
            Some(_) => known.follow(key),
            None => known.start_over(key),
        })
        .await?;
        let taken = self.known.key.as_ref() == Some(&offered);
        Ok(if taken { Offer::Taken } else { Offer::Enrolled })
    }

    /// Belongs to an appliance from now on. Only an authenticated `enrolled` message may lead here.
    /// Answers whether it does: somebody at the device may have adopted it elsewhere meanwhile.
    pub async fn enrol(&mut self, enrolment: Enrolment) -> Result<bool, StateError> {
        let used = self.known.key.clone();
        let wanted = enrolment.clone();
        self.change(move |known| {
            let welcome = match &known.enrolment {
                Some(present) => present.appliance == enrolment.appliance,
                None => known.key == used,
            };
            if welcome {
                known.enrolment = Some(enrolment);
            }
        })
        .await?;
        Ok(self.known.enrolment.as_ref() == Some(&wanted))
    }

    /// Belongs to `appliance` no longer. Only its authenticated `forget` may lead here.
    pub async fn forget(&mut self, appliance: PublicKey) -> Result<(), StateError> {
        self.change(move |known| {
            if known.enrolment.as_ref().is_some_and(|present| present.appliance == appliance) {
                known.enrolment = None;
            }
        })
        .await
    }

    /// Looks for `appliance` at this address first from now on, and where it was before after that.
    /// Only its authenticated word on a connection to this very address may lead here. Answers
    /// whether it does: somebody at the device may have adopted it elsewhere meanwhile.
    pub async fn settle(
        &mut self,
        appliance: PublicKey,
        address: Address,
    ) -> Result<bool, StateError> {
        let wanted = address.clone();
        self.change(move |known| {
            if known.enrolment.as_ref().is_some_and(|present| present.appliance == appliance) {
                known.settle(address);
            }
        })
        .await?;
        Ok(self.known.addresses().first() == Some(&wanted))
    }

    /// Keeps the name that the appliance gave.
    pub async fn rename(&mut self, appliance: PublicKey, name: String) -> Result<(), StateError> {
        self.change(move |known| {
            if let Some(present) = &mut known.enrolment
                && present.appliance == appliance
            {
                present.name = name;
            }
        })
        .await
    }

    /// Looks whether somebody at the device changed the state (`adopt`) since it was read.
    pub fn reload(&mut self) -> Result<bool, StateError> {
        let Home::Directory(directory) = &self.home else { return Ok(false) };
        let known = directory.load()?;
        let changed = !self.known.same_as(&known);
        self.known = known;
        Ok(changed)
    }

    async fn change(
        &mut self,
        edit: impl FnOnce(&mut Known) + Send + 'static,
    ) -> Result<(), StateError> {
        match &self.home {
            Home::Memory => edit(&mut self.known),
            Home::Directory(directory) => {
                let directory = directory.clone();
                // An fsync on slow flash takes long enough for a keep-alive to be late.
                let changed = tokio::task::spawn_blocking(move || directory.change(edit)).await;
                self.known = changed.map_err(|_| StateError::Interrupted)??;
            }
        }
        Ok(())
    }
}

impl Known {
    /// A new device: a fresh identity and nothing else.
    pub fn fresh() -> Result<Self, StateError> {
        let identity = StaticKey::generate().map_err(StateError::Identity)?;
        Ok(Self { identity, key: None, enrolment: None, places: Places::default() })
    }

    fn same_as(&self, other: &Self) -> bool {
        self.identity.public() == other.identity.public()
            && self.key == other.key
            && self.enrolment == other.enrolment
            && self.places == other.places
    }
}
