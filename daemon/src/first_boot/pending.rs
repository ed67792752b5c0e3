//! An order on its way into the machine's own file and the daemon's directory: one record that is
//! durable before either, so that both or neither get it, even if the medium is pulled out and the
//! power with it.

use std::path::{Path, PathBuf};

use super::provisioning::MOST_BYTES;
use super::word::{Order, Word};
use super::{FirstBootError, Roots, files, host, machine_file};
use crate::config::Config;
use crate::seal;

/// Its name in the machine's directory.
const FILE: &str = "provisioning-pending.json";
/// Bytes of it.
const BOUND: usize = 2 * MOST_BYTES;

/// The record's place.
pub(super) struct Pending {
    machine_dir: PathBuf,
    path: PathBuf,
}

impl Pending {
    pub(super) fn of(roots: &Roots) -> Self {
        let machine_dir: &Path = &roots.machine_dir;
        Self { machine_dir: machine_dir.to_owned(), path: machine_dir.join(FILE) }
    }

    /// From here on the order will be done.
    pub(super) fn begin(&self, order: &Order) -> Result<(), FirstBootError> {
        let bytes = serde_json::to_vec(order);
        let bytes = bytes.map_err(|error| machine_file(&self.path, error.into()))?;
        Ok(seal::write_private(&self.path, &bytes)?)
    }

    /// Remembers the machine's part.
    pub(super) fn keep_host(&self, order: &Order) -> Result<(), FirstBootError> {
        host::keep(&order.provisioning.host, &self.machine_dir)
    }

    /// Goes on with an order that the power cut off, if there is one.
    pub(super) fn resume(&self, config: &Config) -> Result<(), FirstBootError> {
        let failed = |error| machine_file(&self.path, error);
        let Some(bytes) = files::read(&self.path, BOUND).map_err(failed)? else {
            return Ok(());
        };
        let order = serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
        // Where the file still lies, it is found again and told of then.
        let order = Order { left_at: None, ..order };
        self.keep_host(&order)?;
        Word::Provision(Box::new(order)).leave(&config.data_dir)
    }

    /// Both have it.
    pub(super) fn end(&self) -> Result<(), FirstBootError> {
        files::wipe(&self.path).map_err(|error| machine_file(&self.path, error))
    }
}
