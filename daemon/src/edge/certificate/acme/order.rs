//! One attempt to get a certificate: account, order, challenges, certificate.
//!
//! `rustls-acme` speaks the protocol; what is asked when, and again, is decided here, so that each
//! address is checked first, every wait is bounded, a lost nonce costs one call, and a refusal can
//! be told with its reason (`docs/decisions/0004-driving-acme-ourselves.md`).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ClientConfig;
use rustls_acme::acme::{
    Account, AcmeError, Auth, AuthStatus, Directory, Identifier, Order, OrderStatus,
};
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use super::super::chain::Chain;
use super::super::live::Live;
use super::problem::is_bad_nonce;
use super::{AccountKey, AcmeSettings, Challenge, Failure, Issued, is_public_name};
use crate::clock::Clock;
use crate::outbound::{Ask, Outbound};

/// Time for one call.
const CALL_TIME: Duration = Duration::from_secs(30);
/// How often a call is made again with a fresh nonce.
const NONCES: usize = 12;
/// Seconds between two questions whether something is done. Together: the patience for it.
const PAUSES: [u64; 16] = [1, 1, 1, 2, 2, 3, 5, 5, 5, 10, 10, 10, 15, 15, 15, 20];
/// Authorisations of one order.
const AUTHORISATIONS: usize = 64;
/// Bytes of a challenge's token.
const TOKEN_BYTES: usize = 256;

/// What an attempt needs.
pub(in crate::edge::certificate) struct Attempt {
    pub(in crate::edge::certificate) outbound: Outbound,
    pub(in crate::edge::certificate) clock: Clock,
    pub(in crate::edge::certificate) live: Arc<Live>,
    pub(in crate::edge::certificate) settings: AcmeSettings,
    pub(in crate::edge::certificate) account: AccountKey,
}

/// Takes pending challenges away, however the attempt ends.
struct Challenges<'a>(&'a Live);

impl Drop for Challenges<'_> {
    fn drop(&mut self) {
        self.0.forget_challenges();
    }
}

impl Attempt {
    /// A certificate and its private key (PKCS #8), or why there is none.
    pub(in crate::edge::certificate) async fn run(
        &self,
    ) -> Result<(Issued, Zeroizing<Vec<u8>>), Failure> {
        let _challenges = Challenges(&self.live);
        let tls = self.outbound.tls(self.settings.extra_root.as_deref());
        let tls = tls.map_err(|error| Failure::unreachable(&error))?;
        let directory = self.directory(&tls).await?;
        let account = self.account(&tls, &directory).await?;
        let ca = Ca { attempt: self, tls, account };
        let (url, order) = ca.order().await?;
        ca.authorise(&order).await?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        let key = key.map_err(|error| Failure::ours(&error))?;
        let order = ca.until(&url, |order| order.status == OrderStatus::Ready).await?;
        let pem = ca.finalize(&url, &order, &key).await?;
        let now = self.clock.now();
        let read = Chain::read(&pem, &key.serialize_pem(), now);
        let chain = read.map_err(|unfit| Failure::unfit(&unfit))?.chain;
        let issued = Issued::new(chain, &self.settings);
        Ok((issued, Zeroizing::new(key.serialize_der())))
    }

    /// The directory is asked by `outbound` itself, which says best what is wrong with a CA.
    async fn directory(&self, tls: &Arc<ClientConfig>) -> Result<Directory, Failure> {
        let ask = Ask::get(&self.settings.directory, Arc::clone(tls));
        let answer = self.outbound.fetch(ask).await;
        let answer = answer.map_err(|error| Failure::unreachable(&error))?;
        let wrong = || Failure::no_directory(answer.status.as_u16());
        if !answer.status.is_success() {
            return Err(wrong());
        }
        serde_json::from_slice(&answer.body).map_err(|_| wrong())
    }

    /// Finds the account of the key, or makes it.
    async fn account(
        &self,
        tls: &Arc<ClientConfig>,
        directory: &Directory,
    ) -> Result<Account, Failure> {
        self.check(&directory.new_nonce).await?;
        let contact: Vec<String> =
            self.settings.email.iter().map(|email| format!("mailto:{email}")).collect();
        let key: &[u8] = &self.account.0;
        self.call(&directory.new_account, || {
            Account::create_with_keypair(tls, directory.clone(), &contact, key)
        })
        .await
    }

    async fn check(&self, url: &str) -> Result<(), Failure> {
        let checked = self.outbound.check(url).await;
        checked.map(drop).map_err(|error| Failure::unreachable(&error))
    }

    /// One call: to a checked address, within a time, and again where the nonce was lost.
    async fn call<T, F>(&self, url: &str, call: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, AcmeError>>,
    {
        self.check(url).await?;
        let mut left = NONCES;
        loop {
            let answer = timeout(CALL_TIME, Box::pin(call())).await;
            match answer.map_err(|_| Failure::slow(url))? {
                Ok(answer) => return Ok(answer),
                Err(error) if left > 0 && is_bad_nonce(&error) => left -= 1,
                Err(error) => return Err(Failure::refused(&error, self.now())),
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// A CA that knows our account.
struct Ca<'a> {
    attempt: &'a Attempt,
    tls: Arc<ClientConfig>,
    account: Account,
}

impl Ca<'_> {
    async fn order(&self) -> Result<(String, Order), Failure> {
        let names = &self.attempt.settings.names;
        self.attempt
            .call(&self.account.directory.new_order, || {
                self.account.new_order(&self.tls, names.clone())
            })
            .await
    }

    /// Answers the challenges of all names, then waits until the CA has seen each.
    async fn authorise(&self, order: &Order) -> Result<(), Failure> {
        let mut pending = Vec::new();
        for url in order.authorizations.iter().take(AUTHORISATIONS) {
            let auth = self.authorisation(url).await?;
            if !matches!(auth.status, AuthStatus::Valid) {
                self.answer(&auth).await?;
                pending.push(url);
            }
        }
        for url in pending {
            self.seen(url).await?;
        }
        Ok(())
    }

    async fn authorisation(&self, url: &str) -> Result<Auth, Failure> {
        self.attempt.call(url, || self.account.auth(&self.tls, url)).await
    }

    /// Puts the answer to a challenge in place and tells the CA to look.
    async fn answer(&self, auth: &Auth) -> Result<(), Failure> {
        let refused = |error: AcmeError| Failure::refused(&error, self.attempt.now());
        let Identifier::Dns(name) = &auth.identifier;
        if !matches!(auth.status, AuthStatus::Pending) || !is_public_name(name) {
            return Err(self.denied(auth));
        }
        let live = &self.attempt.live;
        let challenge = match self.attempt.settings.challenge {
            Challenge::Http01 => {
                let (challenge, answer) =
                    self.account.http_01(&auth.challenges).map_err(refused)?;
                if challenge.token.len() > TOKEN_BYTES {
                    return Err(Failure::stuck("The CA's challenge is too long."));
                }
                live.answer_http(challenge.token.clone(), answer);
                challenge
            }
            Challenge::TlsAlpn01 => {
                let answer = self.account.tls_alpn_01(&auth.challenges, name.clone());
                let (challenge, certificate) = answer.map_err(refused)?;
                live.answer_tls(name.to_ascii_lowercase(), certificate);
                challenge
            }
        };
        let url = &challenge.url;
        self.attempt.call(url, || self.account.challenge(&self.tls, url)).await
    }

    async fn seen(&self, url: &str) -> Result<(), Failure> {
        for pause in PAUSES {
            sleep(Duration::from_secs(pause)).await;
            let auth = self.authorisation(url).await?;
            match auth.status {
                AuthStatus::Pending => {}
                AuthStatus::Valid => return Ok(()),
                _ => return Err(self.denied(&auth)),
            }
        }
        Err(Failure::stuck("The CA has not looked at a challenge in time."))
    }

    fn denied(&self, auth: &Auth) -> Failure {
        let Identifier::Dns(name) = &auth.identifier;
        let problem = auth.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        match problem {
            Some(problem) => {
                let challenge = self.attempt.settings.challenge;
                Failure::of(problem, Some(name), challenge, self.attempt.now())
            }
            None => Failure::stuck("The CA gave a name up without saying why."),
        }
    }

    /// Asks for the order until it is as far as wanted.
    async fn until(&self, url: &str, done: impl Fn(&Order) -> bool) -> Result<Order, Failure> {
        for pause in PAUSES {
            let order = self.attempt.call(url, || self.account.order(&self.tls, url)).await?;
            if done(&order) {
                return Ok(order);
            }
            if order.status == OrderStatus::Invalid {
                return Err(match &order.error {
                    Some(problem) => {
                        Failure::of(problem, None, Challenge::Http01, self.attempt.now())
                    }
                    None => Failure::stuck("The CA gave the order up without saying why."),
                });
            }
            sleep(Duration::from_secs(pause)).await;
        }
        Err(Failure::stuck("The CA has not finished the order in time."))
    }

    /// Sends the request for the key's certificate, and fetches it.
    async fn finalize(&self, url: &str, order: &Order, key: &KeyPair) -> Result<String, Failure> {
        let request = || {
            let mut params = CertificateParams::new(self.attempt.settings.names.clone())?;
            params.distinguished_name = DistinguishedName::new();
            params.serialize_request(key)
        };
        let request = request().map_err(|error| Failure::ours(&error))?;
        let to = &order.finalize;
        self.attempt.call(to, || self.account.finalize(&self.tls, to, request.der())).await?;
        let valid = |order: &Order| matches!(order.status, OrderStatus::Valid { .. });
        let order = self.until(url, valid).await?;
        let OrderStatus::Valid { certificate } = &order.status else {
            return Err(Failure::stuck("The CA has not finished the order in time."));
        };
        self.attempt.call(certificate, || self.account.certificate(&self.tls, certificate)).await
    }
}
