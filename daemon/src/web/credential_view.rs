//! Credentials as the API shows them.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::paging::Pagination;
use super::views::Time;
use crate::vault::SecretText;
use crate::vault::credentials::{Credential, Import, Opened, Secret};

/// A credential, without its secrets.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Credential)]
pub(super) struct RecordView {
    id: Uuid,
    /// The device, where it is one of ours.
    #[schema(required)]
    device_id: Option<Uuid>,
    /// That one's name.
    #[schema(required)]
    device_name: Option<String>,
    /// What it is for, where it is no device of ours.
    label: String,
    /// The account's name.
    username: String,
    /// How the secret came in: `typed`, `imported`, `generated`.
    source: String,
    /// The account may only look.
    read_only: bool,
    #[schema(required)]
    ssh_port: Option<u16>,
    #[schema(required)]
    https_port: Option<u16>,
    note: String,
    created_at: Time,
    /// The present secret's number; null where none is known to hold.
    #[schema(required)]
    version: Option<u64>,
    /// When the present secret was made.
    #[schema(required)]
    changed_at: Option<Time>,
    /// When it was proven to hold.
    #[schema(required)]
    proven_at: Option<Time>,
    /// Secrets of which one may hold.
    candidates: usize,
    /// What is not as it should be: `older-password`, `changed-on-device`, or empty.
    trouble: String,
}

impl RecordView {
    pub(super) fn new(credential: Credential) -> Self {
        let current = credential.current;
        Self {
            id: credential.id,
            device_id: credential.device,
            device_name: credential.device_name,
            label: credential.label,
            username: credential.username,
            source: credential.source,
            read_only: credential.read_only,
            ssh_port: credential.ssh_port,
            https_port: credential.https_port,
            note: credential.note,
            created_at: Time(credential.created),
            version: current.map(|secret| secret.version),
            changed_at: current.map(|secret| Time(secret.made)),
            proven_at: current.and_then(|secret| secret.proven).map(Time),
            candidates: credential.candidates.len(),
            trouble: credential.trouble,
        }
    }
}

/// A page of credentials, by device or label, and account.
#[derive(Serialize, ToSchema)]
#[schema(as = CredentialPage)]
pub(super) struct RecordPage {
    pub(super) items: Vec<RecordView>,
    pub(super) pagination: Pagination,
}

/// The secrets of a credential, without themselves.
#[derive(Serialize, ToSchema)]
#[schema(as = CredentialHistory)]
pub(super) struct HistoryView {
    /// The one that is known to hold, or was typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<SecretView>,
    /// Those of which one may hold, oldest first.
    candidates: Vec<SecretView>,
    /// Those that held before, the latest first.
    former: Vec<SecretView>,
}

/// What is known of a secret, without itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CredentialSecret)]
struct SecretView {
    version: u64,
    made_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven_at: Option<Time>,
    /// The job that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<Uuid>,
}

impl SecretView {
    fn new(secret: &Secret) -> Self {
        Self {
            version: secret.version,
            made_at: Time(secret.made),
            proven_at: secret.proven.map(Time),
            job_id: secret.job,
        }
    }
}

impl HistoryView {
    pub(super) fn new(credential: &Credential) -> Self {
        Self {
            current: credential.current.as_ref().map(SecretView::new),
            candidates: credential.candidates.iter().map(SecretView::new).collect(),
            former: credential.former.iter().map(SecretView::new).collect(),
        }
    }
}

/// A secret in the clear.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RevealedView {
    id: Uuid,
    version: u64,
    #[schema(value_type = String, format = Password)]
    password: SecretText,
    /// Seconds after which a page should hide it.
    hide_after_seconds: u32,
}

/// Seconds for which a page should show a secret.
const SHOWN_SECONDS: u32 = 30;

impl RevealedView {
    pub(super) fn new(opened: Opened) -> Self {
        Self {
            id: opened.credential.id,
            version: opened.version,
            password: opened.secret,
            hide_after_seconds: SHOWN_SECONDS,
        }
    }
}

/// What a file has, or would have, brought.
#[derive(Serialize, ToSchema)]
pub(super) struct ImportView {
    /// Its rows, the first line not counted.
    rows: usize,
    /// New credentials.
    added: usize,
    /// Credentials with a new secret.
    changed: usize,
    /// What is wrong, by line. While there is anything, nothing is stored.
    errors: Vec<FaultView>,
    /// The columns that were read.
    columns: Vec<String>,
}

/// What is wrong with a line of a file.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportFault)]
struct FaultView {
    /// Which, from 1.
    line: u64,
    /// What, and what to do.
    message: String,
}

impl ImportView {
    pub(super) fn new(import: Import) -> Self {
        let errors = import.faults.into_iter();
        Self {
            rows: import.rows,
            added: import.added,
            changed: import.changed,
            errors: errors
                .map(|fault| FaultView {
                    line: fault.line,
                    message: super::views::sentence(&fault.message),
                })
                .collect(),
            columns: import.columns,
        }
    }
}

/// All devices' credentials.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DevicesCredentials {
    pub(super) credentials: Vec<DeviceCredential>,
    /// False: a sealed vault is refused with 412.
    pub(super) is_passphrase_missing: bool,
}

/// A device's account and its password.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceCredential {
    #[schema(required)]
    device_id: Option<Uuid>,
    username: String,
    #[schema(value_type = String, format = Password)]
    password: SecretText,
    read_only: bool,
    created_at: Time,
    #[schema(required)]
    ssh_port: Option<u16>,
    #[schema(required)]
    https_port: Option<u16>,
}

impl DeviceCredential {
    pub(super) fn new(opened: Opened) -> Self {
        let credential = opened.credential;
        Self {
            device_id: credential.device,
            username: credential.username,
            password: opened.secret,
            read_only: credential.read_only,
            created_at: Time(credential.created),
            ssh_port: credential.ssh_port,
            https_port: credential.https_port,
        }
    }
}

/// One device's credentials.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OneDevicesCredentials {
    pub(super) credentials: DeviceAccount,
    /// False: a sealed vault is refused with 412.
    pub(super) is_passphrase_missing: bool,
}

/// The account with the most rights.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceAccount {
    username: String,
    #[schema(value_type = String, format = Password)]
    password: SecretText,
    read_only: bool,
    created_at: Time,
}

impl DeviceAccount {
    pub(super) fn new(opened: Opened) -> Self {
        Self {
            username: opened.credential.username,
            password: opened.secret,
            read_only: opened.credential.read_only,
            created_at: Time(opened.credential.created),
        }
    }
}
