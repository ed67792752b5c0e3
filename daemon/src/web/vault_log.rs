//! The vault's own log as the API shows it: as the vault wrote it, with names beside its ids.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::{ApiError, ErrorBody};
use super::extract::Params;
use super::views::Time;
use crate::vault::credentials::Credentials;
use crate::vault::protocol::LogEntry;

/// From where the log is wanted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the query")]
pub(super) struct LogFrom {
    /// The number of the first entry: 0, unless it says another one.
    from: Option<u64>,
}

/// Entries of the vault's own log, oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = VaultLog)]
pub(super) struct LogPage {
    entries: Vec<LogEntryView>,
    /// From where to go on; the same again: there is nothing more.
    next: u64,
}

/// Something that the vault did.
#[derive(Serialize, ToSchema)]
#[schema(as = VaultLogEntry)]
struct LogEntryView {
    number: u64,
    at: Time,
    /// What: `created`, `unsealed`, `sealed`, `opened`, …
    what: String,
    /// About what, and on whose word: as the vault wrote it.
    about: String,
    /// What the credential in it is called now; null where there is none, or it is deleted.
    #[schema(required)]
    name: Option<String>,
}

impl LogEntryView {
    fn new(entry: LogEntry, name: Option<String>) -> Self {
        let at = jiff::Timestamp::from_millisecond(entry.at).unwrap_or_default();
        let LogEntry { number, what, about, .. } = entry;
        Self { number, at: Time(at), what, about, name }
    }
}

/// The credential that an entry is about: the vault writes its id and its secret's version.
fn credential(entry: &LogEntry) -> Option<Uuid> {
    if !matches!(entry.what.as_str(), "opened" | "opened-for-job") {
        return None;
    }
    let (before, _) = entry.about.split_once(" version ")?;
    before.rsplit(' ').next()?.parse().ok()
}

/// The vault's own log, which the daemon cannot change.
#[utoipa::path(
    get, path = "/nms/api/v2.1/vault/log", tag = "vault", params(LogFrom),
    responses(
        (status = 200, description = "Entries from a number on", body = LogPage),
        (status = 412, description = "VaultNotMade", body = ErrorBody),
    )
)]
pub(super) async fn log(
    State(credentials): State<Credentials>,
    params: Params,
) -> Result<Json<LogPage>, ApiError> {
    let from = params.one("from")?.unwrap_or(0);
    let entries = credentials.vault().log(from).await?;
    let next = entries.last().map_or(from, |last| last.number.saturating_add(1));
    let names = credentials.names(entries.iter().filter_map(credential).collect()).await?;
    let view = |entry: LogEntry| {
        let name = credential(&entry).and_then(|id| names.get(&id).cloned());
        LogEntryView::new(entry, name)
    };
    Ok(Json(LogPage { entries: entries.into_iter().map(view).collect(), next }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(what: &str, about: String) -> LogEntry {
        LogEntry { number: 1, at: 0, what: what.to_owned(), about, hash: [0; 32] }
    }

    #[test]
    fn the_credential_is_found_in_what_the_vault_writes() {
        let (id, job) = (Uuid::now_v7(), Uuid::now_v7());
        let opened = entry("opened", format!("{id} version 3: owner, of {job} version 2"));
        assert_eq!(credential(&opened), Some(id));
        let for_job = entry("opened-for-job", format!("job {job}, {id} version 12"));
        assert_eq!(credential(&for_job), Some(id));
        assert_eq!(credential(&entry("granted", format!("job {job}: {id} version 1"))), None);
        assert_eq!(credential(&entry("opened", "something version 1".to_owned())), None);
    }
}
