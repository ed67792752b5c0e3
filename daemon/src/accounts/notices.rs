//! What an account is told at its next login: things that happened in its name while it was away.

use jiff::Timestamp;
use uuid::Uuid;

use super::{AccountError, Accounts};
use crate::store::records::{NoticeRecord, NoticesRecord};
use crate::store::tables::NOTICES;
use crate::store::{StoreError, Writer};

/// Notices that an account keeps; beyond it the oldest go. The audit log has them all.
const KEPT: usize = 50;

/// Something that an account is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// To dismiss it by.
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// For people.
    pub message: String,
}

/// Tells an account something, in the transaction of what it tells about.
pub(super) fn tell(
    writer: &Writer<'_>,
    account: Uuid,
    at: Timestamp,
    message: &str,
) -> Result<(), StoreError> {
    tell_as(writer, account, at, message, Uuid::now_v7())
}

/// The same under an id: the notice about a login has that login's, which is not shown it.
pub(super) fn tell_as(
    writer: &Writer<'_>,
    account: Uuid,
    at: Timestamp,
    message: &str,
    id: Uuid,
) -> Result<(), StoreError> {
    let mut record = writer.get(NOTICES, &account)?.unwrap_or_default();
    let surplus = (record.notices.len() + 1).saturating_sub(KEPT);
    record.notices.drain(..surplus);
    record.notices.push(NoticeRecord { id, at: at.as_millisecond(), message: message.to_owned() });
    writer.put(NOTICES, &account, &record)
}

impl Accounts {
    /// What an account has not been told yet, oldest first.
    pub async fn notices(&self, account: Uuid) -> Result<Vec<Notice>, AccountError> {
        let record = self.inner.store.read(move |reader| reader.get(NOTICES, &account)).await?;
        let notices = record.unwrap_or_default().notices.into_iter().map(|notice| Notice {
            id: notice.id,
            at: Timestamp::from_millisecond(notice.at).unwrap_or_default(),
            message: notice.message,
        });
        Ok(notices.collect())
    }

    /// The account has read these.
    pub async fn dismiss_notices(
        &self,
        account: Uuid,
        read: Vec<Uuid>,
    ) -> Result<(), AccountError> {
        let write = move |writer: &Writer<'_>| {
            let Some(NoticesRecord { mut notices }) = writer.get(NOTICES, &account)? else {
                return Ok(());
            };
            notices.retain(|notice| !read.contains(&notice.id));
            writer.put(NOTICES, &account, &NoticesRecord { notices })
        };
        Ok(self.inner.store.write(write).await?)
    }
}
