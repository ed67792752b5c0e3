//! How passwords stand in a message between the two processes: the lengths in front, then what they
//! are the lengths of.

use aerie_protocol::inform::{
    HeldPassword, MAX_ACCOUNT_BYTES, MAX_ACCOUNTS, MAX_PASSWORD_BYTES, MAX_SEALED_BYTES,
    SetPassword, TryPassword,
};

use super::{
    SeparationError,
    frame::{Reader, cut, text},
};
use crate::passwords::PasswordError;

/// Bytes of a credential's id.
const ID: usize = 16;
/// Bytes of a length.
const LENGTH: usize = 2;

/// Bytes of the longest [`SetPassword`].
pub(super) const LONGEST_SET: usize =
    3 * LENGTH + 8 + ID + MAX_ACCOUNT_BYTES + MAX_PASSWORD_BYTES + MAX_SEALED_BYTES;
/// Bytes of the longest list of what accounts have.
pub(super) const LONGEST_HELD: usize =
    1 + MAX_ACCOUNTS * (3 * LENGTH + 2 * 8 + ID + MAX_ACCOUNT_BYTES + MAX_SEALED_BYTES);

/// What can be asked about passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PasswordVerb {
    /// Which ones do the accounts have?
    Held,
    Set(SetPassword),
    Try(TryPassword),
}

mod kind {
    pub(super) const NOT_ALLOWED: u8 = 1;
    pub(super) const FAILED: u8 = 2;
    pub(super) const BUSY: u8 = 3;
    pub(super) const OUTDATED: u8 = 4;
    pub(super) const WRONG: u8 = 5;
}

pub(super) fn encode_set(set: &SetPassword, bytes: &mut Vec<u8>) {
    put_length(&set.account, bytes);
    put_length(&set.password, bytes);
    put_length(&set.sealed, bytes);
    bytes.extend(set.version.to_be_bytes());
    bytes.extend(id(&set.credential_id));
    bytes.extend(set.account.as_bytes());
    bytes.extend(&set.password);
    bytes.extend(&set.sealed);
}

pub(super) fn decode_set(rest: &mut Reader<'_>) -> Result<SetPassword, SeparationError> {
    let account = length(rest, MAX_ACCOUNT_BYTES)?;
    let password = length(rest, MAX_PASSWORD_BYTES)?;
    let sealed = length(rest, MAX_SEALED_BYTES)?;
    Ok(SetPassword {
        version: rest.huge()?,
        credential_id: rest.array::<ID>()?.to_vec(),
        account: text(rest.take(account)?)?,
        password: rest.take(password)?.to_vec(),
        sealed: rest.take(sealed)?.to_vec(),
    })
}

pub(super) fn encode_tried(tried: &TryPassword, bytes: &mut Vec<u8>) {
    put_length(&tried.account, bytes);
    put_length(&tried.password, bytes);
    bytes.extend(tried.account.as_bytes());
    bytes.extend(&tried.password);
}

pub(super) fn decode_tried(rest: &mut Reader<'_>) -> Result<TryPassword, SeparationError> {
    let account = length(rest, MAX_ACCOUNT_BYTES)?;
    let password = length(rest, MAX_PASSWORD_BYTES)?;
    Ok(TryPassword { account: text(rest.take(account)?)?, password: rest.take(password)?.to_vec() })
}

pub(super) fn encode_held(held: &[HeldPassword], bytes: &mut Vec<u8>) {
    let held = held.get(..MAX_ACCOUNTS).unwrap_or(held);
    bytes.push(u8::try_from(held.len()).unwrap_or(0));
    for held in held {
        put_length(&held.account, bytes);
        put_length(&held.credential_id, bytes);
        put_length(&held.sealed, bytes);
        bytes.extend(held.version.to_be_bytes());
        bytes.extend(held.newest.to_be_bytes());
        bytes.extend(held.account.as_bytes());
        bytes.extend(&held.credential_id);
        bytes.extend(&held.sealed);
    }
}

pub(super) fn decode_held(rest: &mut Reader<'_>) -> Result<Vec<HeldPassword>, SeparationError> {
    let count = usize::from(rest.byte()?);
    if count > MAX_ACCOUNTS {
        return Err(SeparationError::Nonsense);
    }
    (0..count)
        .map(|_| {
            let account = length(rest, MAX_ACCOUNT_BYTES)?;
            let credential_id = length(rest, ID)?;
            let sealed = length(rest, MAX_SEALED_BYTES)?;
            Ok(HeldPassword {
                version: rest.huge()?,
                newest: rest.huge()?,
                account: text(rest.take(account)?)?,
                credential_id: rest.take(credential_id)?.to_vec(),
                sealed: rest.take(sealed)?.to_vec(),
            })
        })
        .collect()
}

pub(super) fn encode_error(error: &PasswordError, bytes: &mut Vec<u8>) {
    let (kind, text) = match error {
        PasswordError::NotAllowed(reason) => (kind::NOT_ALLOWED, cut(reason)),
        PasswordError::Failed(reason) => (kind::FAILED, cut(reason)),
        PasswordError::Busy(reason) => (kind::BUSY, cut(reason)),
        PasswordError::Outdated { .. } => (kind::OUTDATED, ""),
        PasswordError::Wrong => (kind::WRONG, ""),
    };
    let newest = if let PasswordError::Outdated { newest } = error { *newest } else { 0 };
    bytes.push(kind);
    bytes.extend(newest.to_be_bytes());
    bytes.extend(text.as_bytes());
}

pub(super) fn decode_error(rest: &mut Reader<'_>) -> Result<PasswordError, SeparationError> {
    let kind = rest.byte()?;
    let newest = rest.huge()?;
    let text = rest.text_to_the_end()?;
    Ok(match kind {
        kind::NOT_ALLOWED => PasswordError::NotAllowed(text),
        kind::FAILED => PasswordError::Failed(text),
        kind::BUSY => PasswordError::Busy(text),
        kind::OUTDATED => PasswordError::Outdated { newest },
        kind::WRONG => PasswordError::Wrong,
        _ => return Err(SeparationError::Nonsense),
    })
}

/// What is too long even for a length is refused where it is read.
fn put_length(field: &impl AsRef<[u8]>, bytes: &mut Vec<u8>) {
    bytes.extend(u16::try_from(field.as_ref().len()).unwrap_or(u16::MAX).to_be_bytes());
}

fn length(rest: &mut Reader<'_>, longest: usize) -> Result<usize, SeparationError> {
    let length = usize::from(rest.short()?);
    if length <= longest { Ok(length) } else { Err(SeparationError::Nonsense) }
}

/// The decoder of the session has made sure that it has this length.
fn id(bytes: &[u8]) -> [u8; ID] {
    bytes.try_into().unwrap_or_default()
}
