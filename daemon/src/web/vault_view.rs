//! The vault as the API shows it.

use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::views::Time;
use crate::vault::SecretText;
use crate::vault::credentials::{Credentials, FormerKey};
use crate::vault::protocol::{MasterKey, ProofKind, Status};

/// How the vault is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Vault)]
#[expect(clippy::struct_excessive_bools, reason = "the published API's words")]
pub(super) struct VaultView {
    /// There is a vault.
    is_vault_enabled: bool,
    /// There is a vault.
    is_vault_generated: bool,
    /// There is one, and it is sealed.
    is_passphrase_missing: bool,
    /// False: nothing of it leaves the appliance.
    is_cloud_vault_enabled: bool,
    /// False.
    is_cloud_vault_generated: bool,
    /// False.
    is_cloud_vault_from_another_instance: bool,
    /// The new master password in words, this one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    passphrase: Option<SecretText>,
    /// The new key file, this one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Password)]
    key_file: Option<SecretText>,
    /// The vault's process answers. If not, nothing but the counts is known.
    reachable: bool,
    /// It is closed: passwords are stored but none is shown.
    sealed: bool,
    /// The number of its key pair, from 1; 0 where there is none.
    epoch: u32,
    created_at: Option<Time>,
    /// The key file was given back once.
    key_file_proven: bool,
    /// How many shares open it; 1 of 1: it is not split.
    needed: u8,
    /// Of how many.
    total: u8,
    /// Shares that wait for others.
    given: u8,
    /// What proves a person to the vault: `pin`, `totp`.
    #[schema(value_type = Vec<String>)]
    proofs: Vec<ProofKind>,
    /// Openings an hour that people may have.
    per_hour: u32,
    /// Of these, still left.
    left: u32,
    /// Openings since it was made.
    opened: u64,
    /// Everything is being sealed again under a new key pair.
    rekeying: bool,
    /// Nothing of its memory gets into swap.
    memory_locked: bool,
    /// It runs beside the appliance's daemon and outlives it.
    own_unit: bool,
    /// PEM.
    public_key: String,
    /// Credentials that it keeps.
    credentials: usize,
    /// Credentials with passwords of which one may hold.
    unproven: usize,
    /// Credentials with something that is not as it should be.
    trouble: usize,
    /// Key pairs that there were, the latest first.
    former_keys: Vec<FormerKeyView>,
}

/// A key pair that there was.
#[derive(Serialize, ToSchema)]
#[schema(as = FormerKey)]
struct FormerKeyView {
    epoch: u32,
    until: Time,
    /// What its key file and shares are still good for.
    message: String,
}

impl FormerKeyView {
    fn new(key: FormerKey) -> Self {
        let until = Time(key.until);
        let message = format!(
            "Key file and shares of key pair {} open only backups from before {until}.",
            key.epoch
        );
        Self { epoch: key.epoch, until, message }
    }
}

/// A new master password, this one time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RekeyedView {
    /// In words.
    #[schema(value_type = String, format = Password)]
    passphrase: SecretText,
    /// The key file.
    #[schema(value_type = String, format = Password)]
    key_file: SecretText,
    /// What the files and shares before are still good for.
    former: Vec<String>,
}

impl RekeyedView {
    pub(super) async fn new(credentials: &Credentials, made: MasterKey) -> Result<Self, ApiError> {
        let former = credentials.former_keys().await?;
        Ok(Self {
            passphrase: made.words,
            key_file: made.file,
            former: former.into_iter().map(|key| FormerKeyView::new(key).message).collect(),
        })
    }
}

impl VaultView {
    /// The vault as it is now.
    pub(super) async fn read(credentials: &Credentials) -> Result<Self, ApiError> {
        let status = credentials.vault().status().await.ok();
        let counts = credentials.counts().await?;
        let former = credentials.former_keys().await?;
        let mut view = Self::of(status);
        view.credentials = counts.credentials;
        view.unproven = counts.unproven;
        view.trouble = counts.trouble;
        view.former_keys = former.into_iter().map(FormerKeyView::new).collect();
        Ok(view)
    }

    /// The same with the new master password, which is shown this one time.
    pub(super) fn with_key(self, made: MasterKey) -> Self {
        Self { passphrase: Some(made.words), key_file: Some(made.file), ..self }
    }

    fn of(status: Option<Status>) -> Self {
        let reachable = status.is_some();
        let status = status.unwrap_or_default();
        let created = jiff::Timestamp::from_millisecond(status.created).ok();
        Self {
            is_vault_enabled: status.made,
            is_vault_generated: status.made,
            is_passphrase_missing: status.made && status.sealed,
            is_cloud_vault_enabled: false,
            is_cloud_vault_generated: false,
            is_cloud_vault_from_another_instance: false,
            passphrase: None,
            key_file: None,
            reachable,
            sealed: status.made && status.sealed,
            epoch: status.epoch,
            created_at: created.filter(|_| status.made).map(Time),
            key_file_proven: status.key_file_proven,
            needed: status.needed,
            total: status.total,
            given: status.given,
            proofs: status.proofs,
            per_hour: status.an_hour,
            left: status.left,
            opened: status.opened,
            rekeying: status.rekeying,
            memory_locked: status.memory_locked,
            own_unit: status.own_unit,
            public_key: status.public_key,
            credentials: 0,
            unproven: 0,
            trouble: 0,
            former_keys: Vec::new(),
        }
    }
}
