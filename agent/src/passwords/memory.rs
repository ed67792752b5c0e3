//! What is remembered of the passwords that were set, and of those that were tried.

use std::{collections::BTreeMap, time::Duration};

use aerie_protocol::inform::HeldPassword;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

/// Versions that are kept of an account, beside the one that it has.
const KEPT: usize = 8;
/// Wrong passwords that may be tried at an account...
pub(super) const MOST_WRONG_TRIES: usize = 5;
/// ...within so long.
pub(super) const LONGEST_MEMORY_OF_TRIES: Duration = Duration::from_mins(15);

const FORMAT: u32 = 1;

/// A point in time, on a clock that starts with the machine and that nobody sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// Which start of the machine.
    pub boot: String,
    /// Seconds since then.
    pub seconds: u64,
}

/// What is remembered, by account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    accounts: BTreeMap<String, Remembered>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Remembered {
    /// The latest is the last.
    versions: Vec<Sent>,
    wrong: Vec<Moment>,
}

/// A password that the appliance sent, known by what stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) credential_id: [u8; 16],
    pub(super) version: u64,
    pub(super) entry: String,
    pub(super) sealed: Vec<u8>,
}

impl Memory {
    /// What an account with this entry has.
    pub fn held(&self, account: &str, entry: &str) -> HeldPassword {
        let versions = self.versions(account);
        let account = account.to_owned();
        let Some(held) = versions.iter().rev().find(|sent| sent.entry == entry) else {
            // Somebody at the device has set another one; the appliance's last is still told of.
            let newest = versions.last().map(|last| newest(versions, &last.credential_id));
            let newest = newest.unwrap_or_default();
            return HeldPassword { account, newest, ..HeldPassword::default() };
        };
        HeldPassword {
            account,
            credential_id: held.credential_id.to_vec(),
            version: held.version,
            newest: newest(versions, &held.credential_id),
            sealed: held.sealed.clone(),
        }
    }

    /// The highest version of this credential that was ever to be set; 0 without one.
    pub fn newest(&self, account: &str, credential_id: &[u8; 16]) -> u64 {
        newest(self.versions(account), credential_id)
    }

    fn versions(&self, account: &str) -> &[Sent] {
        self.accounts.get(account).map_or(&[], |remembered| remembered.versions.as_slice())
    }

    /// Keeps a version, and never lets go of the one that the account has.
    pub(super) fn remember(&mut self, account: &str, sent: Sent, present: &str) {
        let versions = &mut self.accounts.entry(account.to_owned()).or_default().versions;
        versions.push(sent);
        while versions.len() > KEPT {
            let superfluous = versions.iter().position(|sent| sent.entry != present);
            let Some(superfluous) = superfluous else { return };
            versions.remove(superfluous);
        }
    }

    /// How many wrong passwords were tried lately.
    pub(super) fn wrong_tries(&self, account: &str, now: &Moment) -> usize {
        let wrong = self.accounts.get(account).map(|remembered| &remembered.wrong);
        wrong.into_iter().flatten().filter(|moment| moment.is_recent(now)).count()
    }

    /// Counts a try as wrong.
    pub(super) fn count_try(&mut self, account: &str, now: Moment) {
        let wrong = &mut self.accounts.entry(account.to_owned()).or_default().wrong;
        wrong.retain(|moment| moment.is_recent(&now));
        wrong.push(now);
    }

    /// It was not wrong.
    pub(super) fn forgive_try(&mut self, account: &str, at: &Moment) {
        let Some(remembered) = self.accounts.get_mut(account) else { return };
        if let Some(place) = remembered.wrong.iter().rposition(|moment| moment == at) {
            remembered.wrong.remove(place);
        }
    }
}

fn newest(versions: &[Sent], credential_id: &[u8; 16]) -> u64 {
    let of_it = versions.iter().filter(|sent| sent.credential_id == *credential_id);
    of_it.map(|sent| sent.version).max().unwrap_or_default()
}

impl Moment {
    /// Whether a try at this moment still counts. A restart of the machine ends it: nobody gets in
    /// faster by restarting machines.
    fn is_recent(&self, now: &Self) -> bool {
        self.boot == now.boot
            && now.seconds.saturating_sub(self.seconds) < LONGEST_MEMORY_OF_TRIES.as_secs()
    }
}

/// Why a file's content is no memory.
#[derive(Debug, Error)]
pub(super) enum MemoryError {
    #[error("not the JSON it should be")]
    Json(#[source] serde_json::Error),
    #[error("its format is {0}, and this agent reads {FORMAT}")]
    Format(u32),
    #[error("the field `{0}` is not what the agent writes there")]
    Field(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    accounts: BTreeMap<String, AccountRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountRecord {
    versions: Vec<SentRecord>,
    wrong: Vec<Moment>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SentRecord {
    credential_id: String,
    version: u64,
    entry: String,
    sealed: String,
}

/// Writes what is remembered.
pub(super) fn encode(memory: &Memory) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let accounts = memory.accounts.iter().map(|(account, remembered)| {
        let versions = remembered.versions.iter().map(SentRecord::from).collect();
        (account.clone(), AccountRecord { versions, wrong: remembered.wrong.clone() })
    });
    let record = Record { format: FORMAT, accounts: accounts.collect() };
    let mut bytes = Zeroizing::new(serde_json::to_vec_pretty(&record)?);
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<Memory, MemoryError> {
    let record: Record = serde_json::from_slice(bytes).map_err(MemoryError::Json)?;
    if record.format != FORMAT {
        return Err(MemoryError::Format(record.format));
    }
    let mut accounts = BTreeMap::new();
    for (account, AccountRecord { versions, wrong }) in record.accounts {
        let versions = versions.into_iter().map(Sent::try_from).collect::<Result<_, _>>()?;
        accounts.insert(account, Remembered { versions, wrong });
    }
    Ok(Memory { accounts })
}

impl From<&Sent> for SentRecord {
    fn from(sent: &Sent) -> Self {
        Self {
            credential_id: STANDARD_NO_PAD.encode(sent.credential_id),
            version: sent.version,
            entry: sent.entry.clone(),
            sealed: STANDARD_NO_PAD.encode(&sent.sealed),
        }
    }
}

impl TryFrom<SentRecord> for Sent {
    type Error = MemoryError;

    fn try_from(record: SentRecord) -> Result<Self, MemoryError> {
        let credential_id = STANDARD_NO_PAD.decode(record.credential_id).ok();
        Ok(Self {
            credential_id: credential_id
                .and_then(|id| id.try_into().ok())
                .ok_or(MemoryError::Field("credential_id"))?,
            version: record.version,
            entry: record.entry,
            sealed: STANDARD_NO_PAD
                .decode(record.sealed)
                .map_err(|_| MemoryError::Field("sealed"))?,
        })
    }
}
