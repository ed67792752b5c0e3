//! What is kept of long works.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A long work. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct JobRecord {
    /// What kind: `rotation`.
    pub kind: String,
    /// What people read.
    pub title: String,
    /// Who began it.
    #[serde(default)]
    pub account: Option<Uuid>,
    /// `running`, `cancelled` or `done`. Whether it waits for something is not kept.
    pub state: String,
    /// Why it has stopped by itself, in words; empty while it runs.
    #[serde(default)]
    pub stopped: String,
    /// When it was made.
    pub created: i64,
    /// When it may begin.
    #[serde(default)]
    pub not_before: Option<i64>,
    /// After which time of day it begins no further item, in seconds after `not_before`'s.
    #[serde(default)]
    pub window_seconds: Option<u32>,
    /// When it ended.
    #[serde(default)]
    pub ended: Option<i64>,
    /// How many items at once.
    pub parallel: u32,
    /// After how many failures in a row it stops by itself.
    pub stop_after: u32,
    /// What its kind needs to know, as JSON.
    pub plan: String,
    /// Its items.
    pub items: u32,
    /// How many of them were done, had failed and were cancelled when it ended.
    #[serde(default)]
    pub outcome: [u32; 3],
}

/// One thing that a job has to do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct JobItemRecord {
    /// The device that it is about.
    #[serde(default)]
    pub device: Option<Uuid>,
    /// What else tells it from the others: an account's name.
    #[serde(default)]
    pub what: String,
    /// `waiting`, `begun`, `done`, `failed` or `cancelled`.
    pub state: String,
    /// What people read about it.
    #[serde(default)]
    pub message: String,
    /// How often it was begun.
    #[serde(default)]
    pub attempts: u32,
    /// When it last changed.
    #[serde(default)]
    pub changed: i64,
    /// What its kind remembers of it, as JSON.
    #[serde(default)]
    pub memory: String,
}
