//! Where accounts are at home: the networks that they have logged in from.
//!
//! There guessing by strangers elsewhere does not count ([`super::throttle`]), and a login from
//! anywhere else is told to its account.

use jiff::Timestamp;
use uuid::Uuid;

use super::{AccountError, Accounts, ClientInfo, LoginId, notices};
use crate::audit::Deed;
use crate::network::SourceNetwork;
use crate::store::records::LoginRecord;
use crate::store::tables::HOMES;
use crate::store::{StoreError, Writer};

/// Networks that an account keeps; the one not used for longest goes.
const KEPT: usize = 50;

/// Notes a login's network, in the login's own transaction. A new one is told and audited, but for
/// the very first.
pub(super) fn note(
    writer: &Writer<'_>,
    id: LoginId,
    login: &LoginRecord,
) -> Result<(), StoreError> {
    // A record whose address is none was written by a test.
    let Ok(address) = login.address.parse() else { return Ok(()) };
    let network = SourceNetwork::from(address).to_string();
    let mut homes = writer.get(HOMES, &login.account)?.unwrap_or_default();
    let before = homes.networks.len();
    let first = match homes.networks.iter().position(|(known, ..)| *known == network) {
        Some(place) => homes.networks.remove(place).1,
        None => login.created,
    };
    let known = homes.networks.len() < before;
    let surplus = (homes.networks.len() + 1).saturating_sub(KEPT);
    homes.networks.drain(..surplus);
    homes.networks.push((network, first, login.created));
    writer.put(HOMES, &login.account, &homes)?;
    if known || before == 0 {
        return Ok(());
    }
    let at = Timestamp::from_millisecond(login.created).unwrap_or_default();
    let who = login.account.to_string();
    let deed = Deed::new(&who, "login-new-network", &login.client);
    deed.sent_from(address).write(writer, at)?;
    notices::tell_as(writer, login.account, at, &told(login), id.guid())
}

fn told(login: &LoginRecord) -> String {
    let client = if login.client.is_empty() { "a client without a name" } else { &login.client };
    format!(
        "Somebody logged in as you from {} ({client}), a network from which you had not logged in \
         before. If it was not you, change your password: that ends every login.",
        login.address
    )
}

impl Accounts {
    /// Whether an account has logged in from the client's network before. Nobody's account takes as
    /// long to be looked up as somebody's.
    pub(super) async fn at_home(
        &self,
        account: Option<Uuid>,
        client: &ClientInfo,
    ) -> Result<bool, AccountError> {
        let network = SourceNetwork::from(client.address);
        let id = account.unwrap_or_else(|| self.stand_in());
        let homes = self.inner.store.read(move |reader| reader.get(HOMES, &id)).await?;
        let written = network.to_string();
        let noted = homes.unwrap_or_default().networks.iter().any(|(known, ..)| *known == written);
        // Logins of a release that noted no networks.
        let live = self.inner.logins.at_home(id, network, self.inner.clock.now());
        Ok(account.is_some() && (noted || live))
    }
}
