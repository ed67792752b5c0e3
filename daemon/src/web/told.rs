//! What of the API stands in the audit log: who changed what, and from where.
//!
//! Which calls are told stands in the table of [`super::routes`]; what goes on in `accounts` is
//! written there, in the transaction of what it tells about.

use axum::Extension;
use axum::response::Response;
use uuid::Uuid;

use crate::accounts::{Accounts, Actor};
use crate::devices::Devices;

/// What a handler changed, where the path of its call does not say so.
#[derive(Clone, Debug)]
pub(super) struct About(Vec<String>);

impl About {
    /// To be answered beside the body.
    pub(super) fn these(names: Vec<String>) -> Extension<Self> {
        Extension(Self(names))
    }

    /// The names of these devices, as they are before something is done to them.
    pub(super) fn devices(devices: &Devices, ids: &[Uuid]) -> Vec<String> {
        ids.iter().filter_map(|id| name_of_device(devices, *id)).collect()
    }
}

fn name_of_device(devices: &Devices, id: Uuid) -> Option<String> {
    devices.device(id).map(|device| device.display_name().to_owned())
}

/// The name of the device or site in a path. Asked before the call: afterwards it may be gone.
pub(super) async fn named_in(path: &str, devices: &Devices) -> Option<String> {
    let id: Uuid = path.split('/').find_map(|part| part.parse().ok())?;
    if path.contains("/devices/") {
        return name_of_device(devices, id);
    }
    let site = devices.sites().get(id).await.ok().flatten();
    site.map(|site| site.name)
}

/// What a call changed, if it changed anything.
pub(super) fn changed(in_path: Option<String>, response: &Response) -> Option<Vec<String>> {
    if !response.status().is_success() {
        return None;
    }
    Some(match response.extensions().get::<About>() {
        Some(About(names)) => names.clone(),
        None => vec![in_path.unwrap_or_default()],
    })
}

/// Writes down what a call did, once it has done it.
pub(super) async fn tell(accounts: &Accounts, by: Actor, what: &'static str, names: Vec<String>) {
    if names.is_empty() {
        return;
    }
    if let Err(error) = accounts.did(by, what, names).await {
        // What was done is done, and who did it waits for an answer.
        tracing::error!(%error, what, account = %by.account, "the audit log was not written");
    }
}
