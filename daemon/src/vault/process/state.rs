//! What the vault knows for good: the file `state`.

use std::io::{Error, ErrorKind, Result};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use super::files::Folder;
use crate::store::records::bytes;
use crate::vault::crypto::Wrapped;
use crate::vault::protocol::ProofKind;

/// The file's name.
const NAME: &str = "state";
/// Bytes of it.
const BYTES: usize = 64 * 1_024;
/// How the file is written today.
const FORMAT: u16 = 1;
/// Bytes of the check at its end.
const CHECK: usize = 32;

/// All of it. A copy with a change is written, and takes its place when it is on the disk.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct State {
    format: u16,
    pub(super) id: Uuid,
    /// Milliseconds since 1970.
    pub(super) created: i64,
    /// Whose vault it is, for the key file.
    pub(super) appliance: String,
    /// The number of the newest key pair.
    pub(super) epoch: u32,
    /// Its public key.
    #[serde(with = "bytes")]
    pub(super) public: Vec<u8>,
    /// Newest last. Two while a new key pair is being brought in: until the end of that either
    /// opens everything, so that whatever is lost on the way, one of them is there.
    pub(super) masters: Vec<MasterRecord>,
    /// The newest key file has been given back.
    pub(super) key_file_proven: bool,
    /// Something was sealed: from now on this vault is never made anew.
    pub(super) used: bool,
    /// The former key pair is needed no more.
    pub(super) resealed: bool,
    /// Openings an hour.
    pub(super) an_hour: u32,
    /// Sets of shares that there have been.
    pub(super) sets: u32,
    pub(super) split: Option<Split>,
    pub(super) pin: Option<PinRecord>,
    pub(super) totp: Option<TotpRecord>,
}

/// What one master password opens.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct MasterRecord {
    /// The key pair that it came with: its key file says so too.
    pub(super) epoch: u32,
    /// The private keys, each with its number.
    pub(super) keys: Vec<(u32, Wrapped)>,
}

/// A master password in shares. Of these the vault keeps hashes alone.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Split {
    pub(super) set: u32,
    pub(super) needed: u8,
    pub(super) total: u8,
    pub(super) hashes: Vec<[u8; 32]>,
}

/// A PIN.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PinRecord {
    #[serde(with = "bytes")]
    pub(super) salt: [u8; 16],
    #[serde(with = "bytes")]
    pub(super) hash: [u8; 32],
}

/// An authenticator app.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct TotpRecord {
    #[serde(with = "bytes")]
    pub(super) secret: Vec<u8>,
    /// The step of the last code that was taken.
    pub(super) last_step: u64,
}

impl Drop for TotpRecord {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl State {
    /// A new vault.
    pub(super) fn new(id: Uuid, created: i64, appliance: String) -> Self {
        Self {
            format: FORMAT,
            id,
            created,
            appliance,
            epoch: 0,
            public: Vec::new(),
            masters: Vec::new(),
            key_file_proven: false,
            used: false,
            resealed: false,
            an_hour: 60,
            sets: 0,
            split: None,
            pin: None,
            totp: None,
        }
    }

    /// What an earlier life wrote. A file that is not as it was written is refused and left alone.
    pub(super) fn read(folder: &Folder) -> Result<Option<Self>> {
        let Some(bytes) = folder.read(NAME, BYTES)? else { return Ok(None) };
        let damaged = |what: &str| Error::new(ErrorKind::InvalidData, format!("{NAME} is {what}"));
        let (text, check) = bytes.split_last_chunk::<CHECK>().ok_or_else(|| damaged("cut off"))?;
        let expected: [u8; CHECK] = Sha256::digest(text).into();
        if *check != expected {
            return Err(damaged("damaged; put it back from a backup"));
        }
        let state: Self = rmp_serde::from_slice(text).map_err(|_| damaged("a newer version's"))?;
        if state.format == FORMAT { Ok(Some(state)) } else { Err(damaged("a newer version's")) }
    }

    pub(super) fn write(&self, folder: &Folder) -> Result<()> {
        // Large enough that it does not grow: a growing buffer leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES));
        rmp_serde::encode::write_named(&mut *bytes, self).map_err(Error::other)?;
        let check: [u8; CHECK] = Sha256::digest(&*bytes).into();
        bytes.extend_from_slice(&check);
        folder.write(NAME, &bytes)
    }

    /// A new key pair is being brought in.
    pub(super) fn is_rekeying(&self) -> bool {
        self.masters.len() > 1
    }

    /// What is enrolled.
    pub(super) fn proofs(&self) -> Vec<ProofKind> {
        let pin = self.pin.as_ref().map(|_| ProofKind::Pin);
        let totp = self.totp.as_ref().map(|_| ProofKind::Totp);
        pin.into_iter().chain(totp).collect()
    }

    /// Ends a re-key, if nothing needs the former key pair and the new key file is in somebody's
    /// hands.
    pub(super) fn end_rekey(&mut self) -> bool {
        let ends = self.is_rekeying() && self.resealed && self.key_file_proven;
        if ends {
            self.masters.drain(..self.masters.len().saturating_sub(1));
            for master in &mut self.masters {
                master.keys.retain(|(epoch, _)| *epoch == self.epoch);
            }
            // They were shares of the former master password.
            self.split = None;
            self.resealed = false;
        }
        ends
    }
}
