//! How each account stands, in memory, so that a request costs no disk: what it may do, and what
//! it has to do before anything else.
//!
//! It changes inside the transaction that changes the store, so that both always tell the same.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use uuid::Uuid;

use super::account::role;
use super::roles::Role;
use crate::store::records::{AccountRecord, FactorsRecord};

/// The setting that holds [`Rules`].
pub(super) const RULES: &str = "accounts";

/// What an account has to do before it may do anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Choose a new password.
    Password,
    /// Add a second factor.
    SecondFactor,
}

/// What holds for every account, as the store keeps it.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Rules {
    /// Every account needs a second factor.
    pub(super) two_factor_required: bool,
}

impl Rules {
    /// From the text of the setting, if there is one.
    pub(super) fn read(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

/// How one account stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) role: Role,
    pub(super) era: u32,
    enabled: bool,
    must_change: bool,
    factor: bool,
}

/// How all accounts stand.
#[derive(Default)]
pub(super) struct Standings {
    accounts: RwLock<HashMap<Uuid, Standing>>,
    required: AtomicBool,
}

impl Standings {
    pub(super) fn load(
        accounts: &[(Uuid, AccountRecord)],
        factors: &[(Uuid, FactorsRecord)],
        rules: Rules,
    ) -> Self {
        let standings = Self::default();
        for (id, record) in accounts {
            standings.know(*id, record);
        }
        for (id, factors) in factors {
            standings.set_factor(*id, has_factor(factors));
        }
        standings.require(rules.two_factor_required);
        standings
    }

    /// Takes in an account as it is now. Its factors stay.
    pub(super) fn know(&self, id: Uuid, record: &AccountRecord) {
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        let factor = accounts.get(&id).is_some_and(|before| before.factor);
        let standing = Standing {
            role: role(record),
            era: record.era,
            enabled: record.enabled,
            must_change: record.force_password_change,
            factor,
        };
        accounts.insert(id, standing);
    }

    /// Whether an account has a second factor has changed.
    pub(super) fn set_factor(&self, id: Uuid, factor: bool) {
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(standing) = accounts.get_mut(&id) {
            standing.factor = factor;
        }
    }

    pub(super) fn forget(&self, id: Uuid) {
        self.accounts.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// A second factor is required of all, or not.
    pub(super) fn require(&self, required: bool) {
        self.required.store(required, Ordering::Release);
    }

    pub(super) fn required(&self) -> bool {
        self.required.load(Ordering::Acquire)
    }

    /// How an account stands that may log in.
    pub(super) fn get(&self, id: Uuid) -> Option<Standing> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts.get(&id).filter(|standing| standing.enabled).copied()
    }

    /// What an account has to do first.
    pub(super) fn due(&self, standing: Standing) -> Option<Due> {
        if standing.must_change {
            return Some(Due::Password);
        }
        (self.required() && !standing.factor).then_some(Due::SecondFactor)
    }
}

/// Whether an account has something beside its password. Recovery codes are none: they stand in
/// for one.
pub(super) fn has_factor(factors: &FactorsRecord) -> bool {
    factors.totp.is_some() || !factors.passkeys.is_empty()
}
