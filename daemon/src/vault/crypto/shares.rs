//! The master password in shares: any `needed` of `total` open the vault, one fewer says nothing.
//!
//! Shamir's scheme over GF(256), byte by byte. Not over P-256's scalars: there a password above the
//! group's order would have to be drawn again, and a share would be a number of that field instead
//! of bytes. The shared bytes are the password and three bytes of its SHA-256, so that shares of two
//! splits are told from a wrong password.
//!
//! A share is text for paper: who it belongs to, then groups of letters (Crockford's base32, no i,
//! l, o, u), each group with a letter of its own that finds a slip of the pen.

mod text;

use sha2::{Digest, Sha256};
use uuid::Uuid;
use vsss_rs::Gf256;
use zeroize::Zeroizing;

use super::draw::Drawn;
use super::master::MASTER_BYTES;
use super::{CryptoError, KeyFault, Master, sweep};

/// Shares that there may be.
pub const MOST: u8 = 16;
/// Bytes of SHA-256 behind the password.
const CHECK_BYTES: usize = 3;
/// Bytes that are shared.
const SHARED_BYTES: usize = MASTER_BYTES + CHECK_BYTES;
/// Bytes that the library draws for one coefficient.
const DRAWN_BYTES: usize = 4;

/// One share. Wiped when it is dropped.
#[derive(Clone)]
pub struct Share {
    /// Whose: the last four bytes of the vault's id.
    vault: [u8; 4],
    /// Which splitting of that vault.
    pub set: u32,
    /// How many open the vault.
    pub needed: u8,
    /// Of how many.
    pub total: u8,
    /// Its own number, from 1.
    pub number: u8,
    pub(super) data: Zeroizing<[u8; SHARED_BYTES]>,
}

impl Share {
    /// Says that it belongs to this vault and its splitting, or what it belongs to.
    pub fn belongs(&self, vault: Uuid, set: u32) -> Result<(), KeyFault> {
        let ours = short(vault);
        if self.vault != ours {
            let (theirs, ours) = (text::hex(self.vault), text::hex(ours));
            return Err(KeyFault::ShareOfOtherVault { theirs, ours });
        }
        if self.set != set {
            return Err(KeyFault::ShareOfOtherSet { theirs: self.set, ours: set });
        }
        Ok(())
    }

    /// SHA-256 over the whole share. Whoever has it can tell the share when it comes, and cannot
    /// make it: 256 random bits are in it.
    pub fn fingerprint(&self) -> [u8; 32] {
        let hash = Sha256::new_with_prefix(b"aerie share fingerprint")
            .chain_update(self.head())
            .chain_update(self.data.as_slice())
            .finalize();
        sweep();
        hash.into()
    }

    fn head(&self) -> Vec<u8> {
        let numbers = [self.needed, self.total, self.number];
        [self.vault.as_slice(), &self.set.to_be_bytes(), &numbers].concat()
    }
}

/// Splits the master password anew: `needed` of `total` shares make it again.
pub fn split(
    master: &Master,
    vault: Uuid,
    set: u32,
    needed: u8,
    total: u8,
) -> Result<Vec<Share>, CryptoError> {
    let coefficients = usize::from(needed.saturating_sub(1)) * SHARED_BYTES;
    split_with(master, vault, (set, needed, total), Drawn::draw(coefficients * DRAWN_BYTES)?)
}

pub(super) fn split_with(
    master: &Master,
    vault: Uuid,
    (set, needed, total): (u32, u8, u8),
    mut drawn: Drawn,
) -> Result<Vec<Share>, CryptoError> {
    if !(2..=total).contains(&needed) || total > MOST {
        return Err(CryptoError::Split);
    }
    let mut shared = Zeroizing::new([0; SHARED_BYTES]);
    for (byte, of) in shared.iter_mut().zip(master.bytes().iter().chain(&check(master))) {
        *byte = *of;
    }
    let made = Gf256::split_bytes(needed.into(), total.into(), shared.as_slice(), &mut drawn);
    let made = Zeroizing::new(made.map_err(|_| CryptoError::Split)?);
    sweep();
    drawn.enough()?;
    made.iter()
        .map(|share| {
            let (number, data) = share.split_first().ok_or(CryptoError::Split)?;
            let data = data.try_into().map_err(|_| CryptoError::Split)?;
            let data = Zeroizing::new(data);
            Ok(Share { vault: short(vault), set, needed, total, number: *number, data })
        })
        .collect()
}

/// Makes the master password of shares of one splitting.
pub fn combine(shares: &[Share]) -> Result<Master, KeyFault> {
    let Some(first) = shares.first() else {
        return Err(KeyFault::SharesMissing { given: 0, needed: 2 });
    };
    let mut numbers = Vec::new();
    for share in shares {
        let same = |of: &Share| (of.vault, of.set, of.needed, of.total);
        if same(share) != same(first) {
            return Err(KeyFault::SharesDisagree);
        }
        if numbers.contains(&share.number) {
            return Err(KeyFault::ShareTwice { number: share.number });
        }
        numbers.push(share.number);
    }
    if shares.len() < first.needed.into() {
        return Err(KeyFault::SharesMissing { given: shares.len(), needed: first.needed });
    }
    let given: Zeroizing<Vec<Vec<u8>>> = Zeroizing::new(
        shares
            .iter()
            .take(first.needed.into())
            .map(|share| {
                let mut bytes = Vec::with_capacity(1 + SHARED_BYTES);
                bytes.push(share.number);
                bytes.extend_from_slice(share.data.as_slice());
                bytes
            })
            .collect(),
    );
    let whole = Gf256::combine_bytes(given.as_slice()).map_err(|_| KeyFault::SharesDisagree);
    let whole = Zeroizing::new(whole?);
    sweep();
    let (bytes, given) = whole.split_at_checked(MASTER_BYTES).ok_or(KeyFault::SharesDisagree)?;
    let mut master = Zeroizing::new([0; MASTER_BYTES]);
    master.copy_from_slice(bytes);
    let master = Master::of(master);
    if check(&master) == given { Ok(master) } else { Err(KeyFault::SharesDisagree) }
}

fn check(master: &Master) -> [u8; CHECK_BYTES] {
    let hash = Sha256::new_with_prefix(b"aerie share").chain_update(master.bytes()).finalize();
    sweep();
    hash.first_chunk().copied().unwrap_or_default()
}

fn short(vault: Uuid) -> [u8; 4] {
    vault.as_bytes().last_chunk().copied().unwrap_or_default()
}
