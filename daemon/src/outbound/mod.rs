//! Every connection that the appliance opens itself.
//!
//! A caller names an `https` address; the name behind it is resolved once, each address that came
//! out is judged by [`addresses`], and exactly those addresses are connected to. TLS is verified,
//! always. No redirect is followed: where an answer points is the caller's business, and it comes
//! back here to be checked. What comes in is bounded in bytes and time.
//!
//! Two exceptions, both in `edge/`'s ACME: the library for it opens its own connections, so that
//! it is given our TLS configuration and each address is checked before; and
//! [`Outbound::ask_port_80`] looks, without TLS, whether a challenge could be answered.

mod addresses;
mod allowed;
mod error;
mod fetch;
mod resolve;
#[cfg(test)]
mod tests;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use http::Uri;
use http::uri::Scheme;
use rustls::ClientConfig;

use self::addresses::Kind;
use crate::store::{Store, StoreError, Writer, tables};

pub use self::addresses::own_addresses;
pub use self::allowed::Network;
pub use self::error::OutboundError;
pub use self::fetch::{Answer, Ask};
pub use self::resolve::{Resolve, Resolving, SystemResolver};
pub(crate) use self::tls::provider;

/// The setting that holds the networks which an admin has allowed.
const SETTING: &str = "outbound-allowed";
/// Networks that an admin may allow.
const NETWORKS: usize = 64;
/// Bytes of a URL.
const URL_BYTES: usize = 2_048;

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    resolver: Box<dyn Resolve>,
    allowed: RwLock<Vec<Network>>,
}

/// Where a request may go: checked, and resolved for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The whole address as it was given.
    uri: Uri,
    /// Its host, without brackets.
    host: String,
    /// What the host resolved to.
    addresses: Vec<SocketAddr>,
}

impl Target {
    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What the host resolved to; at least one.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// GETs `path` at one of the appliance's own ports, which has to show the certificate with this
/// SHA-256.
pub async fn ask_own(
    address: SocketAddr,
    certificate: &str,
    path: &str,
) -> Result<Answer, OutboundError> {
    let url = format!("https://{address}{path}");
    let uri = url.parse().map_err(|_| OutboundError::NoHttps(shown(&url)))?;
    let target = Target { uri, host: address.ip().to_string(), addresses: vec![address] };
    fetch::fetch(&target, Ask::get(&url, tls::pinned(certificate)?)).await
}

impl Outbound {
    /// Reads what an admin has allowed, and resolves names as the system does.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        Self::with_resolver(store, SystemResolver).await
    }

    /// The same with another resolver.
    pub async fn with_resolver(
        store: &Store,
        resolver: impl Resolve + 'static,
    ) -> Result<Self, StoreError> {
        let read = store.read(|reader| reader.get(tables::SETTINGS, SETTING));
        let allowed = read.await?.and_then(|text| serde_json::from_str(&text).ok());
        let shared = Shared {
            store: store.clone(),
            resolver: Box::new(resolver),
            allowed: RwLock::new(allowed.unwrap_or_default()),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The private networks and own addresses that may be reached.
    pub fn allowed(&self) -> Vec<Network> {
        self.shared.allowed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces that list. `also` is written in the same transaction. Durable when it returns.
    pub async fn allow<F>(&self, networks: &[String], also: F) -> Result<(), OutboundError>
    where
        F: Fn(&Writer<'_>) -> Result<(), StoreError> + Send + 'static,
    {
        if networks.len() > NETWORKS {
            return Err(OutboundError::TooManyNetworks(NETWORKS));
        }
        let mut parsed: Vec<Network> = Vec::with_capacity(networks.len());
        for text in networks {
            let network = Network::parse(text)?;
            if !parsed.contains(&network) {
                parsed.push(network);
            }
        }
        let text = serde_json::json!(parsed).to_string();
        let written = self.shared.store.write(move |writer| {
            writer.put(tables::SETTINGS, SETTING, &text)?;
            also(writer)
        });
        written.await?;
        *self.shared.allowed.write().unwrap_or_else(PoisonError::into_inner) = parsed;
        Ok(())
    }

    /// Whether a URL may be asked: `https`, no user in it, and every address of its host allowed.
    pub async fn check(&self, url: &str) -> Result<Target, OutboundError> {
        let wrong = || OutboundError::NoHttps(shown(url));
        if url.len() > URL_BYTES {
            return Err(wrong());
        }
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if uri.scheme() != Some(&Scheme::HTTPS) || authority.as_str().contains('@') {
            return Err(wrong());
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => 443,
            Some(port) => port
                .strip_prefix(':')
                .and_then(|digits| digits.parse().ok())
                .filter(|port| *port > 0)
                .ok_or_else(wrong)?,
            None => return Err(wrong()),
        };
        let host = bare(authority.host()).to_ascii_lowercase();
        let addresses = self.resolve(&host, port).await?;
        let own = own_addresses();
        for address in &addresses {
            self.judge(&host, address.ip(), &own)?;
        }
        Ok(Target { uri, host, addresses })
    }

    /// What a name resolves to now, whether or not it may be reached.
    pub async fn addresses_of(&self, host: &str) -> Result<Vec<IpAddr>, OutboundError> {
        let addresses = self.resolve(host, 80).await?;
        Ok(addresses.iter().map(SocketAddr::ip).collect())
    }

    /// The configuration of a TLS client that trusts the public roots, and the certificates in
    /// `extra_roots` (PEM) as well.
    pub fn tls(&self, extra_roots: Option<&str>) -> Result<Arc<ClientConfig>, OutboundError> {
        tls::config(extra_roots)
    }

    /// Sends one request and gives back its answer, whatever its status. Redirects are answers.
    pub async fn fetch(&self, ask: Ask<'_>) -> Result<Answer, OutboundError> {
        let target = self.check(ask.url).await?;
        fetch::fetch(&target, ask).await
    }

    /// The first bytes of what port 80 of a host answers to a GET of `path`, without TLS: for the
    /// question whether an ACME challenge would arrive. The appliance's own addresses may be asked
    /// here, since they are what one hopes to reach.
    pub async fn ask_port_80(&self, host: &str, path: &str) -> Result<Vec<u8>, OutboundError> {
        let addresses = self.resolve(host, 80).await?;
        let own = own_addresses();
        for address in &addresses {
            match addresses::kind(address.ip(), &own) {
                Kind::Public | Kind::Own | Kind::Loopback => {}
                Kind::Private | Kind::Never(_) => self.judge(host, address.ip(), &own)?,
            }
        }
        fetch::plain(host, &addresses, path).await
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, OutboundError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        resolve::bounded(&*self.shared.resolver, host, port).await
    }

    fn judge(&self, host: &str, address: IpAddr, own: &[IpAddr]) -> Result<(), OutboundError> {
        let allowed = self.shared.allowed.read().unwrap_or_else(PoisonError::into_inner);
        let address = addresses::inner(address);
        let denied = |why| OutboundError::Denied { host: host.to_owned(), address, why };
        match addresses::kind(address, own) {
            Kind::Public => Ok(()),
            Kind::Never(why) => Err(denied(why)),
            Kind::Private if allowed.iter().any(|network| network.contains(address)) => Ok(()),
            Kind::Private => Err(denied(
                "a private address, which an admin has to allow first in Settings > Outgoing \
                 connections",
            )),
            Kind::Own | Kind::Loopback
                if allowed.iter().any(|network| network.is_exactly(address)) =>
            {
                Ok(())
            }
            Kind::Own | Kind::Loopback => Err(denied(
                "this appliance itself, which an admin has to allow first by naming exactly this \
                 address in Settings > Outgoing connections",
            )),
        }
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// So much of a text as an error can repeat.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(120).collect()
}
