//! The word that the first boot leaves for the daemon, in the daemon's own directory: what a
//! provisioning file asks for, or why it is not followed.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::provisioning::{MOST_BYTES, Provisioning};
use super::{FirstBootError, files, make_folder};

/// Its name in the data directory.
const FILE: &str = "provisioning.json";
/// Bytes of it: a file's, and what JSON puts around.
const BOUND: usize = 2 * MOST_BYTES;

/// What the daemon is told.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Word {
    /// Do this, once.
    Provision(Box<Order>),
    /// This file came too late.
    Refused {
        /// Where it lies.
        place: String,
    },
    /// This file cannot be used.
    Faulty {
        /// Where it lies.
        place: String,
        /// What is wrong, by line.
        faults: Vec<String>,
    },
}

/// What is to be done, once.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order {
    /// Tells whether it was done already.
    pub(super) id: Uuid,
    /// What the file asked for.
    pub(super) provisioning: Provisioning,
    /// The file could not be deleted, and lies there.
    pub(super) left_at: Option<String>,
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

fn failed(data_dir: &Path, source: io::Error) -> FirstBootError {
    FirstBootError::Word { path: path(data_dir), source }
}

impl Word {
    /// Leaves it, in place of one that was left before.
    pub(super) fn leave(&self, data_dir: &Path) -> Result<(), FirstBootError> {
        let write = || {
            // Before the daemon's first start systemd has not made it yet; it gives it to the daemon.
            make_folder(data_dir)?;
            files::hand_over(&path(data_dir), &serde_json::to_vec(self)?)
        };
        write().map_err(|source| failed(data_dir, source))
    }

    /// What was left, if anything was. What cannot be read is told and passed over: it must not
    /// keep the daemon from starting.
    pub(super) fn find(data_dir: &Path) -> Option<Self> {
        let bytes = files::read(&path(data_dir), BOUND).transpose()?;
        let word = bytes.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        let told = |error: io::Error| {
            let file = path(data_dir);
            tracing::error!(%error, file = %file.display(), "what was provisioned cannot be read");
        };
        word.map_err(told).ok()
    }

    /// Wipes what was left.
    pub(super) fn wipe(data_dir: &Path) -> Result<(), FirstBootError> {
        files::wipe(&path(data_dir)).map_err(|source| failed(data_dir, source))
    }
}
