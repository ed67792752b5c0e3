//! The daemon's part: it does what a provisioning file asks for before any room is built, in one
//! transaction with the mark that it was done.

use std::path::Path;

use jiff::Timestamp;
use tracing::{info, warn};
use uuid::Uuid;

use super::provisioning::{self, Faulty, Provisioning};
use super::word::{Order, Word};
use super::{FirstBootError, TOO_LATE, media, take};
use crate::accounts::FirstAdmin;
use crate::audit::Deed;
use crate::config::Config;
use crate::cut::cut;
use crate::devices::connection_key::ConnectionKeys;
use crate::devices::events::{Event, Events, Level};
use crate::store::tables::{ACCOUNTS, SETTINGS};
use crate::store::{Store, StoreError, Writer};

/// The setting that holds the id of the last order that was done.
const DONE: &str = "provisioned";
/// Who it was, in the audit log.
const WHO: &str = "provisioning";
/// What the owner's log calls it.
const TAG: &str = "uisp-general";

/// What became of an order.
enum Outcome {
    Done,
    /// In an earlier life, which had no time to wipe it.
    DoneBefore,
    TooLate,
}

/// Does what was ordered. `file` is a provisioning file that the command line names; it is read
/// once. Answers the faults of a file that waits to be corrected, for the GUI.
pub async fn provision(
    config: &Config,
    store: &Store,
    now: Timestamp,
    file: Option<&Path>,
) -> Result<Vec<String>, FirstBootError> {
    let configured = store.read(|reader| Ok(!reader.all(ACCOUNTS)?.is_empty())).await?;
    if let Some(file) = file {
        order(config, store, now, (file, configured)).await?;
    }
    let data_dir = &config.data_dir;
    match Word::find(data_dir) {
        None => {}
        Some(Word::Provision(order)) => carry_out(*order, store, now, data_dir).await?,
        Some(Word::Refused { place }) => {
            refuse(store, now, place).await?;
            Word::wipe(data_dir)?;
        }
        // Somebody went through the wizard instead.
        Some(Word::Faulty { .. }) if configured => Word::wipe(data_dir)?,
        Some(Word::Faulty { place, faults }) => {
            let message = format!(
                "The provisioning file {place} has faults, and nothing of it was done. {}",
                faults.join(" ")
            );
            record(store, now, (Level::Error, message)).await?;
            return Ok(faults);
        }
    }
    Ok(Vec::new())
}

/// Makes an order of a file that the command line names.
async fn order(
    config: &Config,
    store: &Store,
    now: Timestamp,
    (file, configured): (&Path, bool),
) -> Result<(), FirstBootError> {
    let unreadable = |source| FirstBootError::Unreadable { path: file.to_owned(), source };
    // The same command line starts the daemon again and again; the file is gone after the first.
    let waits = || matches!(Word::find(&config.data_dir), Some(Word::Provision(_)));
    let Some(found) = media::at(file).map_err(unreadable)? else {
        if configured || waits() {
            return Ok(());
        }
        return Err(unreadable(std::io::ErrorKind::NotFound.into()));
    };
    if configured {
        return refuse(store, now, found.place).await;
    }
    let provisioning = provisioning::read(&found.bytes, config)
        .map_err(|faults| Faulty { path: file.to_owned(), faults })?;
    if provisioning.host.network.is_some() || !provisioning.host.ntp.is_empty() {
        return Err(FirstBootError::NeedsFirstBoot(file.to_owned()));
    }
    take(found, provisioning, config, None)
}

async fn carry_out(
    order: Order,
    store: &Store,
    now: Timestamp,
    data_dir: &Path,
) -> Result<(), FirstBootError> {
    cut("provision-found");
    let outcome = store.write(move |writer| write(writer, &order, now)).await?;
    cut("provision-stored");
    match outcome {
        Outcome::Done => info!("the appliance was provisioned from a file"),
        Outcome::DoneBefore => {}
        Outcome::TooLate => warn!("{TOO_LATE}"),
    }
    Word::wipe(data_dir)
}

/// All of it, in one transaction.
fn write(writer: &Writer<'_>, order: &Order, now: Timestamp) -> Result<Outcome, StoreError> {
    let id = order.id.to_string();
    if writer.get(SETTINGS, DONE)?.as_ref() == Some(&id) {
        return Ok(Outcome::DoneBefore);
    }
    if writer.len(ACCOUNTS)? > 0 {
        let message = "A provisioning file was taken and nothing of it was done: the appliance was \
            set up in the meantime.";
        put_event(writer, now, None, (Level::Warning, message.to_owned()))?;
        return Ok(Outcome::TooLate);
    }
    let Provisioning { host, account, ports } = &order.provisioning;
    if let Some(name) = &host.name {
        ConnectionKeys::put_host(writer, name)?;
    }
    if let Some(ports) = ports {
        ports.put(writer)?;
    }
    let admin = account.as_ref().map(|account| FirstAdmin {
        username: account.username.clone(),
        email: account.email.clone(),
        timezone: host.zone.clone().unwrap_or_default(),
        password_hash: account.password_hash.clone(),
    });
    let by = match admin {
        Some(admin) => admin.put(writer, now)?,
        None => None,
    };
    let told = told(&order.provisioning);
    Deed::new(WHO, "provisioned", &told).write(writer, now)?;
    let left = order.left_at.as_ref().map_or_else(String::new, |place| {
        format!(" The file could not be wiped: delete {place}, which holds a hash of the password.")
    });
    let level = if left.is_empty() { Level::Info } else { Level::Warning };
    let message = format!("The appliance was provisioned from a file: {told}.{left}");
    put_event(writer, now, by, (level, message))?;
    writer.put(SETTINGS, DONE, &id)?;
    Ok(Outcome::Done)
}

/// What was set, without a secret.
fn told(provisioning: &Provisioning) -> String {
    let Provisioning { host, account, ports } = provisioning;
    let parts = [
        host.name.as_ref().map(|name| format!("host name {name}")),
        host.network.as_ref().map(|_| "network".to_owned()),
        account.as_ref().map(|account| format!("account {}", account.username)),
        ports.as_ref().map(|_| "ports".to_owned()),
        (host.zone.is_some() || !host.ntp.is_empty()).then(|| "time".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

async fn refuse(store: &Store, now: Timestamp, place: String) -> Result<(), FirstBootError> {
    warn!(place, "{TOO_LATE}");
    let message = format!(
        "A provisioning file was left alone, since this appliance is set up already. It lies in \
         {place} and holds a hash of a password: delete it."
    );
    record(store, now, (Level::Warning, message)).await
}

async fn record(
    store: &Store,
    now: Timestamp,
    what: (Level, String),
) -> Result<(), FirstBootError> {
    Ok(store.write(move |writer| put_event(writer, now, None, what.clone())).await?)
}

fn put_event(
    writer: &Writer<'_>,
    now: Timestamp,
    by: Option<Uuid>,
    (level, message): (Level, String),
) -> Result<(), StoreError> {
    let event = Event::quiet(level, TAG, message);
    Events::put(writer, now, by.into_iter().fold(event, Event::by))
}
